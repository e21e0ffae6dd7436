#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Programs others wrote to find faults in filesystems: stress-ng, fio's verification, dbench, bonnie++.
# $LONG: seconds for each of stress-ng's stressors instead of 1.
. "$(dirname "$0")/lib.sh"
need_root
for program in stress-ng fio dbench bonnie++; do
	command -v $program >/dev/null || skip "no $program"
done
limit=600
truncate -s 2G "$img"
t mkfs.bufs -q "$img" || die mkfs
t bufs "$img" "$mnt" || die mount

# of its class "filesystem" those that work in a folder
stressors="access chattr chdir chmod chown copy-file dentry dir dirdeep dirmany dup fallocate fcntl file-ioctl filename flock
	fpunch fsize fstat getdent handle hdd inode-flags inotify io iomix lease link locka lockf lockofd mknod open rename
	symlink sync-file touch utime xattr"
for s in $stressors; do
	mkdir "$mnt/$s"
	t stress-ng --temp-path "$mnt/$s" --verify "--$s" 2 --timeout "${LONG:-1}" >"$top/out" 2>&1 || {
		cat "$top/out"
		die "stress-ng $s"
	}
done

# an engine and 1 for O_DIRECT
verify() {
	t fio --name=verify --directory="$mnt" --size=24M --rw=randrw --bsrange=512-128k --ioengine="$1" --direct="$2" \
		--iodepth=16 --verify=crc32c --verify_fatal=1 --do_verify=1 --verify_state_save=0 --numjobs=2 --unlink=1 >"$top/out" 2>&1 || {
		cat "$top/out"
		die "fio $1 $2"
	}
}
verify psync 0
verify psync 1
verify mmap 0
verify libaio 0
verify libaio 1

t dbench -D "$mnt" -t "${LONG:-4}" 4 >"$top/out" 2>&1 || {
	cat "$top/out"
	die dbench
}
# a byte at a time for 1 MiB only: each is a request
mkdir "$mnt/bonnie"
t bonnie++ -d "$mnt/bonnie" -s 64 -r 16 -n 4 -f1 -u root -q >"$top/out" 2>&1 || {
	cat "$top/out"
	die bonnie++
}
leave "$img"
clean "$img"
