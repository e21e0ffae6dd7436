/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One directory in pass 2 and behind: its areas, one by one, and names that occur in it twice.
 * Knows what an entry looks like, not what it may point to.
 */
#include "check_priv.h"
#include "dir.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int scan_open(struct check *c, struct check_dir *dir, struct dir_scan *s)
{
	int r;

	*s = (struct dir_scan){.c = c, .dir = dir};
	r = inode_load(c, dir->ino, &s->d);
	return r < 0 ? r : map_load(c, dir->ino, &s->d, &s->map);
}

void scan_close(struct dir_scan *s)
{
	map_finish(&s->map);
}

unsigned scan_nr_areas(const struct dir_scan *s)
{
	const struct extent *e = s->map.extents.items;
	size_t last = s->map.extents.nr - 1;
	uint64_t nr, max;

	if (s->d.data_format == DATA_INLINE)
		return 1;
	nr = s->map.extents.nr ? e[last].logical + e[last].count : 0;
	max = DIR_MAX_BYTES >> s->c->fs.geo.block_shift;
	return (unsigned)(nr < max ? nr : max);
}

/* -ENOENT: there is no such block. */
int scan_area(struct dir_scan *s, uint64_t index, struct names_area *ret)
{
	unsigned block_bytes = s->c->fs.geo.block_bytes;
	struct names_area a = {.position = DISK_HEAD_BYTES};
	uint64_t block;
	int r;

	if (s->d.data_format == DATA_INLINE) {
		a.bytes = s->d.tail;
		a.size = data_bytes_of(&s->d);
		*ret = a;
		return 0;
	}
	block = map_find(&s->map, index);
	if (!block)
		return -ENOENT;
	r = bufio_read(s->c->fs.bufio, block, &a.b);
	if (r < 0)
		return r;
	a.bytes = (uint8_t *)bufio_data(a.b) + DISK_HEAD_BYTES;
	a.size = block_bytes - DISK_HEAD_BYTES;
	a.position += index * block_bytes;
	*ret = a;
	return 0;
}

void area_store(struct dir_scan *s, struct names_area *a)
{
	if (a->b)
		block_store(s->c, a->b);
	else
		s->inode_changed = true;
	s->dir->flags |= DIR_REINDEX;
	a->b = NULL;
}

void area_close(struct names_area *a)
{
	if (a->b)
		bufio_release(a->b);
	a->b = NULL;
}

bool dirent_chain_is_good(const struct disk_dirent *d, unsigned left)
{
	unsigned rec_len;

	if (left < DIRENT_MIN)
		return false;
	rec_len = le16_get(d->rec_len);
	if (rec_len < DIRENT_MIN || rec_len % 4 || rec_len > left)
		return false;
	return le48_get(d->ino) == 0 || sizeof(*d) + d->name_len <= rec_len;
}

bool dirent_name_is_good(const struct disk_dirent *d)
{
	const char *name = (const char *)(d + 1);
	unsigned len = d->name_len;

	if (len == 0 || memchr(name, 0, len) || memchr(name, '/', len))
		return false;
	return name[0] != '.' || (len > 1 && (len > 2 || name[1] != '.'));
}

void names_uncount(struct check *c, struct check_dir *dir, uint64_t ino)
{
	struct note *n = note_of(c, ino);

	if (!n || !n->type)
		return;
	if (n->type == DT_DIR) {
		struct check_dir *child = dir_at(c, n->dir);

		dir->subdirs--;
		child->found = 0;
	} else {
		n->names--;
	}
}

/* A name with its place, for sorting. */
struct named {
	uint64_t position;
	unsigned len;
	char *name;
};

static int cmp_named(const void *a, const void *b)
{
	const struct named *x = a, *y = b;
	int r;

	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	r = memcmp(x->name, y->name, x->len);
	if (r)
		return r;
	return x->position < y->position ? -1 : x->position > y->position;
}

static int open_at(struct dir_scan *s, uint64_t position, struct names_area *ret_area,
		   struct disk_dirent **ret_d)
{
	uint64_t index = position / s->c->fs.geo.block_bytes;
	int r = scan_area(s, index, ret_area);

