/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pass 0: the group descriptors, of which only itable_mark matters before pass 5: all else follows
 * from the inodes.  Where a mark cannot be believed, the table is searched for
 * inodes with a good crc.
 */
#include "check_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The first block of inodes that were never written, from mark on: after the last block with a good inode. */
static int search_mark(struct check *c, uint32_t group, uint32_t mark, uint32_t *ret_mark)
{
	const struct geometry *g = &c->fs.geo;
	uint64_t first_ino = (uint64_t)group * g->inodes_per_group + 1;
	uint32_t found = mark;

	bufio_prefetch(c->fs.bufio, geo_itable(g, group), g->itable_blocks);
	for (uint32_t i = mark; i < g->inodes_per_group; i += g->inodes_per_block) {
		const struct disk_inode *d;
		struct bufio_buffer *b;
		int r = bufio_read(c->fs.bufio, geo_inode_block(g, first_ino + i), &b);

		if (r < 0)
			return r;
		d = bufio_data(b);
		for (uint32_t k = 0; k < g->inodes_per_block; k++) {
			if (!is_all_zero(&d[k], sizeof(d[k])) &&
			    inode_crc_is_good(c, first_ino + i + k, &d[k]))
				found = i + g->inodes_per_block;
		}
		bufio_release(b);
	}
	*ret_mark = found;
	return 0;
}

static bool mark_is_possible(const struct geometry *g, uint32_t mark)
{
	return mark <= g->inodes_per_group && mark % g->inodes_per_block == 0;
}

/* Does the bitmap know an inode behind the mark? */
static int bitmap_is_ahead(struct check *c, uint32_t group, uint32_t mark)
{
	struct bufio_buffer *b;
	const uint8_t *bits;
	bool ahead = false;
	int r;

	r = block_read(c, geo_inode_bitmap(&c->fs.geo, group), META_INODE_BITMAP, group, &b);
	if (r < 0)
		return r == -EUCLEAN ? 1 : r;
	bits = (const uint8_t *)bufio_data(b) + DISK_HEAD_BYTES;
	for (uint32_t i = mark; i < c->fs.geo.inodes_per_group && !ahead; i++)
		ahead = bits[i / 8] >> i % 8 & 1;
	bufio_release(b);
	return ahead;
}

static int check_mark(struct check *c, uint32_t group)
{
	struct check_group *cg = &c->groups[group];
	uint32_t mark = le32_get(cg->disk.itable_mark), found = mark;
	bool uninit = le16_get(cg->disk.flags) & GROUP_INODES_UNINIT;
	int r = 1;

	if (cg->lost || !mark_is_possible(&c->fs.geo, mark))
		mark = 0;
	else if (uninit || mark == c->fs.geo.inodes_per_group)
		r = 0;
	else
		r = bitmap_is_ahead(c, group, mark);
	if (r > 0)
		r = search_mark(c, group, mark, &found);
	if (r < 0)
		return r;
	if (group == 0 && found == 0)
		found = c->fs.geo.inodes_per_block;
	cg->itable_mark = found;
	if (!cg->lost && found != le32_get(cg->disk.itable_mark))
		problem(c, FIX_SAFE, "group-itable-mark", (struct at){0},
			"group %u: %u inodes of the table are marked as written, should be %u",
			group, le32_get(cg->disk.itable_mark), found);
	return 0;
}

static int load_gdt_block(struct check *c, uint32_t index)
{
	const struct geometry *g = &c->fs.geo;
	uint32_t first = index * g->groups_per_gdt_block, nr = g->nr_groups - first;
	const struct disk_group *d;
	struct bufio_buffer *b;
	int r;

	if (nr > g->groups_per_gdt_block)
		nr = g->groups_per_gdt_block;
	r = block_read(c, 1 + index, META_GDT, index, &b);
	if (r == -EUCLEAN) {
		problem(c, FIX_SAFE, "gdt-bad", (struct at){.block = 1 + index},
			"block %u of group descriptors (groups %u to %u) is bad", 1 + index, first,
			first + nr - 1);
		for (uint32_t i = 0; i < nr; i++)
			c->groups[first + i].lost = true;
		return 0;
	}
	if (r < 0)
		return r;
	d = (const struct disk_group *)((const uint8_t *)bufio_data(b) + DISK_HEAD_BYTES);
	for (uint32_t i = 0; i < nr; i++)
		c->groups[first + i].disk = d[i];
	bufio_release(b);
	return 0;
}

/* Spare descriptor blocks are written by mkfs too, but nothing stands in them. */
int check_groups_open(struct check *c)
{
	const struct geometry *g = &c->fs.geo;
	int r = 0;

	c->groups = calloc(g->nr_groups, sizeof(*c->groups));
	if (!c->groups)
		return -ENOMEM;
	for (uint32_t i = 0; (uint64_t)i * g->groups_per_gdt_block < g->nr_groups && r == 0; i++)
		r = load_gdt_block(c, i);
	for (uint32_t i = 0; i < g->nr_groups && r == 0; i++) {
		if (i % AHEAD_GROUPS == 0)
			ahead_bitmaps(c, i, AHEAD_GROUPS);
		r = check_mark(c, i);
	}
	return r;
}
