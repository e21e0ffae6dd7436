/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lost+found: made when it is needed, names "#<inode>" added.  Adds names to the end of a
 * directory on raw blocks; the index is written anew afterwards.
 */
#include "check_priv.h"

#include "dir.h"
#include "inode.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LOST_NAMES 10
#define NAME_TRIES 100

struct name {
	char bytes[40];
	unsigned len;
};

/* A directory that gets names; dirs may move when it grows, so by number. */
struct adder {
	struct check *c;
	struct dir_scan s;
	uint64_t ino;
	struct vec hashes; /* uint64_t, sorted: of the names there */
	uint64_t nodes;	   /* of the extent tree before */
	bool map_changed;
};

static struct check_dir *dir_of(struct check *c, uint64_t ino)
{
	return dir_at(c, note_of(c, ino)->dir);
}

static unsigned entry_bytes(unsigned name_len)
{
	return ((unsigned)sizeof(struct disk_dirent) + name_len + 3) & ~3u;
}

static unsigned entry_used(const struct disk_dirent *d)
{
	return le48_get(d->ino) ? entry_bytes(d->name_len) : 0;
}

static void put_entry(uint8_t *at, unsigned rec_len, const struct name *name, uint64_t ino,
		      unsigned type)
{
	struct disk_dirent d = {.ino = le48_make(ino),
				.name_len = (uint8_t)name->len,
				.type = (uint8_t)type,
				.rec_len = le16_make((uint16_t)rec_len)};

	memset(at, 0, entry_bytes(name->len));
	memcpy(at, &d, sizeof(d));
	memcpy(at + sizeof(d), name->bytes, name->len);
}

/* Into the first gap that is large enough: was there one? */
static bool add_in_area(const struct names_area *a, const struct name *name, uint64_t ino,
			unsigned type)
{
	for (unsigned o = 0; o < a->size;) {
		struct disk_dirent *d = (struct disk_dirent *)(a->bytes + o);
		unsigned rec_len, used;

		if (!dirent_chain_is_good(d, a->size - o))
			return false;
		rec_len = le16_get(d->rec_len);
		used = entry_used(d);
		if (used <= rec_len && rec_len - used >= entry_bytes(name->len)) {
			if (used)
				d->rec_len = le16_make((uint16_t)used);
			put_entry(a->bytes + o + used, rec_len - used, name, ino, type);
			return true;
		}
		o += rec_len;
	}
	return false;
}

static int append_block(struct adder *d, struct bufio_buffer **ret_b)
{
	struct extent e = {.logical = map_blocks(&d->s.map), .count = 1};
	int r;

	r = claim_alloc(d->c, geo_inode_block(&d->c->fs.geo, d->ino), &e.physical);
	if (r == 0)
		r = vec_push(&d->s.map.extents, sizeof(e), &e);
	if (r == 0)
		r = block_new(d->c, e.physical, META_DIR, d->ino, ret_b);
	if (r == 0)
		d->map_changed = true;
	return r;
}

/* Entries that were inline keep their offsets. */
static int leave_inline(struct adder *d)
{
	unsigned area = data_bytes_of(&d->s.d), block_bytes = d->c->fs.geo.block_bytes;
	struct bufio_buffer *b;
	uint8_t *bytes;
	int r = append_block(d, &b);

	if (r < 0)
		return r;
	bytes = (uint8_t *)bufio_data(b) + DISK_HEAD_BYTES;
	memcpy(bytes, d->s.d.tail, area);
	((struct disk_dirent *)(bytes + area))->rec_len =
		le16_make((uint16_t)(block_bytes - DISK_HEAD_BYTES - area));
	block_store(d->c, b);
	memset(d->s.d.tail, 0, area);
	d->s.d.data_format = DATA_NONE;
	return 0;
}

static int add_block(struct adder *d)
{
	unsigned bytes = d->c->fs.geo.block_bytes - DISK_HEAD_BYTES;
	struct bufio_buffer *b;
	int r = append_block(d, &b);

	if (r < 0)
		return r;
	((struct disk_dirent *)((uint8_t *)bufio_data(b) + DISK_HEAD_BYTES))->rec_len =
		le16_make((uint16_t)bytes);
	block_store(d->c, b);
	return 0;
}

/* Into the last area.  -ENOSPC: it is full. */
static int add_at_end(struct adder *d, const struct name *name, uint64_t ino, unsigned type)
{
	unsigned nr = scan_nr_areas(&d->s);
	struct names_area a;
	int r;

	if (nr == 0)
		return -ENOSPC;
	r = scan_area(&d->s, nr - 1, &a);
	if (r < 0)
		return r == -ENOENT ? -ENOSPC : r;
	if (add_in_area(&a, name, ino, type))
		area_store(&d->s, &a);
	else
		r = -ENOSPC;
	area_close(&a);
	return r;
}

