/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Values of extended attributes that have blocks of their own, and lists of blocks to be freed.  A value is written
 * once, like the data of a new file: durable with the transaction that makes it reachable, in its record if it is
 * small, so that one of 64 KiB does not fill a log.  Calls balloc, meta and txn.
 */
#include "xattr.h"

#include "balloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Free space in more pieces than this is no place for a value: each may be in a group whose bitmap changes. */
#define VALUE_MAX_RUNS 17u

int blocks_add(struct xattr_blocks *b, uint64_t block)
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

void blocks_finish(struct xattr_blocks *b)
{
	free(b->list);
	*b = (struct xattr_blocks){0};
}

int blocks_prepare_free(struct txn *t, const struct xattr_blocks *b)
{
	int r = 0;

	for (size_t i = 0; i < b->nr && r == 0; i++)
		r = balloc_prepare_free(t, b->list[i]);
	return r;
}

int blocks_free(struct txn *t, struct inode *inode, const struct xattr_blocks *b)
{
	int r = 0;

	for (size_t i = 0; i < b->nr && r == 0; i++) {
		r = balloc_free(t, b->list[i], 1);
		inode->blocks--;
	}
	return r;
}

int xattr_block_read(struct inode *inode, uint64_t block, enum meta_kind kind,
		     struct bufio_buffer **ret_b)
{
	const struct geometry *g = &inode->fs->geo;
	const struct disk_chain *d;
	int r;

	if (!geo_is_data(g, block, 1))
		return -EUCLEAN;
	r = meta_read(inode->fs, block, &(struct meta_expected){kind, inode->ino, NULL}, ret_b);
	if (r < 0)
		return r;
	d = bufio_data(*ret_b);
	if (le32_get(d->used) <= g->block_bytes - sizeof(*d))
		return 0;
	bufio_release(*ret_b);
	return -EUCLEAN;
}

static unsigned block_room(const struct fs *fs)
{
	return fs->geo.block_bytes - (unsigned)sizeof(struct disk_chain);
}

/* One block of a value of which left bytes are to come: how many it has, and the next. */
static int value_step(struct inode *inode, uint64_t *block, uint32_t left, uint8_t *value)
{
	const struct disk_chain *d;
	struct bufio_buffer *b;
	uint32_t used;
	int r;

	r = xattr_block_read(inode, *block, META_XATTR_VALUE, &b);
	if (r < 0)
		return r;
	d = bufio_data(b);
	used = le32_get(d->used);
	*block = le64_get(d->next);
	if (value && used <= left)
		memcpy(value, d + 1, used);
	bufio_release(b);
	/* at least a byte in each, so a walk ends */
	return used == 0 || used > left ? -EUCLEAN : (int)used;
}

int value_blocks(struct inode *inode, uint64_t first, uint32_t size, struct xattr_blocks *ret)
{
	uint64_t block = first;
	int r = 0;

	while (size) {
		uint64_t here = block;

		r = value_step(inode, &block, size, NULL);
		if (r < 0)
			return r;
		size -= (uint32_t)r;
		r = blocks_add(ret, here);
		if (r < 0)
			return r;
	}
	return 0;
}

int value_read(struct inode *inode, uint64_t first, uint32_t size, uint8_t *value)
{
	uint64_t block = first;

	while (size) {
		int r = value_step(inode, &block, size, value);

		if (r < 0)
			return r;
		value += r;
		size -= (uint32_t)r;
	}
	return 0;
}

/* Into *ret, which on an error has those that were taken. */
static int alloc_blocks(struct txn *t, struct inode *inode, size_t nr, struct xattr_blocks *ret)
{
	uint64_t goal = geo_inode_block(&inode->fs->geo, inode->ino), block;
	unsigned runs = 0;
	uint32_t count;
	int r = 0;

	while (r == 0 && ret->nr < nr) {
		if (runs++ == VALUE_MAX_RUNS)
			return -ENOSPC;
		r = balloc_alloc(t, goal, (uint32_t)(nr - ret->nr), &block, &count);
		if (r < 0)
			return r;
		goal = block + count;
		for (uint32_t i = 0; i < count; i++) {
			if (r == 0)
				r = blocks_add(ret, block + i);
			if (r < 0)
				balloc_free(t, block + i, 1);
		}
	}
	return r;
}

static int write_block(struct txn *t, struct inode *inode, const struct xattr_blocks *blocks,
		       size_t i, const struct xattr_value *value)
{
	size_t room = block_room(inode->fs), at = i * room;
	struct bufio_buffer *b;
	struct disk_chain *d;
	int r;

	r = meta_new(inode->fs, blocks->list[i], META_XATTR_VALUE, inode->ino, &b);
	if (r < 0)
		return r;
	/* of the block's last use something may be dirty still: its write must not see half of the new */
	bufio_pin(b);
	d = bufio_data(b);
	if (room > value->size - at)
		room = value->size - at;
	d->next = le64_make(i + 1 < blocks->nr ? blocks->list[i + 1] : 0);
	d->used = le32_make((uint32_t)room);
	memcpy(d + 1, (const uint8_t *)value->bytes + at, room);
	meta_stamp(inode->fs, b, t->seq);
	r = txn_add_data(t, blocks->list[i], 1, b);
	bufio_unpin(b, r == 0);
	bufio_release(b);
	return r;
}

int value_write(struct txn *t, struct inode *inode, const struct xattr_value *value,
		struct xattr_blocks *ret)
{
	size_t room = block_room(inode->fs);
	int r;

	r = alloc_blocks(t, inode, (value->size + room - 1) / room, ret);
	for (size_t i = 0; i < ret->nr && r == 0; i++)
		r = write_block(t, inode, ret, i, value);
	if (r < 0) {
		while (ret->nr)
			balloc_free(t, ret->list[--ret->nr], 1);
	}
	return r;
}
