/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Random changes of extended attributes and of the data that they share inodes with, against a table. */
#include "image.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "xattr.h"
#include "xattr_fixture.h"

#define SIZE (UINT64_C(32) << 20)

static struct image i;
static char list[XATTR_LIST_BYTES];

#define NR_INODES 5
#define NR_NAMES  12

struct attribute {
	bool exists;
	unsigned size;
	uint8_t seed;
};

static struct attribute model[NR_INODES][NR_NAMES];
static uint64_t inodes[NR_INODES];

static const char *model_attribute(unsigned n)
{
	static const unsigned lengths[NR_NAMES] = {1, 2, 3, 8, 10, 20, 30, 50, 100, 200, 240, 246};
	static char name[300];

	strcpy(name, n % 2 ? "trusted." : "security.");
	memset(name + strlen(name), 'a' + (int)n, lengths[n]);
	name[(n % 2 ? 8 : 9) + lengths[n]] = '\0';
	return name;
}

static unsigned draw(uint64_t *seed, unsigned limit)
{
	return (unsigned)(image_random(seed) >> 33) % limit;
}

static unsigned draw_size(uint64_t *seed)
{
	static const unsigned limits[] = {8, 60, 130, 1200, 5000, 65537};

	return draw(seed, limits[draw(seed, 6)]);
}

static void model_set(uint64_t *seed, uint64_t ino, struct attribute *a, const char *name)
{
	static const struct {
		unsigned flags;
		int absent, present;
	} ways[] = {{0, 0, 0}, {0, 0, 0}, {XATTR_CREATE, 0, -EEXIST}, {XATTR_REPLACE, -ENODATA, 0}};
	struct attribute new = {true, draw_size(seed), (uint8_t)draw(seed, 256)};
	unsigned way = draw(seed, 4);
	int r = a->exists ? ways[way].present : ways[way].absent;

	fill(new.size, new.seed);
	ck_assert_int_eq(
		fs_setxattr(i.fs, ino, &(struct fs_xattr){name, value, new.size}, ways[way].flags),
		r);
	if (r == 0)
		*a = new;
}

/* The data moves about as well; what it is, other tests ask. */
static void model_data(uint64_t *seed, unsigned n)
{
	struct fs_attr attr = {.size = draw(seed, 2) ? draw(seed, 150) : draw(seed, 9000)};
	char name[100];

	if (n < 3) {
		image_write(&i, inodes[n], draw(seed, 3) ? 0 : draw(seed, 60000), value,
			    1 + draw(seed, draw(seed, 2) ? 150 : 3000));
		if (!draw(seed, 3))
			ck_assert_int_eq(fs_setattr(i.fs, inodes[n], &attr, FS_SET_SIZE, &attr), 0);
	} else if (n == 3) {
		snprintf(name, sizeof(name), "%0*u", 1 + (int)draw(seed, 40), draw(seed, 30));
		if (fs_lookup(i.fs, inodes[n], name, &attr) == 0)
			image_unlink(&i, inodes[n], name);
		else
			attr.ino = image_make(&i, inodes[n], name, S_IFREG | 0600);
		fs_forget(i.fs, attr.ino, 1);
	}
}

static void model_compare_attributes(void)
{
	for (unsigned n = 0; n < NR_INODES; n++) {
		size_t bytes = 0;

		for (unsigned k = 0; k < NR_NAMES; k++) {
			const struct attribute *a = &model[n][k];

			if (a->exists)
				expect(&i, inodes[n], model_attribute(k), a->size, a->seed);
			else
				ck_assert_int_eq(
					fs_getxattr(i.fs, inodes[n], model_attribute(k), NULL, 0),
					-ENODATA);
			bytes += a->exists ? strlen(model_attribute(k)) + 1 : 0;
		}
		ck_assert_int_eq(fs_listxattr(i.fs, inodes[n], list, sizeof(list)), (int)bytes);
	}
}

static void model_name_of(unsigned n, char name[8])
{
	snprintf(name, 8, "%u", n);
}

START_TEST(random_programs_agree_with_a_table)
{
	static const uint32_t modes[NR_INODES] = {S_IFREG | 0644, S_IFREG | 0644, S_IFREG | 0644,
						  S_IFDIR | 0755, S_IFLNK | 0777};
	uint64_t seed = image_seed("xattr") + (uint64_t)_i;
	char name[8];

	image_init_mounted(&i, SIZE, _i % 2 ? 4096 : 1024);
	memset(model, 0, sizeof(model));
	for (unsigned n = 0; n < NR_INODES; n++) {
		model_name_of(n, name);
		inodes[n] = image_make(&i, INODE_ROOT, name, modes[n]);
	}
	for (unsigned step = 1; step <= 1500; step++) {
		unsigned n = draw(&seed, NR_INODES), k = draw(&seed, NR_NAMES);
		struct attribute *a = &model[n][k];

		if (!draw(&seed, 3)) {
			model_data(&seed, n);
		} else if (draw(&seed, 4)) {
			model_set(&seed, inodes[n], a, model_attribute(k));
		} else {
			ck_assert_int_eq(fs_removexattr(i.fs, inodes[n], model_attribute(k)),
					 a->exists ? 0 : -ENODATA);
			a->exists = false;
		}
		if (step % 300 == 0) {
			model_compare_attributes();
			check_after_remount(&i);
			model_compare_attributes();
		}
	}
	for (unsigned n = 0; n < 3; n++) {
		model_name_of(n, name);
		image_unlink(&i, INODE_ROOT, name);
	}
	image_unmount(&i);
	image_check(&i);
	image_finish(&i);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("xattr_model");
	TCase *const cases[] = {tc, NULL};

	tcase_add_loop_test(tc, random_programs_agree_with_a_table, 0, 6);
	return image_run("xattr_model", cases);
}
