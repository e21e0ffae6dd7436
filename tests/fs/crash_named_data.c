/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The part of test_crash_named.c that is about contents: sizes, holes, overwrites, blocks that are used anew. */
#include "crash_named.h"

#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "log.h"

START_TEST(cut_and_lengthened_shows_no_old_bytes)
{
	begin();
	step(do_truncate(w.fs, "/A/foo", 1500));
	step(do_truncate(w.fs, "/A/foo", 4000));
	world_fsync(&w, "/A/foo", false);
	step(do_truncate(w.fs, "/A/foo", 700));
	world_fsync(&w, "/A/foo", true);
	write_file("/A/foo", 2500, 100, 'n');
	world_fsync(&w, "/A/foo", true);
	finish();
}
END_TEST

START_TEST(append_then_fdatasync_keeps_the_size)
{
	begin();
	write_file("/A/foo", 3000, 5000, 'n');
	world_fsync(&w, "/A/foo", true);
	write_file("/A/foo", 8000, 30000, 'm');
	world_fsync(&w, "/A/foo", true);
	finish();
}
END_TEST

static void allocate(const char *path, int mode, uint64_t offset, uint64_t size)
{
	step(fs_fallocate(w.fs, path_ino(w.fs, path), mode, offset, size));
}

/* Other systems lost the blocks behind the end, the size being what it was. */
START_TEST(preallocated_behind_the_end_then_fsync_keeps_its_blocks)
{
	begin();
	allocate("/A/foo", FALLOC_FL_KEEP_SIZE, 4096, 8192);
	world_fsync(&w, "/A/foo", false);
	allocate("/B/bar", 0, 4096, 8192);
	world_fsync(&w, "/B/bar", true);
	write_file("/A/foo", 3000, 500, 'x');
	world_fsync(&w, "/A/foo", true);
	finish();
}
END_TEST

START_TEST(punched_then_fdatasync_is_a_hole)
{
	begin();
	allocate("/A/foo", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 500, 2000);
	world_fsync(&w, "/A/foo", true);
	write_file("/A/foo", 1000, 1500, 'x');
	world_fsync(&w, "/A/foo", true);
	finish();
}
END_TEST

START_TEST(zeroed_then_fdatasync_is_zero)
{
	begin();
	allocate("/A/foo", FALLOC_FL_ZERO_RANGE, 500, 2000);
	world_fsync(&w, "/A/foo", true);
	allocate("/B/bar", FALLOC_FL_ZERO_RANGE, 2000, 4000);
	world_fsync(&w, "/B/bar", true);
	finish();
}
END_TEST

/* Its extents are in a tree, so that of the inode itself nothing changes but the time. */
static void make_scattered(uint64_t allocated)
{
	for (unsigned n = 0; n < 12; n++)
		write_file("/A/foo", 4096 + n * 4096, 1024, 'a');
	allocate("/A/foo", 0, 65536, allocated);
	world_fsync(&w, "/A/foo", false);
}

/* _i: in the cache, past it */
START_TEST(written_where_a_scattered_file_was_preallocated_then_fdatasync)
{
	begin();
	make_scattered(_i ? 131072 : 8192);
	write_file("/A/foo", 69632, _i ? 81920 : 2048, 'x');
	world_fsync(&w, "/A/foo", true);
	finish();
}
END_TEST

START_TEST(zeroed_in_a_scattered_file_then_fdatasync)
{
	begin();
	make_scattered(8192);
	allocate("/A/foo", FALLOC_FL_ZERO_RANGE, 8192, 1024);
	world_fsync(&w, "/A/foo", true);
	finish();
}
END_TEST

/* More pieces than a commit writes one by one. */
START_TEST(written_in_many_pieces_then_fdatasync)
{
	begin();
	allocate("/A/foo", 0, 0, 200 << 10);
	world_fsync(&w, "/A/foo", false);
	for (unsigned n = 0; n < 80; n++)
		write_file("/A/foo", n * 2048, 1024, 'p');
	world_fsync(&w, "/A/foo", true);
	finish();
}
END_TEST

/* So much that it goes past the cache, in a file so large that looking at it after each step does not bring it there. */
START_TEST(large_overwrites_in_place_then_fdatasync)
{
	begin();
	make_file("/A/large");
	write_file("/A/large", 0, 200000, 'l');
	world_fsync(&w, "/A/large", false);
	write_file("/A/large", 40960, 71680, 'm');
	world_fsync(&w, "/A/large", true);
	write_file("/A/large", 0, 81920, 'n');
	world_fsync(&w, "/B/bar", true);
	world_fsync(&w, "/A/large", true);
	/* little, and in two pieces: one durable write will not do */
	write_file("/A/large", 0, 1024, 'x');
	write_file("/A/large", 8192, 1024, 'y');
	world_fsync(&w, "/A/large", true);
	finish();
}
END_TEST

/* What is behind the old end is durable before the size is, whoever commits that. */
START_TEST(large_overwrite_across_the_end_then_a_commit)
{
	begin();
	make_file("/A/large");
	write_file("/A/large", 0, 200000, 'l');
	world_fsync(&w, "/A/large", false);
	/* its last block too */
	ck_assert_int_eq(bufio_write_unpinned(w.fs->bufio, 0, w.fs->geo.nr_blocks), 0);
	bufio_forget_range(w.fs->bufio, 0, w.fs->geo.nr_blocks);
	write_file("/A/large", 131072, 69632, 'm');
	ck_assert_int_eq(log_commit_open(w.fs->log), 0);
	finish();
}
END_TEST