	if (r == 0)
		*ret_d = (struct disk_dirent *)(ret_area->bytes + (position - ret_area->position));
	return r;
}

static int load_names(struct dir_scan *s, const uint64_t *keys, size_t nr, struct named *names)
{
	for (size_t i = 0; i < nr; i++) {
		struct disk_dirent *d;
		struct names_area a;
		int r;

		names[i].position = (keys[i] & UINT32_MAX) * 4;
		r = open_at(s, names[i].position, &a, &d);
		if (r)
			return r;
		names[i].len = d->name_len;
		names[i].name = malloc(d->name_len);
		if (names[i].name)
			memcpy(names[i].name, d + 1, d->name_len);
		area_close(&a);
		if (!names[i].name)
			return -ENOMEM;
	}
	return 0;
}

static int remove_at(struct dir_scan *s, uint64_t position)
{
	struct disk_dirent *d;
	struct names_area a;
	uint64_t ino;
	int r;

	r = open_at(s, position, &a, &d);
	if (r)
		return r;
	ino = le48_get(d->ino);
	if (!problem(s->c, FIX_LOSSY, "dirent-twice", (struct at){.ino = s->dir->ino},
		     "directory %" PRIu64 ": a name of inode %" PRIu64
		     " occurs twice; the second is removed",
		     s->dir->ino, ino)) {
		area_close(&a);
		return 0;
	}
	names_uncount(s->c, s->dir, ino);
	s->dir->nr_entries--;
	d->ino = le48_make(0);
	area_store(s, &a);
	return 0;
}

static int compare_names(struct dir_scan *s, const uint64_t *keys, size_t nr)
{
	struct named *names = calloc(nr, sizeof(*names));
	int r;

	if (!names)
		return -ENOMEM;
	r = load_names(s, keys, nr, names);
	if (r == 0)
		qsort(names, nr, sizeof(*names), cmp_named);
	for (size_t i = 1; i < nr && r == 0; i++)
		if (names[i].len == names[i - 1].len &&
		    !memcmp(names[i].name, names[i - 1].name, names[i].len))
			r = remove_at(s, names[i].position);
	for (size_t i = 0; i < nr; i++)
		free(names[i].name);
	free(names);
	return r;
}

int names_find_twice(struct dir_scan *s)
{
	const uint64_t *keys = s->c->keys.items;
	size_t nr = s->c->keys.nr, from = 0;
	int r = 0;

	for (size_t i = 1; i <= nr && r == 0; i++) {
		if (i < nr && keys[i] >> 32 == keys[from] >> 32)
			continue;
		if (i - from > 1)
			r = compare_names(s, keys + from, i - from);
		from = i;
	}
	return r;
}

/* Take the entry of ino out of one area. */
static int remove_in(struct dir_scan *s, uint64_t index, uint64_t ino)
{
	struct names_area a;
	int r = scan_area(s, index, &a);

	if (r < 0)
		return r;
	r = 0;
	for (unsigned o = 0; o < a.size && r == 0;) {
		struct disk_dirent *d = (struct disk_dirent *)(a.bytes + o);

		if (!dirent_chain_is_good(d, a.size - o))
			break;
		if (le48_get(d->ino) == ino) {
			d->ino = le48_make(0);
			r = 1;
		}
		o += le16_get(d->rec_len);
	}
	if (r)
		area_store(s, &a);
	area_close(&a);
	return r;
}

int names_remove(struct check *c, struct check_dir *dir, uint64_t ino)
{
	struct dir_scan s;
	unsigned nr;
	int r = scan_open(c, dir, &s);

	if (r < 0)
		return r;
	nr = scan_nr_areas(&s);
	for (unsigned i = 0; i < nr && r == 0; i++)
		r = remove_in(&s, i, ino);
	if (r > 0) {
		names_uncount(c, dir, ino);
		dir->nr_entries--;
		s.d.nr_entries = le32_make(dir->nr_entries);
		r = inode_save(c, dir->ino, &s.d);
	}
	scan_close(&s);
	return r;
}
