/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pass 1, extended attributes: FORMAT.md section 9.  Records are judged as a whole: with a bad one
 * go all of the tail, or its block and those behind it in the chain.
 */
#include "check_priv.h"

#include "acl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct attrs {
	struct check *c;
	uint64_t ino;
	struct disk_inode *d;
	struct vec *claims;
	struct vec names; /* uint64_t: hashes */
	bool changed;
};

/* Ends the walk of a chain that runs in a circle: compares with a block it leaves behind. */
struct circle {
	uint64_t seen;
	uint64_t steps, next;
};

static bool circle_closed(struct circle *o, uint64_t block)
{
	if (o->steps && block == o->seen)
		return true;
	if (o->steps++ >= o->next) {
		o->seen = block;
		o->next = o->next * 2 + 1;
	}
	return false;
}

/* A block of either chain, held.  -EUCLEAN: bad. */
static int chain_read(struct attrs *a, uint64_t block, enum meta_kind kind,
		      struct bufio_buffer **ret_b)
{
	const struct disk_chain *d;
	int r = -EUCLEAN;

	if (geo_is_data(&a->c->fs.geo, block, 1))
		r = block_read(a->c, block, kind, a->ino, ret_b);
	if (r < 0)
		return r;
	d = bufio_data(*ret_b);
	if (le32_get(d->used) > a->c->fs.geo.block_bytes - sizeof(*d)) {
		bufio_release(*ret_b);
		return -EUCLEAN;
	}
	return vec_push(a->claims, sizeof(block), &block);
}

/* Each block holds at least a byte, so this ends.  The value goes to copy, if that is not NULL. */
static int check_value(struct attrs *a, uint64_t block, uint32_t left, uint8_t *copy)
{
	while (left) {
		struct bufio_buffer *b;
		uint32_t used;
		int r = chain_read(a, block, META_XATTR_VALUE, &b);

		if (r < 0)
			return r;
		used = le32_get(((const struct disk_chain *)bufio_data(b))->used);
		block = le64_get(((const struct disk_chain *)bufio_data(b))->next);
		if (copy && used <= left)
			copy = mempcpy(copy, (const struct disk_chain *)bufio_data(b) + 1, used);
		bufio_release(b);
		if (used == 0 || used > left)
			return -EUCLEAN;
		left -= used;
	}
	return block ? -EUCLEAN : 0;
}

/* The bytes of the record, or an error. */
static int check_record(struct attrs *a, const uint8_t *at, unsigned left)
{
	struct xattr_record record;
	uint8_t acl[ACL_MAX_BYTES];
	uint64_t hash;
	bool is_acl;
	int r = xattr_record_decode(at, left, &record);

	if (r < 0)
		return r;
	is_acl = record.name.prefix >= XATTR_ACL_ACCESS;
	if (is_acl && record.value_bytes > sizeof(acl))
		return -EUCLEAN;
	hash = XXH3_64bits_withSeed(record.name.rest, record.name.len, record.name.prefix);
	r = vec_push(&a->names, sizeof(hash), &hash);
	if (r == 0 && record.external)
		r = check_value(a, record.block, record.value_bytes, is_acl ? acl : NULL);
	if (r == 0 && is_acl &&
	    !acl_is_valid(record.external ? acl : record.value, record.value_bytes))
		return -EUCLEAN;
	return r < 0 ? r : (int)record.bytes;
}

static bool names_differ(struct vec *names)
{
	const uint64_t *hash = names->items;

	keys_sort(names);
	for (size_t i = 1; i < names->nr; i++)
		if (hash[i] == hash[i - 1])
			return false;
	return true;
}

static int check_records(struct attrs *a, const uint8_t *at, unsigned bytes)
{
	while (bytes) {
		int r = check_record(a, at, bytes);

		if (r < 0)
			return r;
		at += r;
		bytes -= (unsigned)r;
	}
	return 0;
}

