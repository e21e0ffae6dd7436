/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_BALLOC_H
#define FS_BALLOC_H

/* The block bitmaps: find, take and give back runs of blocks. */
#include "txn.h"

/*
 * Take a run of 1 to want blocks of what nobody has reserved and is not kept, as near behind goal as can be; the longest
 * easy one.  0, -ENOSPC, -EUCLEAN, -EIO, -ENOMEM.
 */
int balloc_alloc(struct txn *t, uint64_t goal, uint32_t want, uint64_t *ret_block,
		 uint32_t *ret_count);

/* Could balloc_alloc() take nr blocks in all, as it looks now? */
bool balloc_has(const struct fs *fs, uint64_t nr);

/*
 * Take one block of what txn_start() promised, in the same way.  It is none that the transaction has joined, so what the
 * caller holds and has joined stays as it is, also where the bitmap lies.
 */
int balloc_alloc_reserved(struct txn *t, uint64_t goal, uint64_t *ret_block);

/*
 * Before the change that unmaps this block or the run it begins: what balloc_free() will change is read and in the
 * transaction, lest it fail when it is too late.
 */
int balloc_prepare_free(struct txn *t, uint64_t block);

/* Give a run back; its cached contents are dropped.  -EUCLEAN: some of it is free already or not data; then, as on any error, super_report() knows. */
int balloc_free(struct txn *t, uint64_t block, uint64_t count);

/* A group's block bitmap, held; built in the cache if the group was never used. */
int balloc_bitmap(struct fs *fs, uint32_t group, struct bufio_buffer **ret_b);
int balloc_bitmap_locked(struct fs *fs, uint32_t group,
			 struct bufio_buffer **ret_b); /* group->lock is held */

#endif
