/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing from the caller's memory, past the buffers, while the caller goes on.
 *
 * 1. A fence stands until the data is on the device, or in buffers: who reads or writes the blocks
 *    meanwhile waits for that.
 * 2. What has a buffer is written there, within the call; the rest in runs of adjoining blocks, all of which are made
 *    before the first is submitted.
 * 3. Nothing is reported when a run fails: see behind.c.
 */
#include "client.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NR_TOGETHER 32u /* runs submitted in one call */

static void finish(struct behind *x)
{
	struct bufio_client *c = x->client;
	bool failed;

	if (atomic_fetch_sub(&x->nr_pending, 1) != 1)
		return;
	failed = x->failed != NULL;
	if (failed) {
		pthread_mutex_lock(&c->fence_lock);
		x->fence.error = x->failed->result;
		pthread_mutex_unlock(&c->fence_lock);
		wake_background(c, BACKGROUND_LOOK);
	} else {
		fence_end(c, &x->fence);
		x->done(x->context);
		behind_destroy(x);
	}
	wait_async_end(c);
}

static void run_done(struct bufio_io *io, int r)
{
	struct behind_run *run = io->context;
	struct behind *x = run->behind;
	struct bufio_client *c = x->client;

	stats_latency(c, BUFIO_LATENCY_WRITE, run->since_ns);
	stats_trace(c, BUFIO_TRACE_WRITE, run->block, run->nr, r);
	if (r) {
		atomic_fetch_add(&c->stats.write_errors, 1);
		run->result = r;
		pthread_mutex_lock(&c->fence_lock);
		run->next = x->failed;
		x->failed = run;
		pthread_mutex_unlock(&c->fence_lock);
	} else {
		atomic_fetch_add(&c->stats.written_blocks, run->nr);
		atomic_fetch_add(&c->stats.written_bytes, io->size_bytes);
		dirty_written_past(c);
		free(run);
	}
	finish(x);
}

/* Returns whether the block was written into its buffer.  If not, it has none. */
static bool write_cached(struct behind *x, uint64_t block, const char *data)
{
	struct bufio_client *c = x->client;
	struct bufio_buffer *b;

	if (cache_is_absent(c, block))
		return false;
	do {
		b = cache_find(c, block);
		if (!b)
			return false;
	} while (read_wait(b) != 0);
	/* Dirty also if it was clean: a write of the old contents may have been in flight. */
	bufio_pin(b);
	memcpy(b->data, data, c->options.block_bytes);
	bufio_unpin(b, true);
	cache_release(b);
	return true;
}

static struct behind_run *run_create(struct behind *x, uint64_t block, const char *data)
{
	struct behind_run *run = malloc(sizeof(*run));

	if (!run)
		return NULL;
	*run = (struct behind_run){
		.behind = x, .next = x->runs, .block = block, .iov = {(char *)data, 0}};
	x->runs = run;
	return run;
}

static int make_runs(struct behind *x)
{
	struct bufio_client *c = x->client;
	uint64_t most = c->options.max_io_bytes >> c->block_shift;
	struct behind_run *run = NULL;

	for (uint64_t i = 0; i < x->fence.nr; i++) {
		uint64_t block = x->fence.block + i;
		const char *data = x->data + (i << c->block_shift);

		if (write_cached(x, block, data))
			continue;
		if (!run || run->block + run->nr != block || run->nr >= most)
			run = run_create(x, block, data);
		if (!run)
			return -ENOMEM;
		run->nr++;
		run->iov.iov_len += c->options.block_bytes;
	}
	return 0;
}

static struct bufio_io *prepare(struct behind_run *run)
{
	struct bufio_client *c = run->behind->client;

	run->io = (struct bufio_io){
		.op = BUFIO_OP_WRITE,
		.flags = BUFIO_IO_UNAWAITED,
		.offset_bytes = run->block << c->block_shift,
		.iov = &run->iov,
		.nr_iov = 1,
		.size_bytes = run->iov.iov_len,
		.done = run_done,
		.context = run,
	};
	run->since_ns = stats_now_ns();
	return &run->io;
}

static void submit_runs(struct behind *x)
{
	struct bufio_client *c = x->client;
	struct behind_run *run = x->runs;
	struct bufio_io *ios[NR_TOGETHER];
	unsigned n = 0;

	x->runs = NULL;
	while (run) {
		/* A run may be gone as soon as it is submitted. */
		ios[n++] = prepare(run);
		run = run->next;
		if (run && n < NR_TOGETHER)
			continue;
		atomic_fetch_add(&x->nr_pending, n);
		atomic_fetch_add(&c->stats.writes, n);
		c->engine->ops->submit(c->engine, ios, n);
		n = 0;
	}
}

static int check(const struct bufio_client *c, uint64_t block, const struct iovec *data)
{
	if (!data->iov_len || (data->iov_len & (c->options.block_bytes - 1)) ||
	    ((uintptr_t)data->iov_base & (c->engine->memory_align - 1)))
		return -EINVAL;
	return is_range_bad(c, block, data->iov_len >> c->block_shift) ? -ERANGE : 0;
}

/* Nothing was submitted. */
static void give_up(struct behind *x)
{
	fence_end(x->client, &x->fence);
	wait_async_end(x->client);
	behind_destroy(x);
}

int bufio_write_behind(struct bufio_client *c, uint64_t block, const struct iovec *data,
		       void (*done)(void *context), void *context)
{
	struct behind *x;
	int r;

	r = check(c, block, data);
	if (r)
		return r;
	x = malloc(sizeof(*x));
	if (!x)
		return -ENOMEM;
	*x = (struct behind){.fence = {.block = block, .nr = data->iov_len >> c->block_shift},
			     .client = c,
			     .data = data->iov_base,
			     .nr_pending = 1,
			     .done = done,
			     .context = context};
	r = fence_begin_behind(c, &x->fence);
	if (r) {
		behind_destroy(x);
		return r;
	}
	wait_async_begin(c);
	r = make_runs(x);
	if (r) {
		give_up(x);
		return r;
	}
	submit_runs(x);
	finish(x);
	return 0;
}
