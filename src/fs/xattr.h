/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_XATTR_H
#define FS_XATTR_H

/*
 * The extended attributes of ONE inode: FORMAT.md section 9.  The caller holds its lock, exclusively for a change, and
 * has checked who may do what.
 *
 * A record lies in the tail as long as it fits beside the data that is there; the data is never moved for it, nor
 * it for the data.  What does not fit there is in the chain of blocks; a value that would fill
 * more than half of a block has blocks of its own, which are written once and never changed.
 */
#include "inode.h"
#include "meta.h"
#include "xattr_record.h"

/* The most reserved blocks xattr_change() takes; those of a value come from what nobody has reserved. */
#define XATTR_CHANGE_BLOCKS 1

/* Bytes of the tail that are always left to the data: an extent, a tree's root or a small name. */
#define XATTR_DATA_BYTES 16u

/* Names of an inode, each with its NUL, are no longer together than a program can ask for. */
#define XATTR_LIST_BYTES 65536u

static inline bool xattr_any(const struct inode *inode)
{
	return inode->xattr_bytes || inode->xattr_block;
}

/* The bytes of the value; -ENODATA; -ERANGE: more than size; -EUCLEAN, -EIO.  size 0: only tell. */
ssize_t xattr_get(struct inode *inode, const struct xattr_name *name, void *value, size_t size);

/* Call visit for each attribute until it does not return 0, which comes back. */
typedef int xattr_visit(void *context, const struct xattr_record *r);
int xattr_each(struct inode *inode, xattr_visit *visit, void *context);

struct xattr_value {
	const void *bytes;
	uint32_t size;
};

/*
 * Set (value not NULL) or remove an attribute, with ctime, all or nothing, and store the inode.  flags: XATTR_CREATE or
 * XATTR_REPLACE.  0, -EEXIST, -ENODATA, -ENOSPC, -ENOMEM, -EUCLEAN, -EIO.
 */
int xattr_change(struct txn *t, struct inode *inode, const struct xattr_name *name,
		 const struct xattr_value *value, int flags);

/* For xattr_store.c and xattr_free.c: blocks of both kinds of chains, in xattr_value.c */
struct xattr_blocks {
	uint64_t *list;
	size_t nr, max;
};

int blocks_add(struct xattr_blocks *b, uint64_t block); /* 0 or -ENOMEM */
void blocks_finish(struct xattr_blocks *b);

/* They are known and can be freed: before the change that unlinks them.  Then free them. */
int blocks_prepare_free(struct txn *t, const struct xattr_blocks *b);
int blocks_free(struct txn *t, struct inode *inode, const struct xattr_blocks *b);

/* A block of either chain, held, with a sane length. */
int xattr_block_read(struct inode *inode, uint64_t block, enum meta_kind kind,
		     struct bufio_buffer **ret_b);

/* The blocks of a value. */
int value_blocks(struct inode *inode, uint64_t first, uint32_t size, struct xattr_blocks *ret);

/* Read a value of this size. */
int value_read(struct inode *inode, uint64_t first, uint32_t size, uint8_t *value);

/* Allocate and write blocks for it, durable with t.  On an error none is taken. */
int value_write(struct txn *t, struct inode *inode, const struct xattr_value *value,
		struct xattr_blocks *ret);

#endif
