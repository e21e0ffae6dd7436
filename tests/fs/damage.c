/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of damages, see damage.h. */
#include "damage.h"

#include <check.h>
#include <string.h>
#include <sys/stat.h>

#define SIDE(field) offsetof(struct disk_inode, field), sizeof(((struct disk_inode *)0)->field)
#define GROUP(field)                                                                               \
	32 + offsetof(struct disk_group, field), sizeof(((struct disk_group *)0)->field)
#define GROUP1(field)                                                                              \
	64 + offsetof(struct disk_group, field), sizeof(((struct disk_group *)0)->field)
#define STATE offsetof(struct disk_super, state), 4
#define TAIL  ((unsigned)offsetof(struct disk_inode, tail))

static void two_extents_overlap(struct craft *c)
{
	craft_set_inode(c, I_EXTENTS, TAIL + 16, 6, 2);
}

static void extent_is_anothers(struct craft *c)
{
	craft_set_inode(c, I_PREALLOC, TAIL + 6, 6, c->block[B_DATA]);
}

static void extent_is_a_tree_node(struct craft *c)
{
	craft_set_inode(c, I_EXTENTS, TAIL + 6, 6, c->block[B_TREE] - 1);
}

static void extent_is_a_directory(struct craft *c)
{
	craft_set_inode(c, I_EXTENTS, TAIL + 6, 6, c->block[B_DIR]);
}

static void extent_is_an_index(struct craft *c)
{
	craft_set_inode(c, I_EXTENTS, TAIL + 6, 6, c->block[B_INDEX]);
}

static void extent_is_attributes(struct craft *c)
{
	craft_set_inode(c, I_EXTENTS, TAIL + 6, 6, c->block[B_XATTR0]);
}

static void extent_is_a_symlink(struct craft *c)
{
	craft_set_inode(c, I_EXTENTS, TAIL + 6, 6, c->block[B_SYM0]);
}

static void extent_twice_in_one(struct craft *c)
{
	craft_set_inode(c, I_EXTENTS, TAIL + 16 + 6, 6, c->block[B_DATA]);
}

static void directory_extent_is_anothers(struct craft *c)
{
	craft_set_inode(c, I_BIG, TAIL + 6, 6, c->block[B_DATA]);
}

static void leaf_extents_out_of_order(struct craft *c)
{
	craft_set_block(c, c->block[B_TREE_LEAF], 40, 6, 3);
}

static void attribute_chain_is_a_circle(struct craft *c)
{
	craft_set_block(c, c->block[B_XATTR1], 32, 8, c->block[B_XATTR0]);
}

static void value_chain_is_a_circle(struct craft *c)
{
	craft_set_block(c, c->block[B_VALUE0], 32, 8, c->block[B_VALUE0]);
}

static void attribute_names_are_equal(struct craft *c)
{
	uint8_t data[1024];

	craft_peek(c, c->block[B_XATTR0], data);
	craft_poke(c, c->block[B_XATTR1], 48, data + 48, 30);
	craft_set_block(c, c->block[B_XATTR1], 49, 1, 6);
}

static void directory_in_itself(struct craft *c)
{
	/* "sub" becomes "dir" itself; nobody names I_SUB */
	craft_set_block(c, c->block[B_DIR], 32, 6, I_DIR);
}

static void directories_in_a_circle(struct craft *c)
{
	/* I_SUB names I_DIR, the root does not */
	struct disk_inode d;
	const char *name = "up";

	craft_get_inode(c, I_SUB, &d);
	bytes_put(d.tail, 6, I_DIR);
	d.tail[6] = 2;
	d.tail[7] = 4;
	memcpy(d.tail + 10, name, 2);
	d.nr_entries = le32_make(1);
	d.nlink = le32_make(3);
	craft_put_inode(c, I_SUB, &d);
	craft_set_inode(c, I_DIR, SIDE(parent), I_SUB);
}

