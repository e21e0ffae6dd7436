/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The B+tree of FORMAT.md section 7.  Nodes are checked when they enter the cache; what could still
 * change behind our back in a hostile image (a node that is also a file's data) can make a
 * search wrong, never unsafe: counts are clamped, levels are compared with the parent's at each step down.
 *
 * An insert takes all nodes it needs, and pins all it changes, before the first change.
 * Calls balloc, txn and meta.
 */
#include "btree_node.h"
#include "balloc.h"

#include <errno.h>
#include <string.h>

#define MAX_STEPS (TREE_MAX_LEVEL + 1)

/* From the root down: a node and an index in it. */
struct step {
	struct bufio_buffer *b;
	unsigned index;
};

struct path {
	struct step steps[MAX_STEPS]; /* by level: 0 is the leaf */
	unsigned nr;		      /* levels; those from `held` up are held */
	unsigned held;
};

/* Read a node; level is what it must be, or MAX_STEPS for a root: any. */
static int read_node(const struct btree *bt, uint64_t block, unsigned level,
		     struct bufio_buffer **ret_b)
{
	struct bufio_buffer *b;
	unsigned found;
	int r;

	if (!geo_is_data(&bt->fs->geo, block, 1))
		return -EUCLEAN;
	r = meta_read(bt->fs, block, &(struct meta_expected){bt->kind, bt->owner, node_check}, &b);
	if (r < 0)
		return r;
	found = node_level(bufio_data(b));
	if (found > TREE_MAX_LEVEL || (level != MAX_STEPS && found != level) ||
	    (level != MAX_STEPS && !node_count(bt->fs, bt->kind, bufio_data(b)))) {
		bufio_release(b);
		return -EUCLEAN;
	}
	*ret_b = b;
	return 0;
}

static void path_finish(struct path *p)
{
	while (p->held < p->nr)
		bufio_release(p->steps[p->held++].b);
}

static const void *step_node(const struct path *p, unsigned level)
{
	return bufio_data(p->steps[level].b);
}

/* The first index whose key is > key; in an inner node at least 1. */
static unsigned upper_bound(const struct btree *bt, const void *node, uint64_t key)
{
	unsigned low = node_level(node) ? 1 : 0, high = node_count(bt->fs, bt->kind, node);

	while (low < high) {
		unsigned mid = (low + high) / 2;

		if (key_at(bt->kind, node, mid) <= key)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Read the node at level below the one above it in the path. */
static int step_down(const struct btree *bt, struct path *p, unsigned level)
{
	const struct step *above = &p->steps[level + 1];
	struct bufio_buffer *b;
	int r;

	r = read_node(bt, child_at(bufio_data(above->b), above->index), level, &b);
	if (r < 0)
		return r;
	p->steps[level] = (struct step){b, 0};
	p->held = level;
	return 0;
}

/*
 * Go down to the leaf for key.  The leaf's index is of the first record > key, so the one
 * before it is the greatest <= key.  On an error nothing is held.
 */
static int path_init(const struct btree *bt, uint64_t key, struct path *p)
{
	struct bufio_buffer *b;
	unsigned level;
	int r;

	*p = (struct path){.nr = 0};
	if (!bt->root)
		return -ENOENT;
	r = read_node(bt, bt->root, MAX_STEPS, &b);
	if (r < 0)
		return r;
	level = node_level(bufio_data(b));
	p->nr = level + 1;
	p->held = level;
	p->steps[level].b = b;
	for (;; level--) {
		p->steps[level].index = upper_bound(bt, step_node(p, level), key);
		if (!level)
			return 0;
		p->steps[level].index--;
		r = step_down(bt, p, level - 1);
		if (r < 0) {
			path_finish(p);
			return r;
		}
	}
}

enum side { SIDE_BEFORE, SIDE_BEHIND };

/* Go to the neighbouring leaf: its last record before, its first behind.  -ENOENT: there is none. */
static int path_turn(const struct btree *bt, struct path *p, enum side side)
{
	unsigned level;
	int r;

	for (level = 1; level < p->nr; level++) {
		struct step *s = &p->steps[level];
		unsigned count = node_count(bt->fs, bt->kind, bufio_data(s->b));

		if (side == SIDE_BEFORE ? s->index > 0 : s->index + 1 < count)
			break;
	}
	if (level >= p->nr)
		return -ENOENT;
	p->steps[level].index += side == SIDE_BEFORE ? -1u : 1u;
	while (p->held < level)
		bufio_release(p->steps[p->held++].b);
	while (level--) {
		r = step_down(bt, p, level);
		if (r < 0)
			return r;
		if (side == SIDE_BEFORE)
			p->steps[level].index =
				node_count(bt->fs, bt->kind, step_node(p, level)) - 1;
	}
	return 0;
}

/* A tree that lies, its keys not where the nodes above say, may lead to one on the wrong side. */
static int copy_record(const struct btree *bt, const struct path *p, uint64_t key, enum side side,
		       void *ret)
{
	unsigned index = p->steps[0].index;
	uint64_t found = key_at(bt->kind, step_node(p, 0), index);

	if (side == SIDE_BEFORE ? found > key : found < key)
		return -EUCLEAN;
	memcpy(ret, entry_at(bt->kind, step_node(p, 0), index), entry_bytes(bt->kind, 0));
	return 0;
}

int btree_find_le(const struct btree *bt, uint64_t key, void *ret_record)
{
	struct path p;
	int r;

	r = path_init(bt, key, &p);
	if (r < 0)
		return r;
	if (p.steps[0].index)
		p.steps[0].index--;
	else
		r = path_turn(bt, &p, SIDE_BEFORE);
	if (r == 0)
		r = copy_record(bt, &p, key, SIDE_BEFORE, ret_record);
	path_finish(&p);
	return r;
}

/* Does the record before the leaf's index have this key? */
static bool is_exact(const struct btree *bt, const struct path *p, uint64_t key)
{
	unsigned index = p->steps[0].index;

	return index && key_at(bt->kind, step_node(p, 0), index - 1) == key;
}

int btree_find_ge(const struct btree *bt, uint64_t key, void *ret_record)
{
	struct path p;
	int r;

	r = path_init(bt, key, &p);
	if (r < 0)
		return r;
	if (is_exact(bt, &p, key))
		p.steps[0].index--;
	else if (p.steps[0].index >= node_count(bt->fs, bt->kind, step_node(&p, 0)))
		r = path_turn(bt, &p, SIDE_BEHIND);
	if (r == 0)
		r = copy_record(bt, &p, key, SIDE_BEHIND, ret_record);
	path_finish(&p);
	return r;
}

/* Changes */

/* Nodes taken for an insert, held and pinned. */
struct fresh {
	struct bufio_buffer *nodes[BTREE_INSERT_BLOCKS];
	unsigned nr;
};

static int fresh_add(struct btree *bt, struct txn *t, uint64_t goal, struct fresh *f)
{
	uint64_t block;
	int r;

	r = balloc_alloc_reserved(t, goal, &block);
	if (r < 0)
		return r;
	r = meta_new(bt->fs, block, bt->kind, bt->owner, &f->nodes[f->nr]);
	if (r == 0) {
		r = txn_modify(t, f->nodes[f->nr]);
		if (r < 0)
			bufio_release(f->nodes[f->nr]);
	}
	if (r < 0) {
		balloc_free(t, block, 1);
		return r;
	}
	f->nr++;
	return 0;
}

static void fresh_release(struct fresh *f)
{
	while (f->nr)
		bufio_release(f->nodes[--f->nr]);
}

static void fresh_give_back(struct txn *t, struct fresh *f)
{
	while (f->nr) {
		uint64_t block = bufio_block(f->nodes[--f->nr]);

		bufio_release(f->nodes[f->nr]);
		balloc_free(t, block, 1);
	}
}

static int fresh_init(struct btree *bt, struct txn *t, uint64_t goal, unsigned nr, struct fresh *f)
{
	int r = 0;

	f->nr = 0;
	while (f->nr < nr && r == 0)
		r = fresh_add(bt, t, goal, f);
	if (r < 0)
		fresh_give_back(t, f);
	return r;
}

static struct disk_branch branch_to(const struct btree *bt, struct bufio_buffer *b)
{
	return (struct disk_branch){.key = le64_make(key_at(bt->kind, bufio_data(b), 0)),
				    .child = le64_make(bufio_block(b))};
}

static void make_root(struct btree *bt, struct bufio_buffer *root, unsigned level,
		      const struct disk_branch *first, const struct disk_branch *second)
{
	struct disk_node *node = bufio_data(root);

	node->level = le16_make((uint16_t)level);
	node_insert(bt, node, 0, first);
	node_insert(bt, node, 1, second);
	bt->root = bufio_block(root);
}

/* Full nodes from the leaf up. */
static unsigned count_full(const struct btree *bt, const struct path *p)
{
	unsigned level;

	for (level = 0; level < p->nr; level++) {
		if (node_count(bt->fs, bt->kind, step_node(p, level)) <
		    max_entries(bt->fs, bt->kind, level))
			break;
	}
	return level;
}

/* Nothing here fails: f has a node for each split, and one for a new root if the root is split. */
static void insert_split(struct btree *bt, struct path *p, struct fresh *f, const void *record)
{
	struct disk_branch branch, first;
	const void *entry = record;
	unsigned full = count_full(bt, p), level;

	for (level = 0; level < full; level++) {
		struct step *s = &p->steps[level];
		unsigned index = level ? s->index + 1 : s->index;

		node_split(bt, bufio_data(s->b), bufio_data(f->nodes[level]), index, entry);
		branch = branch_to(bt, f->nodes[level]);
		entry = &branch;
	}
	if (level < p->nr) {
		struct step *s = &p->steps[level];

		node_insert(bt, bufio_data(s->b), level ? s->index + 1 : s->index, entry);
		return;
	}
	first = branch_to(bt, p->steps[level - 1].b);
	make_root(bt, f->nodes[level], level, &first, &branch);
}

/* Pin the nodes of the path below level. */
static int path_modify(struct txn *t, struct path *p, unsigned levels)
{
	int r = 0;

	for (unsigned level = 0; level < levels && level < p->nr && r == 0; level++)
		r = txn_modify(t, p->steps[level].b);
	return r;
}

static int insert_at(struct btree *bt, struct txn *t, uint64_t goal, struct path *p,
		     const void *record)
{
	unsigned full = count_full(bt, p), need = full + (full == p->nr ? 1 : 0);
	struct fresh f;
	int r;

	if (full == p->nr && p->nr > TREE_MAX_LEVEL)
		return -EFBIG;
	r = path_modify(t, p, full + 1);
	if (r == 0)
		r = fresh_init(bt, t, goal, need, &f);
	if (r < 0)
		return r;
	insert_split(bt, p, &f, record);
	bt->delta_blocks += need;
	fresh_release(&f);
	return 0;
}

static int insert_first(struct btree *bt, struct txn *t, uint64_t goal, const void *record)
{
	struct fresh f;
	int r;

	r = fresh_init(bt, t, goal, 1, &f);
	if (r < 0)
		return r;
	node_insert(bt, bufio_data(f.nodes[0]), 0, record);
	bt->root = bufio_block(f.nodes[0]);
	bt->delta_blocks++;
	fresh_release(&f);
	return 0;
}

int btree_insert(struct btree *bt, struct txn *t, uint64_t goal, const void *record)
{
	uint64_t key = btree_key(bt->kind, record);
	struct path p;
	int r;

	if (!bt->root)
		return insert_first(bt, t, goal, record);
	r = path_init(bt, key, &p);
	if (r < 0)
		return r;
	r = is_exact(bt, &p, key) ? -EEXIST : insert_at(bt, t, goal, &p, record);
	path_finish(&p);
	return r;
}

int btree_update(struct btree *bt, struct txn *t, const void *record)
{
	uint64_t key = btree_key(bt->kind, record);
	struct path p;
	int r;

	r = path_init(bt, key, &p);
	if (r < 0)
		return r;
	r = is_exact(bt, &p, key) ? txn_modify(t, p.steps[0].b) : -ENOENT;
	if (r == 0)
		memcpy(entry_at(bt->kind, step_node(&p, 0), p.steps[0].index - 1), record,
		       entry_bytes(bt->kind, 0));
	path_finish(&p);
	return r;
}

/* How many nodes from the leaf up the removal of one record empties. */
static unsigned count_emptied(const struct btree *bt, const struct path *p)
{
	unsigned level = 0;

	while (level < p->nr && node_count(bt->fs, bt->kind, step_node(p, level)) == 1)
		level++;
	return level;
}

/* Free the nodes of the path below levels, which are given back first: what is held cannot be dropped. */
static int free_emptied(struct btree *bt, struct txn *t, struct path *p, unsigned levels)
{
	int r, failed = 0;

	while (p->held < levels) {
		uint64_t block = bufio_block(p->steps[p->held].b);

		bufio_release(p->steps[p->held++].b);
		r = balloc_free(t, block, 1);
		if (r == 0)
			bt->delta_blocks--;
		else if (failed == 0)
			failed = r;
	}
	return failed;
}

/* A root with one child is one level too many. */
static int drop_level(struct btree *bt, struct txn *t, bool *ret_dropped)
{
	struct bufio_buffer *b, *below;
	uint64_t old = bt->root, child;
	int r;

	*ret_dropped = false;
	r = read_node(bt, old, MAX_STEPS, &b);
	if (r < 0)
		return r;
	child = node_level(bufio_data(b)) && node_count(bt->fs, bt->kind, bufio_data(b)) == 1
			? child_at(bufio_data(b), 0)
			: 0;
	if (child) {
		r = read_node(bt, child, node_level(bufio_data(b)) - 1, &below);
		if (r == 0)
			bufio_release(below);
	}
	bufio_release(b);
	if (!child || r < 0)
		return r;
	r = balloc_prepare_free(t, old);
	if (r == 0)
		r = balloc_free(t, old, 1);
	if (r < 0)
		return r;
	bt->root = child;
	bt->delta_blocks--;
	*ret_dropped = true;
	return 0;
}

static void collapse(struct btree *bt, struct txn *t)
{
	bool dropped = true;

	/* What cannot be read now stays a level too high, which is no fault. */
	while (dropped && drop_level(bt, t, &dropped) == 0)
		;
}

static int prepare_free(struct txn *t, const struct path *p, unsigned levels)
{
	int r = 0;

	for (unsigned level = 0; level < levels && r == 0; level++)
		r = balloc_prepare_free(t, bufio_block(p->steps[level].b));
	return r;
}

static int remove_at(struct btree *bt, struct txn *t, struct path *p, unsigned emptied)
{
	struct step *s;
	int r;

	if (emptied == p->nr) {
		bt->root = 0;
		return free_emptied(bt, t, p, emptied);
	}
	s = &p->steps[emptied];
	node_remove(bt, bufio_data(s->b), emptied ? s->index : s->index - 1);
	r = free_emptied(bt, t, p, emptied);
	path_finish(p);
	if (emptied)
		collapse(bt, t);
	return r;
}

static int delete_at(struct btree *bt, struct txn *t, struct path *p)
{
	unsigned emptied = count_emptied(bt, p);
	int r;

	r = prepare_free(t, p, emptied);
	if (r == 0 && emptied < p->nr)
		r = txn_modify(t, p->steps[emptied].b);
	return r < 0 ? r : remove_at(bt, t, p, emptied);
}

int btree_delete(struct btree *bt, struct txn *t, uint64_t key)
{
	struct path p;
	int r;

	r = path_init(bt, key, &p);
	if (r < 0)
		return r;
	r = is_exact(bt, &p, key) ? delete_at(bt, t, &p) : -ENOENT;
	path_finish(&p);
	return r;
}

/* One subtree; ends at level 0, for each level is one below its parent's. */
static int walk(const struct btree *bt, uint64_t block, unsigned level, btree_visit *visit,
		void *context)
{
	struct bufio_buffer *b;
	int r;

	r = read_node(bt, block, level, &b);
	if (r < 0)
		return r;
	level = node_level(bufio_data(b));
	r = visit(context, block, level, bufio_data(b));
	for (unsigned i = 0; level && r == 0 && i < node_count(bt->fs, bt->kind, bufio_data(b));
	     i++)
		r = walk(bt, child_at(bufio_data(b), i), level - 1, visit, context);
	bufio_release(b);
	return r;
}

int btree_walk(const struct btree *bt, btree_visit *visit, void *context)
{
	return bt->root ? walk(bt, bt->root, MAX_STEPS, visit, context) : 0;
}
