/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the records of an inode's extended attributes are, and changing them.  A change reads and pins all it will
 * touch and writes the new value before the first byte of a record changes; from there on nothing fails.
 * Calls xattr_value, dir, extents, inode, balloc, meta.
 *
 * The records lie in areas: the end of the tail, then the blocks of the chain.
 */
#include "xattr.h"

#include "balloc.h"
#include "dir.h"
#include "extents.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

/* A chain as long as this goes in a circle, or might as well. */
#define CHAIN_MAX_BLOCKS 65536u

struct area {
	uint64_t block, previous; /* 0: the tail; 0: the first of the chain */
	const uint8_t *bytes;	  /* the records */
	unsigned used;
};

/* Called for each area, until it does not return 0. */
typedef int area_visit(void *context, const struct area *a);

static unsigned block_room(const struct fs *fs)
{
	return fs->geo.block_bytes - (unsigned)sizeof(struct disk_chain);
}

static int visit_block(struct inode *inode, struct area *a, uint64_t *ret_next, area_visit *visit,
		       void *context)
{
	const struct disk_chain *d;
	struct bufio_buffer *b;
	int r;

	r = xattr_block_read(inode, a->block, META_XATTR, &b);
	if (r < 0)
		return r;
	d = bufio_data(b);
	a->bytes = (const uint8_t *)(d + 1);
	a->used = le32_get(d->used);
	*ret_next = le64_get(d->next);
	r = visit(context, a);
	bufio_release(b);
	return r;
}

static int each_area(struct inode *inode, area_visit *visit, void *context)
{
	struct area a = {.bytes = inode->tail + inode_data_bytes(inode),
			 .used = inode->xattr_bytes};
	uint64_t next = inode->xattr_block;
	int r;

	r = visit(context, &a);
	for (unsigned n = 0; next && r == 0; n++) {
		if (n == CHAIN_MAX_BLOCKS)
			return -EUCLEAN;
		a = (struct area){.block = next, .previous = a.block};
		r = visit_block(inode, &a, &next, visit, context);
	}
	return r;
}

struct each {
	xattr_visit *visit;
	void *context;
};

static int each_record(void *context, const struct area *a)
{
	const struct each *e = context;
	struct xattr_record record;
	int r = 0;

	for (unsigned at = 0; at < a->used && r == 0; at += record.bytes) {
		r = xattr_record_decode(a->bytes + at, a->used - at, &record);
		if (r == 0)
			r = e->visit(e->context, &record);
	}
	return r;
}

int xattr_each(struct inode *inode, xattr_visit *visit, void *context)
{
	struct each e = {visit, context};

	return each_area(inode, each_record, &e);
}

struct get {
	struct inode *inode;
	const struct xattr_name *name;
	void *value;
	size_t size;
	ssize_t result;
};

static int get_visit(void *context, const struct xattr_record *r)
{
	struct get *g = context;
	int error;

	if (!xattr_name_is(&r->name, g->name))
		return 0;
	g->result = (ssize_t)r->value_bytes;
	if (!g->size)
		return 1;
	if (g->size < r->value_bytes)
		return -ERANGE;
	if (!r->external) {
		memcpy(g->value, r->value, r->value_bytes);
		return 1;
	}
	error = value_read(g->inode, r->block, r->value_bytes, g->value);
	return error < 0 ? error : 1;
}

ssize_t xattr_get(struct inode *inode, const struct xattr_name *name, void *value, size_t size)
{
	struct get g = {inode, name, value, size, -ENODATA};
	int r = xattr_any(inode) ? xattr_each(inode, get_visit, &g) : 0;

	return r < 0 ? r : g.result;
}

/* Changing */

struct place {
	uint64_t block, previous;
	unsigned used; /* of its area */
	unsigned at;   /* of the record */
	struct xattr_record record;
};

struct change {
	struct txn *t;
	struct inode *inode;
	struct xattr_record new; /* bytes 0: the old one is removed */
	struct place old;	 /* record.bytes 0: there is none */
	size_t list_bytes;	 /* of all names that are there */
	uint64_t roomy;		 /* the first block of the chain with room for the new one */
	struct xattr_blocks old_blocks, new_blocks; /* of values */
	struct bufio_buffer *old_b, *previous_b, *target_b;
};

static int find_visit(void *context, const struct area *a)
{
	struct change *c = context;
	struct xattr_record record;
	int r;

	for (unsigned at = 0; at < a->used; at += record.bytes) {
		r = xattr_record_decode(a->bytes + at, a->used - at, &record);
		if (r < 0)
			return r;
		c->list_bytes += xattr_name_print(&record.name, NULL);
		if (xattr_name_is(&record.name, &c->new.name))
			c->old = (struct place){a->block, a->previous, a->used, at, record};
	}
	if (a->block && !c->roomy && a->used + c->new.bytes <= block_room(c->inode->fs))
		c->roomy = a->block;
	return 0;
}

