/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing dirty buffers: collect, claim, sort, merge, submit, wait.  Calls cache and engine.
 *
 * A claim turns DIRTY into WRITING in one step and only while no pin is there, so one write of a
 * buffer is in flight at most, and a change made during it makes the buffer dirty again.  Whoever
 * claims submits before he waits for anything.
 */
#include "client.h"
#include <errno.h>
#include <stdlib.h>

struct entry {
	struct bufio_buffer *b;
	uint64_t block;
	uint32_t nr_written; /* good writes when collected */
	uint32_t need;	     /* more good writes that prove it on the device */
	bool done, claimed;
};

struct batch {
	struct bufio_client *client;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	unsigned nr_running;
};

/* Some adjoining buffers as one transfer. */
struct run {
	struct bufio_io io;
	struct batch *batch;
	struct entry **entries;
	unsigned nr;
	int result;
};

static void finish_good(struct bufio_client *c, struct bufio_buffer *b)
{
	uint64_t bit = UINT64_C(1) << (b->index % 64);

	atomic_fetch_or(&c->written_map[b->index / 64], bit);
	atomic_store(&c->unflushed, true);
	atomic_fetch_add(&c->stats.written_blocks, 1);
	atomic_fetch_add(&b->nr_written, 1);
	/* A collector under the lock sees the bit or that the write is over. */
	pthread_mutex_lock(&c->dirty_lock);
	if (!(atomic_fetch_and(&b->state, ~ST_WRITING) & ST_DIRTY)) {
		atomic_fetch_and(&c->dirty_map[b->index / 64], ~bit);
		if (atomic_load(&b->state) & (ST_DIRTY | ST_WRITING))
			atomic_fetch_or(&c->dirty_map[b->index / 64], bit);
	}
	pthread_mutex_unlock(&c->dirty_lock);
	wait_wake(b);
	wait_free_wake(c);
}

static void finish_bad(struct bufio_client *c, struct entry *e, int r)
{
	uint64_t s = atomic_load(&e->b->state);

	atomic_fetch_add(&c->stats.write_errors, 1);
	while (!atomic_compare_exchange_weak(&e->b->state, &s, (s & ~ST_WRITING) | ST_DIRTY))
		;
	if (!(s & ST_DIRTY))
		atomic_fetch_add(&c->nr_dirty, 1);
	wait_wake(e->b);
	if (c->callbacks.write_error)
		c->callbacks.write_error(c->options.callback_context, e->block, r);
}

static void run_done(struct bufio_io *io, int result)
{
	struct run *run = io->context;
	struct batch *batch = run->batch;

	run->result = result;
	for (unsigned i = 0; result == 0 && i < run->nr; i++)
		finish_good(batch->client, run->entries[i]->b);
	pthread_mutex_lock(&batch->lock);
	if (--batch->nr_running == 0)
		pthread_cond_signal(&batch->wake);
	pthread_mutex_unlock(&batch->lock);
}

static int write_one(struct bufio_client *c, struct entry *e)
{
	struct iovec iov = {e->b->data, c->options.block_bytes};
	struct bufio_io io = {
		.op = BUFIO_OP_WRITE,
		.offset_bytes = e->block << c->block_shift,
		.iov = &iov,
		.nr_iov = 1,
		.size_bytes = iov.iov_len,
	};
	int r;

	atomic_fetch_add(&c->stats.writes, 1);
	r = c->engine->ops->transfer(c->engine, &io);
	if (r)
		finish_bad(c, e, r);
	else
		finish_good(c, e->b);
	return r;
}

/* Only the bad blocks of a merged write fail. */
static int finish_run(struct bufio_client *c, struct run *run)
{
	int r = 0, r1;

	if (run->result == 0)
		return 0;
	if (run->nr == 1) {
		finish_bad(c, run->entries[0], run->result);
		return run->result;
	}
	for (unsigned i = 0; i < run->nr; i++) {
		r1 = write_one(c, run->entries[i]);
		if (r1 && !r)
			r = r1;
	}
	return r;
}

static unsigned run_length(struct bufio_client *c, struct entry **e, size_t nr)
{
	size_t most = c->options.max_io_bytes >> c->block_shift;
	unsigned n = 1;

	if (most > BUFIO_MAX_IOV)
		most = BUFIO_MAX_IOV;
	while (n < nr && n < most && e[n]->block == e[0]->block + n)
		n++;
	return n;
}