/* The end of it is in the log, and not in the cache any more: a replay would bring the older contents back. */
START_TEST(large_overwrite_of_what_the_log_has_an_image_of)
{
	begin();
	make_file("/A/large");
	write_file("/A/large", 0, 63488, 'l');
	world_fsync(&w, "/A/large", false);
	write_file("/A/large", 63488, 8192, 'p');
	world_fsync(&w, "/A/large", false);
	ck_assert_int_eq(bufio_write_unpinned(w.fs->bufio, 0, w.fs->geo.nr_blocks), 0);
	bufio_forget_range(w.fs->bufio, 0, w.fs->geo.nr_blocks);
	write_file("/A/large", 0, 71680, 'm');
	ck_assert_int_eq(fs_sync(w.fs), 0);
	world_step(&w, true);
	finish();
}
END_TEST

START_TEST(blocks_of_a_removed_large_file_hold_another_one)
{
	begin();
	for (unsigned k = 0; k < 3; k++) {
		make_file("/A/large");
		write_file("/A/large", 0, 500 << 10, (char)('k' + k));
		world_fsync(&w, "/A/large", false);
		step(do_unlink(w.fs, "/A/large"));
		world_fsync(&w, "/A", false);
	}
	make_file("/B/other");
	write_file("/B/other", 0, 700 << 10, 'o');
	world_fsync(&w, "/B/other", false);
	finish();
}
END_TEST

START_TEST(write_behind_the_end_then_fsync)
{
	begin();
	write_file("/A/foo", 9000, 1200, 'n');
	world_fsync(&w, "/A/foo", false);
	write_file("/A/foo", 30000, 20000, 'm');
	world_fsync(&w, "/A/foo", true);
	finish();
}
END_TEST

/* What was freed is reused for data, after which a replay must not bring back what stood there. */
START_TEST(blocks_of_directories_and_symlinks_reused_for_data)
{
	char target[600] = "", path[16];

	memset(target, 't', sizeof(target) - 1);
	begin();
	for (unsigned i = 0; i < 8; i++) {
		snprintf(path, sizeof(path), "/A/l%u", i);
		step(do_make(w.fs, path, S_IFLNK | 0777, target));
	}
	world_fsync(&w, "/A", false);
	for (unsigned i = 0; i < 8; i++) {
		snprintf(path, sizeof(path), "/A/l%u", i);
		step(do_unlink(w.fs, path));
	}
	ck_assert_int_eq(fs_sync(w.fs), 0);
	world_step(&w, true);
	make_file("/A/data");
	write_file("/A/data", 0, 30000, 'd');
	world_fsync(&w, "/A/data", false);
	finish();
}
END_TEST

static void trim(void)
{
	const struct fs_trim all = {.size_bytes = UINT64_MAX};
	uint64_t bytes;

	ck_assert_int_eq(fs_trim(w.fs, &all, &bytes), 0);
	ck_assert_uint_gt(bytes, 0);
	world_step(&w, false);
}

/* A file whose removal is lost must still have its contents. */
START_TEST(trim_while_a_removal_is_not_durable)
{
	begin();
	write_file("/A/foo", 0, 30000, 'n');
	world_fsync(&w, "/A/foo", false);
	step(do_unlink(w.fs, "/A/foo"));
	step(do_truncate(w.fs, "/B/bar", 100));
	trim();
	make_file("/A/data");
	write_file("/A/data", 0, 20000, 'd');
	trim();
	world_fsync(&w, "/A/data", false);
	trim();
	finish();
}
END_TEST

/* What is discarded and used again has the new contents, and a replay brings back nothing. */
START_TEST(trim_then_use_of_the_same_blocks)
{
	char path[16];

	begin();
	for (unsigned i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "/A/d%u", i);
		step(do_make(w.fs, path, S_IFDIR | 0755, NULL));
		write_file("/A/foo", i * 6000, 6000, (char)('0' + i));
	}
	world_fsync(&w, "/A/foo", false);
	for (unsigned i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "/A/d%u", i);
		step(do_rmdir(w.fs, path));
	}
	step(do_unlink(w.fs, "/A/foo"));
	ck_assert_int_eq(fs_sync(w.fs), 0);
	world_step(&w, true);
	trim();
	make_file("/B/data");
	write_file("/B/data", 0, 30000, 'd');
	world_fsync(&w, "/B/data", false);
	trim();
	finish();
}
END_TEST

TCase *data_case(void)
{
	TCase *tc = tcase_create("data");

	tcase_add_test(tc, cut_and_lengthened_shows_no_old_bytes);
	tcase_add_test(tc, append_then_fdatasync_keeps_the_size);
	tcase_add_test(tc, preallocated_behind_the_end_then_fsync_keeps_its_blocks);
	tcase_add_test(tc, punched_then_fdatasync_is_a_hole);
	tcase_add_test(tc, zeroed_then_fdatasync_is_zero);
	tcase_add_loop_test(tc, written_where_a_scattered_file_was_preallocated_then_fdatasync, 0,
			    2);
	tcase_add_test(tc, zeroed_in_a_scattered_file_then_fdatasync);
	tcase_add_test(tc, written_in_many_pieces_then_fdatasync);
	tcase_add_test(tc, large_overwrites_in_place_then_fdatasync);
	tcase_add_test(tc, large_overwrite_across_the_end_then_a_commit);
	tcase_add_test(tc, large_overwrite_of_what_the_log_has_an_image_of);
	tcase_add_test(tc, blocks_of_a_removed_large_file_hold_another_one);
	tcase_add_test(tc, write_behind_the_end_then_fsync);
	tcase_add_test(tc, blocks_of_directories_and_symlinks_reused_for_data);
	tcase_add_test(tc, trim_while_a_removal_is_not_durable);
	tcase_add_test(tc, trim_then_use_of_the_same_blocks);
	return tc;
}
