/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See seen.h. */
#include "seen.h"

#include <check.h>
#include <stdlib.h>
#include <xxhash.h>

#include "super.h"

#define MIN_SLOTS 256u

static int compare_ranges(const void *a, const void *b)
{
	const struct seen_range *x = a, *y = b;

	return (x->from > y->from) - (x->from < y->from);
}

/* What overlaps or touches becomes one. */
static void merge(struct seen *s)
{
	size_t nr = 0;

	qsort(s->ranges, s->nr_ranges, sizeof(*s->ranges), compare_ranges);
	for (size_t i = 0; i < s->nr_ranges; i++) {
		struct seen_range x = s->ranges[i];

		if (!nr || x.from > s->ranges[nr - 1].to)
			s->ranges[nr++] = x;
		else if (x.to > s->ranges[nr - 1].to)
			s->ranges[nr - 1].to = x.to;
	}
	s->nr_ranges = nr;
}

static void *no_null(void *p)
{
	if (!p)
		ck_abort_msg("no memory");
	return p;
}

void seen_init(struct seen *s, struct bufio_engine *record)
{
	size_t nr = bufio_engine_record_count(record);

	*s = (struct seen){.nr_slots = MIN_SLOTS};
	s->slots = no_null(calloc(s->nr_slots, sizeof(*s->slots)));
	s->ranges = no_null(calloc(nr + 1, sizeof(*s->ranges)));
	for (size_t i = 0; i < nr; i++) {
		const struct bufio_record_entry *e = bufio_engine_record_get(record, i);

		if (e->kind == BUFIO_RECORD_WRITE || e->kind == BUFIO_RECORD_DISCARD)
			s->ranges[s->nr_ranges++] = (struct seen_range){
				e->offset_bytes, e->offset_bytes + e->size_bytes};
	}
	merge(s);
}

void seen_finish(struct seen *s)
{
	free(s->ranges);
	free(s->slots);
}

static void hash_range(XXH3_state_t *state, struct bufio_engine *e, struct seen_range x)
{
	uint8_t data[16 << 10];

	while (x.from < x.to) {
		uint64_t left = x.to - x.from;
		size_t n = left < sizeof(data) ? (size_t)left : sizeof(data);

		if (super_transfer(e, BUFIO_OP_READ, x.from, data, n) < 0)
			ck_abort_msg("an image cannot be read");
		XXH3_128bits_update(state, data, n);
		x.from += n;
	}
}

static struct seen_image image_of(const struct seen *s, struct bufio_engine *e, uint64_t expected)
{
	XXH3_state_t *state = no_null(XXH3_createState());
	XXH128_hash_t h;

	XXH3_128bits_reset_withSeed(state, expected);
	for (size_t i = 0; i < s->nr_ranges; i++)
		hash_range(state, e, s->ranges[i]);
	h = XXH3_128bits_digest(state);
	XXH3_freeState(state);
	return (struct seen_image){h.low64 | 1, h.high64};
}

/* Where it is, or the empty slot it belongs to. */
static struct seen_image *slot_of(const struct seen *s, struct seen_image x)
{
	size_t i = (size_t)x.high & (s->nr_slots - 1);

	while (s->slots[i].low && (s->slots[i].low != x.low || s->slots[i].high != x.high))
		i = (i + 1) & (s->nr_slots - 1);
	return &s->slots[i];
}

static void grow(struct seen *s)
{
	struct seen more = *s;

	more.nr_slots *= 2;
	more.slots = no_null(calloc(more.nr_slots, sizeof(*more.slots)));
	for (size_t i = 0; i < s->nr_slots; i++)
		if (s->slots[i].low)
			*slot_of(&more, s->slots[i]) = s->slots[i];
	free(s->slots);
	*s = more;
}

bool seen_first(struct seen *s, struct bufio_engine *image, uint64_t expected)
{
	struct seen_image x = image_of(s, image, expected), *slot;

	if (2 * (s->nr + 1) > s->nr_slots)
		grow(s);
	slot = slot_of(s, x);
	if (slot->low)
		return false;
	*slot = x;
	s->nr++;
	return true;
}
