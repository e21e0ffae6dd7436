/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an inode maps: the valid extents of its tail or tree, in memory; and the way back.  Judges
 * nothing, only counts what it had to leave out.
 */
#include "check_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void dir_make_empty(struct disk_inode *d)
{
	unsigned bytes = data_bytes_of(d);

	memset(d->tail, 0, bytes);
	if (bytes >= DIRENT_MIN) {
		struct disk_dirent *e = (struct disk_dirent *)d->tail;

		d->data_format = DATA_INLINE;
		d->size = le64_make(bytes);
		e->rec_len = le16_make((uint16_t)bytes);
	} else {
		d->data_format = DATA_NONE;
		d->size = le64_make(0);
	}
}

struct loader {
	struct check *c;
	struct map *map;
	uint64_t end; /* of the extents so far */
};

static int load_extent(void *context, const void *record)
{
	struct loader *l = context;
	struct disk_extent d;
	struct extent e;

	memcpy(&d, record, sizeof(d));
	if (extent_decode(&l->c->fs, &d, &e) < 0 || e.logical < l->end) {
		l->map->nr_bad++;
		return 0;
	}
	l->end = e.logical + e.count;
	return vec_push(&l->map->extents, sizeof(e), &e);
}

static int load_tail(struct loader *l, const struct disk_inode *d)
{
	unsigned nr = data_bytes_of(d) / sizeof(struct disk_extent);
	int r = 0;

	for (unsigned i = 0; i < nr && r == 0; i++) {
		struct disk_extent e;

		memcpy(&e, d->tail + i * sizeof(e), sizeof(e));
		if (le24_get(e.count) == 0)
			break;
		r = load_extent(l, &e);
	}
	return r;
}

static int load_tree(struct loader *l, uint64_t ino, const struct disk_inode *d)
{
	struct tree_walk w = {.c = l->c,
			      .kind = META_EXTENT,
			      .owner = ino,
			      .record = load_extent,
			      .context = l,
			      .nodes = &l->map->nodes};
	le64 root;
	int r;

	if (data_bytes_of(d) < sizeof(root)) {
		l->map->nr_bad++;
		return 0;
	}
	memcpy(&root, d->tail, sizeof(root));
	r = tree_walk(&w, le64_get(root));
	l->map->nr_bad += w.nr_bad;
	l->map->bad_block = w.bad_block;
	return r;
}

int map_load(struct check *c, uint64_t ino, const struct disk_inode *d, struct map *ret)
{
	struct loader l = {.c = c, .map = ret};
	int r = 0;

	*ret = (struct map){0};
	if (d->data_format == DATA_EXTENTS)
		r = load_tail(&l, d);
	else if (d->data_format == DATA_TREE)
		r = load_tree(&l, ino, d);
	if (r < 0)
		map_finish(ret);
	return r;
}

void map_finish(struct map *m)
{
	vec_free(&m->extents);
	vec_free(&m->nodes);
}

/* Extents that are no further apart are read together: what lies between is mostly nodes of the index. */
#define NEAR	 16u
#define MOST_RUN 256u

static uint64_t behind(const struct extent *e)
{
	return e->physical + e->count;
}

static bool is_near(const struct extent *e, const struct extent *next)
{
	return next->physical >= behind(e) && next->physical - behind(e) <= NEAR;
}

static void prefetch_run(struct check *c, uint64_t block, uint64_t end)
{
	uint64_t nr = end - block, left = c->fs.geo.nr_blocks - block;

	nr = nr < MOST_RUN ? nr : MOST_RUN;
	/* only a hint: what is wrong with a block shows where it is read */
	bufio_prefetch(c->fs.bufio, block, nr < left ? nr : left);
}

void map_prefetch(struct check *c, const struct map *m, bool has_index)
{
	const struct extent *e = m->extents.items;
	size_t nr = m->extents.nr, from = 0;

	for (size_t i = 0; i < nr; i++) {
		if (i + 1 < nr && is_near(&e[i], &e[i + 1]) &&
		    behind(&e[i + 1]) - e[from].physical <= MOST_RUN)
			continue;
		prefetch_run(c, e[from].physical, behind(&e[i]) + (has_index ? NEAR : 0));
		from = i + 1;
	}
}