/* Offset of the root's entry for ino. */
unsigned root_entry(struct craft *c, uint64_t ino)
{
	uint8_t data[1024];
	unsigned o = 32;

	craft_peek(c, c->block[B_ROOT], data);
	while (o < sizeof(data) && bytes_get(data + o, 6) != ino)
		o += (unsigned)bytes_get(data + o + 8, 2);
	ck_assert_uint_lt(o, sizeof(data));
	return o;
}

static void circle_out_of_reach(struct craft *c)
{
	directories_in_a_circle(c);
	craft_set_block(c, c->block[B_ROOT], root_entry(c, I_DIR), 6, 0);
	craft_set_inode(c, I_ROOT, SIDE(nr_entries), 13);
	craft_set_inode(c, I_ROOT, SIDE(nlink), 5);
}

void name_of_a_file_is_gone(struct craft *c)
{
	craft_set_block(c, c->block[B_ROOT], root_entry(c, I_TREE), 6, 0);
}

void name_of_a_directory_is_gone(struct craft *c)
{
	craft_set_block(c, c->block[B_ROOT], root_entry(c, I_BIG), 6, 0);
}

void name_of_a_free_inode(struct craft *c)
{
	craft_set_block(c, c->block[B_ROOT], root_entry(c, I_FIFO), 6, I_FREE);
}

static void name_of_an_unwritten_inode(struct craft *c)
{
	craft_set_block(c, c->block[B_ROOT], root_entry(c, I_FIFO), 6, 60);
}

static void name_of_no_inode(struct craft *c)
{
	craft_set_block(c, c->block[B_ROOT], root_entry(c, I_FIFO), 6, 100000);
}

static void name_of_the_root(struct craft *c)
{
	craft_set_block(c, c->block[B_ROOT], root_entry(c, I_FIFO), 6, I_ROOT);
}

static void second_name_of_a_directory(struct craft *c)
{
	craft_set_block(c, c->block[B_ROOT], root_entry(c, I_FIFO), 6, I_BIG);
}

static void entry_type_wrong(struct craft *c)
{
	craft_set_block(c, c->block[B_ROOT], root_entry(c, I_FIFO) + 7, 1, 8);
}

static void name_with_a_slash(struct craft *c)
{
	craft_set_block(c, c->block[B_ROOT], root_entry(c, I_FIFO) + 11, 1, '/');
}

static void name_is_dot_dot(struct craft *c)
{
	craft_set_block(c, c->block[B_ROOT], root_entry(c, I_SYM) + 6, 1, 2);
	craft_set_block(c, c->block[B_ROOT], root_entry(c, I_SYM) + 10, 2, 0x2e2e);
}

static void entry_runs_over_the_end(struct craft *c)
{
	craft_set_block(c, c->block[B_ROOT], root_entry(c, I_CHR) + 8, 2, 2000);
}

static void entry_length_is_zero(struct craft *c)
{
	craft_set_block(c, c->block[B_ROOT], root_entry(c, I_CHR) + 8, 2, 0);
}

static void name_twice(struct craft *c)
{
	/* "tree" becomes "fifo" */
	unsigned o = root_entry(c, I_TREE);

	craft_set_block(c, c->block[B_ROOT], o + 10, 4, 0x6f666966);
}

static void name_twice_in_big(struct craft *c)
{
	/* the last digit of the first name */
	craft_set_block(c, c->block[B_BIG0], 32 + 10 + 14, 1, '1');
}

static void name_without_key(struct craft *c)
{
	craft_set_block(c, c->block[B_BIG0], 32 + 10 + 14, 1, 'z');
}

static void orphan_with_blocks(struct craft *c)
{
	craft_set_block(c, c->block[B_ROOT], root_entry(c, I_TREE), 6, 0);
	craft_set_inode(c, I_ROOT, SIDE(nr_entries), 13);
	craft_set_inode(c, I_TREE, SIDE(nlink), 0);
}

static void orphan_directory(struct craft *c)
{
	craft_set_block(c, c->block[B_DIR], 32, 6, 0);
	craft_set_inode(c, I_DIR, SIDE(nr_entries), 0);
	craft_set_inode(c, I_DIR, SIDE(nlink), 2);
	craft_set_inode(c, I_SUB, SIDE(nlink), 0);
}

