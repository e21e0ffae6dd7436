/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_EXTENTS_H
#define FS_EXTENTS_H

/*
 * The sorted set of an inode's extents: in its tail while they fit there, else in a tree.  Knows
 * nothing of merging, splitting or free space; for bmap.c.  The caller holds the inode's lock.
 */
#include "inode.h"

#define EXTENT_END_LOGICAL (UINT64_C(1) << 48) /* logical blocks are below */

struct extent {
	uint64_t logical, physical;
	uint32_t count;
	bool unwritten;
};

/* Check an extent from a disk: 0 or -EUCLEAN.  Its neighbours are the caller's. */
int extent_decode(const struct fs *fs, const struct disk_extent *d, struct extent *ret);

/* Check the extents in a tail: valid, sorted, nowhere overlapping.  0 or -EUCLEAN. */
int extents_check_tail(const struct fs *fs, const struct inode *inode);

/* The bytes of the tail that its extents fill. */
unsigned extents_tail_bytes(const struct inode *inode);

/* The extent with the greatest logical <= logical (le) or the least >= logical (ge).  0, -ENOENT or error. */
int extents_find_le(struct inode *inode, uint64_t logical, struct extent *ret);
int extents_find_ge(struct inode *inode, uint64_t logical, struct extent *ret);

/* 0; -EEXIST: there is one with this logical; or error.  May take BTREE_INSERT_BLOCKS. */
int extents_insert(struct txn *t, struct inode *inode, const struct extent *e);

/* Replace or take away the one with this logical.  0, -ENOENT or error. */
int extents_update(struct txn *t, struct inode *inode, const struct extent *e);
int extents_delete(struct txn *t, struct inode *inode, uint64_t logical);

#endif
