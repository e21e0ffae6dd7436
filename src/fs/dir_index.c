/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hash index of a directory: a B+tree of keys hash << 32 | position / 4, one for each name.  It
 * finds candidates; whether one is the name is seen in the directory's block.  The root is in
 * inode->special.  Calls btree and dir_block.
 */
#include "dir_parts.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

uint32_t dir_hash(const struct fs *fs, const char *name, size_t len)
{
	return (uint32_t)XXH3_64bits_withSeed(name, len, fs->hash_seed);
}

uint64_t index_key(const struct fs *fs, const struct dir_name *n, uint64_t position)
{
	return (uint64_t)dir_hash(fs, n->bytes, n->len) << 32 | position / 4;
}

static struct btree index_tree(struct inode *dir)
{
	return (struct btree){
		.fs = dir->fs, .kind = META_INDEX, .owner = dir->ino, .root = dir->special};
}

/* What the tree became, also after an error. */
static void index_keep(struct inode *dir, const struct btree *bt)
{
	dir->special = bt->root;
	dir->blocks += (uint64_t)bt->delta_blocks;
}

/* 1 and the entry if it is the name, 0 if it is another one. */
static int candidate(struct inode *dir, const struct dir_name *n, uint64_t position,
		     struct dir_entry *ret)
{
	unsigned within = (unsigned)(position & (dir->fs->geo.block_bytes - 1));
	const struct disk_dirent *d;
	struct bufio_buffer *b;
	struct dir_area a;
	int r;

	if (within < DISK_HEAD_BYTES)
		return -EUCLEAN;
	r = dir_read_block(dir, position >> dir->fs->geo.block_shift, &b);
	if (r < 0)
		return r;
	a = area_of_block(b);
	r = area_matches(a, within - DISK_HEAD_BYTES, n);
	d = area_entry(a, within - DISK_HEAD_BYTES);
	if (r && le48_get(d->ino) > geo_nr_inodes(&dir->fs->geo))
		r = -EUCLEAN;
	if (r > 0)
		*ret = (struct dir_entry){le48_get(d->ino), d->type, position};
	bufio_release(b);
	return r;
}

int index_find(struct inode *dir, const struct dir_name *n, struct dir_entry *ret)
{
	uint64_t key = index_key(dir->fs, n, 0), end = key | UINT32_MAX;
	struct btree bt = index_tree(dir);
	le64 record;
	int r;

	for (;; key++) {
		r = btree_find_ge(&bt, key, &record);
		if (r < 0)
			return r;
		key = le64_get(record);
		if (key > end)
			return -ENOENT;
		r = candidate(dir, n, (key & UINT32_MAX) * 4, ret);
		if (r)
			return r < 0 ? r : 0;
		if (key == end)
			return -ENOENT;
	}
}

int index_insert(struct txn *t, struct inode *dir, uint64_t goal, uint64_t key)
{
	struct btree bt = index_tree(dir);
	le64 record = le64_make(key);
	int r = btree_insert(&bt, t, goal, &record);

	index_keep(dir, &bt);
	return r == -EEXIST ? -EUCLEAN : r;
}

int index_delete(struct txn *t, struct inode *dir, uint64_t key)
{
	struct btree bt = index_tree(dir);
	int r = btree_delete(&bt, t, key);

	index_keep(dir, &bt);
	return r == -ENOENT ? -EUCLEAN : r;
}

enum key_change { KEYS_INSERT, KEYS_DELETE };

/* For each entry of the block, until one fails. */
static int change_keys(struct txn *t, struct inode *dir, struct bufio_buffer *b,
		       enum key_change change)
{
	struct dir_area a = area_of_block(b);
	int r = 0;

	for (unsigned o = 0; o < a.size && r == 0; o += le16_get(area_entry(a, o)->rec_len)) {
		const struct disk_dirent *d = area_entry(a, o);
		struct dir_name n = {(const char *)(d + 1), d->name_len};
		uint64_t key;

		if (!le48_get(d->ino))
			continue;
		key = index_key(dir->fs, &n, o + DISK_HEAD_BYTES);
		if (change == KEYS_INSERT)
			r = index_insert(t, dir, bufio_block(b), key);
		else
			r = index_delete(t, dir, key);
	}
	return r;
}

/*
 * Entries of one block need 8 bytes in the index for at least 12 in the block: one leaf holds
 * them all, so that one reserved block is enough.
 */
int index_build(struct txn *t, struct inode *dir)
{
	struct bufio_buffer *b;
	int r;

	r = dir_read_block(dir, 0, &b);
	if (r < 0)
		return r;
	/* only so that a bitmap that lies cannot make it a node of the index: balloc.c */
	r = txn_modify(t, b);
	if (r == 0)
		r = change_keys(t, dir, b, KEYS_INSERT);
	/* A part of an index hides names: none is better. */
	if (r < 0 && dir->special)
		change_keys(t, dir, b, KEYS_DELETE);
	bufio_release(b);
	return r;
}
