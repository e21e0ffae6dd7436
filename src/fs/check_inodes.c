/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pass 1: an inode by itself: its crc, its fields, what it maps, and which
 * blocks it claims.  Names are not looked at.  What needs free blocks to be mended waits in
 * check->remaps for pass 1b, when it is known which are free.
 *
 * An inode that passed here also passes inode_decode(), so that what is called good can be mounted.
 */
#include "check_priv.h"

#include "flags.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define NS_MASK	  ((UINT64_C(1) << 30) - 1)
#define NS_SECOND UINT64_C(1000000000)

/* A problem of this inode, without numbers. */
static bool flaw(struct scan *s, enum fix fix, const char *code, const char *what)
{
	struct at at = {.ino = s->ino};

	if (!problem(s->c, fix, code, at, "inode %" PRIu64 ": %s", s->ino, what))
		return false;
	s->changed = true;
	return true;
}

static unsigned type_of(const struct disk_inode *d)
{
	return le16_get(d->mode) >> 12;
}

static bool type_is_known(unsigned type)
{
	return type == DT_REG || type == DT_DIR || type == DT_LNK || type == DT_CHR ||
	       type == DT_BLK || type == DT_FIFO || type == DT_SOCK;
}

/* What cannot be kept.  Without a name nothing is lost by that. */
static void clear(struct scan *s, const char *code, const char *what)
{
	enum fix fix = le32_get(s->d.nlink) || !inode_crc_is_good(s->c, s->ino, &s->d) ? FIX_LOSSY
										       : FIX_SAFE;

	flaw(s, fix, code, what);
	inode_clear(&s->d);
}

static void check_free(struct scan *s)
{
	struct disk_inode clean = {.generation = s->d.generation, .crc = s->d.crc};

	if (memcmp(&clean, &s->d, sizeof(clean)) != 0 &&
	    flaw(s, FIX_SAFE, "free-inode-not-zero", "is free, but not empty"))
		inode_clear(&s->d);
}

static bool fix_time(le64 *t)
{
	uint64_t v = le64_get(*t);

	if ((v & NS_MASK) < NS_SECOND)
		return false;
	*t = le64_make(v & ~NS_MASK);
	return true;
}

static void check_times(struct scan *s)
{
	struct disk_inode fixed = s->d;
	bool bad = fix_time(&fixed.atime);

	bad |= fix_time(&fixed.mtime);
	bad |= fix_time(&fixed.ctime);
	bad |= fix_time(&fixed.btime);
	if (bad && flaw(s, FIX_SAFE, "inode-time", "a time has too many nanoseconds"))
		s->d = fixed;
}

/* Fields that mean nothing for this type. */
static void check_unused(struct scan *s)
{
	unsigned type = type_of(&s->d);
	struct disk_inode fixed = s->d;

	if (type != DT_DIR) {
		fixed.parent = le64_make(0);
		fixed.nr_entries = le32_make(0);
		if (type != DT_CHR && type != DT_BLK)
			fixed.special = le64_make(0);
	}
	if (memcmp(&fixed, &s->d, sizeof(fixed)) != 0 &&
	    flaw(s, FIX_SAFE, "inode-unused-field", "a field its type does not have is not 0"))
		s->d = fixed;
}

static void check_fields(struct scan *s)
{
	struct disk_inode *d = &s->d;

	check_times(s);
	check_unused(s);
	if (le32_get(d->flags) & ~FLAGS_KEPT &&
	    flaw(s, FIX_SAFE, "inode-flags", "has unknown flags"))
		d->flags = le32_make(le32_get(d->flags) & FLAGS_KEPT);
	if (le32_get(d->state) & ~INODE_STATE_TRUNCATE &&
	    flaw(s, FIX_SAFE, "inode-state", "has unknown state bits"))
		d->state = le32_make(le32_get(d->state) & INODE_STATE_TRUNCATE);
	if ((d->xattr_bytes % 4 || d->xattr_bytes > INODE_TAIL_BYTES) &&
	    flaw(s, FIX_LOSSY, "inode-xattr-bytes", "the length of its attributes is impossible"))
		d->xattr_bytes = 0;
}

/* Bytes of the data area that mean something. */
static unsigned area_used(const struct disk_inode *d)
{
	unsigned bytes = data_bytes_of(d), used = 0;

	if (d->data_format == DATA_INLINE)
		return bytes;
	if (d->data_format == DATA_TREE)
		return bytes < sizeof(le64) ? bytes : sizeof(le64);
	if (d->data_format == DATA_NONE)
		return 0;
	while (used + sizeof(struct disk_extent) <= bytes) {
		struct disk_extent e;

		memcpy(&e, d->tail + used, sizeof(e));
		if (le24_get(e.count) == 0)
			break;
		used += sizeof(e);
	}
	return used;
}

