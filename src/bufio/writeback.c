/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing dirty buffers: collect, sort, claim and merge into runs, submit, wait.
 *
 * 1. A claim turns DIRTY into WRITING in one step and only while no pin is there, so one write
 *    of a buffer is in flight at most, and a change made during it makes the buffer dirty again.
 * 2. What is claimed is submitted before anything is waited for, and claimed not before there is
 *    room to submit it: who wants to pin a buffer waits for one write, not for the whole pass.
 * 3. A pass covers what was dirty or in flight when it collected it.  The client has one job of
 *    its own, so that a flush needs no memory; a pass that is too large for it and finds no memory
 *    goes in pieces, each of which visits other descriptors, so it still ends.
 * 4. Writes behind that were under way have ended before it collects, or their data is in buffers, which it
 *    collects.
 */
#include "write_run.h"
#include "write_sort.h"
#include <stdlib.h>

#define SPARE_ENTRIES 512u

struct write_job {
	size_t nr, most;
	struct writer *writer;
	struct write_entry entries[];
};

static struct bufio_buffer *buffer_of(struct bufio_client *c, const struct write_entry *e)
{
	return &c->buffers[e->index];
}

static void job_destroy(struct write_job *job)
{
	if (job)
		writer_destroy(job->writer);
	free(job);
}

/* For so many entries; so many buffers, at least, are written at a time. */
static struct write_job *job_create(struct bufio_client *c, size_t most, size_t nr_buffers)
{
	struct write_job *job = malloc(sizeof(*job) + most * sizeof(job->entries[0]));

	if (!job)
		return NULL;
	job->most = most;
	job->writer = writer_create(c, nr_buffers);
	if (!job->writer) {
		free(job);
		return NULL;
	}
	return job;
}

/* Is it known to be on the device, as it was when collected, or thrown away? */
static bool is_settled(const struct bufio_buffer *b, const struct write_entry *e, uint64_t s)
{
	if (!(s & (ST_DIRTY | ST_WRITING)) || !(s & ST_VALID))
		return true;
	if (atomic_load(&b->block) != e->block)
		return true;
	return atomic_load(&b->nr_written) - e->nr_written >= e->need;
}

/*
 * Nothing to write, perhaps after wait_entry(): those who want to pin need not wait any more.
 * (Another flush may have wished for it; it then waits for one pin more.)
 */
static bool leave(struct bufio_buffer *b, struct write_entry *e, uint64_t s)
{
	e->done = true;
	if (s & ST_FLUSHWAIT) {
		atomic_fetch_and(&b->state, ~ST_FLUSHWAIT);
		wait_wake(b);
	}
	return false;
}

static bool is_held_stable(const struct bufio_client *c, const struct bufio_buffer *b)
{
	return c->options.stable_writes && hold_count(b) != 0;
}

/* Returns whether the entry's buffer is the caller's to write, *ret_state its state before. */
static bool claim(struct bufio_client *c, struct write_entry *e, enum write_wait wait,
		  uint64_t *ret_state)
{
	struct bufio_buffer *b = buffer_of(c, e);
	uint64_t s = atomic_load(&b->state);

	for (;;) {
		if (is_settled(b, e, s) || ((s & ST_PINS) && wait == WRITE_WAIT_UNPINNED))
			return leave(b, e, s);
		if (!(s & ST_DIRTY) || (s & (ST_WRITING | ST_READING | ST_PINS)) ||
		    is_held_stable(c, b))
			return false;
		if (atomic_compare_exchange_weak(&b->state, &s,
						 (s | ST_WRITING) &
							 ~(ST_DIRTY | ST_FLUSHWAIT | ST_PARTIAL)))
			break;
	}
	atomic_fetch_sub(&c->nr_dirty, 1);
	*ret_state = s;
	e->done = !is_held_stable(c, b);
	if (e->done && atomic_load(&b->block) == e->block)
		return true;
	/* A hold came first; or it is another block's, which only looked like the entry's. */
	dirty_write_failed(b);
	return false;
}

/* Claim the entry and add it to the writer's runs. */
static void write_entry(struct bufio_client *c, struct write_job *job, struct write_entry *e,
			enum write_wait wait)
{
	struct bufio_buffer *b = buffer_of(c, e);
	uint64_t s, range;

	if (e->done)
		return;
	writer_make_room(job->writer);
	if (!claim(c, e, wait, &s))
		return;
	range = dirty_take_range(b, s);
	if (c->callbacks.prepare)
		c->callbacks.prepare(c->options.callback_context, b);
	writer_add(job->writer, b, e->block, range);
}

