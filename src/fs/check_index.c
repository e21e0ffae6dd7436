/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hash index of a directory: it must hold exactly the keys of the names found.  Where it does
 * not, or the names change, it is written anew when all names are settled.
 */
#include "check_priv.h"
#include "dir.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define RADIX_MIN 256u

uint64_t index_key_of(const struct check *c, const struct disk_dirent *d, uint64_t position)
{
	return (uint64_t)dir_hash(&c->fs, (const char *)(d + 1), d->name_len) << 32 |
	       (position / 4 & UINT32_MAX);
}

static int cmp_key(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void radix_pass(const uint64_t *from, uint64_t *to, size_t nr, unsigned shift)
{
	size_t at[256] = {0}, sum = 0;

	for (size_t i = 0; i < nr; i++)
		at[from[i] >> shift & 255]++;
	for (unsigned i = 0; i < 256; i++) {
		size_t count = at[i];

		at[i] = sum;
		sum += count;
	}
	for (size_t i = 0; i < nr; i++)
		to[at[from[i] >> shift & 255]++] = from[i];
}

void keys_sort(struct vec *keys)
{
	uint64_t *a = keys->items, *b = NULL;

	if (keys->nr >= RADIX_MIN)
		b = malloc(keys->nr * sizeof(*b));
	if (!b) {
		if (keys->nr)
			qsort(a, keys->nr, sizeof(*a), cmp_key);
		return;
	}
	for (unsigned shift = 0; shift < 64; shift += 16) {
		radix_pass(a, b, keys->nr, shift);
		radix_pass(b, a, keys->nr, shift + 8);
	}
	free(b);
}

struct comparer {
	const struct vec *keys;
	size_t at;
	bool differs;
};

static int compare_record(void *context, const void *record)
{
	struct comparer *m = context;
	const uint64_t *keys = m->keys->items;
	le64 key;

	memcpy(&key, record, sizeof(key));
	if (m->at >= m->keys->nr || keys[m->at] != le64_get(key))
		m->differs = true;
	m->at++;
	return 0;
}

/* Names were found, c->keys has their keys. */
int index_compare(struct dir_scan *s)
{
	struct comparer m = {.keys = &s->c->keys};
	struct tree_walk w = {.c = s->c,
			      .kind = META_INDEX,
			      .owner = s->dir->ino,
			      .record = compare_record,
			      .context = &m};
	uint64_t root = le64_get(s->d.special);
	int r;

	if (s->dir->flags & DIR_REINDEX || s->d.data_format == DATA_INLINE)
		return 0;
	if (!root && scan_nr_areas(s) < 2)
		return 0;
	if (root) {
		r = tree_walk(&w, root);
		if (r < 0)
			return r;
	}
	if (!m.differs && !w.nr_bad && m.at == m.keys->nr)
		return 0;
	if (problem(s->c, FIX_SAFE, "dir-index-keys", (struct at){.ino = s->dir->ino},
		    "directory %" PRIu64 ": the index does not agree with the names", s->dir->ino))
		s->dir->flags |= DIR_REINDEX;
	return 0;
}

static int ignore_record(void *context, const void *record)
{
	return 0;
}

int index_drop(struct check *c, uint64_t ino, struct disk_inode *d)
{
	struct vec nodes = {0};
	struct tree_walk w = {
		.c = c, .kind = META_INDEX, .owner = ino, .record = ignore_record, .nodes = &nodes};
	int r;

	if (!le64_get(d->special))
		return 0;
	r = tree_walk(&w, le64_get(d->special));
	for (size_t i = 0; i < nodes.nr && r == 0; i++)
		r = claim_free(c, ((uint64_t *)nodes.items)[i], 1);
	d->special = le64_make(0);
	d->blocks = le64_make(le64_get(d->blocks) - nodes.nr);
	vec_free(&nodes);
	return r;
}

static int collect_keys(struct dir_scan *s, struct vec *keys)
{
	unsigned nr = scan_nr_areas(s);
	int r = 0;

	for (unsigned i = 0; i < nr && r == 0; i++) {
		struct names_area a;

		r = scan_area(s, i, &a);
		if (r < 0)
			return r == -ENOENT ? 0 : r;
		for (unsigned o = 0; o < a.size && r == 0;) {
			const struct disk_dirent *d = (const struct disk_dirent *)(a.bytes + o);

			if (!dirent_chain_is_good(d, a.size - o))
				break;
			if (le48_get(d->ino)) {
				uint64_t key = index_key_of(s->c, d, a.position + o);

				r = vec_push(keys, sizeof(key), &key);
			}
			o += le16_get(d->rec_len);
		}
		area_close(&a);
	}
	return r;
}

static int encode_keys(struct vec *keys)
{
	uint64_t *key = keys->items;

	for (size_t i = 0; i < keys->nr; i++) {
		le64 disk = le64_make(key[i]);

		memcpy(&key[i], &disk, sizeof(disk));
	}
	return 0;
}

static int build(struct dir_scan *s)
{
	struct new_tree tree = {.kind = META_INDEX, .owner = s->dir->ino};
	struct check *c = s->c;
	int r;

	c->keys.nr = 0;
	r = collect_keys(s, &c->keys);
	if (r < 0)
		return r;
	keys_sort(&c->keys);
	encode_keys(&c->keys);
	r = index_drop(c, s->dir->ino, &s->d);
	if (r < 0)
		return r;
	r = tree_build(c, &c->keys, &tree);
	if (r == -ENOSPC || r == -EBUSY) {
		problem(c, FIX_NEVER, "no-space-for-index", (struct at){.ino = s->dir->ino},
			"directory %" PRIu64 ": no space for its index", s->dir->ino);
		r = 0;
	} else if (r == 0) {
		s->d.special = le64_make(tree.root);
		s->d.blocks = le64_make(le64_get(s->d.blocks) + tree.nr_blocks);
	}
	return r;
}

int index_rebuild(struct check *c, struct check_dir *dir)
{
	struct dir_scan s;
	int r = scan_open(c, dir, &s);

	if (r < 0)
		return r;
	if (s.d.data_format != DATA_INLINE && (scan_nr_areas(&s) > 1 || le64_get(s.d.special))) {
		r = build(&s);
		if (r == 0)
			r = inode_save(c, dir->ino, &s.d);
	}
	scan_close(&s);
	return r;
}
