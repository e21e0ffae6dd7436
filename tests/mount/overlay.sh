#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The upper layer of an overlay: whiteouts, opaque directories, copies up, files without a name.
. "$(dirname "$0")/lib.sh"
need_root
t mkfs.bufs -q "$img" 64M || die mkfs
t bufs "$img" "$mnt" || die mount
mkdir "$top/lower" "$top/all" "$mnt/upper" "$mnt/work" || die mkdir
mkdir "$top/lower/dir"
for f in removed moved changed dir/inside; do
	echo "lower $f" >"$top/lower/$f"
done
t mount -t overlay overlay -o "lowerdir=$top/lower,upperdir=$mnt/upper,workdir=$mnt/work" "$top/all" 2>"$top/err" ||
	skip "no overlay: $(cat "$top/err")"
cd "$top/all" || die cd
rm removed || die rm
mv moved moved2 || die mv
echo more >>changed || die append
rm -r dir || die "rm -r"
mkdir dir || die "mkdir over a whiteout"
echo new >dir/new || die write
[ "$(ls)" = "changed
dir
moved2" ] || die "the overlay has $(ls)"
[ "$(ls dir)" = new ] || die "dir has $(ls dir)"
[ "$(cat changed)" = "lower changed
more" ] || die "changed: $(cat changed)"
[ "$(cat moved2)" = "lower moved" ] || die "moved2: $(cat moved2)"
cd /
t umount "$top/all" || die "umount of the overlay"
[ "$(stat -c '%F %t %T' "$mnt/upper/removed")" = "character special file 0 0" ] || die "no whiteout"
leave "$img"
clean "$img"
# and over a remount
t bufs "$img" "$mnt" || die remount
t mount -t overlay overlay -o "lowerdir=$top/lower,upperdir=$mnt/upper,workdir=$mnt/work" "$top/all" || die "overlay again"
[ ! -e "$top/all/removed" ] || die "removed is back"
[ "$(ls "$top/all/dir")" = new ] || die "dir has $(ls "$top/all/dir")"
t umount "$top/all" || die "umount of the overlay"
leave "$img"
clean "$img"
