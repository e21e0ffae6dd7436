#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# tools/bench fs: bufs and its peers by turns on one disk, an image file behind a loop device with direct I/O.
# bufs-file is bufs on the image file itself, as without root; where sync(2) does not reach it, it is left out.
# A turn makes the filesystem, mounts it, runs one group of workloads and unmounts; the order is reversed each round.
# Called by tools/bench with BUILD set.
set -u
export LC_ALL=C
[ "$(id -u)" = 0 ] || {
	echo "bench fs: loop devices and mounts need root" >&2
	exit 1
}
# Mounts of our own, that no other namespace made meanwhile keeps.
[ -n "${BENCH_FS_ALONE-}" ] || BENCH_FS_ALONE=1 exec unshare -m --propagation private sh "$0" "$@"
# what others have mounted came along, and would keep their daemons beyond their unmount
umount -i -l -a -t fuse.bufs,fuseblk.bufs 2>/dev/null
usage() {
	cat >&2 <<-END
	usage: tools/bench fs [-pq] [-r ROUNDS] [-d DIRECTORY] [-o RESULTS] [-s "SYSTEM..."] [GROUP...]
	  -p  with priority over other programs, where the machine has others to run
	  -q  quick: a tenth of the work, 1 round
	  -r  rounds (5)      -d  where the image is made (/var/tmp), 5 GiB
	  -o  folder for results, tables and plots (a new one below DIRECTORY)
	  -s  some of: $all_systems
	  groups: $all_groups
	END
	exit 2
}
all_systems="bufs bufs-file ext4 passthrough fuse2fs ntfs-3g"
all_groups="append replace overwrite sqlite sequential random writeback names names4 small tree directory scale"
file_groups="append replace overwrite sqlite sequential random writeback"
rounds=5 quick='' priority='' directory=/var/tmp results='' systems=$all_systems
while getopts pqr:d:o:s: option; do
	case $option in
	p) priority=1 ;;
	q) quick=1 rounds=1 ;;
	r) rounds=$OPTARG ;;
	d) directory=$OPTARG ;;
	o) results=$OPTARG ;;
	s) systems=$OPTARG ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
groups=${*:-$all_groups}
for g in $groups; do
	case " $all_groups " in *" $g "*) ;; *) usage ;; esac
done
die() {
	echo "bench fs: $*" >&2
	exit 1
}
here=$(cd "$(dirname "$0")" && pwd)
PATH=$BUILD/tools:$BUILD/src/fuse:$PATH:/sbin:/usr/sbin
top=$(mktemp -d "$directory/bench_fs.XXXXXX") || exit 1
results=${results:-$directory/bench_fs.results.$$}
mkdir -p "$results" "$top/mnt" "$top/lower" || exit 1
raw=$results/raw
: >>"$raw"
loop=''

