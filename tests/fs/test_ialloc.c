/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inode numbers: every one once, near their directory, and the table grows with them. */
#include "image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ialloc.h"

#define SIZE (UINT64_C(24) << 20) /* four groups at 1 KiB */

static struct image i;

static void setup(void)
{
	image_init_mounted(&i, SIZE, 1024);
}

static void teardown(void)
{
	image_finish(&i);
}

static int take(uint64_t dir, bool is_dir, uint64_t *ino)
{
	struct txn t;
	int r;

	ck_assert_int_eq(txn_start(i.fs, 0, &t), 0);
	r = ialloc_alloc(&t, dir, is_dir, ino);
	ck_assert_int_eq(txn_stop(&t), 0);
	return r;
}

static int give(uint64_t ino, bool is_dir)
{
	struct txn t;
	int r;

	ck_assert_int_eq(txn_start(i.fs, 0, &t), 0);
	r = ialloc_free(&t, ino, is_dir);
	ck_assert_int_eq(txn_stop(&t), 0);
	return r;
}

START_TEST(every_number_is_given_once)
{
	uint64_t nr = geo_nr_inodes(&i.geo), left = atomic_load(&i.fs->free_inodes), ino;
	uint8_t *used = calloc(1, nr + 1);

	ck_assert_uint_eq(left, nr - 1);
	used[INODE_ROOT] = 1;
	for (; left; left--) {
		ck_assert_int_eq(take(INODE_ROOT, false, &ino), 0);
		ck_assert(ino >= 1 && ino <= nr);
		ck_assert_uint_eq(used[ino]++, 0);
	}
	ck_assert_int_eq(take(INODE_ROOT, false, &ino), -ENOSPC);
	image_remount(&i);
	ck_assert_uint_eq(atomic_load(&i.fs->free_inodes), 0);
	for (ino = 2; ino <= nr; ino++)
		ck_assert_int_eq(give(ino, false), 0);
	ck_assert_uint_eq(atomic_load(&i.fs->free_inodes), nr - 1);
	free(used);
}
END_TEST

START_TEST(consecutive_files_share_a_table_block)
{
	uint64_t first, ino;

	ck_assert_int_eq(take(INODE_ROOT, false, &first), 0);
	for (unsigned k = 1; k < 20; k++) {
		ck_assert_int_eq(take(INODE_ROOT, false, &ino), 0);
		ck_assert_uint_eq(ino, first + k);
	}
}
END_TEST

START_TEST(freed_number_is_used_again)
{
	uint64_t ino[10], again;

	for (unsigned k = 0; k < 10; k++)
		ck_assert_int_eq(take(INODE_ROOT, false, &ino[k]), 0);
	ck_assert_int_eq(give(ino[3], false), 0);
	ck_assert_int_eq(take(INODE_ROOT, false, &again), 0);
	ck_assert_uint_eq(again, ino[3]);
}
END_TEST

START_TEST(directories_of_the_root_are_spread)
{
	unsigned groups = 0, seen = 0;
	uint64_t ino, sub, file;

	for (uint32_t k = 0; k < i.geo.nr_groups; k++) {
		uint32_t g;

		ck_assert_int_eq(take(INODE_ROOT, true, &ino), 0);
		g = geo_group_of_ino(&i.geo, ino);
		groups += !(seen & 1u << g);
		seen |= 1u << g;
		ck_assert_int_eq(take(ino, true, &sub), 0);
		ck_assert_int_eq(take(ino, false, &file), 0);
		ck_assert_uint_eq(geo_group_of_ino(&i.geo, sub), g);
		ck_assert_uint_eq(geo_group_of_ino(&i.geo, file), g);
	}
	ck_assert_uint_gt(groups, 1);
}
END_TEST

START_TEST(mark_is_raised_by_one_block)
{
	struct group *gr = &i.fs->groups[0];
	uint32_t per = i.geo.inodes_per_block;
	struct bufio_buffer *b;
	uint64_t ino;

	ck_assert_uint_eq(gr->itable_mark, per);
	ck_assert_int_eq(ialloc_table_block(i.fs, per + 1, &b), -ENOENT);
	for (uint32_t k = 1; k < per; k++)
		ck_assert_int_eq(take(INODE_ROOT, false, &ino), 0);
	ck_assert_uint_eq(gr->itable_mark, per);
	ck_assert_int_eq(take(INODE_ROOT, false, &ino), 0);
	ck_assert_uint_eq(gr->itable_mark, 2 * per);
	ck_assert_uint_eq(ino, per + 1);
	ck_assert_int_eq(ialloc_table_block(i.fs, ino, &b), 0);
	ck_assert_uint_eq(bufio_block(b), geo_inode_block(&i.geo, ino));
	bufio_release(b);
}
END_TEST

START_TEST(wrong_frees_are_refused)
{
	uint64_t ino;

	ck_assert_int_eq(give(5, false), -EUCLEAN);
	ck_assert_int_eq(give(0, false), -EUCLEAN);
	ck_assert_int_eq(give(geo_nr_inodes(&i.geo) + 1, false), -EUCLEAN);
	ck_assert_int_eq(take(INODE_ROOT, true, &ino), 0);
	ck_assert_int_eq(ialloc_in_use(i.fs, ino), 1);
	ck_assert_int_eq(give(ino, true), 0);
	ck_assert_int_eq(give(ino, true), -EUCLEAN);
	ck_assert_int_eq(ialloc_in_use(i.fs, ino), 0);
	ck_assert_int_eq(ialloc_in_use(i.fs, 0), 0);
	ck_assert_int_eq(ialloc_in_use(i.fs, UINT64_MAX), 0);
}
END_TEST

