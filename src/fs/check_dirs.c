/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pass 2: the names.  Every entry of every directory: is it one, does it name an inode in use, of the
 * type it says; and who names whom is counted.  Then each name once, and the index.  Directories are taken in steps: while
 * those of one are checked, the blocks of the next are on their way, and inodes behind those.
 */
#include "check_priv.h"

#include "inode.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define STEP_DIRS 256u

/* What is wrong with where an entry points; NULL: nothing. */
static const char *target_flaw(struct check *c, const struct check_dir *dir, uint64_t ino,
			       const char **ret_code)
{
	const struct note *n;

	*ret_code = "dirent-ino";
	if (ino > geo_nr_inodes(&c->fs.geo))
		return "points to no inode";
	n = note_of(c, ino);
	*ret_code = "dirent-free";
	if (!n || !n->type)
		return "points to a free inode";
	if (n->type != DT_DIR)
		return NULL;
	*ret_code = "dirent-dir";
	if (ino == INODE_ROOT || ino == dir->ino)
		return "names the root, or the directory itself";
	if (dir_at(c, n->dir)->found)
		return "is the second name of a directory";
	return NULL;
}

/* Entry d is good: count it. */
static int count_entry(struct dir_scan *s, const struct disk_dirent *d, uint64_t position)
{
	struct check *c = s->c;
	uint64_t key = index_key_of(c, d, position), ino = le48_get(d->ino);
	struct note *n = note_of(c, ino);

	s->dir->nr_entries++;
	if (n->type == DT_DIR) {
		dir_at(c, n->dir)->found = s->dir->ino;
		s->dir->subdirs++;
	} else if (n->names < UINT32_MAX) {
		n->names++;
	}
	return vec_push(&c->keys, sizeof(key), &key);
}

/* Was something changed?  An entry that goes becomes free space. */
static bool check_entry(struct dir_scan *s, struct disk_dirent *d)
{
	struct check *c = s->c;
	uint64_t ino = le48_get(d->ino);
	struct at at = {.ino = s->dir->ino};
	const char *code = "dirent-name", *flaw = "has an impossible name";
	bool changed = false;

	if (dirent_name_is_good(d))
		flaw = target_flaw(c, s->dir, ino, &code);
	if (flaw) {
		changed =
			problem(c, FIX_LOSSY, code, at,
				"directory %" PRIu64 ": an entry for inode %" PRIu64 " %s; removed",
				at.ino, ino, flaw);
		if (changed)
			d->ino = le48_make(0);
		return changed;
	}
	if (d->type != note_of(c, ino)->type &&
	    problem(c, FIX_SAFE, "dirent-type", at,
		    "directory %" PRIu64 ": the entry of inode %" PRIu64
		    " has type %u, should be %u",
		    at.ino, ino, d->type, note_of(c, ino)->type)) {
		d->type = note_of(c, ino)->type;
		changed = true;
	}
	return changed;
}

/* An entry that was not mended must not be counted. */
static bool entry_is_good(struct dir_scan *s, const struct disk_dirent *d)
{
	uint64_t ino = le48_get(d->ino);
	const char *code;

	return ino && dirent_name_is_good(d) && !target_flaw(s->c, s->dir, ino, &code);
}

/* The chain ends here: what is left becomes free space. */
static bool mend_chain(struct dir_scan *s, const struct names_area *a, unsigned offset,
		       unsigned previous)
{
	struct disk_dirent *d = (struct disk_dirent *)(a->bytes + offset);
	unsigned left = a->size - offset;

	if (!problem(s->c, FIX_LOSSY, "dir-entries",
		     (struct at){s->dir->ino, a->b ? bufio_block(a->b) : 0},
		     "directory %" PRIu64 ": not entries from position %" PRIu64
		     " on; made free space",
		     s->dir->ino, a->position + offset))
		return false;
	memset(d, 0, left);
	if (left >= DIRENT_MIN) {
		d->rec_len = le16_make((uint16_t)left);
	} else {
		d = (struct disk_dirent *)(a->bytes + previous);
		d->rec_len = le16_make((uint16_t)(le16_get(d->rec_len) + left));
	}
	return true;
}

/* 1: changed. */
static int walk_area(struct dir_scan *s, const struct names_area *a)
{
	unsigned previous = 0;
	bool changed = false;
	int r = 0;

	for (unsigned o = 0; o < a->size && r == 0;) {
		struct disk_dirent *d = (struct disk_dirent *)(a->bytes + o);

		if (!dirent_chain_is_good(d, a->size - o))
			return mend_chain(s, a, o, previous) || changed;
		if (le48_get(d->ino))
			changed |= check_entry(s, d);
		if (entry_is_good(s, d))
			r = count_entry(s, d, a->position + o);
		previous = o;
		o += le16_get(d->rec_len);
	}
	return r < 0 ? r : changed;
}

static bool chain_is_good(const struct names_area *a)
{
	for (unsigned o = 0; o < a->size;) {
		const struct disk_dirent *d = (const struct disk_dirent *)(a->bytes + o);

		if (!dirent_chain_is_good(d, a->size - o))
			return false;
		o += le16_get(d->rec_len);
	}
	return true;
}

