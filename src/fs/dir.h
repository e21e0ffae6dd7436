/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_DIR_H
#define FS_DIR_H

/*
 * The names in ONE directory: inline, in blocks, with a hash index.  Knows nothing of the inodes
 * that names point to.  The caller holds the directory's lock and calls inode_store()
 * after a change (dir.c updates size, blocks, nr_entries, not times or nlink).
 */
#include "inode.h"

struct dir_entry {
	uint64_t ino;
	unsigned type;		/* DT_* */
	uint64_t position;
};

/* The most reserved blocks dir_add() takes: a block, its mapping, the index. */
#define DIR_ADD_BLOCKS 60

/* 0; -ENOENT; -ENAMETOOLONG; -EINVAL for a name that cannot be. */
int dir_lookup(struct inode *dir, const char *name, struct dir_entry *ret);

/* The name is not there (the caller has looked).  0, -ENOSPC if the directory is at its limit, or error. */
int dir_add(struct txn *t, struct inode *dir, const char *name, uint64_t ino, unsigned type);

/* Remove / point elsewhere an entry found by dir_lookup() under the same lock. */
int dir_remove(struct txn *t, struct inode *dir, const char *name, const struct dir_entry *e);
int dir_replace(struct txn *t, struct inode *dir, const char *name, const struct dir_entry *e,
		uint64_t ino, unsigned type);

/* Stored entries with position >= from, in order; "." and ".." are the caller's.  fill as in fs.h. */
int dir_iterate(struct inode *dir, uint64_t from, fs_fill *fill, void *context);

/* Check the structure of one directory block or inline area; pure.  0 or -EUCLEAN. */
int dir_check_entries(const struct fs *fs, const uint8_t *area, unsigned bytes);

uint32_t dir_hash(const struct fs *fs, const char *name, size_t len);
void dir_cache_free(struct inode *dir);

#endif
