/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The thread behind a client: writes when too much is dirty, what is dirty for too long, and
 * trims memory to cache_bytes.  It sleeps without a timeout while nothing is dirty.
 */
#include "client.h"
#include <time.h>

uint32_t background_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint32_t)t.tv_sec * 1000 + (uint32_t)(t.tv_nsec / 1000000);
}

void background_kick(struct bufio_client *c, enum background_what what)
{
	pthread_mutex_lock(&c->background_lock);
	c->background_kick = true;
	if (what == BACKGROUND_ALL)
		c->background_all = true;
	pthread_cond_signal(&c->background_wake);
	pthread_mutex_unlock(&c->background_lock);
}

static void trim(struct bufio_client *c)
{
	struct bufio_buffer *b;

	while (pool_is_over(c)) {
		b = cache_evict(c);
		if (!b)
			return;
		pool_put_cold(b);
	}
}

static bool is_dirty_enough(struct bufio_client *c)
{
	return atomic_load(&c->nr_dirty) * 100 >
	       (uint64_t)c->nr_cache * c->options.dirty_background_percent;
}

static int work(struct bufio_client *c, bool all)
{
	struct write_scope scope = {.end = UINT64_MAX};
	int r = 0;

	if (!all && !is_dirty_enough(c)) {
		scope.older_ms = background_now_ms() - c->options.dirty_age_ms;
		scope.older_ms += !scope.older_ms;
	}
	if (atomic_load(&c->nr_dirty) && (all || is_dirty_enough(c) || c->options.dirty_age_ms))
		r = writeback_scope(c, &scope);
	trim(c);
	wait_free_wake(c);
	return r;
}

static void sleep_locked(struct bufio_client *c, unsigned ms)
{
	struct timespec t;

	if (!ms) {
		pthread_cond_wait(&c->background_wake, &c->background_lock);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	pthread_cond_timedwait(&c->background_wake, &c->background_lock, &t);
}

/* How long to sleep: half the age while something is dirty, so nothing is much older. */
static unsigned pause_ms(struct bufio_client *c, unsigned backoff_ms)
{
	unsigned ms = c->options.dirty_age_ms;

	if (backoff_ms)
		return backoff_ms;
	if (!ms || !atomic_load(&c->nr_dirty))
		return 0;
	return ms > 1 ? ms / 2 : 1;
}

static void *background_main(void *argument)
{
	struct bufio_client *c = argument;
	unsigned backoff_ms = 0;
	bool all;
	int r;

	pthread_mutex_lock(&c->background_lock);
	while (!c->background_stop) {
		if (!c->background_kick)
			sleep_locked(c, pause_ms(c, backoff_ms));
		if (c->background_stop)
			break;
		all = c->background_all;
		c->background_kick = c->background_all = false;
		pthread_mutex_unlock(&c->background_lock);
		r = work(c, all);
		pthread_mutex_lock(&c->background_lock);
		if (!r)
			backoff_ms = 0;
		else if (backoff_ms < 8000)
			backoff_ms = backoff_ms ? backoff_ms * 2 : 125;
		/* A device that fails must not make us spin on the kicks of those who wait. */
		if (backoff_ms && !c->background_stop)
			sleep_locked(c, backoff_ms);
	}
	pthread_mutex_unlock(&c->background_lock);
	return NULL;
}

int background_start(struct bufio_client *c)
{
	return -pthread_create(&c->background, NULL, background_main, c);
}

void background_finish(struct bufio_client *c)
{
	pthread_mutex_lock(&c->background_lock);
	c->background_stop = true;
	pthread_cond_signal(&c->background_wake);
	pthread_mutex_unlock(&c->background_lock);
	pthread_join(c->background, NULL);
}
