#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The layers, by the includes: what each folder and each file of the core may include.  And the size of files.
set -u
cd "$(dirname "$0")/.." || exit 1
failed=0
fail() {
	echo "layers: $*"
	failed=1
}

# pattern of a header, folders that may include it
only() {
	hits=$(grep -rnE "^#[[:space:]]*include[[:space:]]*[<\"]($1)[>\"]" --include='*.[ch]' src tools tests |
		grep -vE "^($2)" || true)
	[ -z "$hits" ] || fail "only $2 may include $1:
$hits"
}
only '(fuse3/)?fuse[a-z_]*\.h' 'src/fuse/'
only 'libaio\.h' 'src/bufio/|tests/bufio/'
only 'blkid/blkid\.h|uuid/uuid\.h|json-c/.*' 'tools/'
only '(client|cache|pool|lru|writeback|engine|engine_file)\.h' 'src/bufio/|tests/bufio/'

# bufio knows no filesystem
for h in src/fs/*.h; do
	h=$(basename "$h")
	hits=$(grep -rnE "^#include \"$h\"" src/bufio || true)
	[ -z "$hits" ] || fail "bufio includes the filesystem: $hits"
done

# core: header, then the files that may not include it, being below it
below() {
	header=$1
	shift
	for f in "$@"; do
		for x in src/fs/$f.c src/fs/$f.h; do
			if [ -f "$x" ] && grep -q "^#include \"$header\"" "$x"; then
				fail "$x is below $header and includes it"
			fi
		done
	done
}
log='log log_callers log_checkpoint log_commit log_live log_overlay log_record log_recover log_start'
low="meta super $log held group txn balloc bitmap group crc btree ialloc"
# shellcheck disable=SC2086
{
	below namei.h $low bmap inode inode_disk extents dir dir_block dir_index dir_space file_behind file_data read write truncate symlink
	below dir.h $low bmap inode extents file_behind file_data read write truncate
	below file.h $low bmap inode_disk extents
	below xattr.h $low bmap inode inode_disk extents dir dir_block dir_index dir_space xattr_record
	below acl.h $low bmap inode inode_disk extents dir file_behind file_data read write truncate xattr_store xattr_value xattr_free
	below bmap.h $low
	below inode.h $low
	below ialloc.h meta super $log held txn balloc bitmap crc btree
	below balloc.h meta $log held txn bitmap crc
	below btree.h meta txn balloc bitmap crc ialloc
	below txn.h meta super $log held bitmap crc
	below held.h meta super $log bitmap crc
	below log.h meta super bitmap crc
}

# no mutable variable at file level
hits=$(grep -nE '^(static )?(volatile )?(_Atomic )?(unsigned|int|bool|size_t|uint[0-9]+_t|char|struct [a-z_]+|pthread_[a-z]+_t)( |	)\**[a-z_]+(\[[^]]*\])?( = .*)?;' \
	src/bufio/*.c src/fs/*.c | grep -v const || true)
[ -z "$hits" ] || fail "mutable variables at file level:
$hits"

# files that can be read at once
hits=$(find src tools tests -name '*.[ch]' -exec awk 'FNR == 600 {print FILENAME}' {} +)
[ -z "$hits" ] || fail "600 lines or more:
$hits"
exit $failed
