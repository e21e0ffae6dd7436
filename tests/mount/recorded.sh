#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# recorded.sh sqlite|git|promises|writeback: the program works on a mount whose device is recorded, and says after each commit that it was
# acknowledged.  Then the power is cut everywhere: each image opens, and has all that was acknowledged before.
. "$(dirname "$0")/lib.sh"
need_user_mount
program=$1
case $program in
sqlite) program=sqlite3 ;;
writeback) program=promises ;;
esac
command -v "$program" >/dev/null || skip "no $program"
export BUFS_RECORD="$top/record"
mkfifo "$BUFS_RECORD.marks" "$BUFS_RECORD.marked"
export HOME="$top"
times=${CRASH_LONG:+8}
times=${times:-1}
mkdir "$top/files"
# where the files of each image go: in memory, if that can be had
states=$top/states
mkdir "$states"
! am_root || mount -t tmpfs tmpfs "$states" || die tmpfs

# what is called after a commit, with the number that must be found from now on
cat >"$top/mark" <<EOF
#!/bin/sh
set -e
echo "\$1" >"$BUFS_RECORD.marks"
read -r answer <"$BUFS_RECORD.marked"
[ "\$answer" = marked ]
EOF

# what is run in the files of an image: it fails, or prints the number found
cat >"$top/sqlite" <<'EOF'
#!/bin/sh
found=$(sqlite3 db "PRAGMA integrity_check;
	SELECT count(*) FROM t HAVING count(*) = coalesce(max(id), 0) AND count(*) = (SELECT n FROM c)
		AND count(*) = (SELECT count(*) FROM t WHERE v = printf('%0900d', id * id));" 2>&1 | tr '\n' ' ')
case $found in
"ok "[0-9]*) echo "${found#ok }" | tr -d ' ' ;;
*)
	echo "SQLite finds: $found" >&2
	exit 1
	;;
esac
EOF
cat >"$top/git" <<'EOF'
#!/bin/sh
found=$(git -C repo fsck --full --strict --no-progress 2>&1) || {
	echo "git finds: $found" >&2
	exit 1
}
git -C repo rev-list --count HEAD
EOF
chmod +x "$top/mark" "$top/sqlite" "$top/git"

# a filesystem with what is in $top/files, mounted, with this option, and recorded
begin() {
	t mkfs.bufs -q -f "$img" 32M || die mkfs
	t bufs "$img" "$mnt" || die mount
	t cp -a "$top/files/." "$mnt" || die cp
	leave "$img"
	cp "$img" "$top/base" || die cp
	t bufs_recorded ${1:+-o "$1"} "$img" "$mnt" || die "recorded mount"
}
# cut everywhere: name, the program that judges
cut_all() {
	leave "$img"
	clean "$img"
	limit=100000 t crash_open "$top/base" "$BUFS_RECORD.log" "$states/tree" "$1" "$2" || die "power cuts: $1"
}

# behind: the last so many transactions may be lost.  Without a sync of the folder after the journal's removal, which
# only EXTRA asks for, SQLite may find the last one's journal again, and take it back.
run_sqlite() {
	mode=$1 synchronous=$2 behind=$3 nr=$((30 * times))
	rm -f "$top/files/db"
	sqlite3 "$top/files/db" "PRAGMA journal_mode=$mode; CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);
		CREATE TABLE c(n INTEGER); INSERT INTO c VALUES(0);" >/dev/null || die "sqlite3"
	begin
	{
		echo ".bail on"
		echo "PRAGMA synchronous=$synchronous; PRAGMA wal_autocheckpoint=8;"
		for i in $(seq $nr); do
			echo "BEGIN; INSERT INTO t VALUES($i, printf('%0900d', $i * $i)); UPDATE c SET n = $i; COMMIT;"
			echo ".shell $top/mark $((i - behind))"
		done
	} >"$top/commands"
	(cd "$mnt" && t sqlite3 db <"$top/commands" >"$top/out" 2>&1) || die "sqlite3: $(cat "$top/out")"
	[ "$(cd "$mnt" && "$top/sqlite")" = $nr ] || die "not all was done: $(cat "$top/out")"
	cut_all "sqlite-$mode-$synchronous" "$top/sqlite"
}

# git never syncs a folder: a commit is on the disk for certain when its ref has been synced under its name.
run_git() {
	export GIT_CONFIG_NOSYSTEM=1
	git config --global user.name test
	git config --global user.email test@example.org
	git config --global init.defaultBranch main
	git config --global gc.auto 0
	git config --global core.fsync all
	git config --global core.fsyncMethod fsync
	git init -q "$top/files/repo"
	git -C "$top/files/repo" commit -q --allow-empty -m 1 || die "git commit"
	begin
	cd "$mnt/repo" || die cd
	for i in $(seq 2 $((16 * times))); do
		small=$((i % 16 + 1))
		head -c $((small * small * 200)) /dev/urandom >"file$i"
		echo "$i" >>log
		t git add . || die "git add"
		t git commit -q -m "$i" || die "git commit"
		t "$top/mark" $((i - 1)) || die mark
		t sync .git/refs/heads/main || die sync
		t "$top/mark" "$i" || die mark
		[ $((i % 6)) != 0 ] || t git gc -q --prune=now || die "git gc"
	done
	cd / || die cd
	cut_all git "$top/git"
}

run_promises() {
	(cd "$top/files" && promises prepare) || die prepare
	begin "$@"
	(cd "$mnt" && t promises "$BUFS_RECORD.marks" "$BUFS_RECORD.marked") || die "promises"
	cut_all "promises${1:+-$1}" "promises check"
}

case $1 in
sqlite)
	run_sqlite delete extra 0
	run_sqlite delete full 1
	run_sqlite wal full 0
	;;
git) run_git ;;
promises) run_promises ;;
writeback) run_promises writeback ;;
esac
