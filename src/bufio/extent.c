/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Transfers of many blocks past the buffers, coherent with what is cached.
 *
 * 1. A block that is not in the index is on the device, since a buffer leaves the index only
 *    clean, when the writes behind (write_behind.c) that came before have been waited for.  So a read copies what is cached and gets the rest from the device.
 * 2. A write goes into the buffers of what is cached, and to the device for the rest.  A fence
 *    stands meanwhile, so that nobody reads a block in as it was before.
 * 3. A piece is some adjoining blocks in one transfer, right from or to the caller's memory if
 *    that is aligned.  All pieces are made before the first is submitted.
 */
#include "client.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NR_TOGETHER 32u /* pieces submitted in one call */

/* A place in the caller's memory. */
struct cursor {
	const struct iovec *iov;
	size_t skip; /* bytes of *iov that are behind it */
};

struct piece {
	struct bufio_io io;
	struct extent *extent;
	struct piece *next;
	uint64_t block, nr, since_ns;
	struct cursor at; /* in the caller's memory */
	bool bounces;
	void *bounce; /* NULL: iov is the caller's memory */
	unsigned nr_iov, most_iov;
	struct iovec iov[];
};

struct extent {
	struct bufio_client *client;
	enum bufio_op op;
	uint64_t block, nr;
	const struct iovec *end; /* of the caller's parts */
	struct cursor at;
	struct piece *first, **last;
	struct fence fence;
	_Atomic unsigned nr_pending;
	_Atomic int result;
	void (*done)(void *context, int result);
	void *context;
};

/* The result of a call that waits. */
struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool done;
	int result;
};

static void waiter_done(void *context, int result)
{
	struct waiter *w = context;

	pthread_mutex_lock(&w->lock);
	w->result = result;
	w->done = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
}

/* To the next part that is not used up; called only if there is one. */
static void cursor_step(struct cursor *at)
{
	while (at->skip == at->iov->iov_len) {
		at->iov++;
		at->skip = 0;
	}
}

static void cursor_skip(struct cursor *at, size_t size)
{
	while (size) {
		size_t n;

		cursor_step(at);
		n = at->iov->iov_len - at->skip;
		n = n < size ? n : size;
		at->skip += n;
		size -= n;
	}
}

/* Copy between data and the caller's memory, and move on. */
static void cursor_copy(struct cursor *at, char *data, size_t size, enum bufio_op op)
{
	while (size) {
		size_t n;
		char *user;

		cursor_step(at);
		user = (char *)at->iov->iov_base + at->skip;
		n = at->iov->iov_len - at->skip;
		n = n < size ? n : size;
		if (op == BUFIO_OP_READ)
			memcpy(user, data, n);
		else
			memcpy(data, user, n);
		data += n;
		size -= n;
		at->skip += n;
	}
}

/* The parts of a block in the caller's memory.  0: they must be copied. */
static unsigned block_parts(const struct bufio_client *c, struct cursor at, struct iovec *parts,
			    unsigned most)
{
	size_t left = c->options.block_bytes;
	unsigned n = 0;

	while (left) {
		size_t size;
		char *base;

		cursor_step(&at);
		base = (char *)at.iov->iov_base + at.skip;
		size = at.iov->iov_len - at.skip;
		size = size < left ? size : left;
		if (n == most || ((uintptr_t)base & (c->engine->memory_align - 1)) ||
		    (size & (c->engine->sector_bytes - 1)))
			return 0;
		parts[n++] = (struct iovec){base, size};
		left -= size;
		at.skip += size;
	}
	return n;
}

static void finish(struct extent *x)
{
	struct bufio_client *c = x->client;

	if (atomic_fetch_sub(&x->nr_pending, 1) != 1)
		return;
	if (x->op == BUFIO_OP_WRITE)
		fence_end(c, &x->fence);
	x->done(x->context, atomic_load(&x->result));
	free(x);
	wait_async_end(c);
}

static void piece_free(struct piece *p)
{
	free(p->bounce);
	free(p);
}

static void piece_end(struct piece *p, int r)
{
	struct extent *x = p->extent;
	struct bufio_client *c = x->client;
	bool reads = x->op == BUFIO_OP_READ;
	int good = 0;

	stats_latency(c, reads ? BUFIO_LATENCY_READ : BUFIO_LATENCY_WRITE, p->since_ns);
	stats_trace(c, reads ? BUFIO_TRACE_READ : BUFIO_TRACE_WRITE, p->block, p->nr, r);
	if (r) {
		atomic_fetch_add(reads ? &c->stats.read_errors : &c->stats.write_errors, 1);
		atomic_compare_exchange_strong(&x->result, &good, r);
	} else if (reads) {
		if (p->bounce)
			cursor_copy(&p->at, p->bounce, p->io.size_bytes, BUFIO_OP_READ);
	} else {
		atomic_fetch_add(&c->stats.written_blocks, p->nr);
		atomic_fetch_add(&c->stats.written_bytes, p->io.size_bytes);
		dirty_written_past(c);
	}
	piece_free(p);
}

