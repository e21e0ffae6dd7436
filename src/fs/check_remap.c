/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pass 1b: mappings that pass 1 found damaged are collected again, cut, freed of blocks that are
 * another's, and written anew.  Now all blocks in use are known, so there are free ones to take.
 */
#include "check_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static unsigned type_of(const struct disk_inode *d)
{
	return le16_get(d->mode) >> 12;
}

/* A block of a directory or symlink knows where it is; a bad one stays bad. */
static void copy_head(struct check *c, const struct remap *m, unsigned type, uint64_t from,
		      uint8_t *data)
{
	enum meta_kind kind = type == DT_DIR ? META_DIR : META_SYMLINK;
	struct disk_head *h = (struct disk_head *)data;
	uint64_t to = le64_get(h->block);

	if (type == DT_REG)
		return;
	h->block = le64_make(from);
	if (meta_verify_raw(&c->fs, from, kind, m->ino, data) < 0)
		return;
	h->block = le64_make(to);
	meta_stamp_raw(c->fs.crc_seed, c->fs.geo.block_bytes, data);
}

static int copy_block(struct check *c, const struct remap *m, unsigned type, uint64_t from,
		      uint64_t *ret_to)
{
	struct bufio_buffer *source, *b;
	uint64_t to;
	int r;

	r = claim_alloc(c, from, &to);
	if (r < 0)
		return r;
	r = bufio_read(c->fs.bufio, from, &source);
	if (r == 0) {
		r = block_new(c, to, META_DATA, 0, &b);
		if (r == 0) {
			memcpy(bufio_data(b), bufio_data(source), c->fs.geo.block_bytes);
			if (type != DT_REG) {
				((struct disk_head *)bufio_data(b))->block = le64_make(to);
				copy_head(c, m, type, from, bufio_data(b));
			}
			bufio_mark_dirty(b);
			bufio_release(b);
		}
		bufio_release(source);
	}
	if (r < 0)
		claim_free(c, to, 1);
	else
		*ret_to = to;
	return r;
}

/* Add one block to the end of a map, merged if it can be. */
static int append(struct map *m, uint64_t logical, uint64_t physical, bool unwritten)
{
	struct extent *extents = m->extents.items, *last = NULL;
	struct extent e = {logical, physical, 1, unwritten};

	if (m->extents.nr)
		last = &extents[m->extents.nr - 1];
	if (last && last->logical + last->count == logical &&
	    last->physical + last->count == physical && last->unwritten == unwritten &&
	    last->count < EXTENT_MAX_COUNT) {
		last->count++;
		return 0;
	}
	return vec_push(&m->extents, sizeof(e), &e);
}

/* Making a map in which nothing is another's. */
struct resolving {
	struct check *c;
	const struct remap *m;
	unsigned type;	/* of the inode */
	size_t dup;	/* the next one */
	struct map out; /* so far */
};

