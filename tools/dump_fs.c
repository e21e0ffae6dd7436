/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dump.bufs: the superblock, groups, any block by its number, the log. */
#include "dump_image.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define UUID_TEXT_BYTES 37

static void put_hex(struct json_object *o, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%" PRIx64, value);
	json_put_text(o, key, text);
}

static void put_uuid(struct json_object *o, const uint8_t *uuid)
{
	char text[UUID_TEXT_BYTES], *to = text;

	for (unsigned i = 0; i < 16; i++)
		to += sprintf(to, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
			      uuid[i]);
	json_put_text(o, "uuid", text);
}

static void put_time(struct json_object *o, const char *key, le64 t)
{
	json_object_object_add(
		o, key, json_object_new_int64((int64_t)(le64_get(t) >> 30) - (INT64_C(1) << 31)));
}

static void put_error(struct json_object *o, const char *key, const struct disk_error *e)
{
	struct json_object *error = json_object_new_object();

	put_time(error, "time", e->time);
	json_put_u64(error, "inode", le64_get(e->ino));
	json_put_u64(error, "block", le64_get(e->block));
	json_put_u64(error, "errno", le32_get(e->error));
	json_put_u64(error, "line", le32_get(e->line));
	json_object_object_add(
		error, "function",
		json_name(e->function, strnlen((const char *)e->function, sizeof(e->function))));
	json_object_object_add(o, key, error);
}

static void put_geometry(struct json_object *o, const struct disk_super *s)
{
	json_put_u64(o, "block_bytes", le32_get(s->block_bytes));
	json_put_u64(o, "inode_bytes", le32_get(s->inode_bytes));
	json_put_u64(o, "nr_blocks", le64_get(s->nr_blocks));
	json_put_u64(o, "blocks_per_group", le32_get(s->blocks_per_group));
	json_put_u64(o, "inodes_per_group", le32_get(s->inodes_per_group));
	json_put_u64(o, "nr_groups", le32_get(s->nr_groups));
	json_put_u64(o, "gdt_blocks", le32_get(s->gdt_blocks));
	json_put_u64(o, "log_start", le64_get(s->log_start));
	json_put_u64(o, "log_blocks", le32_get(s->log_blocks));
}

int show_super(struct image *im, struct json_object **ret)
{
	const struct disk_super *s = &im->super;
	struct json_object *o = json_object_new_object();
	uint32_t state = le32_get(s->state);

	json_put_u64(o, "version", le32_get(s->version));
	put_uuid(o, s->uuid);
	json_object_object_add(o, "label",
			       json_name(s->label, strnlen((const char *)s->label, LABEL_MAX)));
	json_object_object_add(o, "clean", json_object_new_boolean(state & SUPER_CLEAN));
	json_object_object_add(o, "errors", json_object_new_boolean(state & SUPER_ERRORS));
	json_object_object_add(o, "replayed", json_object_new_boolean(state & SUPER_REPLAYED));
	json_object_object_add(o, "other_copy_bad", json_object_new_boolean(im->copy_bad));
	json_put_u64(o, "seq", le64_get(s->head.seq));
	put_hex(o, "compat", le64_get(s->compat));
	put_hex(o, "ro_compat", le64_get(s->ro_compat));
	put_hex(o, "incompat", le64_get(s->incompat));
	put_geometry(o, s);
	put_hex(o, "hash_seed", le64_get(s->hash_seed));
	put_time(o, "made_time", s->made_time);
	put_time(o, "mount_time", s->mount_time);
	put_time(o, "write_time", s->write_time);
	put_time(o, "check_time", s->check_time);
	json_put_u64(o, "mount_count", le32_get(s->mount_count));
	json_put_u64(o, "error_count", le32_get(s->error_count));
	if (le32_get(s->error_count)) {
		put_error(o, "first_error", &s->first_error);
		put_error(o, "last_error", &s->last_error);
	}
	json_object_object_add(o, "mounted_at",
			       json_name(s->mounted_at, strnlen((const char *)s->mounted_at,
								sizeof(s->mounted_at))));
	*ret = o;
	return 0;
}

/* What stands there, and whether its block is sound. */
static int load_descriptor(struct image *im, uint32_t group, struct disk_group *ret, bool *ret_good)
{
	const struct geometry *g = &im->c.fs.geo;
	uint32_t index = group / g->groups_per_gdt_block;
	struct bufio_buffer *b;
	int r = bufio_read(im->c.fs.bufio, 1 + index, &b);

	if (r)
		return r;
	memcpy(ret,
	       (uint8_t *)bufio_data(b) + DISK_HEAD_BYTES +
		       group % g->groups_per_gdt_block * sizeof(*ret),
	       sizeof(*ret));
	*ret_good = meta_verify_raw(&im->c.fs, 1 + index, META_GDT, index, bufio_data(b)) == 0;
	bufio_release(b);
	return 0;
}

