#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Four writers fill the image; after deleting, the counts are what they were.  A fallocate that fails half-way leaves what it got,
# and the kernel knows.  Holes are made while others take each block that comes free.  Without inodes nothing new is made.
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
	full=$(stat -f -c %a "$mnt")
	[ "$full" -lt 64 ] || die "not filled: $full blocks are free"
}
# The kernel forgets inodes some time after their removal, and only then they are free: no event to wait for.
until_free() {
	i=0
	until test "$(stat -f -c "$1" "$mnt")" "$2" "$3"; do
		i=$((i + 1))
		[ $i -lt 100 ] || die "free counts: $3, then $(stat -f -c "$1" "$mnt")"
		sleep 0.1
	done
}
before=$(stat -f -c '%f %d' "$mnt")
for round in 1 2 3; do
	fill
	rm -r "$mnt"/[1-4] || die "rm, round $round"
	until_free '%f %d' = "$before"
done

# free space in single blocks: enough for the range, not for its map too
mkdir "$mnt/single"
seq 900 | while read -r i; do
	dd if=/dev/zero of="$mnt/single/$i" bs=4k count=1 status=none || exit 1
done || die "single blocks"
fallocate -l $((($(stat -f -c %a "$mnt") - 20) * 4096)) "$mnt/large" || die "the rest"
seq 1 2 900 | sed "s|^|$mnt/single/|" | xargs rm || die "every second"
until_free %a -ge 450
touch "$mnt/half" || die touch
stat "$mnt/half" >/dev/null
fallocate -l $(($(stat -f -c %a "$mnt") * 4096)) "$mnt/half" 2>"$top/err" && die "more was allocated than there is"
grep -q 'No space left' "$top/err" || die "fallocate: $(cat "$top/err")"
known=$(stat -c '%b %s' "$mnt/half")
[ "$known" != "0 0" ] || die "nothing was allocated: $known"
leave "$img"
clean "$img"
t bufs "$img" "$mnt" || die remount
[ "$(stat -c '%b %s' "$mnt/half")" = "$known" ] || die "the kernel had $known, it is $(stat -c '%b %s' "$mnt/half")"
leave "$img"

# what a hole gives back is taken at once, by a file and by attributes
for blocks in '1024 512K 50' '65536 24M 30' '4096 64M 400'; do
	# shellcheck disable=SC2086
	set -- $blocks
	rm "$img"
	t mkfs.bufs -q -b "$1" -N 60 "$img" "$2" || die "mkfs -b $1"
	t bufs "$img" "$mnt" || die "mount -b $1"
	t holes "$mnt" "$1" "$3" || die "holes in a full filesystem, -b $1"
	leave "$img"
	clean "$img"
done

# no inode is left
rm "$img"
t mkfs.bufs -q -N 60 "$img" 16M || die mkfs
t bufs "$img" "$mnt" || die mount
n=0
while touch "$mnt/$n" 2>"$top/err"; do
	n=$((n + 1))
	[ $n -le 1000 ] || die "more inodes than there are"
done
grep -q 'No space left' "$top/err" || die "inodes: $(cat "$top/err")"
[ "$(stat -f -c %d "$mnt")" = 0 ] || die "$(stat -f -c %d "$mnt") inodes are free"
refused 1 'No space left' mkdir "$mnt/new"
refused 1 'No space left' mkfifo "$mnt/new"
refused 1 'No space left' ln -s target "$mnt/new"
ln "$mnt/0" "$mnt/another" || die "a second name needs no inode"
rm "$mnt/1" || die rm
mkdir "$mnt/new" || die "mkdir after rm"
leave "$img"
clean "$img"
