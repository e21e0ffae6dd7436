#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A loop device and the file behind it are one image: it has one user, by whichever name.
. "$(dirname "$0")/lib.sh"
truncate -s 64M "$img"
need_loop
first=$loop
need_loop
mkdir "$top/other"
t mkfs.bufs -q "$first" || die mkfs
t bufs "$first" "$mnt" || die mount
grep -q "^$first $mnt fuseblk.bufs " /proc/mounts || die "mount table: $(grep "$mnt" /proc/mounts)"
refused 32 'is already mounted' t bufs "$first" "$top/other"
refused 32 'is already mounted' t bufs "$img" "$top/other"
refused 32 'is already mounted' t bufs "$loop" "$top/other"
refused 1 'is mounted' t mkfs.bufs -f "$first"
refused 1 'is mounted' t mkfs.bufs -f "$img"
refused 8 'in use' t fsck.bufs -y "$first"
refused 8 'in use' t fsck.bufs -y "$img"
leave "$first"

t bufs "$img" "$mnt" || die "mount the file"
refused 32 'is already mounted' t bufs "$first" "$top/other"
refused 1 'is mounted' t mkfs.bufs -f "$first"
refused 8 'in use' t fsck.bufs -y "$first"
leave "$img"

# another filesystem's mount counts too
{ mkfs.ext4 -q -F "$first" && mount "$first" "$mnt"; } || die ext4
refused 32 'is already mounted' t bufs "$img" "$top/other"
refused 1 'is mounted' t mkfs.bufs -f "$first"
refused 1 'is mounted' t mkfs.bufs -f "$img"
umount "$mnt" || die "umount ext4"

# a read-only device
t mkfs.bufs -q -f "$first" || die "mkfs -f"
fixed=$(losetup -r -f --show "$img") || die losetup
down_at_end "$fixed"
refused 32 'can only be mounted read-only' t bufs "$fixed" "$mnt"
t bufs -o ro "$fixed" "$mnt" || die "a read-only device, read-only"
ls "$mnt" >"$top/out" || die ls
t umount "$mnt" || die umount
refused 1 'cannot be written' t mkfs.bufs -f "$fixed"
refused 8 'cannot be written' t fsck.bufs -y -f "$fixed"
clean "$fixed"
