#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# All types of file survive a remount, byte for byte.
. "$(dirname "$0")/lib.sh"
t mkfs.bufs -q "$img" 64M || die mkfs
t bufs "$img" "$mnt" || die mount
grep -q "^$img $mnt fuse.bufs " /proc/mounts || die "mount table"
cd "$mnt" || die cd
echo hello >file
: >empty
mkdir -p dir/sub
ln -s file symlink
ln -s "$(printf %0500d 7)" long
ln file hardlink
mkfifo fifo
mknod device c 1 3
chmod 4751 file
chown 12:34 empty
touch -d '2100-01-01 01:02:03.123456789' empty
echo x >"$(printf %0255d 1)" || die "255-byte name"
(echo x >"$(printf %0256d 1)") 2>/dev/null && die "256-byte name"
dd if=/dev/urandom of=sparse bs=4096 seek=2000000 count=3 status=none || die sparse
mv dir/sub renamed
cp -a /usr/include/linux tree
truncate -s 1M dir/cut && truncate -s 5 dir/cut
exec 9>gone
rm gone
echo data >&9 || die "write to an unlinked file"
exec 9>&-
cd /
picture "$mnt" >"$top/before"
leave "$img"
t bufs "$img" "$mnt" || die remount
picture "$mnt" >"$top/after"
cmp "$top/before" "$top/after" || die "the remount differs"
leave "$img"
clean "$img"

# awkward names, as image and as folder
img="$top/a b,c\\d" mnt="$top/m n,o"
mkdir "$mnt"
t mkfs.bufs -q "$img" 16M || die mkfs
t bufs "$img" "$mnt" || die "mount $img"
echo x >"$mnt/file" || die "write in $mnt"
refused 32 'is already mounted' t bufs "$img" "$mnt"
leave "$img"
clean "$img"
