#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A test of this folder that fails says so with its exit code, also when it is stopped, and leaves nothing behind;
# no mount, process or device when it is killed.
# What others on the machine begin meanwhile keeps none of its devices in use.
[ -n "${ALONE-}" ] || exec 7</ 8</proc/self/ns/mnt
. "$(dirname "$0")/lib.sh"
need_user_mount
mkdir "$top/bin" "$top/tmp"
# exit code, what the program that the test depends on does
ends_with() {
	printf '#!/bin/sh\n%s\n' "$2" >"$top/bin/sqlite3"
	chmod +x "$top/bin/sqlite3"
	(PATH=$top/bin:$PATH TMPDIR=$top/tmp t sh "$here/recorded.sh" sqlite) >"$top/out" 2>&1
	r=$?
	[ $r = "$1" ] || die "exit code $r, not $1, of a program that does '$2': $(cat "$top/out")"
	[ -z "$(ls -A "$top/tmp")" ] || die "left behind: $(ls -A "$top/tmp")"
}
ends_with 1 'exit 1'
# shellcheck disable=SC2016
ends_with 1 'kill $PPID'

truncate -s 64M "$img"
need_loop
t mkfs.bufs -q "$loop" || die mkfs
t bufs "$loop" "$mnt" || die mount
daemon=$(daemon_of "$img")
nsenter --mount=/proc/self/fd/8 --root=/proc/self/fd/7 unshare -m sleep 300 &
other=$!
while comm=$(cat /proc/$other/comm) || die "no other mount namespace"; [ "$comm" != sleep ]; do sleep 0.01; done
kill -9 "$daemon"
t umount "$mnt" || die "umount after the daemon's death"
wait_free "$loop"
t bufs "$loop" "$mnt"
r=$?
kill $other
[ $r = 0 ] || die "$loop is kept in use by a mount namespace that began meanwhile"
leave "$loop"
clean "$loop"

# killed as by a test runner that waits no longer: all at once, without a word
own="export TMPDIR='$top/tmp'; . '$here/lib.sh'"
mkfifo "$top/said"
# shellcheck disable=SC2016
setsid sh "$here/alone.sh" sh -c "$own"'
	truncate -s 64M "$img"
	need_loop
	t mkfs.bufs -q "$loop" && t bufs "$loop" "$mnt" && cd "$mnt" && echo "$loop" >&5 && sleep 300' "$0" 5>"$top/said" &
killed=$!
{
	read -r loop || die "the test to be killed did not mount"
	sh -c "$own" "$0" || die "another test beside it"
	image=$(losetup -n -O BACK-FILE "$loop")
	[ -f "$image" ] || die "a test has removed the folder of another one"
	kill -9 -"$killed"
	wait $killed
	t cat || { # until all its processes have ended
		abort "$(cat "/sys/class/block/${loop#/dev/}/dev")"
		die "a test that was killed does not end"
	}
} <"$top/said"
i=0
while [ -n "$(losetup -j "$image")" ]; do
	i=$((i + 1))
	[ $i -lt 1000 ] || die "a test that was killed leaves $(losetup -j "$image")"
	sleep 0.01
done
[ -f "$image" ] || die "it had no time to remove its folder"
sh -c "$own" "$0" || die "the next test"
[ -z "$(ls -A "$top/tmp")" ] || die "the next test leaves the folder of one that was killed: $(ls -A "$top/tmp")"
