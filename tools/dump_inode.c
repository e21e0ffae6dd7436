/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dump.bufs: inodes, what they map, directories, paths. */
#include "dump_image.h"

#include "inode.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char *type_text(unsigned type)
{
	switch (type) {
	case DT_REG:
		return "file";
	case DT_DIR:
		return "directory";
	case DT_LNK:
		return "symlink";
	case DT_CHR:
		return "character device";
	case DT_BLK:
		return "block device";
	case DT_FIFO:
		return "fifo";
	case DT_SOCK:
		return "socket";
	default:
		return "unknown";
	}
}

static const char *format_text(unsigned format)
{
	static const char *const text[] = {"none", "inline", "extents", "tree"};

	return format < 4 ? text[format] : "unknown";
}

static void put_time(struct json_object *o, const char *key, le64 t)
{
	struct timespec ts = time_decode(t);
	char text[48];

	snprintf(text, sizeof(text), "%lld.%09ld", (long long)ts.tv_sec, ts.tv_nsec);
	json_put_text(o, key, text);
}

static int load_inode(struct image *im, uint64_t ino, struct disk_inode *ret)
{
	if (ino == 0 || ino > geo_nr_inodes(&im->c.fs.geo))
		return -ERANGE;
	return inode_load(&im->c, ino, ret);
}

static void put_target(struct image *im, uint64_t ino, const struct disk_inode *d,
		       struct json_object *o)
{
	unsigned room = im->c.fs.geo.block_bytes - DISK_HEAD_BYTES, got = 0;
	uint64_t size = le64_get(d->size);
	uint8_t target[SYMLINK_MAX];
	struct map map;

	if (size > SYMLINK_MAX || map_load(&im->c, ino, d, &map) < 0)
		return;
	if (d->data_format == DATA_INLINE && size <= data_bytes_of(d)) {
		memcpy(target, d->tail, size);
		got = (unsigned)size;
	}
	for (uint64_t i = 0; got < size; i++) {
		unsigned part = size - got < room ? (unsigned)size - got : room;
		uint64_t block = map_find(&map, i);
		struct bufio_buffer *b;

		if (!block || block_read(&im->c, block, META_SYMLINK, ino, &b) < 0) {
			json_put_text(o, "corrupt_target", "a block is damaged");
			break;
		}
		memcpy(target + got, (uint8_t *)bufio_data(b) + DISK_HEAD_BYTES, part);
		bufio_release(b);
		got += part;
	}
	map_finish(&map);
	json_object_object_add(o, "target", json_name(target, got));
}

static void put_fields(const struct disk_inode *d, struct json_object *o)
{
	char mode[16];

	snprintf(mode, sizeof(mode), "0%o", le16_get(d->mode));
	json_put_text(o, "mode", mode);
	json_put_text(o, "type", type_text(le16_get(d->mode) >> 12));
	json_put_text(o, "data_format", format_text(d->data_format));
	json_put_u64(o, "xattr_bytes", d->xattr_bytes);
	json_put_u64(o, "nlink", le32_get(d->nlink));
	json_put_u64(o, "uid", le32_get(d->uid));
	json_put_u64(o, "gid", le32_get(d->gid));
	json_put_u64(o, "flags", le32_get(d->flags));
	json_put_u64(o, "size", le64_get(d->size));
	json_put_u64(o, "blocks", le64_get(d->blocks));
	put_time(o, "atime", d->atime);
	put_time(o, "mtime", d->mtime);
	put_time(o, "ctime", d->ctime);
	put_time(o, "btime", d->btime);
	json_put_u64(o, "xattr_block", le64_get(d->xattr_block));
	json_put_u64(o, "special", le64_get(d->special));
	json_put_u64(o, "state", le32_get(d->state));
	json_put_u64(o, "projid", le32_get(d->projid));
	if (le16_get(d->mode) >> 12 == DT_DIR) {
		json_put_u64(o, "nr_entries", le32_get(d->nr_entries));
		json_put_u64(o, "parent", le64_get(d->parent));
	}
}

int show_inode(struct image *im, uint64_t ino, struct json_object **ret)
{
	struct json_object *o;
	struct disk_inode d;
	struct inode inode;
	int r = load_inode(im, ino, &d);

	if (r < 0)
		return r;
	o = json_object_new_object();
	json_put_u64(o, "inode", ino);
	json_put_u64(o, "block", geo_inode_block(&im->c.fs.geo, ino));
	json_put_u64(o, "offset", geo_inode_offset(&im->c.fs.geo, ino));
	json_put_u64(o, "generation", le32_get(d.generation));
	if (!is_all_zero(&d, sizeof(d)) && !inode_crc_is_good(&im->c, ino, &d))
		json_put_text(o, "corrupt", "checksum");
	else if (inode_decode(&im->c.fs, ino, &d, &inode) < 0)
		json_put_text(o, "corrupt", "fields");
	if (!le16_get(d.mode)) {
		json_put_text(o, "type", "free");
	} else {
		put_fields(&d, o);
		if (le16_get(d.mode) >> 12 == DT_LNK)
			put_target(im, ino, &d, o);
	}
	*ret = o;
	return 0;
}

