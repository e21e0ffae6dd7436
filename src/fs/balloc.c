/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The block bitmaps.  A search goes on behind the goal in its group, then through the other groups; the group's
 * cursor makes small files that are made one after the other adjoin.
 *
 * fs->unreserved_blocks is taken before a search and given back when freed blocks are no longer held, so it
 * never exceeds what may be taken, and a search for promised blocks finds some.
 * Calls txn, held, group, meta, bufio.
 */
#include "balloc.h"
#include "bitmap.h"
#include "held.h"
#include "group.h"
#include "meta.h"
#include "super.h"

#include <errno.h>

/* While a long run is looked for: runs looked at in a group; groups looked at before a short one is taken. */
#define MAX_RUNS   128
#define MAX_GROUPS 8
#define GOOD_RUN   64u

/* A search in all groups can miss blocks that others move about meanwhile: so often it is tried. */
#define MAX_PASSES 8

struct run {
	uint32_t bit, count;
};

struct search {
	struct txn *t;
	uint64_t goal;
	uint32_t want, least; /* a run shorter than least is left alone */
	uint64_t block;	      /* found */
	uint32_t count;
};

/* The group's lock is held, so what it counts and what the bitmap says agree. */
static int check_bitmap(const struct fs *fs, const void *data)
{
	const struct geometry *g = &fs->geo;
	const struct disk_head *h = data;
	const uint8_t *map = (const uint8_t *)data + DISK_HEAD_BYTES;
	uint32_t group = (uint32_t)le64_get(h->owner), nr = geo_group_blocks(g, group);
	uint32_t fixed = geo_fixed_blocks(g, group), bits = bitmap_nr_bits(g);

	if (bitmap_find_zero(map, 0, fixed) != fixed || bitmap_find_zero(map, nr, bits) != bits ||
	    (g->nr_groups == 1 && !bitmap_test(map, nr - 1)))
		return -EUCLEAN;
	return bitmap_count_zeros(map, nr) == fs->groups[group].free_blocks ? 0 : -EUCLEAN;
}

int balloc_bitmap_locked(struct fs *fs, uint32_t group, struct bufio_buffer **ret_b)
{
	uint64_t block = geo_block_bitmap(&fs->geo, group);
	uint8_t *map;
	int r;

	if (!(fs->groups[group].flags & GROUP_BLOCKS_UNINIT))
		return meta_read(fs, block,
				 &(struct meta_expected){META_BLOCK_BITMAP, group, check_bitmap},
				 ret_b);
	r = meta_new(fs, block, META_BLOCK_BITMAP, group, ret_b);
	if (r < 0)
		return r;
	map = bitmap_bits(bufio_data(*ret_b));
	bitmap_init_blocks(&fs->geo, group, map);
	if (bitmap_count_zeros(map, bitmap_nr_bits(&fs->geo)) == fs->groups[group].free_blocks)
		return 0;
	bufio_release(*ret_b);
	*ret_b = NULL;
	return -EUCLEAN;
}

int balloc_bitmap(struct fs *fs, uint32_t group, struct bufio_buffer **ret_b)
{
	int r;

	*ret_b = NULL;
	if (group >= fs->geo.nr_groups)
		return -ERANGE;
	pthread_mutex_lock(&fs->groups[group].lock);
	r = balloc_bitmap_locked(fs, group, ret_b);
	pthread_mutex_unlock(&fs->groups[group].lock);
	return r;
}

/* The first run of want in [from, to), or the longest of the first ones. */
static struct run find_run(const uint8_t *map, uint32_t from, uint32_t to, uint32_t want)
{
	struct run best = {0, 0};
	uint32_t bit = from, limit, end;

	for (unsigned i = 0; i < MAX_RUNS && best.count < want; i++) {
		bit = bitmap_find_zero(map, bit, to);
		if (bit == to)
			break;
		limit = want < to - bit ? bit + want : to;
		end = bitmap_find_one(map, bit, limit);
		if (end - bit > best.count)
			best = (struct run){bit, end - bit};
		bit = end;
	}
	return best;
}

/* The start of the search: the goal, unless it is no more than "somewhere in this group". */
static uint32_t start_bit(const struct search *s, uint32_t group)
{
	const struct geometry *g = &s->t->fs->geo;
	uint32_t fixed = geo_fixed_blocks(g, group), cursor = s->t->fs->groups[group].block_cursor;
	uint32_t bit;

	if (geo_group_of_block(g, s->goal) == group) {
		bit = (uint32_t)(s->goal - geo_group_start(g, group));
		if (bit > fixed)
			return bit;
	}
	return cursor < fixed ? fixed : cursor;
}

static struct run find_locked(const struct search *s, uint32_t group, const uint8_t *map)
{
	const struct geometry *g = &s->t->fs->geo;
	uint32_t nr = geo_group_blocks(g, group), from = start_bit(s, group);
	struct run run, other;

