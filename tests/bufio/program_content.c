/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each sector of a block tells which change made it (stamp) of which block (home), and what
 * follows is computed from these: so torn, stale and misplaced contents are told apart.
 */
#include <string.h>
#include "program.h"

#define SECTOR_WORDS 64u

static uint64_t word(uint64_t stamp, uint64_t home, uint64_t i)
{
	uint64_t x = (stamp << 20 ^ home << 10 ^ i) * UINT64_C(0x9e3779b97f4a7c15);

	return x ^ x >> 29;
}

void content_fill(const struct run *run, void *data, uint64_t stamp, uint64_t home)
{
	unsigned nr = run->p->block_bytes / 8;
	uint64_t *w = data;

	for (unsigned i = 0; i < nr; i++)
		w[i] = word(stamp, home, i);
	for (unsigned i = 0; i < nr; i += SECTOR_WORDS) {
		w[i] = stamp;
		w[i + 1] = home;
	}
}

static bool sector_is(const uint64_t *w, unsigned first, uint64_t stamp, uint64_t home)
{
	if (w[first] != stamp)
		return false;
	if (!stamp) {
		for (unsigned i = 0; i < SECTOR_WORDS; i++)
			if (w[first + i])
				return false;
		return true;
	}
	if (w[first + 1] != home)
		return false;
	for (unsigned i = 2; i < SECTOR_WORDS; i++)
		if (w[first + i] != word(stamp, home, first + i))
			return false;
	return true;
}

bool content_is(const struct run *run, const void *data, uint64_t stamp, uint64_t home)
{
	for (unsigned i = 0; i < run->p->block_bytes / 8; i += SECTOR_WORDS)
		if (!sector_is(data, i, stamp, home))
			return false;
	return true;
}

bool content_is_since(const struct run *run, const void *data, uint64_t stamp, uint64_t home)
{
	const uint64_t *w = data;

	for (unsigned i = 0; i < run->p->block_bytes / 8; i += SECTOR_WORDS)
		if (w[i] < stamp || !sector_is(w, i, w[i], home))
			return false;
	return true;
}

bool content_is_whole(const struct run *run, const void *data)
{
	const uint64_t *w = data;

	return content_is(run, data, w[0], w[1]);
}