static void truncation_is_pending(struct craft *c)
{
	craft_set_inode(c, I_PREALLOC, SIDE(state), INODE_STATE_TRUNCATE);
}

static void group1_looks_unwritten(struct craft *c)
{
	craft_set_block(c, 1, GROUP1(flags), GROUP_BLOCKS_UNINIT | GROUP_INODES_UNINIT);
}

static void super_copy_is_old(struct craft *c)
{
	uint8_t data[1024];
	uint64_t home = c->block[B_COPY];

	craft_set_super(c, 88, 1, 'C');
	craft_peek(c, home, data);
	data[88] = 'x';
	bytes_put(data + 24, 8, 1);
	craft_poke(c, home, 0, data, sizeof(data));
}

static void all_descriptors_and_bitmaps(struct craft *c)
{
	uint8_t noise[1024];

	memset(noise, 0x5a, sizeof(noise));
	for (unsigned b = B_GDT; b <= B_INODES1; b++)
		craft_poke(c, c->block[b], 0, noise, sizeof(noise));
}

static void a_table_block_of_noise(struct craft *c)
{
	uint8_t noise[1024];

	memset(noise, 0xa5, sizeof(noise));
	craft_poke(c, geo_inode_block(&c->geo, I_DIR), 0, noise, sizeof(noise));
}

void everything_at_once(struct craft *c)
{
	name_twice_in_big(c);
	extent_is_a_tree_node(c);
	attribute_chain_is_a_circle(c);
	second_name_of_a_directory(c);
	a_table_block_of_noise(c);
	all_descriptors_and_bitmaps(c);
}

