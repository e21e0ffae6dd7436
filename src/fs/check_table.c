/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pass 1, the tables: every inode of every group is given to check_inodes.c, and there is a root in the end.
 *
 * The tables of all groups count as one, which is gone through in steps.  While one step is checked the inodes of the next
 * say which blocks they will need, and the table blocks of the one behind that are on their way.
 */
#include "check_priv.h"

#include <errno.h>
#include <sys/stat.h>

#define STEP_BYTES (1u << 20)

/* A block of the tables. */
struct table_at {
	uint32_t group, block;
};

/* Blocks from *at on that adjoin, most at most; *at is moved to them, if it is at the end of a group.  0: there are no more. */
static uint32_t run_at(const struct check *c, struct table_at *at, uint32_t most)
{
	for (; at->group < c->fs.geo.nr_groups; *at = (struct table_at){at->group + 1, 0}) {
		uint32_t mark = c->groups[at->group].itable_mark / c->fs.geo.inodes_per_block;

		if (at->block < mark)
			return mark - at->block < most ? mark - at->block : most;
	}
	return 0;
}

static uint64_t first_ino_at(const struct check *c, struct table_at at)
{
	const struct geometry *g = &c->fs.geo;

	return (uint64_t)at.group * g->inodes_per_group + 1 +
	       (uint64_t)at.block * g->inodes_per_block;
}

static uint32_t step_blocks(const struct check *c)
{
	uint32_t most = STEP_BYTES >> c->fs.geo.block_shift;

	return most < c->ahead_max ? most : c->ahead_max;
}

static void read_step(struct check *c, struct table_at *at)
{
	uint32_t left = step_blocks(c), nr;

	for (; (nr = run_at(c, at, left)); left -= nr, at->block += nr)
		ahead_add(c, geo_itable(&c->fs.geo, at->group) + at->block, nr);
	ahead_go(c);
}

/* A block that cannot be read says nothing here. */
static void plan_block(struct check *c, struct table_at at)
{
	const struct geometry *g = &c->fs.geo;
	const struct disk_inode *d;
	struct bufio_buffer *b;

	if (bufio_read(c->fs.bufio, geo_itable(g, at.group) + at.block, &b) < 0)
		return;
	d = bufio_data(b);
	for (uint32_t i = 0; i < g->inodes_per_block; i++)
		if (le16_get(d[i].mode))
			ahead_inode(c, &d[i]);
	bufio_release(b);
}

static void plan_step(struct check *c, struct table_at *at)
{
	for (uint32_t left = step_blocks(c); left && run_at(c, at, 1); left--, at->block++)
		plan_block(c, *at);
	ahead_go(c);
}

static int check_block(struct check *c, struct table_at at)
{
	const struct geometry *g = &c->fs.geo;
	uint64_t first_ino = first_ino_at(c, at);
	const struct disk_inode *d;
	struct bufio_buffer *b;
	int r = bufio_read(c->fs.bufio, geo_inode_block(g, first_ino), &b);

	if (r < 0)
		return r;
	d = bufio_data(b);
	for (uint32_t i = 0; i < g->inodes_per_block && r == 0; i++)
		if (!is_all_zero(&d[i], sizeof(d[i])))
			r = check_inode(c, first_ino + i, &d[i]);
	bufio_release(b);
	return r;
}

static int check_step(struct check *c, struct table_at *at)
{
	int r = 0;

	for (uint32_t left = step_blocks(c); left && r == 0 && run_at(c, at, 1); left--) {
		r = check_block(c, *at);
		at->block++;
	}
	return r;
}

/* Would they fill the cache?  Then they leave it when they were checked, before what was read ahead, or is read again. */
static bool are_many(const struct check *c)
{
	uint64_t nr = 0;

	for (uint32_t i = 0; i < c->fs.geo.nr_groups; i++)
		nr += c->groups[i].itable_mark / c->fs.geo.inodes_per_block;
	return nr > c->ahead_max;
}

static void forget_step(struct check *c, struct table_at at)
{
	uint32_t left = step_blocks(c), nr;

	for (; (nr = run_at(c, &at, left)); left -= nr, at.block += nr)
		bufio_forget_range(c->fs.bufio, geo_itable(&c->fs.geo, at.group) + at.block, nr);
}

static int check_tables(struct check *c)
{
	struct table_at read = {0}, planned = {0}, at = {0}, before;
	bool forget = are_many(c);
	int r = 0;

	read_step(c, &read);
	read_step(c, &read);
	plan_step(c, &planned);
	while (r == 0 && run_at(c, &at, 1)) {
		check_progress(c, 1, at.group, c->fs.geo.nr_groups);
		read_step(c, &read);
		plan_step(c, &planned);
		before = at;
		r = check_step(c, &at);
		if (forget)
			forget_step(c, before);
	}
	return r;
}

static int make_root(struct check *c)
{
	struct scan s = {.c = c, .ino = INODE_ROOT};
	le64 now = time_encode(fs_now());
	int r = inode_load(c, INODE_ROOT, &s.d);

	if (r < 0)
		return r;
	s.d = (struct disk_inode){
		.generation = le32_make(le32_get(s.d.generation) + 1),
		.mode = le16_make(S_IFDIR | 0755),
		.nlink = le32_make(2),
		.parent = le64_make(INODE_ROOT),
		.atime = now,
		.mtime = now,
		.ctime = now,
		.btime = now,
	};
	dir_make_empty(&s.d);
	r = inode_save(c, INODE_ROOT, &s.d);
	return r < 0 ? r : scan_note(&s);
}

static int check_root(struct check *c)
{
	struct note *n = note_of(c, INODE_ROOT);

	if (n && n->type == DT_DIR)
		return 0;
	if (problem(c, FIX_LOSSY, "root-bad", (struct at){.ino = INODE_ROOT},
		    "there is no root directory; made anew"))
		return make_root(c);
	return 0;
}

int check_inodes(struct check *c)
{
	int r = claim_init(c);

	if (r == 0)
		r = check_tables(c);
	return r < 0 ? r : check_root(c);
}
