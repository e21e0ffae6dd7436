/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_TXN_H
#define FS_TXN_H

/*
 * One operation on the filesystem.  All that it changes goes through a struct txn into the open
 * transaction of the log, so that after a crash it happened or did not; and space promised at the
 * start cannot run out in the middle.
 *
 *	r = txn_start(fs, 3, &t);		room for 3 more metadata blocks, or -ENOSPC
 *	r = bufio/meta read ... &b;
 *	r = txn_modify(&t, b);			before the first change
 *	change bufio_data(b);
 *	bufio_release(b);
 *	r = txn_stop(&t);			durable with the next commit, or now
 *
 * An operation that fails half way after its first change leaves what it did; callers check
 * everything that can be refused before they change anything.
 */
#include "core.h"

struct txn {
	struct fs *fs;
	uint64_t reserved; /* blocks still promised to this operation */
	uint64_t seq;	   /* of the transaction it is part of */
	bool sync;	   /* txn_stop() makes it durable: inode_store() */
};

/*
 * Begin.  nr_blocks: the most blocks that balloc_alloc_reserved() will be asked for.
 * 0, -ENOSPC, -EROFS, or why the log could not be written.  One txn per thread at a time; it is
 * taken before any inode lock.  May wait for a commit.
 */
int txn_start(struct fs *fs, unsigned nr_blocks, struct txn *t);

/* The most that is promised of the blocks that are kept: two changes of a file's map, a split per level and a new root each. */
#define TXN_KEPT_BLOCKS (2 * (TREE_MAX_LEVEL + 2))

/*
 * The same, with the blocks that are kept for it when nothing else is left: for what gives more blocks back than it
 * takes (a hole), or for the map of blocks that a file has already.
 */
int txn_start_kept(struct fs *fs, unsigned nr_blocks, struct txn *t);

/* The caller, who holds b, is about to change it.  0 or -ENOMEM. */
int txn_modify(struct txn *t, struct bufio_buffer *b);

/* These blocks of data have to be durable with it: log_add_data(). */
int txn_add_data(struct txn *t, uint64_t block, uint64_t count, struct bufio_buffer *b);

/* A file with contents was cut to nothing: the timer lets its new ones come before it commits. */
void txn_note_emptied(struct txn *t);

/*
 * End.  If t->sync is set, wait until it is durable: then the caller holds no lock, and an error is that of the
 * commit.  Else 0.
 */
int txn_stop(struct txn *t) __attribute__((warn_unused_result));

/*
 * End, durable with a later commit, whatever t->sync says: for what is left of an operation that was durable before,
 * as freeing what no name leads to, and for what the caller makes durable itself.
 */
void txn_end(struct txn *t);

/*
 * Outside any operation, after -ENOSPC: wait for those under way, which may have promised themselves more than they need,
 * and make blocks usable that were freed but wait for a commit.  0: it is worth trying again, for others may have done the
 * same before; or error.
 */
int txn_make_room(struct fs *fs);

#endif