/* May it be?  The old one was looked for. */
static int check_change(const struct change *c, int flags)
{
	bool exists = c->old.record.bytes;

	if (!exists && (!c->new.bytes || flags &XATTR_REPLACE))
		return -ENODATA;
	if (exists && flags & XATTR_CREATE)
		return -EEXIST;
	if (!exists && c->list_bytes + xattr_name_print(&c->new.name, NULL) > XATTR_LIST_BYTES)
		return -ENOSPC;
	return 0;
}

/* The tail: how long its records may become. */
static unsigned tail_room(struct inode *inode)
{
	unsigned used;

	if (inode->data_format == DATA_EXTENTS)
		used = extents_tail_bytes(inode);
	else if (inode->data_format == DATA_INLINE && S_ISDIR(inode->mode))
		used = dir_inline_bytes(inode);
	else
		used = inode->data_format == DATA_INLINE ? (unsigned)inode->size : 0;
	if (used < XATTR_DATA_BYTES)
		used = XATTR_DATA_BYTES;
	return (INODE_TAIL_BYTES - used) & ~3u;
}

/* The data area gets what the records do not need. */
static void tail_resize(struct inode *inode, unsigned bytes)
{
	unsigned before = inode_data_bytes(inode), after = INODE_TAIL_BYTES - bytes;

	if (after > before)
		memset(inode->tail + before, 0, after - before);
	inode->xattr_bytes = (uint8_t)bytes;
	if (S_ISDIR(inode->mode) && inode->data_format == DATA_INLINE)
		dir_resize_inline(inode, before);
}

/* Take the old record out of the tail's and put the new one behind them. */
static void change_tail(struct change *c, bool removes, bool adds)
{
	struct inode *inode = c->inode;
	uint8_t records[INODE_TAIL_BYTES + INODE_TAIL_BYTES];
	unsigned used = inode->xattr_bytes, behind;

	memcpy(records, inode->tail + inode_data_bytes(inode), used);
	if (removes) {
		behind = c->old.at + c->old.record.bytes;
		memmove(records + c->old.at, records + behind, used - behind);
		used -= c->old.record.bytes;
	}
	if (adds) {
		xattr_record_encode(&c->new, records + used);
		used += c->new.bytes;
	}
	tail_resize(inode, used);
	memcpy(inode->tail + inode_data_bytes(inode), records, used);
}

static void block_remove(struct bufio_buffer *b, const struct place *p)
{
	struct disk_chain *d = bufio_data(b);
	uint8_t *bytes = (uint8_t *)(d + 1);
	unsigned behind = p->at + p->record.bytes, left = p->used - p->record.bytes;

	memmove(bytes + p->at, bytes + behind, p->used - behind);
	memset(bytes + left, 0, p->record.bytes);
	d->used = le32_make(left);
}

static void block_add(struct bufio_buffer *b, const struct xattr_record *r)
{
	struct disk_chain *d = bufio_data(b);
	unsigned used = le32_get(d->used);

	xattr_record_encode(r, (uint8_t *)(d + 1) + used);
	d->used = le32_make(used + r->bytes);
}

/* Nothing fails from here on. */

/* An empty block leaves the chain. */
static int unlink_empty(struct change *c)
{
	const struct disk_chain *d = bufio_data(c->old_b);
	struct disk_chain *previous;

	if (c->previous_b) {
		previous = bufio_data(c->previous_b);
		previous->next = d->next;
	} else {
		c->inode->xattr_block = le64_get(d->next);
	}
	c->inode->blocks--;
	bufio_release(c->old_b);
	c->old_b = NULL;
	return balloc_free(c->t, c->old.block, 1);
}

static bool empties_block(const struct change *c)
{
	return c->old.block && !c->new.bytes && c->old.record.bytes == c->old.used;
}

static int apply(struct change *c)
{
	bool exists = c->old.record.bytes, in_tail = exists && !c->old.block;
	struct inode *inode = c->inode;
	int r = 0, r2;

	inode->blocks += c->new_blocks.nr;
	if (c->old_b)
		block_remove(c->old_b, &c->old);
	if (c->target_b)
		block_add(c->target_b, &c->new);
	if (in_tail || (c->new.bytes && !c->target_b))
		change_tail(c, in_tail, c->new.bytes && !c->target_b);
	if (empties_block(c))
		r = unlink_empty(c);
	r2 = blocks_free(c->t, inode, &c->old_blocks);
	inode->ctime = fs_now();
	/* also where nothing else of the inode changes, the record being in a block */
	inode->data_seq = c->t->seq;
	inode_store(c->t, inode);
	return r < 0 ? r : r2;
}

