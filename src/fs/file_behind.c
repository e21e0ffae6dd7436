/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * File contents from lent memory to the device, past the cache, while the writer goes on.  What makes them durable is
 * the same as for those in the cache (file_data.c), because write-back waits for them and hears of their errors.  Blocks
 * that are cached, which includes all that the log has pinned, and those that it has an older image of go
 * through the cache.  Calls txn, log and bufio.
 */
#include "file.h"
#include "log.h"

#include <errno.h>

/* In the cache, where they join their neighbours, each block costs; past it, each transfer. */
#define LEAST_BLOCKS 64u
#define LEAST_BYTES  (256u * 1024)

void fs_loan_end(struct fs_loan *loan)
{
	if (atomic_fetch_sub(&loan->nr_users, 1) == 1)
		loan->ended(loan);
}

static void written(void *context)
{
	fs_loan_end(context);
}

static bool can_go_past(struct fs *fs, uint64_t block)
{
	struct bufio_buffer *b;
	int r;

	if (log_is_live(fs->log, block))
		return false;
	r = bufio_get(fs->bufio, block, &b);
	if (r == 0)
		bufio_release(b);
	return r == -ENOENT;
}

static int account(struct txn *t, struct inode *inode, uint64_t block, const struct data_lent *run)
{
	if (!run->fresh && (run->logical + run->nr) << inode->fs->geo.block_shift <= inode->size) {
		data_note_in_place(inode, run->logical);
		data_note_in_place(inode, run->logical + run->nr - 1);
		return 0;
	}
	/* its map or its size changes with that: inode_store() notes the transaction */
	return txn_add_data(t, block, run->nr, NULL);
}

/* The transfer. */
static int start(struct inode *inode, uint64_t block, const struct data_lent *run)
{
	const struct iovec data = {(void *)run->src, (size_t)run->nr << inode->fs->geo.block_shift};
	int r;

	atomic_fetch_add(&run->loan->nr_users, 1);
	r = bufio_write_behind(inode->fs->bufio, block, &data, written, run->loan);
	if (r < 0)
		fs_loan_end(run->loan);
	return r;
}

static uint64_t least_blocks(const struct geometry *g)
{
	uint64_t nr = LEAST_BYTES >> g->block_shift;

	return nr < LEAST_BLOCKS ? nr : LEAST_BLOCKS;
}

int data_write_behind(struct txn *t, struct inode *inode, uint64_t block,
		      const struct data_lent *run)
{
	struct fs *fs = inode->fs;
	uint64_t least = least_blocks(&fs->geo);
	struct data_lent part = *run;
	int r;

	if (run->nr < least || (uintptr_t)run->src & (bufio_engine_of(fs->bufio)->memory_align - 1))
		return 0;
	for (part.nr = 0; part.nr < run->nr && can_go_past(fs, block + part.nr);)
		part.nr++;
	if (part.nr < least)
		return 0;
	r = account(t, inode, block, &part);
	if (r == 0)
		r = start(inode, block, &part);
	/* without memory for it, the cache will do */
	return r == 0 ? (int)part.nr : r == -ENOMEM ? 0 : r;
}
