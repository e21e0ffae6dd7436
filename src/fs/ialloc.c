/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inode bitmaps and the part of the inode table that has been written.  The inodes themselves are
 * inode.c's.  Calls txn, group, meta, bufio.
 */
#include "ialloc.h"
#include "bitmap.h"
#include "group.h"
#include "meta.h"
#include "super.h"

#include <errno.h>

/* How many groups a new directory below the root may choose from. */
#define MAX_CANDIDATES 64u

/* Blocks of the inode table that are read at once. */
#define TABLE_AHEAD 32u

/* Of a table's blocks that cannot be read so many are passed over. */
#define MOST_UNREADABLE 8u

/* The group's lock is held.  Behind the mark no inode can be in use. */
static int check_bitmap(const struct fs *fs, const void *data)
{
	const struct geometry *g = &fs->geo;
	const struct disk_head *h = data;
	const struct group *gr = &fs->groups[le64_get(h->owner)];
	const uint8_t *map = (const uint8_t *)data + DISK_HEAD_BYTES;
	uint32_t nr = g->inodes_per_group, bits = bitmap_nr_bits(g);

	if (bitmap_find_zero(map, nr, bits) != bits ||
	    bitmap_find_one(map, gr->itable_mark, nr) != nr)
		return -EUCLEAN;
	return bitmap_count_zeros(map, nr) == gr->free_inodes ? 0 : -EUCLEAN;
}

static int bitmap_locked(struct fs *fs, uint32_t group, struct bufio_buffer **ret_b)
{
	uint64_t block = geo_inode_bitmap(&fs->geo, group);
	int r;

	if (!(fs->groups[group].flags & GROUP_INODES_UNINIT))
		return meta_read(fs, block,
				 &(struct meta_expected){META_INODE_BITMAP, group, check_bitmap},
				 ret_b);
	r = meta_new(fs, block, META_INODE_BITMAP, group, ret_b);
	if (r == 0)
		bitmap_init_inodes(&fs->geo, bitmap_bits(bufio_data(*ret_b)));
	return r;
}

int ialloc_bitmap(struct fs *fs, uint32_t group, struct bufio_buffer **ret_b)
{
	int r;

	*ret_b = NULL;
	if (group >= fs->geo.nr_groups)
		return -ERANGE;
	pthread_mutex_lock(&fs->groups[group].lock);
	r = bitmap_locked(fs, group, ret_b);
	pthread_mutex_unlock(&fs->groups[group].lock);
	return r;
}

/* The inodes of a directory's files are neighbours, and who looks at one mostly looks at the next. */
static void read_table_ahead(struct fs *fs, uint64_t ino, uint32_t mark)
{
	const struct geometry *g = &fs->geo;
	uint64_t block = geo_inode_block(g, ino);
	uint32_t index = geo_index_of_ino(g, ino) / g->inodes_per_block;
	uint32_t first = index - index % TABLE_AHEAD, nr = mark / g->inodes_per_block - first;

	meta_read_ahead(fs, block, block - (index - first), nr < TABLE_AHEAD ? nr : TABLE_AHEAD);
}

/* The table block of an inode before the mark of its group. */
static int read_table_block(struct fs *fs, uint64_t ino, uint32_t mark, struct bufio_buffer **ret_b)
{
	const struct geometry *g = &fs->geo;

	read_table_ahead(fs, ino, mark);
	return meta_read(fs, geo_inode_block(g, ino),
			 &(struct meta_expected){META_ITABLE, geo_group_of_ino(g, ino), NULL},
			 ret_b);
}

/* Make the table block behind the mark; the mark is the caller's to raise. */
static int make_table_block(struct txn *t, uint32_t group)
{
	const struct geometry *g = &t->fs->geo;
	uint32_t index = t->fs->groups[group].itable_mark / g->inodes_per_block;
	struct bufio_buffer *b;
	int r;

	r = meta_new(t->fs, geo_itable(g, group) + index, META_ITABLE, group, &b);
	if (r < 0)
		return r;
	r = txn_modify(t, b);
	bufio_release(b);
	return r;
}

/* A free bit; it is behind the mark by at most the next block, because all behind the mark are free. */
static uint32_t find_locked(const struct group *gr, const uint8_t *map, uint32_t nr)
{
	uint32_t from = gr->inode_cursor < gr->itable_mark ? gr->inode_cursor : gr->itable_mark;
	uint32_t bit = bitmap_find_zero(map, from, nr);

	return bit < nr ? bit : bitmap_find_zero(map, 0, nr);
}

static uint64_t ino_of(const struct fs *fs, uint32_t group, uint32_t bit)
{
	return (uint64_t)group * fs->geo.inodes_per_group + bit + 1;
}

/*
 * The same, in a table block that can be read: where the device has lost one, the next will do.  -EIO: a few in
 * a row could not be.
 */
