/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Freeing the extended attributes of an inode without a name: FORMAT.md section 9.  In each transaction one block of
 * records goes, or those in the tail, with the values that are outside of it; which blocks that is, is
 * found out before the first is freed.  Calls inode, balloc and meta.
 */
#include "file.h"

#include "balloc.h"
#include "meta.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct blocks {
	uint64_t *list;
	size_t nr, max;
};

static int blocks_add(struct blocks *b, uint64_t block)
{
	size_t max = b->max ? b->max * 2 : 16;
	uint64_t *list;

	if (b->nr == b->max) {
		list = reallocarray(b->list, max, sizeof(*list));
		if (!list)
			return -ENOMEM;
		b->list = list;
		b->max = max;
	}
	b->list[b->nr++] = block;
	return 0;
}

static int chain_read(struct inode *inode, uint64_t block, enum meta_kind kind,
		      struct bufio_buffer **ret_b)
{
	const struct geometry *g = &inode->fs->geo;
	const struct disk_chain *d;
	int r;

	if (!balloc_valid(g, block, 1))
		return -EUCLEAN;
	r = meta_read(inode->fs, block, kind, inode->ino, NULL, ret_b);
	if (r < 0)
		return r;
	d = bufio_data(*ret_b);
	if (le32_get(d->used) <= g->block_bytes - sizeof(*d))
		return 0;
	bufio_release(*ret_b);
	return -EUCLEAN;
}

/* Each block holds at least a byte of the value, so this ends. */
static int add_value(struct inode *inode, uint64_t block, uint32_t left, struct blocks *ret)
{
	struct bufio_buffer *b;
	uint32_t used;
	int r = 0;

	while (left && r == 0) {
		r = chain_read(inode, block, META_XATTR_VALUE, &b);
		if (r < 0)
			return r;
		r = blocks_add(ret, block);
		used = le32_get(((const struct disk_chain *)bufio_data(b))->used);
		block = le64_get(((const struct disk_chain *)bufio_data(b))->next);
		bufio_release(b);
		if (used == 0 || used > left)
			return -EUCLEAN;
		left -= used;
	}
	return r;
}

static unsigned padded(unsigned bytes)
{
	return (bytes + 3) & ~3u;
}

/* The values that records name. */
static int add_values(struct inode *inode, const uint8_t *at, unsigned left, struct blocks *ret)
{
	int r = 0;

	while (left && r == 0) {
		const struct disk_xattr *x = (const struct disk_xattr *)at;
		unsigned head = padded(sizeof(*x) + x->name_len), value;
		bool external = left >= sizeof(*x) && le16_get(x->flags) & XATTR_EXTERNAL;
		le64 first;

		if (left < sizeof(*x) || le32_get(x->value_bytes) > XATTR_VALUE_MAX)
			return -EUCLEAN;
		value = external ? (unsigned)sizeof(first) : padded(le32_get(x->value_bytes));
		if (head + value > left)
			return -EUCLEAN;
		if (external) {
			memcpy(&first, at + head, sizeof(first));
			r = add_value(inode, le64_get(first), le32_get(x->value_bytes), ret);
		}
		at += head + value;
		left -= head + value;
	}
	return r;
}

static int add_block(struct inode *inode, uint64_t block, struct blocks *ret, uint64_t *ret_next)
{
	const struct disk_chain *d;
	struct bufio_buffer *b;
	int r;

	r = chain_read(inode, block, META_XATTR, &b);
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

static int free_blocks(struct txn *t, struct inode *inode, const struct blocks *b)
{
	int r = 0;

	for (size_t i = 0; i < b->nr && r == 0; i++)
		r = balloc_prepare_free(t, b->list[i]);
	for (size_t i = 0; i < b->nr && r == 0; i++) {
		r = balloc_free(t, b->list[i], 1);
		inode->blocks--;
	}
	return r;
}

/* The tail first; whatever else it held is of no use any more. */
static int free_locked(struct txn *t, struct inode *inode, struct blocks *b)
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
		r = free_blocks(t, inode, b);
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
	struct blocks b = {.list = NULL};
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
	txn_stop(&t);
	free(b.list);
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