	if (from >= nr)
		from = geo_fixed_blocks(g, group);
	if (!bitmap_test(map, from) && geo_group_start(g, group) + from == s->goal) {
		run = find_run(map, from, bitmap_find_one(map, from, nr), s->want);
		if (run.count >= s->least)
			return run;
	}
	run = find_run(map, from, nr, s->want);
	if (run.count >= s->want)
		return run;
	other = find_run(map, geo_fixed_blocks(g, group), from, s->want);
	return other.count > run.count ? other : run;
}

static int take_locked(struct search *s, uint32_t group, struct bufio_buffer *bitmap)
{
	struct fs *fs = s->t->fs;
	struct group *gr = &fs->groups[group];
	uint8_t *map = bitmap_bits(bufio_data(bitmap));
	struct run run = find_locked(s, group, held_map_locked(fs, group, map));
	struct bufio_buffer *gdt;
	int r;

	if (run.count < s->least)
		return -ENOSPC;
	r = group_modify_with_bitmap_locked(s->t, group, bitmap, &gdt);
	if (r < 0)
		return r;
	bitmap_set(map, run.bit, run.bit + run.count);
	held_taken_locked(fs, group, run.bit, run.count);
	gr->free_blocks -= run.count;
	gr->flags &= (uint16_t)~GROUP_BLOCKS_UNINIT;
	gr->block_cursor = run.bit + run.count;
	group_put_locked(fs, group, gdt);
	s->block = geo_group_start(&fs->geo, group) + run.bit;
	s->count = run.count;
	return 0;
}

static int search_group(struct search *s, uint32_t group)
{
	struct fs *fs = s->t->fs;
	struct group *gr = &fs->groups[group];
	struct bufio_buffer *b;
	int r = -ENOSPC;

	pthread_mutex_lock(&gr->lock);
	if (gr->free_blocks >= s->least) {
		r = balloc_bitmap_locked(fs, group, &b);
		if (r == 0) {
			r = take_locked(s, group, b);
			bufio_release(b);
		}
	}
	pthread_mutex_unlock(&gr->lock);
	return r;
}

/* A group that cannot be read is passed over; its error counts only if no other has blocks. */
static int search_groups(struct search *s, uint32_t max_groups)
{
	const struct geometry *g = &s->t->fs->geo;
	uint32_t first = s->goal < g->nr_blocks ? geo_group_of_block(g, s->goal) : 0;
	int r, failed = -ENOSPC;

	for (uint32_t i = 0; i < g->nr_groups && i < max_groups; i++) {
		uint32_t group = first + i < g->nr_groups ? first + i : first + i - g->nr_groups;

		r = search_group(s, group);
		if (r == 0)
			return 0;
		if (r != -ENOSPC && failed == -ENOSPC)
			failed = r;
	}
	return failed;
}

