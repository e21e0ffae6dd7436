/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The thread behind a client: writes when too much is dirty, what is dirty for too long, takes over what writes behind
 * could not write, and trims memory to cache_bytes.  It sleeps without a timeout while nothing is dirty.
 */
#include "client.h"
#include <time.h>

#define BACKOFF_FIRST_MS 125u
#define BACKOFF_LAST_MS	 2000u
#define OVER_MS		 1000u /* what is held now may be given back to the system later */

static void trim(struct bufio_client *c)
{
	struct bufio_buffer *b;

	while (pool_is_over(c, atomic_load(&c->nr_cache))) {
		b = pool_get_excess(c);
		if (!b)
			b = cache_evict(c);
		if (!b)
			return;
		pool_put_cold(b);
	}
}

static bool is_dirty_enough(struct bufio_client *c)
{
	return dirty_count(c) * 100 >
	       (uint64_t)atomic_load(&c->nr_cache) * c->options.dirty_background_percent;
}

static int write_some(struct bufio_client *c, bool all)
{
	struct write_scope scope = {.end = UINT64_MAX};

	if (!dirty_count(c))
		return 0;
	if (!all && !is_dirty_enough(c)) {
		if (!c->options.dirty_age_ms)
			return 0;
		scope.older_ms = stats_now_ms() - c->options.dirty_age_ms;
		scope.older_ms += !scope.older_ms;
	}
	return writeback_scope(c, &scope);
}

static void count_round(struct bufio_client *c, int r)
{
	if (!r)
		return;
	atomic_fetch_add(&c->rounds_failing, 1);
	atomic_fetch_add(&c->rounds_failed, 1);
}

/*
 * One round, and another one while there is too much that can be written.  What writes behind could not write needs
 * room, so all is written.
 */
static int work(struct bufio_client *c, bool all)
{
	uint64_t before;
	int r, r_behind;

	do {
		r_behind = behind_take_over(c);
		before = atomic_load(&c->stats.written_blocks);
		r = write_some(c, all || r_behind);
		all = false;
		trim(c);
		count_round(c, r);
		wait_free_wake(c);
	} while (!r && (is_dirty_enough(c) || r_behind) &&
		 atomic_load(&c->stats.written_blocks) != before);
	return r ? r : r_behind;
}

static struct timespec deadline_in(unsigned ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	return t;
}

static void sleep_ms_locked(struct bufio_client *c, unsigned ms)
{
	struct timespec t = deadline_in(ms);

	pthread_cond_timedwait(&c->background_wake, &c->background_lock, &t);
}

/* A device that just failed is left alone, however many kick us. */
static void sleep_backoff_locked(struct bufio_client *c, unsigned ms)
{
	struct timespec t = deadline_in(ms);

	while (!c->background_stop &&
	       !pthread_cond_timedwait(&c->background_wake, &c->background_lock, &t))
		;
}

/* Whoever dirties the first buffer from here on sees idle, or we see it dirty. */
static void sleep_idle_locked(struct bufio_client *c)
{
	atomic_store(&c->background_idle, c->options.dirty_age_ms != 0);
	if (!c->options.dirty_age_ms || !dirty_count(c))
		pthread_cond_wait(&c->background_wake, &c->background_lock);
	atomic_store(&c->background_idle, false);
}

/*
 * Half the age while something is dirty, so nothing gets much older, and once more after that:
 * who dirties a buffer every now and then need not wake us each time.
 */
static void sleep_locked(struct bufio_client *c, bool *was_dirty)
{
	unsigned ms = c->options.dirty_age_ms;
	bool over = pool_is_over(c, atomic_load(&c->nr_cache));
	bool dirty = dirty_count(c) > 0;

	if (ms && (dirty || *was_dirty))
		sleep_ms_locked(c, ms > 1 ? ms / 2 : 1);
	else if (over)
		sleep_ms_locked(c, OVER_MS);
	else
		sleep_idle_locked(c);
	*was_dirty = dirty;
}

static unsigned next_backoff(unsigned ms, int r)
{
	if (!r)
		return 0;
	if (!ms)
		return BACKOFF_FIRST_MS;
	return ms < BACKOFF_LAST_MS ? ms * 2 : ms;
}

static void *background_main(void *argument)
{
	struct bufio_client *c = argument;
	unsigned backoff_ms = 0;
	bool all, was_dirty = false;
	int r;

	pthread_mutex_lock(&c->background_lock);
	while (!c->background_stop) {
		if (backoff_ms)
			sleep_backoff_locked(c, backoff_ms);
		else if (!c->background_kicked)
			sleep_locked(c, &was_dirty);
		if (c->background_stop)
			break;
		all = c->background_all;
		c->background_kicked = c->background_all = false;
		pthread_mutex_unlock(&c->background_lock);
		r = work(c, all);
		backoff_ms = next_backoff(backoff_ms, r);
		pthread_mutex_lock(&c->background_lock);
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
