#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# How many requests an operation costs: what the kernel knows it does not ask again.
. "$(dirname "$0")/lib.sh"
need_user_mount
t mkfs.bufs -q "$img" 64M || die mkfs
begin() {
	mount_traced "$@" "$img"
}
begin -o noxattr
# FORGETs come when the kernel likes, and nobody waits for them
requests() {
	sed -n 's/^.*unique: .*, opcode: \([A-Z_0-9]*\) .*/\1/p' "$top/log" | grep -v FORGET
}
# The requests that are expected, then the command.  After a change of a folder the kernel wants its
# attributes again before the next permission check there; whether that is due is not what is asked here.
costs() {
	want=$1
	shift
	requests >"$top/before"
	"$@" >"$top/out" || die "$*"
	requests >"$top/after"
	got=$(tail -n "+$(($(wc -l <"$top/before") + 1))" "$top/after" | tr '\n' ' ')
	[ -z "$want" ] || [ "$want" = GETATTR ] || got=${got#GETATTR }
	[ "$got" = "${want:+$want }" ] || die "'$*' costs '$got', not '$want'"
}
# the kernel asks once in the life of a mount for what we do not have: open, xattrs here, flush, access
dd if=/dev/zero of=first bs=4k count=1 status=none
cat first >"$top/out"
ls -l . >"$top/out"
mkdir dir
: >"dir/a"
ls dir >"$top/out"
rm first

costs "LOOKUP MKNOD WRITE" dd if=/dev/zero of=file bs=4k count=1 status=none
costs "WRITE WRITE WRITE" dd if=/dev/zero of=file bs=4k count=3 seek=1 conv=notrunc status=none
# (stat(1) by itself asks for the birth time, which the kernel does not keep)
costs "GETATTR" stat -c %s file
costs "" stat -c %s file
costs "" cat file
costs "" cp file "$top/copy"
costs "" test -w file
costs "SETATTR" chmod 600 file
costs "" stat -c %s file
costs "SETATTR" truncate -s 5000 file
costs "LOOKUP" test ! -e missing
costs "" test ! -e missing
costs "LOOKUP MKDIR" mkdir new
costs "LOOKUP SYMLINK" ln -s target link
costs "READLINK" readlink link
costs "" readlink link
costs "LOOKUP LINK" ln file hard
costs "LOOKUP RENAME2" mv -T file missing
costs "UNLINK" unlink missing
costs "UNLINK" unlink hard
costs "RMDIR" rmdir new
ls -l dir >"$top/out"
costs "" ls -l dir
costs "STATFS" find dir
costs "FSYNC" dd if=/dev/zero of=dir/a bs=4k count=0 conv=notrunc,fsync status=none
head -c 1048576 /dev/zero >"$top/million"
costs "LOOKUP MKNOD WRITE" dd if="$top/million" of=large bs=1M count=1 status=none
i=0
mkdir thousand
while [ $i -lt 1000 ]; do
	: >"thousand/$i" || die "thousand"
	i=$((i + 1))
done
cd /
leave "$img"

# what the kernel has not seen yet: a listing, and a large file
begin -o noxattr
requests >"$top/before"
ls -l thousand >"$top/out" || die "ls -l"
[ "$(grep -c '^-' "$top/out")" = 1000 ] || die "ls -l shows less"
requests >"$top/after"
nr=$(($(wc -l <"$top/after") - $(wc -l <"$top/before")))
[ $nr -le 20 ] || die "ls -l of 1,000 files costs $nr requests"
cd /
leave "$img"

# With extended attributes the kernel asks whether a file has capabilities before the first write(2) or truncate(2)
# after it has learnt the file's attributes, and programs ask for what they want to know.
begin
: >other
rm other
costs "LOOKUP MKNOD GETXATTR WRITE" dd if=/dev/zero of=other bs=4k count=1 status=none
costs "WRITE WRITE WRITE" dd if=/dev/zero of=other bs=4k count=3 seek=1 conv=notrunc status=none
costs "GETATTR" stat -c %s other
costs "GETXATTR WRITE" dd if=/dev/zero of=other bs=4k count=1 conv=notrunc status=none
costs "" test -w other
costs "SETATTR" chmod 600 other
costs "GETXATTR SETATTR" truncate -s 5000 other
costs "LOOKUP MKDIR" mkdir new
costs "LOOKUP SYMLINK" ln -s target link2
costs "UNLINK" unlink other
cd /
leave "$img"

# sequential readers: root's mounts read ahead deeper than the kernel by itself
am_root || exit 0
t bufs "$img" "$mnt" || die mount
bdi=/sys/class/bdi/$(stat -c %Hd:%Ld "$mnt")
[ ! -w "$bdi/read_ahead_kb" ] || [ "$(cat "$bdi/read_ahead_kb")" = 4096 ] || die "read-ahead: $(cat "$bdi/read_ahead_kb")"
cmp "$mnt/large" "$top/million" || die "read"
dd if=/dev/zero of="$mnt/larger" bs=1M count=16 status=none
leave "$img"
begin
deep=
[ ! -w "/sys/class/bdi/$(stat -c %Hd:%Ld .)/read_ahead_kb" ] || deep=1
[ -z "$deep" ] || echo 4096 >"/sys/class/bdi/$(stat -c %Hd:%Ld .)/read_ahead_kb"
cp larger "$top/copy" || die "cp"
nr=$(requests | grep -cx READ)
[ -z "$deep" ] || [ "$nr" -le 20 ] || die "cp of 16 MiB costs $nr requests"
cmp larger "$top/copy" || die "the copy differs"
cd /
leave "$img"
