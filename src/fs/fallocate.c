/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Giving a range of a file its blocks before it is written, and taking them away.  Calls truncate, file_data, bmap, inode.
 *
 * A call is made of one or more transactions, each with as many changes to the map as blocks were
 * reserved for.  Every one of them leaves the file in order:
 *	preallocating	the first so many blocks have their place, in holes or past the size, and read as zero;
 *			the size grows with the last step
 *	punching	the parts of blocks at both ends are zero with the first step, and then whole blocks
 *			go from the end backwards
 *	zeroing		the same with the first step; then from the start on, blocks become unwritten
 * So a crash, or an error, leaves a shorter call's work, never bytes that were not in the file.
 */
#include "file.h"
#include "flags.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/stat.h>

/* A step makes so many times the two changes at least that bmap_reserve() is for. */
#define STEP_FACTOR 8

struct falloc {
	struct txn t;
	struct inode *inode;
	int mode;
	uint64_t offset, end; /* bytes */
	uint64_t at;	      /* the block to go on with */
	unsigned changes;     /* to the map that this transaction has room for */
	bool full;	      /* it could reserve nothing */
	bool done;
};

static bool punches(const struct falloc *f)
{
	return f->mode & FALLOC_FL_PUNCH_HOLE;
}

static bool zeroes(const struct falloc *f)
{
	return f->mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE);
}

static bool grows(const struct falloc *f)
{
	return !(f->mode & FALLOC_FL_KEEP_SIZE) && f->end > f->inode->size;
}

/* Blocks that have a byte of the range are [first, last); those that have no other are [inner_first, inner_last). */

static uint64_t block_up(const struct falloc *f, uint64_t bytes)
{
	const struct geometry *g = &f->inode->fs->geo;

	return (bytes + g->block_bytes - 1) >> g->block_shift;
}

static uint64_t first_block(const struct falloc *f)
{
	return f->offset >> f->inode->fs->geo.block_shift;
}

static uint64_t last_block(const struct falloc *f)
{
	return block_up(f, f->end);
}

static uint64_t inner_first(const struct falloc *f)
{
	return block_up(f, f->offset);
}

static uint64_t inner_last(const struct falloc *f)
{
	return f->end >> f->inode->fs->geo.block_shift;
}

/* May the map change nr times more?  0; -ENOSPC; -EAGAIN: in the next transaction. */
static int use_changes(struct falloc *f, unsigned nr)
{
	if (f->changes < nr)
		return f->full ? -ENOSPC : -EAGAIN;
	f->changes -= nr;
	return 0;
}

/* Zero what the range has of blocks that have other bytes too. */
static int zero_ends(struct falloc *f)
{
	unsigned shift = f->inode->fs->geo.block_shift;
	uint64_t from = inner_first(f) << shift, to = inner_last(f) << shift;
	int r = 0;

	if (from > to) /* all of it is within one block */
		return file_zero_part(&f->t, f->inode, f->offset, (unsigned)(f->end - f->offset));
	if (f->offset < from)
		r = file_zero_part(&f->t, f->inode, f->offset, (unsigned)(from - f->offset));
	if (r == 0 && to < f->end)
		r = file_zero_part(&f->t, f->inode, to, (unsigned)(f->end - to));
	return r;
}

/* What has its blocks: only a zeroed range changes, where no other bytes are. */
static int zero_mapping(struct falloc *f, struct mapping *m)
{
	int r;

	if (!zeroes(f) || m->unwritten)
		return 0;
	if (m->logical < inner_first(f) || m->logical >= inner_last(f)) {
		m->count = 1;
		return 0;
	}
	if (m->logical + m->count > inner_last(f))
		m->count = inner_last(f) - m->logical;
	r = use_changes(f, 2);
	return r < 0 ? r : bmap_set_unwritten(&f->t, f->inode, m->logical, m->count);
}

static int fill_hole(struct falloc *f, struct mapping *hole)
{
	int r = use_changes(f, 1);

	return r < 0 ? r : bmap_preallocate(&f->t, f->inode, hole->logical, hole->count, hole);
}

static int allocate(struct falloc *f)
{
	uint64_t last = last_block(f);
	struct mapping m;
	int r = 0;

	while (r == 0 && f->at < last) {
		r = bmap_lookup(f->inode, f->at, last - f->at, &m);
		if (r == 0)
			r = m.physical ? zero_mapping(f, &m) : fill_hole(f, &m);
		if (r == 0)
			f->at += m.count;
	}
	f->done = r == 0;
	return r == -EAGAIN ? 0 : r;
}

static int punch(struct falloc *f)
{
	int r = 0;

	if (inner_first(f) < inner_last(f))
		r = bmap_remove(&f->t, f->inode, inner_first(f), inner_last(f));
	f->done = r == 0;
	return r > 0 ? 0 : r;
}

static int change_blocks(struct falloc *f)
{
	int r = 0;

	if (f->inode->data_format == DATA_INLINE) {
		r = use_changes(f, 1);
		if (r == 0)
			r = file_leave_inline(&f->t, f->inode);
	}
	if (r == 0 && zeroes(f) && f->at == first_block(f))
		r = zero_ends(f);
	if (r == 0)
		r = punches(f) ? punch(f) : allocate(f);
	if (r == 0 && f->done && grows(f))
		r = file_zero_tail(&f->t, f->inode, f->inode->size);
	return r;
}

