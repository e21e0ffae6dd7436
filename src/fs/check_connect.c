/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pass 3: every directory hangs below the root, by its one name; every other inode in use has a name.
 * What has none, but a link count, gets one in lost+found.  Then the parent fields, and
 * the indexes of all directories whose names were changed.
 */
#include "check_priv.h"

#include <errno.h>
#include <inttypes.h>

static struct check_dir *dir_of(struct check *c, uint64_t ino)
{
	struct note *n = note_of(c, ino);

	return n && n->type == DT_DIR ? dir_at(c, n->dir) : NULL;
}

/* Without a link count and names in it, it was about to be freed. */
static bool is_orphan(struct check *c, const struct check_dir *dir)
{
	return note_of(c, dir->ino)->nlink == 0 && dir->nr_entries == 0;
}

static int lose_dir(struct check *c, struct check_dir *dir)
{
	if (is_orphan(c, dir)) {
		dir->flags |= DIR_ORPHAN;
		return 0;
	}
	if (!problem(c, FIX_SAFE, "dir-unreachable", (struct at){.ino = dir->ino},
		     "directory %" PRIu64 " has no name; moved to lost+found", dir->ino))
		return 0;
	return vec_push(&c->lost, sizeof(dir->ino), &dir->ino);
}

/* dir is below itself: take its name away. */
static int break_cycle(struct check *c, struct check_dir *dir)
{
	int r;

	if (!problem(c, FIX_LOSSY, "dir-cycle", (struct at){.ino = dir->ino},
		     "directory %" PRIu64 " is below itself; moved to lost+found", dir->ino))
		return 0;
	r = names_remove(c, dir_of(c, dir->found), dir->ino);
	dir->found = 0;
	return r < 0 ? r : vec_push(&c->lost, sizeof(dir->ino), &dir->ino);
}

/* Up from dir until something known; then all on the way are known. */
static int connect_dir(struct check *c, struct check_dir *dir)
{
	struct check_dir *top = dir, *d;
	bool cycle, lost;

	while (!(top->flags & (DIR_CONNECTED | DIR_VISITING)) && top->ino != INODE_ROOT &&
	       top->found) {
		top->flags |= DIR_VISITING;
		top = dir_of(c, top->found);
	}
	cycle = top->flags & DIR_VISITING;
	lost = !(top->flags & (DIR_CONNECTED | DIR_VISITING)) && top->ino != INODE_ROOT;
	top->flags |= DIR_CONNECTED;
	for (d = dir; d->flags & DIR_VISITING; d = dir_of(c, d->found))
		d->flags = (uint8_t)((d->flags & ~DIR_VISITING) | DIR_CONNECTED);
	if (cycle)
		return break_cycle(c, top);
	return lost ? lose_dir(c, top) : 0;
}

static int lose_inode(struct check *c, uint64_t ino, const struct note *n)
{
	if (n->type == 0 || n->type == DT_DIR || n->names || !n->nlink)
		return 0;
	if (!problem(c, FIX_SAFE, "inode-unreachable", (struct at){.ino = ino},
		     "inode %" PRIu64 " has no name; given one in lost+found", ino))
		return 0;
	return vec_push(&c->lost, sizeof(ino), &ino);
}

static int lose_inodes(struct check *c)
{
	const struct geometry *g = &c->fs.geo;
	int r = 0;

	for (uint32_t group = 0; group < g->nr_groups; group++) {
		const struct check_group *cg = &c->groups[group];
		uint64_t first = (uint64_t)group * g->inodes_per_group + 1;

		for (uint32_t i = 0; cg->notes && i < cg->itable_mark && r == 0; i++)
			r = lose_inode(c, first + i, &cg->notes[i]);
	}
	return r;
}

static int check_parent(struct check *c, struct check_dir *dir)
{
	uint64_t parent = dir->ino == INODE_ROOT ? INODE_ROOT : dir->found;
	struct disk_inode d;
	int r;

	if (!parent || dir->parent == parent)
		return 0;
	if (!problem(c, FIX_SAFE, "dir-parent", (struct at){.ino = dir->ino},
		     "directory %" PRIu64 ": its parent is said to be %" PRIu64 ", is %" PRIu64,
		     dir->ino, dir->parent, parent))
		return 0;
	r = inode_load(c, dir->ino, &d);
	if (r < 0)
		return r;
	d.parent = le64_make(parent);
	dir->parent = parent;
	return inode_save(c, dir->ino, &d);
}

/* In preen mode, what was flagged before the stop is still finished. */
static int rebuild_indexes(struct check *c)
{
	int r = 0;

	for (size_t i = 0; i < c->dirs.nr && r == 0; i++) {
		struct check_dir *dir = dir_at(c, i);

		if (dir->flags & DIR_REINDEX && note_of(c, dir->ino)->type)
			r = index_rebuild(c, dir);
	}
	return r;
}

int check_connect(struct check *c)
{
	int r = 0;

	if (!dir_of(c, INODE_ROOT))
		return 0;
	for (size_t i = 0; i < c->dirs.nr && r == 0; i++)
		r = connect_dir(c, dir_at(c, i));
	if (r == 0)
		r = lose_inodes(c);
	if (r == 0 && c->lost.nr)
		r = lost_attach(c);
	for (size_t i = 0; i < c->dirs.nr && r == 0; i++)
		r = check_parent(c, dir_at(c, i));
	if (r == 0)
		r = rebuild_indexes(c);
	return r;
}
