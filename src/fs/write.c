/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing a file.  Contents go into the cache, where write-back joins them with their
 * neighbours, or, much of them in memory that is lent, past it; blocks are taken as they are written, as many at once as the call fills.
 * Calls truncate, file_behind, file_data, bmap, inode.
 *
 * A call is made of one or more transactions: each one makes as many changes to the map as blocks
 * were reserved for.  Without room to reserve any, what has its blocks already can still be
 * written.
 */
#include "file.h"
#include "flags.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

struct write {
	struct txn t;
	struct inode *inode;
	const uint8_t *data;
	struct fs_loan *loan; /* of data, or NULL */
	uint64_t offset;
	size_t size, done;
	unsigned changes; /* to the map that this transaction has room for */
	bool full;	  /* it could reserve nothing */
	bool sync;	  /* it is to be durable at once */
	bool collected;	  /* fs_lent */
};

static uint64_t write_position(const struct write *w)
{
	return w->offset + w->done;
}

/* May the map change nr times more?  0; -ENOSPC; -EAGAIN: in the next transaction. */
static int use_changes(struct write *w, unsigned nr)
{
	if (w->changes < nr)
		return w->full ? -ENOSPC : -EAGAIN;
	w->changes -= nr;
	return 0;
}

/* The i-th block of m, or as much of it as is written.  1 or error. */
static int write_block(struct write *w, const struct mapping *m, uint64_t i, bool fresh)
{
	const struct geometry *g = &w->inode->fs->geo;
	struct data_range range = {
		.logical = m->logical + i,
		.from = write_position(w) & (g->block_bytes - 1),
		.src = w->data + w->done,
		.fresh = fresh,
	};
	int r;

	range.bytes = g->block_bytes - range.from;
	if (range.bytes > w->size - w->done)
		range.bytes = (unsigned)(w->size - w->done);
	r = data_write(&w->t, w->inode, m->physical + i, &range);
	if (r < 0)
		return r;
	w->done += range.bytes;
	return 1;
}

/* Whole blocks of m from the i-th on, past the cache, if the data is lent.  Returns how many. */
static int write_behind(struct write *w, const struct mapping *m, uint64_t i, bool fresh)
{
	const struct geometry *g = &w->inode->fs->geo;
	struct data_lent run = {
		.logical = m->logical + i,
		.nr = (w->size - w->done) >> g->block_shift,
		.src = w->data + w->done,
		.fresh = fresh,
		.loan = w->loan,
	};
	int r;

	if (!w->loan || write_position(w) & (g->block_bytes - 1))
		return 0;
	if (run.nr > m->count - i)
		run.nr = m->count - i;
	r = data_write_behind(&w->t, w->inode, m->physical + i, &run);
	if (r > 0)
		w->done += (size_t)r << g->block_shift;
	return r;
}

/* Write to the blocks of m, which begins in the block of the position. */
static int write_run(struct write *w, const struct mapping *m, bool fresh)
{
	int r;

	for (uint64_t i = 0; i < m->count && w->done < w->size; i += (unsigned)r) {
		r = write_behind(w, m, i, fresh);
		if (r == 0)
			r = write_block(w, m, i, fresh);
		if (r < 0)
			return r;
	}
	return 0;
}

static int write_hole(struct write *w, const struct mapping *hole)
{
	struct mapping m;
	int r;

	r = use_changes(w, 1);
	if (r < 0)
		return r;
	r = bmap_alloc(&w->t, w->inode, hole->logical, hole->count, &m);
	if (r < 0)
		return r;
	r = write_run(w, &m, true);
	/* what was not filled would show what the blocks held before */
	if (r < 0)
		bmap_remove(&w->t, w->inode, write_position(w) >> w->inode->fs->geo.block_shift,
			    m.logical + m.count);
	return r;
}

static int write_unwritten(struct write *w, const struct mapping *m)
{
	size_t before = w->done;
	int r;

	r = use_changes(w, 2);
	if (r < 0)
		return r;
	r = write_run(w, m, true);
	if (r == 0)
		r = bmap_set_written(&w->t, w->inode, m->logical, m->count);
	w->inode->data_seq = w->t.seq;
	if (r < 0)
		w->done = before;
	return r;
}

/* Write what lies in one mapping or hole. */
static int write_mapping(struct write *w)
{
	const struct geometry *g = &w->inode->fs->geo;
	uint64_t block = write_position(w) >> g->block_shift;
	uint64_t last = (w->offset + w->size - 1) >> g->block_shift;
	struct mapping m;
	int r;

	r = bmap_lookup(w->inode, block, last - block + 1, &m);
	if (r < 0)
		return r;
	if (!m.physical)
		return write_hole(w, &m);
	return m.unwritten ? write_unwritten(w, &m) : write_run(w, &m, false);
}

static bool fits_inline(const struct write *w)
{
	const struct inode *inode = w->inode;
	uint64_t end = w->offset + w->size;

	return (inode->data_format == DATA_INLINE || inode->data_format == DATA_NONE) &&
	       inode->size <= inode_data_bytes(inode) && end <= inode_data_bytes(inode);
}

