#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# -o writeback: the kernel collects small writes; what was closed, synced or renamed is as safe as without it.
. "$(dirname "$0")/lib.sh"
need_root
mounted() {
	t bufs -o writeback "$loop" "$mnt" || die mount
	cd "$mnt" || die cd
}
left() {
	cd /
	leave "$loop"
	clean "$loop"
}
# the power goes: what the daemon has not made durable is lost
power_off() {
	cd /
	pid=$(daemon_of "$loop")
	[ -n "$pid" ] || die "no daemon"
	kill -9 "$pid"
	umount -l "$mnt"
	wait_free "$loop"
}
truncate -s 64M "$img"
need_loop
t mkfs.bufs -q -f "$loop" || die mkfs

# many small writes are few requests
mount_traced -o writeback "$loop"
head -c 1048576 /dev/urandom >"$top/million"
dd if="$top/million" of=million bs=512 status=none || die "write"
cmp "$top/million" million || die "what was written reads differently"
nr=$(grep -c 'opcode: WRITE ' "$top/log")
[ "$nr" -gt 0 ] && [ "$nr" -le 64 ] || die "2,048 writes of 512 bytes are $nr requests"
left
mounted
cmp "$top/million" million || die "after the remount it reads differently"

# parts of pages, appended, overwritten and read by turns
i=0
while [ $i -lt 500 ]; do
	echo "line $i" >>lines
	i=$((i + 1))
done
seq -f 'line %.0f' 0 499 | cmp - lines || die "append"
printf X | dd of=lines bs=1 seek=2000 conv=notrunc status=none
seq -f 'line %.0f' 0 499 | { printf X | dd of="$top/lines" bs=1 seek=2000 status=none; cat; } >"$top/all"
dd if="$top/all" of="$top/lines" bs=1 count=2000 conv=notrunc status=none
dd if="$top/all" of="$top/lines" bs=1 skip=2001 seek=2001 conv=notrunc status=none
cmp lines "$top/lines" || die "one byte in the middle"

# times and modes that were set last stay, and those of writing come
cp -p /bin/sh sh || die cp
touch -d @1000000000 old
echo new >>old
touch -d @1000000000 old
[ "$(stat -c %Y old)" = 1000000000 ] || die "mtime: $(stat -c %Y old)"
touch -d @1000000000 older
echo new >>older
[ "$(stat -c %Y older)" -gt 1000000000 ] || die "writing moves no mtime"
chmod 4755 sh
(cd "$top" && setpriv --reuid=65534 --regid=65534 --clear-groups dd of="$mnt/sh" bs=1 count=1 if=/dev/zero conv=notrunc status=none) 2>/dev/null
[ "$(stat -c %a sh)" = 4755 ] || die "who may not write it changes its mode"
chmod 4777 sh
setpriv --reuid=65534 --regid=65534 --clear-groups dd of=sh bs=1 count=1 if=/dev/zero conv=notrunc status=none || die "write of a stranger"
[ "$(stat -c %a sh)" = 777 ] || die "set-id stays: $(stat -c %a sh)"
picture . >"$top/before"
left
mounted
picture . >"$top/after"
cmp "$top/before" "$top/after" || die "the remount differs"

# chattr: asked at open; what was written before it stays
exec 3>>late
echo early >&3
chattr +i late || die "chattr +i"
t sync late || die "fsync of what was written before chattr +i"
exec 3>&-
[ "$(cat late)" = early ] || die "what was written before chattr +i is lost"
sh -c 'echo x >>late' 2>/dev/null && die "open of an immutable file"
chattr -i +a late || die "chattr +a"
echo more >>late || die "append"
sh -c 'echo x >late' 2>/dev/null && die "truncate of an append-only file"
t sync late || die "fsync of an append-only file"
[ "$(cat late)" = "early
more" ] || die "append-only: $(cat late)"
chattr -a late

# durable is what was synced, through fsync, O_SYNC or sync after close
dd if="$top/million" of=synced bs=1000 conv=fsync status=none || die "fsync"
dd if="$top/million" of=each bs=4096 count=20 oflag=dsync status=none || die "O_DSYNC"
dd if="$top/million" of=closed bs=1000 status=none
sync -f . || die sync
echo old >name
sync -f . || die sync
dd if="$top/million" of=name.new bs=1000 status=none
mv name.new name
t sync . || die "fsync of the folder"
power_off
mounted
cmp "$top/million" synced || die "fsync is lost"
cmp -n 81920 "$top/million" each || die "O_DSYNC is lost"
[ "$(stat -c %s each)" = 81920 ] || die "O_DSYNC: $(stat -c %s each)"
cmp "$top/million" closed || die "closed, then sync: lost"
cmp "$top/million" name || die "renamed over without fsync: neither old nor new"

# no room: no write says so, but fsync, and what was there stays
dd if=/dev/zero of=fill bs=1000 count=100000 conv=fsync status=none 2>"$top/err" && die "a full disk says nothing"
grep -q "No space left" "$top/err" || die "full: $(cat "$top/err")"
cmp "$top/million" synced || die "a full disk damaged another file"
rm fill
left
mounted
cmp "$top/million" closed || die "after all that"
left
