/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_FILE_H
#define FS_FILE_H

/* The bytes of a regular file: read, write, truncate.  fs_read() and fs_write() are here. */
#include "inode.h"

/*
 * Set the size.  Shrinking is done in steps of their own transactions (TRUNCATE is set between
 * them), so the caller is in no txn and holds no lock.  Bytes past the old size read as zero
 * after growing.  mtime and ctime become now.
 */
int file_truncate(struct inode *inode, uint64_t size);

/* Free all blocks of an inode that has no names left (any type), in steps.  For inode_put(). */
int file_free_blocks(struct inode *inode);

/* Symlink targets: symlink.c.  store is called on a new, locked inode. */
#define SYMLINK_BLOCKS 5
int symlink_store(struct txn *t, struct inode *inode, const char *target);
ssize_t symlink_load(struct inode *inode, char *target, size_t size);

#endif
