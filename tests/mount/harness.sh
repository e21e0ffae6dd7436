#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A test of this folder that fails says so with its exit code, also when it is stopped, and leaves nothing behind.
# What others on the machine begin meanwhile keeps none of its devices in use.
. "$(dirname "$0")/lib.sh"
need_user_mount
mkdir "$top/bin" "$top/tmp"
# exit code, what the program that the test depends on does
ends_with() {
	printf '#!/bin/sh\n%s\n' "$2" >"$top/bin/sqlite3"
	chmod +x "$top/bin/sqlite3"
	(PATH=$top/bin:$PATH TMPDIR=$top/tmp MEMORY=$top/tmp t sh "$here/recorded.sh" sqlite) >"$top/out" 2>&1
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
nsenter -t $PPID -m -r unshare -m sleep 300 &
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
