/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The extents of an inode: FORMAT.md sections 6 and 7.  In the tail they are dense and sorted; when
 * one more does not fit, all move into a tree, which stays until its last extent is gone.
 * Calls btree and balloc.
 */
#include "extents.h"
#include "balloc.h"
#include "btree.h"

#include <errno.h>
#include <string.h>

#define TAIL_MAX_EXTENTS (INODE_TAIL_BYTES / sizeof(struct disk_extent))

static struct disk_extent extent_encode(const struct extent *e)
{
	return (struct disk_extent){
		.logical = le48_make(e->logical),
		.physical = le48_make(e->physical),
		.count = le24_make(e->count),
		.flags = e->unwritten ? EXTENT_UNWRITTEN : 0,
	};
}

int extent_decode(const struct fs *fs, const struct disk_extent *d, struct extent *ret)
{
	struct extent e = {
		.logical = le48_get(d->logical),
		.physical = le48_get(d->physical),
		.count = le24_get(d->count),
		.unwritten = d->flags & EXTENT_UNWRITTEN,
	};

	if (!e.count || e.logical + e.count > EXTENT_END_LOGICAL)
		return -EUCLEAN;
	if (d->flags & ~EXTENT_UNWRITTEN || !geo_is_data(&fs->geo, e.physical, e.count))
		return -EUCLEAN;
	*ret = e;
	return 0;
}

/* The extents in a tail */

static unsigned tail_capacity(const struct inode *inode)
{
	return inode_data_bytes(inode) / sizeof(struct disk_extent);
}

static void tail_read(const struct inode *inode, unsigned i, struct disk_extent *ret)
{
	memcpy(ret, inode->tail + i * sizeof(*ret), sizeof(*ret));
}

static void tail_write(struct inode *inode, unsigned i, const struct disk_extent *d)
{
	memcpy(inode->tail + i * sizeof(*d), d, sizeof(*d));
}

static unsigned tail_count(const struct inode *inode)
{
	struct disk_extent d;
	unsigned i;

	for (i = 0; i < tail_capacity(inode); i++) {
		tail_read(inode, i, &d);
		if (!le24_get(d.count))
			break;
	}
	return i;
}

/* Behind the last extent: an insert would make an extent there count. */
static bool tail_ends_in_zeroes(const struct inode *inode, unsigned nr)
{
	for (unsigned i = nr * sizeof(struct disk_extent); i < inode_data_bytes(inode); i++)
		if (inode->tail[i])
			return false;
	return true;
}

unsigned extents_tail_bytes(const struct inode *inode)
{
	return tail_count(inode) * (unsigned)sizeof(struct disk_extent);
}

static bool ranges_overlap(uint64_t a, uint64_t nr_a, uint64_t b, uint64_t nr_b)
{
	return a < b + nr_b && b < a + nr_a;
}

int extents_check_tail(const struct fs *fs, const struct inode *inode)
{
	unsigned nr = tail_count(inode);
	struct extent e[TAIL_MAX_EXTENTS];
	struct disk_extent d;
	int r;

	for (unsigned i = 0; i < nr; i++) {
		tail_read(inode, i, &d);
		r = extent_decode(fs, &d, &e[i]);
		if (r < 0)
			return r;
		if (i && e[i].logical < e[i - 1].logical + e[i - 1].count)
			return -EUCLEAN;
		for (unsigned k = 0; k < i; k++)
			if (ranges_overlap(e[i].physical, e[i].count, e[k].physical, e[k].count))
				return -EUCLEAN;
	}
	return tail_ends_in_zeroes(inode, nr) ? 0 : -EUCLEAN;
}

/* How many extents in the tail begin before logical. */
static unsigned tail_lower(const struct inode *inode, uint64_t logical)
{
	unsigned nr = tail_count(inode), i;
	struct disk_extent d;

	for (i = 0; i < nr; i++) {
		tail_read(inode, i, &d);
		if (le48_get(d.logical) >= logical)
			break;
	}
	return i;
}

static int tail_get(const struct inode *inode, unsigned i, struct extent *ret)
{
	struct disk_extent d;

	if (i >= tail_count(inode))
		return -ENOENT;
	tail_read(inode, i, &d);
	return extent_decode(inode->fs, &d, ret);
}

/* The index of the extent that begins at logical: >= 0, or -ENOENT. */
static int tail_index(const struct inode *inode, uint64_t logical)
{
	unsigned i = tail_lower(inode, logical);
	struct disk_extent d;

	if (i >= tail_count(inode))
		return -ENOENT;
	tail_read(inode, i, &d);
	return le48_get(d.logical) == logical ? (int)i : -ENOENT;
}

static void tail_insert(struct inode *inode, const struct extent *e)
{
	unsigned i = tail_lower(inode, e->logical), nr = tail_count(inode);
	struct disk_extent d = extent_encode(e);
	uint8_t *at = inode->tail + i * sizeof(d);

	memmove(at + sizeof(d), at, (nr - i) * sizeof(d));
	tail_write(inode, i, &d);
}

static void tail_delete(struct inode *inode, unsigned i)
{
	unsigned nr = tail_count(inode);
	uint8_t *at = inode->tail + i * sizeof(struct disk_extent);

	memmove(at, at + sizeof(struct disk_extent), (nr - 1 - i) * sizeof(struct disk_extent));
	memset(inode->tail + (nr - 1) * sizeof(struct disk_extent), 0, sizeof(struct disk_extent));
	if (nr == 1)
		inode->data_format = DATA_NONE;
}