static void make_run(struct batch *batch, struct run *run, struct entry **e, struct iovec *iov)
{
	struct bufio_client *c = batch->client;

	for (unsigned i = 0; i < run->nr; i++)
		iov[i] = (struct iovec){e[i]->b->data, c->options.block_bytes};
	run->batch = batch;
	run->entries = e;
	run->io = (struct bufio_io){
		.op = BUFIO_OP_WRITE,
		.offset_bytes = e[0]->block << c->block_shift,
		.iov = iov,
		.nr_iov = run->nr,
		.size_bytes = (size_t)run->nr << c->block_shift,
		.done = run_done,
		.context = run,
	};
}

static int submit_runs(struct batch *batch, struct run *runs, struct bufio_io **ios, unsigned nr)
{
	struct bufio_client *c = batch->client;
	int r = 0, r1;

	for (unsigned i = 0; i < nr; i++)
		ios[i] = &runs[i].io;
	batch->nr_running = nr;
	atomic_fetch_add(&c->stats.writes, nr);
	c->engine->ops->submit(c->engine, ios, nr);
	pthread_mutex_lock(&batch->lock);
	while (batch->nr_running)
		pthread_cond_wait(&batch->wake, &batch->lock);
	pthread_mutex_unlock(&batch->lock);
	for (unsigned i = 0; i < nr; i++) {
		r1 = finish_run(c, &runs[i]);
		if (r1 && !r)
			r = r1;
	}
	return r;
}

static int write_singly(struct bufio_client *c, struct entry **e, size_t nr)
{
	int r = 0, r1;

	for (size_t i = 0; i < nr; i++) {
		r1 = write_one(c, e[i]);
		if (r1 && !r)
			r = r1;
	}
	return r;
}

/* Write what was claimed, sorted by block. */
static int write_claimed(struct bufio_client *c, struct entry **e, size_t nr)
{
	struct batch batch = {.client = c};
	struct run *runs = calloc(nr, sizeof(*runs));
	struct iovec *iov = calloc(nr, sizeof(*iov));
	struct bufio_io **ios = calloc(nr, sizeof(*ios));
	unsigned nr_runs = 0;
	int r;

	if (!runs || !iov || !ios) {
		r = write_singly(c, e, nr);
	} else {
		for (size_t i = 0; i < nr; i += runs[nr_runs++].nr) {
			runs[nr_runs].nr = run_length(c, e + i, nr - i);
			make_run(&batch, &runs[nr_runs], e + i, iov + i);
		}
		pthread_mutex_init(&batch.lock, NULL);
		pthread_cond_init(&batch.wake, NULL);
		r = submit_runs(&batch, runs, ios, nr_runs);
		pthread_cond_destroy(&batch.wake);
		pthread_mutex_destroy(&batch.lock);
	}
	free(ios);
	free(iov);
	free(runs);
	return r;
}

/* Is it known to be on the device, as it was when collected, or thrown away? */
static bool is_settled(const struct entry *e, uint64_t s)
{
	if (!(s & (ST_DIRTY | ST_WRITING)) || !(s & ST_VALID))
		return true;
	if (atomic_load(&e->b->block) != e->block)
		return true;
	return atomic_load(&e->b->nr_written) - e->nr_written >= e->need;
}

/*
 * Nothing to write, perhaps after wait_entry(): those who want to pin need not wait any more.  (Another flush may have wished
 * for it; it then waits for one pin more.)
 */
static bool leave(struct entry *e, uint64_t s)
{
	e->done = true;
	if (s & ST_FLUSHWAIT) {
		atomic_fetch_and(&e->b->state, ~ST_FLUSHWAIT);
		wait_wake(e->b);
	}
	return false;
}