static int add_name(struct adder *d, const struct name *name, uint64_t ino)
{
	unsigned type = note_of(d->c, ino)->type;
	int r = add_at_end(d, name, ino, type);

	if (r == -ENOSPC && d->s.d.data_format == DATA_INLINE) {
		r = leave_inline(d);
		if (r == 0)
			r = add_at_end(d, name, ino, type);
	}
	if (r == -ENOSPC) {
		r = add_block(d);
		if (r == 0)
			r = add_at_end(d, name, ino, type);
	}
	if (r < 0)
		return r;
	d->s.dir->nr_entries++;
	if (type == DT_DIR) {
		d->s.dir->subdirs++;
		dir_of(d->c, ino)->found = d->ino;
	} else {
		note_of(d->c, ino)->names++;
	}
	return 0;
}

/* One inode, whose names are looked for: ret_ino 0: not there. */
struct finder {
	const struct name *name;
	uint64_t ino;
	struct vec *hashes;
};

static int each_entry(struct dir_scan *s, struct finder *f)
{
	unsigned nr = scan_nr_areas(s);
	int r = 0;

	for (unsigned i = 0; i < nr && r == 0; i++) {
		struct names_area a;

		r = scan_area(s, i, &a);
		if (r == -ENOENT) {
			r = 0;
			continue;
		}
		if (r < 0)
			return r;
		for (unsigned o = 0; o < a.size && r == 0;) {
			const struct disk_dirent *d = (const struct disk_dirent *)(a.bytes + o);
			uint64_t hash;

			if (!dirent_chain_is_good(d, a.size - o))
				break;
			o += le16_get(d->rec_len);
			if (!le48_get(d->ino))
				continue;
			if (f->name && d->name_len == f->name->len &&
			    !memcmp(d + 1, f->name->bytes, d->name_len))
				f->ino = le48_get(d->ino);
			hash = dir_hash(&s->c->fs, (const char *)(d + 1), d->name_len);
			if (f->hashes)
				r = vec_push(f->hashes, sizeof(hash), &hash);
		}
		area_close(&a);
	}
	return r;
}

static int adder_open(struct check *c, uint64_t ino, struct adder *d)
{
	struct finder f = {.hashes = &d->hashes};
	int r;

	*d = (struct adder){.c = c, .ino = ino};
	r = scan_open(c, dir_of(c, ino), &d->s);
	if (r < 0)
		return r;
	d->nodes = d->s.map.nodes.nr;
	r = each_entry(&d->s, &f);
	keys_sort(&d->hashes);
	return r;
}

/* The inode as the directory now is; the nodes of the tree before are free. */
static int adder_store(struct adder *d)
{
	const uint64_t *old = d->s.map.nodes.items;
	uint64_t nodes = d->nodes, others;
	struct disk_inode *i = &d->s.d;
	int r = 0;

	i->nr_entries = le32_make(d->s.dir->nr_entries);
	if (d->map_changed) {
		others = le64_get(i->blocks) - d->nodes -
			 (le64_get(i->size) >> d->c->fs.geo.block_shift);
		r = map_store(d->c, d->ino, &d->s.map, i, &nodes);
		if (r < 0)
			return r;
		i->size = le64_make(map_blocks(&d->s.map) << d->c->fs.geo.block_shift);
		i->blocks = le64_make(others + nodes + map_blocks(&d->s.map));
		for (size_t k = 0; k < d->s.map.nodes.nr && r == 0; k++)
			r = claim_free(d->c, old[k], 1);
	}
	return r < 0 ? r : inode_save(d->c, d->ino, i);
}

static void adder_close(struct adder *d)
{
	scan_close(&d->s);
	vec_free(&d->hashes);
}

static bool hash_is_there(const struct adder *d, const struct name *name)
{
	uint64_t hash = dir_hash(&d->c->fs, name->bytes, name->len);
	const uint64_t *at = d->hashes.items;
	size_t low = 0, high = d->hashes.nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (at[middle] < hash)
			low = middle + 1;
		else
			high = middle;
	}
	return low < d->hashes.nr && at[low] == hash;
}

/* The name may be there from an earlier check. */
static void make_name(const struct adder *d, uint64_t ino, struct name *ret)
{
	ret->len = (unsigned)snprintf(ret->bytes, sizeof(ret->bytes), "#%" PRIu64, ino);
	for (unsigned i = 1; i < NAME_TRIES && hash_is_there(d, ret); i++)
		ret->len = (unsigned)snprintf(ret->bytes, sizeof(ret->bytes), "#%" PRIu64 ".%u",
					      ino, i);
}

/* A free number among the inodes that were written. */
static uint64_t find_free_ino(struct check *c)
{
	const struct geometry *g = &c->fs.geo;

	for (uint32_t group = 0; group < g->nr_groups; group++) {
		struct check_group *cg = &c->groups[group];

		for (uint32_t i = 0; cg->notes && i < cg->itable_mark; i++)
			if (!cg->notes[i].type)
				return (uint64_t)group * g->inodes_per_group + i + 1;
	}
	return 0;
}

