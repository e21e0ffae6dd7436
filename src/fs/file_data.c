/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * File contents in the cache, block by block.  A block is pinned while it changes, so that it is never
 * written half changed; it may be written as soon as it is whole, whatever its transaction
 * does.  Calls bmap, meta and bufio.
 */
#include "file.h"
#include "meta.h"

#include <errno.h>
#include <string.h>

int data_write(struct fs *fs, uint64_t block, const struct data_range *range)
{
	unsigned block_bytes = fs->geo.block_bytes;
	bool whole = range->bytes == block_bytes;
	struct bufio_buffer *b;
	uint8_t *data;
	int r;

	r = whole || range->fresh ? bufio_new(fs->bufio, block, &b)
				  : bufio_read(fs->bufio, block, &b);
	if (r < 0)
		return r;
	bufio_pin(b);
	meta_set_data(b);
	data = bufio_data(b);
	if (range->fresh && !whole)
		memset(data, 0, block_bytes);
	if (range->src)
		memcpy(data + range->from, range->src, range->bytes);
	else
		memset(data + range->from, 0, range->bytes);
	bufio_unpin(b, true);
	bufio_release(b);
	return 0;
}

int file_zero_tail(struct inode *inode, uint64_t from)
{
	const struct geometry *g = &inode->fs->geo;
	struct data_range range = {.from = (unsigned)(from & (g->block_bytes - 1))};
	struct mapping m;
	int r;

	if (!range.from || inode->data_format == DATA_INLINE)
		return 0;
	r = bmap_lookup(inode, from >> g->block_shift, 1, &m);
	if (r < 0)
		return r;
	if (!m.physical || m.unwritten)
		return 0;
	range.bytes = g->block_bytes - range.from;
	return data_write(inode->fs, m.physical, &range);
}

/* Give the first block of a file what was in its tail. */
static int fill_first_block(struct txn *t, struct inode *inode, const uint8_t *saved)
{
	struct data_range range = {.bytes = (unsigned)inode->size, .src = saved, .fresh = true};
	struct mapping m;
	int r;

	r = bmap_alloc(t, inode, 0, 1, &m);
	if (r < 0)
		return r;
	r = data_write(inode->fs, m.physical, &range);
	if (r < 0)
		bmap_remove(t, inode, 0, 1);
	return r;
}

int file_leave_inline(struct txn *t, struct inode *inode)
{
	uint8_t saved[INODE_TAIL_BYTES];
	int r;

	memcpy(saved, inode->tail, sizeof(saved));
	memset(inode->tail, 0, inode_data_bytes(inode));
	inode->data_format = DATA_NONE;
	if (!inode->size)
		return 0;
	r = fill_first_block(t, inode, saved);
	if (r < 0) {
		memcpy(inode->tail, saved, sizeof(saved));
		inode->data_format = DATA_INLINE;
	}
	return r;
}
