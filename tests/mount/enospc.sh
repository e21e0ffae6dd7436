#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Four writers fill the image; after deleting, the counts are what they were.
. "$(dirname "$0")/lib.sh"
t mkfs.bufs -q "$img" 64M || die mkfs
t bufs "$img" "$mnt" || die mount
fill() {
	for w in 1 2 3 4; do
		t dd if=/dev/zero of="$mnt/$w" bs=64k status=none 2>/dev/null &
	done
	wait
}
before=$(stat -f -c '%f %d' "$mnt")
fill
rm "$mnt"/[1-4]
fill
[ "$(stat -f -c %f "$mnt")" -lt 64 ] || die "not filled"
rm "$mnt"/[1-4]
# the kernel may still have FORGETs of these in its queue, behind other requests
i=0
until after=$(stat -f -c '%f %d' "$mnt") && [ "$before" = "$after" ]; do
	[ $i -lt 50 ] || die "free counts: $before, then $after"
	sleep 0.1
	i=$((i + 1))
done
leave
clean "$img"
