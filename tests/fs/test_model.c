/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Random programs of all operations against a model in memory: results, names, links, contents, and free space. */
#include "image.h"
#include "model.h"

#include <stdio.h>
#include <string.h>

static const unsigned block_bytes[] = {1024, 4096, 65536};

static void remount(struct image *i, struct model *m)
{
	model_forget(m);
	image_unmount(i);
	image_check(i);
	image_mount(i);
	model_mounted(m, i->fs);
	model_compare(m);
}

/* Everything is given back in the end. */
static void remove_all(struct model *m, unsigned dir)
{
	for (unsigned n = 0; n < MODEL_NAMES; n++) {
		struct model_node *child = &m->node[m->node[dir].child[n]];

		if (!m->node[dir].child[n])
			continue;
		if ((child->mode >> 12) == 4) {
			remove_all(m, m->node[dir].child[n]);
			ck_assert_int_eq(fs_rmdir(m->fs, m->node[dir].ino, model_name(n)), 0);
		} else {
			ck_assert_int_eq(fs_unlink(m->fs, m->node[dir].ino, model_name(n)), 0);
		}
	}
}

static void remove_xattrs_of_root(struct model *m)
{
	char list[1000];
	ssize_t n = fs_listxattr(m->fs, INODE_ROOT, list, sizeof(list));

	for (const char *name = list; name < list + n; name += strlen(name) + 1)
		ck_assert_int_eq(fs_removexattr(m->fs, INODE_ROOT, name), 0);
}

START_TEST(random_programs_do_what_the_model_does)
{
	static struct model m;
	uint64_t seed = image_seed("model") * 1000 + (uint64_t)_i;
	struct fs_statfs before, after;
	struct image i;

	image_init_mounted(&i, 64 << 20, block_bytes[_i % 3]);
	before = image_statfs(&i);
	model_init(&m, i.fs);
	for (unsigned round = 0; round < 6; round++) {
		for (unsigned n = 0; n < 2000; n++)
			model_step(&m, &seed);
		model_compare(&m);
		remount(&i, &m);
	}
	remove_all(&m, MODEL_ROOT);
	remove_xattrs_of_root(&m);
	model_forget(&m);
	after = image_statfs(&i);
	ck_assert_uint_eq(after.free_blocks, before.free_blocks);
	ck_assert_uint_eq(after.free_inodes, before.free_inodes);
	image_unmount(&i);
	image_check(&i);
	image_finish(&i);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("model");
	TCase *const cases[] = {tc, NULL};

	tcase_add_loop_test(tc, random_programs_do_what_the_model_does, 0, 9);
	return image_run("model", cases);
}
