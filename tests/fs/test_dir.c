/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The names in one directory: dir.c and its parts, on the root directory of an empty filesystem. */
#include "dir_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE (UINT64_C(16) << 20)

START_TEST(a_name_that_cannot_be_is_refused)
{
	char longest[NAME_BYTES_MAX + 2];
	struct dir_entry e;
	struct fixture f;

	fixture_init(&f, SIZE, 4096);
	ck_assert_int_eq(find(&f, "", &e), -EINVAL);
	ck_assert_int_eq(find(&f, ".", &e), -EINVAL);
	ck_assert_int_eq(find(&f, "..", &e), -EINVAL);
	ck_assert_int_eq(find(&f, "a/b", &e), -EINVAL);
	ck_assert_int_eq(add(&f, "..", 2), -EINVAL);
	memset(longest, 'x', sizeof(longest));
	longest[NAME_BYTES_MAX + 1] = 0;
	ck_assert_int_eq(add(&f, longest, 2), -ENAMETOOLONG);
	longest[NAME_BYTES_MAX] = 0;
	ck_assert_int_eq(add(&f, longest, 2), 0);
	ck_assert_int_eq(find(&f, longest, &e), 0);
	ck_assert_int_eq(add(&f, "...", 3), 0);
	ck_assert_int_eq(find(&f, "...", &e), 0);
	ck_assert_uint_eq(e.ino, 3);
	fixture_finish(&f);
}
END_TEST

START_TEST(positions_stay_when_the_directory_leaves_the_inode)
{
	struct dir_entry before[4], e;
	struct fixture f;
	unsigned n;

	fixture_init(&f, SIZE, block_sizes[_i]);
	add_many(&f, 0, 4);
	ck_assert_uint_eq(f.dir->data_format, DATA_INLINE);
	ck_assert_uint_eq(f.dir->blocks, 0);
	for (n = 0; n < 4; n++) {
		char name[32];

		snprintf(name, sizeof(name), "entry-%u", n);
		ck_assert_int_eq(find(&f, name, &before[n]), 0);
	}
	add_many(&f, 4, 400);
	ck_assert_uint_ne(f.dir->data_format, DATA_INLINE);
	for (n = 0; n < 4; n++) {
		char name[32];

		snprintf(name, sizeof(name), "entry-%u", n);
		ck_assert_int_eq(find(&f, name, &e), 0);
		ck_assert_uint_eq(e.position, before[n].position);
	}
	fixture_finish(&f);
}
END_TEST

START_TEST(the_second_block_brings_an_index)
{
	struct dir_entry e;
	struct fixture f;
	unsigned n = 0;

	fixture_init(&f, SIZE, block_sizes[_i]);
	while (dir_nr_blocks(f.dir) < 2 || f.dir->data_format == DATA_INLINE) {
		if (f.dir->data_format != DATA_INLINE)
			ck_assert_uint_eq(f.dir->special, 0);
		add_many(&f, n, n + 1);
		n++;
	}
	ck_assert_uint_ne(f.dir->special, 0);
	expect_many(&f, 0, n);
	ck_assert_int_eq(find(&f, "absent", &e), -ENOENT);
	fixture_remount(&f);
	ck_assert_uint_eq(f.dir->nr_entries, n);
	expect_many(&f, 0, n);
	ck_assert_int_eq(find(&f, "absent", &e), -ENOENT);
	fixture_finish(&f);
}
END_TEST