static int copy_run(struct resolving *s, const struct extent *e)
{
	for (uint32_t i = 0; i < e->count; i++) {
		uint64_t to;
		int r = copy_block(s->c, s->m, s->type, e->physical + i, &to);

		if (r == -ENOSPC) {
			bool mend = problem(s->c, FIX_LOSSY, "no-space-to-copy",
					    (struct at){s->m->ino, e->physical + i},
					    "inode %" PRIu64
					    ": no space for a copy of %u blocks; cut off",
					    s->m->ino, e->count - i);

			return mend ? 0 : -EBUSY;
		}
		if (r == 0)
			r = append(&s->out, e->logical + i, to, e->unwritten);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The next dup, if there is one; they are in the order of extents. */
static const struct dup *next_dup(const struct resolving *s)
{
	return s->dup < s->m->dup_to ? (const struct dup *)s->c->dups.items + s->dup : NULL;
}

static int resolve_extent(struct resolving *s, const struct extent *e)
{
	struct extent part = *e;
	uint32_t left = e->count;
	int r = 0;

	while (left && r == 0) {
		const struct dup *d = next_dup(s);

		if (d && d->logical == part.logical) {
			part.count = (uint32_t)d->count;
			s->dup++;
			r = copy_run(s, &part);
		} else {
			part.count = d && d->logical < part.logical + left
					     ? (uint32_t)(d->logical - part.logical)
					     : left;
			r = vec_push(&s->out.extents, sizeof(part), &part);
		}
		left -= part.count;
		part.logical += part.count;
		part.physical += part.count;
	}
	return r;
}

/* Replace what is another's by copies. */
static int resolve_dups(struct check *c, const struct remap *m, unsigned type, struct map *map)
{
	struct resolving s = {.c = c, .m = m, .type = type, .dup = m->dup_from};
	const struct extent *e = map->extents.items;
	int r = 0;

	if (m->dup_from == m->dup_to)
		return 0;
	for (size_t i = 0; i < map->extents.nr && r == 0; i++)
		r = resolve_extent(&s, &e[i]);
	if (r < 0) {
		map_finish(&s.out);
		return r;
	}
	vec_free(&map->extents);
	map->extents = s.out.extents;
	return 0;
}

static void cut(struct check *c, const struct remap *m, const struct disk_inode *d, struct map *map)
{
	unsigned room = c->fs.geo.block_bytes - (type_of(d) == DT_LNK ? DISK_HEAD_BYTES : 0);
	uint64_t size = le64_get(d->size);

	if (m->cut)
		map_cut(map, size / room + !!(size % room), m->how);
}

/* A block of one free entry. */
static int make_dir_block(struct check *c, uint64_t ino, struct map *map)
{
	struct bufio_buffer *b;
	uint64_t block;
	int r;

	r = claim_alloc(c, geo_inode_block(&c->fs.geo, ino), &block);
	if (r < 0)
		return r;
	r = block_new(c, block, META_DIR, ino, &b);
	if (r < 0)
		return r;
	((struct disk_dirent *)((uint8_t *)bufio_data(b) + DISK_HEAD_BYTES))->rec_len =
		le16_make((uint16_t)(c->fs.geo.block_bytes - DISK_HEAD_BYTES));
	block_store(c, b);
	return append(map, 0, block, false);
}

static int drop_index(struct check *c, struct remap *m, struct disk_inode *d)
{
	uint64_t before = le64_get(d->blocks);
	int r = index_drop(c, m->ino, d);

	m->others -= before - le64_get(d->blocks);
	return r;
}

static int store_dir(struct check *c, struct remap *m, struct disk_inode *d, struct map *map,
		     uint64_t *ret_nodes)
{
	int r = 0;

	map_make_dense(map);
	if (map->extents.nr == 0 && data_bytes_of(d) >= DIRENT_MIN) {
		dir_make_empty(d);
		*ret_nodes = 0;
		return drop_index(c, m, d);
	}
	if (map->extents.nr == 0)
		r = make_dir_block(c, m->ino, map);
	if (r == 0)
		r = map_store(c, m->ino, map, d, ret_nodes);
	if (r == 0)
		d->size = le64_make(map_blocks(map) << c->fs.geo.block_shift);
	return r;
}

static int free_map(struct check *c, const struct map *map)
{
	const struct extent *e = map->extents.items;
	int r = 0;

	for (size_t i = 0; i < map->extents.nr && r == 0; i++)
		r = claim_free(c, e[i].physical, e[i].count);
	return r;
}

/* No room for a tree: keep what fits into the tail. */
static int store_less(struct check *c, const struct remap *m, struct disk_inode *d, struct map *map,
		      uint64_t *ret_nodes)
{
	size_t room = data_bytes_of(d) / sizeof(struct disk_extent), nr = map->extents.nr;
	struct map rest = {
		.extents = {.items = (struct extent *)map->extents.items + room, .nr = nr - room}};
	int r;

	if (!problem(c, FIX_LOSSY, "no-space-for-tree", (struct at){.ino = m->ino},
		     "inode %" PRIu64 ": no space for its extent tree; cut off", m->ino))
		return -EBUSY;
	r = free_map(c, &rest);
	map->extents.nr = room;
	return r < 0 ? r : map_store(c, m->ino, map, d, ret_nodes);
}

static int store(struct check *c, struct remap *m, struct disk_inode *d, struct map *map)
{
	uint64_t nodes = 0;
	int r;

	if (type_of(d) == DT_DIR)
		r = store_dir(c, m, d, map, &nodes);
	else
		r = map_store(c, m->ino, map, d, &nodes);
	if (r == -ENOSPC && map->extents.nr > data_bytes_of(d) / sizeof(struct disk_extent))
		r = store_less(c, m, d, map, &nodes);
	if (r < 0)
		return r;
	if (type_of(d) == DT_DIR && d->data_format != DATA_INLINE)
		d->size = le64_make(map_blocks(map) << c->fs.geo.block_shift);
	d->blocks = le64_make(map_blocks(map) + nodes + m->others);
	return inode_save(c, m->ino, d);
}

static int remap(struct check *c, struct remap *m)
{
	struct disk_inode d;
	struct map map;
	int r;

	r = inode_load(c, m->ino, &d);
	if (r == 0)
		r = map_load(c, m->ino, &d, &map);
	if (r < 0)
		return r;
	cut(c, m, &d, &map);
	if (type_of(&d) == DT_DIR)
		map_make_dense(&map);
	r = resolve_dups(c, m, type_of(&d), &map);
	if (r == 0)
		r = store(c, m, &d, &map);
	map_finish(&map);
	if (r == -ENOSPC || r == -EBUSY) {
		problem(c, FIX_NEVER, "not-mended", (struct at){.ino = m->ino},
			"inode %" PRIu64 ": not mended: %s", m->ino,
			r == -EBUSY ? "others are not either" : "no space");
		r = 0;
	}
	return r;
}

int check_remaps(struct check *c)
{
	struct remap *m = c->remaps.items;
	const uint64_t *block = c->freed.items;
	int r = 0;

	for (size_t i = 0; i < c->remaps.nr && r == 0; i++)
		r = remap(c, &m[i]);
	for (size_t i = 0; i < c->freed.nr && r == 0; i++)
		r = claim_free(c, block[i], 1);
	return r;
}
