/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A set of block numbers: open addressing, never more than half full.  See log_live.h. */
#include "log_live.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define MIN_SLOTS 256u

void live_set_init(struct live_set *s)
{
	pthread_mutex_init(&s->lock, NULL);
}

void live_set_finish(struct live_set *s)
{
	pthread_mutex_destroy(&s->lock);
	free(s->slots);
}

/* The slot that has block, or where it would go. */
static uint64_t *slot_of(uint64_t *slots, size_t nr_slots, uint64_t block)
{
	size_t i = (size_t)((block + 1) * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (nr_slots - 1);

	while (slots[i] && slots[i] != block + 1)
		i = (i + 1) & (nr_slots - 1);
	return &slots[i];
}

static int grow(struct live_set *s, size_t nr_slots)
{
	uint64_t *slots = calloc(nr_slots, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < s->nr_slots; i++) {
		if (s->slots[i])
			*slot_of(slots, nr_slots, s->slots[i] - 1) = s->slots[i];
	}
	free(s->slots);
	s->slots = slots;
	s->nr_slots = nr_slots;
	return 0;
}

int live_set_reserve(struct live_set *s, size_t nr)
{
	size_t want;
	int r = 0;

	pthread_mutex_lock(&s->lock);
	want = s->nr_slots ? s->nr_slots : MIN_SLOTS;
	while (want < 2 * (s->nr + nr))
		want *= 2;
	if (want > s->nr_slots)
		r = grow(s, want);
	pthread_mutex_unlock(&s->lock);
	return r;
}

void live_set_add(struct live_set *s, uint64_t block)
{
	uint64_t *slot;

	pthread_mutex_lock(&s->lock);
	slot = slot_of(s->slots, s->nr_slots, block);
	if (!*slot)
		atomic_fetch_add(&s->nr, 1);
	*slot = block + 1;
	pthread_mutex_unlock(&s->lock);
}

bool live_set_has(struct live_set *s, uint64_t block)
{
	bool has;

	if (!atomic_load(&s->nr))
		return false;
	pthread_mutex_lock(&s->lock);
	has = s->nr && *slot_of(s->slots, s->nr_slots, block);
	pthread_mutex_unlock(&s->lock);
	return has;
}

void live_set_clear(struct live_set *s)
{
	pthread_mutex_lock(&s->lock);
	if (s->nr)
		memset(s->slots, 0, s->nr_slots * sizeof(*s->slots));
	atomic_store(&s->nr, 0);
	pthread_mutex_unlock(&s->lock);
}
