/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "write_run.h"
#include <stdlib.h>

#define MOST_RUNS      64u  /* in flight */
#define NR_QUEUED      16u  /* submitted together */
#define MOST_WOKEN_FOR 256u /* buffers that were written */

/* Some adjoining buffers as one transfer. */
struct run {
	struct bufio_io io;
	struct writer *writer;
	struct run *next;
	uint64_t block, end_bytes, since_ns;
	unsigned nr;
	int result;
	struct bufio_buffer **buffers;
	struct iovec *iov;
};

/*
 * Runs are free, open (the last one, still growing), queued, in flight or failed.
 *	L  lock; all else is the owner's
 */
struct writer {
	struct bufio_client *client;
	unsigned most; /* buffers in a run */
	struct run *open;
	struct bufio_io *queue[NR_QUEUED];
	unsigned nr_queued;
	int result;
	_Atomic unsigned nr_written; /* buffers */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct run *free, *failed; /* L */
	unsigned nr_running;	   /* L */
	unsigned nr_awaited;	   /* L the owner sleeps until no more than these are running */
	unsigned nr_runs;
	struct run runs[];
};

static unsigned blocks_per_run(const struct bufio_client *c)
{
	size_t most = c->options.max_io_bytes >> c->block_shift;
	unsigned pieces = c->engine->max_pieces;

	if (most > BUFIO_MAX_IOV)
		most = BUFIO_MAX_IOV;
	/* each buffer is a piece of memory: whole requests of the device, without a small rest */
	if (pieces && most > pieces)
		most -= most % pieces;
	return most ? (unsigned)most : 1;
}

static unsigned at_most(size_t nr, unsigned most)
{
	return nr < most ? (unsigned)nr : most;
}

struct writer *writer_create(struct bufio_client *c, size_t nr_buffers)
{
	unsigned most = at_most(nr_buffers, blocks_per_run(c));
	unsigned nr_runs = at_most(nr_buffers, MOST_RUNS);
	size_t run_bytes = most * (sizeof(struct iovec) + sizeof(struct bufio_buffer *));
	struct writer *w = calloc(1, sizeof(*w) + nr_runs * (sizeof(w->runs[0]) + run_bytes));
	char *at;

	if (!w)
		return NULL;
	w->client = c;
	w->most = most;
	w->nr_runs = nr_runs;
	at = (char *)&w->runs[nr_runs];
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	for (unsigned i = nr_runs; i-- > 0; at += run_bytes) {
		w->runs[i].writer = w;
		w->runs[i].iov = (struct iovec *)at;
		w->runs[i].buffers = (struct bufio_buffer **)(w->runs[i].iov + most);
		w->runs[i].next = w->free;
		w->free = &w->runs[i];
	}
	return w;
}