/* The extents in a tree */

static struct btree tree_of(struct inode *inode)
{
	le64 root;

	memcpy(&root, inode->tail, sizeof(root));
	return (struct btree){
		.fs = inode->fs,
		.kind = META_EXTENT,
		.owner = inode->ino,
		.root = le64_get(root),
	};
}

/* Keep what an operation, also one that failed half way, did to the tree. */
static void tree_keep(struct inode *inode, const struct btree *bt)
{
	le64 root = le64_make(bt->root);

	memset(inode->tail, 0, inode_data_bytes(inode));
	if (bt->root)
		memcpy(inode->tail, &root, sizeof(root));
	inode->data_format = bt->root ? DATA_TREE : DATA_NONE;
	inode->blocks += (uint64_t)bt->delta_blocks;
}

static int tree_find(struct inode *inode, uint64_t logical, bool le, struct extent *ret)
{
	struct btree bt = tree_of(inode);
	struct disk_extent d;
	int r;

	r = le ? btree_find_le(&bt, logical, &d) : btree_find_ge(&bt, logical, &d);
	if (r < 0)
		return r;
	return extent_decode(inode->fs, &d, ret);
}

static int tree_insert(struct txn *t, struct inode *inode, const struct extent *e)
{
	struct btree bt = tree_of(inode);
	struct disk_extent d = extent_encode(e);
	int r;

	r = btree_insert(&bt, t, e->physical, &d);
	tree_keep(inode, &bt);
	return r;
}

static int tree_update(struct txn *t, struct inode *inode, const struct extent *e)
{
	struct btree bt = tree_of(inode);
	struct disk_extent d = extent_encode(e);
	int r;

	r = btree_update(&bt, t, &d);
	tree_keep(inode, &bt);
	return r;
}

static int tree_delete(struct txn *t, struct inode *inode, uint64_t logical)
{
	struct btree bt = tree_of(inode);
	int r;

	r = btree_delete(&bt, t, logical);
	tree_keep(inode, &bt);
	return r;
}

/* Move all from the tail into a tree.  They fit in its first leaf, so that this takes one block. */
static int tail_to_tree(struct txn *t, struct inode *inode)
{
	struct btree bt = {.fs = inode->fs, .kind = META_EXTENT, .owner = inode->ino};
	unsigned nr = tail_count(inode);
	struct disk_extent d;
	int r = 0;

	if (inode_data_bytes(inode) < sizeof(le64))
		return -ENOSPC;
	for (unsigned i = 0; i < nr && r == 0; i++) {
		tail_read(inode, i, &d);
		r = btree_insert(&bt, t, le48_get(d.physical), &d);
	}
	if (r < 0) {
		if (bt.root)
			balloc_free(t, bt.root, 1);
		return r;
	}
	tree_keep(inode, &bt);
	return 0;
}

/* Whichever it is */

int extents_find_le(struct inode *inode, uint64_t logical, struct extent *ret)
{
	unsigned i;

	if (inode->data_format == DATA_TREE)
		return tree_find(inode, logical, true, ret);
	if (inode->data_format != DATA_EXTENTS)
		return -ENOENT;
	i = tail_lower(inode, logical + 1);
	return i ? tail_get(inode, i - 1, ret) : -ENOENT;
}

int extents_find_ge(struct inode *inode, uint64_t logical, struct extent *ret)
{
	if (inode->data_format == DATA_TREE)
		return tree_find(inode, logical, false, ret);
	if (inode->data_format != DATA_EXTENTS)
		return -ENOENT;
	return tail_get(inode, tail_lower(inode, logical), ret);
}

static int extents_insert_first(struct inode *inode, const struct extent *e)
{
	memset(inode->tail, 0, inode_data_bytes(inode));
	inode->data_format = DATA_EXTENTS;
	tail_insert(inode, e);
	return 0;
}

int extents_insert(struct txn *t, struct inode *inode, const struct extent *e)
{
	int r;

	if (inode->data_format == DATA_INLINE)
		return -EINVAL;
	if (inode->data_format == DATA_TREE)
		return tree_insert(t, inode, e);
	if (inode->data_format == DATA_NONE && tail_capacity(inode))
		return extents_insert_first(inode, e);
	if (inode->data_format == DATA_EXTENTS && tail_index(inode, e->logical) >= 0)
		return -EEXIST;
	if (tail_count(inode) < tail_capacity(inode)) {
		tail_insert(inode, e);
		return 0;
	}
	r = tail_to_tree(t, inode);
	return r < 0 ? r : tree_insert(t, inode, e);
}

int extents_update(struct txn *t, struct inode *inode, const struct extent *e)
{
	struct disk_extent d = extent_encode(e);
	int i;

	if (inode->data_format == DATA_TREE)
		return tree_update(t, inode, e);
	if (inode->data_format != DATA_EXTENTS)
		return -ENOENT;
	i = tail_index(inode, e->logical);
	if (i < 0)
		return i;
	tail_write(inode, (unsigned)i, &d);
	return 0;
}

int extents_delete(struct txn *t, struct inode *inode, uint64_t logical)
{
	int i;

	if (inode->data_format == DATA_TREE)
		return tree_delete(t, inode, logical);
	if (inode->data_format != DATA_EXTENTS)
		return -ENOENT;
	i = tail_index(inode, logical);
	if (i < 0)
		return i;
	tail_delete(inode, (unsigned)i);
	return 0;
}
