/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Zeroing and discarding ranges of the device, coherent with what is cached. */
#include "client.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int write_counted(struct bufio_client *c, struct bufio_io *io)
{
	uint64_t nr = io->size_bytes >> c->block_shift, since = stats_now_ns();
	int r = c->engine->ops->transfer(c->engine, io);

	stats_latency(c, BUFIO_LATENCY_WRITE, since);
	stats_trace(c, BUFIO_TRACE_WRITE, io->offset_bytes >> c->block_shift, nr, r);
	atomic_fetch_add(&c->stats.writes, 1);
	if (r) {
		atomic_fetch_add(&c->stats.write_errors, 1);
	} else {
		atomic_fetch_add(&c->stats.written_blocks, nr);
		atomic_fetch_add(&c->stats.written_bytes, io->size_bytes);
	}
	return r;
}

/* Returns 0 or the first error; zeroes for a device that cannot make them itself. */
static int write_zeroes(struct bufio_client *c, uint64_t block, uint64_t nr)
{
	uint64_t most = c->options.max_io_bytes >> c->block_shift;
	size_t align = c->engine->memory_align < 4096 ? 4096 : c->engine->memory_align;
	void *zeroes;
	int r = 0;

	most = most ? most : 1;
	most = nr < most ? nr : most;
	if (posix_memalign(&zeroes, align, (size_t)most << c->block_shift))
		return -ENOMEM;
	memset(zeroes, 0, (size_t)most << c->block_shift);
	while (nr && !r) {
		uint64_t n = nr < most ? nr : most;
		struct iovec iov = {zeroes, (size_t)n << c->block_shift};
		struct bufio_io io = {.op = BUFIO_OP_WRITE,
				      .offset_bytes = block << c->block_shift,
				      .iov = &iov,
				      .nr_iov = 1,
				      .size_bytes = iov.iov_len};

		r = write_counted(c, &io);
		block += n;
		nr -= n;
	}
	free(zeroes);
	return r;
}

static void visit_zero(struct bufio_buffer *b, uint64_t block, void *context)
{
	struct bufio_client *c = context;

	do {
		b = cache_find(c, block);
	} while (b && read_wait(b) != 0);
	if (!b)
		return;
	bufio_pin(b);
	memset(b->data, 0, c->options.block_bytes);
	bufio_unpin(b, true);
	cache_release(b);
}

int bufio_issue_zeroout(struct bufio_client *c, uint64_t block, uint64_t nr)
{
	struct fence fence = {.block = block, .nr = nr};
	int r;

	if (is_range_bad(c, block, nr))
		return -ERANGE;
	if (!nr)
		return 0;
	r = fence_wait_behind(c, block, block + nr);
	if (r)
		return r;
	fence_begin(c, &fence);
	each_cached(c, block, nr, visit_zero, c);
	r = c->engine->ops->zero(c->engine, block << c->block_shift, nr << c->block_shift);
	if (r == -EOPNOTSUPP)
		r = write_zeroes(c, block, nr);
	if (!r)
		dirty_written_past(c);
	fence_end(c, &fence);
	return r;
}

int bufio_issue_discard(struct bufio_client *c, uint64_t block, uint64_t nr)
{
	int r = bufio_discard_buffers(c, block, nr);

	if (r || !nr)
		return r;
	return c->engine->ops->discard(c->engine, block << c->block_shift, nr << c->block_shift);
}
