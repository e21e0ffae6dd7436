#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The life of the daemon: usable when bufs returns, outlives its terminal, ends whole on a signal.
. "$(dirname "$0")/lib.sh"
need_user_mount
is_mounted() {
	grep -q " $mnt fuse" /proc/mounts
}
t mkfs.bufs -q "$img" 32M || die mkfs

# at once usable, and at once mountable again
i=0
while [ $i -lt 20 ]; do
	t bufs "$img" "$mnt" || die "mount $i"
	echo $i >"$mnt/round$i" || die "the mount is not usable when bufs returns"
	if am_root; then t umount "$mnt"; else t fusermount3 -u "$mnt"; fi || die "umount $i"
	i=$((i + 1))
done
t bufs "$img" "$mnt" || die mount
[ "$(cat "$mnt"/round? "$mnt"/round?? | sort -n | tr '\n' ' ')" = "$(seq -s ' ' 0 19) " ] || die "a round is lost"

# signals: what was written is there, and the exit code of a daemon in the foreground is 0
for signal in TERM INT HUP; do
	is_mounted || t bufs "$img" "$mnt" || die mount
	echo $signal >"$mnt/$signal"
	kill -$signal "$(daemon_of "$img")" || die kill
	wait_free "$img"
	is_mounted && die "SIG$signal does not unmount"
done
clean "$img"
t bufs -f "$img" "$mnt" &
pid=$!
i=0
until is_mounted; do
	i=$((i + 1))
	[ $i -lt 200 ] || die "no mount in the foreground"
	sleep 0.05
done
cat "$mnt/TERM" "$mnt/INT" "$mnt/HUP" | tr '\n' ' ' | grep -q '^TERM INT HUP $' || die "data is lost at a signal"
kill -TERM "$(daemon_of "$img")" || die kill
wait $pid || die "exit code $? in the foreground"

# a signal while a file is open: gone from the table at once, whole when it is closed
t bufs "$img" "$mnt" || die mount
exec 9>"$mnt/open"
kill -TERM "$(daemon_of "$img")" || die kill
i=0
while is_mounted; do
	i=$((i + 1))
	[ $i -lt 200 ] || die "still mounted"
	sleep 0.05
done
echo late >&9 || die "an open file cannot be written after the signal"
exec 9>&-
wait_free "$img"
clean "$img"

# the terminal it was started from goes away
command -v script >/dev/null || skip "no script(1) for a terminal"
t script -qec "bufs '$img' '$mnt'" /dev/null >"$top/out" || die "mount on a terminal: $(cat "$top/out")"
[ "$(cat "$mnt/open")" = late ] || die "the daemon has died with its terminal"
leave "$img"
clean "$img"
