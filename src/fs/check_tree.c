/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Trees of FORMAT.md section 7, read without trust and written anew.
 *
 * A node is good if its head, level, count and keys are, and its keys lie in the range that its
 * parent's entry gives it.  That range is also what ends the walk of a hostile tree: ranges of
 * siblings are disjoint, so a good node with a record is met once.
 */
#include "btree.h"
#include "check_priv.h"

#include <errno.h>
#include <string.h>

#define LEVEL_ANY (-1)

static unsigned record_bytes(enum meta_kind kind)
{
	return kind == META_EXTENT ? sizeof(struct disk_extent) : sizeof(le64);
}

static uint64_t key_at(enum meta_kind kind, const uint8_t *record, bool leaf)
{
	struct disk_extent e;
	le64 key;

	if (leaf && kind == META_EXTENT) {
		memcpy(&e, record, sizeof(e));
		return le48_get(e.logical);
	}
	memcpy(&key, record, sizeof(key));
	return le64_get(key);
}

struct node {
	uint64_t block;
	int level;	    /* LEVEL_ANY: the root */
	uint64_t low, high; /* keys are in [low, high] */
};

static bool node_is_good(const struct tree_walk *w, const struct node *n, const uint8_t *data)
{
	const struct disk_node *d = (const struct disk_node *)data;
	unsigned level = le16_get(d->level), count = le16_get(d->count);
	unsigned bytes = level ? sizeof(struct disk_branch) : record_bytes(w->kind);
	const uint8_t *at = data + sizeof(*d);
	uint64_t low = n->low;

	if (level > TREE_MAX_LEVEL || (n->level != LEVEL_ANY && (int)level != n->level))
		return false;
	if (count > (w->c->fs.geo.block_bytes - sizeof(*d)) / bytes)
		return false;
	if (count == 0)
		return n->level == LEVEL_ANY && level == 0;
	for (unsigned i = 0; i < count; i++, at += bytes) {
		uint64_t key = key_at(w->kind, at, level == 0);

		/* counts as the lowest, but must be in order too */
		if (level && i == 0 && key < n->low)
			key = n->low;
		if (key < low || key > n->high || (i && key == low))
			return false;
		low = key;
	}
	return true;
}

static void walk_bad(struct tree_walk *w, uint64_t block)
{
	w->nr_bad++;
	if (!w->bad_block)
		w->bad_block = block;
}

static int walk_leaf(struct tree_walk *w, const uint8_t *data)
{
	unsigned count = le16_get(((const struct disk_node *)data)->count);
	const uint8_t *at = data + sizeof(struct disk_node);
	int r = 0;

	for (unsigned i = 0; i < count && r >= 0; i++, at += record_bytes(w->kind))
		r = w->record(w->context, at);
	return r;
}

static struct node node_child(const struct node *parent, const uint8_t *data, unsigned i)
{
	const struct disk_branch *e = (const struct disk_branch *)(data + sizeof(struct disk_node));
	unsigned count = le16_get(((const struct disk_node *)data)->count);

	return (struct node){
		.block = le64_get(e[i].child),
		.level = le16_get(((const struct disk_node *)data)->level) - 1,
		.low = i ? le64_get(e[i].key) : parent->low,
		.high = i + 1 < count ? le64_get(e[i + 1].key) - 1 : parent->high,
	};
}

/* Of a branch: they will be read together. */
static void read_children(struct check *c, const uint8_t *data)
{
	const struct disk_branch *e = (const struct disk_branch *)(data + sizeof(struct disk_node));
	unsigned count = le16_get(((const struct disk_node *)data)->count);

	for (unsigned i = 0; i < count && count > 1; i++)
		ahead_add(c, le64_get(e[i].child), 1);
	ahead_go(c);
}

