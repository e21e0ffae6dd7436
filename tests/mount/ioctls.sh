#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# ioctls.sh file|loop|user: label, trim, shutdown, generation; who may, and what a remount finds.
if [ "$1" = user ] && [ "$(id -u)" = 0 ]; then
	exec sh "$(dirname "$0")/as_user.sh" "$0" user
fi
. "$(dirname "$0")/lib.sh"
need_user_mount
[ "$1" = user ] || need_root
truncate -s 64M "$img"
target=$img
[ "$1" != loop ] || {
	need_loop
	target=$loop
}
t mkfs.bufs -q -L first "$target" || die mkfs
mount_it() {
	t bufs "$target" "$mnt" || die mount
}
says() {
	want=$1
	shift
	got=$(t fsioctl "$@" 2>&1)
	[ "$got" = "$want" ] || die "fsioctl $*: '$got', not '$want'"
}
allocated() {
	stat -c %b "$img"
}

# label: 63 bytes
mount_it
says first label "$mnt"
long=$(printf 'L%.0s' $(seq 63))
says "" label "$mnt" "$long"
says "$long" label "$mnt"
says EINVAL label "$mnt" "${long}L"
says "" label "$mnt" second
says ENOTTY unknown "$mnt"
: >"$mnt/file"
says ENOTTY unknown "$mnt/file"
says second label "$mnt/file"
leave "$target"
mount_it
says second label "$mnt"

# generation: as much as an int
fsioctl version "$mnt/file" | grep -q '^[1-9][0-9]* 5a5a5a5a$' || die "version: $(fsioctl version "$mnt/file")"

# trim
head -c 20000000 /dev/urandom >"$mnt/stays"
head -c 20000000 /dev/urandom >"$mnt/goes"
sum=$(sha256sum <"$mnt/stays")
t fsioctl trim "$mnt" 0 -1 0 >"$top/trimmed" 2>"$top/err" || {
	grep -q EOPNOTSUPP "$top/err" || die "trim: $(cat "$top/err")"
	skip "the device does not discard"
}
full=$(allocated)
rm "$mnt/goes"
t fsioctl trim "$mnt" 0 -1 0 >"$top/trimmed" || die trim
free=$(stat -f -c '%f %S' "$mnt" | awk '{print $1 * $2}')
[ "$(cat "$top/trimmed")" = "$free" ] || die "trimmed $(cat "$top/trimmed") of $free bytes"
[ $(((full - $(allocated)) * 512)) -ge 19000000 ] || die "the image has not shrunk: $full, $(allocated)"
says EINVAL trim "$mnt" 100000000 100000 0
says EINVAL trim "$mnt" 0 100 0
says EINVAL trim "$mnt" 0 -1 -1
leave "$target"
clean "$target"
mount_it
[ "$(sha256sum <"$mnt/stays")" = "$sum" ] || die "a file has lost data"

# who may
not_for() {
	[ "$(t "$@" fsioctl label "$mnt" x 2>&1)" = EPERM ] || die "label as $*"
	[ "$(t "$@" fsioctl trim "$mnt" 0 -1 0 2>&1)" = EPERM ] || die "trim as $*"
	[ "$(t "$@" fsioctl shutdown "$mnt" 2 2>&1)" = EPERM ] || die "shutdown as $*"
	[ "$(t "$@" fsioctl label "$mnt")" = second ] || die "reading the label as $*"
}
! am_root || {
	cp "$BIN/tests/mount/fsioctl" "$top/fsioctl" || die cp
	PATH=$top:$PATH
	not_for setpriv --reuid=65534 --regid=65534 --clear-groups
	not_for setpriv --bounding-set -sys_admin --inh-caps -sys_admin
}

# shutdown: all fails afterwards, and the next mount finds what each mode promises
shut() {
	echo synced >"$mnt/synced$1"
	sync "$mnt/synced$1"
	echo fresh >"$mnt/fresh$1"
	rm "$mnt/stays" 2>/dev/null
	says "" shutdown "$mnt" "$1"
	for command in "cat $mnt/new" "touch $mnt/new" "mkdir $mnt/new" "rm $mnt/synced$1" "sync $mnt/fresh$1" \
		"chmod 600 $mnt/fresh$1" "ls $mnt"; do
		# shellcheck disable=SC2086
		t $command >"$top/out" 2>"$top/err" && die "after the shutdown: $command"
		grep -q "Input/output error" "$top/err" || die "after the shutdown: $command: $(cat "$top/err")"
	done
	leave "$target"
	mount_it
	[ "$(cat "$mnt/synced$1")" = synced ] || die "mode $1: synced data is lost"
}
says EINVAL shutdown "$mnt" 3
shut 0
[ "$(cat "$mnt/fresh0")" = fresh ] || die "mode 0 does not flush"
shut 1
[ "$(cat "$mnt/fresh1")" = fresh ] || die "mode 1 does not flush the log"
shut 2
[ ! -e "$mnt/fresh2" ] || die "mode 2 flushes"
leave "$target"
clean "$target"
