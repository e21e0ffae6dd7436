/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Listing through fs.h: the dots, cookies that last while names come and go, and 100,000 names. */
#include "image.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MANY 100000u

static struct image i;

/* A reader with room for so many entries in a call. */
struct reader {
	uint64_t cookie;
	unsigned limit, nr;
	unsigned *seen; /* by the number in the name; NULL: not wanted */
	char last[256];
};

static int take(void *context, const struct fs_dirent *e)
{
	struct reader *r = context;

	if (r->nr == r->limit)
		return 1;
	r->nr++;
	r->cookie = e->cookie;
	strcpy(r->last, e->name);
	if (r->seen && e->name[0] == 'n')
		r->seen[atoi(e->name + 1)]++;
	return 0;
}

static unsigned read_some(struct reader *r, uint64_t dir)
{
	r->nr = 0;
	ck_assert_int_eq(fs_readdir(i.fs, dir, r->cookie, take, r), 0);
	return r->nr;
}

static void make(uint64_t dir, unsigned n)
{
	char name[16];

	snprintf(name, sizeof(name), "n%u", n);
	fs_forget(i.fs, image_make(&i, dir, name, S_IFREG | 0600), 1);
}

START_TEST(the_dots_come_first_and_once)
{
	struct reader r = {.limit = 1};
	uint64_t dir;

	image_init_mounted(&i, 16 << 20, 1024);
	dir = image_make(&i, 1, "dir", S_IFDIR | 0700);
	make(dir, 0);
	ck_assert_uint_eq(read_some(&r, dir), 1);
	ck_assert_str_eq(r.last, ".");
	ck_assert_uint_eq(read_some(&r, dir), 1);
	ck_assert_str_eq(r.last, "..");
	ck_assert_uint_eq(read_some(&r, dir), 1);
	ck_assert_str_eq(r.last, "n0");
	ck_assert_uint_eq(read_some(&r, dir), 0);
	r.cookie = UINT64_MAX;
	ck_assert_uint_eq(read_some(&r, dir), 0);
	image_unmount(&i);
	image_check(&i);
	image_finish(&i);
}
END_TEST

/* Every third name goes and others come while a reader with a small buffer is under way. */
START_TEST(names_that_stay_are_seen_once_whatever_comes_and_goes)
{
	static unsigned seen[3000];
	struct reader r = {.limit = 7, .seen = seen};
	unsigned made = 1000;
	char name[16];

	memset(seen, 0, sizeof(seen));
	image_init_mounted(&i, 64 << 20, _i ? 4096 : 1024);
	for (unsigned n = 0; n < made; n++)
		make(1, n);
	for (unsigned step = 0; read_some(&r, 1); step++) {
		if (step * 3 < 1000) {
			snprintf(name, sizeof(name), "n%u", 999 - step * 3);
			image_unlink(&i, 1, name);
		}
		if (made < 3000)
			make(1, made++);
	}
	for (unsigned n = 0; n < 1000; n++)
		ck_assert_uint_eq(n % 3 ? seen[n] : 1, 1);
	for (unsigned n = 0; n < made; n++)
		ck_assert_uint_le(seen[n], 1);
	image_unmount(&i);
	image_check(&i);
	image_finish(&i);
}
END_TEST

START_TEST(a_hundred_thousand_names_cost_no_more_each)
{
	unsigned *seen = calloc(MANY, sizeof(*seen)), blocks;
	struct reader r = {.limit = 100, .seen = seen};

	image_init(&i, UINT64_C(2) << 30, 4096);
	i.options.cache_bytes = 64 << 20;
	image_mount(&i);
	for (unsigned n = 0; n < MANY; n++)
		make(1, n);
	image_remount(&i);
	blocks = (unsigned)(image_attr(&i, 1).size / 4096);
	image_count_from(&i, BUFIO_FAULT_READ);
	while (read_some(&r, 1))
		;
	/* each of its blocks, and what maps them */
	ck_assert_uint_le(image_counted(&i), blocks + 16);
	for (unsigned n = 0; n < MANY; n++)
		ck_assert_uint_eq(seen[n], 1);
	image_count_from(&i, BUFIO_FAULT_READ);
	make(1, MANY);
	ck_assert_uint_le(image_counted(&i), 8);
	image_unmount(&i);
	image_check(&i);
	image_finish(&i);
	free(seen);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("readdir");
	TCase *const cases[] = {tc, NULL};

	tcase_add_test(tc, the_dots_come_first_and_once);
	tcase_add_loop_test(tc, names_that_stay_are_seen_once_whatever_comes_and_goes, 0, 2);
	tcase_add_test(tc, a_hundred_thousand_names_cost_no_more_each);
	return image_run("readdir", cases);
}