/* One more block of a group's table; its first inode. */
static int raise_mark(struct check *c, uint64_t *ret_ino)
{
	const struct geometry *g = &c->fs.geo;
	struct bufio_buffer *b;
	struct check_group *cg;
	struct note *notes;
	uint32_t group = 0;
	int r;

	while (group < g->nr_groups && c->groups[group].itable_mark == g->inodes_per_group)
		group++;
	if (group == g->nr_groups)
		return -ENOSPC;
	cg = &c->groups[group];
	notes = calloc(cg->itable_mark + g->inodes_per_block, sizeof(*notes));
	if (!notes)
		return -ENOMEM;
	*ret_ino = (uint64_t)group * g->inodes_per_group + cg->itable_mark + 1;
	r = block_new(c, geo_inode_block(g, *ret_ino), META_ITABLE, 0, &b);
	if (r < 0) {
		free(notes);
		return r;
	}
	bufio_mark_dirty(b);
	bufio_release(b);
	if (cg->notes)
		memcpy(notes, cg->notes, cg->itable_mark * sizeof(*notes));
	free(cg->notes);
	cg->notes = notes;
	cg->itable_mark += g->inodes_per_block;
	return 0;
}

static int make_dir(struct check *c, uint64_t *ret_ino)
{
	struct check_dir dir = {.parent = INODE_ROOT};
	le64 now = time_encode(fs_now());
	struct disk_inode d;
	int r = 0;

	dir.ino = find_free_ino(c);
	if (!dir.ino)
		r = raise_mark(c, &dir.ino);
	if (r == 0)
		r = inode_load(c, dir.ino, &d);
	if (r < 0)
		return r;
	d = (struct disk_inode){.mode = le16_make(S_IFDIR | 0700),
				.nlink = le32_make(2),
				.generation = le32_make(le32_get(d.generation) + 1),
				.parent = le64_make(INODE_ROOT),
				.atime = now,
				.mtime = now,
				.ctime = now,
				.btime = now};
	dir_make_empty(&d);
	r = inode_save(c, dir.ino, &d);
	if (r == 0) {
		*note_of(c, dir.ino) =
			(struct note){.nlink = 2, .type = DT_DIR, .dir = (uint32_t)c->dirs.nr};
		r = vec_push(&c->dirs, sizeof(dir), &dir);
	}
	*ret_ino = dir.ino;
	return r;
}

static void lost_name(unsigned i, struct name *ret)
{
	ret->len = (unsigned)snprintf(ret->bytes, sizeof(ret->bytes),
				      i ? "lost+found.%u" : "lost+found", i);
}

/* A directory of that name in the root: its number, 0: the name is free; -EEXIST: something else. */
static int look_up(struct check *c, const struct name *name, uint64_t *ret_ino)
{
	struct finder f = {.name = name};
	struct dir_scan s;
	struct note *n;
	int r = scan_open(c, dir_of(c, INODE_ROOT), &s);

	if (r < 0)
		return r;
	r = each_entry(&s, &f);
	scan_close(&s);
	if (r < 0)
		return r;
	n = note_of(c, f.ino);
	if (f.ino && (!n || n->type != DT_DIR))
		return -EEXIST;
	*ret_ino = f.ino;
	return 0;
}

static int find_or_make(struct check *c, uint64_t *ret_ino)
{
	struct name name;
	struct adder root;
	int r = -EEXIST;

	for (unsigned i = 0; i < LOST_NAMES && r == -EEXIST; i++) {
		lost_name(i, &name);
		r = look_up(c, &name, ret_ino);
	}
	if (r < 0 || *ret_ino)
		return r;
	r = make_dir(c, ret_ino);
	if (r < 0)
		return r;
	r = adder_open(c, INODE_ROOT, &root);
	if (r == 0)
		r = add_name(&root, &name, *ret_ino);
	if (r == 0)
		r = adder_store(&root);
	adder_close(&root);
	return r;
}

/* A directory also knows its parent. */
static int set_parent(struct check *c, uint64_t ino, uint64_t parent)
{
	struct disk_inode d;
	int r;

	if (note_of(c, ino)->type != DT_DIR)
		return 0;
	r = inode_load(c, ino, &d);
	if (r < 0)
		return r;
	d.parent = le64_make(parent);
	dir_of(c, ino)->parent = parent;
	return inode_save(c, ino, &d);
}

static int attach_all(struct check *c, uint64_t lost)
{
	const uint64_t *ino = c->lost.items;
	struct adder d;
	int r = adder_open(c, lost, &d), stored;

	for (size_t i = 0; i < c->lost.nr && r == 0; i++) {
		struct name name;

		make_name(&d, ino[i], &name);
		r = add_name(&d, &name, ino[i]);
		if (r == 0)
			r = set_parent(c, ino[i], lost);
	}
	if (r == 0 || r == -ENOSPC) {
		stored = adder_store(&d);
		r = stored < 0 ? stored : r;
	}
	adder_close(&d);
	return r;
}

int lost_attach(struct check *c)
{
	uint64_t lost = 0;
	int r = find_or_make(c, &lost);

	if (r == 0)
		r = attach_all(c, lost);
	if (r != -ENOSPC && r != -EBUSY && r != -EEXIST)
		return r;
	problem(c, FIX_NEVER, "lost-found-full", (struct at){.ino = lost},
		"not all inodes without a name could be put into lost+found: %s",
		r == -ENOSPC ? "no space" : "other problems first");
	return 0;
}
