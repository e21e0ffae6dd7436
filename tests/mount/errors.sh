#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What cannot be mounted is refused before bufs returns, with the reason and the documented exit code.
. "$(dirname "$0")/lib.sh"
need_user_mount
truncate -s 16M "$top/zeros"
refused 32 "zeros: holds no bufs" t bufs "$top/zeros" "$mnt"
refused 32 "missing: No such file" t bufs "$top/missing" "$mnt"
refused 32 "null: is neither a file nor a block device" t bufs /dev/null "$mnt"
refused 32 "mnt: is neither a file nor a block device" t bufs "$mnt" "$mnt"
mkfifo "$top/fifo"
refused 32 "fifo: is neither a file nor a block device" t bufs -o ro "$top/fifo" "$mnt"
t mkfs.bufs -q "$img" 16M || die mkfs
refused 32 "missing: No such file" t bufs "$img" "$top/missing"
refused 32 "zeros: Not a directory" t bufs "$img" "$top/zeros"
refused 32 "/: is in use" t bufs "$img" /
refused 1 "unknown option 'nonsense'" t bufs -o nonsense "$img" "$mnt"
refused 1 "cache: bad value 'big'" t bufs -o cache=big "$img" "$mnt"
refused 1 "threads: bad value '0'" t bufs -o threads=0 "$img" "$mnt"
refused 1 usage t bufs "$img"
[ "$(t bufs --help | head -c 12)" = "usage: bufs " ] || die "bufs --help"
t bufs --version | grep -q '^bufs [0-9]' || die "bufs --version"
refused 1 usage t bufs -q "$img" "$mnt"
ln -s "$BIN/src/fuse/bufs" "$top/umount.fuse.bufs"
ln -s "$BIN/src/fuse/bufs" "$top/mount.fuse.bufs"
refused 1 'usage: umount' t "$top/umount.fuse.bufs" -x "$mnt"
refused 1 'usage: mount.fuse.bufs' t "$top/mount.fuse.bufs" -x "$img" "$mnt"
for helper in umount.fuse.bufs mount.fuse.bufs; do
	t "$top/$helper" --help | grep -q "^usage: $helper " || die "$helper --help"
	t "$top/$helper" --version | grep -q '^[a-z.]*bufs [0-9]' || die "$helper --version"
done
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

# what follows when the image lies; a small file's bytes are in its inode
damaged() {
	t mkfs.bufs -q -f "$img" 16M || die mkfs
	t bufs "$img" "$mnt" || die mount
	echo needle >"$mnt/file"
	leave "$img"
	at=$(grep -abo needle "$img" | head -n 1 | cut -d: -f1)
	printf N | dd of="$img" bs=1 seek="$at" conv=notrunc status=none || die dd
	t bufs -o "errors=$1" "$img" "$mnt" || die "mount with errors=$1"
	t cat "$mnt/file" 2>"$top/err" && die "damage was not seen"
}
recorded() {
	t fsck.bufs -n -f "$img" >"$top/out" 2>&1
	grep -q '[1-9] errors were recorded' "$top/out" || die "fsck.bufs: $(cat "$top/out")"
	grep -q 'first: .*Structure needs cleaning, in ' "$top/out" || die "fsck.bufs: $(cat "$top/out")"
	grep -q 'last: .*Structure needs cleaning, in ' "$top/out" || die "fsck.bufs: $(cat "$top/out")"
	t dump.bufs "$img" super >"$top/out" 2>&1
	grep -q first_error "$top/out" && grep -q last_error "$top/out" || die "dump.bufs: $(cat "$top/out")"
}
chmod 644 "$img"
damaged remount-ro
refused 1 'Read-only' touch "$mnt/new"
leave "$img"
recorded
damaged continue
touch "$mnt/new" || die "errors=continue does not"
leave "$img"
recorded
damaged panic
refused 1 'not connected' touch "$mnt/new"
if am_root; then t umount "$mnt"; else t fusermount3 -u "$mnt"; fi || die "umount after the panic"
wait_free "$img"
recorded
