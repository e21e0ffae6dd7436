/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Freeing the extended attributes of an inode without a name: FORMAT.md section 9.  In each transaction one block of
 * records goes, or those in the tail, with the values that are outside of it; which blocks that is, is
 * found out before the first is freed.  Calls xattr_value, inode.
 */
#include "file.h"
#include "xattr.h"

#include <errno.h>
#include <string.h>

/* The values that records name. */
static int add_values(struct inode *inode, const uint8_t *at, unsigned left,
		      struct xattr_blocks *ret)
{
	struct xattr_record record;
	int r = 0;

	while (left && r == 0) {
		r = xattr_record_decode(at, left, &record);
		if (r < 0)
			return r;
		if (record.external)
			r = value_blocks(inode, record.block, record.value_bytes, ret);
		at += record.bytes;
		left -= record.bytes;
	}
	return r;
}

static int add_block(struct inode *inode, uint64_t block, struct xattr_blocks *ret,
		     uint64_t *ret_next)
{
	const struct disk_chain *d;
	struct bufio_buffer *b;
	int r;

	r = xattr_block_read(inode, block, META_XATTR, &b);
	if (r < 0)
		return r;
	d = bufio_data(b);
	*ret_next = le64_get(d->next);
	r = add_values(inode, (const uint8_t *)(d + 1), le32_get(d->used), ret);
	if (r == 0)
		r = blocks_add(ret, block);
	bufio_release(b);
	return r;
}

/* The tail first; whatever else it held is of no use any more. */
static int free_locked(struct txn *t, struct inode *inode, struct xattr_blocks *b)
{
	unsigned from = inode_data_bytes(inode);
	uint64_t next = inode->xattr_block;
	int r;

	if (inode->xattr_bytes)
		r = add_values(inode, inode->tail + from, inode->xattr_bytes, b);
	else
		r = add_block(inode, inode->xattr_block, b, &next);
	if (r == 0)
		r = inode_store(t, inode);
	if (r == 0)
		r = blocks_prepare_free(t, b);
	if (r == 0)
		r = blocks_free(t, inode, b);
	if (r < 0)
		return r;
	if (inode->xattr_bytes) {
		memset(inode->tail, 0, sizeof(inode->tail));
		inode->data_format = DATA_NONE;
		inode->xattr_bytes = 0;
		inode->size = 0;
	}
	inode->xattr_block = next;
	return inode_store(t, inode);
}

/* 1: there is more. */
static int free_step(struct inode *inode)
{
	struct xattr_blocks b = {0};
	struct txn t;
	bool more;
	int r;

	r = txn_start(inode->fs, 0, &t);
	if (r < 0)
		return r;
	pthread_rwlock_wrlock(&inode->lock);
	r = free_locked(&t, inode, &b);
	more = inode->xattr_block;
	pthread_rwlock_unlock(&inode->lock);
	txn_end(&t);
	blocks_finish(&b);
	return r < 0 ? r : more;
}

int xattr_free(struct inode *inode)
{
	bool has;
	int r;

	pthread_rwlock_rdlock(&inode->lock);
	has = inode->xattr_bytes || inode->xattr_block;
	pthread_rwlock_unlock(&inode->lock);
	r = has;
	while (r > 0)
		r = free_step(inode);
	return r;
}
