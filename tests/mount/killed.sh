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

# what one call has made durable is there when the daemon dies the moment it has returned
for way in O_SYNC O_DSYNC fsync-rdonly msync syncfs; do
	t mkfs.bufs -q -f "$loop" || die mkfs
	t bufs "$loop" "$mnt" || die mount
	(cd "$mnt" && t durable "$way" "$(daemon_of "$img")") || die "$way"
	t umount "$mnt" || die "umount after $way"
	clean "$loop"
	t bufs "$loop" "$mnt" || die "remount after $way"
	letter=d
	[ "$way" != msync ] || letter=m
	[ "$(tr -d "$letter" <"$mnt/file" | wc -c) $(wc -c <"$mnt/file")" = "0 20000" ] || die "$way: data is lost"
	leave "$loop"
done

# Killed as the last process that sees its mount, the daemon unmounts it while it ends: it must not wait for its own answer.
t mkfs.bufs -q -f "$loop" || die mkfs
t unshare -m bufs "$loop" "$mnt" || die "mount in a namespace of its own"
kill -9 "$(daemon_of "$img")" || die kill
t flock -s -w 20 "$loop" true || {
	abort "$(cat "/sys/class/block/${loop#/dev/}/dev")"
	die "a daemon that is killed waits for itself"
}
clean "$loop"
