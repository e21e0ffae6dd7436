/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which blocks hold a file.  Extents grow by merging, are split and cut here; where they are
 * kept is extents.c's.  No contents are read or written.  Calls extents and balloc.
 *
 * The map changes before the bitmap when blocks are freed: if the second failed, blocks would be lost
 * until the next check, but none is both mapped and free.
 */
#include "bmap.h"
#include "balloc.h"
#include "btree.h"
#include "extents.h"

#include <assert.h>
#include <errno.h>

/* Extents that one bmap_remove() takes away: each may pin a bitmap and a descriptor block. */
#define REMOVE_STEP 16

/* Changes in a txn while the extents are in the tail: even if they move to a tree then, its first leaf holds all. */
#define TAIL_CHANGES 32

unsigned bmap_changes(const struct inode *inode, unsigned reserved)
{
	if (inode->data_format == DATA_TREE)
		return reserved / BTREE_INSERT_BLOCKS;
	return reserved ? TAIL_CHANGES : 0;
}

static_assert(TXN_KEPT_BLOCKS == 2 * BTREE_INSERT_BLOCKS, "what is kept is enough for two changes");

unsigned bmap_reserve(const struct inode *inode)
{
	return inode->data_format == DATA_TREE ? TXN_KEPT_BLOCKS : 1;
}

static uint64_t extent_end(const struct extent *e)
{
	return e->logical + e->count;
}

/* The part of e from logical on; e covers logical. */
static void extent_part(const struct extent *e, uint64_t logical, struct mapping *ret)
{
	ret->logical = logical;
	ret->physical = e->physical + (logical - e->logical);
	ret->count = extent_end(e) - logical;
	ret->unwritten = e->unwritten;
}

int bmap_next(struct inode *inode, uint64_t logical, struct mapping *ret)
{
	struct extent e;
	int r;

	r = extents_find_le(inode, logical, &e);
	if (r == 0 && extent_end(&e) > logical) {
		extent_part(&e, logical, ret);
		return 0;
	}
	if (r < 0 && r != -ENOENT)
		return r;
	r = extents_find_ge(inode, logical, &e);
	if (r < 0)
		return r;
	extent_part(&e, e.logical, ret);
	return 0;
}

int bmap_lookup(struct inode *inode, uint64_t logical, uint64_t max, struct mapping *ret)
{
	struct mapping m;
	int r;

	r = bmap_next(inode, logical, &m);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == -ENOENT || m.logical > logical) {
		uint64_t hole = r == -ENOENT ? BMAP_END - logical : m.logical - logical;

		m = (struct mapping){.logical = logical, .count = hole};
	}
	if (m.count > max)
		m.count = max;
	*ret = m;
	return 0;
}

/* Can b follow a in one extent? */
static bool extents_join(const struct extent *a, const struct extent *b)
{
	return extent_end(a) == b->logical && a->physical + a->count == b->physical &&
	       a->unwritten == b->unwritten && (uint64_t)a->count + b->count <= EXTENT_MAX_COUNT;
}

/* The extents on both sides of e's range; their count is 0 if there is none.  -EUCLEAN if one is in it. */
static int find_neighbours(struct inode *inode, const struct extent *e, struct extent *ret_left,
			   struct extent *ret_right)
{
	struct extent left = {0}, right = {0};
	int r;

	r = extents_find_le(inode, e->logical, &left);
	if (r < 0 && r != -ENOENT)
		return r;
	r = extents_find_ge(inode, e->logical, &right);
	if (r < 0 && r != -ENOENT)
		return r;
	if (left.count && extent_end(&left) > e->logical)
		return -EUCLEAN;
	if (right.count && right.logical < extent_end(e))
		return -EUCLEAN;
	*ret_left = left;
	*ret_right = right;
	return 0;
}

/* Put e where there is a hole, as part of its neighbours if they can join. */
static int insert_merged(struct txn *t, struct inode *inode, const struct extent *e)
{
	struct extent left, right, whole = *e;
	bool join_left, join_right;
	int r;

	r = find_neighbours(inode, e, &left, &right);
	if (r < 0)
		return r;
	join_left = left.count && extents_join(&left, &whole);
	if (join_left) {
		whole.logical = left.logical;
		whole.physical = left.physical;
		whole.count += left.count;
	}
	join_right = right.count && extents_join(&whole, &right);
	if (join_right) {
		r = extents_delete(t, inode, right.logical);
		if (r < 0)
			return r;
		whole.count += right.count;
	}
	return join_left ? extents_update(t, inode, &whole) : extents_insert(t, inode, &whole);
}

int bmap_insert(struct txn *t, struct inode *inode, const struct mapping *m)
{
	struct extent e = {m->logical, m->physical, (uint32_t)m->count, m->unwritten};
	int r;

	if (!m->count || m->count > EXTENT_MAX_COUNT || m->logical >= BMAP_END ||
	    m->count > BMAP_END - m->logical)
		return -EINVAL;
	r = insert_merged(t, inode, &e);
	if (r < 0)
		return r;
	inode->blocks += m->count;
	return 0;
}

/*
 * Make [from, to) a hole in e, which covers it; what remains before and behind stays.
 * Frees nothing.  What may need a node of a tree comes first: if that fails, all is as it was.
 */
