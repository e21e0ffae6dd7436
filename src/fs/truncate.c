/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Setting a file's size, and freeing what an inode holds.  Calls file_data, bmap, inode.
 *
 * A file with many extents is cut in steps.  The first sets the size, so that the rest is out of
 * reach at once, and TRUNCATE, which tells a mount after a crash to go on; the last clears it.
 * Who wants to make the file longer meanwhile first does the steps that are left.
 */
#include "file.h"
#include "btree.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* Names taken out of a directory's index in one transaction: each may free a node. */
#define INDEX_STEP 16

static uint64_t first_block_past(const struct inode *inode)
{
	const struct geometry *g = &inode->fs->geo;

	return (inode->size + g->block_bytes - 1) >> g->block_shift;
}

/* Free some blocks past size.  1: there are more, and TRUNCATE says so on disk too, if it could be counted. */
static int cut_step(struct txn *t, struct inode *inode)
{
	int r, r2 = 0;

	r = bmap_remove(t, inode, first_block_past(inode), BMAP_END);
	if (r != 0) {
		r2 = inode_orphan(t, inode, 1);
		if (r2 == 0)
			inode->state |= INODE_STATE_TRUNCATE;
	} else if (inode->state & INODE_STATE_TRUNCATE) {
		inode->state &= ~INODE_STATE_TRUNCATE;
		if (inode->nlink)
			r2 = inode_orphan(t, inode, -1);
		if (r2 < 0)
			inode->state |= INODE_STATE_TRUNCATE;
	}
	return r2 < 0 ? r2 : r;
}

static int finish_step(struct inode *inode)
{
	struct txn t;
	int r, r2;

	r = txn_start(inode->fs, 0, &t);
	if (r < 0)
		return r;
	pthread_rwlock_wrlock(&inode->lock);
	if (inode->state & INODE_STATE_TRUNCATE) {
		r = inode_prepare(&t, inode);
		if (r == 0) {
			r = cut_step(&t, inode);
			r2 = inode_store(&t, inode);
			r = r2 < 0 ? r2 : r;
		}
	}
	pthread_rwlock_unlock(&inode->lock);
	txn_end(&t);
	return r;
}

int file_finish_truncate(struct inode *inode)
{
	int r;

	do {
		r = finish_step(inode);
	} while (r > 0);
	return r;
}

static int shrink(struct txn *t, struct inode *inode, uint64_t size)
{
	int r;

	if (!size && inode->size && inode->nlink)
		txn_note_emptied(t);
	if (inode->data_format == DATA_INLINE) {
		memset(inode->tail + size, 0, inode_data_bytes(inode) - size);
		inode->data_format = size ? DATA_INLINE : DATA_NONE;
		inode->size = size;
		return 0;
	}
	r = file_zero_tail(t, inode, size);
	if (r < 0)
		return r;
	inode->size = size;
	return cut_step(t, inode);
}

static int grow(struct txn *t, struct inode *inode, uint64_t size)
{
	int r;

	if (inode->data_format == DATA_INLINE && size > inode_data_bytes(inode))
		r = t->reserved ? file_leave_inline(t, inode) : -ENOSPC;
	else
		r = file_zero_tail(t, inode, inode->size);
	if (r == 0)
		inode->size = size;
	return r;
}

/* 1: steps are left to do, after which, if the file was to grow, all has to be tried again. */
static int truncate_locked(struct txn *t, struct inode *inode, uint64_t size)
{
	int r, r2;

	if (size > inode->size && inode->state & INODE_STATE_TRUNCATE)
		return 1;
	r = inode_prepare(t, inode);
	if (r < 0)
		return r;
	r = size > inode->size ? grow(t, inode, size) : shrink(t, inode, size);
	if (inode->size != size)
		return r;
	inode->mtime = inode->ctime = fs_now();
	r2 = inode_store(t, inode);
	return r2 < 0 ? r2 : r;
}

static int truncate_step(struct inode *inode, uint64_t size, bool *ret_done)
{
	struct txn t;
	int r, r2;

	r = txn_start(inode->fs, 1, &t);
	if (r == -ENOSPC)
		r = txn_start(inode->fs, 0, &t);
	if (r < 0)
		return r;
	pthread_rwlock_wrlock(&inode->lock);
	r = truncate_locked(&t, inode, size);
	*ret_done = inode->size == size;
	pthread_rwlock_unlock(&inode->lock);
	r2 = txn_stop(&t);
	if (r2 < 0)
		return r2;
	return r > 0 ? file_finish_truncate(inode) : r;
}

int file_truncate(struct inode *inode, uint64_t size)
{
	unsigned tries = 0;
	bool done = false;
	int r = 0;

	if (size > inode_max_size(inode->fs))
		return -EFBIG;
	while (r == 0 && !done) {
		r = truncate_step(inode, size, &done);
		if (r == -ENOSPC && tries++ < ROOM_TRIES && inode_make_room(inode->fs))
			r = 0;
	}
	return r;
}

/* Freeing everything */

/* Take some keys out of what is left of a directory's index.  1: there are more. */
static int free_index_step(struct txn *t, struct inode *inode)
{
	struct btree bt = {
		.fs = inode->fs, .kind = META_INDEX, .owner = inode->ino, .root = inode->special};
	le64 key;
	int r = 0;

	for (unsigned i = 0; i < INDEX_STEP && bt.root && r == 0; i++) {
		r = btree_find_ge(&bt, 0, &key);
		if (r == 0)
			r = btree_delete(&bt, t, le64_get(key));
	}
	inode->special = bt.root;
	inode->blocks += (uint64_t)bt.delta_blocks;
	if (r < 0)
		return r;
	return bt.root != 0;
}

static int free_some(struct txn *t, struct inode *inode)
{
	int r, r2;

	r = inode_prepare(t, inode);
	if (r < 0)
		return r;
	r = bmap_remove(t, inode, 0, BMAP_END);
	if (r == 0 && S_ISDIR(inode->mode) && inode->special)
		r = free_index_step(t, inode);
	r2 = inode_store(t, inode);
	return r2 < 0 ? r2 : r;
}

static int free_step(struct inode *inode)
{
	struct txn t;
	int r;

	r = txn_start(inode->fs, 0, &t);
	if (r < 0)
		return r;
	pthread_rwlock_wrlock(&inode->lock);
	r = free_some(&t, inode);
	pthread_rwlock_unlock(&inode->lock);
	txn_end(&t);
	return r;
}

static bool has_blocks(struct inode *inode)
{
	bool has;

	pthread_rwlock_rdlock(&inode->lock);
	has = inode->data_format == DATA_EXTENTS || inode->data_format == DATA_TREE ||
	      (S_ISDIR(inode->mode) && inode->special);
	pthread_rwlock_unlock(&inode->lock);
	return has;
}

int file_free_blocks(struct inode *inode)
{
	int r = has_blocks(inode);

	while (r > 0)
		r = free_step(inode);
	return r < 0 ? r : xattr_free(inode);
}