# Nothing here may wait for a filesystem that does not answer.
unmount_all() {
	awk -v top="$top/" 'index($5, top) == 1 {print $3, $5}' /proc/self/mountinfo | tac | while read -r number folder; do
		timeout -k 5 60 umount "$folder" 2>/dev/null && continue
		umount -l "$folder"
		echo 1 2>/dev/null >"/sys/fs/fuse/connections/${number#*:}/abort"
	done
}
cleanup() {
	trap - EXIT INT TERM HUP
	cd /
	unmount_all
	[ -z "$loop" ] || losetup -d "$loop"
	rm -rf "$top"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

scaled() { # a number, of which quick runs do a tenth
	[ -z "$quick" ] && echo "$1" || echo $((($1 + 9) / 10))
}
ms=$(scaled 3000)
[ -z "$quick" ] || ms=500
mib=$(scaled 2048)
nr=$(scaled 10000)

make_disk() {
	size=$((mib * 2 + 1024))
	# written, not only allocated
	dd if=/dev/zero of="$top/disk" bs=1M count=$size oflag=direct status=none || die "no room in $directory"
	loop=$(losetup -f --show --direct-io=on "$top/disk") || die "no loop device"
}
make_passthrough() {
	source=/usr/share/doc/libfuse3-dev/examples/passthrough_ll.c
	[ -f "$source" ] || return 1
	# shellcheck disable=SC2046
	gcc -O2 -w -o "$top/passthrough_ll" "$source" $(pkg-config --cflags --libs fuse3)
}
have() {
	case $1 in
	bufs | bufs-file | ext4) true ;;
	passthrough) make_passthrough ;;
	fuse2fs) command -v fuse2fs >/dev/null ;;
	ntfs-3g) command -v mkntfs >/dev/null ;;
	*) false ;;
	esac
}
make_fs() {
	case $1 in
	bufs*) mkfs.bufs -q -f "$device" ;;
	ntfs-3g) mkntfs -q -Q -F "$loop" >/dev/null 2>&1 ;;
	*) mkfs.ext4 -q -F -E lazy_itable_init=1,lazy_journal_init=1,nodiscard "$loop" ;;
	esac
}
# Of a process and its session, which the scheduler weighs as one.
prefer() {
	[ -n "$priority" ] && [ -n "$1" ] || return 0
	renice -n -19 -p "$1" >/dev/null
	[ ! -w "/proc/$1/autogroup" ] || echo -19 >"/proc/$1/autogroup"
}
daemon_pid() {
	find /proc/[0-9]*/fd -lname "$device" 2>/dev/null | cut -d/ -f3 | head -1
}
fs_pid() {
	case $1 in
	passthrough) pgrep -f "^$top/passthrough_ll" ;;
	*) daemon_pid ;;
	esac
}
mount_fs() { # system, option of bufs
	case $1 in
	bufs*) bufs ${BUFS_OPTIONS:+-o "$BUFS_OPTIONS"} ${2:+-o "$2"} "$device" "$top/mnt" ;;
	ext4) mount -t ext4 -o noinit_itable "$loop" "$top/mnt" ;;
	passthrough)
		mount -t ext4 -o noinit_itable "$loop" "$top/lower" &&
			"$top/passthrough_ll" -o "source=$top/lower,cache=always" "$top/mnt"
		;;
	fuse2fs) fuse2fs -o big_writes "$loop" "$top/mnt" ;;
	ntfs-3g) ntfs-3g -o big_writes "$loop" "$top/mnt" ;;
	esac || return
	prefer "$(fs_pid "$1")"
	cd "$top/mnt" || return
}
# until the device is nobody's
unmount_fs() {
	cd /
	case $1 in bufs*) note_memory ;; esac
	umount "$top/mnt" || return 1
	i=0
	# its daemon may go on for a while after the unmount
	until [ "$1" != passthrough ] || umount "$top/lower" 2>/dev/null; do
		i=$((i + 1))
		[ $i -lt 600 ] || return 1
		sleep 0.1
	done
	while [ -n "$(daemon_pid)" ]; do
		i=$((i + 1))
		[ $i -lt 600 ] || return 1
		sleep 0.1
	done
}
cold() {
	unmount_fs "$system" && echo 3 >/proc/sys/vm/drop_caches && mount_fs "$system"
}
sync_fs() {
	sync -f "$top/mnt" && { [ "$system" != passthrough ] || sync -f "$top/lower"; }
}
note_memory() {
	pid=$(daemon_pid)
	[ -z "$pid" ] || sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/memory \1/p' "/proc/$pid/status"
}
run() {
	timeout -k 5 600 bench_fs.bufs "$@"
}
timed_sync() { # metric, count, command: with a sync behind it
	command="$3 && sync -f $top/mnt"
	[ "$system" != passthrough ] || command="$command && sync -f $top/lower"
	run run "$1" "$2" sh -c "$command"
}

