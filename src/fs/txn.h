/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_TXN_H
#define FS_TXN_H

/*
 * One operation on the filesystem: all that it changes goes through a struct txn, so that
 * blocks are never written half changed, space promised at the start cannot run out in the
 * middle, and a sync finds the filesystem between operations.
 *
 *	r = txn_start(fs, 3, &t);		room for 3 more metadata blocks, or -ENOSPC
 *	r = bufio/meta read ... &b;
 *	r = txn_modify(&t, b);			before the first change
 *	change bufio_data(b);
 *	bufio_release(b);
 *	txn_stop(&t);				now its blocks may be written
 *
 * The first txn_modify() of a buffer pins it until txn_stop(), which marks it dirty.
 * An operation that fails half way after its first change leaves what it did; callers check
 * everything that can be refused before they change anything.
 */
#include "core.h"

#define TXN_INLINE_BUFFERS 32

struct txn {
	struct fs *fs;
	uint64_t reserved;		/* blocks still promised to this operation */
	unsigned nr_buffers, max_buffers;
	struct bufio_buffer **buffers;	/* pinned */
	struct bufio_buffer *inline_buffers[TXN_INLINE_BUFFERS];
};

/*
 * Begin.  nr_blocks: the most blocks that balloc_alloc(BALLOC_RESERVED) will be asked for.
 * 0, -ENOSPC or -EROFS.  One txn per thread at a time; it is taken before any inode lock.
 */
int txn_start(struct fs *fs, unsigned nr_blocks, struct txn *t);

/* The caller, who holds b, is about to change it.  0 or -ENOMEM. */
int txn_modify(struct txn *t, struct bufio_buffer *b);

void txn_stop(struct txn *t);

/* Nobody is inside a txn between these two. */
void txn_freeze(struct fs *fs);
void txn_thaw(struct fs *fs);

#endif
