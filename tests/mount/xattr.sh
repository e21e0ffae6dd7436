#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# xattr.sh root|user: attributes, ACLs and capabilities with the programs that people use, copied by cp and tar, and
# after a remount.
if [ "$1" = user ] && [ "$(id -u)" = 0 ]; then
	exec sh "$(dirname "$0")/as_user.sh" "$0" user
fi
. "$(dirname "$0")/lib.sh"
need_user_mount
for p in getfattr getfacl setcap; do
	command -v $p >/dev/null || skip "no $p"
done
t mkfs.bufs -q "$img" 64M || die mkfs
t bufs "$img" "$mnt" || die mount
cd "$mnt" || die cd

# a command that must say a word
says() {
	word=$1
	shift
	t "$@" >"$top/out" 2>&1
	grep -q -e "$word" "$top/out" || die "not '$word': $*: $(cat "$top/out")"
}
# an attribute has this value
has() {
	got=$(t getfattr --only-values -h -n "$2" "$1") || die "no $2 of $1"
	[ "$got" = "$3" ] || die "$2 of $1 is '$got', not '$3'"
}
# all attributes and ACLs in a folder
everything() {
	(
		cd "$1" || exit 1
		find . | sort | t xargs -d '\n' getfattr -h -d -m - -e hex
		find . ! -type l | sort | t xargs -d '\n' getfacl
		t getcap -r .
	)
}

mkdir from from/dir
echo data >from/file
ln -s file from/link
setfattr -n user.short -v value from/file || die "setfattr"
setfattr -n user.empty from/dir || die "setfattr: empty"
# 65536 bytes: as much as can be
head -c 65536 /dev/urandom | base64 -w 0 >"$top/large"
setfattr -n user.large -v "0s$(cat "$top/large")" from/file || die "setfattr: large"
[ "$(t getfattr --only-values -n user.large from/file | base64 -w 0)" = "$(cat "$top/large")" ] || die "large"
n=0
while [ $n -lt 300 ]; do
	setfattr -n user.number.$n -v "$n$n" from/dir || die "setfattr: $n"
	n=$((n + 1))
done
[ "$(t getfattr from/dir | grep -c number)" = 300 ] || die "not 300"
has from/dir user.number.299 299299
setfattr -x user.number.7 from/dir || die "removal"
says "No such attribute" getfattr -n user.number.7 from/dir
says "not supported" setfattr -n other.name -v 1 from/file
says "not permitted" setfattr -h -n user.name -v 1 from/link

# ACLs: the mode follows, the umask does not apply where there is a default one
setfacl -m u:1234:rw,g:5678:r from/file || die "setfacl"
[ "$(stat -c %a from/file)" = 664 ] || die "mode: $(stat -c %a from/file)"
chmod 640 from/file
says "mask::r--" getfacl -c from/file
says "user:1234:rw-.*effective:r--" getfacl -c from/file
setfacl -d -m u:1234:rwx,o::- from/dir || die "setfacl -d"
(
	umask 077
	echo x >from/dir/file && mkdir from/dir/sub && mkfifo from/dir/fifo && ln -s x from/dir/link
) || die "make"
[ "$(stat -c %a from/dir/file)" = 660 ] || die "inherited mode: $(stat -c %a from/dir/file)"
says "user:1234:rwx.*effective:rw-" getfacl -c from/dir/file
says "default:user:1234:rwx" getfacl -c from/dir/sub
says "user:1234:rwx.*effective:rw-" getfacl -c from/dir/fifo
says "Only directories" setfacl -d -m u:1:r from/file
setfacl -b from/dir/fifo || die "setfacl -b"
[ "$(getfacl -c from/dir/fifo | grep -c .)" = 3 ] || die "not removed"

if am_root; then
	setfattr -n trusted.name -v secret from/file || die "trusted"
	setfattr -h -n trusted.link -v l from/link || die "trusted of a link"
	says "trusted.name" getfattr -m - from/file
	cp /bin/true from/dir/prog
	setcap cap_net_raw+ep from/dir/prog || die "setcap"
	says "cap_net_raw" getcap from/dir/prog
	# who may not know a name does not see it
	chmod 755 .
	setpriv --reuid=65534 --regid=65534 --clear-groups getfattr -m - from/file >"$top/out" || die "getfattr as nobody"
	grep -q trusted "$top/out" && die "trusted names are seen"
	# a named user may what the ACL says, and no more than the mask
	setfacl -m u:65534:rw from/dir/file && setfacl -m u:65534:x from/dir || die "setfacl"
	setpriv --reuid=65534 --regid=65534 --clear-groups sh -c 'echo y >>from/dir/file' || die "named user"
	chmod g-w from/dir/file
	setpriv --reuid=65534 --regid=65534 --clear-groups sh -c 'echo y >>from/dir/file' 2>"$top/err" && die "mask"
fi

t cp -a from copy || die "cp -a"
mkdir tar
t tar -C from --xattrs --xattrs-include='*' --acls -cf "$top/tar" . || die "tar -c"
t tar -C tar --xattrs --xattrs-include='*' --acls -xpf "$top/tar" || die "tar -x"
everything from >"$top/from" || die "list"
everything copy >"$top/copy" && cmp "$top/from" "$top/copy" || die "cp -a differs"
everything tar >"$top/untar" && cmp "$top/from" "$top/untar" || die "tar differs"

cd /
leave "$img"
clean "$img"
t bufs "$img" "$mnt" || die remount
cd "$mnt" || die cd
everything from >"$top/again" && cmp "$top/from" "$top/again" || die "the remount differs"
has from/file user.short value
if am_root; then
	# a write takes the capabilities, and set-id bits if it is someone else's
	echo x >>from/dir/prog
	[ -z "$(getcap from/dir/prog)" ] || die "capabilities stay: $(getcap from/dir/prog)"
fi
rm -rf from copy tar || die "rm"
cd /
leave "$img"
clean "$img"

# without them, if that is wanted
t bufs -o noxattr "$img" "$mnt" || die mount
echo x >"$mnt/file"
says "not supported" setfattr -n user.a -v 1 "$mnt/file"
says "not supported" getfattr -n user.a "$mnt/file"
leave "$img"