group_append() { run append "$ms" 1 && run append "$ms" 4; }
group_replace() { run replace "$ms" 1 && run replace "$ms" 4; }
group_overwrite() { run overwrite "$ms" 1 && run overwrite "$ms" 4; }
group_sqlite() { run sql "$ms"; }
# shellcheck disable=SC2162
group_sequential() { run write "$mib" && cold && run read "$mib"; }
group_random() {
	run write $((mib / 2)) >/dev/null && cold && run random_read "$ms" 1 && cold && run random_read "$ms" 16 &&
		run random_write $((nr * 5))
}
# All again where writes are collected before bufs sees them; the peers as they are.
group_writeback() {
	unmount_fs "$system" && mount_fs "$system" writeback && run write $((mib / 2)) >/dev/null &&
		{ run random_write $((nr * 5)) && run sql "$ms"; } | sed 's/^[a-z_]*/&_back/'
}
group_names() { run names "$nr" 1; }
group_names4() { run names "$nr" 4; }
group_small() { run make_small "$nr" && sync_fs && cold && run list && cold && run read_small "$nr"; }
group_directory() { run one_directory "$nr" && rm -rf d0 && run one_directory $((nr * 10)); }
group_tree() {
	files=$(scaled 13000)
	if [ ! -f "$top/tree.tar" ]; then
		(cd "$top" && bench_fs.bufs make_tree "$files" && tar cf tree.tar tree && rm -rf tree) || return 1
	fi
	timed_sync untar "$files" "tar xf $top/tree.tar" && cold && run run tar "$files" sh -c 'tar cf - tree | cat >/dev/null' &&
		timed_sync cp "$files" "cp -a tree copy" && timed_sync rm "$files" "rm -rf tree"
}
# A million files, or a tenth: how long e2fsck and fsck.bufs take, and what else must not depend on their number.
group_scale() {
	many=$((nr * 100))
	case $system in
	bufs) options="-f -N $((many + many / 4))" ;;
	ext4) options="-F -N $((many + many / 4)) -E nodiscard" ;;
	*) return 0 ;;
	esac
	# shellcheck disable=SC2086
	unmount_fs "$system" && "mkfs.$system" -q $options "$loop" && mount_fs "$system" &&
		run make_many $many && unmount_fs "$system" && "scale_$system"
}
scale_ext4() {
	run run "fsck_$many" 1 sh -c "e2fsck -fn $loop >/dev/null 2>&1" && mount_fs ext4
}
scale_bufs() {
	run run "fsck_$many" 1 sh -c "fsck.bufs -fn $loop >/dev/null" && run run "mount_$many" 1 bufs "$loop" "$top/mnt" && cd "$top/mnt" &&
		truncate -s 1T "$top/tera" && run run mkfs_1t 1 mkfs.bufs -q "$top/tera" && rm "$top/tera"
}

turn() {
	system=$1 group=$2 device=$loop
	[ "$1" != bufs-file ] || device=$top/disk
	make_fs "$system" && mount_fs "$system" && sync && "group_$group" && unmount_fs "$system"
}
# one turn's figures, with who made them
record() {
	case "$2: $file_groups " in
	"bufs-file:"*" $3 "*) ;; # where sync(2) would not reach it it has no turn
	"bufs-file:"*) return ;;
	esac
	if turn "$2" "$3" >"$top/out"; then
		sed "s/^/$1 $2 /" "$top/out" >>"$raw"
	else
		echo "bench fs: $2 could not do $3" >&2
	fi
	cd /
	unmount_all
}
reversed() {
	list=
	for s in "$@"; do list="$s $list"; done
	echo "$list"
}

prefer $$
present=
for s in $systems; do
	if have "$s"; then present="$present $s"; else echo "bench fs: $s is not there; left out" >&2; fi
done
make_disk
round=1
while [ "$round" -le "$rounds" ]; do
	order=$present
	# shellcheck disable=SC2086
	[ $((round % 2)) = 1 ] || order=$(reversed $present)
	for g in $groups; do
		# takes minutes, and a ratio of two is enough
		[ "$g" != scale ] || [ "$round" = 1 ] || continue
		for s in $order; do record "$round" "$s" "$g"; done
		echo "round $round: $g" >&2
	done
	round=$((round + 1))
done
cleanup
exec "$here/bench_fs_table" "$results"
