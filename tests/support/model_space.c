/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Random operations on where files have their bytes, and on files without a name. */
#include "model_parts.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* A later link may find it. */
void model_step_nameless(struct model *m, uint64_t *seed)
{
	unsigned dir = model_draw_dir(m, seed), node = model_unused_node(m);
	const struct fs_new what = {.mode = S_IFREG | model_draw(seed, 01000)};
	struct fs_attr attr;
	int r = model_rule_dir(&m->node[dir]);

	if (!node)
		return;
	ck_assert_int_eq(fs_make_nameless(m->fs, m->node[dir].ino, &what, &attr), r);
	if (r == 0)
		m->node[node] =
			(struct model_node){.mode = what.mode, .ino = attr.ino, .linkable = true};
}

void model_step_whiteout(struct model *m, uint64_t *seed)
{
	const struct model_rename rn = {.from_dir = model_draw_dir(m, seed),
					.from = model_draw(seed, MODEL_NAMES),
					.to_dir = model_draw_dir(m, seed),
					.to = model_draw(seed, MODEL_NAMES),
					.flags = model_draw(seed, 2) ? RENAME_NOREPLACE : 0};
	const struct fs_names names = {m->node[rn.from_dir].ino, model_name(rn.from),
				       m->node[rn.to_dir].ino, model_name(rn.to)};
	unsigned node = model_unused_node(m);
	struct fs_attr attr;
	int r;

	if (!node)
		return;
	r = model_rule_rename(m, &rn);
	ck_assert_int_eq(fs_rename_whiteout(m->fs, &names, rn.flags, 0, 0), r);
	/* 0 is also said of two names of one file */
	if (r < 0 || m->node[rn.from_dir].child[rn.from])
		return;
	ck_assert_int_eq(fs_lookup(m->fs, names.old_dir, names.old_name, &attr), 0);
	m->node[node] = (struct model_node){.mode = S_IFCHR, .nlink = 1, .ino = attr.ino};
	m->node[rn.from_dir].child[rn.from] = node;
}

void model_step_fallocate(struct model *m, uint64_t *seed)
{
	static const int modes[] = {
		0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_ZERO_RANGE, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE};
	struct model_node *n = &m->node[model_draw_node(m, seed)];
	unsigned offset = model_draw(seed, model_draw(seed, 2) ? 200 : MODEL_BYTES - 1);
	unsigned size = 1 + model_draw(seed, MODEL_BYTES - offset);
	int mode = modes[model_draw(seed, 5)], r = model_rule_is_file(n);

	ck_assert_int_eq(fs_fallocate(m->fs, n->ino, mode, offset, size),
			 r == -EINVAL ? -ENODEV : r);
	if (r < 0)
		return;
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		memset(n->data + offset, 0, size);
	if (!(mode & FALLOC_FL_KEEP_SIZE) && offset + size > n->size)
		n->size = offset + size;
}

/* Bytes copied. */
static int rule_copy(const struct model_node *from, const struct model_node *to,
		     const struct fs_copy *c)
{
	int r = model_rule_is_file(from);

	if (r == 0)
		r = model_rule_is_file(to);
	if (r < 0)
		return r;
	if (from == to && c->from_offset < c->to_offset + c->size &&
	    c->to_offset < c->from_offset + c->size)
		return -EINVAL;
	return (int)c->size;
}

void model_step_copy(struct model *m, uint64_t *seed)
{
	struct model_node *from = &m->node[model_draw_node(m, seed)];
	struct model_node *to = &m->node[model_draw_node(m, seed)];
	struct fs_copy c = {.from = from->ino, .to = to->ino};
	int r;

	c.from_offset = model_draw(seed, (unsigned)from->size + 1);
	c.size = 1 + model_draw(seed, MODEL_BYTES);
	if (c.size > from->size - c.from_offset)
		c.size = from->size - c.from_offset;
	c.to_offset = model_draw(seed, MODEL_BYTES - (unsigned)c.size + 1);
	r = rule_copy(from, to, &c);
	ck_assert_int_eq(fs_copy_range(m->fs, &c), r);
	if (r <= 0)
		return;
	memmove(to->data + c.to_offset, from->data + c.from_offset, c.size);
	if (c.to_offset + c.size > to->size)
		to->size = c.to_offset + c.size;
}
