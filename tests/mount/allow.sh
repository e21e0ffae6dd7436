#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Who may use a mount: allow_other, allow_root, and neither; by root and by an ordinary user.
. "$(dirname "$0")/lib.sh"
need_root
command -v fusermount3 >/dev/null || skip "no fusermount3"
# fusermount3 reads both
mkdir "$top/etc"
ln -s /proc/self/mounts "$top/etc/mtab"
touch "$top/etc/fuse.conf" "$top/fuse.conf"
mount -t overlay -o "lowerdir=$top/etc:/etc" overlay /etc || skip "no overlay"
mount --bind "$top/fuse.conf" /etc/fuse.conf || die fuse.conf
mknod -m 666 "$top/fuse" c 10 229
mount --bind "$top/fuse" /dev/fuse || die "/dev/fuse"
cp "$BIN/src/fuse/bufs" "$top/bufs"
as() {
	id=$1
	shift
	setpriv --reuid="$id" --regid="$id" --clear-groups timeout -k 5 100 "$@"
}
t mkfs.bufs -q "$img" 64M || die mkfs
t bufs "$img" "$mnt" || die mount
echo text >"$mnt/file"
echo secret >"$mnt/secret"
chmod 600 "$mnt/secret"
sees() {
	[ "$(as "$1" cat "$mnt/file" 2>&1)" = text ] || die "$2: $1 cannot read"
	as "$1" cat "$mnt/secret" >"$top/out" 2>&1 && [ "$1" = 65533 ] && die "$2: modes do not count"
}
excluded() {
	as "$1" ls "$mnt" >"$top/out" 2>"$top/err" && die "$2: $1 is let in"
	grep -q "Permission denied" "$top/err" || die "$2: $(cat "$top/err")"
}
sees 65533 "root, as it is"
leave "$img"
t bufs -o allow_root "$img" "$mnt" || die "allow_root by root"
excluded 65533 "root, allow_root"
[ "$(cat "$mnt/file")" = text ] || die "root, allow_root: root"
leave "$img"

chown 65534:65534 "$img" "$mnt"
user_mount() {
	as 65534 "$top/bufs" "$@" "$img" "$mnt"
}
user_leave() {
	as 65534 fusermount3 -u "$mnt" || die "fusermount3 -u"
	wait_free "$img"
}
user_mount || die "mount of a user"
sees 65534 "user, as it is"
excluded 65533 "user, as it is"
excluded 0 "user, as it is"
user_leave
for o in allow_other allow_root; do
	user_mount -o $o 2>"$top/err" && die "$o without user_allow_other"
	grep -q user_allow_other "$top/err" || die "$o: $(cat "$top/err")"
	wait_free "$img"
done
echo user_allow_other >"$top/fuse.conf"
user_mount -o allow_other || die "user, allow_other"
sees 65534 "user, allow_other"
sees 65533 "user, allow_other"
sees 0 "user, allow_other"
user_leave
user_mount -o allow_root || die "user, allow_root"
sees 65534 "user, allow_root"
sees 0 "user, allow_root"
excluded 65533 "user, allow_root"
user_leave
clean "$img"
