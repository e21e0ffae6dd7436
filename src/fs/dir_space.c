/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a directory is known to have room for a name, in memory only.  Filled by what adds and
 * removes see; what is not known is not looked for, so that no operation reads all blocks.
 *
 * A tree of maxima in an array: node i has the children 2i and 2i + 1, the leaves are the blocks.  So
 * finding the first block with enough room takes a step per level.  Calls nothing.
 */
#include "dir_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SPACE_MIN_BLOCKS 8u

struct dir_cache {
	uint32_t nr_leaves; /* a power of two */
	uint16_t room[];    /* in units of 4 bytes; 2 * nr_leaves, [0] is not used */
};

static struct dir_cache *space_create(uint32_t nr_leaves)
{
	struct dir_cache *c = calloc(1, sizeof(*c) + 2 * (size_t)nr_leaves * sizeof(c->room[0]));

	if (c)
		c->nr_leaves = nr_leaves;
	return c;
}

static void space_set(struct dir_cache *c, uint32_t block, uint16_t room)
{
	uint32_t i = c->nr_leaves + block;

	c->room[i] = room;
	while (i > 1) {
		i /= 2;
		room = c->room[2 * i];
		if (c->room[2 * i + 1] > room)
			room = c->room[2 * i + 1];
		if (c->room[i] == room)
			break;
		c->room[i] = room;
	}
}

/* Room for this block in the array; false if there is no memory. */
static bool space_reach(struct inode *dir, uint64_t block)
{
	struct dir_cache *c = dir->dir_cache, *larger;
	uint32_t nr_leaves = c ? c->nr_leaves : SPACE_MIN_BLOCKS;

	if (c && block < c->nr_leaves)
		return true;
	while (nr_leaves <= block)
		nr_leaves *= 2;
	larger = space_create(nr_leaves);
	if (!larger)
		return false;
	for (uint32_t i = 0; c && i < c->nr_leaves; i++) {
		if (c->room[c->nr_leaves + i])
			space_set(larger, i, c->room[c->nr_leaves + i]);
	}
	free(c);
	dir->dir_cache = larger;
	return true;
}

void space_note(struct inode *dir, uint64_t block, unsigned room)
{
	struct dir_cache *c = dir->dir_cache;

	if (room == 0 && (!c || block >= c->nr_leaves))
		return;
	if (block < DIR_MAX_BYTES / FORMAT_MIN_BLOCK_BYTES && space_reach(dir, block))
		space_set(dir->dir_cache, (uint32_t)block, (uint16_t)(room / 4));
}

unsigned space_known(const struct inode *dir, uint64_t block)
{
	const struct dir_cache *c = dir->dir_cache;

	return c && block < c->nr_leaves ? c->room[c->nr_leaves + block] * 4u : 0;
}

int space_find(const struct inode *dir, unsigned bytes, uint64_t *ret_block)
{
	const struct dir_cache *c = dir->dir_cache;
	unsigned want = bytes / 4;
	uint32_t i = 1;

	if (!c || c->room[1] < want)
		return -ENOENT;
	while (i < c->nr_leaves) {
		i *= 2;
		if (c->room[i] < want)
			i++;
	}
	*ret_block = i - c->nr_leaves;
	return 0;
}

void dir_cache_free(struct inode *dir)
{
	free(dir->dir_cache);
	dir->dir_cache = NULL;
}