static void write_inline(struct write *w)
{
	w->inode->data_format = DATA_INLINE;
	memcpy(w->inode->tail + w->offset, w->data, w->size);
	w->done = w->size;
}

static int write_blocks(struct write *w)
{
	struct inode *inode = w->inode;
	int r = 0;

	if (inode->data_format == DATA_INLINE) {
		r = use_changes(w, 1);
		if (r == 0)
			r = file_leave_inline(&w->t, inode);
	}
	if (r == 0 && write_position(w) > inode->size)
		r = file_zero_tail(&w->t, inode, inode->size);
	while (r == 0 && w->done < w->size)
		r = write_mapping(w);
	return r;
}

/* Write what this transaction has room for. */
static int write_locked(struct write *w)
{
	struct inode *inode = w->inode;
	uint64_t blocks = inode->blocks;
	size_t before = w->done;
	int r, r2;

	r = w->collected ? 0 : flags_check_write(inode, write_position(w));
	if (r == 0)
		r = inode_prepare(&w->t, inode);
	if (r < 0)
		return r;
	w->changes = bmap_changes(inode, (unsigned)w->t.reserved);
	if (fits_inline(w))
		write_inline(w);
	else
		r = write_blocks(w);
	if (w->done == before && inode->blocks == blocks)
		return r;
	if (w->done != before) {
		if (!w->collected)
			inode->mtime = inode->ctime = fs_now();
		if (write_position(w) > inode->size)
			inode->size = write_position(w);
	}
	r2 = inode_store(&w->t, inode);
	return r < 0 ? r : r2;
}

/* What to reserve, if the inode can be written at all. */
static int write_reserve(struct inode *inode)
{
	int r;

	pthread_rwlock_rdlock(&inode->lock);
	if (S_ISDIR(inode->mode))
		r = -EISDIR;
	else if (!S_ISREG(inode->mode))
		r = -EINVAL;
	else
		r = (int)bmap_reserve(inode);
	pthread_rwlock_unlock(&inode->lock);
	return r;
}

static int write_start(struct write *w)
{
	struct fs *fs = w->inode->fs;
	unsigned nr;
	int r;

	r = write_reserve(w->inode);
	if (r < 0)
		return r;
	nr = (unsigned)r;
	r = txn_start(fs, nr, &w->t);
	if (r == -ENOSPC)
		r = txn_start_kept(fs, nr, &w->t);
	w->full = r == -ENOSPC;
	return w->full ? txn_start(fs, 0, &w->t) : r;
}

/* One transaction.  0 also if only a truncate that was in the way could be finished. */
static int write_step(struct write *w)
{
	struct inode *inode = w->inode;
	bool truncating;
	int r;

	r = write_start(w);
	if (r < 0)
		return r;
	pthread_rwlock_wrlock(&inode->lock);
	truncating = inode->state & INODE_STATE_TRUNCATE && w->offset + w->size > inode->size;
	r = truncating ? 0 : write_locked(w);
	pthread_rwlock_unlock(&inode->lock);
	/* once, with the data: fs_write() */
	w->sync |= w->t.sync;
	txn_end(&w->t);
	return truncating ? file_finish_truncate(inode) : r;
}

static ssize_t file_write(struct write *w)
{
	uint64_t max = inode_max_size(w->inode->fs);
	unsigned tries = 0;
	int r = 0;

	if (!w->size)
		return 0;
	if (w->offset >= max)
		return -EFBIG;
	if (w->size > max - w->offset)
		w->size = (size_t)(max - w->offset);
	inode_gather_room(w->inode->fs, (w->size >> w->inode->fs->geo.block_shift) + 2);
	while (w->done < w->size && (r == 0 || r == -EAGAIN)) {
		r = write_step(w);
		if (r == -ENOSPC && tries++ < ROOM_TRIES && inode_make_room(w->inode->fs))
			r = 0;
	}
	return r == 0 || (r == -ENOSPC && w->done) ? (ssize_t)w->done : r;
}

ssize_t fs_write_lent(struct fs *fs, const struct fs_lent *lent)
{
	struct write w = {.data = lent->data,
			  .loan = lent->loan,
			  .offset = lent->offset,
			  .collected = lent->collected};
	ssize_t n;
	int r;

	w.size = lent->size < SSIZE_MAX ? lent->size : SSIZE_MAX;
	r = inode_get(fs, lent->ino, &w.inode);
	if (r < 0)
		return r;
	n = file_write(&w);
	if (n > 0 && w.sync) {
		r = inode_sync(w.inode, false);
		n = r < 0 ? r : n;
	}
	inode_put(w.inode);
	return n;
}

ssize_t fs_write(struct fs *fs, uint64_t ino, uint64_t offset, const void *data, size_t size)
{
	struct fs_lent lent = {.ino = ino, .offset = offset, .data = data, .size = size};

	return fs_write_lent(fs, &lent);
}
