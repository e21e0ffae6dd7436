/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Transfers of many blocks past the buffers, coherent with what is cached.
 *
 * A block that is not in the index is on the device, since a buffer leaves the index only
 * clean.  A write first goes to the device and then to whatever was cached meanwhile, so a
 * reader that came in between does not keep the old contents.
 */
#include "client.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void copy_iov(const struct iovec *iov, size_t at, char *data, size_t size, bool to_iov)
{
	for (; size; iov++) {
		size_t n = iov->iov_len;

		if (at >= n) {
			at -= n;
			continue;
		}
		n = n - at < size ? n - at : size;
		memcpy(to_iov ? (char *)iov->iov_base + at : data,
		       to_iov ? data : (char *)iov->iov_base + at, n);
		data += n;
		size -= n;
		at = 0;
	}
}

/* The cached block with its contents there, held, or NULL. */
static struct bufio_buffer *find_ready(struct bufio_client *c, uint64_t block)
{
	struct bufio_buffer *b = cache_find(c, block);

	if (b && (wait_while(b, ST_READING) & ST_FAILED)) {
		cache_release(b);
		return NULL;
	}
	return b;
}

static int transfer(struct bufio_client *c, enum bufio_op op, uint64_t block, struct iovec iov)
{
	struct bufio_io io = {
		.op = op,
		.offset_bytes = block << c->block_shift,
		.iov = &iov,
		.nr_iov = 1,
		.size_bytes = iov.iov_len,
	};

	if (op == BUFIO_OP_READ)
		atomic_fetch_add(&c->stats.reads, 1);
	else
		atomic_fetch_add(&c->stats.writes, 1);
	return c->engine->ops->transfer(c->engine, &io);
}

/*
 * Blocks that are cached before the transfer are held across it: otherwise one could be written
 * and evicted meanwhile, and the transfer have missed, or overtaken, what it held.
 */
static void hold_cached(struct bufio_client *c, uint64_t block, uint64_t nr,
			struct bufio_buffer **held)
{
	for (uint64_t i = 0; i < nr; i++)
		held[i] = find_ready(c, block + i);
}

static int read_piece(struct bufio_client *c, uint64_t block, uint64_t nr, char *bounce,
		      struct bufio_buffer **held)
{
	size_t size = c->options.block_bytes;
	int r;

	hold_cached(c, block, nr, held);
	r = transfer(c, BUFIO_OP_READ, block, (struct iovec){bounce, nr * size});
	for (uint64_t i = 0; i < nr; i++) {
		if (!held[i])
			continue;
		memcpy(bounce + i * size, held[i]->data, size);
		cache_release(held[i]);
	}
	return r;
}

static int write_piece(struct bufio_client *c, uint64_t block, uint64_t nr, char *bounce,
		       struct bufio_buffer **held)
{
	size_t size = c->options.block_bytes;
	int r;

	hold_cached(c, block, nr, held);
	r = transfer(c, BUFIO_OP_WRITE, block, (struct iovec){bounce, nr * size});
	atomic_store(&c->unflushed, true);
	for (uint64_t i = 0; i < nr; i++) {
		struct bufio_buffer *b = held[i] || r ? held[i] : find_ready(c, block + i);

		if (!b)
			continue;
		/* Dirty also if it was clean: a write of the old contents may be in flight. */
		if (!r) {
			bufio_pin(b);
			memcpy(b->data, bounce + i * size, size);
			bufio_unpin(b, true);
		}
		cache_release(b);
	}
	return r;
}

static int extent(struct bufio_client *c, enum bufio_op op, uint64_t block, uint64_t nr,
		  const struct iovec *iov)
{
	uint64_t most = c->options.max_io_bytes >> c->block_shift;
	size_t at = 0;
	struct bufio_buffer **held;
	void *bounce;
	int r = 0;

	most = most ? most : 1;
	most = nr < most ? nr : most;
	if (posix_memalign(&bounce, 4096, (size_t)most << c->block_shift))
		return -ENOMEM;
	held = calloc(most, sizeof(struct bufio_buffer *));
	if (!held) {
		free(bounce);
		return -ENOMEM;
	}
	while (nr && !r) {
		uint64_t n = nr < most ? nr : most;
		size_t size = (size_t)n << c->block_shift;

		if (op == BUFIO_OP_WRITE) {
			copy_iov(iov, at, bounce, size, false);
			r = write_piece(c, block, n, bounce, held);
		} else {
			r = read_piece(c, block, n, bounce, held);
			if (!r)
				copy_iov(iov, at, bounce, size, true);
		}
		block += n;
		nr -= n;
		at += size;
	}
	free(held);
	free(bounce);
	return r;
}

static int check(struct bufio_client *c, uint64_t block, uint64_t nr, const struct iovec *iov,
		 unsigned nr_iov)
{
	uint64_t size = 0;

	if (block > c->nr_blocks || nr > c->nr_blocks - block)
		return -ERANGE;
	for (unsigned i = 0; i < nr_iov; i++)
		size += iov[i].iov_len;
	return nr && size == nr << c->block_shift ? 0 : -EINVAL;
}

int bufio_read_extent(struct bufio_client *c, uint64_t block, uint64_t nr, const struct iovec *iov,
		      unsigned nr_iov, void (*done)(void *context, int result), void *context)
{
	int r = check(c, block, nr, iov, nr_iov);

	if (r)
		return r;
	r = extent(c, BUFIO_OP_READ, block, nr, iov);
	if (!done)
		return r;
	done(context, r);
	return 0;
}

int bufio_write_extent(struct bufio_client *c, uint64_t block, uint64_t nr, const struct iovec *iov,
		       unsigned nr_iov, void (*done)(void *context, int result), void *context)
{
	int r = check(c, block, nr, iov, nr_iov);

	if (r)
		return r;
	r = extent(c, BUFIO_OP_WRITE, block, nr, iov);
	if (!done)
		return r;
	done(context, r);
	return 0;
}
