/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pass 4: link counts as many as there are names; inodes without any are freed, unless a crash left them, as
 * it may when they were open.
 */
#include "check_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static int free_list(struct check *c, const struct vec *blocks)
{
	int r = 0;

	for (size_t i = 0; i < blocks->nr && r == 0; i++)
		r = claim_free(c, ((uint64_t *)blocks->items)[i], 1);
	return r;
}

/* All it maps is known to be its own: pass 1b saw to that. */
static int free_blocks(struct check *c, uint64_t ino, struct disk_inode *d)
{
	const struct extent *e;
	struct vec others = {0};
	struct map map;
	int r = map_load(c, ino, d, &map);

	if (r < 0)
		return r;
	e = map.extents.items;
	for (size_t i = 0; i < map.extents.nr && r == 0; i++)
		r = claim_free(c, e[i].physical, e[i].count);
	if (r == 0)
		r = free_list(c, &map.nodes);
	if (r == 0 && le16_get(d->mode) >> 12 == DT_DIR)
		r = index_drop(c, ino, d);
	if (r == 0)
		r = check_attrs(c, ino, d, &others);
	if (r >= 0)
		r = free_list(c, &others);
	vec_free(&others);
	map_finish(&map);
	return r;
}

static int free_inode(struct check *c, uint64_t ino, struct note *n)
{
	struct disk_inode d;
	int r = inode_load(c, ino, &d);

	if (r == 0)
		r = free_blocks(c, ino, &d);
	if (r < 0)
		return r;
	inode_clear(&d);
	c->result.used_inodes--;
	*(n->type == DT_REG   ? &c->result.files
	  : n->type == DT_DIR ? &c->result.dirs
	  : n->type == DT_LNK ? &c->result.symlinks
			      : &c->result.others) -= 1;
	*n = (struct note){0};
	return inode_save(c, ino, &d);
}

static int check_orphan(struct check *c, uint64_t ino, struct note *n)
{
	if (c->crashed)
		return 0;
	if (problem(c, FIX_DERIVED, "orphan-inode", (struct at){.ino = ino},
		    "inode %" PRIu64 " has no name and no link; freed", ino))
		return free_inode(c, ino, n);
	return 0;
}

static int check_count(struct check *c, uint64_t ino, struct note *n, uint32_t names)
{
	struct disk_inode d;
	int r;

	if (n->nlink == names)
		return 0;
	if (!problem(c, FIX_DERIVED, "inode-nlink", (struct at){.ino = ino},
		     "inode %" PRIu64 ": its link count is %u, should be %u", ino, n->nlink, names))
		return 0;
	r = inode_load(c, ino, &d);
	if (r < 0)
		return r;
	n->nlink = names;
	d.nlink = le32_make(names);
	return inode_save(c, ino, &d);
}

static int check_links_of(struct check *c, uint64_t ino, struct note *n)
{
	if (n->type == 0)
		return 0;
	if (n->type == DT_DIR) {
		const struct check_dir *dir = dir_at(c, n->dir);

		if (dir->flags & DIR_ORPHAN)
			return check_orphan(c, ino, n);
		if (!dir->found && ino != INODE_ROOT)
			return 0;
		return check_count(c, ino, n, 2 + dir->subdirs);
	}
	if (n->names)
		return check_count(c, ino, n, n->names);
	return n->nlink ? 0 : check_orphan(c, ino, n);
}

int check_links(struct check *c)
{
	const struct geometry *g = &c->fs.geo;
	int r = 0;

	for (uint32_t group = 0; group < g->nr_groups && r == 0; group++) {
		struct check_group *cg = &c->groups[group];
		uint64_t first = (uint64_t)group * g->inodes_per_group + 1;

		check_progress(c, 4, group, g->nr_groups);
		for (uint32_t i = 0; cg->notes && i < cg->itable_mark && r == 0; i++)
			r = check_links_of(c, first + i, &cg->notes[i]);
	}
	return r;
}
