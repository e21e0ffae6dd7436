/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A hash with open addressing: a number is in the first free slot from its own on.  It grows by half, not to
 * double, for memory is what it is for, and shrinks when most of it is empty.  Calls only libc.
 */
#include "known.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#define FIRST_SLOTS 64u

/* Multiplied into the range: the number of slots need not be a power of two. */
static size_t home_of(const struct known *k, uint64_t ino)
{
	uint64_t mixed = (ino ^ ino >> 29) * UINT64_C(0xbf58476d1ce4e5b9);

	return (size_t)(((mixed ^ mixed >> 32) & UINT32_MAX) * k->nr_slots >> 32);
}

static size_t next_of(const struct known *k, size_t i)
{
	return i + 1 == k->nr_slots ? 0 : i + 1;
}

static uint64_t ino_of(const struct known_slot *slot)
{
	return (uint64_t)slot->ino_high << 32 | slot->ino_low;
}

/* Its slot, or the empty one where it would be.  There is always an empty one. */
static struct known_slot *find(const struct known *k, uint64_t ino)
{
	size_t i = home_of(k, ino);

	while (k->slots[i].nr && ino_of(&k->slots[i]) != ino)
		i = next_of(k, i);
	return &k->slots[i];
}

static int resize(struct known *k, size_t nr_slots)
{
	struct known larger = {.nr_slots = nr_slots, .nr_used = k->nr_used};

	larger.slots = calloc(nr_slots, sizeof(*larger.slots));
	if (!larger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < k->nr_slots; i++)
		if (k->slots[i].nr)
			*find(&larger, ino_of(&k->slots[i])) = k->slots[i];
	free(k->slots);
	*k = larger;
	return 0;
}

int known_add(struct known *k, uint64_t ino, uint32_t nr)
{
	size_t larger = k->nr_slots ? k->nr_slots + k->nr_slots / 2 : FIRST_SLOTS;
	int r = 0;

	if (k->nr_used + 1 > k->nr_slots / 5 * 4)
		r = resize(k, larger);
	if (r < 0)
		return r;
	*find(k, ino) = (struct known_slot){
		.ino_low = (uint32_t)ino, .ino_high = (uint32_t)(ino >> 32), .nr = nr};
	k->nr_used++;
	return 0;
}

uint32_t known_count(const struct known *k, uint64_t ino)
{
	return k->nr_slots ? find(k, ino)->nr : 0;
}

/* Is i in the cyclic range (from, to]? */
static bool is_between(size_t i, size_t from, size_t to)
{
	return from <= to ? from < i && i <= to : from < i || i <= to;
}

/* Empty slot i, and close the gap: what would not be found behind it moves into it. */
static void empty_slot(struct known *k, size_t i)
{
	for (size_t j = next_of(k, i); k->slots[j].nr; j = next_of(k, j)) {
		if (is_between(home_of(k, ino_of(&k->slots[j])), i, j))
			continue;
		k->slots[i] = k->slots[j];
		i = j;
	}
	k->slots[i].nr = 0;
	k->nr_used--;
}

void known_drop(struct known *k, uint64_t ino, uint64_t nr)
{
	struct known_slot *slot = k->nr_slots ? find(k, ino) : NULL;

	if (!slot || !slot->nr)
		return;
	if (slot->nr > nr) {
		slot->nr -= (uint32_t)nr;
		return;
	}
	empty_slot(k, (size_t)(slot - k->slots));
	/* without memory for a smaller one, the large one goes on */
	if (k->nr_slots > FIRST_SLOTS && k->nr_used < k->nr_slots / 4)
		(void)resize(k, k->nr_slots / 2);
}

void known_finish(struct known *k)
{
	free(k->slots);
	*k = (struct known){0};
}