static int search(struct search *s)
{
	int r = -ENOSPC;

	s->least = s->want < GOOD_RUN ? s->want : GOOD_RUN;
	if (s->least > 1)
		r = search_groups(s, MAX_GROUPS);
	s->least = 1;
	for (unsigned i = 0; i < MAX_PASSES && r == -ENOSPC; i++)
		r = search_groups(s, UINT32_MAX);
	return r;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Take up to want of what is promised to nobody and not kept; what is promised to t may as well be of the kept ones. */
static uint32_t take_unreserved(const struct txn *t, uint32_t want)
{
	struct fs *fs = t->fs;
	uint64_t left = atomic_load(&fs->unreserved_blocks), ours;
	uint32_t nr;

	do {
		ours = left + t->reserved;
		ours = ours > fs->kept_blocks ? ours - fs->kept_blocks : 0;
		nr = (uint32_t)least(least(ours, left), want);
	} while (nr && !atomic_compare_exchange_weak(&fs->unreserved_blocks, &left, left - nr));
	return nr;
}

bool balloc_has(const struct fs *fs, uint64_t nr)
{
	return atomic_load(&fs->unreserved_blocks) >= fs->kept_blocks + nr;
}

int balloc_alloc(struct txn *t, uint64_t goal, uint32_t want, uint64_t *ret_block,
		 uint32_t *ret_count)
{
	struct search s = {.t = t, .goal = goal};
	struct fs *fs = t->fs;
	int r;

	if (!want)
		return -EINVAL;
	held_release(fs);
	s.want = take_unreserved(t, want);
	if (!s.want)
		return -ENOSPC;
	r = search(&s);
	atomic_fetch_add(&fs->unreserved_blocks, s.want - (r == 0 ? s.count : 0));
	if (r < 0)
		return r;
	atomic_fetch_sub(&fs->free_blocks, s.count);
	*ret_block = s.block;
	*ret_count = s.count;
	return 0;
}

static void report(struct fs *fs, uint64_t block, int error)
{
	super_report(
		fs,
		&(struct fs_error){
			.block = block, .error = error, .function = "balloc", .line = __LINE__},
		FS_CORRUPT);
}

/*
 * Is a block, which the bitmap said was free, in the open transaction?  What that freed is held, so the bitmap lies, and who
 * asks for a block may be about to change this one.
 */
static bool is_joined(const struct txn *t, uint64_t block)
{
	struct bufio_buffer *b;
	bool joined;

	if (bufio_get(t->fs->bufio, block, &b) != 0)
		return false;
	joined = meta_joined(b) == t->seq;
	bufio_release(b);
	return joined;
}

int balloc_alloc_reserved(struct txn *t, uint64_t goal, uint64_t *ret_block)
{
	struct search s = {.t = t, .goal = goal, .want = 1};
	int r;

	held_release(t->fs);
	if (!t->reserved)
		return -ENOSPC;
	r = search(&s);
	if (r < 0)
		return r;
	t->reserved--;
	atomic_fetch_sub(&t->fs->free_blocks, 1);
	if (is_joined(t, s.block)) {
		report(t->fs, s.block, -EUCLEAN);
		return -EUCLEAN;
	}
	*ret_block = s.block;
	return 0;
}

/*
 * Their contents need not be written any more, unless a crash now would bring them back: what the
 * log has an image of has to get home, and so has data of a transaction that is being committed.
 */
static void forget(struct fs *fs, uint64_t block, uint64_t count)
{
	uint64_t from = block;

	if (atomic_load(&fs->log->data_unwritten))
		return;
	for (uint64_t i = block; i <= block + count; i++) {
		if (i < block + count && !log_is_live(fs->log, i))
			continue;
		if (i > from)
			bufio_discard_buffers(fs->bufio, from, i - from);
		from = i + 1;
	}
}

static int give_locked(struct txn *t, uint32_t group, struct run run)
{
	struct group *gr = &t->fs->groups[group];
	struct bufio_buffer *b, *gdt;
	uint8_t *map;
	int r;

	r = balloc_bitmap_locked(t->fs, group, &b);
	if (r < 0)
		return r;
	map = bitmap_bits(bufio_data(b));
	r = -EUCLEAN;
	if (bitmap_find_zero(map, run.bit, run.bit + run.count) == run.bit + run.count &&
	    !(gr->flags & GROUP_BLOCKS_UNINIT))
		r = group_modify_with_bitmap_locked(t, group, b, &gdt);
	if (r == 0) {
		r = held_prepare_locked(t->fs, group, map);
		if (r < 0)
			bufio_release(gdt);
	}
	if (r == 0) {
		forget(t->fs, geo_group_start(&t->fs->geo, group) + run.bit, run.count);
		bitmap_clear(map, run.bit, run.bit + run.count);
		held_add_locked(t->fs, group, run.bit, run.count, t->seq);
		gr->free_blocks += run.count;
		group_put_locked(t->fs, group, gdt);
	}
	bufio_release(b);
	return r;
}

static int prepare_locked(struct txn *t, uint32_t group)
{
	struct bufio_buffer *b, *gdt;
	int r;

	if (t->fs->groups[group].flags & GROUP_BLOCKS_UNINIT)
		return -EUCLEAN;
	r = balloc_bitmap_locked(t->fs, group, &b);
	if (r < 0)
		return r;
	r = group_modify_with_bitmap_locked(t, group, b, &gdt);
	if (r == 0)
		bufio_release(gdt);
	bufio_release(b);
	return r;
}

int balloc_prepare_free(struct txn *t, uint64_t block)
{
	const struct geometry *g = &t->fs->geo;
	uint32_t group;
	int r;

	if (!geo_is_data(g, block, 1))
		return -EUCLEAN;
	group = geo_group_of_block(g, block);
	pthread_mutex_lock(&t->fs->groups[group].lock);
	r = prepare_locked(t, group);
	pthread_mutex_unlock(&t->fs->groups[group].lock);
	return r;
}

static int give(struct txn *t, uint64_t block, uint64_t count)
{
	const struct geometry *g = &t->fs->geo;
	struct run run;
	uint32_t group;
	int r;

	/* A valid run lies in one group, for each begins with blocks that are not. */
	if (!geo_is_data(g, block, count))
		return -EUCLEAN;
	group = geo_group_of_block(g, block);
	run = (struct run){(uint32_t)(block - geo_group_start(g, group)), (uint32_t)count};
	pthread_mutex_lock(&t->fs->groups[group].lock);
	r = give_locked(t, group, run);
	pthread_mutex_unlock(&t->fs->groups[group].lock);
	return r;
}

int balloc_free(struct txn *t, uint64_t block, uint64_t count)
{
	int r = give(t, block, count);

	if (r == 0)
		atomic_fetch_add(&t->fs->free_blocks, count);
	else /* whoever had them has them no more: they are nobody's */
		report(t->fs, block, r);
	return r;
}