static void put_extents(const struct map *map, struct json_object *o)
{
	const struct extent *e = map->extents.items;
	const uint64_t *node = map->nodes.items;
	struct json_object *list = json_object_new_array(), *nodes = json_object_new_array();

	for (size_t i = 0; i < map->extents.nr; i++) {
		struct json_object *item = json_object_new_object();

		json_put_u64(item, "logical", e[i].logical);
		json_put_u64(item, "physical", e[i].physical);
		json_put_u64(item, "count", e[i].count);
		json_object_object_add(item, "unwritten", json_object_new_boolean(e[i].unwritten));
		json_object_array_add(list, item);
	}
	for (size_t i = 0; i < map->nodes.nr; i++)
		json_object_array_add(nodes, json_object_new_uint64(node[i]));
	json_object_object_add(o, "extents", list);
	json_object_object_add(o, "tree_blocks", nodes);
	if (map->nr_bad) {
		json_put_u64(o, "corrupt_parts", map->nr_bad);
		json_put_u64(o, "corrupt_block", map->bad_block);
	}
}

int show_extents(struct image *im, uint64_t ino, struct json_object **ret)
{
	struct disk_inode d;
	struct map map;
	int r = load_inode(im, ino, &d);

	if (r == 0)
		r = map_load(&im->c, ino, &d, &map);
	if (r < 0)
		return r;
	*ret = json_object_new_object();
	json_put_u64(*ret, "inode", ino);
	json_put_text(*ret, "data_format", format_text(d.data_format));
	put_extents(&map, *ret);
	map_finish(&map);
	return 0;
}

/* Called for each entry of a directory that can be made out; not 0 ends the walk. */
typedef int each_entry(void *context, uint64_t position, const struct disk_dirent *d);

struct walk {
	each_entry *each;
	void *context;
	unsigned nr_bad; /* areas */
};

static int walk_area(struct dir_scan *s, uint64_t index, struct walk *w)
{
	struct names_area a;
	int r = scan_area(s, index, &a);

	if (r < 0)
		return r == -ENOENT ? (w->nr_bad++, 0) : r;
	if (a.b && meta_verify_raw(&s->c->fs, bufio_block(a.b), META_DIR, s->dir->ino,
				   bufio_data(a.b)) < 0)
		w->nr_bad++;
	for (unsigned o = 0; o < a.size && r == 0;) {
		const struct disk_dirent *d = (const struct disk_dirent *)(a.bytes + o);

		if (!dirent_chain_is_good(d, a.size - o)) {
			w->nr_bad++;
			break;
		}
		if (le48_get(d->ino))
			r = w->each(w->context, a.position + o, d);
		o += le16_get(d->rec_len);
	}
	area_close(&a);
	return r;
}

static int walk_dir(struct image *im, uint64_t ino, struct walk *w)
{
	struct check_dir dir = {.ino = ino};
	struct disk_inode d;
	struct dir_scan s;
	unsigned nr;
	int r = load_inode(im, ino, &d);

	if (r == 0 && le16_get(d.mode) >> 12 != DT_DIR)
		r = -ENOTDIR;
	if (r == 0)
		r = scan_open(&im->c, &dir, &s);
	if (r < 0)
		return r;
	nr = scan_nr_areas(&s);
	for (unsigned i = 0; i < nr && r == 0; i++)
		r = walk_area(&s, i, w);
	scan_close(&s);
	return r;
}

static int put_entry(void *context, uint64_t position, const struct disk_dirent *d)
{
	struct json_object *list = context, *item = json_object_new_object();

	json_put_u64(item, "position", position);
	json_put_u64(item, "inode", le48_get(d->ino));
	json_put_text(item, "type", type_text(d->type));
	json_object_object_add(item, "name", json_name(d + 1, d->name_len));
	json_object_array_add(list, item);
	return 0;
}

int show_dir(struct image *im, uint64_t ino, struct json_object **ret)
{
	struct json_object *list = json_object_new_array();
	struct walk w = {put_entry, list, 0};
	int r = walk_dir(im, ino, &w);

	if (r < 0) {
		json_object_put(list);
		return r;
	}
	*ret = json_object_new_object();
	json_put_u64(*ret, "directory", ino);
	json_object_object_add(*ret, "entries", list);
	if (w.nr_bad)
		json_put_u64(*ret, "corrupt_parts", w.nr_bad);
	return 0;
}

struct finder {
	const char *name;
	size_t len;
	uint64_t ino;
};

static int find_entry(void *context, uint64_t position, const struct disk_dirent *d)
{
	struct finder *f = context;

	if (d->name_len != f->len || memcmp(d + 1, f->name, f->len) != 0)
		return 0;
	f->ino = le48_get(d->ino);
	return 1;
}

int show_path(struct image *im, const char *path, struct json_object **ret)
{
	uint64_t ino = INODE_ROOT;

	while (*(path += strspn(path, "/"))) {
		struct finder f = {path, strcspn(path, "/"), 0};
		struct walk w = {find_entry, &f, 0};
		int r = walk_dir(im, ino, &w);

		if (r <= 0)
			return r < 0 ? r : -ENOENT;
		ino = f.ino;
		path += f.len;
	}
	return show_inode(im, ino, ret);
}
