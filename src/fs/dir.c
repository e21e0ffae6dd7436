/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The names in one directory: find, add, remove, replace, list.
 *
 * A directory grows from the inode's tail into block 0, with its second block it gets an index,
 * and when the last name goes it is back in the tail.  Entries never move, so a position is an
 * entry's identity, in the index and as the readdir cookie.
 *
 * Each change is made in this order: what must be read, the index, the entry.  The last cannot
 * fail, so an error leaves index and entries in step.
 *
 * Knows nothing of the inodes that names point to.  Calls dir_block, dir_space, dir_index, bmap,
 * balloc.
 */
#include "dir_parts.h"

#include "balloc.h"
#include "meta.h"

#include <errno.h>
#include <string.h>

/* Blocks looked at, and steps of freeing, by the removal that finds the directory's end empty. */
#define SHRINK_MAX_BLOCKS 8u
#define SHRINK_MAX_STEPS  4u

/* Blocks read at once when it is listed. */
#define DIR_AHEAD 32u

/* An entry, or a gap, where it is held; b NULL: inline. */
struct dir_place {
	struct bufio_buffer *b;
	struct dir_area area;
	uint64_t block;
	unsigned offset;
};

static bool dir_is_inline(const struct inode *dir)
{
	return dir->data_format == DATA_INLINE;
}

/* The index of a directory without names has no root. */
static bool dir_is_indexed(const struct inode *dir)
{
	return !dir_is_inline(dir) && (dir->special || dir_nr_blocks(dir) > 1);
}

static uint64_t place_position(const struct inode *dir, const struct dir_place *p, unsigned offset)
{
	return (p->block << dir->fs->geo.block_shift) + DISK_HEAD_BYTES + offset;
}

static void place_release(struct dir_place *p)
{
	if (p->b)
		bufio_release(p->b);
}

/*
 * Before the first change there.  The inode's own block is its store's business; that of another one need not show in
 * the inode, as when a name is replaced by another, and is as much as that what fdatasync() makes durable.
 */
static int place_modify(struct txn *t, struct inode *dir, struct dir_place *p)
{
	int r;

	if (!p->b)
		return 0;
	r = txn_modify(t, p->b);
	if (r == 0)
		dir->data_seq = t->seq;
	return r;
}

static void place_note_room(struct inode *dir, const struct dir_place *p)
{
	if (p->b)
		space_note(dir, p->block, area_room(p->area));
}