bool map_is_dense(const struct map *m)
{
	const struct extent *e = m->extents.items;
	uint64_t next = 0;

	for (size_t i = 0; i < m->extents.nr; i++) {
		if (e[i].logical != next || e[i].unwritten)
			return false;
		next += e[i].count;
	}
	return true;
}

uint64_t map_blocks(const struct map *m)
{
	const struct extent *e = m->extents.items;
	uint64_t blocks = 0;

	for (size_t i = 0; i < m->extents.nr; i++)
		blocks += e[i].count;
	return blocks;
}

uint64_t map_cut(struct map *m, uint64_t nr_blocks, enum map_cut how)
{
	struct extent *e = m->extents.items;
	uint64_t cut = 0;
	size_t kept = 0;

	for (size_t i = 0; i < m->extents.nr; i++) {
		uint64_t over = e[i].logical + e[i].count;

		over = over > nr_blocks ? over - nr_blocks : 0;
		if (over > e[i].count)
			over = e[i].count;
		if (how == MAP_KEEP_UNWRITTEN && e[i].unwritten)
			over = 0;
		cut += over;
		e[i].count -= (uint32_t)over;
		if (e[i].count)
			e[kept++] = e[i];
	}
	m->extents.nr = kept;
	return cut;
}

void map_make_dense(struct map *m)
{
	struct extent *e = m->extents.items;
	uint64_t next = 0;
	size_t kept = 0;

	for (size_t i = 0; i < m->extents.nr; i++) {
		if (e[i].unwritten)
			continue;
		e[i].logical = next;
		next += e[i].count;
		e[kept++] = e[i];
	}
	m->extents.nr = kept;
}

uint64_t map_find(const struct map *m, uint64_t logical)
{
	const struct extent *e = m->extents.items;
	size_t low = 0, high = m->extents.nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (e[middle].logical + e[middle].count <= logical)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == m->extents.nr || e[low].logical > logical || e[low].unwritten)
		return 0;
	return e[low].physical + (logical - e[low].logical);
}

static int encode_extents(const struct map *m, struct vec *ret)
{
	const struct extent *e = m->extents.items;
	int r = 0;

	for (size_t i = 0; i < m->extents.nr && r == 0; i++) {
		struct disk_extent d = {
			.logical = le48_make(e[i].logical),
			.physical = le48_make(e[i].physical),
			.count = le24_make(e[i].count),
			.flags = e[i].unwritten ? EXTENT_UNWRITTEN : 0,
		};

		r = vec_push(ret, sizeof(d), &d);
	}
	return r;
}

int map_store(struct check *c, uint64_t ino, const struct map *m, struct disk_inode *d,
	      uint64_t *ret_nodes)
{
	unsigned bytes = data_bytes_of(d);
	struct new_tree tree = {.kind = META_EXTENT, .owner = ino};
	struct vec records = {0};
	int r = encode_extents(m, &records);

	if (r == 0 && records.nr * sizeof(struct disk_extent) <= bytes) {
		memset(d->tail, 0, bytes);
		d->data_format = records.nr ? DATA_EXTENTS : DATA_NONE;
		if (records.nr)
			memcpy(d->tail, records.items, records.nr * sizeof(struct disk_extent));
	} else if (r == 0 && bytes < sizeof(le64)) {
		r = -ENOSPC;
	} else if (r == 0) {
		r = tree_build(c, &records, &tree);
		if (r == 0) {
			le64 disk_root = le64_make(tree.root);

			memset(d->tail, 0, bytes);
			memcpy(d->tail, &disk_root, sizeof(disk_root));
			d->data_format = DATA_TREE;
		}
	}
	vec_free(&records);
	if (r == 0)
		*ret_nodes = tree.nr_blocks;
	return r;
}
