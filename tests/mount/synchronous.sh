#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The daemon is killed at once after an operation: what sync, dirsync, chattr +S and +D and O_SYNC promise is there, and
# without them it is not.
. "$(dirname "$0")/lib.sh"
need_user_mount
command -v chattr >/dev/null || skip "no chattr"
t mkfs.bufs -q "$img" 64M || die mkfs
t bufs "$img" "$mnt" || die mount
for d in plain S D; do
	mkdir "$mnt/$d"
	[ $d = plain ] || chattr +$d "$mnt/$d" || die "chattr +$d"
	echo old >"$mnt/$d/there"
done
leave "$img"

# options, folder; then a command is run there and the daemon killed
killed_after() {
	options=$1 folder=$2
	shift 2
	t bufs -o "commit=600,$options" "$img" "$mnt" || die "mount -o $options"
	(cd "$mnt/$folder" && "$@") || die "$*"
	kill -9 "$(daemon_of "$img")" || die kill
	if am_root; then t umount "$mnt"; else t fusermount3 -u "$mnt"; fi || die "umount after the daemon's death"
	wait_free "$img"
	t bufs "$img" "$mnt" || die "mount after the kill"
}
# whether "new" is there
finds() {
	[ "$(cat "$mnt/$folder/$1" 2>/dev/null)" = "$2" ] || die "$options in $folder: $1 has '$(cat "$mnt/$folder/$1")', not '$2'"
	rm -f "$mnt/$folder/new"
	echo old >"$mnt/$folder/there"
	leave "$img"
}
make() {
	echo new >new
}
rewrite() {
	echo new | dd of=there conv=notrunc status=none
}
with_o_sync() {
	echo new | dd of=there conv=notrunc oflag=sync status=none
}
# the new size too
with_o_dsync() {
	echo new | dd of=there oflag=dsync,append conv=notrunc status=none
}
killed_after rw plain make
finds new ""
killed_after rw plain mkdir sub
[ ! -e "$mnt/plain/sub" ] || die "mkdir is durable without a sync"
leave "$img"
killed_after sync plain make
finds new new
killed_after sync plain rewrite
finds there new
killed_after rw S make
finds new new
killed_after rw S rewrite
finds there new
killed_after rw plain with_o_sync
finds there new
killed_after rw plain with_o_dsync
finds there "old
new"
for where in "dirsync plain" "rw D" "rw S" "sync plain"; do
	# shellcheck disable=SC2086
	killed_after $where mkdir sub
	[ -d "$mnt/$folder/sub" ] || die "$where: mkdir is not durable"
	leave "$img"
	# shellcheck disable=SC2086
	killed_after $where rmdir sub
	[ ! -e "$mnt/$folder/sub" ] || die "$where: rmdir is not durable"
	leave "$img"
	# shellcheck disable=SC2086
	killed_after $where mv there moved
	[ -e "$mnt/$folder/moved" ] && [ ! -e "$mnt/$folder/there" ] || die "$where: mv is not durable"
	mv "$mnt/$folder/moved" "$mnt/$folder/there"
	leave "$img"
done
clean "$img"
