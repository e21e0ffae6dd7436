/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Blocks that wait for a commit: see held.h.  Calls bitmap, and the log for how far it is. */
#include "held.h"
#include "bitmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct held_run {
	uint64_t seq;
	uint32_t group, bit, count;
};

/* A queue: runs are freed and let go in the order of transactions. */
struct held {
	pthread_mutex_t lock; /* a leaf */
	struct held_run *runs;
	size_t first, nr, max;
	size_t promised;	     /* places that held_prepare_locked() asked for */
	_Atomic uint64_t oldest_seq; /* UINT64_MAX: none */
	_Atomic uint64_t blocks;
};

struct held *held_create(void)
{
	struct held *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	pthread_mutex_init(&h->lock, NULL);
	atomic_store(&h->oldest_seq, UINT64_MAX);
	return h;
}

void held_destroy(struct held *h)
{
	if (!h)
		return;
	pthread_mutex_destroy(&h->lock);
	free(h->runs);
	free(h);
}

static int grow_locked(struct held *h)
{
	size_t more = h->max ? h->max * 2 : 64;
	struct held_run *p = reallocarray(NULL, more, sizeof(*p));

	if (!p)
		return -ENOMEM;
	for (size_t i = 0; i < h->nr; i++)
		p[i] = h->runs[(h->first + i) % h->max];
	free(h->runs);
	h->runs = p;
	h->first = 0;
	h->max = more;
	return 0;
}

static int promise_place(struct held *h)
{
	int r = 0;

	pthread_mutex_lock(&h->lock);
	if (h->nr + h->promised == h->max)
		r = grow_locked(h);
	h->promised += r == 0;
	pthread_mutex_unlock(&h->lock);
	return r;
}

static size_t map_bytes(const struct fs *fs)
{
	return fs->geo.block_bytes - DISK_HEAD_BYTES;
}

int held_prepare_locked(struct fs *fs, uint32_t group, const uint8_t *map)
{
	struct group *gr = &fs->groups[group];
	uint8_t *shadow = NULL;
	int r;

	if (!gr->shadow) {
		shadow = malloc(map_bytes(fs));
		if (!shadow)
			return -ENOMEM;
		memcpy(shadow, map, map_bytes(fs));
	}
	r = promise_place(fs->held);
	if (r < 0) {
		free(shadow);
		return r;
	}
	if (shadow)
		gr->shadow = shadow;
	return 0;
}

void held_add_locked(struct fs *fs, uint32_t group, uint32_t bit, uint32_t count, uint64_t seq)
{
	struct held *h = fs->held;

	fs->groups[group].nr_held += count;
	atomic_fetch_add(&h->blocks, count);
	pthread_mutex_lock(&h->lock);
	h->promised--;
	h->runs[(h->first + h->nr++) % h->max] = (struct held_run){seq, group, bit, count};
	if (h->nr == 1)
		atomic_store(&h->oldest_seq, seq);
	pthread_mutex_unlock(&h->lock);
}

void held_taken_locked(struct fs *fs, uint32_t group, uint32_t bit, uint32_t count)
{
	if (fs->groups[group].shadow)
		bitmap_set(fs->groups[group].shadow, bit, bit + count);
}

const uint8_t *held_map_locked(const struct fs *fs, uint32_t group, const uint8_t *map)
{
	const struct group *gr = &fs->groups[group];

	return gr->nr_held ? gr->shadow : map;
}

static bool pop(struct held *h, uint64_t durable_seq, struct held_run *ret)
{
	bool found;

	pthread_mutex_lock(&h->lock);
	found = h->nr && h->runs[h->first].seq <= durable_seq;
	if (found) {
		*ret = h->runs[h->first];
		h->first = (h->first + 1) % h->max;
		h->nr--;
		atomic_store(&h->oldest_seq, h->nr ? h->runs[h->first].seq : UINT64_MAX);
	}
	pthread_mutex_unlock(&h->lock);
	return found;
}

static void let_go(struct fs *fs, const struct held_run *run)
{
	struct group *gr = &fs->groups[run->group];

	pthread_mutex_lock(&gr->lock);
	bitmap_clear(gr->shadow, run->bit, run->bit + run->count);
	gr->nr_held -= run->count;
	if (!gr->nr_held) {
		free(gr->shadow);
		gr->shadow = NULL;
	}
	pthread_mutex_unlock(&gr->lock);
	atomic_fetch_sub(&fs->held->blocks, run->count);
	atomic_fetch_add(&fs->unreserved_blocks, run->count);
}

void held_release(struct fs *fs)
{
	struct held *h = fs->held;
	struct held_run run;
	uint64_t durable_seq;

	if (!fs->log)
		return;
	durable_seq = atomic_load(&fs->log->durable_seq);
	if (atomic_load(&h->oldest_seq) > durable_seq)
		return;
	while (pop(h, durable_seq, &run))
		let_go(fs, &run);
}

uint64_t held_blocks(const struct fs *fs)
{
	return atomic_load(&fs->held->blocks);
}