static int name_make(const char *name, struct dir_name *ret)
{
	size_t len = strlen(name);

	if (len > NAME_BYTES_MAX)
		return -ENAMETOOLONG;
	if (len == 0 || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
		return -EINVAL;
	*ret = (struct dir_name){name, (unsigned)len};
	return 0;
}

/* Hold the area of a block, or of the inode. */
static int place_open(struct inode *dir, uint64_t block, struct dir_place *ret)
{
	struct dir_place p = {.block = block};
	int r;

	if (dir_is_inline(dir)) {
		p.area = area_of_inline(dir);
		if (block != 0 || dir->size != p.area.size)
			return -EUCLEAN;
	} else {
		r = dir_read_block(dir, block, &p.b);
		if (r < 0)
			return r;
		p.area = area_of_block(p.b);
	}
	*ret = p;
	return 0;
}

/* Hold the area an entry is in, at the entry. */
static int place_open_entry(struct inode *dir, const struct dir_entry *e, struct dir_place *ret,
			    unsigned *ret_previous)
{
	unsigned within = (unsigned)(e->position & (dir->fs->geo.block_bytes - 1));
	struct dir_place p;
	int r;

	if (within < DISK_HEAD_BYTES)
		return -EUCLEAN;
	r = place_open(dir, e->position >> dir->fs->geo.block_shift, &p);
	if (r < 0)
		return r;
	p.offset = within - DISK_HEAD_BYTES;
	r = area_previous(p.area, p.offset);
	if (r >= 0 && le48_get(area_entry(p.area, p.offset)->ino) != e->ino)
		r = -EUCLEAN;
	if (r < 0) {
		place_release(&p);
		return r;
	}
	*ret_previous = (unsigned)r;
	*ret = p;
	return 0;
}

int dir_lookup(struct inode *dir, const char *name, struct dir_entry *ret)
{
	const struct disk_dirent *d;
	struct dir_place p;
	struct dir_name n;
	int r;

	r = name_make(name, &n);
	if (r < 0)
		return r;
	if (dir_is_indexed(dir)) {
		if (!dir->special)
			return dir->nr_entries ? -EUCLEAN : -ENOENT;
		return index_find(dir, &n, ret);
	}
	r = place_open(dir, 0, &p);
	if (r < 0)
		return r;
	r = area_find(p.area, &n);
	if (r >= 0) {
		d = area_entry(p.area, (unsigned)r);
		*ret = (struct dir_entry){le48_get(d->ino), d->type,
					  place_position(dir, &p, (unsigned)r)};
	}
	place_release(&p);
	return r < 0 ? r : 0;
}

/* A new block behind the last one, held and in the txn; the directory's size is the caller's. */
static int new_block(struct txn *t, struct inode *dir, struct bufio_buffer **ret_b)
{
	struct mapping m = {.logical = dir_is_inline(dir) ? 0 : dir_nr_blocks(dir), .count = 1};
	int r;

	r = balloc_alloc_reserved(t, bmap_goal(dir, m.logical), &m.physical);
	if (r < 0)
		return r;
	r = bmap_insert(t, dir, &m);
	if (r < 0) {
		balloc_free(t, m.physical, 1);
		return r;
	}
	r = meta_new(dir->fs, m.physical, META_DIR, dir->ino, ret_b);
	if (r == 0) {
		r = txn_modify(t, *ret_b);
		if (r == 0)
			return 0;
		bufio_release(*ret_b);
	}
	bmap_remove(t, dir, m.logical, BMAP_END);
	return r;
}

/* Move the entries from the tail to the same offsets of block 0. */
static int leave_inline(struct txn *t, struct inode *dir)
{
	struct dir_area from = area_of_inline(dir), to;
	uint8_t entries[INODE_TAIL_BYTES];
	struct bufio_buffer *b;
	int r;

	if (dir->special || dir->size != from.size)
		return -EUCLEAN;
	memcpy(entries, from.bytes, from.size);
	memset(from.bytes, 0, from.size);
	dir->data_format = DATA_NONE;
	dir->size = 0;
	r = new_block(t, dir, &b);
	if (r < 0) {
		memcpy(from.bytes, entries, from.size);
		dir->data_format = DATA_INLINE;
		dir->size = from.size;
		return r;
	}
	to = area_of_block(b);
	memcpy(to.bytes, entries, from.size);
	area_grow(to, from.size);
	bufio_release(b);
	dir->size = dir->fs->geo.block_bytes;
	return 0;
}

/* One more block; the gap is all of it. */
static int append_block(struct txn *t, struct inode *dir, struct dir_place *ret)
{
	uint64_t nr_blocks = dir_nr_blocks(dir);
	struct dir_place p = {.block = nr_blocks};
	int r;

	if (dir->size + dir->fs->geo.block_bytes > DIR_MAX_BYTES)
		return -ENOSPC;
	if (!dir_is_indexed(dir)) {
		r = index_build(t, dir);
		if (r < 0)
			return r;
	}
	r = new_block(t, dir, &p.b);
	if (r < 0)
		return r;
	p.area = area_of_block(p.b);
	area_init(p.area);
	dir->size += dir->fs->geo.block_bytes;
	*ret = p;
	return 0;
}

/* -ENOSPC: not in this block. */
static int find_gap_in(struct inode *dir, uint64_t block, unsigned bytes, struct dir_place *ret)
{
	struct dir_place p;
	int r;

	r = place_open(dir, block, &p);
	if (r < 0)
		return r;
	r = area_find_gap(p.area, bytes);
	if (r < 0) {
		place_note_room(dir, &p);
		place_release(&p);
		return r;
	}
	p.offset = (unsigned)r;
	*ret = p;
	return 0;
}

/* In a block known to have room, else in the last one, else in a new one. */
static int find_gap(struct txn *t, struct inode *dir, unsigned bytes, struct dir_place *ret)
{
	uint64_t block;
	int r;

	if (dir_is_inline(dir)) {
		r = find_gap_in(dir, 0, bytes, ret);
		if (r != -ENOSPC)
			return r;
		r = leave_inline(t, dir);
		if (r < 0)
			return r;
	}
	if (dir_nr_blocks(dir) == 0)
		return -EUCLEAN;
	if (space_find(dir, bytes, &block) == 0) {
		r = find_gap_in(dir, block, bytes, ret);
		if (r != -ENOSPC)
			return r;
	}
	r = find_gap_in(dir, dir_nr_blocks(dir) - 1, bytes, ret);
	if (r != -ENOSPC)
		return r;
	return append_block(t, dir, ret);
}

int dir_add(struct txn *t, struct inode *dir, const char *name, uint64_t ino, unsigned type)
{
	struct dir_place p;
	struct dir_name n;
	uint64_t position;
	int r;

	r = name_make(name, &n);
	if (r < 0)
		return r;
	r = find_gap(t, dir, dir_entry_bytes(n.len), &p);
	if (r < 0)
		return r;
	position = place_position(dir, &p, area_add_offset(p.area, p.offset));
	r = place_modify(t, dir, &p);
	if (r == 0 && dir_is_indexed(dir))
		r = index_insert(t, dir, bufio_block(p.b), index_key(dir->fs, &n, position));
	if (r == 0) {
		area_add(p.area, p.offset, &n, ino, type);
		dir->nr_entries++;
	}
	place_note_room(dir, &p);
	place_release(&p);
	return r;
}

/* The first block from low on that is not mapped; blocks below low are, high is not. */
static int mapped_end(struct inode *dir, uint64_t low, uint64_t high, uint64_t *ret_end)
{
	struct mapping m;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;
		int r = bmap_lookup(dir, middle, 1, &m);

		if (r < 0)
			return r;
		if (m.physical)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_end = low;
	return 0;
}

/* Free the blocks from keep on, as far as a bounded operation gets. */
static void cut(struct txn *t, struct inode *dir, uint64_t keep)
{
	uint64_t end = dir_nr_blocks(dir);
	int r = 1;

	for (unsigned step = 0; step < SHRINK_MAX_STEPS && r == 1; step++)
		r = bmap_remove(t, dir, keep, BMAP_END);
	if (r != 0 && mapped_end(dir, keep, end, &keep) < 0)
		return;
	for (uint64_t block = keep; block < end; block++)
		space_note(dir, block, 0);
	dir->size = keep << dir->fs->geo.block_shift;
}

static bool block_is_empty(struct inode *dir, uint64_t block)
{
	unsigned whole = dir->fs->geo.block_bytes - DISK_HEAD_BYTES;
	unsigned known = space_known(dir, block);
	struct bufio_buffer *b;
	bool empty;

	if (known)
		return known == whole;
	if (dir_read_block(dir, block, &b) < 0)
		return false;
	empty = area_is_empty(area_of_block(b));
	bufio_release(b);
	return empty;
}

/*
 * The last block became empty: give back what is empty before it too, but keep one empty block, lest
 * a name that comes and goes takes and gives a block each time.
 */
static void cut_empty_end(struct txn *t, struct inode *dir)
{
	uint64_t nr_blocks = dir_nr_blocks(dir), keep = nr_blocks;

	while (keep > 0 && nr_blocks - keep < SHRINK_MAX_BLOCKS && block_is_empty(dir, keep - 1))
		keep--;
	if (keep + 1 < nr_blocks)
		cut(t, dir, keep + 1);
}

/* No name is left: free everything, back into the tail if there is space for an entry. */
static void cut_all(struct txn *t, struct inode *dir)
{
	if (dir->special || inode_data_bytes(dir) < DIRENT_MIN) {
		cut_empty_end(t, dir);
		return;
	}
	cut(t, dir, 0);
	if (dir->size == 0)
		dir_init(dir);
}

/*
 * The name is gone, so what fails here is no error of the removal: the blocks stay, empty, and are
 * used again or freed by a later removal.
 */
static void give_back(struct txn *t, struct inode *dir, uint64_t emptied_block)
{
	if (dir->nr_entries == 0)
		cut_all(t, dir);
	else if (emptied_block == dir_nr_blocks(dir) - 1)
		cut_empty_end(t, dir);
}

int dir_remove(struct txn *t, struct inode *dir, const char *name, const struct dir_entry *e)
{
	unsigned previous;
	struct dir_place p;
	struct dir_name n;
	bool emptied;
	int r;

	r = name_make(name, &n);
	if (r < 0)
		return r;
	r = place_open_entry(dir, e, &p, &previous);
	if (r < 0)
		return r;
	if (!area_matches(p.area, p.offset, &n) || dir->nr_entries == 0)
		r = -EUCLEAN;
	if (r == 0)
		r = place_modify(t, dir, &p);
	if (r == 0 && dir_is_indexed(dir))
		r = index_delete(t, dir, index_key(dir->fs, &n, e->position));
	if (r < 0) {
		place_release(&p);
		return r;
	}
	area_remove(p.area, p.offset, previous);
	dir->nr_entries--;
	place_note_room(dir, &p);
	emptied = p.b && area_is_empty(p.area);
	place_release(&p);
	if (emptied)
		give_back(t, dir, p.block);
	return 0;
}

int dir_replace(struct txn *t, struct inode *dir, const struct dir_entry *e, uint64_t ino,
		unsigned type)
{
	struct disk_dirent *d;
	struct dir_place p;
	unsigned previous;
	int r;

	r = place_open_entry(dir, e, &p, &previous);
	if (r < 0)
		return r;
	r = place_modify(t, dir, &p);
	if (r == 0) {
		d = area_entry(p.area, p.offset);
		d->ino = le48_make(ino);
		d->type = (uint8_t)type;
	}
	place_release(&p);
	return r;
}

/* 1: fill has had enough. */
static int iterate_area(const struct inode *dir, const struct dir_place *p, uint64_t from,
			fs_fill *fill, void *context)
{
	unsigned size = p->area.size;
	char name[NAME_BYTES_MAX + 1];

	for (unsigned o = 0; o < size; o += le16_get(area_entry(p->area, o)->rec_len)) {
		const struct disk_dirent *d = area_entry(p->area, o);
		uint64_t position = place_position(dir, p, o);
		struct fs_dirent entry = {name, le48_get(d->ino), d->type, position + 1};

		if (position < from || !entry.ino)
			continue;
		memcpy(name, d + 1, d->name_len);
		name[d->name_len] = 0;
		if (fill(context, &entry))
			return 1;
	}
	return 0;
}

/* Reads the blocks ahead that adjoin on the device.  An error comes again where the block is needed. */
static void read_ahead(struct inode *dir, uint64_t block)
{
	struct mapping m;

	if (bmap_lookup(dir, block, DIR_AHEAD, &m) == 0 && m.physical)
		meta_read_ahead(dir->fs, m.physical, m.physical, m.count);
}

int dir_iterate(struct inode *dir, uint64_t from, fs_fill *fill, void *context)
{
	uint64_t nr_blocks = dir_is_inline(dir) ? 1 : dir_nr_blocks(dir);
	uint64_t block = from >> dir->fs->geo.block_shift;
	struct dir_place p;
	int r = 0;

	for (; block < nr_blocks && r == 0; block++) {
		if (nr_blocks > 1)
			read_ahead(dir, block);
		r = place_open(dir, block, &p);
		if (r < 0)
			return r;
		r = iterate_area(dir, &p, from, fill, context);
		place_release(&p);
	}
	return 0;
}

void dir_init(struct inode *dir)
{
	struct dir_area a = area_of_inline(dir);

	area_init(a);
	dir->data_format = DATA_INLINE;
	dir->size = a.size;
}

/* The last entry of an inline directory: its offset. */
static unsigned last_entry(struct dir_area a)
{
	unsigned last = 0;

	for (unsigned o = 0; o < a.size; o += le16_get(area_entry(a, o)->rec_len))
		last = o;
	return last;
}

unsigned dir_inline_bytes(struct inode *dir)
{
	struct dir_area a = area_of_inline(dir);
	unsigned last = last_entry(a);

	if (!a.size)
		return 0;
	if (!le48_get(area_entry(a, last)->ino))
		return last + DIRENT_MIN;
	return last + dir_entry_bytes(area_entry(a, last)->name_len);
}

void dir_resize_inline(struct inode *dir, unsigned before)
{
	struct dir_area a = {dir->tail, before}, now = area_of_inline(dir);
	struct disk_dirent *last = area_entry(a, last_entry(a));

	dir->size = now.size;
	if (before)
		last->rec_len = le16_make((uint16_t)(le16_get(last->rec_len) + now.size - before));
	else
		area_init(now);
}