START_TEST(an_emptied_directory_is_back_in_the_inode)
{
	struct fs_statfs before, after;
	struct fixture f;

	fixture_init(&f, SIZE, block_sizes[_i]);
	fs_statfs(f.i.fs, &before);
	for (unsigned round = 0; round < 2; round++) {
		add_many(&f, 0, 2000);
		ck_assert_uint_gt(f.dir->blocks, 8);
		if (round == 0)
			del_many(&f, 0, 2000);
		for (unsigned i = 2000; round == 1 && i-- > 0;)
			del_many(&f, i, i + 1);
		ck_assert_uint_eq(f.dir->data_format, DATA_INLINE);
		ck_assert_uint_eq(f.dir->blocks, 0);
		ck_assert_uint_eq(f.dir->nr_entries, 0);
		ck_assert_uint_eq(f.dir->special, 0);
		fs_statfs(f.i.fs, &after);
		ck_assert_uint_eq(after.free_blocks, before.free_blocks);
	}
	fixture_finish(&f);
}
END_TEST

START_TEST(blocks_empty_at_the_end_are_given_back)
{
	struct fixture f;
	uint64_t most;

	fixture_init(&f, SIZE, block_sizes[_i]);
	add_many(&f, 0, 2000);
	most = dir_nr_blocks(f.dir);
	del_many(&f, 100, 2000);
	ck_assert_uint_lt(dir_nr_blocks(f.dir), most);
	expect_many(&f, 0, 100);
	fixture_remount(&f);
	expect_many(&f, 0, 100);
	fixture_finish(&f);
}
END_TEST

START_TEST(space_of_removed_names_is_used_again)
{
	struct fixture f;
	uint64_t size;

	fixture_init(&f, SIZE, block_sizes[_i]);
	add_many(&f, 0, 1000);
	size = f.dir->size;
	for (unsigned round = 0; round < 5; round++) {
		del_many(&f, 200, 500);
		add_many(&f, 200, 500);
	}
	ck_assert_uint_eq(f.dir->size, size);
	expect_many(&f, 0, 1000);
	fixture_finish(&f);
}
END_TEST

START_TEST(a_name_that_comes_and_goes_does_not_move_blocks)
{
	struct fixture f;
	uint64_t blocks;
	unsigned n = 0;

	fixture_init(&f, SIZE, 1024);
	while (dir_nr_blocks(f.dir) < 4 || f.dir->data_format == DATA_INLINE) {
		add_many(&f, n, n + 1);
		n++;
	}
	blocks = f.dir->blocks;
	for (unsigned i = 0; i < 20; i++) {
		del_many(&f, n - 1, n);
		ck_assert_uint_eq(f.dir->blocks, blocks);
		add_many(&f, n - 1, n);
		ck_assert_uint_eq(f.dir->blocks, blocks);
	}
	fixture_finish(&f);
}
END_TEST

START_TEST(an_entry_can_be_pointed_elsewhere)
{
	struct dir_entry e, after;
	struct fixture f;

	fixture_init(&f, SIZE, block_sizes[_i]);
	for (unsigned n = 2; n <= 600; n += 598) {
		add_many(&f, f.dir->nr_entries, n);
		begin(&f);
		ck_assert_int_eq(dir_lookup(f.dir, "entry-1", &e), 0);
		ck_assert_int_eq(dir_replace(&f.t, f.dir, &e, 77, DT_DIR), 0);
		end(&f);
		ck_assert_int_eq(find(&f, "entry-1", &after), 0);
		ck_assert_uint_eq(after.ino, 77);
		ck_assert_uint_eq(after.type, DT_DIR);
		ck_assert_uint_eq(after.position, e.position);
	}
	fixture_finish(&f);
}
END_TEST

/* Two names of one hash */

struct hashed {
	uint32_t hash;
	unsigned number;
};

