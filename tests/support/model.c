/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model.h"
#include "lend.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "image.h"
#include "model_parts.h"

const char *model_name(unsigned name)
{
	static const unsigned lengths[MODEL_NAMES] = {1, 2, 3, 11, 13, 40, 80, 150, 254, 255};
	static char names[MODEL_NAMES][256];

	memset(names[name], 'a' + (int)name, lengths[name]);
	return names[name];
}

static bool is_dir(const struct model_node *n)
{
	return S_ISDIR(n->mode);
}

static unsigned nr_names(const struct model_node *dir)
{
	unsigned nr = 0;

	for (unsigned i = 0; i < MODEL_NAMES; i++)
		nr += dir->child[i] != 0;
	return nr;
}

void model_init(struct model *m, struct fs *fs)
{
	*m = (struct model){.fs = fs};
	m->node[MODEL_ROOT].mode = S_IFDIR | 0755;
	m->node[MODEL_ROOT].nlink = 2;
	m->node[MODEL_ROOT].parent = MODEL_ROOT;
	m->node[MODEL_ROOT].ino = 1;
}

/* The rules.  Each returns what the filesystem has to return, and changes the model if that is 0. */

int model_rule_dir(const struct model_node *dir)
{
	if (!is_dir(dir))
		return -ENOTDIR;
	return dir->nlink ? 0 : -ENOENT;
}

static int rule_make(struct model *m, unsigned dir, unsigned name, uint32_t mode, unsigned node)
{
	struct model_node *d = &m->node[dir], *n = &m->node[node];
	int r = model_rule_dir(d);

	if (r == 0 && d->child[name])
		r = -EEXIST;
	if (r < 0)
		return r;
	*n = (struct model_node){.mode = mode, .nlink = S_ISDIR(mode) ? 2 : 1, .parent = dir};
	if (S_ISLNK(mode)) {
		n->size = strlen(model_name(name));
		memcpy(n->data, model_name(name), n->size);
	}
	d->child[name] = node;
	d->nlink += S_ISDIR(mode) ? 1 : 0;
	return 0;
}

static int rule_link(struct model *m, unsigned node, unsigned dir, unsigned name)
{
	struct model_node *d = &m->node[dir], *n = &m->node[node];
	int r;

	if (is_dir(n))
		return -EPERM;
	r = model_rule_dir(d);
	if (r == 0 && d->child[name])
		r = -EEXIST;
	if (r == 0 && !n->nlink && !n->linkable)
		r = -ENOENT;
	if (r < 0)
		return r;
	d->child[name] = node;
	n->nlink++;
	n->linkable = false;
	return 0;
}

static void lose_name(struct model *m, struct model_node *dir, unsigned node)
{
	struct model_node *n = &m->node[node];

	n->nlink = is_dir(n) ? 0 : n->nlink - 1;
	dir->nlink -= is_dir(n) ? 1 : 0;
}

static int rule_remove(struct model *m, unsigned dir, unsigned name, bool want_dir)
{
	struct model_node *d = &m->node[dir], *n = &m->node[d->child[name]];
	int r = model_rule_dir(d);

	if (r == 0 && !d->child[name])
		r = -ENOENT;
	if (r < 0)
		return r;
	if (is_dir(n) != want_dir)
		return want_dir ? -ENOTDIR : -EISDIR;
	if (is_dir(n) && nr_names(n))
		return -ENOTEMPTY;
	lose_name(m, d, d->child[name]);
	d->child[name] = 0;
	return 0;
}

/* Is node dir, or a directory that dir is in? */
static bool is_above(const struct model *m, unsigned node, unsigned dir)
{
	while (dir != node && dir != MODEL_ROOT)
		dir = m->node[dir].parent;
	return dir == node;
}

static int rule_over(const struct model *m, const struct model_rename *r, unsigned moved,
		     unsigned other)
{
	const struct model_node *a = &m->node[moved], *b = &m->node[other];

	if (r->flags & RENAME_EXCHANGE || !other)
		return 0;
	if (!is_dir(a))
		return is_dir(b) ? -EISDIR : 0;
	if (!is_dir(b))
		return -ENOTDIR;
	return nr_names(b) ? -ENOTEMPTY : 0;
}

