#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# chattr.sh root|user: chattr and lsattr, xfs_io where there is one: who may set what, what it forbids, and it
# survives a remount.
if [ "$1" = user ] && [ "$(id -u)" = 0 ]; then
	exec sh "$(dirname "$0")/as_user.sh" "$0" user
fi
. "$(dirname "$0")/lib.sh"
need_user_mount
if ! command -v chattr >/dev/null || ! command -v lsattr >/dev/null; then skip "no chattr"; fi
t mkfs.bufs -q "$img" 64M || die mkfs
t bufs "$img" "$mnt" || die mount
cd "$mnt" || die cd

# flags of a file or folder, without the dashes
flags_of() {
	lsattr -d "$1" | cut -d ' ' -f 1 | tr -d -
}
has() {
	[ "$(flags_of "$1")" = "$2" ] || die "$1 has '$(flags_of "$1")', not '$2'"
}
not_permitted() {
	"$@" 2>"$top/err" && die "succeeds: $*"
	grep -q "not permitted" "$top/err" || die "$*: $(cat "$top/err")"
}

echo old >file
mkdir dir
has file ""
before=$(stat -c %z file)
chattr +ASd file || die "chattr +ASd"
has file SdA
[ "$(stat -c %z file)" != "$before" ] || die "chattr leaves ctime"
chattr +AD dir || die "chattr +AD"
has dir DA
echo >dir/file
mkdir dir/dir
has dir/file A
has dir/dir DA
refused 1 "not supported" chattr +c file
has file SdA
chattr -ASd file || die "chattr -ASd"
has file ""
if command -v xfs_io >/dev/null; then
	xfs_io -c "chattr +Ad" file || die "xfs_io chattr"
	has file dA
	xfs_io -c "chattr -Ad" file
	[ "$(lsattr -v file | awk '{print $1}')" -gt 0 ] || die "no generation"
fi
chattr +P -p 77 dir || die "chattr +P"
echo >dir/of_project
[ "$(lsattr -p dir/of_project | awk '{print $1}')" = 77 ] || die "the project is not handed down"
# rename(2) says EXDEV, so mv copies
mv file dir/moved || die mv
[ "$(lsattr -p dir/moved | awk '{print $1}')" = 77 ] || die "mv into a project"
mv dir/moved file || die "mv out of it"
chattr -P dir

if ! am_root; then
	not_permitted chattr +i file
	not_permitted chattr +a file
	cd /
	leave "$img"
	clean "$img"
	exit 0
fi

# Open succeeds, for it is not sent; the first write says it.
write() {
	dd of="$1" bs=1 count=1 conv=notrunc ${2:+"oflag=$2"} if=/dev/zero status=none
}
chattr +i file || die "chattr +i"
for command in "rm -f file" "mv file new" "ln file new" "chmod 600 file" "touch file" "truncate -s 1 file" \
	"write file" "write file append" "chown 1 file" "touch -d @1 file"; do
	# shellcheck disable=SC2086
	not_permitted $command
done
chattr -i +a file || die "chattr +a"
echo new >>file || die "append"
[ "$(cat file)" = "old
new" ] || die "append: $(cat file)"
for command in "rm -f file" "mv file new" "ln file new" "chmod 600 file" "truncate -s 1 file" "write file" \
	"touch -d @1 file"; do
	# shellcheck disable=SC2086
	not_permitted $command
done
touch file || die "touch of an append-only file"
not_permitted sh -c ': >file'
chattr +i dir || die "chattr +i dir"
for command in "touch dir/new" "mkdir dir/new" "ln -s x dir/new" "rm -f dir/file" "mv dir/file dir/new" "mv dir new"; do
	# shellcheck disable=SC2086
	not_permitted $command
done
echo new >>dir/file || die "a file in it"

# another user: what is his, and nothing for which a capability is needed
user() {
	setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}
chmod 777 .
user touch his
user chattr +Ad his || die "chattr of the owner"
has his dA
not_permitted user chattr +i his
not_permitted user chattr +a his
not_permitted user chattr +A file

cd /
leave "$img"
clean "$img"
t bufs "$img" "$mnt" || die remount
cd "$mnt" || die cd
has file aA
has dir DiA
has his dA
not_permitted rm -f dir/file
# mounted with strictopen, the kernel asks
opened() {
	dd of="$1" bs=1 count=0 conv=notrunc ${2:+"oflag=$2"} if=/dev/zero status=none
}
opened file append || die "open of an append-only file"
opened file || die "open without strictopen"
cd /
leave "$img"
t bufs -o strictopen "$img" "$mnt" || die "mount -o strictopen"
cd "$mnt" || die cd
opened file append || die "open of an append-only file, strictopen"
not_permitted opened file
not_permitted sh -c ': >file'
echo new >>file || die "append, strictopen"
cat file >"$top/file" || die "cat, strictopen"
echo new >new || die "a new file, strictopen"
chattr +i new
not_permitted opened new
not_permitted opened new append
cat new >"$top/new" || die "cat of what is immutable"
chattr -i new
opened new || die "open of what is immutable no more"
rm new
# what is immutable can be let go again
chattr -i dir || die "chattr -i"
chattr -a file || die "chattr -a"
rm -r dir file his || die "cleaning up"
cd /
leave "$img"
clean "$img"