static int choose_locked(struct fs *fs, uint32_t group, const uint8_t *map, uint32_t *ret_bit)
{
	const struct geometry *g = &fs->geo;
	const struct group *gr = &fs->groups[group];
	uint32_t bit = find_locked(gr, map, g->inodes_per_group), per = g->inodes_per_block;
	struct bufio_buffer *b;
	int r = 0;

	for (unsigned i = 0; bit < gr->itable_mark && i < MOST_UNREADABLE; i++) {
		r = read_table_block(fs, ino_of(fs, group, bit), gr->itable_mark, &b);
		if (r == 0)
			bufio_release(b);
		if (r != -EIO)
			break;
		bit = bitmap_find_zero(map, bit / per * per + per, g->inodes_per_group);
	}
	*ret_bit = bit;
	if (bit < gr->itable_mark)
		return r;
	if (bit < g->inodes_per_group)
		return 0; /* in a block that is to be made */
	return r < 0 ? r : -ENOSPC;
}

static int take_locked(struct txn *t, uint32_t group, bool is_dir, struct bufio_buffer *bitmap,
		       uint32_t *ret_index)
{
	const struct geometry *g = &t->fs->geo;
	struct group *gr = &t->fs->groups[group];
	uint8_t *map = bitmap_bits(bufio_data(bitmap));
	struct bufio_buffer *gdt;
	uint32_t bit;
	bool raise;
	int r;

	r = choose_locked(t->fs, group, map, &bit);
	if (r < 0)
		return r;
	raise = bit >= gr->itable_mark;
	r = raise ? make_table_block(t, group) : 0;
	if (r == 0)
		r = group_modify_with_bitmap_locked(t, group, bitmap, &gdt);
	if (r < 0)
		return r;
	bitmap_set(map, bit, bit + 1);
	gr->free_inodes--;
	gr->nr_dirs += is_dir ? 1 : 0;
	gr->itable_mark += raise ? g->inodes_per_block : 0;
	gr->flags &= (uint16_t)~GROUP_INODES_UNINIT;
	gr->inode_cursor = bit + 1;
	group_put_locked(t->fs, group, gdt);
	*ret_index = bit;
	return 0;
}

static int take_in_group(struct txn *t, uint32_t group, bool is_dir, uint64_t *ret_ino)
{
	struct group *gr = &t->fs->groups[group];
	struct bufio_buffer *b;
	uint32_t index;
	int r = -ENOSPC;

	pthread_mutex_lock(&gr->lock);
	if (gr->free_inodes) {
		r = bitmap_locked(t->fs, group, &b);
		if (r == 0) {
			r = take_locked(t, group, is_dir, b, &index);
			bufio_release(b);
		}
	}
	pthread_mutex_unlock(&gr->lock);
	if (r == 0)
		*ret_ino = ino_of(t->fs, group, index);
	return r;
}

struct room {
	uint32_t inodes, blocks;
};

static struct room room_of(struct fs *fs, uint32_t group)
{
	struct group *gr = &fs->groups[group];
	struct room room;

	pthread_mutex_lock(&gr->lock);
	room = (struct room){gr->free_inodes, gr->free_blocks};
	pthread_mutex_unlock(&gr->lock);
	return room;
}

/* Directories of the root are the beginnings of trees: far apart, where there is most room. */
static uint32_t spread(struct fs *fs, uint32_t parent)
{
	uint32_t nr = fs->geo.nr_groups, step = nr > MAX_CANDIDATES ? nr / MAX_CANDIDATES : 1;
	uint64_t average = atomic_load(&fs->free_inodes) / nr;
	uint32_t best = parent, best_blocks = 0, group = parent;
	struct room room;

	for (uint32_t i = 0; i < nr && i < MAX_CANDIDATES; i++) {
		room = room_of(fs, group);
		if (room.inodes && room.inodes >= average && room.blocks > best_blocks) {
			best = group;
			best_blocks = room.blocks;
		}
		group = group + step < nr ? group + step : group + step - nr;
	}
	return best;
}

/* Near the parent, unless its group is needed for the files that are there. */
static uint32_t near_parent(struct fs *fs, uint32_t parent)
{
	const struct geometry *g = &fs->geo;
	uint32_t nr = g->nr_groups;

	for (uint32_t i = 0; i < nr && i < MAX_CANDIDATES; i++) {
		uint32_t group = parent + i < nr ? parent + i : parent + i - nr;
		struct room room = room_of(fs, group);

		if (room.inodes > g->inodes_per_group / 16 &&
		    room.blocks > g->blocks_per_group / 16)
			return group;
	}
	return parent;
}

int ialloc_alloc(struct txn *t, uint64_t dir, bool is_dir, uint64_t *ret_ino)
{
	const struct geometry *g = &t->fs->geo;
	uint32_t first;
	int r, failed = -ENOSPC;

	if (dir - 1 >= geo_nr_inodes(g))
		return -EUCLEAN;
	first = geo_group_of_ino(g, dir);
	if (is_dir)
		first = dir == INODE_ROOT ? spread(t->fs, first) : near_parent(t->fs, first);
	for (uint32_t i = 0; i < g->nr_groups; i++) {
		r = take_in_group(t, (uint32_t)(((uint64_t)first + i) % g->nr_groups), is_dir,
				  ret_ino);
		if (r == 0) {
			atomic_fetch_sub(&t->fs->free_inodes, 1);
			return 0;
		}
		if (r != -ENOSPC && failed == -ENOSPC)
			failed = r;
	}
	return failed;
}

