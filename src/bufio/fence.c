/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fences: ranges that a write past the buffers is replacing on the device.  While one stands no
 * block in it may enter the cache, for it might be read in as it was before and stay so.
 *
 * Who enters a block does so under its shard's mutex and looks for fences there; who puts a
 * fence up does that first and then looks at each block.  So one of the two sees the other.
 *
 * The fence of a write that was answered for before its end (behind.c) keeps transfers past the buffers away, too, and
 * flushes wait for it.  If that write fails its fence stands until the background writer has moved
 * the data into buffers; who waits gets the error when that could not be done, either.
 */
#include "client.h"

static void link_locked(struct bufio_client *c, struct fence *f)
{
	f->number = ++c->last_fence;
	f->next = c->fences;
	c->fences = f;
	atomic_fetch_add(&c->nr_fences, 1);
}

void fence_begin(struct bufio_client *c, struct fence *f)
{
	pthread_mutex_lock(&c->fence_lock);
	link_locked(c, f);
	pthread_mutex_unlock(&c->fence_lock);
}

void fence_end(struct bufio_client *c, struct fence *f)
{
	struct fence **link = &c->fences;

	pthread_mutex_lock(&c->fence_lock);
	while (*link != f)
		link = &(*link)->next;
	*link = f->next;
	atomic_fetch_sub(&c->nr_fences, 1);
	pthread_cond_broadcast(&c->fence_wake);
	pthread_mutex_unlock(&c->fence_lock);
}

static bool covers_locked(const struct bufio_client *c, uint64_t block)
{
	for (const struct fence *f = c->fences; f; f = f->next)
		if (block >= f->block && block - f->block < f->nr)
			return true;
	return false;
}

bool fence_covers(struct bufio_client *c, uint64_t block)
{
	bool covers;

	if (!atomic_load(&c->nr_fences))
		return false;
	pthread_mutex_lock(&c->fence_lock);
	covers = covers_locked(c, block);
	pthread_mutex_unlock(&c->fence_lock);
	return covers;
}

/* What a waiter waits for: fences in a range, up to a number. */
struct wanted {
	uint64_t first, end, last;
	bool behind_only;
};

static const struct fence *find_locked(const struct bufio_client *c, const struct wanted *w)
{
	for (const struct fence *f = c->fences; f; f = f->next)
		if (f->block < w->end && w->first < f->block + f->nr && f->number <= w->last &&
		    (f->is_behind || !w->behind_only))
			return f;
	return NULL;
}

/* Returns 0, or the error of a write behind that nobody could take over since the call. */
static int wait_locked(struct bufio_client *c, const struct wanted *w)
{
	uint64_t refused = c->nr_refused;
	const struct fence *f;

	while ((f = find_locked(c, w))) {
		if (f->error && c->nr_refused != refused)
			return f->error;
		pthread_cond_wait(&c->fence_wake, &c->fence_lock);
	}
	return 0;
}

int fence_wait(struct bufio_client *c, uint64_t block)
{
	struct wanted w = {.first = block, .end = block + 1, .last = UINT64_MAX};
	int r;

	if (!atomic_load(&c->nr_fences))
		return 0;
	pthread_mutex_lock(&c->fence_lock);
	r = wait_locked(c, &w);
	pthread_mutex_unlock(&c->fence_lock);
	return r;
}

/* Only those that stand already: the wait ends, however many follow. */
int fence_wait_behind(struct bufio_client *c, uint64_t first, uint64_t end)
{
	struct wanted w = {.first = first, .end = end, .behind_only = true};
	int r;

	if (!atomic_load(&c->nr_fences))
		return 0;
	pthread_mutex_lock(&c->fence_lock);
	w.last = c->last_fence;
	r = wait_locked(c, &w);
	pthread_mutex_unlock(&c->fence_lock);
	return r;
}

/* Begin when no other write behind is under way there. */
int fence_begin_behind(struct bufio_client *c, struct fence *f)
{
	struct wanted w = {.first = f->block,
			   .end = f->block + f->nr,
			   .last = UINT64_MAX,
			   .behind_only = true};
	int r;

	f->is_behind = true;
	pthread_mutex_lock(&c->fence_lock);
	r = wait_locked(c, &w);
	if (r == 0)
		link_locked(c, f);
	pthread_mutex_unlock(&c->fence_lock);
	return r;
}
