/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_IALLOC_H
#define FS_IALLOC_H

/* The inode bitmaps: which inode numbers are in use, and the counts that go with them. */
#include "txn.h"

/*
 * Take a free inode number: files near their directory, directories spread out.  Its table
 * block is initialised if it never was.  0, -ENOSPC, -EUCLEAN, -EIO, -ENOMEM.
 */
int ialloc_alloc(struct txn *t, uint64_t dir, bool is_dir, uint64_t *ret_ino);
int ialloc_free(struct txn *t, uint64_t ino, bool is_dir);

/* Read what ialloc_free() and ialloc_orphan() will change, and put it into the transaction: then they do not fail. */
int ialloc_prepare_free(struct txn *t, uint64_t ino);

/* The inode became (delta 1) or ceased to be (-1) an orphan: see FORMAT.md, nr_orphans. */
int ialloc_orphan(struct txn *t, uint64_t ino, int delta);

/* Is ino in use?  1, 0 or an error. */
int ialloc_in_use(struct fs *fs, uint64_t ino);

/* A group's inode bitmap, held; built in the cache if the group was never used. */
int ialloc_bitmap(struct fs *fs, uint32_t group, struct bufio_buffer **ret_b);

/*
 * The table block of an inode, held.  A block behind the group's itable_mark is never read: -ENOENT.
 */
int ialloc_table_block(struct fs *fs, uint64_t ino, struct bufio_buffer **ret_b);

#endif
