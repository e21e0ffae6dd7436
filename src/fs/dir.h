/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_DIR_H
#define FS_DIR_H

/*
 * The names in ONE directory: inline, in blocks, with a hash index.  Knows nothing of the inodes
 * that names point to.  The caller holds the directory's lock and calls inode_store()
 * after a change, also after one that failed (dir.c updates size, blocks, nr_entries, not
 * times or nlink).
 */
#include "bmap.h"
#include "btree.h"
#include "inode.h"

struct dir_entry {
	uint64_t ino;
	unsigned type; /* DT_* */
	uint64_t position;
};

/* The index holds positions / 4 in 32 bits. */
#define DIR_MAX_BYTES (UINT64_C(1) << 34)

/* The most reserved blocks dir_add() takes: a block and its mapping, the first node of the index, a key. */
#define DIR_ADD_BLOCKS (1 + BMAP_CHANGE_BLOCKS + 1 + BTREE_INSERT_BLOCKS)

/* 0; -ENOENT; -ENAMETOOLONG; -EINVAL for a name that cannot be; -EUCLEAN, -EIO. */
int dir_lookup(struct inode *dir, const char *name, struct dir_entry *ret);

/*
 * The name is not there (the caller has looked).  0, -ENOSPC if the directory is at its limit, or
 * error; then the name is not there, but the directory may have grown.
 */
int dir_add(struct txn *t, struct inode *dir, const char *name, uint64_t ino, unsigned type);

/*
 * Remove / point elsewhere an entry found by dir_lookup() under the same lock; other calls may lie
 * between.  On an error nothing happened.  Neither takes reserved blocks.
 */
int dir_remove(struct txn *t, struct inode *dir, const char *name, const struct dir_entry *e);
int dir_replace(struct txn *t, struct inode *dir, const struct dir_entry *e, uint64_t ino,
		unsigned type);

/*
 * Stored entries with position >= from, in order; "." and ".." are the caller's.  fill as in
 * fs.h; the cookie of an entry is its position + 1.  A shared lock is enough.
 */
int dir_iterate(struct inode *dir, uint64_t from, fs_fill *fill, void *context);

/* A new directory: no entries, inline.  Its xattr_bytes are set. */
void dir_init(struct inode *dir);

/*
 * An inline directory: the bytes of its area that its entries need; and the area's size was `before` and is now another
 * (inode_data_bytes()): the last entry gets or gives the difference.
 */
unsigned dir_inline_bytes(struct inode *dir);
void dir_resize_inline(struct inode *dir, unsigned before);

/* Check the structure of one directory block or inline area; pure.  0 or -EUCLEAN. */
int dir_check_entries(const struct fs *fs, const uint8_t *area, unsigned bytes);

uint32_t dir_hash(const struct fs *fs, const char *name, size_t len);
void dir_cache_free(struct inode *dir);

#endif
