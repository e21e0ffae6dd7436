/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device in RAM: a hash of 64 KiB chunks that come into being at their first write, so
 * that a device of terabytes costs what was written to it.
 *
 * It is strict where a disk is: transfers must be aligned, and what was discarded reads as
 * junk, so that nobody comes to rely on more.  Flush has nothing to do here; cutting the
 * power is left to the record engine.
 *
 * Completes within submit(), or after bufio_engine_mem_reorder() in a thread of its own, in
 * which the data moves only when the transfer completes: overlapping transfers take effect
 * in any order, as on a disk.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include "engine.h"

#define CHUNK_BYTES   65536u
#define FIRST_BUCKETS 64u
#define DISCARD_FILL  0xdd

struct mem_chunk {
	struct mem_chunk *next; /* in its bucket */
	uint64_t index;		/* offset on the device / CHUNK_BYTES */
	unsigned char data[CHUNK_BYTES];
};

/*
 * What keeps each field safe:
 *	I  set at creation (reorder: before the first transfer), then never changed
 *	L  lock: index and contents
 *	Q  queue_lock
 * The two locks are never held together.
 */
struct mem_engine {
	struct bufio_engine head; /* I */

	pthread_mutex_t lock;
	struct mem_chunk **buckets; /* L */
	size_t nr_buckets;	    /* L; a power of two */
	size_t nr_chunks;	    /* L */

	bool reorder;	  /* I */
	pthread_t thread; /* I */
	pthread_mutex_t queue_lock;
	pthread_cond_t queue_wake; /* with Q: the queue has entries, or stopping */
	struct bufio_io *queue;	   /* Q */
	unsigned nr_queued;	   /* Q */
	bool stopping;		   /* Q */
	uint64_t random;	   /* only the thread */
};

/* The chunks. */

static struct mem_chunk **chunk_bucket(struct mem_engine *m, uint64_t index)
{
	return &m->buckets[(index * 0x9e3779b97f4a7c15u >> 32) & (m->nr_buckets - 1)];
}

static struct mem_chunk *chunk_find_locked(struct mem_engine *m, uint64_t index)
{
	struct mem_chunk *chunk = *chunk_bucket(m, index);

	while (chunk && chunk->index != index)
		chunk = chunk->next;
	return chunk;
}

static void chunk_link_locked(struct mem_engine *m, struct mem_chunk *chunk)
{
	struct mem_chunk **bucket = chunk_bucket(m, chunk->index);

	chunk->next = *bucket;
	*bucket = chunk;
}

/* Without memory for more buckets the chains just get longer. */
static void buckets_grow_locked(struct mem_engine *m)
{
	struct mem_chunk **old = m->buckets, *chunk;
	size_t i, nr_old = m->nr_buckets;
	struct mem_chunk **grown = calloc(nr_old * 2, sizeof(*grown));

	if (!grown)
		return;
	m->buckets = grown;
	m->nr_buckets = nr_old * 2;
	for (i = 0; i < nr_old; i++) {
		while ((chunk = old[i])) {
			old[i] = chunk->next;
			chunk_link_locked(m, chunk);
		}
	}
	free(old);
}

static struct mem_chunk *chunk_make_locked(struct mem_engine *m, uint64_t index)
{
	struct mem_chunk *chunk = chunk_find_locked(m, index);

	if (chunk)
		return chunk;
	chunk = calloc(1, sizeof(*chunk));
	if (!chunk)
		return NULL;
	if (m->nr_chunks >= m->nr_buckets)
		buckets_grow_locked(m);
	chunk->index = index;
	chunk_link_locked(m, chunk);
	m->nr_chunks++;
	return chunk;
}

static void chunk_free_locked(struct mem_engine *m, uint64_t index)
{
	struct mem_chunk **link = chunk_bucket(m, index), *chunk;

	while (*link && (*link)->index != index)
		link = &(*link)->next;
	chunk = *link;
	if (chunk) {
		*link = chunk->next;
		m->nr_chunks--;
		free(chunk);
	}
}

/* The contents. */

/* How much of [offset_bytes, offset_bytes + size_bytes) lies in the first chunk. */
static size_t chunk_part(uint64_t offset_bytes, uint64_t size_bytes)
{
	size_t room = CHUNK_BYTES - offset_bytes % CHUNK_BYTES;

	return size_bytes < room ? size_bytes : room;
}

static void read_locked(struct mem_engine *m, uint64_t offset_bytes, void *data, size_t size_bytes)
{
	const struct mem_chunk *chunk;
	char *to = data;
	size_t part;

	for (; size_bytes; size_bytes -= part, offset_bytes += part, to += part) {
		part = chunk_part(offset_bytes, size_bytes);
		chunk = chunk_find_locked(m, offset_bytes / CHUNK_BYTES);
		if (chunk)
			memcpy(to, chunk->data + offset_bytes % CHUNK_BYTES, part);
		else
			memset(to, 0, part);
	}
}

