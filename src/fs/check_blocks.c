/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which blocks are claimed, one bit each, for the groups where any is; and reading and writing of
 * metadata blocks and inodes without trusting them.  Calls bufio, meta and inode_disk's arithmetic.
 */
#include "check_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int vec_push(struct vec *v, size_t item_bytes, const void *item)
{
	if (v->nr == v->max) {
		size_t max = v->max ? v->max * 2 : 16;
		void *items = reallocarray(v->items, max, item_bytes);

		if (!items)
			return -ENOMEM;
		v->items = items;
		v->max = max;
	}
	memcpy((uint8_t *)v->items + v->nr * item_bytes, item, item_bytes);
	v->nr++;
	return 0;
}

void vec_free(struct vec *v)
{
	free(v->items);
	*v = (struct vec){0};
}

int block_read(struct check *c, uint64_t block, enum meta_kind kind, uint64_t owner,
	       struct bufio_buffer **ret_b)
{
	struct bufio_buffer *b;
	int r = bufio_read(c->fs.bufio, block, &b);

	if (r < 0)
		return r;
	r = meta_verify_raw(&c->fs, block, kind, owner, bufio_data(b));
	if (r < 0) {
		bufio_release(b);
		return r;
	}
	*ret_b = b;
	return 0;
}

void block_head(void *data, enum meta_kind kind, uint64_t block, uint64_t owner)
{
	struct disk_head *h = data;

	*h = (struct disk_head){
		.magic = le32_make(meta_magic(kind)),
		.block = le64_make(block),
		.owner = le64_make(owner),
	};
}

int block_new(struct check *c, uint64_t block, enum meta_kind kind, uint64_t owner,
	      struct bufio_buffer **ret_b)
{
	struct bufio_buffer *b;
	int r = bufio_new(c->fs.bufio, block, &b);

	if (r < 0)
		return r;
	memset(bufio_data(b), 0, c->fs.geo.block_bytes);
	if (meta_magic(kind))
		block_head(bufio_data(b), kind, block, owner);
	*ret_b = b;
	return 0;
}

void block_store(struct check *c, struct bufio_buffer *b)
{
	meta_stamp_raw(c->fs.crc_seed, c->fs.geo.block_bytes, bufio_data(b));
	bufio_mark_dirty(b);
	bufio_release(b);
}

static bool bit_get(const uint8_t *map, uint64_t i)
{
	return map[i / 8] >> i % 8 & 1;
}

/* The end of the run of bits like the one at from. */
static uint64_t bits_end(const uint8_t *map, uint64_t from, uint64_t end)
{
	bool set = bit_get(map, from);
	uint64_t same = set ? UINT64_MAX : 0, word;

	while (from < end && bit_get(map, from) == set) {
		if (from % 64 == 0 && from + 64 <= end) {
			memcpy(&word, map + from / 8, sizeof(word));
			if (word == same) {
				from += 64;
				continue;
			}
		}
		from++;
	}
	return from;
}

static void bits_fill(uint8_t *map, uint64_t from, uint64_t end, bool set)
{
	while (from < end) {
		if (from % 8 == 0 && from + 8 <= end) {
			memset(map + from / 8, set ? 0xff : 0, (end - from) / 8);
			from += (end - from) & ~UINT64_C(7);
		} else {
			map[from / 8] = (uint8_t)((map[from / 8] & ~(1u << from % 8)) |
						  (unsigned)set << from % 8);
			from++;
		}
	}
}

static unsigned map_bytes(const struct check *c)
{
	return c->fs.geo.block_bytes - DISK_HEAD_BYTES;
}

static void fill_trivial(const struct check *c, uint32_t group, uint8_t *map)
{
	const struct geometry *g = &c->fs.geo;

	bits_fill(map, 0, geo_fixed_blocks(g, group), true);
	bits_fill(map, geo_group_blocks(g, group), g->blocks_per_group, true);
}

uint8_t *claim_map(struct check *c, uint32_t group)
{
	struct check_group *cg = &c->groups[group];

	if (!cg->blocks) {
		cg->blocks = calloc(1, map_bytes(c));
		if (!cg->blocks)
			return NULL;
		fill_trivial(c, group, cg->blocks);
	}
	return cg->blocks;
}

bool claim_is_trivial(const struct check *c, uint32_t group)
{
	const struct geometry *g = &c->fs.geo;
	uint32_t fixed = geo_fixed_blocks(g, group), end = geo_group_blocks(g, group);
	const uint8_t *map = c->groups[group].blocks;

	if (!map || fixed >= end)
		return true;
	return !bit_get(map, fixed) && bits_end(map, fixed, end) == end;
}

int64_t claim_run(struct check *c, uint64_t block, uint64_t count, bool *ret_taken)
{
	const struct geometry *g = &c->fs.geo;
	uint32_t group = geo_group_of_block(g, block);
	uint64_t from = block - geo_group_start(g, group), end = from + count;
	uint8_t *map = claim_map(c, group);

	if (!map)
		return -ENOMEM;
	if (end > g->blocks_per_group)
		end = g->blocks_per_group;
	*ret_taken = bit_get(map, from);
	end = bits_end(map, from, end);
	bits_fill(map, from, end, true);
	return (int64_t)(end - from);
}