/* Recursive, to the depth of TREE_MAX_LEVEL. */
static int walk_node(struct tree_walk *w, struct node n)
{
	struct bufio_buffer *b;
	const uint8_t *data;
	int r = -EUCLEAN;

	if (geo_is_data(&w->c->fs.geo, n.block, 1))
		r = block_read(w->c, n.block, w->kind, w->owner, &b);
	if (r == -EUCLEAN)
		walk_bad(w, n.block);
	if (r < 0)
		return r == -EUCLEAN ? 0 : r;
	data = bufio_data(b);
	if (!node_is_good(w, &n, data)) {
		walk_bad(w, n.block);
		bufio_release(b);
		return 0;
	}
	if (w->nodes)
		r = vec_push(w->nodes, sizeof(n.block), &n.block);
	if (r >= 0 && le16_get(((const struct disk_node *)data)->level) == 0) {
		r = walk_leaf(w, data);
	} else {
		unsigned count = le16_get(((const struct disk_node *)data)->count);

		read_children(w->c, data);
		for (unsigned i = 0; i < count && r >= 0; i++)
			r = walk_node(w, node_child(&n, data, i));
	}
	bufio_release(b);
	return r;
}

int tree_walk(struct tree_walk *w, uint64_t root)
{
	int r = walk_node(w, (struct node){root, LEVEL_ANY, 0, UINT64_MAX});

	return r < 0 ? r : 0;
}

/* One level: what stands in its nodes, and the entries for the level above. */
struct level {
	enum meta_kind kind;
	uint64_t owner;
	unsigned number, bytes;
	const struct vec *in;
	struct vec out; /* struct disk_branch */
};

static int build_node(struct check *c, struct level *l, size_t from, unsigned count)
{
	const uint8_t *records = (const uint8_t *)l->in->items + from * l->bytes;
	struct bufio_buffer *b;
	struct disk_branch e;
	struct disk_node *d;
	uint64_t block;
	int r;

	r = claim_alloc(c, geo_inode_block(&c->fs.geo, l->owner), &block);
	if (r < 0)
		return r;
	e.key = le64_make(key_at(l->kind, records, l->number == 0));
	e.child = le64_make(block);
	r = vec_push(&l->out, sizeof(e), &e);
	if (r == 0)
		r = block_new(c, block, l->kind, l->owner, &b);
	if (r < 0) {
		claim_free(c, block, 1);
		return r;
	}
	d = bufio_data(b);
	d->level = le16_make((uint16_t)l->number);
	d->count = le16_make((uint16_t)count);
	memcpy(d + 1, records, (size_t)count * l->bytes);
	block_store(c, b);
	return 0;
}

static int build_level(struct check *c, struct level *l)
{
	size_t room = (c->fs.geo.block_bytes - sizeof(struct disk_node)) / l->bytes;
	int r = 0;

	for (size_t i = 0; i < l->in->nr && r == 0; i += room) {
		size_t left = l->in->nr - i;

		r = build_node(c, l, i, (unsigned)(left < room ? left : room));
	}
	return r;
}

static void give_back(struct check *c, const struct vec *blocks)
{
	for (size_t i = 0; i < blocks->nr; i++)
		claim_free(c, ((uint64_t *)blocks->items)[i], 1);
}

static int keep_blocks(struct vec *all, const struct vec *branches)
{
	const struct disk_branch *e = branches->items;
	int r = 0;

	for (size_t i = 0; i < branches->nr && r == 0; i++) {
		uint64_t block = le64_get(e[i].child);

		r = vec_push(all, sizeof(block), &block);
	}
	return r;
}

int tree_build(struct check *c, const struct vec *records, struct new_tree *tree)
{
	struct level l = {.kind = tree->kind,
			  .owner = tree->owner,
			  .bytes = record_bytes(tree->kind),
			  .in = records};
	struct vec all = {0}, below = {0};
	int r;

	do {
		r = build_level(c, &l);
		if (r == 0)
			r = keep_blocks(&all, &l.out);
		else
			keep_blocks(&all, &l.out);
		vec_free(&below);
		below = l.out;
		l = (struct level){.kind = tree->kind,
				   .owner = tree->owner,
				   .number = l.number + 1,
				   .bytes = sizeof(struct disk_branch),
				   .in = &below};
	} while (r == 0 && below.nr > 1);
	if (r < 0) {
		give_back(c, &all);
	} else {
		tree->root = below.nr ? le64_get(((struct disk_branch *)below.items)->child) : 0;
		tree->nr_blocks = all.nr;
	}
	vec_free(&below);
	vec_free(&all);
	return r;
}