static int write_locked(struct mem_engine *m, uint64_t offset_bytes, const void *data,
			size_t size_bytes)
{
	const char *from = data;
	struct mem_chunk *chunk;
	size_t part;

	for (; size_bytes; size_bytes -= part, offset_bytes += part, from += part) {
		part = chunk_part(offset_bytes, size_bytes);
		chunk = chunk_make_locked(m, offset_bytes / CHUNK_BYTES);
		if (!chunk)
			return -ENOMEM;
		memcpy(chunk->data + offset_bytes % CHUNK_BYTES, from, part);
	}
	return 0;
}

static void zero_locked(struct mem_engine *m, uint64_t offset_bytes, uint64_t size_bytes)
{
	struct mem_chunk *chunk;
	size_t part;

	if (!m->nr_chunks)
		return;
	for (; size_bytes; size_bytes -= part, offset_bytes += part) {
		part = chunk_part(offset_bytes, size_bytes);
		chunk = chunk_find_locked(m, offset_bytes / CHUNK_BYTES);
		if (!chunk)
			continue;
		if (part == CHUNK_BYTES)
			chunk_free_locked(m, chunk->index);
		else
			memset(chunk->data + offset_bytes % CHUNK_BYTES, 0, part);
	}
}

/* What was never written stays zero: junk for all of a huge device would cost its size. */
static void junk_locked(struct mem_engine *m, uint64_t offset_bytes, uint64_t size_bytes)
{
	struct mem_chunk *chunk;
	size_t part;

	if (!m->nr_chunks)
		return;
	for (; size_bytes; size_bytes -= part, offset_bytes += part) {
		part = chunk_part(offset_bytes, size_bytes);
		chunk = chunk_find_locked(m, offset_bytes / CHUNK_BYTES);
		if (chunk)
			memset(chunk->data + offset_bytes % CHUNK_BYTES, DISCARD_FILL, part);
	}
}

static int transfer_locked(struct mem_engine *m, const struct bufio_io *io)
{
	uint64_t offset_bytes = io->offset_bytes;
	unsigned i;
	int r;

	for (i = 0; i < io->nr_iov; i++) {
		const struct iovec *v = &io->iov[i];

		if (io->op == BUFIO_OP_READ) {
			read_locked(m, offset_bytes, v->iov_base, v->iov_len);
		} else {
			r = write_locked(m, offset_bytes, v->iov_base, v->iov_len);
			if (r)
				return r;
		}
		offset_bytes += v->iov_len;
	}
	return 0;
}

static int mem_transfer(struct bufio_engine *e, struct bufio_io *io)
{
	struct mem_engine *m = (struct mem_engine *)e;
	int r;

	r = engine_check_io(e, io);
	if (r)
		return r;
	pthread_mutex_lock(&m->lock);
	r = transfer_locked(m, io);
	pthread_mutex_unlock(&m->lock);
	return r;
}

/* Completion out of order. */

static uint64_t random_next(struct mem_engine *m)
{
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	return m->random;
}

static struct bufio_io *queue_draw_locked(struct mem_engine *m)
{
	struct bufio_io **link = &m->queue, *io;
	unsigned i, n = random_next(m) % m->nr_queued;

	for (i = 0; i < n; i++)
		link = &(*link)->next;
	io = *link;
	*link = io->next;
	m->nr_queued--;
	return io;
}

/* Returns NULL when the engine is being destroyed and nothing is left. */
static struct bufio_io *queue_wait(struct mem_engine *m)
{
	struct bufio_io *io = NULL;

	pthread_mutex_lock(&m->queue_lock);
	while (!m->nr_queued && !m->stopping)
		pthread_cond_wait(&m->queue_wake, &m->queue_lock);
	if (m->nr_queued)
		io = queue_draw_locked(m);
	pthread_mutex_unlock(&m->queue_lock);
	return io;
}

static void *queue_thread(void *argument)
{
	struct mem_engine *m = argument;
	struct bufio_io *io;
	unsigned i;

	while ((io = queue_wait(m))) {
		io->done(io, mem_transfer(&m->head, io));
		/* Let some gather, else there is nothing to draw from. */
		for (i = random_next(m) % 4; i; i--)
			sched_yield();
	}
	return NULL;
}

static void queue_add(struct mem_engine *m, struct bufio_io *const *ios, unsigned nr)
{
	unsigned i;

	pthread_mutex_lock(&m->queue_lock);
	for (i = 0; i < nr; i++) {
		ios[i]->next = m->queue;
		m->queue = ios[i];
	}
	m->nr_queued += nr;
	pthread_cond_signal(&m->queue_wake);
	pthread_mutex_unlock(&m->queue_lock);
}

/* The engine. */