static int rule_rename_names(const struct model *m, const struct model_rename *r)
{
	unsigned moved = m->node[r->from_dir].child[r->from];
	unsigned other = m->node[r->to_dir].child[r->to];

	if (!moved || (!other && r->flags & RENAME_EXCHANGE))
		return -ENOENT;
	if (other && r->flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (moved == other)
		return 0;
	if (is_above(m, moved, r->to_dir))
		return -EINVAL;
	if (other && is_above(m, other, r->from_dir))
		return r->flags & RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
	return rule_over(m, r, moved, other);
}

static void adopt(struct model *m, unsigned dir, unsigned name, unsigned node)
{
	m->node[dir].child[name] = node;
	if (node && is_dir(&m->node[node])) {
		m->node[dir].nlink++;
		m->node[node].parent = dir;
	}
}

static unsigned disown(struct model *m, unsigned dir, unsigned name)
{
	unsigned node = m->node[dir].child[name];

	m->node[dir].child[name] = 0;
	m->node[dir].nlink -= node && is_dir(&m->node[node]) ? 1 : 0;
	return node;
}

int model_rule_rename(struct model *m, const struct model_rename *r)
{
	unsigned moved, other;
	int result = 0;

	/* the directories themselves come first: the way up from one that is gone, or none, is no way */
	for (unsigned i = 0; i < 2 && result == 0; i++)
		result = model_rule_dir(&m->node[i ? r->to_dir : r->from_dir]);
	if (result == 0)
		result = rule_rename_names(m, r);
	if (result < 0)
		return result;
	if (m->node[r->from_dir].child[r->from] == m->node[r->to_dir].child[r->to])
		return 0;
	moved = disown(m, r->from_dir, r->from);
	other = m->node[r->to_dir].child[r->to];
	if (r->flags & RENAME_EXCHANGE)
		adopt(m, r->from_dir, r->from, disown(m, r->to_dir, r->to));
	else if (other)
		lose_name(m, &m->node[r->to_dir], other);
	adopt(m, r->to_dir, r->to, moved);
	return 0;
}

int model_rule_is_file(const struct model_node *n)
{
	if (is_dir(n))
		return -EISDIR;
	return S_ISREG(n->mode) ? 0 : -EINVAL;
}

/* Random programs */

unsigned model_draw(uint64_t *seed, unsigned limit)
{
	return (unsigned)(image_random(seed) >> 33) % limit;
}

unsigned model_draw_node(const struct model *m, uint64_t *seed)
{
	unsigned n;

	do {
		n = 1 + model_draw(seed, MODEL_NODES);
	} while (!m->node[n].mode);
	return n;
}

/* Mostly a directory. */
unsigned model_draw_dir(const struct model *m, uint64_t *seed)
{
	unsigned n = model_draw_node(m, seed);

	for (unsigned i = 0; i < 20 && !is_dir(&m->node[n]); i++)
		n = model_draw_node(m, seed);
	return n;
}

unsigned model_unused_node(const struct model *m)
{
	for (unsigned n = 1; n <= MODEL_NODES; n++) {
		if (!m->node[n].mode)
			return n;
	}
	return 0;
}

static void step_make(struct model *m, uint64_t *seed)
{
	static const uint32_t types[] = {S_IFREG, S_IFREG, S_IFDIR, S_IFDIR, S_IFLNK, S_IFIFO};
	unsigned dir = model_draw_dir(m, seed), name = model_draw(seed, MODEL_NAMES),
		 node = model_unused_node(m);
	const struct fs_new what = {.mode = types[model_draw(seed, 6)] | model_draw(seed, 01000),
				    .target = model_name(name)};
	struct fs_attr attr;
	int r;

	if (!node)
		return;
	r = rule_make(m, dir, name, what.mode, node);
	ck_assert_int_eq(fs_make(m->fs, m->node[dir].ino, model_name(name), &what, &attr), r);
	if (r == 0)
		m->node[node].ino = attr.ino;
}

static void step_link(struct model *m, uint64_t *seed)
{
	unsigned node = model_draw_node(m, seed), dir = model_draw_dir(m, seed);
	unsigned name = model_draw(seed, MODEL_NAMES);
	struct fs_attr attr;
	int r = rule_link(m, node, dir, name);

	ck_assert_int_eq(
		fs_link(m->fs, m->node[node].ino, m->node[dir].ino, model_name(name), &attr), r);
	if (r == 0)
		fs_forget(m->fs, attr.ino, 1);
}

static void step_remove(struct model *m, uint64_t *seed)
{
	unsigned dir = model_draw_dir(m, seed), name = model_draw(seed, MODEL_NAMES);
	bool want_dir = model_draw(seed, 2);
	int r = rule_remove(m, dir, name, want_dir);

	if (want_dir)
		ck_assert_int_eq(fs_rmdir(m->fs, m->node[dir].ino, model_name(name)), r);
	else
		ck_assert_int_eq(fs_unlink(m->fs, m->node[dir].ino, model_name(name)), r);
}

static void step_rename(struct model *m, uint64_t *seed)
{
	static const unsigned flags[] = {0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
	const struct model_rename rn = {.from_dir = model_draw_dir(m, seed),
					.from = model_draw(seed, MODEL_NAMES),
					.to_dir = model_draw_dir(m, seed),
					.to = model_draw(seed, MODEL_NAMES),
					.flags = flags[model_draw(seed, 4)]};
	int r = model_rule_rename(m, &rn);

	ck_assert_int_eq(fs_rename(m->fs,
				   &(struct fs_names){m->node[rn.from_dir].ino, model_name(rn.from),
						      m->node[rn.to_dir].ino, model_name(rn.to)},
				   rn.flags),
			 r);
}

static void step_write(struct model *m, uint64_t *seed)
{
	struct model_node *n = &m->node[model_draw_node(m, seed)];
	unsigned offset =
		model_draw(seed, 3) ? model_draw(seed, 200) : model_draw(seed, MODEL_BYTES - 1);
	unsigned size = 1 + model_draw(seed, MODEL_BYTES - offset);
	int r = model_rule_is_file(n);
	uint8_t data[MODEL_BYTES];

	for (unsigned i = 0; i < size; i++)
		data[i] = (uint8_t)(image_random(seed) | 1);
	ck_assert_int_eq(lend_write(m->fs, n->ino, offset, data, size), r < 0 ? r : (int)size);
	if (r < 0)
		return;
	memcpy(n->data + offset, data, size);
	if (offset + size > n->size)
		n->size = offset + size;
}

static void step_truncate(struct model *m, uint64_t *seed)
{
	struct model_node *n = &m->node[model_draw_node(m, seed)];
	struct fs_attr attr = {.size = model_draw(seed, model_draw(seed, 2) ? 200 : MODEL_BYTES)};
	uint64_t size = attr.size;
	int r = model_rule_is_file(n);

	ck_assert_int_eq(fs_setattr(m->fs, n->ino, &attr, FS_SET_SIZE, &attr), r);
	if (r < 0)
		return;
	if (size < n->size)
		memset(n->data + size, 0, MODEL_BYTES - size);
	n->size = size;
}

static const char *xattr_name(unsigned k)
{
	static const char *const names[MODEL_XATTRS] = {"user.a", "user.another", "trusted.t",
							"security.somewhat longer"};

	return names[k];
}

/* Set it, or remove it if the new one does not exist. */
static int rule_xattr(struct model_node *n, unsigned k, const struct model_xattr *new)
{
	if (k < 2 && !S_ISREG(n->mode) && !is_dir(n))
		return -EPERM;
	if (!new->exists && !n->xattr[k].exists)
		return -ENODATA;
	n->xattr[k] = *new;
	return 0;
}

static void step_xattr(struct model *m, uint64_t *seed)
{
	struct model_node *n = &m->node[model_draw_node(m, seed)];
	unsigned k = model_draw(seed, MODEL_XATTRS);
	struct model_xattr new = {.exists = model_draw(seed, 3),
				  .fill = (uint8_t)model_draw(seed, 256)};
	uint8_t value[MODEL_XATTR_BYTES];
	int r;

	new.size = new.exists ? model_draw(seed, model_draw(seed, 2) ? 100 : MODEL_XATTR_BYTES) : 0;
	memset(value, new.fill, new.size);
	r = rule_xattr(n, k, &new);
	if (new.exists)
		ck_assert_int_eq(fs_setxattr(m->fs, n->ino,
					     &(struct fs_xattr){xattr_name(k), value, new.size}, 0),
				 r);
	else
		ck_assert_int_eq(fs_removexattr(m->fs, n->ino, xattr_name(k)), r);
}

static void compare_xattrs(struct model *m, const struct model_node *n)
{
	uint8_t value[MODEL_XATTR_BYTES];
	size_t names = 0;

	for (unsigned k = 0; k < MODEL_XATTRS; k++) {
		const struct model_xattr *x = &n->xattr[k];
		ssize_t got = fs_getxattr(m->fs, n->ino, xattr_name(k), value, sizeof(value));

		ck_assert_int_eq(got, x->exists ? (int)x->size : -ENODATA);
		for (ssize_t i = 0; i < got; i++)
			ck_assert_uint_eq(value[i], x->fill);
		names += x->exists ? strlen(xattr_name(k)) + 1 : 0;
	}
	ck_assert_int_eq(fs_listxattr(m->fs, n->ino, NULL, 0), (int)names);
}

static void compare_node(struct model *m, const struct model_node *n)
{
	struct fs_attr attr;
	uint8_t data[MODEL_BYTES + 1];

	ck_assert_int_eq(fs_getattr(m->fs, n->ino, &attr), 0);
	ck_assert_uint_eq(attr.mode, n->mode);
	ck_assert_uint_eq(attr.nlink, n->nlink);
	compare_xattrs(m, n);
	if (is_dir(n))
		return;
	ck_assert_uint_eq(attr.size, n->size);
	if (S_ISREG(n->mode))
		ck_assert_int_eq(fs_read(m->fs, n->ino, 0, data, sizeof(data)), (int)n->size);
	else if (S_ISLNK(n->mode))
		ck_assert_int_eq(fs_readlink(m->fs, n->ino, (char *)data, sizeof(data)),
				 (int)n->size);
	if (n->size)
		ck_assert_mem_eq(data, n->data, n->size);
}

/* Of one without a name: what it holds is seen once more, and then it is gone. */
static void step_forget(struct model *m, uint64_t *seed)
{
	struct model_node *n = &m->node[model_draw_node(m, seed)];
	struct fs_attr attr;

	if (n->nlink)
		return;
	compare_node(m, n);
	fs_forget(m->fs, n->ino, 1);
	ck_assert_int_eq(fs_getattr(m->fs, n->ino, &attr), -ESTALE);
	n->mode = 0;
}

void model_step(struct model *m, uint64_t *seed)
{
	static void (*const steps[])(struct model *, uint64_t *) = {
		step_make,
		step_make,
		step_link,
		step_remove,
		step_remove,
		step_rename,
		step_rename,
		step_write,
		step_truncate,
		step_forget,
		step_xattr,
		step_xattr,
		model_step_nameless,
		model_step_whiteout,
		model_step_fallocate,
		model_step_fallocate,
		model_step_copy,
	};

	steps[model_draw(seed, sizeof(steps) / sizeof(steps[0]))](m, seed);
	m->nr_changes++;
}

/* Comparing */

struct listing {
	const struct model *m;
	const struct model_node *dir;
	bool seen[MODEL_NAMES];
	unsigned nr;
};

static int list_one(void *context, const struct fs_dirent *e)
{
	struct listing *l = context;

	if (!strcmp(e->name, ".") || !strcmp(e->name, ".."))
		return 0;
	for (unsigned i = 0; i < MODEL_NAMES; i++) {
		const struct model_node *child = &l->m->node[l->dir->child[i]];

		if (strcmp(e->name, model_name(i)) != 0)
			continue;
		ck_assert(!l->seen[i]);
		ck_assert_uint_ne(l->dir->child[i], 0);
		ck_assert_uint_eq(e->ino, child->ino);
		ck_assert_uint_eq(e->type, child->mode >> 12);
		l->seen[i] = true;
	}
	l->nr++;
	return 0;
}

static void compare_dir(struct model *m, const struct model_node *dir)
{
	struct listing l = {.m = m, .dir = dir};
	struct fs_attr attr;

	ck_assert_int_eq(fs_readdir(m->fs, dir->ino, 0, list_one, &l), 0);
	ck_assert_uint_eq(l.nr, nr_names(dir));
	if (!dir->nlink)
		return;
	ck_assert_int_eq(fs_lookup(m->fs, dir->ino, "..", &attr), 0);
	ck_assert_uint_eq(attr.ino, m->node[dir->parent].ino);
	fs_forget(m->fs, attr.ino, 1);
	for (unsigned i = 0; i < MODEL_NAMES; i++) {
		int r = fs_lookup(m->fs, dir->ino, model_name(i), &attr);

		ck_assert_int_eq(r, dir->child[i] ? 0 : -ENOENT);
		if (r < 0)
			continue;
		ck_assert_uint_eq(attr.ino, m->node[dir->child[i]].ino);
		fs_forget(m->fs, attr.ino, 1);
	}
}

void model_compare(struct model *m)
{
	for (unsigned n = 1; n <= MODEL_NODES; n++) {
		const struct model_node *node = &m->node[n];

		if (!node->mode)
			continue;
		compare_node(m, node);
		if (is_dir(node))
			compare_dir(m, node);
	}
}

void model_forget(struct model *m)
{
	for (unsigned n = MODEL_ROOT + 1; n <= MODEL_NODES; n++) {
		if (!m->node[n].mode)
			continue;
		fs_forget(m->fs, m->node[n].ino, 1);
		if (!m->node[n].nlink)
			m->node[n].mode = 0;
	}
	m->fs = NULL;
}

/* A reference for each node, taken through its first name below dir. */
static void reference(struct model *m, unsigned dir, bool *taken)
{
	struct fs_attr attr;

	for (unsigned i = 0; i < MODEL_NAMES; i++) {
		unsigned n = m->node[dir].child[i];

		if (!n || taken[n])
			continue;
		ck_assert_int_eq(fs_lookup(m->fs, m->node[dir].ino, model_name(i), &attr), 0);
		ck_assert_uint_eq(attr.ino, m->node[n].ino);
		taken[n] = true;
		if (is_dir(&m->node[n]))
			reference(m, n, taken);
	}
}

void model_mounted(struct model *m, struct fs *fs)
{
	bool taken[MODEL_NODES + 1] = {false};

	m->fs = fs;
	reference(m, MODEL_ROOT, taken);
}
