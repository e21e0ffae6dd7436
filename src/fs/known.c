/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A hash with open addressing: a key is in the first free slot from its own on.  It grows by half, not to
 * double, for memory is what it is for, and shrinks when most of it is empty.  Calls only libc.
 */
#include "known.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_SLOTS 16u
#define NAMELESS    0x8000u

static uint64_t key_of(uint64_t ino)
{
	return ino / KNOWN_PER_SLOT + 1;
}

/* Multiplied into the range: the number of slots need not be a power of two. */
static size_t home_of(const struct known *k, uint64_t key)
{
	uint64_t mixed = (key ^ key >> 29) * UINT64_C(0xbf58476d1ce4e5b9);

	return (size_t)(((mixed ^ mixed >> 32) & UINT32_MAX) * k->nr_slots >> 32);
}

static size_t next_of(const struct known *k, size_t i)
{
	return i + 1 == k->nr_slots ? 0 : i + 1;
}

/* Its slot, or the empty one where it would be.  There is always an empty one. */
static struct known_slot *find(const struct known *k, uint64_t key)
{
	size_t i = home_of(k, key);

	while (k->slots[i].key && k->slots[i].key != key)
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
		if (k->slots[i].key)
			*find(&larger, k->slots[i].key) = k->slots[i];
	free(k->slots);
	*k = larger;
	return 0;
}

/* Room for one slot more. */
static int make_room(struct known *k)
{
	if (k->nr_used + 1 <= k->nr_slots / 5 * 4)
		return 0;
	return resize(k, k->nr_slots ? k->nr_slots + k->nr_slots / 2 : FIRST_SLOTS);
}

int known_add(struct known *k, uint64_t ino, uint32_t nr, bool nameless)
{
	struct known_slot *slot;
	int r;

	r = make_room(k);
	if (r < 0)
		return r;
	slot = find(k, key_of(ino));
	if (!slot->key) {
		slot->key = key_of(ino);
		k->nr_used++;
	}
	slot->counts[ino % KNOWN_PER_SLOT] = (uint16_t)(nr | (nameless ? NAMELESS : 0));
	return 0;
}

static unsigned value_of(const struct known *k, uint64_t ino)
{
	return k->nr_slots ? find(k, key_of(ino))->counts[ino % KNOWN_PER_SLOT] : 0;
}

uint32_t known_count(const struct known *k, uint64_t ino)
{
	return value_of(k, ino) & ~NAMELESS;
}

bool known_is_nameless(const struct known *k, uint64_t ino)
{
	return value_of(k, ino) & NAMELESS;
}

/* Is i in the cyclic range (from, to]? */
static bool is_between(size_t i, size_t from, size_t to)
{
	return from <= to ? from < i && i <= to : from < i || i <= to;
}

/* Empty slot i, and close the gap: what would not be found behind it moves into it. */
static void empty_slot(struct known *k, size_t i)
{
	for (size_t j = next_of(k, i); k->slots[j].key; j = next_of(k, j)) {
		if (is_between(home_of(k, k->slots[j].key), i, j))
			continue;
		k->slots[i] = k->slots[j];
		i = j;
	}
	k->slots[i] = (struct known_slot){0};
	k->nr_used--;
}

static bool is_unused(const struct known_slot *slot)
{
	for (unsigned i = 0; i < KNOWN_PER_SLOT; i++)
		if (slot->counts[i])
			return false;
	return true;
}

void known_drop(struct known *k, uint64_t ino, uint64_t nr)
{
	uint32_t count = known_count(k, ino);
	struct known_slot *slot;

	if (!count)
		return;
	slot = find(k, key_of(ino));
	if (count > nr) {
		slot->counts[ino % KNOWN_PER_SLOT] -= (uint16_t)nr;
		return;
	}
	slot->counts[ino % KNOWN_PER_SLOT] = 0;
	if (!is_unused(slot))
		return;
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