static void mem_submit(struct bufio_engine *e, struct bufio_io *const *ios, unsigned nr)
{
	struct mem_engine *m = (struct mem_engine *)e;
	unsigned i;

	if (m->reorder) {
		queue_add(m, ios, nr);
		return;
	}
	for (i = 0; i < nr; i++)
		ios[i]->done(ios[i], mem_transfer(e, ios[i]));
}

static int mem_flush(struct bufio_engine *e)
{
	return 0;
}

static int change(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes,
		  void (*change_locked)(struct mem_engine *, uint64_t, uint64_t))
{
	struct mem_engine *m = (struct mem_engine *)e;
	int r;

	r = engine_check_range(e, offset_bytes, size_bytes);
	if (r)
		return r;
	pthread_mutex_lock(&m->lock);
	change_locked(m, offset_bytes, size_bytes);
	pthread_mutex_unlock(&m->lock);
	return 0;
}

static int mem_discard(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes)
{
	return change(e, offset_bytes, size_bytes, junk_locked);
}

static int mem_zero(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes)
{
	return change(e, offset_bytes, size_bytes, zero_locked);
}

static void queue_stop(struct mem_engine *m)
{
	pthread_mutex_lock(&m->queue_lock);
	m->stopping = true;
	pthread_cond_signal(&m->queue_wake);
	pthread_mutex_unlock(&m->queue_lock);
	pthread_join(m->thread, NULL);
}

static void mem_destroy(struct bufio_engine *e)
{
	struct mem_engine *m = (struct mem_engine *)e;
	struct mem_chunk *chunk;
	size_t i;

	if (m->reorder)
		queue_stop(m);
	for (i = 0; i < m->nr_buckets; i++) {
		while ((chunk = m->buckets[i])) {
			m->buckets[i] = chunk->next;
			free(chunk);
		}
	}
	free(m->buckets);
	pthread_cond_destroy(&m->queue_wake);
	pthread_mutex_destroy(&m->queue_lock);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static const struct bufio_engine_ops mem_ops = {
	.submit = mem_submit,
	.transfer = mem_transfer,
	.flush = mem_flush,
	.discard = mem_discard,
	.zero = mem_zero,
	.destroy = mem_destroy,
};

static bool geometry_ok(uint64_t size_bytes, unsigned sector_bytes)
{
	return sector_bytes >= 512 && (sector_bytes & (sector_bytes - 1)) == 0 &&
	       size_bytes % sector_bytes == 0;
}

int bufio_engine_mem_create(uint64_t size_bytes, unsigned sector_bytes,
			    struct bufio_engine **ret_engine)
{
	struct mem_engine *m;

	if (!geometry_ok(size_bytes, sector_bytes))
		return -EINVAL;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->buckets = calloc(FIRST_BUCKETS, sizeof(*m->buckets));
	if (!m->buckets) {
		free(m);
		return -ENOMEM;
	}
	m->nr_buckets = FIRST_BUCKETS;
	m->head.ops = &mem_ops;
	m->head.name = "mem";
	m->head.size_bytes = size_bytes;
	m->head.sector_bytes = sector_bytes;
	m->head.memory_align = 512;
	pthread_mutex_init(&m->lock, NULL);
	pthread_mutex_init(&m->queue_lock, NULL);
	pthread_cond_init(&m->queue_wake, NULL);
	*ret_engine = &m->head;
	return 0;
}

/* For tests. */

static bool in_range(const struct bufio_engine *e, uint64_t offset_bytes, size_t size)
{
	return offset_bytes <= e->size_bytes && size <= e->size_bytes - offset_bytes;
}

int bufio_engine_mem_peek(struct bufio_engine *e, uint64_t offset_bytes, void *data, size_t size)
{
	struct mem_engine *m = (struct mem_engine *)e;

	if (!in_range(e, offset_bytes, size))
		return -ERANGE;
	pthread_mutex_lock(&m->lock);
	read_locked(m, offset_bytes, data, size);
	pthread_mutex_unlock(&m->lock);
	return 0;
}

int bufio_engine_mem_poke(struct bufio_engine *e, uint64_t offset_bytes, const void *data,
			  size_t size)
{
	struct mem_engine *m = (struct mem_engine *)e;
	int r;

	if (!in_range(e, offset_bytes, size))
		return -ERANGE;
	pthread_mutex_lock(&m->lock);
	r = write_locked(m, offset_bytes, data, size);
	pthread_mutex_unlock(&m->lock);
	return r;
}

int bufio_engine_mem_reorder(struct bufio_engine *e, uint64_t seed)
{
	struct mem_engine *m = (struct mem_engine *)e;
	int r;

	if (m->reorder)
		return -EBUSY;
	m->random = seed ? seed : 1;
	r = pthread_create(&m->thread, NULL, queue_thread, m);
	if (r)
		return -r;
	m->reorder = true;
	return 0;
}