static int extent_cut(struct txn *t, struct inode *inode, const struct extent *e, uint64_t from,
		      uint64_t to)
{
	struct extent head = *e, rest = *e;
	int r;

	head.count = (uint32_t)(from - e->logical);
	rest.logical = to;
	rest.physical = e->physical + (to - e->logical);
	rest.count = (uint32_t)(extent_end(e) - to);
	/* the rest takes its place, in the tail even if that is full */
	if (!head.count && rest.count && inode->data_format == DATA_EXTENTS) {
		r = extents_delete(t, inode, e->logical);
		return r < 0 ? r : extents_insert(t, inode, &rest);
	}
	r = rest.count ? extents_insert(t, inode, &rest) : 0;
	if (r < 0)
		return r;
	r = head.count ? extents_update(t, inode, &head) : extents_delete(t, inode, e->logical);
	if (r < 0 && rest.count)
		extents_delete(t, inode, rest.logical);
	return r;
}

/* Let range, which is within one extent of the other kind, be written or not as it says. */
static int set_kind(struct txn *t, struct inode *inode, const struct mapping *range)
{
	uint64_t from = range->logical;
	struct extent e, part;
	int r;

	r = extents_find_le(inode, from, &e);
	if (r < 0)
		return r;
	if (e.unwritten == range->unwritten || !range->count || from >= extent_end(&e) ||
	    range->count > extent_end(&e) - from)
		return -EINVAL;
	r = extent_cut(t, inode, &e, from, from + range->count);
	if (r < 0)
		return r;
	part = (struct extent){from, e.physical + (from - e.logical), (uint32_t)range->count,
			       range->unwritten};
	return insert_merged(t, inode, &part);
}

int bmap_set_written(struct txn *t, struct inode *inode, uint64_t logical, uint64_t count)
{
	struct mapping written = {.logical = logical, .count = count};

	return set_kind(t, inode, &written);
}

int bmap_set_unwritten(struct txn *t, struct inode *inode, uint64_t logical, uint64_t count)
{
	struct mapping unwritten = {.logical = logical, .count = count, .unwritten = true};

	return set_kind(t, inode, &unwritten);
}

/* Unmap and free the last blocks of [logical, end) that are one extent's.  1 and where they began, or 0: none. */
static int remove_last(struct txn *t, struct inode *inode, uint64_t logical, uint64_t end,
		       uint64_t *ret_from)
{
	uint64_t from, to;
	struct extent e;
	int r;

	r = extents_find_le(inode, end - 1, &e);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	if (extent_end(&e) <= logical)
		return 0;
	from = e.logical > logical ? e.logical : logical;
	to = extent_end(&e) < end ? extent_end(&e) : end;
	r = balloc_prepare_free(t, e.physical);
	if (r == 0)
		r = extent_cut(t, inode, &e, from, to);
	if (r < 0)
		return r;
	inode->blocks -= to - from;
	*ret_from = from;
	r = balloc_free(t, e.physical + (from - e.logical), to - from);
	return r < 0 ? r : 1;
}

int bmap_remove(struct txn *t, struct inode *inode, uint64_t logical, uint64_t end)
{
	int r;

	/* a block that has become another file's must not be what a read of this one finds */
	inode_wait_reads(inode);
	for (unsigned i = 0; i < REMOVE_STEP && end > logical; i++) {
		r = remove_last(t, inode, logical, end, &end);
		if (r <= 0)
			return r;
	}
	return end > logical;
}

uint64_t bmap_goal(struct inode *inode, uint64_t logical)
{
	const struct geometry *g = &inode->fs->geo;
	uint32_t group = geo_group_of_ino(g, inode->ino);
	struct extent e;
	uint64_t goal;

	if (!logical || extents_find_le(inode, logical - 1, &e) < 0)
		return geo_group_start(g, group) + geo_fixed_blocks(g, group);
	goal = e.physical + (logical - e.logical);
	return goal < g->nr_blocks ? goal : e.physical + e.count;
}

/* Blocks for the hole *m or its beginning. */
static int alloc(struct txn *t, struct inode *inode, struct mapping *m)
{
	uint32_t want = m->count < EXTENT_MAX_COUNT ? (uint32_t)m->count : EXTENT_MAX_COUNT, got;
	int r;

	r = balloc_alloc(t, bmap_goal(inode, m->logical), want, &m->physical, &got);
	if (r < 0)
		return r;
	m->count = got;
	r = bmap_insert(t, inode, m);
	if (r < 0)
		balloc_free(t, m->physical, m->count);
	return r;
}

int bmap_alloc(struct txn *t, struct inode *inode, uint64_t logical, uint64_t count,
	       struct mapping *ret)
{
	struct mapping m = {.logical = logical, .count = count};
	int r = alloc(t, inode, &m);

	if (r == 0)
		*ret = m;
	return r;
}

int bmap_preallocate(struct txn *t, struct inode *inode, uint64_t logical, uint64_t count,
		     struct mapping *ret)
{
	struct mapping m = {.logical = logical, .count = count, .unwritten = true};
	int r = alloc(t, inode, &m);

	if (r == 0)
		*ret = m;
	return r;
}