START_TEST(orphans_and_directories_are_counted)
{
	struct txn t;

	ck_assert_uint_eq(i.fs->groups[0].nr_dirs, 1);
	ck_assert_int_eq(txn_start(i.fs, 0, &t), 0);
	ck_assert_int_eq(ialloc_orphan(&t, 1, -1), -EUCLEAN);
	ck_assert_int_eq(ialloc_orphan(&t, 1, 1), 0);
	ck_assert_int_eq(txn_stop(&t), 0);
	ck_assert_uint_eq(i.fs->groups[0].nr_orphans, 1);
	ck_assert_int_eq(txn_start(i.fs, 0, &t), 0);
	ck_assert_int_eq(ialloc_orphan(&t, 1, -1), 0);
	ck_assert_int_eq(txn_stop(&t), 0);
	ck_assert_uint_eq(i.fs->groups[0].nr_orphans, 0);
}
END_TEST

/* Bits behind the mark, bits past the end, and a wrong sum. */
START_TEST(lying_bitmap_is_refused)
{
	const unsigned offsets[] = {32 + 20, 1023, 32};
	const uint8_t bytes[] = {1, 0, 0xf};
	struct txn t;

	image_unmount(&i);
	image_break(&i, geo_inode_bitmap(&i.geo, 0), offsets[_i], bytes[_i]);
	image_mount(&i);
	ck_assert_int_eq(ialloc_in_use(i.fs, 1), -EUCLEAN);
	ck_assert_int_eq(txn_start(i.fs, 0, &t), -EROFS);
}
END_TEST

static void fail_reads(uint64_t block, uint64_t nr)
{
	const struct bufio_fault fault = {.ops = BUFIO_FAULT_READ,
					  .start_bytes = block << i.geo.block_shift,
					  .end_bytes = (block + nr) << i.geo.block_shift,
					  .error = -EIO};

	bufio_engine_fault_set(i.engine, nr ? &fault : NULL);
}

/* Files in some blocks of the root's group, of which those of the first one are gone again. */
static uint64_t fill_blocks(unsigned nr_blocks)
{
	uint64_t per = i.geo.inodes_per_block, ino, first = 0;

	for (uint64_t n = 0; n < nr_blocks * per; n++) {
		ck_assert_int_eq(take(INODE_ROOT, false, &ino), 0);
		if (!first && ino > per)
			first = ino;
	}
	for (uint64_t n = 0; n < per; n++)
		ck_assert_int_eq(give(first + n, false), 0);
	image_remount(&i);
	return geo_inode_block(&i.geo, first);
}

START_TEST(a_table_block_that_cannot_be_read_is_passed_over)
{
	uint64_t bad = fill_blocks(5), ino;

	fail_reads(bad, 1);
	for (unsigned n = 0; n < 3 * i.geo.inodes_per_block; n++) {
		ck_assert_int_eq(take(INODE_ROOT, false, &ino), 0);
		ck_assert_uint_eq(geo_group_of_ino(&i.geo, ino), 0);
		ck_assert_uint_ne(geo_inode_block(&i.geo, ino), bad);
	}
	/* it can be read again: nothing of it was lost */
	fail_reads(0, 0);
	image_remount(&i);
	ck_assert_int_eq(take(INODE_ROOT, false, &ino), 0);
	ck_assert_uint_eq(geo_inode_block(&i.geo, ino), bad);
}
END_TEST

START_TEST(a_group_whose_table_cannot_be_read_is_passed_over)
{
	uint64_t ino, nr = i.geo.inodes_per_group / i.geo.inodes_per_block;

	while (i.fs->groups[0].free_inodes)
		ck_assert_int_eq(take(INODE_ROOT, false, &ino), 0);
	for (uint64_t n = 0; n < nr; n++)
		ck_assert_int_eq(give(n * i.geo.inodes_per_block + 2, false), 0);
	image_remount(&i);
	fail_reads(geo_itable(&i.geo, 0) + 1, nr - 1);
	ck_assert_int_eq(take(INODE_ROOT, false, &ino), 0);
	ck_assert_uint_eq(geo_inode_block(&i.geo, ino), geo_itable(&i.geo, 0));
	ck_assert_int_eq(take(INODE_ROOT, false, &ino), 0);
	ck_assert_uint_eq(geo_group_of_ino(&i.geo, ino), 1);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("ialloc");
	TCase *const cases[] = {tc, NULL};

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, every_number_is_given_once);
	tcase_add_test(tc, consecutive_files_share_a_table_block);
	tcase_add_test(tc, freed_number_is_used_again);
	tcase_add_test(tc, directories_of_the_root_are_spread);
	tcase_add_test(tc, mark_is_raised_by_one_block);
	tcase_add_test(tc, wrong_frees_are_refused);
	tcase_add_test(tc, orphans_and_directories_are_counted);
	tcase_add_loop_test(tc, lying_bitmap_is_refused, 0, 3);
	tcase_add_test(tc, a_table_block_that_cannot_be_read_is_passed_over);
	tcase_add_test(tc, a_group_whose_table_cannot_be_read_is_passed_over);
	return image_run("ialloc", cases);
}
