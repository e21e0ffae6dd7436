/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bits in words of 64.  Calls nothing. */
#include "bitmap.h"

#include <endian.h>
#include <string.h>

static uint64_t word_at(const uint8_t *map, uint32_t word)
{
	uint64_t v;

	memcpy(&v, map + (size_t)word * 8, sizeof(v));
	return le64toh(v);
}

static void word_put(uint8_t *map, uint32_t word, uint64_t v)
{
	v = htole64(v);
	memcpy(map + (size_t)word * 8, &v, sizeof(v));
}

/* The bits of word that lie in [from, to). */
static uint64_t word_mask(uint32_t word, uint32_t from, uint32_t to)
{
	uint64_t mask = ~UINT64_C(0);

	if (from > word * 64)
		mask <<= from - word * 64;
	if (to - word * 64 < 64)
		mask &= (UINT64_C(1) << (to - word * 64)) - 1;
	return mask;
}

bool bitmap_test(const uint8_t *map, uint32_t bit)
{
	return map[bit / 8] >> bit % 8 & 1;
}

void bitmap_set(uint8_t *map, uint32_t from, uint32_t to)
{
	for (uint32_t w = from / 64; w * 64 < to; w++)
		word_put(map, w, word_at(map, w) | word_mask(w, from, to));
}

void bitmap_clear(uint8_t *map, uint32_t from, uint32_t to)
{
	for (uint32_t w = from / 64; w * 64 < to; w++)
		word_put(map, w, word_at(map, w) & ~word_mask(w, from, to));
}

/* invert: all ones, to look for zeroes. */
static uint32_t find(const uint8_t *map, uint32_t from, uint32_t to, uint64_t invert)
{
	uint64_t v;

	for (uint32_t w = from / 64; w * 64 < to && from < to; w++) {
		v = (word_at(map, w) ^ invert) & word_mask(w, from, to);
		if (v)
			return w * 64 + (uint32_t)__builtin_ctzll(v);
	}
	return to;
}

uint32_t bitmap_find_zero(const uint8_t *map, uint32_t from, uint32_t to)
{
	return find(map, from, to, ~UINT64_C(0));
}

uint32_t bitmap_find_one(const uint8_t *map, uint32_t from, uint32_t to)
{
	return find(map, from, to, 0);
}

uint32_t bitmap_count_zeros(const uint8_t *map, uint32_t nr_bits)
{
	uint32_t ones = 0;

	for (uint32_t w = 0; w * 64 < nr_bits; w++)
		ones += (uint32_t)__builtin_popcountll(word_at(map, w) & word_mask(w, 0, nr_bits));
	return nr_bits - ones;
}

void bitmap_init_blocks(const struct geometry *g, uint32_t group, uint8_t *map)
{
	uint32_t nr_bits = bitmap_nr_bits(g), nr_blocks = geo_group_blocks(g, group);
	uint32_t log = (uint32_t)(g->log_start % g->blocks_per_group);

	memset(map, 0, nr_bits / 8);
	bitmap_set(map, 0, geo_fixed_blocks(g, group));
	bitmap_set(map, nr_blocks, nr_bits);
	if (g->nr_groups == 1)
		bitmap_set(map, nr_blocks - 1, nr_blocks);
	if (g->log_blocks && geo_group_of_block(g, g->log_start) == group)
		bitmap_set(map, log, log + g->log_blocks);
}

void bitmap_init_inodes(const struct geometry *g, uint8_t *map)
{
	memset(map, 0, bitmap_nr_bits(g) / 8);
	bitmap_set(map, g->inodes_per_group, bitmap_nr_bits(g));
}
