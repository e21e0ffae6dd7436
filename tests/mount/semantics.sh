#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# semantics.sh file|loop|user: what programs may expect of a filesystem, and it is clean afterwards.
if [ "$1" = user ] && [ "$(id -u)" = 0 ]; then
	exec sh "$(dirname "$0")/as_user.sh" "$0" user
fi
. "$(dirname "$0")/lib.sh"
if [ "$1" = user ]; then need_user_mount; else need_root; fi
limit=600
truncate -s 512M "$img"
target=$img
[ "$1" != loop ] || {
	need_loop
	target=$loop
}
t mkfs.bufs -q -N 150000 "$target" || die mkfs
t bufs "$target" "$mnt" || die mount
DIR=$mnt t semantics || die semantics
picture "$mnt" >"$top/before"
leave "$target"
clean "$target"
t bufs "$target" "$mnt" || die remount
picture "$mnt" >"$top/after"
cmp "$top/before" "$top/after" || die "the remount differs"
leave "$target"