static void wait_entry(struct bufio_client *c, const struct write_entry *e)
{
	struct bufio_buffer *b = buffer_of(c, e);
	uint64_t s = atomic_load(&b->state);
	uint32_t written = atomic_load(&b->nr_written);

	if (s & ST_WRITING) {
		wait_write(b, written);
	} else if (s & ST_READING) {
		/* A move fills it. */
		wait_while(b, ST_READING);
	} else if ((s & ST_DIRTY) && ((s & ST_PINS) || is_held_stable(c, b))) {
		/*
		 * FLUSHWAIT keeps a first pin away once the last is gone, until the write is done;
		 * that only waits for the device.  A further pin on a pinned buffer is let in:
		 * its owner may need it to get to the unpin we wait for.
		 */
		while ((s & ST_VALID) && ((s & ST_PINS) || is_held_stable(c, b)) &&
		       !atomic_compare_exchange_weak(&b->state, &s, s | ST_FLUSHWAIT))
			;
		wait_while_kept(b, e->block);
	}
}

static bool in_scope(struct bufio_client *c, const struct write_scope *scope,
		     const struct write_entry *e, uint64_t s)
{
	if (!(s & ST_VALID) || !(s & (ST_DIRTY | ST_WRITING)))
		return false;
	if (e->block < scope->first || e->block >= scope->end)
		return false;
	return !scope->older_ms ||
	       (int32_t)(scope->older_ms - atomic_load(&buffer_of(c, e)->dirty_ms)) >= 0;
}

static bool collect_one(struct bufio_client *c, const struct write_scope *scope, uint32_t index,
			struct write_entry *ret)
{
	struct bufio_buffer *b = &c->buffers[index];
	uint64_t s;

	ret->index = index;
	ret->done = false;
	ret->nr_written = atomic_load(&b->nr_written);
	s = atomic_load(&b->state);
	ret->block = atomic_load(&b->block);
	ret->need = (s & ST_WRITING ? 1 : 0) + (s & ST_DIRTY ? 1 : 0);
	return in_scope(c, scope, ret, s);
}

/* Collect from word on, whole words while they fit.  Returns the word to go on with. */
static uint32_t collect(struct bufio_client *c, const struct write_scope *scope, uint32_t word,
			struct write_job *job)
{
	job->nr = 0;
	pthread_mutex_lock(&c->written_lock);
	for (; word < c->nr_words && job->most - job->nr >= 64; word++) {
		for (uint64_t bits = atomic_load(&c->dirty_map[word]); bits; bits &= bits - 1) {
			uint32_t index = word * 64 + (uint32_t)__builtin_ctzll(bits);

			if (collect_one(c, scope, index, &job->entries[job->nr]))
				job->nr++;
		}
	}
	pthread_mutex_unlock(&c->written_lock);
	return word;
}

/* Write what the job collected. */
static int write_piece(struct bufio_client *c, const struct write_scope *scope,
		       struct write_job *job)
{
	size_t i, first = 0;
	int r = 0, r1;

	write_sort(job->entries, job->nr);
	do {
		for (i = first; i < job->nr; i++)
			write_entry(c, job, &job->entries[i], scope->wait);
		r1 = writer_finish(job->writer, scope->how);
		if (r1 && !r)
			r = r1;
		while (first < job->nr && job->entries[first].done)
			first++;
		if (first < job->nr && scope->wait != WRITE_WAIT_NOT)
			wait_entry(c, &job->entries[first]);
	} while (first < job->nr && scope->wait != WRITE_WAIT_NOT);
	return r;
}

/*
 * Returns a job for what is dirty in that scope, or the client's own one, locked.  One for a few blocks is small: what
 * malloc() gets from the kernel, and gives back, each time, costs more than the rest.
 */
static struct write_job *job_get(struct bufio_client *c, const struct write_scope *scope)
{
	size_t nr = dirty_count(c) + SPARE_ENTRIES / 2;
	struct write_job *job;

	if (scope->end - scope->first < nr)
		nr = (size_t)(scope->end - scope->first);
	if (nr <= SPARE_ENTRIES && pthread_mutex_trylock(&c->spare_lock) == 0)
		return c->spare_job;
	/* collect() takes a whole word of the map */
	job = job_create(c, nr + 64, nr);
	if (job)
		return job;
	pthread_mutex_lock(&c->spare_lock);
	return c->spare_job;
}

static void job_put(struct bufio_client *c, struct write_job *job)
{
	if (job == c->spare_job)
		pthread_mutex_unlock(&c->spare_lock);
	else
		job_destroy(job);
}

int writeback_scope(struct bufio_client *c, const struct write_scope *scope)
{
	struct write_job *job;
	uint32_t word = 0;
	int r = 0, r1;

	if (scope->first == scope->end)
		return 0;
	if (scope->wait != WRITE_WAIT_NOT)
		r = fence_wait_behind(c, scope->first, scope->end);
	job = job_get(c, scope);
	while (word < c->nr_words) {
		word = collect(c, scope, word, job);
		r1 = write_piece(c, scope, job);
		if (r1 && !r)
			r = r1;
	}
	job_put(c, job);
	return r;
}

int writeback_create(struct bufio_client *c)
{
	c->spare_job = job_create(c, SPARE_ENTRIES, SPARE_ENTRIES);
	return c->spare_job ? 0 : -ENOMEM;
}

void writeback_destroy(struct bufio_client *c)
{
	job_destroy(c->spare_job);
}