/* Bytes in the inode have their place: nothing to be allocated for what is to fit there. */
static bool stays_inline(const struct falloc *f)
{
	const struct inode *inode = f->inode;

	if (inode->data_format != DATA_INLINE && inode->data_format != DATA_NONE)
		return false;
	if (inode->size > inode_data_bytes(inode))
		return false;
	return punches(f) || f->end <= inode_data_bytes(inode);
}

static void change_inline(struct falloc *f)
{
	struct inode *inode = f->inode;
	uint64_t end = f->end < inode->size ? f->end : inode->size;

	if (zeroes(f) && f->offset < end)
		memset(inode->tail + f->offset, 0, end - f->offset);
	/* zeroes that are there, and not a hole: room for them cannot be lost */
	if (grows(f))
		inode->data_format = DATA_INLINE;
	f->done = true;
}

/* All that a call changes besides the map. */
static void set_modified(struct falloc *f)
{
	struct inode *inode = f->inode;

	if (f->done && grows(f))
		inode->size = f->end;
	inode->mtime = inode->ctime = fs_now();
	inode->data_seq = f->t.seq;
}

static int step_locked(struct falloc *f)
{
	uint64_t blocks = f->inode->blocks, at = f->at;
	int r, r2;

	r = inode_prepare(&f->t, f->inode);
	if (r < 0)
		return r;
	f->changes = bmap_changes(f->inode, (unsigned)f->t.reserved);
	if (stays_inline(f))
		change_inline(f);
	else
		r = change_blocks(f);
	if (r < 0) {
		f->done = false;
		if (!zeroes(f) && f->at == at && f->inode->blocks == blocks)
			return r;
	}
	set_modified(f);
	r2 = inode_store(&f->t, f->inode);
	return r < 0 ? r : r2;
}

static int check_inode(const struct inode *inode, int mode)
{
	if (S_ISDIR(inode->mode))
		return -EISDIR;
	if (!S_ISREG(inode->mode))
		return -ENODEV;
	if (inode->flags & FS_IMMUTABLE_FL)
		return -EPERM;
	return inode->flags & FS_APPEND_FL && mode & ~FALLOC_FL_KEEP_SIZE ? -EPERM : 0;
}

/* As much as can be done at once; where space is short, the least; or what needs no block. */
static int start(struct falloc *f)
{
	struct fs *fs = f->inode->fs;
	unsigned nr;
	int r;

	pthread_rwlock_rdlock(&f->inode->lock);
	nr = bmap_reserve(f->inode);
	pthread_rwlock_unlock(&f->inode->lock);
	r = txn_start(fs, nr * STEP_FACTOR, &f->t);
	if (r == -ENOSPC)
		r = zeroes(f) ? txn_start_kept(fs, nr, &f->t) : txn_start(fs, nr, &f->t);
	f->full = r == -ENOSPC;
	return f->full ? txn_start(fs, 0, &f->t) : r;
}

/* One transaction.  0 also if only a truncate that was in the way could be finished. */
static int step(struct falloc *f)
{
	struct inode *inode = f->inode;
	bool truncating;
	int r, r2;

	r = start(f);
	if (r < 0)
		return r;
	pthread_rwlock_wrlock(&inode->lock);
	truncating = inode->state & INODE_STATE_TRUNCATE && f->end > inode->size;
	r = truncating ? 0 : step_locked(f);
	pthread_rwlock_unlock(&inode->lock);
	r2 = txn_stop(&f->t);
	if (truncating)
		return file_finish_truncate(inode);
	return r < 0 ? r : r2;
}

/* How many blocks the range lacks, and whether the call may be made at all. */
static int look(struct falloc *f, uint64_t *ret_lacks)
{
	uint64_t at = first_block(f), last = last_block(f);
	struct mapping m;
	int r;

	*ret_lacks = 0;
	pthread_rwlock_rdlock(&f->inode->lock);
	r = check_inode(f->inode, f->mode);
	if (punches(f) || stays_inline(f))
		at = last;
	for (; r == 0 && at < last; at += m.count) {
		r = bmap_lookup(f->inode, at, last - at, &m);
		if (r == 0 && !m.physical)
			*ret_lacks += m.count;
	}
	pthread_rwlock_unlock(&f->inode->lock);
	return r;
}

static int check(struct falloc *f)
{
	struct fs *fs = f->inode->fs;
	uint64_t lacks;
	int r;

	r = look(f, &lacks);
	if (r < 0 || !lacks)
		return r;
	inode_gather_room(fs, lacks);
	return lacks + fs->kept_blocks <= atomic_load(&fs->free_blocks) ? 0 : -ENOSPC;
}

static int file_fallocate(struct falloc *f)
{
	unsigned tries = 0;
	int r;

	f->at = first_block(f);
	r = check(f);
	while (r == 0 && !f->done) {
		r = step(f);
		if (r == -ENOSPC && tries++ < ROOM_TRIES && inode_make_room(f->inode->fs))
			r = 0;
	}
	return r;
}

static bool valid_mode(int mode)
{
	switch (mode) {
	case 0:
	case FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_ZERO_RANGE:
	case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE:
		return true;
	default:
		return false;
	}
}

int fs_fallocate(struct fs *fs, uint64_t ino, int mode, uint64_t offset, uint64_t len)
{
	struct falloc f = {.mode = mode, .offset = offset, .end = offset + len};
	int r;

	if (!valid_mode(mode))
		return -EOPNOTSUPP;
	if (!len)
		return -EINVAL;
	if (len > inode_max_size(fs) || offset > inode_max_size(fs) - len)
		return -EFBIG;
	r = inode_get(fs, ino, &f.inode);
	if (r < 0)
		return r;
	r = file_fallocate(&f);
	inode_put(f.inode);
	return r;
}
