#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# mkfs.bufs: every option does what it says, and what cannot be made is refused before anything is touched.
. "$(dirname "$0")/lib.sh"
says() {
	dump.bufs "$img" super >"$top/super" || die "dump: $(cat "$top/super")"
	for pattern; do
		grep -q -E "^$pattern\$" "$top/super" || die "not '$pattern': $(cat "$top/super")"
	done
}
clean() {
	expect 0 ': clean' fsck.bufs -n -f "$img"
}
fresh() {
	rm -f "$img"
	expect 0 'blocks of' mkfs.bufs "$@"
	clean
}

# options
expect 0 'image: 16384 blocks of 4096 bytes, [0-9]+ inodes' mkfs.bufs "$img" 64M
clean
[ "$(stat -c %s "$img")" = $((64 << 20)) ] || die size
fresh -L 'A label' -U 01234567-89ab-cdef-0123-456789abcdef "$img" 64M
says 'label: A label' 'uuid: 01234567-89ab-cdef-0123-456789abcdef'
fresh -L "$(printf %063d 1)" "$img" 64M
says "label: $(printf %063d 1)"
expect 0 '^block: 10$' dump.bufs "$img" block 010
for b in 1024 2048 4096 8192 16384 32768 65536 64K; do
	fresh -b $b "$img" 64M
	says "block_bytes: $(echo $b | sed s/64K/65536/)"
done
rm "$img"
expect 0 ' 20[0-9]{3} inodes' mkfs.bufs -N 20000 "$img" 64M
clean
fresh -E log_size=4M,root_owner=12:34,hash_seed=5,discard "$img" 64M
says 'log_blocks: 1024' 'hash_seed: (5|0x0*5)'
[ "$(dump.bufs "$img" inode 1 | grep -c -E '^(uid: 12|gid: 34)$')" = 2 ] || die "root_owner: $(dump.bufs "$img" inode 1)"
# a log has 128 blocks at least, and at most the room of a group; 0 is the default
for log in 0:512 1:128 512K:128 524289:129 1G:16107; do
	fresh -E log_size=${log%:*} "$img" 64M
	says "log_blocks: ${log#*:}"
done
expect 1 'such a log, do not fit' mkfs.bufs -n -E log_size=1025M "$img" 4G
rm "$img"
expect 0 '^$' sh -c "mkfs.bufs -q '$img' 16M; echo"
expect 0 'usage: mkfs.bufs' mkfs.bufs -h
expect 0 'mkfs.bufs [0-9]' mkfs.bufs -V
for program in mkfs.bufs fsck.bufs dump.bufs; do
	expect 0 "^usage: $program" $program --help
	expect 0 "^$program [0-9]" $program --version
done
# the root belongs to who made it
[ "$(dump.bufs "$img" inode 1 | sed -n 's/^uid: //p')" = "$(id -u)" ] || die "owner of the root"

# sizes: what the file has, or is given; grown, or only a part
rm "$img"
truncate -s 20M "$img"
expect 0 ': 5120 blocks' mkfs.bufs "$img"
expect 0 ': 7680 blocks' mkfs.bufs -f "$img" 30M
[ "$(stat -c %s "$img")" = $((30 << 20)) ] || die "not grown"
expect 0 ': 4096 blocks' mkfs.bufs -f "$img" 16M
expect 0 ': 4096 blocks' mkfs.bufs -f "$img" 016M
expect 0 ': 4096 blocks' mkfs.bufs -f "$img" 0x10M
[ "$(stat -c %s "$img")" = $((30 << 20)) ] || die "shrunk"
clean
fresh "$img" 20000003
rm "$img"
expect 0 'would make' mkfs.bufs -n "$img" 64M
[ ! -e "$img" ] || die "-n has made a file"

# a terabyte is sparse
fresh "$img" 1T
[ "$(stat -c %b "$img")" -lt 20000 ] || die "1 TiB takes $(stat -c %b "$img") sectors"

