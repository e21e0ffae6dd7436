/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Group descriptors: all of them in memory, stored in their block with each change.  Many share
 * a block, each byte of it being guarded by its own group's lock.  Calls txn, meta and bufio.
 */
#include "group.h"
#include "meta.h"
#include "super.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t block_of(const struct geometry *g, uint32_t group)
{
	return 1 + group / g->groups_per_gdt_block;
}

static struct disk_group *slot_of(const struct geometry *g, uint32_t group, void *data)
{
	return (struct disk_group *)((uint8_t *)data + DISK_HEAD_BYTES) +
	       group % g->groups_per_gdt_block;
}

int group_modify_locked(struct txn *t, uint32_t group, struct bufio_buffer **ret_b)
{
	const struct geometry *g = &t->fs->geo;
	struct bufio_buffer *b;
	int r;

	*ret_b = NULL;
	r = meta_read(t->fs, block_of(g, group),
		      &(struct meta_expected){META_GDT, group / g->groups_per_gdt_block, NULL}, &b);
	if (r < 0)
		return r;
	r = txn_modify(t, b);
	if (r < 0) {
		bufio_release(b);
		return r;
	}
	*ret_b = b;
	return 0;
}

void group_put_locked(struct fs *fs, uint32_t group, struct bufio_buffer *b)
{
	const struct group *gr = &fs->groups[group];

	*slot_of(&fs->geo, group, bufio_data(b)) =
		(struct disk_group){.free_blocks = le32_make(gr->free_blocks),
				    .free_inodes = le32_make(gr->free_inodes),
				    .itable_mark = le32_make(gr->itable_mark),
				    .nr_dirs = le32_make(gr->nr_dirs),
				    .nr_orphans = le32_make(gr->nr_orphans),
				    .flags = le16_make(gr->flags)};
	bufio_release(b);
}

int group_modify_with_bitmap_locked(struct txn *t, uint32_t group, struct bufio_buffer *bitmap,
				    struct bufio_buffer **ret_gdt)
{
	int r;

	r = group_modify_locked(t, group, ret_gdt);
	if (r < 0)
		return r;
	r = txn_modify(t, bitmap);
	if (r < 0) {
		bufio_release(*ret_gdt);
		*ret_gdt = NULL;
	}
	return r;
}

/* Blocks that can be data: an upper bound for free_blocks. */
static uint32_t data_blocks(const struct geometry *g, uint32_t group)
{
	uint32_t nr = geo_group_blocks(g, group) - geo_fixed_blocks(g, group);

	return g->nr_groups == 1 ? nr - 1 : nr;
}

static int decode(const struct fs *fs, uint32_t group, const struct disk_group *d, struct group *gr)
{
	const struct geometry *g = &fs->geo;
	uint32_t used;

	gr->free_blocks = le32_get(d->free_blocks);
	gr->free_inodes = le32_get(d->free_inodes);
	gr->itable_mark = le32_get(d->itable_mark);
	gr->nr_dirs = le32_get(d->nr_dirs);
	gr->nr_orphans = le32_get(d->nr_orphans);
	gr->flags = le16_get(d->flags);
	if (gr->free_blocks > data_blocks(g, group) || gr->free_inodes > g->inodes_per_group ||
	    gr->itable_mark > g->inodes_per_group || gr->itable_mark % g->inodes_per_block)
		return -EUCLEAN;
	used = g->inodes_per_group - gr->free_inodes;
	if (used > gr->itable_mark || gr->nr_dirs > used || gr->nr_orphans > used)
		return -EUCLEAN;
	if (gr->flags & GROUP_INODES_UNINIT && used)
		return -EUCLEAN;
	return 0;
}

static int load_block(struct fs *fs, uint32_t index, uint64_t *free_blocks, uint64_t *free_inodes)
{
	const struct geometry *g = &fs->geo;
	uint32_t group = index * g->groups_per_gdt_block, nr = g->nr_groups - group;
	struct bufio_buffer *b;
	int r;

	r = meta_read(fs, 1 + (uint64_t)index, &(struct meta_expected){META_GDT, index, NULL}, &b);
	if (r < 0)
		return r;
	if (nr > g->groups_per_gdt_block)
		nr = g->groups_per_gdt_block;
	for (uint32_t i = 0; i < nr && r == 0; i++, group++) {
		r = decode(fs, group, slot_of(g, group, bufio_data(b)), &fs->groups[group]);
		*free_blocks += fs->groups[group].free_blocks;
		*free_inodes += fs->groups[group].free_inodes;
	}
	bufio_release(b);
	return r;
}

static int groups_alloc(struct fs *fs)
{
	size_t size = sizeof(struct group) * fs->geo.nr_groups;

	fs->groups = aligned_alloc(_Alignof(struct group), size);
	if (!fs->groups)
		return -ENOMEM;
	memset(fs->groups, 0, size);
	for (uint32_t i = 0; i < fs->geo.nr_groups; i++)
		pthread_mutex_init(&fs->groups[i].lock, NULL);
	return 0;
}

void groups_free(struct fs *fs)
{
	if (!fs->groups)
		return;
	for (uint32_t i = 0; i < fs->geo.nr_groups; i++) {
		pthread_mutex_destroy(&fs->groups[i].lock);
		free(fs->groups[i].shadow);
	}
	free(fs->groups);
	fs->groups = NULL;
}

/* For the nodes of maps, of a million blocks and more: what those of some hundred thousand extents take. */
#define MAX_NODES_KEPT 4096u

static uint64_t kept_blocks(const struct geometry *g)
{
	uint64_t nodes = g->nr_blocks / 50;

	return (nodes < MAX_NODES_KEPT ? nodes : MAX_NODES_KEPT) + TXN_KEPT_BLOCKS;
}

int groups_load(struct fs *fs)
{
	const struct geometry *g = &fs->geo;
	uint32_t nr = (g->nr_groups + g->groups_per_gdt_block - 1) / g->groups_per_gdt_block;
	uint64_t free_blocks = 0, free_inodes = 0;
	int r;

	r = groups_alloc(fs);
	if (r < 0)
		return r;
	bufio_prefetch(fs->bufio, 1, nr);
	for (uint32_t i = 0; i < nr && r == 0; i++)
		r = load_block(fs, i, &free_blocks, &free_inodes);
	if (r < 0) {
		groups_free(fs);
		return r;
	}
	atomic_store(&fs->free_blocks, free_blocks);
	atomic_store(&fs->unreserved_blocks, free_blocks);
	atomic_store(&fs->free_inodes, free_inodes);
	fs->kept_blocks = kept_blocks(g);
	return 0;
}