static bool head_is_good(const struct dir_scan *s, const struct names_area *a)
{
	const struct disk_head *h = bufio_data(a->b);

	return le32_get(h->magic) == MAGIC_DIR && le64_get(h->block) == bufio_block(a->b) &&
	       le64_get(h->owner) == s->dir->ino;
}

/*
 * A block with a wrong crc: if all else says that it is this block of this directory, its entries
 * are believed (each is still checked against its inode), else it becomes empty.  False: it
 * was not mended, so nothing in it counts.
 */
static bool mend_block(struct dir_scan *s, struct names_area *a)
{
	uint64_t block = bufio_block(a->b), ino = s->dir->ino;
	struct at at = {ino, block};

	if (head_is_good(s, a) && chain_is_good(a))
		return problem(s->c, FIX_LOSSY, "dir-block-crc", at,
			       "directory %" PRIu64 ": block %" PRIu64
			       " has a wrong checksum; its entries are kept",
			       ino, block);
	if (!problem(s->c, FIX_LOSSY, "dir-block-bad", at,
		     "directory %" PRIu64 ": block %" PRIu64 " is damaged; emptied", ino, block))
		return false;
	memset(bufio_data(a->b), 0, s->c->fs.geo.block_bytes);
	block_head(bufio_data(a->b), META_DIR, block, ino);
	((struct disk_dirent *)a->bytes)->rec_len = le16_make((uint16_t)a->size);
	return true;
}

static int check_area(struct dir_scan *s, uint64_t index)
{
	struct names_area a;
	bool changed = false;
	int r = scan_area(s, index, &a);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (a.b && meta_verify_raw(&s->c->fs, bufio_block(a.b), META_DIR, s->dir->ino,
				   bufio_data(a.b)) < 0) {
		if (!mend_block(s, &a)) {
			area_close(&a);
			return 0;
		}
		changed = true;
	}
	r = walk_area(s, &a);
	if (changed || r > 0)
		area_store(s, &a);
	area_close(&a);
	return r < 0 ? r : 0;
}

static void check_nr_entries(struct dir_scan *s)
{
	if (le32_get(s->d.nr_entries) == s->dir->nr_entries)
		return;
	if (problem(s->c, FIX_SAFE, "dir-nr-entries", (struct at){.ino = s->dir->ino},
		    "directory %" PRIu64 ": has %u names, says %u", s->dir->ino, s->dir->nr_entries,
		    le32_get(s->d.nr_entries))) {
		s->d.nr_entries = le32_make(s->dir->nr_entries);
		s->inode_changed = true;
	}
}

static int check_dir(struct check *c, struct check_dir *dir)
{
	struct dir_scan s;
	unsigned nr;
	int r = scan_open(c, dir, &s);

	if (r < 0)
		return r;
	c->keys.nr = 0;
	nr = scan_nr_areas(&s);
	map_prefetch(c, &s.map, le64_get(s.d.special) != 0);
	for (unsigned i = 0; i < nr && r == 0; i++)
		r = check_area(&s, i);
	keys_sort(&c->keys);
	if (r == 0)
		r = names_find_twice(&s);
	if (r == 0)
		check_nr_entries(&s);
	if (r == 0)
		r = index_compare(&s);
	if (r == 0 && s.inode_changed)
		r = inode_save(c, dir->ino, &s.d);
	scan_close(&s);
	return r;
}

static size_t step_end(const struct check *c, size_t from)
{
	size_t most = STEP_DIRS < c->ahead_max ? STEP_DIRS : c->ahead_max;

	return c->dirs.nr - from < most ? c->dirs.nr : from + most;
}

/* The table blocks of some directories. */
static void read_inodes(struct check *c, size_t *at)
{
	for (size_t end = step_end(c, *at); *at < end; ++*at)
		ahead_add(c, geo_inode_block(&c->fs.geo, dir_at(c, *at)->ino), 1);
	ahead_go(c);
}

/* Their blocks, of as many as there is room for.  An inode that cannot be read says nothing here. */
static void read_blocks(struct check *c, size_t *at)
{
	struct disk_inode d;

	for (size_t end = step_end(c, *at); *at < end && c->ahead_nr < c->ahead_max; ++*at)
		if (inode_load(c, dir_at(c, *at)->ino, &d) == 0)
			ahead_dir(c, &d);
	ahead_go(c);
}

int check_dirs(struct check *c)
{
	size_t at = 0, blocks = 0, inodes = 0;
	int r = 0;

	read_inodes(c, &inodes);
	read_blocks(c, &blocks);
	while (at < c->dirs.nr && r == 0) {
		size_t end = blocks;

		check_progress(c, 2, at, c->dirs.nr);
		if (inodes < step_end(c, blocks))
			read_inodes(c, &inodes);
		read_blocks(c, &blocks);
		for (; at < end && r == 0; at++)
			r = check_dir(c, dir_at(c, at));
	}
	return r;
}