# refused, and nothing is made or changed
refused() {
	rm -f "$img"
	expect 1 "$@"
	[ ! -e "$img" ] || die "$*: has left a file"
}
refused 'usage' mkfs.bufs
refused 'usage' mkfs.bufs "$img" 1M extra
refused 'image: does not exist, and no size' mkfs.bufs "$img"
refused 'image: is too small' mkfs.bufs "$img" 4K
refused '64X: is no size' mkfs.bufs "$img" 64X
refused '0: is no size' mkfs.bufs "$img" 0
refused '1.5G: is no size' mkfs.bufs "$img" 1.5G
refused '99999999T: is no size' mkfs.bufs "$img" 99999999T
refused '-b 3000: a block size is' mkfs.bufs -b 3000 "$img" 64M
refused '-b 512: a block size is' mkfs.bufs -b 512 "$img" 64M
refused '-b 131072: a block size is' mkfs.bufs -b 131072 "$img" 64M
refused 'a label has at most 63' mkfs.bufs -L "$(printf %064d 1)" "$img" 64M
refused '-U nonsense: is no UUID' mkfs.bufs -U nonsense "$img" 64M
refused '-N none: is no number' mkfs.bufs -N none "$img" 64M
refused '-N 0: is no number' mkfs.bufs -N 0 "$img" 64M
refused 'do not fit' mkfs.bufs -N 100000000 "$img" 64M
refused '-E nonsense' mkfs.bufs -E nonsense "$img" 64M
refused '-E log_size=big: is unknown, or its value' mkfs.bufs -E log_size=big "$img" 64M
for owner in me 1 1: :1 1:2x -1:0 0:4294967295 99999999999:0; do
	refused "-E root_owner=$owner: is unknown, or its value" mkfs.bufs -E root_owner=$owner "$img" 64M
done
refused 'usage' mkfs.bufs -x "$img" 64M
refused 'missing/image: No such file' mkfs.bufs "$top/missing/image" 64M
refused '/dev/null: is neither a file nor a block device' mkfs.bufs /dev/null
refused "$top: is neither a file nor a block device" mkfs.bufs "$top"
refused "$top: is neither a file nor a block device" mkfs.bufs -n "$top"
: >"$top/file"
refused 'file/image: Not a directory' mkfs.bufs "$top/file/image"
# nobody writes there: opening it would wait
mkfifo "$top/fifo"
refused 'fifo: is neither a file nor a block device' mkfs.bufs "$top/fifo"
expect 8 'fifo: is neither a file nor a block device' fsck.bufs -n "$top/fifo"
expect 1 'fifo: is neither a file nor a block device' dump.bufs "$top/fifo" super

untouched() {
	sum=$(sha256sum <"$img")
	expect 1 "$@"
	[ "$sum" = "$(sha256sum <"$img")" ] || die "$*: has changed the file"
}
fresh "$img" 16M
expect 1 'the output could not be written' sh -c "dump.bufs '$img' super >/dev/full"
untouched 'contains bufs; use -f' mkfs.bufs "$img"
untouched 'contains bufs; use -f' mkfs.bufs "$img" 32M
rm "$img"
truncate -s 16M "$img"
mkfs.ext4 -q -F "$img" || die mkfs.ext4
untouched 'contains ext4; use -f' mkfs.bufs "$img"
expect 0 'blocks of' mkfs.bufs -f "$img"
clean
[ -z "$(blkid -p -s TYPE -o value "$img")" ] || die "the ext4 is still seen"
truncate -s 16M "$top/disk"
printf '\000\000\002\000\203\000\000\000\001\000\000\000\377\077\000\000' |
	dd of="$top/disk" bs=1 seek=446 conv=notrunc status=none
printf '\125\252' | dd of="$top/disk" bs=1 seek=510 conv=notrunc status=none
expect 1 'contains dos; use -f' mkfs.bufs "$top/disk"
# without a fork there is one process, and no sleep that keeps the lock and the output open
flock --no-fork "$img" sleep 20 &
holder=$!
until ! flock -n "$img" true; do :; done
untouched 'image: is in use' mkfs.bufs -f "$img"
kill $holder
wait
[ "$(id -u)" = 0 ] && chattr +i "$img" 2>/dev/null && {
	untouched 'image: cannot be written' mkfs.bufs -f "$img"
	chattr -i "$img"
}
# no space for the file on the filesystem below
if [ "$(id -u)" = 0 ]; then
	# shellcheck disable=SC2016
	expect 0 'tight/image: (No space|File too large)' unshare -m sh -c '
		mkdir "$1/tight" && mount -t tmpfs -o size=64k tmpfs "$1/tight" && ! mkfs.bufs "$1/tight/image" 64M' sh "$top"
fi
exit 0