static bool claim(struct bufio_client *c, struct entry *e, enum write_wait wait)
{
	uint64_t s = atomic_load(&e->b->state);

	for (;;) {
		if (is_settled(e, s) || ((s & ST_PINS) && wait == WRITE_WAIT_UNPINNED))
			return leave(e, s);
		if (!(s & ST_DIRTY) || (s & (ST_WRITING | ST_PINS)))
			return false;
		if (atomic_compare_exchange_weak(&e->b->state, &s,
						 (s | ST_WRITING) & ~(ST_DIRTY | ST_FLUSHWAIT)))
			break;
	}
	atomic_fetch_sub(&c->nr_dirty, 1);
	/* The buffer may have become another's between the look and the claim. */
	e->block = atomic_load(&e->b->block);
	e->done = true;
	if (c->callbacks.prepare)
		c->callbacks.prepare(c->options.callback_context, e->b);
	return true;
}

static void wait_entry(struct entry *e)
{
	uint64_t s = atomic_load(&e->b->state);
	uint32_t written = atomic_load(&e->b->nr_written);

	if (s & ST_WRITING) {
		wait_write(e->b, written);
	} else if ((s & ST_PINS) && (s & ST_DIRTY)) {
		/*
		 * FLUSHWAIT keeps a first pin away once the last is gone, until the write is done;
		 * that only waits for the device.  A further pin on a pinned buffer is let in:
		 * its owner may need it to get to the unpin we wait for.
		 */
		while ((s & ST_PINS) && (s & ST_VALID) &&
		       !atomic_compare_exchange_weak(&e->b->state, &s, s | ST_FLUSHWAIT))
			;
		wait_while_pinned(e->b, e->block);
	}
}

static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = *(struct entry *const *)a, *y = *(struct entry *const *)b;

	return x->block < y->block ? -1 : x->block > y->block;
}

static int write_round(struct bufio_client *c, struct entry *entries, size_t nr,
		       struct entry **claimed, enum write_wait wait)
{
	size_t nr_claimed = 0;

	for (size_t i = 0; i < nr; i++)
		if (!entries[i].done && claim(c, &entries[i], wait))
			claimed[nr_claimed++] = &entries[i];
	if (!nr_claimed)
		return 0;
	qsort(claimed, nr_claimed, sizeof(*claimed), compare_entries);
	return write_claimed(c, claimed, nr_claimed);
}

static bool in_scope(const struct write_scope *scope, const struct entry *e, uint64_t s)
{
	if (!(s & ST_VALID) || !(s & (ST_DIRTY | ST_WRITING)))
		return false;
	if (e->block < scope->first || e->block >= scope->end)
		return false;
	return !scope->older_ms || (int32_t)(scope->older_ms - atomic_load(&e->b->dirty_ms)) >= 0;
}

static size_t collect(struct bufio_client *c, const struct write_scope *scope, struct entry *ret)
{
	size_t nr = 0;

	pthread_mutex_lock(&c->dirty_lock);
	for (uint32_t w = 0; w < c->nr_words; w++) {
		for (uint64_t bits = atomic_load(&c->dirty_map[w]); bits; bits &= bits - 1) {
			struct entry *e = &ret[nr];
			uint64_t s;

			*e = (struct entry){0};
			e->b = &c->buffers[w * 64 + (uint32_t)__builtin_ctzll(bits)];
			e->nr_written = atomic_load(&e->b->nr_written);
			s = atomic_load(&e->b->state);
			e->block = atomic_load(&e->b->block);
			e->need = (s & ST_WRITING) ? 2 : 1;
			if (in_scope(scope, e, s))
				nr++;
		}
	}
	pthread_mutex_unlock(&c->dirty_lock);
	return nr;
}

int writeback_scope(struct bufio_client *c, const struct write_scope *scope)
{
	struct entry *entries = malloc((size_t)c->nr_buffers * sizeof(*entries));
	struct entry **claimed = malloc((size_t)c->nr_buffers * sizeof(*claimed));
	size_t nr, i;
	int r = 0, r1;

	if (!entries || !claimed) {
		free(entries);
		free(claimed);
		return -ENOMEM;
	}
	nr = collect(c, scope, entries);
	do {
		r1 = write_round(c, entries, nr, claimed, scope->wait);
		if (r1 && !r)
			r = r1;
		for (i = 0; i < nr && entries[i].done; i++)
			;
		if (i < nr && scope->wait != WRITE_WAIT_NOT)
			wait_entry(&entries[i]);
	} while (i < nr && scope->wait != WRITE_WAIT_NOT);
	free(entries);
	free(claimed);
	return r;
}