static int put_group(struct image *im, uint32_t group, struct json_object *o)
{
	struct disk_group d;
	bool good;
	int r = load_descriptor(im, group, &d, &good);

	if (r)
		return r;
	json_put_u64(o, "group", group);
	json_put_u64(o, "start", geo_group_start(&im->c.fs.geo, group));
	json_put_u64(o, "blocks", geo_group_blocks(&im->c.fs.geo, group));
	json_put_u64(o, "free_blocks", le32_get(d.free_blocks));
	json_put_u64(o, "free_inodes", le32_get(d.free_inodes));
	json_put_u64(o, "itable_mark", le32_get(d.itable_mark));
	json_put_u64(o, "nr_dirs", le32_get(d.nr_dirs));
	json_put_u64(o, "nr_orphans", le32_get(d.nr_orphans));
	put_hex(o, "flags", le16_get(d.flags));
	if (!good)
		json_put_text(o, "corrupt", "descriptor block");
	return 0;
}

int show_groups(struct image *im, struct json_object **ret)
{
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();
	int r = 0;

	for (uint32_t i = 0; i < im->c.fs.geo.nr_groups && r == 0; i++) {
		struct json_object *item = json_object_new_object();

		r = put_group(im, i, item);
		json_object_array_add(list, item);
	}
	json_object_object_add(o, "groups", list);
	*ret = o;
	return r;
}

struct bitmap_place {
	const char *key;
	enum meta_kind kind;
	uint64_t block;
};

static int put_bitmap(struct image *im, struct json_object *o, uint32_t group,
		      struct bitmap_place place)
{
	struct json_object *item = json_object_new_object();
	unsigned bytes = im->c.fs.geo.block_bytes - DISK_HEAD_BYTES, ones = 0;
	struct bufio_buffer *b;
	int r = block_read(&im->c, place.block, place.kind, group, &b);

	json_put_u64(item, "block", place.block);
	if (r == 0) {
		const uint8_t *bits = (const uint8_t *)bufio_data(b) + DISK_HEAD_BYTES;

		for (unsigned i = 0; i < bytes; i++)
			ones += (unsigned)__builtin_popcount(bits[i]);
		bufio_release(b);
		json_put_u64(item, "ones", ones);
		json_put_u64(item, "zeroes", bytes * 8 - ones);
	} else {
		json_put_text(item, "state", "corrupt, or never written");
	}
	json_object_object_add(o, place.key, item);
	return r == -EUCLEAN ? 0 : r;
}

int show_group(struct image *im, uint64_t group, struct json_object **ret)
{
	const struct geometry *g = &im->c.fs.geo;
	struct json_object *o;
	int r;

	if (group >= g->nr_groups)
		return -ERANGE;
	o = json_object_new_object();
	r = put_group(im, (uint32_t)group, o);
	json_put_u64(o, "inode_table", geo_itable(g, (uint32_t)group));
	json_put_u64(o, "inode_table_blocks", g->itable_blocks);
	if (r == 0)
		r = put_bitmap(im, o, (uint32_t)group,
			       (struct bitmap_place){"block_bitmap", META_BLOCK_BITMAP,
						     geo_block_bitmap(g, (uint32_t)group)});
	if (r == 0)
		r = put_bitmap(im, o, (uint32_t)group,
			       (struct bitmap_place){"inode_bitmap", META_INODE_BITMAP,
						     geo_inode_bitmap(g, (uint32_t)group)});
	*ret = o;
	return r;
}

/* What a block is by its place. */
static const char *place_of(const struct geometry *g, uint64_t block)
{
	uint32_t group = geo_group_of_block(g, block);

	if (block == 0)
		return "superblock";
	if (block == geo_super_copy(g))
		return "superblock copy";
	if (block <= g->gdt_blocks)
		return "group descriptors";
	if (block == geo_block_bitmap(g, group))
		return "block bitmap";
	if (block == geo_inode_bitmap(g, group))
		return "inode bitmap";
	if (block < geo_group_start(g, group) + geo_fixed_blocks(g, group))
		return "inode table";
	if (block >= g->log_start && block < g->log_start + g->log_blocks)
		return "log";
	return "data";
}

static enum meta_kind kind_of(uint32_t magic)
{
	for (enum meta_kind kind = META_GDT; kind < META_NR_KINDS; kind++)
		if (meta_magic(kind) == magic)
			return kind;
	return META_DATA;
}

