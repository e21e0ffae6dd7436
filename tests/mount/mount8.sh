#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# mount(8), umount(8) and fstab find the helpers where they are installed, and their options work.
. "$(dirname "$0")/lib.sh"
need_root

# an installation, seen at its place in this mount namespace only
DESTDIR=$top/dest meson install -C "$BIN" --no-rebuild --quiet || die install
for d in usr/bin usr/sbin usr/local/bin usr/local/sbin; do
	[ ! -d "$top/dest/$d" ] || mount -t overlay -o "lowerdir=$top/dest/$d:/$d" overlay "/$d" || skip "no overlay"
done
mount -t tmpfs tmpfs /run
mknod -m 666 "$top/fuse" c 10 229
mount --bind "$top/fuse" /dev/fuse
# A minimal Debian has neither; without mtab fusermount3 cannot unmount.
mkdir "$top/etc"
ln -s /proc/self/mounts "$top/etc/mtab"
touch "$top/etc/fstab" "$top/fstab"
mount -t overlay -o "lowerdir=/etc:$top/etc" overlay /etc || skip "no overlay"
[ -e /sbin/mount.fuse.bufs ] || die "the helper is not where mount(8) looks"

options() {
	awk -v m="$mnt" '$2 == m {print $1, $3, $4}' /proc/mounts
}
# options for mount(8), pattern of what the mount table then says
mounted_with() {
	t mount -t fuse.bufs -o "$1" "$img" "$mnt" || die "mount -o $1"
	options | grep -q -E -e "$2" || die "-o $1: $(options)"
	t umount "$mnt" || die "umount, -o $1"
	case $2 in
	*fuseblk*) wait_free "$img" ;; # all is written, says the kernel; the daemon may still be ending
	*) flock -s -n "$img" true || die "umount does not wait, -o $1" ;;
	esac
}
t mkfs.bufs -q "$img" 64M || die mkfs
mounted_with defaults "^$img fuse.bufs rw,"
mounted_with ro "fuse.bufs ro,"
mounted_with noatime noatime
for o in nosuid nodev noexec sync dirsync; do
	mounted_with $o "rw,.*$o"
done
mounted_with suid,dev,exec,async,rw "fuse.bufs rw,relatime,user_id"
mounted_with nofail,_netdev,noauto,auto,x-systemd.automount,x-a=b,X-mount.mkdir,comment=c rw
mounted_with loop "^/dev/loop[0-9]+ fuseblk.bufs rw"
mounted_with strictatime,nodiratime,lazytime rw
mounted_with cache=8M,commit=1,threads=1 rw
refused 1 "unknown option 'nonsense'" t mount -t fuse.bufs -o nonsense "$img" "$mnt"
refused 32 "holds no bufs" t mount -t fuse.bufs "$BIN/src/fuse/bufs" "$mnt"
t mount -f -t fuse.bufs "$img" "$mnt" || die "mount -f"
[ -z "$(options)" ] || die "mount -f has mounted"
t mount -t fuse.bufs "$img" "$mnt" || die mount
refused 32 "already mounted" t mount -t fuse.bufs "$img" "$mnt"
exec 9<"$mnt"
refused 32 "mnt: is in use" t umount "$mnt"
exec 9<&-
t umount "$mnt" || die umount

# remount: what the kernel does by itself is done, all else must be as it is
t mount -t fuse.bufs -o nosuid,commit=3 "$img" "$mnt" || die mount
echo old >"$mnt/file"
exec 9>>"$mnt/file"
refused 32 "files are open for writing" t mount -o remount,ro "$mnt"
exec 9>&-
options | grep -q "rw,nosuid" || die "a refused remount: $(options)"
t mount -o remount,ro "$mnt" || die "remount,ro"
options | grep -q "ro,nosuid" || die "remount,ro: $(options)"
refused 1 "Read-only" touch "$mnt/file"
t mount -o remount,rw "$mnt" || die "remount,rw"
echo new >"$mnt/file" || die "not writable after remount,rw"
options | grep -q "rw,nosuid" || die "remount,rw: $(options)"
t mount -o remount,nodev,suid,commit=3,x-a=b,nofail "$mnt" || die "remount,nodev,suid"
options | grep -q "rw,nodev" || die "remount,nodev,suid: $(options)"
for o in commit=1 noatime strictatime sync dirsync nonsense cache=1M errors=panic; do
	refused 32 "'$o' cannot be changed" t mount -o "remount,$o,ro" "$mnt"
	options | grep -q "rw,nodev" || die "a refused remount of $o: $(options)"
