/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fences: ranges that a write past the buffers is replacing on the device.  While one stands no
 * block in it may enter the cache, for it might be read in as it was before and stay so.
 *
 * Who enters a block does so under its shard's mutex and looks for fences there; who puts a
 * fence up does that first and then looks at each block.  So one of the two sees the other.
 */
#include "client.h"

void fence_begin(struct bufio_client *c, struct fence *f)
{
	pthread_mutex_lock(&c->fence_lock);
	f->next = c->fences;
	c->fences = f;
	atomic_fetch_add(&c->nr_fences, 1);
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

void fence_wait(struct bufio_client *c, uint64_t block)
{
	if (!atomic_load(&c->nr_fences))
		return;
	pthread_mutex_lock(&c->fence_lock);
	while (covers_locked(c, block))
		pthread_cond_wait(&c->fence_wake, &c->fence_lock);
	pthread_mutex_unlock(&c->fence_lock);
}
