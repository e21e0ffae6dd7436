#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# mistakes.sh user: what an ordinary user may do wrong is refused with the documented exit code, naming the thing and the reason, and
# leaves no mount and no process.
if [ "$1" = user ] && [ "$(id -u)" = 0 ]; then
	exec sh "$(dirname "$0")/as_user.sh" "$0" user
fi
. "$(dirname "$0")/lib.sh"
need_user_mount
! am_root || skip "of an ordinary user"
cd "$top" || die cd
daemons() {
	for p in /proc/[0-9]*; do
		[ "$(cat "$p/comm" 2>/dev/null)" != bufs ] || tr '\0' ' ' 2>/dev/null <"$p/cmdline" | grep -F "$top"
	done
}
# the image, the folder, what is said
no_mount() {
	refused 32 "$3" t bufs "$top/$1" "$2"
	[ -z "$(mounts)" ] || die "mounted: $(mounts)"
	[ -z "$(daemons)" ] || die "left behind: $(daemons)"
}
# the image, what is said by bufs, fsck.bufs, dump.bufs
no_image() {
	no_mount "$1" "$mnt" "/$1: $2"
	refused 8 "$1: $3" t fsck.bufs -n "$1"
	refused 8 "$1: $3" t fsck.bufs -y "$1"
	refused 1 "$1: $3" t dump.bufs "$1" super
}
t mkfs.bufs -q "$img" 16M || die mkfs
mkdir folder locked closed
: >empty
echo text >text
truncate -s 16M zeros ext4
mkfs.ext4 -q -F ext4 || die ext4
for f in secret fixed short closed/image; do cp image $f; done
chmod 000 secret closed
chmod 444 fixed
chmod 555 locked
truncate -s 8M short
ln -s nothing dangling
ln -s circle circle
mkfifo fifo

no_image missing 'No such file' 'No such file'
no_image dangling 'No such file' 'No such file'
no_image circle 'Too many levels' 'Too many levels'
no_image folder 'is neither a file nor a block' 'is neither a file nor a block'
no_image fifo 'is neither a file nor a block' 'is neither a file nor a block'
no_image secret 'Permission denied' 'Permission denied'
no_image closed/image 'Permission denied' 'Permission denied'
for f in empty text zeros ext4; do no_image $f 'holds no bufs' 'no bufs superblock'; done
no_mount short "$mnt" 'short: is smaller than the filesystem'
refused 8 'short: the device is smaller' t fsck.bufs -y short
no_mount fixed "$mnt" 'fixed: can only be mounted read-only'
refused 8 'fixed: cannot be written; use -n' t fsck.bufs -y fixed
t fsck.bufs -n -f fixed >out || die "fsck -n of a file that is read-only"
for f in missing closed/image folder/missing/image; do refused 1 "$f: " t mkfs.bufs $f; done
refused 1 'missing: does not exist, and no size' t mkfs.bufs missing
refused 1 'dangling: is a link to what does not' t mkfs.bufs dangling 16M
refused 1 'closed/new: Permission denied' t mkfs.bufs closed/new 16M
refused 1 'secret: Permission denied' t mkfs.bufs -f secret
refused 1 'fixed: cannot be written' t mkfs.bufs -f fixed
refused 1 'ext4 contains ext4' t mkfs.bufs ext4
refused 1 'empty: is too small' t mkfs.bufs empty
refused 8 'missing: No such file' t fsck.bufs missing </dev/null
refused 8 'fixed: no terminal' t fsck.bufs fixed </dev/null

# the folder
no_mount image missing 'missing: No such file'
no_mount image image 'image: Not a directory'
no_mount image closed/x 'closed/x: Permission denied'
for f in closed locked /etc /tmp; do
	no_mount image $f "image: cannot be mounted on .*$f"
	grep -q ^fusermount3: err || die "no reason: $(cat err)"
done

# options
for o in offset=1 offset=1T sizelimit=1T; do
	refused 32 'image: has no such part' t bufs -o $o "$img" "$mnt"
done
refused 16 'exclude each other' t fsck.bufs -n -y image
refused 16 'b third: is neither' t fsck.bufs -b third image
refused 2 'nonsense: is nothing to show' t dump.bufs image nonsense
refused 2 'inode: of which number' t dump.bufs image super inode
refused 2 'path: of which path' t dump.bufs image path
refused 2 'x: is no number' t dump.bufs image inode x

# mounted, and not
ln -s "$BIN/src/fuse/bufs" umount.fuse.bufs
refused 32 'mnt: no bufs filesystem is mounted' t ./umount.fuse.bufs mnt
refused 32 'proc: no bufs filesystem is mounted' t ./umount.fuse.bufs /proc
t bufs "$img" mnt || die mount
refused 32 'image is already mounted on' t bufs "$img" folder
cp fixed other
chmod 644 other
refused 32 'mnt: .*image is mounted there' t bufs "$top/other" mnt
exec 9<mnt
refused 32 'unmount .*mnt: Device or resource busy' t ./umount.fuse.bufs mnt
exec 9<&-
t ./umount.fuse.bufs mnt || die umount
t bufs "$img" mnt || die mount
kill -9 "$(daemon_of image)"
refused 32 'image is already mounted on' t bufs "$img" mnt
t ./umount.fuse.bufs mnt || die "umount after the daemon's death"

# ulimit -f is no reason to die
t bufs "$img" mnt || die mount
prlimit --pid "$(daemon_of image)" --fsize=1000000 || die prlimit
refused 1 'dd: ' t dd if=/dev/zero of=mnt/file bs=1M count=4 conv=fsync
[ -n "$(daemons)" ] || die "ulimit -f has killed the daemon"
leave image
[ -z "$(mounts)$(daemons)" ] || die "left behind: $(mounts) $(daemons)"
t fsck.bufs -p image >out || [ $? = 1 ] || die "fsck: $(cat out)"
clean image
refused 1 'large: File too large' sh -c 'ulimit -f 1000; exec mkfs.bufs large 16M'
[ ! -e large ] || die "left behind: large"
chmod 755 closed