/* The bytes of the attributes become bytes of data: those of a directory must be in an entry. */
static void drop_tail(struct disk_inode *d)
{
	unsigned area = data_bytes_of(d), extra = INODE_TAIL_BYTES - area, last = 0;

	memset(d->tail + area, 0, extra);
	d->xattr_bytes = 0;
	if (le16_get(d->mode) >> 12 != DT_DIR || d->data_format != DATA_INLINE)
		return;
	d->size = le64_make(INODE_TAIL_BYTES);
	for (unsigned o = 0; o < area;) {
		const struct disk_dirent *e = (const struct disk_dirent *)(d->tail + o);

		if (!dirent_chain_is_good(e, area - o))
			return;
		last = o;
		o += le16_get(e->rec_len);
	}
	if (area) {
		struct disk_dirent *e = (struct disk_dirent *)(d->tail + last);

		e->rec_len = le16_make((uint16_t)(le16_get(e->rec_len) + extra));
	} else {
		dir_make_empty(d);
	}
}

void attrs_drop(struct disk_inode *d)
{
	d->xattr_block = le64_make(0);
	if (d->xattr_bytes)
		drop_tail(d);
}

static int check_tail(struct attrs *a)
{
	unsigned area = data_bytes_of(a->d);
	size_t before = a->claims->nr;
	int r = check_records(a, a->d->tail + area, INODE_TAIL_BYTES - area);

	if (r == 0 && !names_differ(&a->names))
		r = -EUCLEAN;
	if (r != -EUCLEAN)
		return r;
	a->claims->nr = before;
	a->names.nr = 0;
	if (problem(a->c, FIX_LOSSY, "xattr-inline-bad", (struct at){.ino = a->ino},
		    "inode %" PRIu64 ": the attributes in the inode are damaged; dropped",
		    a->ino)) {
		drop_tail(a->d);
		a->changed = true;
	}
	return 0;
}

/* Let the chain end before the bad block. */
static int cut_chain(struct attrs *a, uint64_t previous, uint64_t bad)
{
	struct bufio_buffer *b;
	int r;

	if (!problem(a->c, FIX_LOSSY, "xattr-block-bad", (struct at){a->ino, bad},
		     "inode %" PRIu64 ": the attributes in block %" PRIu64
		     " and behind are damaged; dropped",
		     a->ino, bad))
		return 0;
	if (!previous) {
		a->d->xattr_block = le64_make(0);
		a->changed = true;
		return 0;
	}
	r = block_read(a->c, previous, META_XATTR, a->ino, &b);
	if (r < 0)
		return r;
	((struct disk_chain *)bufio_data(b))->next = le64_make(0);
	block_store(a->c, b);
	return 0;
}

/* One block of the chain; the next in *block.  -EUCLEAN: this one is bad. */
static int check_block(struct attrs *a, uint64_t *block)
{
	const struct disk_chain *d;
	struct bufio_buffer *b;
	int r = chain_read(a, *block, META_XATTR, &b);

	if (r < 0)
		return r;
	d = bufio_data(b);
	r = check_records(a, (const uint8_t *)(d + 1), le32_get(d->used));
	*block = le64_get(d->next);
	bufio_release(b);
	return r;
}

static int check_chain(struct attrs *a)
{
	uint64_t first = le64_get(a->d->xattr_block), previous = 0, block = first;
	size_t before_all = a->claims->nr;
	struct circle circle = {0};
	int r = 0;

	while (block && !circle_closed(&circle, block)) {
		size_t before = a->claims->nr;
		uint64_t here = block;

		r = check_block(a, &block);
		if (r == -EUCLEAN) {
			a->claims->nr = before;
			return cut_chain(a, previous, here);
		}
		if (r < 0)
			return r;
		previous = here;
	}
	if (!block && names_differ(&a->names))
		return 0;
	a->claims->nr = before_all;
	return cut_chain(a, 0, first);
}

int check_attrs(struct check *c, uint64_t ino, struct disk_inode *d, struct vec *claims)
{
	struct attrs a = {.c = c, .ino = ino, .d = d, .claims = claims};
	int r = 0;

	if (d->xattr_bytes)
		r = check_tail(&a);
	if (r == 0)
		r = check_chain(&a);
	vec_free(&a.names);
	return r < 0 ? r : a.changed;
}
