/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Holding a block: read, new, get.  Who misses reads the block himself, in his own thread; others
 * who want it meanwhile wait for him.
 */
#include "client.h"
#include <errno.h>
#include <string.h>

struct waited_io {
	struct bufio_io io;
	struct bufio_client *client;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool done;
	int result;
};

static void waited_done(struct bufio_io *io, int result)
{
	struct waited_io *w = io->context;

	pthread_mutex_lock(&w->lock);
	w->result = result;
	w->done = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
}

/* A transfer with a priority must be submitted: preadv2() has none. */
static int submit_and_wait(struct bufio_client *c, struct bufio_io *io)
{
	struct waited_io w = {.io = *io, .client = c};
	struct bufio_io *list = &w.io;

	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.wake, NULL);
	w.io.done = waited_done;
	w.io.context = &w;
	c->engine->ops->submit(c->engine, &list, 1);
	pthread_mutex_lock(&w.lock);
	while (!w.done)
		pthread_cond_wait(&w.wake, &w.lock);
	pthread_mutex_unlock(&w.lock);
	pthread_cond_destroy(&w.wake);
	pthread_mutex_destroy(&w.lock);
	return w.result;
}

static int read_block(struct bufio_buffer *b, uint64_t block, uint16_t ioprio)
{
	struct bufio_client *c = b->client;
	struct iovec iov = {b->data, c->options.block_bytes};
	struct bufio_io io = {
		.op = BUFIO_OP_READ,
		.ioprio = ioprio,
		.offset_bytes = block << c->block_shift,
		.iov = &iov,
		.nr_iov = 1,
		.size_bytes = iov.iov_len,
	};
	uint64_t since = stats_now_ns();
	int r = ioprio ? submit_and_wait(c, &io) : c->engine->ops->transfer(c->engine, &io);

	stats_latency(c, BUFIO_LATENCY_READ, since);
	stats_trace(c, BUFIO_TRACE_READ, block, 1, r);
	atomic_fetch_add(&c->stats.reads, 1);
	atomic_fetch_add(&c->stats.read_blocks, 1);
	if (r == 0 && c->callbacks.verify)
		r = c->callbacks.verify(c->options.callback_context, b);
	if (r)
		atomic_fetch_add(&c->stats.read_errors, 1);
	return r;
}

/*
 * Wait for the contents of a held buffer.  On an error, also that of another's read ahead
 * (READ_AGAIN), the hold is gone.
 */
int read_wait(struct bufio_buffer *b)
{
	uint64_t s = wait_while(b, ST_READING);
	int r = 0;

	if (s & ST_FAILED) {
		r = atomic_load(&b->error);
		cache_release(b);
	}
	return r;
}

/* Returns 1 if the block has a buffer already, 0 if the buffer is the caller's to fill. */
static int enter(struct bufio_client *c, uint64_t block, uint64_t state, enum alloc_wait wait,
		 struct bufio_buffer **ret)
{
	struct bufio_buffer *b, *b1;
	int r;

	for (;;) {
		/* A hit must not wait for a free buffer. */
		*ret = cache_find(c, block);
		if (*ret)
			return 1;
		r = fence_wait(c, block);
		if (!r)
			r = alloc_buffer(c, wait, &b);
		if (r)
			return r;
		if (state == ST_NEW)
			memset(b->data, 0, c->options.block_bytes);
		b1 = cache_insert(b, block, state, CACHE_HOLD);
		if (b1 != b)
			pool_put(b);
		if (b1) {
			*ret = b1;
			return b1 != b;
		}
	}
}

/* Written only if it is another one: threads that share a hot buffer leave its line alone. */
static void note_caller(struct bufio_buffer *b, void *caller)
{
	if (atomic_load_explicit(&b->caller, memory_order_relaxed) != caller)
		atomic_store_explicit(&b->caller, caller, memory_order_relaxed);
}

/* The rest of a read that found nothing in the cache at first, or a buffer being read. */
static int read_slowly(struct bufio_client *c, uint64_t block, uint16_t ioprio,
		       struct bufio_buffer *b, struct bufio_buffer **ret_buffer)
{
	int r = 0;

	do {
		if (!b) {
			r = enter(c, block, ST_READING, ALLOC_WAIT, &b);
			if (r < 0)
				return r;
			if (r == 0) {
				atomic_fetch_add(&c->stats.misses, 1);
				cache_read_done(b, read_block(b, block, ioprio));
			} else {
				hold_count_hit(hold_mine(c));
			}
		}
		r = read_wait(b);
		*ret_buffer = b;
		b = NULL;
	} while (r == READ_AGAIN);
	return r;
}

static inline int read_any(struct bufio_client *c, uint64_t block, uint16_t ioprio, void *caller,
			   struct bufio_buffer **ret_buffer)
{
	struct holder *h = hold_mine(c);
	struct bufio_buffer *b;
	int r;

	*ret_buffer = NULL;
	if (block >= c->nr_blocks)
		return -ERANGE;
	b = cache_find_fast(c, h, block);
	if (b)
		hold_count_hit(h);
	if (!b ||
	    (atomic_load_explicit(&b->state, memory_order_acquire) & (ST_READING | ST_FAILED))) {
		r = read_slowly(c, block, ioprio, b, &b);
		if (r)
			return r;
	}
	note_caller(b, caller);
	*ret_buffer = b;
	return 0;
}

int bufio_read(struct bufio_client *c, uint64_t block, struct bufio_buffer **ret_buffer)
{
	return read_any(c, block, 0, __builtin_return_address(0), ret_buffer);
}

int bufio_read_ioprio(struct bufio_client *c, uint64_t block, uint16_t ioprio,
		      struct bufio_buffer **ret_buffer)
{
	return read_any(c, block, ioprio, __builtin_return_address(0), ret_buffer);
}

int read_new(struct bufio_client *c, uint64_t block, enum alloc_wait wait,
	     struct bufio_buffer **ret_buffer)
{
	struct bufio_buffer *b;
	int r;

	if (block >= c->nr_blocks)
		return -ERANGE;
	do {
		b = cache_find_fast(c, hold_mine(c), block);
		if (!b) {
			r = enter(c, block, ST_NEW, wait, &b);
			if (r < 0)
				return r;
		}
		/* Somebody's failed read is no concern of one who overwrites the block. */
	} while (read_wait(b) != 0);
	*ret_buffer = b;
	return 0;
}

int bufio_new(struct bufio_client *c, uint64_t block, struct bufio_buffer **ret_buffer)
{
	int r;

	*ret_buffer = NULL;
	r = read_new(c, block, ALLOC_WAIT, ret_buffer);
	if (!r)
		note_caller(*ret_buffer, __builtin_return_address(0));
	return r;
}

int bufio_get(struct bufio_client *c, uint64_t block, struct bufio_buffer **ret_buffer)
{
	struct bufio_buffer *b, *busy;
	uint64_t s;

	*ret_buffer = NULL;
	if (block >= c->nr_blocks)
		return -ERANGE;
	b = cache_look(c, block, &busy);
	if (!b)
		return busy ? -EAGAIN : -ENOENT;
	s = atomic_load(&b->state);
	if (s & (ST_READING | ST_FAILED)) {
		cache_release(b);
		return s & ST_FAILED ? -ENOENT : -EAGAIN;
	}
	hold_count_hit(hold_mine(c));
	note_caller(b, __builtin_return_address(0));
	*ret_buffer = b;
	return 0;
}
