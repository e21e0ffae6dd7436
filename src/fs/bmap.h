/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_BMAP_H
#define FS_BMAP_H

/*
 * Which blocks hold a file: extents in the inode's tail, then in a tree.  The caller holds
 * the inode's lock, and calls inode_store() after a change.
 */
#include "inode.h"

struct mapping {
	uint64_t logical, physical; /* physical 0: a hole */
	uint64_t count;
	bool unwritten;
};

/* The most reserved blocks one bmap_insert() or bmap_remove() step takes. */
#define BMAP_CHANGE_BLOCKS 20

#define BMAP_END	 (UINT64_C(1) << 48)
#define BMAP_MAX_LOGICAL (BMAP_END - 1)

/* What is at logical, for at most max blocks: an extent's part or the hole up to the next extent. */
int bmap_lookup(struct inode *inode, uint64_t logical, uint64_t max, struct mapping *ret);

/* Like lookup, from logical on: the next extent at or behind it.  -ENOENT: none. */
int bmap_next(struct inode *inode, uint64_t logical, struct mapping *ret);

/*
 * How many changes (inserts; bmap_set_written() and bmap_set_unwritten() count as two) may be made in one txn that was started
 * with so many blocks reserved; and what to reserve for two of them at least.  The inode may become a
 * tree between the two calls if the lock is not held: then the first answers less.
 */
unsigned bmap_changes(const struct inode *inode, unsigned reserved);
unsigned bmap_reserve(const struct inode *inode);

/* Add blocks where there is a hole, at most EXTENT_MAX_COUNT; merges with its neighbours.  Counts them in inode->blocks. */
int bmap_insert(struct txn *t, struct inode *inode, const struct mapping *m);

/* Make [logical, logical + count) written, where it is one unwritten mapping (or part of it). */
int bmap_set_written(struct txn *t, struct inode *inode, uint64_t logical, uint64_t count);

/* The other way round, so that it reads as zero; the blocks stay. */
int bmap_set_unwritten(struct txn *t, struct inode *inode, uint64_t logical, uint64_t count);

/*
 * Unmap and free blocks of [logical, end), from the end backwards, in one bounded step.
 * Returns 1 if more is left to do, 0 when done.  Takes reserved blocks only where an extent goes on
 * behind end, so none for BMAP_END.
 */
int bmap_remove(struct txn *t, struct inode *inode, uint64_t logical, uint64_t end);

/* Where the next block of this file at logical should be. */
uint64_t bmap_goal(struct inode *inode, uint64_t logical);

/* Allocate and insert up to count blocks at the hole at logical; fewer if space is scattered. */
int bmap_alloc(struct txn *t, struct inode *inode, uint64_t logical, uint64_t count,
	       struct mapping *ret);

/* The same, and the blocks are unwritten. */
int bmap_preallocate(struct txn *t, struct inode *inode, uint64_t logical, uint64_t count,
		     struct mapping *ret);

#endif
