#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Four writers fill the image; after deleting, the counts are what they were.
. "$(dirname "$0")/lib.sh"
t mkfs.bufs -q "$img" 64M || die mkfs
t bufs "$img" "$mnt" || die mount
fill() {
	for w in 1 2 3 4; do
		mkdir "$mnt/$w"
		(
			i=0
			while t dd if=/dev/zero of="$mnt/$w/$i" bs=64k count=$((1 + i % 40)) status=none 2>"$top/err.$w"; do
				i=$((i + 1))
			done
		) &
	done
	wait
	grep -L 'No space left' "$top"/err.? | grep . && die "another error than ENOSPC: $(cat "$top"/err.?)"
	full=$(stat -f -c %f "$mnt")
	[ "$full" -lt 64 ] || die "not filled: $full blocks are free"
}
# The kernel forgets inodes some time after their removal, and only then they are free: no event to wait for.
free_again() {
	i=0
	until [ "$(stat -f -c '%f %d' "$mnt")" = "$1" ]; do
		i=$((i + 1))
		[ $i -lt 100 ] || die "free counts: $1, then $(stat -f -c '%f %d' "$mnt")"
		sleep 0.1
	done
}
before=$(stat -f -c '%f %d' "$mnt")
for round in 1 2 3; do
	fill
	rm -r "$mnt"/[1-4] || die "rm, round $round"
	free_again "$before"
done
leave "$img"
clean "$img"
