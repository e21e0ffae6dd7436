#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# fuseblk on a loop device: what was synced is there when the daemon is killed after it.
. "$(dirname "$0")/lib.sh"
truncate -s 128M "$img"
need_loop
t mkfs.bufs -q "$loop" || die mkfs
t bufs "$loop" "$mnt" || die mount
grep -q "^$loop $mnt fuseblk.bufs " /proc/mounts || die "mount table: $(grep "$mnt" /proc/mounts)"
t cp -a /usr/include/linux "$mnt/tree" || die cp
t mv "$mnt/tree/fs.h" "$mnt/renamed" || die mv
t rm -r "$mnt/tree/netfilter" || die rm
t sync
picture "$mnt" >"$top/before"
daemon=$(daemon_of "$img")
[ -n "$daemon" ] || die "nobody has the image"
kill -9 "$daemon" || die kill
t umount "$mnt" || die "umount after the daemon's death"
wait_free "$loop"
t bufs "$loop" "$mnt" || die remount
picture "$mnt" >"$top/after"
cmp "$top/before" "$top/after" || die "synced data is lost"
leave "$loop"
clean "$loop"