/* What follows the last extent would come to life with the next one that is added. */
static void check_area_rest(struct scan *s)
{
	unsigned used = area_used(&s->d), bytes = data_bytes_of(&s->d);

	if (!is_all_zero(s->d.tail + used, bytes - used) &&
	    flaw(s, FIX_SAFE, "inode-inline-rest", "what follows its data or extents is not zero"))
		memset(s->d.tail + used, 0, bytes - used);
}

/* A format that the type cannot have: no data. */
static void check_format(struct scan *s)
{
	unsigned type = type_of(&s->d), format = s->d.data_format;
	bool none_only = type != DT_REG && type != DT_DIR && type != DT_LNK;

	if (format <= DATA_TREE && !(none_only && format != DATA_NONE)) {
		check_area_rest(s);
		return;
	}
	if (type == DT_LNK) {
		clear(s, "inode-format", "is a symlink whose data format is unknown; cleared");
		return;
	}
	if (!flaw(s, FIX_LOSSY, "inode-format", "its data format is impossible"))
		return;
	s->d.data_format = DATA_NONE;
	memset(s->d.tail, 0, data_bytes_of(&s->d));
	if (type != DT_DIR)
		s->d.size = le64_make(0);
}

static uint64_t blocks_of_size(const struct scan *s, uint64_t size)
{
	unsigned shift = s->c->fs.geo.block_shift;

	return (size >> shift) + !!(size & (s->c->fs.geo.block_bytes - 1));
}

static uint64_t map_past(const struct map *m, uint64_t nr_blocks, enum map_cut how)
{
	const struct extent *e = m->extents.items;
	uint64_t past = 0;

	for (size_t i = 0; i < m->extents.nr; i++) {
		uint64_t end = e[i].logical + e[i].count;

		if (end > nr_blocks && !(how == MAP_KEEP_UNWRITTEN && e[i].unwritten))
			past += end - (e[i].logical > nr_blocks ? e[i].logical : nr_blocks);
	}
	return past;
}

/* Blocks behind the end, which nobody could read. */
static void check_past(struct scan *s, uint64_t nr_blocks)
{
	enum map_cut how = MAP_KEEP_UNWRITTEN;
	uint64_t past;

	if (le32_get(s->d.state) & INODE_STATE_TRUNCATE && s->c->crashed)
		return;
	if (le32_get(s->d.state) & INODE_STATE_TRUNCATE) {
		if (!flaw(s, FIX_SAFE, "truncate-pending", "a truncation was not finished"))
			return;
		s->d.state = le32_make(0);
		how = MAP_CUT_ALL;
	}
	past = map_past(&s->map, nr_blocks, how);
	if (!past)
		return;
	if (how == MAP_KEEP_UNWRITTEN &&
	    !problem(s->c, FIX_SAFE, "extent-past-size", (struct at){.ino = s->ino},
		     "inode %" PRIu64 ": %" PRIu64 " blocks lie past its size", s->ino, past))
		return;
	map_cut(&s->map, nr_blocks, how);
	s->how = how;
	s->remap = s->cut = true;
}

static void check_file(struct scan *s)
{
	uint64_t size = le64_get(s->d.size), max = inode_max_size(&s->c->fs);
	unsigned area = data_bytes_of(&s->d);

	if (s->d.data_format == DATA_INLINE)
		max = area;
	if (size > max && flaw(s, FIX_LOSSY, "inode-size", "its size is too large"))
		s->d.size = le64_make(max);
	size = le64_get(s->d.size);
	if (s->d.data_format == DATA_INLINE && size < area &&
	    !is_all_zero(s->d.tail + size, area - size) &&
	    flaw(s, FIX_SAFE, "inode-inline-rest", "what follows its inline bytes is not zero"))
		memset(s->d.tail + size, 0, area - size);
	check_past(s, blocks_of_size(s, size));
}

static void check_dir_size(struct scan *s, uint64_t size, const char *what)
{
	if (le64_get(s->d.size) != size && flaw(s, FIX_SAFE, "dir-size", what))
		s->d.size = le64_make(size);
}

