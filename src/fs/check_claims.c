/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pass 1: an inode claims its blocks, data runs one by one, other blocks all or none.  Who comes
 * second has a problem: data is copied in pass 1b, a tree is written anew, the rest goes.
 */
#include "check_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

static int claim_extent(struct scan *s, const struct extent *e)
{
	struct check *c = s->c;

	for (uint64_t done = 0; done < e->count;) {
		uint64_t block = e->physical + done;
		struct dup dup = {e->logical + done, block, 0};
		bool taken;
		int64_t n = claim_run(c, block, e->count - done, &taken);

		if (n < 0)
			return (int)n;
		done += (uint64_t)n;
		dup.count = (uint64_t)n;
		if (!taken)
			continue;
		if (!problem(c, FIX_LOSSY, "block-claimed-twice", (struct at){s->ino, block},
			     "inode %" PRIu64 ": %" PRIi64 " blocks from %" PRIu64
			     " on are in use elsewhere; copied",
			     s->ino, n, block))
			continue;
		s->remap = true;
		if (vec_push(&c->dups, sizeof(dup), &dup) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int claim_blocks(struct scan *s, const struct vec *blocks)
{
	const uint64_t *block = blocks->items;
	int64_t n = 0;
	bool taken;

	for (size_t i = 0; i < blocks->nr && n >= 0; i++)
		n = claim_run(s->c, block[i], 1, &taken);
	return n < 0 ? (int)n : 0;
}

static int cmp_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Is one of them taken, or there twice? */
static int blocks_are_taken(struct check *c, const struct vec *blocks, uint64_t *ret_block)
{
	struct vec sorted = {0};
	const uint64_t *block;
	int r = 0;

	for (size_t i = 0; i < blocks->nr && r == 0; i++)
		r = vec_push(&sorted, sizeof(*block), (uint64_t *)blocks->items + i);
	if (r == 0 && sorted.nr)
		qsort(sorted.items, sorted.nr, sizeof(*block), cmp_u64);
	block = sorted.items;
	for (size_t i = 0; i < sorted.nr && r == 0; i++) {
		r = i && block[i] == block[i - 1] ? 1 : claim_is_taken(c, block[i]);
		if (r == 1)
			*ret_block = block[i];
	}
	vec_free(&sorted);
	return r;
}

/* The nodes of a tree that is written anew are kept from others until that is done, then freed. */
static int claim_old_nodes(struct scan *s)
{
	const uint64_t *block = s->map.nodes.items;
	int r = 0;

	for (size_t i = 0; i < s->map.nodes.nr && r >= 0; i++) {
		bool taken;

		r = (int)claim_run(s->c, block[i], 1, &taken);
		if (r >= 0 && !taken)
			r = vec_push(&s->c->freed, sizeof(*block), &block[i]);
	}
	return r < 0 ? r : 0;
}

static int claim_nodes(struct scan *s)
{
	uint64_t block = 0;
	int r = 0;

	if (!s->remap)
		r = blocks_are_taken(s->c, &s->map.nodes, &block);
	if (r > 0 && problem(s->c, FIX_LOSSY, "block-claimed-twice", (struct at){s->ino, block},
			     "inode %" PRIu64 ": block %" PRIu64
			     " of its extent tree is in use elsewhere; the tree is written anew",
			     s->ino, block))
		s->remap = true;
	if (r < 0)
		return r;
	return s->remap ? claim_old_nodes(s) : claim_blocks(s, &s->map.nodes);
}

/* Index and attributes: they go if they are in conflict; the index can be made again. */
static int claim_others(struct scan *s)
{
	uint64_t block = 0;
	int r = blocks_are_taken(s->c, &s->others, &block);

	if (r > 0 && problem(s->c, FIX_LOSSY, "block-claimed-twice", (struct at){s->ino, block},
			     "inode %" PRIu64 ": block %" PRIu64
			     " of its index or attributes is in use elsewhere; they are dropped",
			     s->ino, block)) {
		s->changed = true;
		attrs_drop(&s->d);
		if (le16_get(s->d.mode) >> 12 == DT_DIR) {
			s->d.special = le64_make(0);
			s->reindex = true;
		}
		s->others.nr = 0;
	}
	return r < 0 ? r : claim_blocks(s, &s->others);
}

int scan_claim(struct scan *s)
{
	const struct extent *e = s->map.extents.items;
	int r = 0;

	for (size_t i = 0; i < s->map.extents.nr && r == 0; i++)
		r = claim_extent(s, &e[i]);
	if (r == 0)
		r = claim_nodes(s);
	if (r == 0)
		r = claim_others(s);
	return r;
}
