#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# fuseblk on a loop device: sync is on disk, also when the daemon is killed after it.
. "$(dirname "$0")/lib.sh"
truncate -s 128M "$img"
need_loop
t mkfs.bufs -q "$loop" || die mkfs
t bufs -f "$loop" "$mnt" &
i=0
until grep -q "^$loop $mnt fuseblk.bufs " /proc/mounts; do
	i=$((i + 1))
	[ $i -lt 100 ] || die "no mount"
	sleep 0.1
done
t cp -a /usr/include/linux "$mnt/tree" || die cp
t sync
picture "$mnt" >"$top/before"
daemon=$(pgrep -f "^bufs -f $loop")
kill -9 "$daemon"
t umount "$mnt" || t umount -l "$mnt"
t bufs "$loop" "$mnt" || die remount
picture "$mnt" >"$top/after"
cmp "$top/before" "$top/after" || die "synced data is lost"
t umount "$mnt" || die umount
clean "$loop"