static void check_dir_map(struct scan *s)
{
	if (le32_get(s->d.state) && flaw(s, FIX_SAFE, "inode-state", "a directory is truncated"))
		s->d.state = le32_make(0);
	if (s->d.data_format == DATA_INLINE) {
		check_dir_size(s, data_bytes_of(&s->d), "its size is not that of its inline area");
		return;
	}
	if (!map_is_dense(&s->map) &&
	    flaw(s, FIX_SAFE, "dir-hole", "is a directory with a hole or an unwritten block")) {
		map_make_dense(&s->map);
		s->remap = s->reindex = true;
	}
	if (s->map.extents.nr == 0 && flaw(s, le32_get(s->d.nlink) ? FIX_LOSSY : FIX_SAFE,
					   "dir-no-blocks", "is a directory without a block"))
		s->remap = true;
	else if (s->map.extents.nr)
		check_dir_size(s, map_blocks(&s->map) << s->c->fs.geo.block_shift,
			       "its size is not that of its blocks");
}

static int symlink_blocks_are_good(struct scan *s, uint64_t nr)
{
	unsigned room = s->c->fs.geo.block_bytes - DISK_HEAD_BYTES;
	uint64_t left = le64_get(s->d.size);

	for (uint64_t i = 0; i < nr; i++) {
		uint64_t block = map_find(&s->map, i), part = left < room ? left : room;
		struct bufio_buffer *b;
		bool good;
		int r;

		if (!block)
			return 0;
		r = block_read(s->c, block, META_SYMLINK, s->ino, &b);
		if (r < 0)
			return r == -EUCLEAN ? 0 : r;
		good = !memchr((uint8_t *)bufio_data(b) + DISK_HEAD_BYTES, 0, part);
		bufio_release(b);
		left -= part;
		if (!good)
			return 0;
	}
	return 1;
}

static int check_symlink(struct scan *s)
{
	uint64_t size = le64_get(s->d.size), room = s->c->fs.geo.block_bytes - DISK_HEAD_BYTES;
	int good = size > 0 && size <= SYMLINK_MAX && s->d.data_format != DATA_NONE;

	if (good && s->d.data_format == DATA_INLINE) {
		good = size <= data_bytes_of(&s->d) && !memchr(s->d.tail, 0, size);
	} else if (good) {
		check_past(s, (size + room - 1) / room);
		good = symlink_blocks_are_good(s, (size + room - 1) / room);
	}
	if (good < 0)
		return good;
	if (!good)
		clear(s, "symlink-bad", "is a symlink without a good target; cleared");
	return 0;
}

static void check_special(struct scan *s)
{
	if (le64_get(s->d.size) && flaw(s, FIX_SAFE, "inode-size", "has a size without data"))
		s->d.size = le64_make(0);
	if (le32_get(s->d.state) && flaw(s, FIX_SAFE, "inode-state", "has no data to truncate"))
		s->d.state = le32_make(0);
}

static int check_map(struct scan *s)
{
	int r = map_load(s->c, s->ino, &s->d, &s->map);

	if (r < 0 || s->map.nr_bad == 0)
		return r;
	if (problem(s->c, le32_get(s->d.nlink) ? FIX_LOSSY : FIX_SAFE,
		    s->d.data_format == DATA_TREE ? "tree-bad" : "extent-bad",
		    (struct at){s->ino, s->map.bad_block},
		    "inode %" PRIu64 ": %u extents or nodes of its tree are bad (block %" PRIu64
		    ")",
		    s->ino, s->map.nr_bad, s->map.bad_block))
		s->remap = true;
	return 0;
}

static int ignore_record(void *context, const void *record)
{
	return 0;
}

static int check_index_tree(struct scan *s)
{
	struct tree_walk w = {.c = s->c,
			      .kind = META_INDEX,
			      .owner = s->ino,
			      .record = ignore_record,
			      .nodes = &s->others};
	size_t before = s->others.nr;
	int r = 0;

	if (!le64_get(s->d.special))
		return 0;
	if (s->d.data_format == DATA_INLINE)
		w.nr_bad = 1;
	else
		r = tree_walk(&w, le64_get(s->d.special));
	if (r < 0 || w.nr_bad == 0)
		return r;
	s->others.nr = before;
	if (flaw(s, FIX_SAFE, "dir-index-bad", "the index of the directory is damaged")) {
		s->d.special = le64_make(0);
		s->reindex = true;
	}
	return 0;
}

static int check_type(struct scan *s)
{
	switch (type_of(&s->d)) {
	case DT_REG:
		check_file(s);
		return 0;
	case DT_DIR:
		check_dir_map(s);
		if (le64_get(s->d.special))
			map_prefetch(s->c, &s->map, true);
		return check_index_tree(s);
	case DT_LNK:
		return check_symlink(s);
	default:
		check_special(s);
		return 0;
	}
}

static void check_blocks(struct scan *s)
{
	uint64_t blocks = map_blocks(&s->map) + s->map.nodes.nr + s->others.nr;

	if (le64_get(s->d.blocks) == blocks)
		return;
	if (problem(s->c, FIX_SAFE, "inode-blocks", (struct at){.ino = s->ino},
		    "inode %" PRIu64 ": owns %" PRIu64 " blocks, says %" PRIu64, s->ino, blocks,
		    le64_get(s->d.blocks))) {
		s->d.blocks = le64_make(blocks);
		s->changed = true;
	}
}