static void piece_done(struct bufio_io *io, int r)
{
	struct piece *p = io->context;
	struct extent *x = p->extent;

	piece_end(p, r);
	finish(x);
}

/* The last piece is complete: give it its memory.  Returns 0 or -ENOMEM. */
static int piece_close(struct extent *x, struct piece *p)
{
	struct bufio_client *c = x->client;
	size_t size = (size_t)p->nr << c->block_shift;

	if (p->bounces) {
		size_t align = c->engine->memory_align < 4096 ? 4096 : c->engine->memory_align;

		if (posix_memalign(&p->bounce, align, size)) {
			p->bounce = NULL;
			return -ENOMEM;
		}
		if (x->op == BUFIO_OP_WRITE) {
			struct cursor at = p->at;

			cursor_copy(&at, p->bounce, size, BUFIO_OP_WRITE);
		}
		p->iov[0] = (struct iovec){p->bounce, size};
		p->nr_iov = 1;
	}
	p->io = (struct bufio_io){
		.op = x->op,
		.flags = x->done == waiter_done ? 0 : BUFIO_IO_UNAWAITED,
		.offset_bytes = p->block << c->block_shift,
		.iov = p->iov,
		.nr_iov = p->nr_iov,
		.size_bytes = size,
		.done = piece_done,
		.context = p,
	};
	return 0;
}

static struct piece *piece_create(struct extent *x, uint64_t block, bool bounces)
{
	size_t most = (size_t)(x->end - x->at.iov) + 1;
	struct piece *p;

	/* A part of the caller's may lie in several blocks, but they are joined again. */
	most = bounces ? 1 : most < BUFIO_MAX_IOV ? most : BUFIO_MAX_IOV;
	p = malloc(sizeof(*p) + most * sizeof(p->iov[0]));
	if (!p)
		return NULL;
	*p = (struct piece){.extent = x,
			    .block = block,
			    .at = x->at,
			    .bounces = bounces,
			    .most_iov = (unsigned)most};
	*x->last = p;
	x->last = &p->next;
	return p;
}

/* Returns false if there is no room for the parts. */
static bool piece_add(struct piece *p, const struct iovec *parts, unsigned nr)
{
	struct iovec *last = p->nr_iov ? &p->iov[p->nr_iov - 1] : NULL;
	unsigned joins = last && (char *)last->iov_base + last->iov_len == parts[0].iov_base;

	if (p->nr_iov + nr - joins > p->most_iov)
		return false;
	if (joins)
		last->iov_len += parts[0].iov_len;
	memcpy(p->iov + p->nr_iov, parts + joins, (nr - joins) * sizeof(*parts));
	p->nr_iov += nr - joins;
	p->nr++;
	return true;
}

/* A block that goes to or comes from the device. */
static int add_block(struct extent *x, struct piece **open, uint64_t block)
{
	struct bufio_client *c = x->client;
	uint64_t most = c->options.max_io_bytes >> c->block_shift;
	struct iovec parts[8];
	unsigned nr = block_parts(c, x->at, parts, 8);
	struct piece *p = *open;

	if (p && p->block + p->nr == block && p->bounces == !nr && p->nr < most) {
		if (!nr) {
			p->nr++;
			return 0;
		}
		if (piece_add(p, parts, nr))
			return 0;
	}
	if (p && piece_close(x, p))
		return -ENOMEM;
	p = *open = piece_create(x, block, !nr);
	if (!p)
		return -ENOMEM;
	if (!nr)
		p->nr = 1;
	else
		piece_add(p, parts, nr);
	return 0;
}

/* Returns whether the block was read from its buffer. */
static bool read_cached(struct extent *x, uint64_t block)
{
	struct bufio_client *c = x->client;
	struct bufio_buffer *b = cache_find(c, block);
	uint64_t s;

	if (!b)
		return false;
	s = atomic_load(&b->state);
	if (s & ST_MOVE)
		s = wait_while(b, ST_READING);
	/* What is still being read, or being made up, is on the device as it was. */
	if (s & (ST_READING | ST_FAILED | ST_NEW)) {
		cache_release(b);
		return false;
	}
	cursor_copy(&x->at, b->data, c->options.block_bytes, BUFIO_OP_READ);
	cache_release(b);
	return true;
}

/* Returns whether the block was written into its buffer.  If not, it has none. */
static bool write_cached(struct extent *x, uint64_t block)
{
	struct bufio_client *c = x->client;
	struct bufio_buffer *b;

	do {
		b = cache_find(c, block);
		if (!b)
			return false;
	} while (read_wait(b) != 0);
	/* Dirty also if it was clean: a write of the old contents may have been in flight. */
	bufio_pin(b);
	cursor_copy(&x->at, b->data, c->options.block_bytes, BUFIO_OP_WRITE);
	bufio_unpin(b, true);
	cache_release(b);
	return true;
}

