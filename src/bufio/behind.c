/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes behind that failed.  Their data moves into buffers, which are dirty then: so they are written again, are never
 * lost, and every flush hears of the error, as with all other data.  Only the background writer
 * does that, since it waits for no buffer and nobody can keep it from running.
 *
 * A run went past the cache because its blocks had no buffer; its fence has kept them from getting one since.
 */
#include "client.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void free_runs(struct behind_run *run)
{
	while (run) {
		struct behind_run *next = run->next;

		free(run);
		run = next;
	}
}

/* Its fence is down. */
void behind_destroy(struct behind *x)
{
	free_runs(x->runs);
	free_runs(x->failed);
	free(x);
}

/* The first block of a run gets a buffer.  0 or -EAGAIN. */
static int take_block(struct behind_run *run)
{
	struct bufio_client *c = run->behind->client;
	struct bufio_buffer *b;
	int r;

	r = alloc_buffer(c, ALLOC_TRY, &b);
	if (r)
		return r;
	memcpy(b->data, run->iov.iov_base, c->options.block_bytes);
	cache_insert_behind(b, run->block);
	dirty_mark(b);
	cache_release(b);
	run->iov.iov_base = (char *)run->iov.iov_base + c->options.block_bytes;
	run->block++;
	run->nr--;
	return 0;
}

static int take_data(struct behind *x)
{
	int r = 0;

	while (x->failed && r == 0) {
		struct behind_run *run = x->failed;

		while (run->nr && r == 0)
			r = take_block(run);
		if (run->nr)
			break;
		x->failed = run->next;
		free(run);
	}
	return r;
}

static struct behind *find_failed(struct bufio_client *c)
{
	struct fence *f;

	pthread_mutex_lock(&c->fence_lock);
	for (f = c->fences; f && !(f->is_behind && f->error); f = f->next)
		;
	pthread_mutex_unlock(&c->fence_lock);
	return (struct behind *)f;
}

static void end(struct behind *x)
{
	fence_end(x->client, &x->fence);
	x->done(x->context);
	behind_destroy(x);
}

static void note_refused(struct bufio_client *c)
{
	pthread_mutex_lock(&c->fence_lock);
	c->nr_refused++;
	pthread_cond_broadcast(&c->fence_wake);
	pthread_mutex_unlock(&c->fence_lock);
}

/* By the background writer.  0, or the error of one that found no room: come again. */
int behind_take_over(struct bufio_client *c)
{
	struct behind *x;
	int r = 0;

	if (!atomic_load(&c->nr_fences))
		return 0;
	pthread_mutex_lock(&c->behind_lock);
	while (r == 0 && (x = find_failed(c))) {
		if (take_data(x) == 0)
			end(x);
		else
			r = x->fence.error;
	}
	pthread_mutex_unlock(&c->behind_lock);
	if (r)
		note_refused(c);
	return r;
}

/* Throw away what failed and could not be taken over.  Returns how many blocks that were. */
uint64_t behind_abandon(struct bufio_client *c)
{
	uint64_t nr = 0;
	struct behind *x;

	/* until it has failed, or is in buffers */
	fence_wait_behind(c, 0, UINT64_MAX);
	pthread_mutex_lock(&c->behind_lock);
	while ((x = find_failed(c))) {
		for (const struct behind_run *run = x->failed; run; run = run->next)
			nr += run->nr;
		end(x);
	}
	pthread_mutex_unlock(&c->behind_lock);
	return nr;
}