/* Before that */

static int open_block(struct change *c, uint64_t block, struct bufio_buffer **ret_b)
{
	int r = xattr_block_read(c->inode, block, META_XATTR, ret_b);

	if (r < 0)
		return r;
	r = txn_modify(c->t, *ret_b);
	if (r < 0) {
		bufio_release(*ret_b);
		*ret_b = NULL;
	}
	return r;
}

/* What loses the old record. */
static int open_old(struct change *c)
{
	struct xattr_blocks emptied = {.list = &c->old.block, .nr = 1};
	int r;

	if (!c->old.record.bytes)
		return 0;
	r = c->old.block ? open_block(c, c->old.block, &c->old_b) : 0;
	if (r == 0 && empties_block(c) && c->old.previous)
		r = open_block(c, c->old.previous, &c->previous_b);
	if (r == 0 && empties_block(c))
		r = blocks_prepare_free(c->t, &emptied);
	if (r == 0 && c->old.record.external)
		r = value_blocks(c->inode, c->old.record.block, c->old.record.value_bytes,
				 &c->old_blocks);
	return r < 0 ? r : blocks_prepare_free(c->t, &c->old_blocks);
}

/* A new first block of the chain: it counts as soon as there is a record in it. */
static int new_block(struct change *c)
{
	struct inode *inode = c->inode;
	struct disk_chain *d;
	uint64_t block;
	int r;

	r = balloc_alloc_reserved(c->t, geo_inode_block(&inode->fs->geo, inode->ino), &block);
	if (r < 0)
		return r;
	r = meta_new(inode->fs, block, META_XATTR, inode->ino, &c->target_b);
	if (r == 0)
		r = txn_modify(c->t, c->target_b);
	if (r < 0) {
		if (c->target_b)
			bufio_release(c->target_b);
		c->target_b = NULL;
		balloc_free(c->t, block, 1);
		return r;
	}
	d = bufio_data(c->target_b);
	d->next = le64_make(inode->xattr_block);
	inode->xattr_block = block;
	inode->blocks++;
	return 0;
}

/* What gets the new record: target_b, NULL if it is the tail. */
static int open_target(struct change *c)
{
	unsigned left = c->old.used - c->old.record.bytes, need = c->new.bytes;
	unsigned tail = c->inode->xattr_bytes - (c->old.block ? 0 : c->old.record.bytes);

	if (!need)
		return 0;
	if (c->old.block && left + need <= block_room(c->inode->fs))
		return open_block(c, c->old.block, &c->target_b);
	if (tail + need <= tail_room(c->inode))
		return 0;
	return c->roomy ? open_block(c, c->roomy, &c->target_b) : new_block(c);
}

static void change_finish(struct change *c)
{
	if (c->target_b)
		bufio_release(c->target_b);
	if (c->previous_b)
		bufio_release(c->previous_b);
	if (c->old_b)
		bufio_release(c->old_b);
	blocks_finish(&c->old_blocks);
	blocks_finish(&c->new_blocks);
}

/* All that may fail. */
static int prepare(struct change *c, const struct xattr_value *value)
{
	int r;

	r = inode_store(c->t, c->inode);
	if (r == 0)
		r = open_old(c);
	if (r == 0 && c->new.external) {
		r = value_write(c->t, c->inode, value, &c->new_blocks);
		if (r == 0)
			c->new.block = c->new_blocks.list[0];
	}
	if (r < 0)
		return r;
	r = open_target(c);
	if (r < 0) {
		for (size_t i = 0; i < c->new_blocks.nr; i++)
			balloc_free(c->t, c->new_blocks.list[i], 1);
	}
	return r;
}

static void describe(struct change *c, const struct xattr_name *name,
		     const struct xattr_value *value)
{
	c->new.name = *name;
	if (!value)
		return;
	c->new.value = value->bytes;
	c->new.value_bytes = value->size;
	xattr_record_measure(&c->new);
	if (c->new.bytes > block_room(c->inode->fs) / 2) {
		c->new.external = true;
		xattr_record_measure(&c->new);
	}
}

int xattr_change(struct txn *t, struct inode *inode, const struct xattr_name *name,
		 const struct xattr_value *value, int flags)
{
	struct change c = {.t = t, .inode = inode};
	int r;

	describe(&c, name, value);
	r = each_area(inode, find_visit, &c);
	if (r == 0)
		r = check_change(&c, flags);
	if (r == 0)
		r = prepare(&c, value);
	if (r == 0)
		r = apply(&c);
	change_finish(&c);
	return r;
}