const struct damage damages[] = {
	{"magic of block 0", "super-bad", SMASH, B_SUPER, 0, 4, 1, NULL},
	{"crc of block 0", "super-bad", SMASH, B_SUPER, 100, 1, 1, NULL},
	{"magic of the copy", "super-copy-bad", SMASH, B_COPY, 0, 4, 1, NULL},
	{"an old copy", "super-copy-bad", FUNCTION, 0, 0, 0, 0, super_copy_is_old},
	{"not unmounted", "unclean", SUPER, 0, STATE, 0, NULL},
	{"errors recorded", "errors-recorded", SUPER, 0, STATE, 3, NULL},
	{"state", "super-state", SUPER, 0, STATE, 17, NULL},
	{"label without end", "super-text", SUPER, 0, 88 + 63, 1, 'x', NULL},
	{"descriptors' crc", "gdt-bad", SMASH, B_GDT, 40, 1, 99, NULL},
	{"descriptors' magic", "gdt-bad", BLOCK, B_GDT, 0, 4, 7, NULL},
	{"mark too low", "group-itable-mark", BLOCK, B_GDT, GROUP(itable_mark), 4, NULL},
	{"mark no multiple", "group-itable-mark", BLOCK, B_GDT, GROUP(itable_mark), 21, NULL},
	{"mark too high", "group-itable-mark", BLOCK, B_GDT, GROUP(itable_mark), 1000, NULL},
	{"free blocks", "group-free-blocks", BLOCK, B_GDT, GROUP(free_blocks), 5, NULL},
	{"free inodes", "group-free-inodes", BLOCK, B_GDT, GROUP(free_inodes), 5, NULL},
	{"directories", "group-nr-dirs", BLOCK, B_GDT, GROUP(nr_dirs), 7, NULL},
	{"orphans", "group-nr-orphans", BLOCK, B_GDT, GROUP(nr_orphans), 1, NULL},
	{"group flags", "group-flags", BLOCK, B_GDT, GROUP(flags), 1, NULL},
	{"inode flags of a group", "group-flags", BLOCK, B_GDT, GROUP(flags), 2, NULL},
	{"unknown group flags", "group-flags", BLOCK, B_GDT, GROUP(flags), 16, NULL},
	{"group 1 unwritten", "group-flags", FUNCTION, 0, 0, 0, 0, group1_looks_unwritten},
	{"block bitmap crc", "block-bitmap-bad", SMASH, B_BLOCKS0, 500, 1, 1, NULL},
	{"block bitmap leak", "block-bitmap-leak", BLOCK, B_BLOCKS0, 932, 1, 1, NULL},
	{"block bitmap missing", "block-bitmap-missing", BLOCK, B_BLOCKS0, 32, 1, 0, NULL},
	{"block bitmap tail", "block-bitmap-tail", BLOCK, B_BLOCKS1, 1023, 1, 0, NULL},
	{"inode bitmap crc", "inode-bitmap-bad", SMASH, B_INODES1, 500, 1, 1, NULL},
	{"inode bitmap leak", "inode-bitmap-leak", BLOCK, B_INODES1, 32, 1, 3, NULL},
	{"inode bitmap missing", "inode-bitmap-missing", BLOCK, B_INODES0, 33, 1, 0, NULL},
	{"inode bitmap tail", "inode-bitmap-tail", BLOCK, B_INODES0, 1000, 1, 0, NULL},
	{"log crc", "log-block", SMASH, B_LOG, 40, 1, 9, NULL},
	{"log tail", "log-block", BLOCK, B_LOG, 40, 4, 999, NULL},
	{"log sequence", "log-block", BLOCK, B_LOG, 32, 8, UINT64_C(1) << 63, NULL},
	{"inode crc", "inode-crc", SMASH_INODE, I_TREE, SIDE(uid), 1, NULL},
	{"root crc", "root-bad", SMASH_INODE, I_ROOT, SIDE(uid), 1, NULL},
	{"root is a file", "root-bad", INODE, I_ROOT, SIDE(mode), S_IFREG | 0644, NULL},
	{"mode", "inode-mode", INODE, I_FIFO, SIDE(mode), 0x3000, NULL},
	{"format", "inode-format", INODE, I_TREE, SIDE(data_format), 9, NULL},
	{"format of a fifo", "inode-format", INODE, I_FIFO, SIDE(data_format), 1, NULL},
	{"format of a symlink", "inode-format", INODE, I_SYM, SIDE(data_format), 7, NULL},
	{"format of a directory", "inode-format", INODE, I_DIR, SIDE(data_format), 7, NULL},
	{"directory without data", "dir-no-blocks", INODE, I_DIR, SIDE(data_format), 0, NULL},
	{"attribute bytes", "inode-xattr-bytes", INODE, I_INLINE, SIDE(xattr_bytes), 3, NULL},
	{"attribute bytes past the tail", "inode-xattr-bytes", INODE, I_DIR_INLINE,
	 SIDE(xattr_bytes), 200, NULL},
	{"attributes where names are", "xattr-inline-bad", INODE, I_DIR_INLINE, SIDE(xattr_bytes),
	 20, NULL},
	{"nlink too high", "inode-nlink", INODE, I_EXTENTS, SIDE(nlink), 1000, NULL},
	{"nlink too low", "inode-nlink", INODE, I_INLINE, SIDE(nlink), 1, NULL},
	{"nlink 0", "inode-nlink", INODE, I_TREE, SIDE(nlink), 0, NULL},
	{"nlink of a directory", "inode-nlink", INODE, I_DIR, SIDE(nlink), 1, NULL},
	{"flags", "inode-flags", INODE, I_INLINE, SIDE(flags), 0x80000000, NULL},
	{"names", "dir-nr-entries", INODE, I_BIG, SIDE(nr_entries), 3, NULL},
	{"names of a file", "inode-unused-field", INODE, I_INLINE, SIDE(nr_entries), 3, NULL},
	{"size of a file", "inode-size", INODE, I_HOLE, SIDE(size), UINT64_MAX, NULL},
	{"size of inline", "inode-size", INODE, I_INLINE, SIDE(size), 1000, NULL},
	{"size of a fifo", "inode-size", INODE, I_FIFO, SIDE(size), 1, NULL},
	{"rest of inline", "inode-inline-rest", INODE, I_INLINE, SIDE(size), 3, NULL},
	{"size below the blocks", "extent-past-size", INODE, I_EXTENTS, SIDE(size), 100, NULL},
	{"size of a tree", "extent-past-size", INODE, I_TREE, SIDE(size), 20480, NULL},
	{"size of a directory", "dir-size", INODE, I_BIG, SIDE(size), 1024, NULL},
	{"size of an inline directory", "dir-size", INODE, I_SUB, SIDE(size), 7, NULL},
	{"size of a symlink", "symlink-bad", INODE, I_SYM, SIDE(size), 0, NULL},
	{"size of a long symlink", "symlink-bad", INODE, I_SYM_LONG, SIDE(size), 4000, NULL},
	{"blocks", "inode-blocks", INODE, I_TREE, SIDE(blocks), 1, NULL},
	{"blocks of nothing", "inode-blocks", INODE, I_FIFO, SIDE(blocks), UINT64_MAX, NULL},
	{"time", "inode-time", INODE, I_INLINE, SIDE(mtime), 0x3fffffff, NULL},
	{"attribute block", "xattr-block-bad", INODE, I_INLINE, SIDE(xattr_block), 3, NULL},
	{"special of a file", "inode-unused-field", INODE, I_INLINE, SIDE(special), 3, NULL},
	{"index of an inline directory", "dir-index-bad", INODE, I_SUB, SIDE(special), 500, NULL},
	{"index root", "dir-index-bad", INODE, I_BIG, SIDE(special), 999999, NULL},
	{"no index", "dir-index-keys", INODE, I_BIG, SIDE(special), 0, NULL},
	{"parent", "dir-parent", INODE, I_SUB, SIDE(parent), 1, NULL},
	{"impossible parent", "dir-parent", INODE, I_SUB, SIDE(parent), UINT64_MAX, NULL},
	{"parent of the root", "dir-parent", INODE, I_ROOT, SIDE(parent), 5, NULL},
	{"parent of a file", "inode-unused-field", INODE, I_INLINE, SIDE(parent), 5, NULL},
	{"state", "inode-state", INODE, I_INLINE, SIDE(state), 6, NULL},
	{"truncation of a directory", "inode-state", INODE, I_DIR, SIDE(state), 1, NULL},
	{"free inode", "free-inode-not-zero", INODE, I_FREE, SIDE(uid), 6, NULL},
	{"truncation", "truncate-pending", FUNCTION, 0, 0, 0, 0, truncation_is_pending},
	{"extent out of range", "extent-bad", INODE, I_EXTENTS, TAIL + 6, 6, 1 << 20, NULL},
	{"extent in the table", "extent-bad", INODE, I_EXTENTS, TAIL + 6, 6, 5, NULL},
	{"extent in the log", NULL, INODE, I_EXTENTS, TAIL + 6, 6, 310, NULL},
	{"extent flags", "extent-bad", INODE, I_EXTENTS, TAIL + 15, 1, 0x80, NULL},
	{"extents overlap", "extent-bad", FUNCTION, 0, 0, 0, 0, two_extents_overlap},
	{"hole in a directory", "dir-hole", INODE, I_BIG, TAIL, 6, 1, NULL},
	{"unwritten directory", "dir-hole", INODE, I_DIR, TAIL + 15, 1, 1, NULL},
	{"two files, one block", "block-claimed-twice", FUNCTION, 0, 0, 0, 0, extent_is_anothers},
	{"one file, twice", "block-claimed-twice", FUNCTION, 0, 0, 0, 0, extent_twice_in_one},
	{"a tree's block", "block-claimed-twice", FUNCTION, 0, 0, 0, 0, extent_is_a_tree_node},
	{"a directory's block", "block-claimed-twice", FUNCTION, 0, 0, 0, 0, extent_is_a_directory},
	{"an index's block", "block-claimed-twice", FUNCTION, 0, 0, 0, 0, extent_is_an_index},
	{"attributes' block", "block-claimed-twice", FUNCTION, 0, 0, 0, 0, extent_is_attributes},
	{"a symlink's block", "block-claimed-twice", FUNCTION, 0, 0, 0, 0, extent_is_a_symlink},
	{"a directory with a file's block", "dir-block-bad", FUNCTION, 0, 0, 0, 0,
	 directory_extent_is_anothers},
	{"tree root crc", "tree-bad", SMASH, B_TREE, 60, 1, 1, NULL},
	{"tree leaf crc", "tree-bad", SMASH, B_TREE_LEAF, 60, 1, 1, NULL},
	{"tree owner", "tree-bad", BLOCK, B_TREE_LEAF, 16, 8, 3, NULL},
	{"tree block number", "tree-bad", BLOCK, B_TREE_LEAF, 8, 8, 3, NULL},
	{"tree level", "tree-bad", BLOCK, B_TREE, 32, 2, 200, NULL},
	{"tree leaf level", "tree-bad", BLOCK, B_TREE_LEAF, 32, 2, 1, NULL},
	{"tree count", "tree-bad", BLOCK, B_TREE_LEAF, 34, 2, 500, NULL},
	{"tree count 0", "tree-bad", BLOCK, B_TREE_LEAF, 34, 2, 0, NULL},
	{"tree key", "tree-bad", BLOCK, B_TREE, 56, 8, 7, NULL},
	{"tree child", "tree-bad", BLOCK, B_TREE, 64, 8, 1, NULL},
	{"tree child outside", "tree-bad", BLOCK, B_TREE, 64, 8, UINT64_MAX, NULL},
	{"extents out of order", "tree-bad", FUNCTION, 0, 0, 0, 0, leaf_extents_out_of_order},
	{"index crc", "dir-index-bad", SMASH, B_INDEX, 60, 1, 1, NULL},
	{"index leaf crc", "dir-index-bad", SMASH, B_INDEX_LEAF, 60, 1, 1, NULL},
	{"index key", "dir-index-keys", BLOCK, B_INDEX_LEAF, 40, 8, 5, NULL},
	{"index key missing", "dir-index-keys", BLOCK, B_INDEX_LEAF, 34, 2, 50, NULL},
	{"directory crc", "dir-block-crc", SMASH, B_ROOT, 4, 1, 1, NULL},
	{"directory magic", "dir-block-bad", SMASH, B_DIR, 0, 4, 1, NULL},
	{"directory owner", "dir-block-bad", BLOCK, B_DIR, 16, 8, 1, NULL},
	{"block of a big directory", "dir-block-bad", SMASH, B_BIG3, 0, 4, 1, NULL},
	{"entry length", "dir-entries", FUNCTION, 0, 0, 0, 0, entry_length_is_zero},
	{"entry past the end", "dir-entries", FUNCTION, 0, 0, 0, 0, entry_runs_over_the_end},
	{"inline entries", "dir-entries", INODE, I_SUB, TAIL + 8, 2, 1, NULL},
	{"free inode named", "dirent-free", FUNCTION, 0, 0, 0, 0, name_of_a_free_inode},
	{"unwritten inode named", "dirent-free", FUNCTION, 0, 0, 0, 0, name_of_an_unwritten_inode},
	{"no inode named", "dirent-ino", FUNCTION, 0, 0, 0, 0, name_of_no_inode},
	{"root named", "dirent-dir", FUNCTION, 0, 0, 0, 0, name_of_the_root},
	{"directory in itself", "dirent-dir", FUNCTION, 0, 0, 0, 0, directory_in_itself},
	{"directory named twice", "dirent-dir", FUNCTION, 0, 0, 0, 0, second_name_of_a_directory},
	{"entry type", "dirent-type", FUNCTION, 0, 0, 0, 0, entry_type_wrong},
	{"slash", "dirent-name", FUNCTION, 0, 0, 0, 0, name_with_a_slash},
	{"dot dot", "dirent-name", FUNCTION, 0, 0, 0, 0, name_is_dot_dot},
	{"name twice", "dirent-twice", FUNCTION, 0, 0, 0, 0, name_twice},
	{"name twice, index", "dirent-twice", FUNCTION, 0, 0, 0, 0, name_twice_in_big},
	{"name without key", "dir-index-keys", FUNCTION, 0, 0, 0, 0, name_without_key},
	{"directory below itself and root", "dirent-dir", FUNCTION, 0, 0, 0, 0,
	 directories_in_a_circle},
	{"circle out of reach", "dir-cycle", FUNCTION, 0, 0, 0, 0, circle_out_of_reach},
	{"file without name", "inode-unreachable", FUNCTION, 0, 0, 0, 0, name_of_a_file_is_gone},
	{"directory without name", "dir-unreachable", FUNCTION, 0, 0, 0, 0,
	 name_of_a_directory_is_gone},
	{"orphan", "orphan-inode", FUNCTION, 0, 0, 0, 0, orphan_with_blocks},
	{"orphan directory", "orphan-inode", FUNCTION, 0, 0, 0, 0, orphan_directory},
	{"symlink block", "symlink-bad", SMASH, B_SYM0, 60, 1, 1, NULL},
	{"symlink with NUL", "symlink-bad", BLOCK, B_SYM1, 60, 1, 0, NULL},
	{"inline attribute prefix", "xattr-inline-bad", INODE, I_XATTR, TAIL + 124, 1, 9, NULL},
	{"inline attribute length", "xattr-inline-bad", INODE, I_XATTR, TAIL + 128, 4, 500, NULL},
	{"attribute crc", "xattr-block-bad", SMASH, B_XATTR0, 60, 1, 1, NULL},
	{"second attribute block", "xattr-block-bad", SMASH, B_XATTR1, 60, 1, 1, NULL},
	{"attribute bytes in a block", "xattr-block-bad", BLOCK, B_XATTR0, 40, 4, 5000, NULL},
	{"attribute prefix", "xattr-block-bad", BLOCK, B_XATTR0, 48, 1, 0, NULL},
	{"attribute flags", "xattr-block-bad", BLOCK, B_XATTR0, 50, 2, 8, NULL},
	{"attribute value", "xattr-block-bad", BLOCK, B_XATTR0, 52, 4, 70000, NULL},
	{"attribute circle", "xattr-block-bad", FUNCTION, 0, 0, 0, 0, attribute_chain_is_a_circle},
	{"attribute twice", "xattr-block-bad", FUNCTION, 0, 0, 0, 0, attribute_names_are_equal},
	{"value crc", "xattr-block-bad", SMASH, B_VALUE1, 60, 1, 1, NULL},
	{"value length", "xattr-block-bad", BLOCK, B_VALUE1, 40, 4, 3, NULL},
	{"value circle", "xattr-block-bad", FUNCTION, 0, 0, 0, 0, value_chain_is_a_circle},
	{"table block", "inode-crc", FUNCTION, 0, 0, 0, 0, a_table_block_of_noise},
	{"descriptors and bitmaps", "gdt-bad", FUNCTION, 0, 0, 0, 0, all_descriptors_and_bitmaps},
	{"everything", "gdt-bad", FUNCTION, 0, 0, 0, 0, everything_at_once},
};
const unsigned nr_damages = sizeof(damages) / sizeof(damages[0]);

void damage_apply(struct craft *c, const struct damage *d)
{
	uint8_t raw[8];

	bytes_put(raw, d->bytes, d->value);
	switch (d->kind) {
	case BLOCK:
		craft_set_block(c, c->block[d->target], d->offset, d->bytes, d->value);
		break;
	case SMASH:
		craft_poke(c, c->block[d->target], d->offset, raw, d->bytes);
		break;
	case INODE:
		craft_set_inode(c, d->target, d->offset, d->bytes, d->value);
		break;
	case SMASH_INODE:
		craft_poke(c, geo_inode_block(&c->geo, d->target),
			   geo_inode_offset(&c->geo, d->target) + d->offset, raw, d->bytes);
		break;
	case SUPER:
		craft_set_super(c, d->offset, d->bytes, d->value);
		break;
	case FUNCTION:
		d->apply(c);
		break;
	}
}