static int make_pieces(struct extent *x)
{
	struct bufio_client *c = x->client;
	struct piece *open = NULL;
	int r;

	for (uint64_t i = 0; i < x->nr; i++) {
		uint64_t block = x->block + i;

		if (!cache_is_absent(c, block) &&
		    (x->op == BUFIO_OP_READ ? read_cached(x, block) : write_cached(x, block)))
			continue;
		r = add_block(x, &open, block);
		if (r)
			return r;
		cursor_skip(&x->at, c->options.block_bytes);
	}
	return open ? piece_close(x, open) : 0;
}

static void submit_pieces(struct extent *x)
{
	struct bufio_client *c = x->client;
	struct bufio_io *ios[NR_TOGETHER];
	struct piece *p = x->first;
	unsigned n = 0;

	while (p) {
		/* A piece may be gone as soon as it is submitted. */
		ios[n++] = &p->io;
		p->since_ns = stats_now_ns();
		if (x->op == BUFIO_OP_READ) {
			atomic_fetch_add(&c->stats.reads, 1);
			atomic_fetch_add(&c->stats.read_blocks, p->nr);
		} else {
			atomic_fetch_add(&c->stats.writes, 1);
		}
		atomic_fetch_add(&x->nr_pending, 1);
		p = p->next;
		if (n == NR_TOGETHER || !p) {
			c->engine->ops->submit(c->engine, ios, n);
			n = 0;
		}
	}
}

static int waiter_wait(struct waiter *w)
{
	pthread_mutex_lock(&w->lock);
	while (!w->done)
		pthread_cond_wait(&w->wake, &w->lock);
	pthread_mutex_unlock(&w->lock);
	return w->result;
}

/* One piece, for which the caller waits, needs no other thread. */
static void transfer_piece(struct extent *x)
{
	struct bufio_client *c = x->client;
	struct piece *p = x->first;

	p->since_ns = stats_now_ns();
	atomic_fetch_add(x->op == BUFIO_OP_READ ? &c->stats.reads : &c->stats.writes, 1);
	if (x->op == BUFIO_OP_READ)
		atomic_fetch_add(&c->stats.read_blocks, p->nr);
	piece_end(p, c->engine->ops->transfer(c->engine, &p->io));
}

static void free_pieces(struct extent *x)
{
	struct piece *p;

	while ((p = x->first)) {
		x->first = p->next;
		piece_free(p);
	}
}

static struct extent *extent_create(struct bufio_client *c, enum bufio_op op,
				    const struct bufio_extent *what)
{
	struct extent *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->client = c;
	x->op = op;
	x->block = what->block;
	x->nr = what->nr_blocks;
	x->at.iov = what->iov;
	x->end = what->iov + what->nr_iov;
	x->last = &x->first;
	x->nr_pending = 1;
	x->fence = (struct fence){.block = what->block, .nr = what->nr_blocks};
	return x;
}

/* Returns 0, and done will be called, or an error, and it will not. */
static int start(struct extent *x, bool waits)
{
	struct bufio_client *c = x->client;
	int r;

	wait_async_begin(c);
	if (x->op == BUFIO_OP_WRITE)
		fence_begin(c, &x->fence);
	r = make_pieces(x);
	if (r) {
		if (x->op == BUFIO_OP_WRITE)
			fence_end(c, &x->fence);
		free_pieces(x);
		free(x);
		wait_async_end(c);
		return r;
	}
	if (waits && x->first && !x->first->next)
		transfer_piece(x);
	else
		submit_pieces(x);
	finish(x);
	return 0;
}

static int check(struct bufio_client *c, const struct bufio_extent *x)
{
	uint64_t size = 0;

	if (is_range_bad(c, x->block, x->nr_blocks))
		return -ERANGE;
	for (unsigned i = 0; i < x->nr_iov; i++)
		size += x->iov[i].iov_len;
	return x->nr_blocks && size == x->nr_blocks << c->block_shift ? 0 : -EINVAL;
}

static int run(struct extent *x, void (*done)(void *context, int result), void *context)
{
	struct waiter w;
	int r;

	if (!x)
		return -ENOMEM;
	r = fence_wait_behind(x->client, x->block, x->block + x->nr);
	if (r) {
		free(x);
		return r;
	}
	x->done = done ? done : waiter_done;
	x->context = done ? context : &w;
	if (done)
		return start(x, false);
	w = (struct waiter){.done = false};
	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.wake, NULL);
	r = start(x, true);
	if (!r)
		r = waiter_wait(&w);
	pthread_cond_destroy(&w.wake);
	pthread_mutex_destroy(&w.lock);
	return r;
}

int bufio_read_extent(struct bufio_client *c, const struct bufio_extent *x,
		      void (*done)(void *context, int result), void *context)
{
	int r = check(c, x);

	return r ? r : run(extent_create(c, BUFIO_OP_READ, x), done, context);
}

int bufio_write_extent(struct bufio_client *c, const struct bufio_extent *x,
		       void (*done)(void *context, int result), void *context)
{
	int r = check(c, x);

	return r ? r : run(extent_create(c, BUFIO_OP_WRITE, x), done, context);
}
