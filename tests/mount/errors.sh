#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What cannot be mounted is refused before bufs returns, with the reason and the documented exit code.
. "$(dirname "$0")/lib.sh"
need_user_mount
truncate -s 16M "$top/zeros"
refused 32 "zeros: holds no bufs" t bufs "$top/zeros" "$mnt"
refused 32 "missing: No such file" t bufs "$top/missing" "$mnt"
refused 32 "null: is neither a file nor a block device" t bufs /dev/null "$mnt"
refused 32 "mnt: Is a directory" t bufs "$mnt" "$mnt"
t mkfs.bufs -q "$img" 16M || die mkfs
refused 32 "missing: No such file" t bufs "$img" "$top/missing"
refused 32 "zeros: Not a directory" t bufs "$img" "$top/zeros"
refused 1 "unknown option 'nonsense'" t bufs -o nonsense "$img" "$mnt"
refused 1 "cache: bad value 'big'" t bufs -o cache=big "$img" "$mnt"
refused 1 "threads: bad value '0'" t bufs -o threads=0 "$img" "$mnt"
refused 1 usage t bufs "$img"
refused 1 usage t bufs -q "$img" "$mnt"
refused 32 "image: is smaller" t bufs -o sizelimit=8M "$img" "$mnt"

# an incompat feature, in both superblocks, with their checksums right
cp "$img" "$top/future"
t feature "$top/future" incompat || die feature
refused 32 "future: has a version or features" t bufs "$top/future" "$mnt"
refused 32 "future: has a version or features" t bufs -o ro "$top/future" "$mnt"
cp "$img" "$top/future"
t feature "$top/future" ro_compat || die feature
refused 32 "future: can only be mounted read-only" t bufs "$top/future" "$mnt"
t bufs -o ro "$top/future" "$mnt" || die "read-only with an unknown ro_compat feature"
leave "$top/future"

# an image has one user
t bufs "$img" "$mnt" || die mount
mkdir "$top/other"
refused 32 'image is already mounted' t bufs "$img" "$mnt"
refused 32 'image is already mounted' t bufs "$img" "$top/other"
ln "$img" "$top/hardlink"
refused 32 'hardlink is already mounted' t bufs "$top/hardlink" "$top/other"
refused 1 'is mounted' t mkfs.bufs -f "$img"
refused 1 'is mounted' t mkfs.bufs -f "$top/hardlink"
ln -s image "$top/symlink"
refused 32 'image is already mounted' t bufs "$top/symlink" "$top/other"
refused 8 'in use' t fsck.bufs -y "$img"
echo x >"$mnt/file"
leave "$img"
clean "$img"

# read-only: the file may be so too, and not a byte of it changes
chmod 444 "$img"
sum=$(sha256sum <"$img")
t bufs -o ro "$img" "$mnt" || die "read-only"
grep -q "^$img $mnt fuse.bufs ro," /proc/mounts || die "mount table"
grep -q x "$mnt/file" || die read
refused 1 'Read-only' touch "$mnt/new"
refused 1 'Read-only' rm -f "$mnt/file"
leave "$img"
[ "$sum" = "$(sha256sum <"$img")" ] || die "a read-only mount has written"
clean "$img"
