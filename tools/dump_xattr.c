/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dump.bufs: extended attributes. */
#include "dump_image.h"

#include "balloc.h"
#include "xattr_record.h"

#include <errno.h>
#include <string.h>

/* More than a chain of good blocks can have: it is a circle. */
#define MAX_BLOCKS 65536u

struct attrs {
	struct image *im;
	uint64_t ino;
	struct json_object *list;
	unsigned nr_bad; /* areas and values */
};

/* A block of a chain, held.  -EUCLEAN: bad. */
static int open_block(struct attrs *a, uint64_t block, enum meta_kind kind,
		      struct bufio_buffer **ret_b)
{
	const struct geometry *g = &a->im->c.fs.geo;
	const struct disk_chain *d;
	int r = -EUCLEAN;

	if (geo_is_data(g, block, 1))
		r = block_read(&a->im->c, block, kind, a->ino, ret_b);
	if (r < 0)
		return r;
	d = bufio_data(*ret_b);
	if (le32_get(d->used) <= g->block_bytes - sizeof(*d))
		return 0;
	bufio_release(*ret_b);
	return -EUCLEAN;
}

/* The bytes that were found. */
static uint32_t load_value(struct attrs *a, const struct xattr_record *record, uint8_t *value)
{
	uint64_t block = record->block;
	uint32_t got = 0;

	while (got < record->value_bytes) {
		struct bufio_buffer *b;
		const struct disk_chain *d;
		uint32_t used;

		if (open_block(a, block, META_XATTR_VALUE, &b) < 0)
			break;
		d = bufio_data(b);
		used = le32_get(d->used);
		block = le64_get(d->next);
		if (used && used <= record->value_bytes - got)
			memcpy(value + got, d + 1, used);
		else
			used = 0;
		bufio_release(b);
		got += used;
		if (!used)
			break;
	}
	return got;
}

static void put_record(struct attrs *a, const struct xattr_record *record, uint64_t block)
{
	struct json_object *item = json_object_new_object();
	static uint8_t outside[XATTR_VALUE_MAX];
	const uint8_t *value = record->value;
	uint32_t bytes = record->value_bytes;
	char name[XATTR_NAME_BYTES + 16];

	if (record->external) {
		bytes = load_value(a, record, outside);
		value = outside;
	}
	json_object_object_add(item, "name",
			       json_name(name, xattr_name_print(&record->name, name) - 1));
	if (block)
		json_put_u64(item, "block", block);
	if (record->external)
		json_put_u64(item, "value_block", record->block);
	json_put_u64(item, "bytes", record->value_bytes);
	if (bytes < record->value_bytes) {
		json_put_text(item, "corrupt", "value");
		a->nr_bad++;
	}
	json_object_object_add(item, "value", json_name(value, bytes));
	json_object_array_add(a->list, item);
}

static void put_records(struct attrs *a, const uint8_t *at, unsigned left, uint64_t block)
{
	struct xattr_record record;

	for (; left; at += record.bytes, left -= record.bytes) {
		if (xattr_record_decode(at, left, &record) < 0) {
			a->nr_bad++;
			return;
		}
		put_record(a, &record, block);
	}
}

static void put_chain(struct attrs *a, uint64_t block)
{
	unsigned n = 0;

	while (block) {
		const struct disk_chain *d;
		struct bufio_buffer *b;
		uint64_t next;

		if (n++ == MAX_BLOCKS || open_block(a, block, META_XATTR, &b) < 0) {
			a->nr_bad++;
			return;
		}
		d = bufio_data(b);
		next = le64_get(d->next);
		put_records(a, (const uint8_t *)(d + 1), le32_get(d->used), block);
		bufio_release(b);
		block = next;
	}
}

int show_xattrs(struct image *im, uint64_t ino, struct json_object **ret)
{
	struct attrs a = {.im = im, .ino = ino};
	struct disk_inode d;
	unsigned area;
	int r = -ERANGE;

	if (ino && ino <= geo_nr_inodes(&im->c.fs.geo))
		r = inode_load(&im->c, ino, &d);
	if (r < 0)
		return r;
	a.list = json_object_new_array();
	area = data_bytes_of(&d);
	put_records(&a, d.tail + area, INODE_TAIL_BYTES - area, 0);
	put_chain(&a, le64_get(d.xattr_block));
	*ret = json_object_new_object();
	json_put_u64(*ret, "inode", ino);
	json_object_object_add(*ret, "xattrs", a.list);
	if (a.nr_bad)
		json_put_u64(*ret, "corrupt_parts", a.nr_bad);
	return 0;
}