static int give_locked(struct txn *t, uint32_t group, uint32_t bit, bool is_dir)
{
	struct group *gr = &t->fs->groups[group];
	struct bufio_buffer *b, *gdt;
	uint8_t *map;
	int r;

	r = bitmap_locked(t->fs, group, &b);
	if (r < 0)
		return r;
	map = bitmap_bits(bufio_data(b));
	r = !bitmap_test(map, bit) || (is_dir && !gr->nr_dirs) ? -EUCLEAN : 0;
	if (r == 0)
		r = group_modify_with_bitmap_locked(t, group, b, &gdt);
	if (r == 0) {
		bitmap_clear(map, bit, bit + 1);
		gr->free_inodes++;
		gr->nr_dirs -= is_dir ? 1 : 0;
		/* Reuse what is low: the written part of the table stays small. */
		if (bit < gr->inode_cursor)
			gr->inode_cursor = bit;
		group_put_locked(t->fs, group, gdt);
	}
	bufio_release(b);
	return r;
}

int ialloc_free(struct txn *t, uint64_t ino, bool is_dir)
{
	const struct geometry *g = &t->fs->geo;
	uint32_t group;
	int r;

	if (ino - 1 >= geo_nr_inodes(g))
		return -EUCLEAN;
	group = geo_group_of_ino(g, ino);
	pthread_mutex_lock(&t->fs->groups[group].lock);
	r = give_locked(t, group, geo_index_of_ino(g, ino), is_dir);
	pthread_mutex_unlock(&t->fs->groups[group].lock);
	if (r == 0)
		atomic_fetch_add(&t->fs->free_inodes, 1);
	return r;
}

static int prepare_locked(struct txn *t, uint32_t group)
{
	struct bufio_buffer *b, *gdt;
	int r;

	if (t->fs->groups[group].flags & GROUP_INODES_UNINIT)
		return -EUCLEAN;
	r = bitmap_locked(t->fs, group, &b);
	if (r < 0)
		return r;
	r = group_modify_with_bitmap_locked(t, group, b, &gdt);
	if (r == 0)
		bufio_release(gdt);
	bufio_release(b);
	return r;
}

int ialloc_prepare_free(struct txn *t, uint64_t ino)
{
	uint32_t group;
	int r;

	if (ino - 1 >= geo_nr_inodes(&t->fs->geo))
		return -EUCLEAN;
	group = geo_group_of_ino(&t->fs->geo, ino);
	pthread_mutex_lock(&t->fs->groups[group].lock);
	r = prepare_locked(t, group);
	pthread_mutex_unlock(&t->fs->groups[group].lock);
	return r;
}

static int orphan_locked(struct txn *t, uint32_t group, int delta)
{
	struct group *gr = &t->fs->groups[group];
	struct bufio_buffer *gdt;
	int r;

	if (delta < 0 && gr->nr_orphans == 0)
		return -EUCLEAN;
	r = group_modify_locked(t, group, &gdt);
	if (r < 0)
		return r;
	gr->nr_orphans += (uint32_t)delta;
	group_put_locked(t->fs, group, gdt);
	return 0;
}

int ialloc_orphan(struct txn *t, uint64_t ino, int delta)
{
	uint32_t group;
	int r;

	if (ino - 1 >= geo_nr_inodes(&t->fs->geo))
		return -EUCLEAN;
	group = geo_group_of_ino(&t->fs->geo, ino);
	pthread_mutex_lock(&t->fs->groups[group].lock);
	r = orphan_locked(t, group, delta);
	pthread_mutex_unlock(&t->fs->groups[group].lock);
	return r;
}

int ialloc_in_use(struct fs *fs, uint64_t ino)
{
	struct bufio_buffer *b;
	uint32_t group;
	int r;

	if (ino - 1 >= geo_nr_inodes(&fs->geo))
		return 0;
	group = geo_group_of_ino(&fs->geo, ino);
	pthread_mutex_lock(&fs->groups[group].lock);
	r = bitmap_locked(fs, group, &b);
	if (r == 0) {
		r = bitmap_test(bitmap_bits(bufio_data(b)), geo_index_of_ino(&fs->geo, ino));
		bufio_release(b);
	}
	pthread_mutex_unlock(&fs->groups[group].lock);
	return r;
}

int ialloc_table_block(struct fs *fs, uint64_t ino, struct bufio_buffer **ret_b)
{
	const struct geometry *g = &fs->geo;
	uint32_t group, mark;

	*ret_b = NULL;
	if (ino - 1 >= geo_nr_inodes(g))
		return -ENOENT;
	group = geo_group_of_ino(g, ino);
	pthread_mutex_lock(&fs->groups[group].lock);
	mark = fs->groups[group].itable_mark;
	pthread_mutex_unlock(&fs->groups[group].lock);
	if (geo_index_of_ino(g, ino) >= mark)
		return -ENOENT;
	return read_table_block(fs, ino, mark, ret_b);
}