void writer_destroy(struct writer *w)
{
	if (!w)
		return;
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

static void count_good(struct bufio_client *c, unsigned nr, size_t size_bytes)
{
	atomic_fetch_add(&c->stats.written_blocks, nr);
	atomic_fetch_add(&c->stats.written_bytes, size_bytes);
}

/* Who waits for a free buffer is woken for many: a wake-up for each would cost more than its write. */
static void wake_waiters(struct writer *w, unsigned nr)
{
	unsigned part = atomic_load(&w->client->nr_cache) / 64, n;

	part = part < 1 ? 1 : part > MOST_WOKEN_FOR ? MOST_WOKEN_FOR : part;
	n = atomic_fetch_add(&w->nr_written, nr);
	if (n / part != (n + nr) / part)
		wait_free_wake(w->client);
}

static bool is_durable(const struct run *run)
{
	return run->io.flags & BUFIO_IO_DURABLE;
}

static void run_done(struct bufio_io *io, int result)
{
	struct run *run = io->context;
	struct writer *w = run->writer;
	struct bufio_client *c = w->client;
	struct run **list = result ? &w->failed : &w->free;
	void (*written)(struct bufio_buffer *) =
		is_durable(run) ? dirty_written_durably : dirty_written;

	run->result = result;
	stats_latency(c, BUFIO_LATENCY_WRITE, run->since_ns);
	stats_trace(c, BUFIO_TRACE_WRITE, run->block, run->nr, result);
	if (result == 0) {
		count_good(c, run->nr, io->size_bytes);
		for (unsigned i = 0; i < run->nr; i++)
			written(run->buffers[i]);
		wake_waiters(w, run->nr);
	}
	pthread_mutex_lock(&w->lock);
	run->next = *list;
	*list = run;
	if (--w->nr_running <= w->nr_awaited)
		pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
}

static void fail_one(struct writer *w, struct bufio_buffer *b, uint64_t block, int r)
{
	struct bufio_client *c = w->client;

	if (!w->result)
		w->result = r;
	atomic_fetch_add(&c->stats.write_errors, 1);
	if (c->callbacks.write_error)
		c->callbacks.write_error(c->options.callback_context, block, r);
	dirty_write_failed(b);
}

/* One buffer of a failed run.  Only the bad ones are to fail. */
static void write_one(struct writer *w, struct run *run, unsigned i)
{
	struct bufio_client *c = w->client;
	uint64_t block = run->block + i, since = stats_now_ns();
	uint64_t skip = (uint64_t)((char *)run->iov[i].iov_base - (char *)run->buffers[i]->data);
	struct bufio_io io = {
		.op = BUFIO_OP_WRITE,
		.offset_bytes = (block << c->block_shift) + skip,
		.iov = &run->iov[i],
		.nr_iov = 1,
		.size_bytes = run->iov[i].iov_len,
	};
	int r;

	atomic_fetch_add(&c->stats.writes, 1);
	r = c->engine->ops->transfer(c->engine, &io);
	stats_latency(c, BUFIO_LATENCY_WRITE, since);
	stats_trace(c, BUFIO_TRACE_WRITE, block, 1, r);
	if (r) {
		fail_one(w, run->buffers[i], block, r);
	} else {
		count_good(c, 1, io.size_bytes);
		dirty_written(run->buffers[i]);
	}
}

static void settle_failed(struct writer *w, struct run *run)
{
	/* a durable write may have failed for the flush that is part of it: that is the flush's to tell */
	if (run->nr == 1 && !is_durable(run)) {
		fail_one(w, run->buffers[0], run->block, run->result);
	} else {
		for (unsigned i = 0; i < run->nr; i++)
			write_one(w, run, i);
	}
	pthread_mutex_lock(&w->lock);
	run->next = w->free;
	w->free = run;
	pthread_mutex_unlock(&w->lock);
}

static struct run *take_failed(struct writer *w)
{
	struct run *run;

	pthread_mutex_lock(&w->lock);
	run = w->failed;
	if (run)
		w->failed = run->next;
	pthread_mutex_unlock(&w->lock);
	return run;
}

static void submit_queue(struct writer *w)
{
	struct bufio_client *c = w->client;
	unsigned nr = w->nr_queued;

	if (!nr)
		return;
	w->nr_queued = 0;
	pthread_mutex_lock(&w->lock);
	w->nr_running += nr;
	pthread_mutex_unlock(&w->lock);
	atomic_fetch_add(&c->stats.writes, nr);
	c->engine->ops->submit(c->engine, w->queue, nr);
}

static void queue_open(struct writer *w)
{
	struct run *run = w->open;

	if (!run)
		return;
	w->open = NULL;
	run->io.nr_iov = run->nr;
	run->since_ns = stats_now_ns();
	w->queue[w->nr_queued++] = &run->io;
	if (w->nr_queued == NR_QUEUED)
		submit_queue(w);
}

static struct run *take_free(struct writer *w)
{
	struct run *run;

	pthread_mutex_lock(&w->lock);
	run = w->free;
	if (run)
		w->free = run->next;
	pthread_mutex_unlock(&w->lock);
	return run;
}

static void wait_running(struct writer *w, unsigned most)
{
	pthread_mutex_lock(&w->lock);
	w->nr_awaited = most;
	while (w->nr_running > most)
		pthread_cond_wait(&w->wake, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

/*
 * None is free: submit what is queued, and wait until so many are done that the next ones can be submitted
 * together.  One at a time each write would cost a thread switch more, and another one in a loop device.
 */
static void wait_run(struct writer *w)
{
	struct run *failed;

	submit_queue(w);
	wait_running(w, w->nr_runs > NR_QUEUED ? w->nr_runs - NR_QUEUED : 0);
	failed = take_failed(w);
	if (failed)
		settle_failed(w, failed);
}

/*
 * A run for the buffer that may not adjoin the open one.  That one stays open meanwhile, or the
 * runs of a busy device would all be short.
 */
void writer_make_room(struct writer *w)
{
	bool room;

	for (;;) {
		pthread_mutex_lock(&w->lock);
		room = w->free != NULL;
		pthread_mutex_unlock(&w->lock);
		if (room)
			return;
		wait_run(w);
	}
}

static bool adjoins(const struct writer *w, uint64_t start_bytes)
{
	const struct run *run = w->open;

	return run && run->nr < w->most && run->end_bytes == start_bytes;
}

void writer_add(struct writer *w, struct bufio_buffer *b, uint64_t block, uint64_t range)
{
	uint64_t start = range >> 32, end = (uint32_t)range, base = block << w->client->block_shift;
	struct run *run;

	if (!adjoins(w, base + start)) {
		queue_open(w);
		run = w->open = take_free(w);
		run->nr = 0;
		run->block = block;
		run->io = (struct bufio_io){
			.op = BUFIO_OP_WRITE,
			.offset_bytes = base + start,
			.iov = run->iov,
			.done = run_done,
			.context = run,
		};
	}
	run = w->open;
	run->buffers[run->nr] = b;
	run->iov[run->nr++] = (struct iovec){(char *)b->data + start, end - start};
	run->io.size_bytes += end - start;
	run->end_bytes = base + end;
}

/* The only run: who waits for it writes it; a completion from another thread would cost two switches more. */
static void transfer_open(struct writer *w, enum write_how how)
{
	struct bufio_client *c = w->client;
	struct run *run = w->open;

	w->open = NULL;
	w->nr_running = 1;
	run->io.nr_iov = run->nr;
	if (how == WRITE_DURABLE && !atomic_load(&c->unflushed) && !atomic_load(&c->nr_doubt))
		run->io.flags = BUFIO_IO_DURABLE;
	run->since_ns = stats_now_ns();
	atomic_fetch_add(&c->stats.writes, 1);
	run_done(&run->io, c->engine->ops->transfer(c->engine, &run->io));
}

static bool is_idle(struct writer *w)
{
	bool idle;

	pthread_mutex_lock(&w->lock);
	idle = w->nr_running == 0;
	pthread_mutex_unlock(&w->lock);
	return idle && w->nr_queued == 0;
}

int writer_finish(struct writer *w, enum write_how how)
{
	struct run *failed;
	int r;

	if (w->open && is_idle(w)) {
		transfer_open(w, how);
	} else {
		queue_open(w);
		submit_queue(w);
		wait_running(w, 0);
	}
	while ((failed = take_failed(w)))
		settle_failed(w, failed);
	wait_free_wake(w->client);
	r = w->result;
	w->result = 0;
	return r;
}