static int compare_hashed(const void *a, const void *b)
{
	const struct hashed *x = a, *y = b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

/* The numbers of two names "c<n>" that collide.  Among 2^19 names there are about 32 such pairs. */
static bool find_collision(const struct fs *fs, unsigned ret[2])
{
	enum { NR = 1 << 19 };
	struct hashed *all = malloc(NR * sizeof(*all));
	bool found = false;
	char name[16];

	ck_assert_ptr_nonnull(all);
	for (unsigned i = 0; i < NR; i++) {
		int len = snprintf(name, sizeof(name), "c%u", i);

		all[i] = (struct hashed){dir_hash(fs, name, (size_t)len), i};
	}
	qsort(all, NR, sizeof(*all), compare_hashed);
	for (unsigned i = 1; i < NR && !found; i++) {
		if (all[i].hash != all[i - 1].hash)
			continue;
		ret[0] = all[i - 1].number;
		ret[1] = all[i].number;
		found = true;
	}
	free(all);
	return found;
}

START_TEST(names_of_the_same_hash_are_told_apart)
{
	char names[2][16];
	struct dir_entry e;
	unsigned pair[2];
	struct fixture f;

	fixture_init(&f, SIZE, 1024);
	ck_assert(find_collision(f.i.fs, pair));
	snprintf(names[0], sizeof(names[0]), "c%u", pair[0]);
	snprintf(names[1], sizeof(names[1]), "c%u", pair[1]);
	ck_assert_int_eq(add(&f, names[0], 10), 0);
	add_many(&f, 0, 300);
	ck_assert_int_eq(find(&f, names[1], &e), -ENOENT);
	ck_assert_int_eq(add(&f, names[1], 11), 0);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(find(&f, names[i], &e), 0);
		ck_assert_uint_eq(e.ino, 10 + i);
	}
	ck_assert_int_eq(del(&f, names[0]), 0);
	ck_assert_int_eq(find(&f, names[0], &e), -ENOENT);
	ck_assert_int_eq(find(&f, names[1], &e), 0);
	ck_assert_uint_eq(e.ino, 11);
	fixture_finish(&f);
}
END_TEST

/* 100,000 names */

#define MANY 100000u

START_TEST(a_cold_lookup_among_many_names_reads_few_blocks)
{
	struct dir_entry e;
	struct fixture f;
	char name[32];

	fixture_init(&f, 256 << 20, 4096);
	add_many(&f, 0, MANY);
	for (unsigned i = 0; i < MANY; i += MANY / 8 - 1) {
		fixture_remount(&f);
		snprintf(name, sizeof(name), "entry-%u", i);
		image_count_from(&f.i, BUFIO_FAULT_READ);
		ck_assert_int_eq(find(&f, name, &e), 0);
		ck_assert_uint_le(image_counted(&f.i), 7); /* and the inode's table block */
		ck_assert_int_eq(del(&f, name), 0);
		ck_assert_int_eq(find(&f, name, &e), -ENOENT);
		ck_assert_uint_le(image_counted(&f.i), 16);
		ck_assert_int_eq(add(&f, name, 2 + i % 200), 0);
		ck_assert_uint_le(image_counted(&f.i), 24);
	}
	expect_many(&f, 0, MANY);
	fixture_finish(&f);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("dir");
	TCase *const cases[] = {tc, NULL};

	tcase_add_test(tc, a_name_that_cannot_be_is_refused);
	tcase_add_loop_test(tc, positions_stay_when_the_directory_leaves_the_inode, 0,
			    NR_BLOCK_SIZES);
	tcase_add_loop_test(tc, the_second_block_brings_an_index, 0, NR_BLOCK_SIZES);
	tcase_add_loop_test(tc, an_emptied_directory_is_back_in_the_inode, 0, NR_BLOCK_SIZES);
	tcase_add_loop_test(tc, blocks_empty_at_the_end_are_given_back, 0, NR_BLOCK_SIZES);
	tcase_add_loop_test(tc, space_of_removed_names_is_used_again, 0, NR_BLOCK_SIZES);
	tcase_add_test(tc, a_name_that_comes_and_goes_does_not_move_blocks);
	tcase_add_loop_test(tc, an_entry_can_be_pointed_elsewhere, 0, NR_BLOCK_SIZES);
	tcase_add_test(tc, names_of_the_same_hash_are_told_apart);
	tcase_add_test(tc, a_cold_lookup_among_many_names_reads_few_blocks);
	return image_run("dir", cases);
}
