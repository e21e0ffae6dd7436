# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=sh
# For the mount tests: BIN has the programs; $top is a folder that goes away, with all mounts in it.
set -u
umask 022
export LC_ALL=C
BIN=${BIN:?}
# shellcheck disable=SC2034
here=$(cd "$(dirname "$0")" && pwd)
[ "$(id -u)" != 0 ] || [ -n "${ALONE-}" ] || ALONE=1 exec sh "$here/alone.sh" sh "$0" "$@"
PATH=$BIN/src/fuse:$BIN/tools:$BIN/tests/mount:$PATH:/sbin:/usr/sbin
# shellcheck source=tests/folder.sh
. "$here/../folder.sh"
own_folder
top=$folder
img=$top/image
mnt=$top/mnt
mkdir "$mnt"
chmod 755 "$top"

skip() {
	echo "skipped: $*"
	exit 77
}
die() {
	echo "FAILED: $*"
	exit 1
}
# what to run, limited in time
t() {
	timeout -k 5 "${limit:-120}" "$@"
}
am_root() {
	[ "$(id -u)" = 0 ]
}
# the mounts below $top, the newest first: device number and folder
mounts() {
	awk -v top="$top/" 'index($5, top) == 1 {print $3, $5}' /proc/self/mountinfo | tac
}
# the mount of this device number is asked nothing any more
abort() {
	echo 1 2>/dev/null >"/sys/fs/fuse/connections/$(((${1%:*} << 20) + ${1#*:}))/abort"
}
# Nothing here may wait for a filesystem that does not answer.
unmount_all() {
	mounts | while read -r device folder; do
		if am_root; then umount -l "$folder"; else fusermount3 -uz "$folder"; fi
		[ "$1" = 0 ] || abort "$device"
	done
}
cleanup() {
	code=$?
	trap - EXIT
	cd /
	unmount_all "$([ $code = 0 ] || [ $code = 77 ]; echo $?)"
	rm -rf "$top"
	exit $code
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

[ -e /dev/fuse ] || skip "no /dev/fuse"

need_root() {
	am_root || skip "not root"
}
need_user_mount() {
	[ -w /dev/fuse ] || skip "/dev/fuse is not for this user"
	am_root || command -v fusermount3 >/dev/null || skip "no fusermount3"
	am_root || [ -e /etc/mtab ] || skip "no /etc/mtab: fusermount3 could not unmount"
}
# The kernel takes a loop device down when the last process that has it open ends.
down_at_end() {
	exec 3<"$1"
	losetup -d "$1" || die "losetup -d"
	sleep infinity >/dev/null 2>&1 &
	exec 3<&-
}
# $loop becomes a loop device on $img
need_loop() {
	need_root
	# shellcheck disable=SC2034
	loop=$(losetup -f --show --direct-io=on "$img" 2>/dev/null) || skip "no loop device"
	down_at_end "$loop"
}
# One program at a time has an image; a daemon holds it until all is written, also after the
# unmount of a plain FUSE mount has returned.
wait_free() {
	flock -s -w 60 "$1" true || die "$1 is still in use"
}
# mount, with these arguments before the folder: what the kernel asks for goes to $top/log
mount_traced() {
	t bufs -d "$@" "$mnt" 2>"$top/log" &
	i=0
	until grep -q " $mnt fuse" /proc/mounts; do
		i=$((i + 1))
		[ $i -lt 200 ] || die "no mount"
		sleep 0.05
	done
	cd "$mnt" || die cd
}
# unmount what is at $mnt, an image or device $1, and wait for the daemon
leave() {
	if am_root; then t umount "$mnt"; else t fusermount3 -u "$mnt"; fi || die "umount"
	wait_free "$1"
}
clean() {
	wait_free "$1"
	t fsck.bufs -n -f "$1" >"$top/fsck" 2>&1 || {
		cat "$top/fsck"
		die "fsck: $?"
	}
}
# the process that has an image, by its lock
daemon_of() {
	awk -v inode=":$(stat -c %i "$1")" '$2 == "FLOCK" && substr($6, length($6) - length(inode) + 1) == inode {print $5}' \
		/proc/locks
}
# a command that must fail with an exit code and say a word
refused() {
	code=$1 word=$2
	shift 2
	"$@" >"$top/out" 2>"$top/err"
	r=$?
	[ $r = "$code" ] || die "exit code $r, not $code: $*: $(cat "$top/err")"
	grep -q -e "$word" "$top/err" || die "not '$word': $*: $(cat "$top/err")"
}
# all that must survive, of the files in a folder; only the data of holes is left out
picture() {
	(
		cd "$1" || exit 1
		find . -printf '%p %y %m %n %U %G %s %T@ %l\n' | sort
		find . -type f -size -1000M -print0 | sort -z | xargs -0 -r sha256sum
		[ ! -f sparse ] || tail -c 12288 sparse | sha256sum
	)
}
# the same, but for the owner and the links
contents() {
	(
		cd "$1" || exit 1
		find . -mindepth 1 -printf '%p %y %m %T@ %l\n' | sort
		find . -type f -print0 | sort -z | xargs -0 -r sha256sum
	)
}