int claim_is_taken(struct check *c, uint64_t block)
{
	const struct geometry *g = &c->fs.geo;
	uint32_t group = geo_group_of_block(g, block);
	uint8_t *map = claim_map(c, group);

	return map ? bit_get(map, block - geo_group_start(g, group)) : -ENOMEM;
}

int claim_free(struct check *c, uint64_t block, uint64_t count)
{
	const struct geometry *g = &c->fs.geo;

	while (count) {
		uint32_t group = geo_group_of_block(g, block);
		uint64_t from = block - geo_group_start(g, group), end = from + count;
		uint8_t *map = claim_map(c, group);

		if (!map)
			return -ENOMEM;
		if (end > g->blocks_per_group)
			end = g->blocks_per_group;
		bits_fill(map, from, end, false);
		count -= end - from;
		block += end - from;
	}
	return 0;
}

/* What no inode owns but is in use: the log, and the superblock copy of a single group. */
int claim_init(struct check *c)
{
	const struct geometry *g = &c->fs.geo;
	uint64_t left = g->log_blocks;
	bool taken;

	if (g->nr_groups == 1 && claim_run(c, geo_super_copy(g), 1, &taken) < 0)
		return -ENOMEM;
	while (left) {
		int64_t n = claim_run(c, g->log_start + g->log_blocks - left, left, &taken);

		if (n < 0)
			return -ENOMEM;
		left -= (uint64_t)n;
	}
	return 0;
}

static int alloc_in(struct check *c, uint32_t group, uint32_t from, uint64_t *ret_block)
{
	const struct geometry *g = &c->fs.geo;
	uint8_t *map = claim_map(c, group);
	uint64_t at = from;

	if (!map)
		return -ENOMEM;
	if (at < g->blocks_per_group && bit_get(map, at))
		at = bits_end(map, at, g->blocks_per_group);
	if (at >= g->blocks_per_group)
		return -ENOSPC;
	bits_fill(map, at, at + 1, true);
	c->alloc_group = group;
	c->alloc_index = (uint32_t)at + 1;
	*ret_block = geo_group_start(g, group) + at;
	return 0;
}

int claim_alloc(struct check *c, uint64_t goal, uint64_t *ret_block)
{
	const struct geometry *g = &c->fs.geo;
	uint32_t group = geo_group_of_block(g, goal);
	int r;

	if (!check_all_mended(c))
		return -EBUSY;
	r = alloc_in(c, group, (uint32_t)(goal - geo_group_start(g, group)), ret_block);
	if (r != -ENOSPC)
		return r;
	r = alloc_in(c, c->alloc_group, c->alloc_index, ret_block);
	for (uint32_t i = 0; r == -ENOSPC && i < g->nr_groups; i++)
		r = alloc_in(c, (c->alloc_group + 1 + i) % g->nr_groups, 0, ret_block);
	return r;
}

struct note *note_of(struct check *c, uint64_t ino)
{
	const struct geometry *g = &c->fs.geo;
	struct check_group *cg;

	if (ino == 0 || ino > geo_nr_inodes(g))
		return NULL;
	cg = &c->groups[geo_group_of_ino(g, ino)];
	if (!cg->notes || geo_index_of_ino(g, ino) >= cg->itable_mark)
		return NULL;
	return &cg->notes[geo_index_of_ino(g, ino)];
}

bool inode_crc_is_good(const struct check *c, uint64_t ino, const struct disk_inode *d)
{
	return le32_get(d->crc) == inode_crc(&c->fs, ino, d);
}

void inode_stamp(const struct check *c, uint64_t ino, struct disk_inode *d)
{
	d->crc = le32_make(inode_crc(&c->fs, ino, d));
}

int inode_load(struct check *c, uint64_t ino, struct disk_inode *ret)
{
	struct bufio_buffer *b;
	int r = bufio_read(c->fs.bufio, geo_inode_block(&c->fs.geo, ino), &b);

	if (r < 0)
		return r;
	memcpy(ret, (uint8_t *)bufio_data(b) + geo_inode_offset(&c->fs.geo, ino), sizeof(*ret));
	bufio_release(b);
	return 0;
}

int inode_save(struct check *c, uint64_t ino, struct disk_inode *d)
{
	struct bufio_buffer *b;
	int r = bufio_read(c->fs.bufio, geo_inode_block(&c->fs.geo, ino), &b);

	if (r < 0)
		return r;
	inode_stamp(c, ino, d);
	memcpy((uint8_t *)bufio_data(b) + geo_inode_offset(&c->fs.geo, ino), d, sizeof(*d));
	bufio_mark_dirty(b);
	bufio_release(b);
	return 0;
}

void inode_clear(struct disk_inode *d)
{
	*d = (struct disk_inode){.generation = d->generation};
}
