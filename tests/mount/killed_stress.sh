#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# killed_stress.sh file|loop: the daemon is killed under load, again and again; what was promised is there each time, and
# fsck finds nothing.  CRASH_LONG: so many times as many rounds.
. "$(dirname "$0")/lib.sh"
need_user_mount
truncate -s 160M "$img"
target=$img
if [ "$1" = loop ]; then
	need_loop
	target=$loop
fi
t mkfs.bufs -q "$target" || die mkfs
seed=${SEED:-$(date +%s)}
echo "SEED=$seed"
mount_it() {
	t bufs "$target" "$mnt" || die "mount, round $round: $(losetup -a; cat /proc/mounts /proc/locks)"
	daemon=$(daemon_of "$img")
	[ -n "$daemon" ] || die "nobody has the image"
}
# after the daemon's death
bury() {
	if am_root; then t umount "$mnt"; else t fusermount3 -u "$mnt"; fi || die "umount after the daemon's death"
	wait_free "$target"
}
for round in $(seq $((10 * ${CRASH_LONG:-1}))); do
	mount_it
	rm -rf "$mnt/promise0" "$mnt/promise1" || die "rm, round $round"
	limit=300 t stress run "$mnt" "$top/table" $((seed + round * 100)) "$daemon" || die "stress, round $round"
	bury
	# killed again right after the replay
	if [ $((round % 3)) = 0 ]; then
		mount_it
		kill -9 "$daemon" || die kill
		bury
	fi
	clean "$target"
	mount_it
	t stress verify "$mnt" "$top/table" || die "promises of round $round"
	leave "$target"
	clean "$target"
done
