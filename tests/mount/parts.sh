#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# parts.sh root|user: two filesystems in one file, at the same time; no part is had twice, nor with the whole.
if [ "$1" = user ] && [ "$(id -u)" = 0 ]; then
	exec sh "$(dirname "$0")/as_user.sh" "$0" user
fi
. "$(dirname "$0")/lib.sh"
need_user_mount
mib=1048576
for k in a b; do
	t mkfs.bufs -q -L $k "$top/$k" 24M || die mkfs
	mkdir "$top/mnt$k"
done
# a: 1 to 25 MiB, b: 25 to 49 MiB
head -c $mib /dev/zero >"$img"
cat "$top/a" "$top/b" >>"$img"
in_a=offset=1M,sizelimit=24M
in_b=offset=$((25 * mib)),sizelimit=24M
# Parts share the file's lock, so what is waited for is the part.
part_is_free() {
	i=0
	while ! t bufs -o "$1" "$img" "$mnt" 2>"$top/err"; do
		i=$((i + 1))
		[ $i -lt 10 ] || die "part $1: $(cat "$top/err")"
	done
}
unmount() {
	if am_root; then t umount "$1"; else t fusermount3 -u "$1"; fi || die "umount $1"
}

t bufs -o $in_a "$img" "$top/mnta" || die "mount a"
t bufs -o $in_b "$img" "$top/mntb" || die "mount b"
echo a >"$top/mnta/file"
echo b >"$top/mntb/file"
grep -c "^$img $top/mnt[ab] fuse.bufs" /proc/mounts | grep -q 2 || die "$(cat /proc/mounts)"
for o in $in_a "offset=2M" "offset=24M,sizelimit=2M" "sizelimit=2M" "$in_b,ro"; do
	refused 32 "is in use" t bufs -o "$o" "$img" "$mnt"
done
refused 32 "already mounted" t bufs "$img" "$mnt"
refused 32 "already mounted" t bufs -o ro "$img" "$mnt"
refused 8 "mounted" t fsck.bufs -y "$img"
refused 1 "mounted" t mkfs.bufs -f "$img"
unmount "$top/mnta"
part_is_free $in_a
[ "$(cat "$mnt/file")" = a ] || die "part a"
[ "$(cat "$top/mntb/file")" = b ] || die "part b"
unmount "$mnt"
unmount "$top/mntb"
# two readers of a part, then of the whole file by flock
part_is_free "$in_b,ro"
t bufs -o "$in_b,ro" "$img" "$top/mntb" || die "a second reader"
[ "$(cat "$mnt/file" "$top/mntb/file")" = "b
b" ] || die "the readers"
unmount "$mnt"
unmount "$top/mntb"
wait_free "$img"

# what was there around and between them is as it was, and both are clean
cmp -n $mib "$img" /dev/zero || die "before the first part"
for k in a b; do
	start=$([ $k = a ] && echo 1 || echo 25)
	dd if="$img" of="$top/$k" bs=1M skip="$start" count=24 status=none
	clean "$top/$k"
done
refused 32 "holds no bufs" t bufs -o offset=3M "$img" "$mnt"
refused 32 "smaller than" t bufs -o offset=1M,sizelimit=20M "$img" "$mnt"
refused 1 "bad value" t bufs -o offset=x "$img" "$mnt"
