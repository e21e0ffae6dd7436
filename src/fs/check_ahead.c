/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading ahead for many at once: blocks that will be wanted are collected, put into the order of the disk and read with few
 * large reads, all under way together.  A hint: nothing is believed here, what there is no room or memory for is left out,
 * and an error shows where the block is read.
 */
#include "check_priv.h"

#include <stdlib.h>
#include <string.h>

/* To read so many blocks that nobody wants is cheaper than another read. */
#define GAP 4u

/* So far behind a directory's blocks those of its index are looked for. */
#define INDEX_NEAR 16u

struct span {
	uint64_t block, end;
};

void ahead_add(struct check *c, uint64_t block, uint64_t count)
{
	struct span s = {block, block};

	if (block >= c->fs.geo.nr_blocks)
		return;
	if (count > c->fs.geo.nr_blocks - block)
		count = c->fs.geo.nr_blocks - block;
	if (count > c->ahead_max - c->ahead_nr)
		count = c->ahead_max - c->ahead_nr;
	s.end += count;
	if (count && vec_push(&c->ahead, sizeof(s), &s) == 0)
		c->ahead_nr += (uint32_t)count;
}

static int cmp_span(const void *a, const void *b)
{
	uint64_t x = ((const struct span *)a)->block, y = ((const struct span *)b)->block;

	return x < y ? -1 : x > y;
}

void ahead_go(struct check *c)
{
	struct span *s = c->ahead.items;
	size_t nr = c->ahead.nr, next;

	if (nr > 1)
		qsort(s, nr, sizeof(*s), cmp_span);
	for (size_t i = 0; i < nr; i = next) {
		uint64_t end = s[i].end;

		for (next = i + 1; next < nr && s[next].block <= end + GAP; next++)
			end = s[next].end > end ? s[next].end : end;
		bufio_prefetch(c->fs.bufio, s[i].block, end - s[i].block);
	}
	c->ahead.nr = 0;
	c->ahead_nr = 0;
}

static void add_extents(struct check *c, const struct disk_inode *d, uint64_t behind)
{
	unsigned nr = data_bytes_of(d) / sizeof(struct disk_extent);

	for (unsigned i = 0; i < nr; i++) {
		struct disk_extent e;

		memcpy(&e, d->tail + i * sizeof(e), sizeof(e));
		if (le24_get(e.count) == 0)
			return;
		ahead_add(c, le48_get(e.physical), le24_get(e.count) + behind);
	}
}

static void add_root(struct check *c, const struct disk_inode *d)
{
	le64 root;

	if (data_bytes_of(d) < sizeof(root))
		return;
	memcpy(&root, d->tail, sizeof(root));
	ahead_add(c, le64_get(root), 1);
}

void ahead_dir(struct check *c, const struct disk_inode *d)
{
	uint64_t index = le64_get(d->special);

	if (d->data_format == DATA_TREE)
		add_root(c, d);
	if (d->data_format == DATA_EXTENTS)
		add_extents(c, d, index ? INDEX_NEAR : 0);
	if (index)
		ahead_add(c, index, 1);
}

void ahead_inode(struct check *c, const struct disk_inode *d)
{
	unsigned type = le16_get(d->mode) >> 12;

	if (type == DT_DIR && le64_get(d->special))
		ahead_dir(c, d);
	else if (d->data_format == DATA_TREE)
		add_root(c, d);
	else if (type == DT_LNK && d->data_format == DATA_EXTENTS)
		add_extents(c, d, 0);
	if (le64_get(d->xattr_block))
		ahead_add(c, le64_get(d->xattr_block), 1);
}

void ahead_bitmaps(struct check *c, uint32_t group, uint32_t nr)
{
	const struct geometry *g = &c->fs.geo;

	for (; nr && group < g->nr_groups; nr--, group++) {
		uint16_t flags = le16_get(c->groups[group].disk.flags);

		if (!(flags & GROUP_BLOCKS_UNINIT))
			ahead_add(c, geo_block_bitmap(g, group), 1);
		if (!(flags & GROUP_INODES_UNINIT))
			ahead_add(c, geo_inode_bitmap(g, group), 1);
	}
	ahead_go(c);
}
