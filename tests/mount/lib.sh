# SPDX-License-Identifier: LGPL-2.1-or-later
# For the mount tests: BIN has the programs; $top is a folder that goes away, with all mounts in it.
set -u
BIN=${BIN:?}
PATH=$BIN/src/fuse:$BIN/tools:$PATH:/sbin:/usr/sbin
top=$(mktemp -d)
img=$top/image
mnt=$top/mnt
mkdir "$mnt"
loop=
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
	timeout -k 5 120 "$@"
}
cleanup() {
	code=$?
	trap - EXIT
	i=0
	while grep -q " $mnt " /proc/mounts && [ $i -lt 5 ]; do
		t umount -l "$mnt" 2>/dev/null || t fusermount3 -uz "$mnt"
		i=$((i + 1))
	done
	[ -z "$loop" ] || losetup -d "$loop"
	rm -rf "$top"
	exit $code
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

[ -e /dev/fuse ] || skip "no /dev/fuse"
[ "$(id -u)" = 0 ] || skip "not root"

need_loop() {
	loop=$(losetup -f --show --direct-io=on "$img" 2>/dev/null) || {
		loop=
		skip "no loop device"
	}
}
# umount of a plain FUSE mount returns early: the next claim of the image waits for the daemon
leave() {
	t umount "$mnt" || die "umount"
}
clean() {
	i=0
	until t fsck.bufs -n -f "$1" >"$top/fsck" 2>&1 || [ $i -ge 20 ]; do
		grep -q 'in use' "$top/fsck" || break
		sleep 0.2
		i=$((i + 1))
	done
	grep -q ': clean' "$top/fsck" || {
		cat "$top/fsck"
		die "fsck"
	}
}
# everything that must survive a remount
picture() {
	(cd "$1" && find . -printf '%p %y %m %U %G %T@ %l\n' | sort && find . -type f -size -1000M -exec sha256sum {} + | sort; [ ! -f sparse ] || tail -c 12288 sparse | sha256sum)
}
