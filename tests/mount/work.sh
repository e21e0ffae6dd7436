#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# work.sh TREE SOURCES: what people do in a filesystem, done in the current folder, a mount: unpack the
# tree, build the project at SOURCES, git, SQLite, cp -a, rm -rf.  Fails with the first that fails.
set -eu
tree=$1 sources=$2
export HOME="$PWD"
step() {
	echo "$(date +%T) $*"
}
step "unpack"
mkdir tree
tar -C "$tree" --format=posix -cf - . | tar -C tree -xpf -

step "build a C project"
mkdir project
(cd "$sources" && tar -cf - meson* README.md docs src tests tools) | tar -C project -xf -
meson setup project/build project >build.log || { cat build.log; exit 1; }
ninja -C project/build src/fuse/bufs tools/mkfs.bufs tests/fs/test_format >build.log || { cat build.log; exit 1; }
project/build/tests/fs/test_format >/dev/null
project/build/tools/mkfs.bufs -q made.img 16M

step "git"
git config --global user.name test
git config --global user.email test@example.org
git init -q project
git -C project add .
git -C project commit -q -m first
git -C project gc -q
git -C project fsck --full --strict --no-progress
[ -z "$(git -C project status --porcelain)" ]

step "SQLite"
for mode in delete wal; do
	sqlite3 "$mode.db" "PRAGMA journal_mode=$mode; CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
		INSERT INTO t SELECT i, hex(randomblob(50)) FROM n;" >/dev/null
	for i in 1 2 3 4 5; do
		sqlite3 "$mode.db" "UPDATE t SET v = 'x' WHERE id % 5 = $i - 1; DELETE FROM t WHERE id = -$i;"
	done
	[ "$(sqlite3 "$mode.db" 'PRAGMA integrity_check; SELECT count(*), count(DISTINCT v) FROM t;' | tr '\n' ' ')" = "ok 10000|1 " ]
done

step "cp -a, rm -rf"
cp -a tree copy
diff -r --no-dereference tree copy
cp -a copy/usr/include second 2>/dev/null || cp -a copy/made second
rm -rf copy
[ ! -e copy ]
step "done"