done
refused 32 "no bufs filesystem is mounted there" t mount -t fuse.bufs -o remount,ro "$img" "$top"
# read-only means durable, too, and reading changes no time then
seq 100000 >"$mnt/read"
touch -d @1000 "$mnt/read"
t mount -o remount,ro "$mnt" || die "remount,ro"
dd if="$mnt/read" iflag=nocache count=0 status=none
sum=$(md5sum <"$mnt/read")
[ "$sum" = "$(seq 100000 | md5sum)" ] || die "remount,ro: contents"
t mount -o remount,rw "$mnt" || die "remount,rw"
t umount "$mnt" || die umount
t mount -t fuse.bufs "$img" "$mnt" || die mount
[ "$(stat -c %X "$mnt/read")" = 1000 ] || die "reading changed the access time after remount,ro"
t mount -o remount,ro "$mnt" || die "remount,ro"
t mount -o remount,rw "$mnt" || die "remount,rw"
dd if="$mnt/read" iflag=nocache count=0 status=none
cat "$mnt/read" >"$top/read"
[ "$(stat -c %X "$mnt/read")" -gt 1000 ] || die "reading does not change the access time after remount,rw"
t mount -o remount,ro "$mnt" || die "remount,ro"
kill -9 "$(daemon_of "$img")" || die kill
t umount "$mnt" || die "umount after the daemon's death"
wait_free "$img"
t mount -t fuse.bufs -o ro,noatime "$img" "$mnt" || die "mount -o ro"
[ "$(cat "$mnt/file")" = new ] || die "remount,ro loses data: $(cat "$mnt/file")"
refused 32 "was mounted read-only" t mount -o remount,rw "$mnt"
t mount -o remount,noatime,nosuid "$mnt" || die "remount of what is mounted ro"
options | grep -q "ro,nosuid,noatime" || die "remount of what is mounted ro: $(options)"
t umount "$mnt" || die umount

# with strictatime every reader is seen, also of what the kernel could have in its cache
unseen() {
	touch -h -a -d @1000 "$mnt/file" "$mnt/link" "$mnt"
	touch -h -m -d @500 "$mnt/file" "$mnt"
	cat "$mnt/file" >"$top/read"
	readlink "$mnt/link" >"$top/read"
	ls "$mnt" >"$top/read"
	for f in "$mnt/file" "$mnt/link" "$mnt"; do
		[ "$(stat -c %X "$f")" -gt 1000 ] || echo "$f"
	done
}
t mount -t fuse.bufs -o strictatime "$img" "$mnt" || die "mount -o strictatime"
ln -s target "$mnt/link"
for round in 1 2 3; do
	[ -z "$(unseen)" ] || die "strictatime, round $round: nobody has read $(unseen)"
done
rm "$mnt/link"
t umount "$mnt" || die umount

# a device, by its own type too
need_loop
for type in fuse.bufs fuseblk.bufs; do
	t mount -t $type "$loop" "$mnt" || die "mount -t $type"
	options | grep -q "^$loop fuseblk.bufs rw,relatime" || die "$type: $(options)"
	t umount "$mnt" || die "umount $type"
done

# fstab: mount -a, and a mount of an ordinary user
chown -R 65534:65534 "$mnt" "$img"
echo "$img $mnt fuse.bufs nofail,noatime 0 0" >"$top/fstab"
mount --bind "$top/fstab" /etc/fstab
t mount -a || die "mount -a"
options | grep -q "^$img fuse.bufs rw,noatime" || die "mount -a: $(options)"
t umount -a -t fuse.bufs || die "umount -a"
[ -z "$(options)" ] || die "umount -a has left it"
echo "$img $mnt fuse.bufs noauto,user 0 0" >"$top/fstab"
user() {
	setpriv --reuid=65534 --regid=65534 --clear-groups timeout -k 5 100 "$@"
}
user mount "$mnt" || die "mount of a user"
options | grep -q "^$img fuse.bufs rw,nosuid,nodev,noexec,.*user_id=65534" || die "user: $(options)"
user umount "$mnt" || die "umount of a user"
flock -s -n "$img" true || die "umount of a user does not wait"
clean "$img"

# systemd: the unit it makes of a line of fstab is one, and mounts as it would
generator=/usr/lib/systemd/system-generators/systemd-fstab-generator
[ -x $generator ] && command -v systemd-analyze >/dev/null || exit 0
echo "$img $mnt fuse.bufs nofail,noatime,x-systemd.automount,x-systemd.idle-timeout=60,_netdev 0 0" >"$top/fstab"
mkdir "$top/units"
SYSTEMD_FSTAB=$top/fstab $generator "$top/units" "$top/units" "$top/units" || die "the generator"
unit=$top/units/$(systemd-escape -p --suffix=mount "$mnt")
t systemd-analyze verify --man=no --recursive-errors=no "$unit" 2>"$top/err" || die "verify: $(cat "$top/err")"
of_unit() {
	sed -n "s/^$1=//p" "$unit"
}
t mount "$(of_unit What)" "$(of_unit Where)" -t "$(of_unit Type)" -o "$(of_unit Options)" || die "mount as systemd"
options | grep -q "^$img fuse.bufs rw,noatime" || die "mount as systemd: $(options)"
t umount "$mnt" || die "umount as systemd"
clean "$img"
