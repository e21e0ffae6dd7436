#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Programs that look for holes find them, and copies have the same ones.
. "$(dirname "$0")/lib.sh"
need_user_mount
t mkfs.bufs -q "$img" 64M || die mkfs
t bufs "$img" "$mnt" || die mount
cd "$mnt" || die cd
blocks() {
	stat -c %b "$1"
}
# three pieces of data in many megabytes of holes, and an odd end
truncate -s 128M from
for at in 5 1000 20000; do
	dd if=/dev/urandom of=from bs=4k seek=$at count=3 conv=notrunc status=none
done
printf end >>from
[ "$(blocks from)" -eq 80 ] || die "from has $(blocks from) blocks"

# $1: a copy; more than a few blocks of 512 bytes besides the data are no holes
same() {
	cmp from "$1" || die "$1: contents"
	[ "$(blocks "$1")" -le 80 ] || die "$1 has $(blocks "$1") blocks"
}
t cp from cp || die cp
same cp
t cp --sparse=always --reflink=never from cp-always || die cp
same cp-always
t tar -S -cf tar.tar from || die "tar -c"
[ "$(stat -c %s tar.tar)" -lt 100000 ] || die "the archive has $(stat -c %s tar.tar) bytes"
mkdir out
t tar -xf tar.tar -C out || die "tar -x"
same out/from
if command -v qemu-img >/dev/null; then
	t qemu-img convert -f raw -O qcow2 from qcow2 || die "qemu-img to qcow2"
	[ "$(stat -c %s qcow2)" -lt 2000000 ] || die "the qcow2 has $(stat -c %s qcow2) bytes"
	t qemu-img convert -f qcow2 -O raw qcow2 raw || die "qemu-img to raw"
	# whole sectors
	cmp -n "$(stat -c %s from)" from raw || die "raw: contents"
	[ "$(blocks raw)" -le 1000 ] || die "raw has $(blocks raw) blocks"
	t qemu-img create -q -f raw -o preallocation=falloc full 8M || die "qemu-img create"
	[ "$(blocks full)" -eq 16384 ] || die "full has $(blocks full) blocks"
fi
# holes afterwards
t fallocate -l 1M zeros || die fallocate
dd if=/dev/zero of=zeros bs=1M count=1 conv=notrunc status=none
[ "$(blocks zeros)" -eq 2048 ] || die "zeros has $(blocks zeros) blocks"
t fallocate -d zeros || die "fallocate -d"
[ "$(blocks zeros)" -eq 0 ] || die "zeros has $(blocks zeros) blocks"
[ "$(stat -c %s zeros)" -eq 1048576 ] || die "zeros has $(stat -c %s zeros) bytes"
cd /
leave "$img"
clean "$img"