/* A mapping that would mount: what check_map() found, pass 1b mends. */
static void make_mapping_good(struct disk_inode *d)
{
	memset(d->tail, 0, data_bytes_of(d));
	d->data_format = DATA_NONE;
	if (type_of(d) != DT_LNK)
		return;
	d->data_format = DATA_INLINE;
	d->size = le64_make(1);
}

/* Would it mount?  What is mended later is made good in a copy first. */
static bool decodes(const struct scan *s)
{
	struct disk_inode d = s->d;
	struct inode inode;

	d.blocks = le64_make(0);
	if (s->remap || d.data_format == DATA_EXTENTS || d.data_format == DATA_TREE)
		make_mapping_good(&d);
	if (type_of(&d) == DT_DIR) {
		d.nlink = le32_make(2);
		d.parent = le64_make(INODE_ROOT);
		dir_make_empty(&d);
	}
	return inode_decode_unsummed(&s->c->fs, s->ino, &d, &inode) == 0;
}

static int add_remap(struct scan *s)
{
	struct remap m = {s->ino, s->dup_from, s->c->dups.nr, s->others.nr, s->cut, s->how};

	return vec_push(&s->c->remaps, sizeof(m), &m);
}

static uint64_t problems_left(const struct check *c)
{
	return c->result.problems - c->result.repaired;
}

static int check_used(struct scan *s)
{
	uint64_t left_before = problems_left(s->c);
	int r;

	check_fields(s);
	check_format(s);
	if (!le16_get(s->d.mode))
		return 0;
	r = check_map(s);
	if (r == 0)
		r = check_type(s);
	if (r < 0 || !le16_get(s->d.mode))
		return r;
	r = check_attrs(s->c, s->ino, &s->d, &s->others);
	if (r < 0)
		return r;
	s->changed |= r > 0;
	if (problems_left(s->c) == left_before && !decodes(s)) {
		clear(s, "inode-invalid", "its fields contradict each other; cleared");
		return 0;
	}
	r = scan_claim(s);
	if (r < 0)
		return r;
	if (s->remap)
		return add_remap(s);
	check_blocks(s);
	return 0;
}

int scan_note(struct scan *s)
{
	const struct geometry *g = &s->c->fs.geo;
	struct check_group *cg = &s->c->groups[geo_group_of_ino(g, s->ino)];
	struct check_dir dir = {.ino = s->ino, .parent = le64_get(s->d.parent)};
	struct note *n;

	if (!cg->notes) {
		cg->notes = calloc(cg->itable_mark, sizeof(*cg->notes));
		if (!cg->notes)
			return -ENOMEM;
	}
	n = &cg->notes[geo_index_of_ino(g, s->ino)];
	*n = (struct note){
		.nlink = le32_get(s->d.nlink),
		.type = (uint8_t)type_of(&s->d),
		.flags = le32_get(s->d.state) & INODE_STATE_TRUNCATE ? NOTE_TRUNCATE : 0,
	};
	s->c->result.used_inodes++;
	s->c->result.files += n->type == DT_REG;
	s->c->result.dirs += n->type == DT_DIR;
	s->c->result.symlinks += n->type == DT_LNK;
	s->c->result.others += n->type != DT_REG && n->type != DT_DIR && n->type != DT_LNK;
	s->c->result.fragmented_files += n->type == DT_REG && s->map.extents.nr > 1;
	if (n->type != DT_DIR)
		return 0;
	dir.flags = s->reindex ? DIR_REINDEX : 0;
	n->dir = (uint32_t)s->c->dirs.nr;
	return vec_push(&s->c->dirs, sizeof(dir), &dir);
}

int check_inode(struct check *c, uint64_t ino, const struct disk_inode *d)
{
	struct scan s = {.c = c, .ino = ino, .d = *d, .dup_from = c->dups.nr};
	int r = 0;

	if (!inode_crc_is_good(c, ino, d))
		clear(&s, "inode-crc", "its checksum is wrong; cleared");
	else if (!le16_get(d->mode))
		check_free(&s);
	else if (!type_is_known(type_of(d)))
		clear(&s, "inode-mode", "its type is unknown; cleared");
	else
		r = check_used(&s);
	if (r == 0 && s.changed)
		r = inode_save(c, ino, &s.d);
	if (r == 0 && le16_get(s.d.mode))
		r = scan_note(&s);
	map_finish(&s.map);
	vec_free(&s.others);
	return r;
}
