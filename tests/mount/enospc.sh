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
fill
rm "$mnt"/[1-4]
before=$(stat -f -c '%f %d' "$mnt")
fill
[ "$(stat -f -c %f "$mnt")" -lt 64 ] || die "not filled"
rm "$mnt"/[1-4]
after=$(stat -f -c '%f %d' "$mnt")
[ "$before" = "$after" ] || die "free counts: $before, then $after"
leave
clean "$img"
