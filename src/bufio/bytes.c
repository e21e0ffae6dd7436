/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ranges of bytes through the cache, as if the device were one long array. */
#include "client.h"
#include <errno.h>
#include <string.h>

/* A range, cut at the blocks. */
struct walk {
	struct bufio_client *client;
	uint64_t block, offset_bytes;
	size_t left, skip, size; /* size bytes of block, after skip */
};

static int walk_begin(struct walk *w, struct bufio_client *c, uint64_t offset_bytes, size_t size)
{
	uint64_t end = c->nr_blocks << c->block_shift;

	if (offset_bytes > end || size > end - offset_bytes)
		return -ERANGE;
	*w = (struct walk){.client = c, .offset_bytes = offset_bytes, .left = size};
	return 0;
}

static bool walk_next(struct walk *w)
{
	size_t block_bytes = w->client->options.block_bytes;

	w->offset_bytes += w->size;
	w->left -= w->size;
	w->block = w->offset_bytes >> w->client->block_shift;
	w->skip = (size_t)(w->offset_bytes & (block_bytes - 1));
	w->size = block_bytes - w->skip < w->left ? block_bytes - w->skip : w->left;
	return w->left > 0;
}

static void prefetch(const struct walk *w)
{
	uint64_t first = w->offset_bytes >> w->client->block_shift;
	uint64_t end = (w->offset_bytes + w->left + w->client->options.block_bytes - 1) >>
		       w->client->block_shift;

	if (end - first > 1)
		bufio_prefetch(w->client, first, end - first);
}

int bufio_read_bytes(struct bufio_client *c, uint64_t offset_bytes, void *data, size_t size)
{
	struct bufio_buffer *b;
	struct walk w;
	int r = walk_begin(&w, c, offset_bytes, size);

	if (r)
		return r;
	prefetch(&w);
	while (walk_next(&w)) {
		r = bufio_read(c, w.block, &b);
		if (r)
			return r;
		memcpy(data, (char *)bufio_data(b) + w.skip, w.size);
		bufio_release(b);
		data = (char *)data + w.size;
	}
	return 0;
}

/* Hold the block that w is at to change it: a whole one need not be read. */
static int hold(const struct walk *w, struct bufio_buffer **ret_buffer)
{
	if (w->size == w->client->options.block_bytes)
		return bufio_new(w->client, w->block, ret_buffer);
	return bufio_read(w->client, w->block, ret_buffer);
}

/* Pinned: what is on its way to the device does not change, and no block gets there half changed. */
static void change(struct bufio_buffer *b, const struct walk *w, const void *data)
{
	bufio_pin(b);
	if (data)
		memcpy((char *)bufio_data(b) + w->skip, data, w->size);
	else
		memset((char *)bufio_data(b) + w->skip, 0, w->size);
	bufio_mark_partial_dirty(b, w->skip, w->skip + w->size);
	bufio_unpin(b, false);
}

/* data NULL: zeroes. */
static int change_bytes(struct bufio_client *c, uint64_t offset_bytes, const void *data,
			size_t size)
{
	struct bufio_buffer *b;
	struct walk w;
	int r = walk_begin(&w, c, offset_bytes, size);

	while (!r && walk_next(&w)) {
		r = hold(&w, &b);
		if (r)
			return r;
		change(b, &w, data);
		bufio_release(b);
		data = data ? (const char *)data + w.size : NULL;
	}
	return r;
}

int bufio_write_bytes(struct bufio_client *c, uint64_t offset_bytes, const void *data, size_t size)
{
	return data ? change_bytes(c, offset_bytes, data, size) : -EINVAL;
}

int bufio_zero_bytes(struct bufio_client *c, uint64_t offset_bytes, size_t size)
{
	return change_bytes(c, offset_bytes, NULL, size);
}