static void put_head(struct image *im, uint64_t block, const void *data, struct json_object *o)
{
	const struct disk_head *h = data;
	enum meta_kind kind = kind_of(le32_get(h->magic));
	bool good;

	if (kind == META_DATA)
		return;
	good = meta_verify_raw(&im->c.fs, block, kind, le64_get(h->owner), data) == 0;
	json_object_object_add(o, "magic", json_name(&h->magic, sizeof(h->magic)));
	json_put_u64(o, "block_in_head", le64_get(h->block));
	json_put_u64(o, "owner", le64_get(h->owner));
	json_put_u64(o, "seq", le64_get(h->seq));
	json_object_object_add(o, "head_good", json_object_new_boolean(good));
	if (kind == META_EXTENT || kind == META_INDEX) {
		const struct disk_node *n = data;

		json_put_u64(o, "level", le16_get(n->level));
		json_put_u64(o, "count", le16_get(n->count));
	}
	if (kind == META_XATTR || kind == META_XATTR_VALUE) {
		const struct disk_chain *d = data;

		json_put_u64(o, "next", le64_get(d->next));
		json_put_u64(o, "used", le32_get(d->used));
	}
}

static void put_bytes(struct json_object *o, const uint8_t *data, unsigned bytes)
{
	struct json_object *lines = json_object_new_array();
	char text[16 * 3 + 16], *to;

	for (unsigned i = 0; i < bytes; i += 16) {
		if (is_all_zero(data + i, 16))
			continue;
		to = text + sprintf(text, "%05x:", i);
		for (unsigned k = 0; k < 16; k++)
			to += sprintf(to, " %02x", data[i + k]);
		json_object_array_add(lines, json_object_new_string(text));
	}
	json_object_object_add(o, "bytes_not_zero", lines);
}

int show_block(struct image *im, uint64_t block, struct json_object **ret)
{
	struct json_object *o;
	struct bufio_buffer *b;
	int r;

	if (block >= im->c.fs.geo.nr_blocks)
		return -ERANGE;
	r = bufio_read(im->c.fs.bufio, block, &b);
	if (r < 0)
		return r;
	o = json_object_new_object();
	json_put_u64(o, "block", block);
	json_put_u64(o, "group", geo_group_of_block(&im->c.fs.geo, block));
	json_put_text(o, "place", place_of(&im->c.fs.geo, block));
	put_head(im, block, bufio_data(b), o);
	put_bytes(o, bufio_data(b), im->c.fs.geo.block_bytes);
	bufio_release(b);
	*ret = o;
	return 0;
}

static int put_record(struct image *im, uint32_t offset, struct json_object *list)
{
	uint64_t block = im->c.fs.geo.log_start + offset;
	const struct disk_record *d;
	struct json_object *item;
	struct bufio_buffer *b;
	int r = bufio_read(im->c.fs.bufio, block, &b);

	if (r < 0)
		return r;
	d = bufio_data(b);
	if (le32_get(d->head.magic) == MAGIC_RECORD && le64_get(d->head.block) == block) {
		item = json_object_new_object();
		json_put_u64(item, "offset", offset);
		json_put_u64(item, "seq", le64_get(d->head.seq));
		json_put_u64(item, "blocks", le32_get(d->nr_blocks));
		json_put_u64(item, "tags", le32_get(d->nr_tags));
		json_put_u64(item, "tail_seq", le64_get(d->tail_seq));
		json_put_u64(item, "tail_offset", le32_get(d->tail_offset));
		json_object_array_add(list, item);
	}
	bufio_release(b);
	return 0;
}

int show_log(struct image *im, struct json_object **ret)
{
	const struct geometry *g = &im->c.fs.geo;
	struct json_object *o, *list;
	const struct disk_log *d;
	struct bufio_buffer *b;
	int r;

	if (g->log_blocks == 0)
		return -ENOENT;
	r = bufio_read(im->c.fs.bufio, g->log_start, &b);
	if (r < 0)
		return r;
	d = bufio_data(b);
	o = json_object_new_object();
	json_put_u64(o, "start", g->log_start);
	json_put_u64(o, "blocks", g->log_blocks);
	json_put_u64(o, "tail_seq", le64_get(d->tail_seq));
	json_put_u64(o, "tail_offset", le32_get(d->tail_offset));
	if (meta_verify_raw(&im->c.fs, g->log_start, META_LOG, 0, d) < 0)
		json_put_text(o, "corrupt", "first block");
	bufio_release(b);
	list = json_object_new_array();
	for (uint32_t i = 1; i < g->log_blocks && r == 0; i++)
		r = put_record(im, i, list);
	json_object_object_add(o, "records", list);
	*ret = o;
	return r;
}
