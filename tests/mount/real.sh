#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# real.sh loop|user: a day's work on a loop device of 2 GiB, or on an image file by an ordinary user, is the same
# after a remount, byte for byte, and fsck finds nothing.
if [ "$1" = user ] && [ "$(id -u)" = 0 ]; then
	exec sh "$(dirname "$0")/as_user.sh" "$0" user
fi
. "$(dirname "$0")/lib.sh"
. "$here/source_tree.sh"
limit=500
sources=$(cd "$here/../.." && pwd)

case $1 in
loop)
	truncate -s 2G "$img"
	need_loop
	target=$loop
	;;
user)
	need_user_mount
	truncate -s 2G "$img"
	target=$img
	;;
esac
make_tree "$top/tree" || die "no tree to work on"
t mkfs.bufs -q "$target" || die mkfs
t bufs "$target" "$mnt" || die mount
echo "$(find "$top/tree" -type f | wc -l) files, $(du -sm "$top/tree" | cut -f 1) MiB"
(cd "$mnt" && t sh "$here/work.sh" "$top/tree" "$sources") || die work
contents "$top/tree" >"$top/want"
contents "$mnt/tree" >"$top/got"
cmp "$top/want" "$top/got" || die "what was unpacked is not what was packed"
picture "$mnt" >"$top/before"
leave "$target"
clean "$target"
t bufs "$target" "$mnt" || die remount
picture "$mnt" >"$top/after"
cmp "$top/before" "$top/after" || die "the remount differs"
leave "$target"
clean "$target"
