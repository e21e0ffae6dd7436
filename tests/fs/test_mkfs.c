/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Geometry for every size, what is written, and what is left when a write fails. */
#include "image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balloc.h"
#include "fsck.h"
#include "super.h"

static uint64_t check(struct bufio_engine *e)
{
	const struct check_options o = {.mode = CHECK_REPORT, .cache_bytes = 4 << 20};
	struct check_result result;

	ck_assert_int_eq(check_fs(e, &o, &result), 0);
	return result.problems;
}

START_TEST(fresh_filesystem_is_good)
{
	const unsigned block_bytes[] = {1024, 2048, 4096, 8192, 16384, 32768, 65536};
	const uint64_t sizes[] = {4 << 20, 9 << 20, 33 << 20, UINT64_C(300) << 20};

	for (unsigned s = 0; s < 4; s++) {
		struct image i;

		image_init_mounted(
			&i, sizes[s] < 400u * block_bytes[_i] ? 400u * block_bytes[_i] : sizes[s],
			block_bytes[_i]);
		image_unmount(&i);
		ck_assert_uint_eq(check(i.engine), 0);
		image_finish(&i);
	}
}
END_TEST

/* Sizes around the ends of groups, where the last one may be too short to exist. */
START_TEST(every_size_gives_a_geometry_that_is_accepted)
{
	for (uint64_t kib = 32; kib < 40000; kib += kib < 9000 ? 1 : 37) {
		const struct mkfs_options o = {.block_bytes = 1024, .dry_run = true};
		struct bufio_engine *e;
		struct geometry g;
		int r;

		ck_assert_int_eq(bufio_engine_mem_create(kib * 1024, 512, &e), 0);
		r = mkfs_format(e, &o, &g);
		if (r < 0)
			ck_assert(r == -ENOSPC && kib < 200);
		else
			ck_assert(geo_is_data(&g, g.log_start, g.log_blocks) &&
				  g.log_blocks >= FORMAT_MIN_LOG_BLOCKS &&
				  geo_fixed_blocks(&g, g.nr_groups - 1) + 16 <=
					  geo_group_blocks(&g, g.nr_groups - 1));
		bufio_engine_destroy(e);
	}
}
END_TEST

START_TEST(tebibyte_needs_few_writes)
{
	const struct mkfs_options o = {.hash_seed = 1};
	struct bufio_record_counts counts;
	struct bufio_engine *mem, *e;
	struct fs_options mount;
	struct geometry g;
	struct fs *fs;

	ck_assert_int_eq(bufio_engine_mem_create(UINT64_C(1) << 40, 512, &mem), 0);
	ck_assert_int_eq(bufio_engine_record_create(mem, &e), 0);
	ck_assert_int_eq(mkfs_format(e, &o, &g), 0);
	bufio_engine_record_counts(e, &counts);
	ck_assert_uint_lt(counts.write_bytes, 4 << 20);
	ck_assert_uint_ge(g.gdt_blocks, 4 * (g.nr_groups / g.groups_per_gdt_block));
	fs_options_init(&mount);
	ck_assert_int_eq(fs_mount(e, &mount, &fs), 0);
	ck_assert_int_eq(fs_unmount(fs), 0);
	bufio_engine_destroy(e);
}
END_TEST

START_TEST(senseless_options_are_refused)
{
	const struct mkfs_options options[] = {
		{.block_bytes = 512},
		{.block_bytes = 3000},
		{.block_bytes = 131072},
		{.size_bytes = 1 << 30},
		{.nr_inodes = UINT64_C(1) << 60},
		{.label = "0123456789012345678901234567890123456789012345678901234567890123"},
	};
	struct bufio_engine *e;
	struct geometry g;
	uint8_t byte;

	ck_assert_int_eq(bufio_engine_mem_create(16 << 20, 512, &e), 0);
	ck_assert_int_eq(bufio_engine_mem_poke(e, 0, "x", 1), 0);
	for (unsigned k = 0; k < sizeof(options) / sizeof(options[0]); k++)
		ck_assert_int_eq(mkfs_format(e, &options[k], &g), -EINVAL);
	ck_assert_int_eq(bufio_engine_mem_peek(e, 0, &byte, 1), 0);
	ck_assert_uint_eq(byte, 'x');
	bufio_engine_destroy(e);
}
END_TEST

START_TEST(signatures_at_both_ends_are_wiped)
{
	const uint64_t size = (16 << 20) + 512,
		       places[] = {2000, 65000, (16 << 20) + 500, (16 << 20) - 60000};
	const struct mkfs_options o = {.block_bytes = 65536};
	struct bufio_engine *e;
	struct geometry g;
	uint8_t byte;

	ck_assert_int_eq(bufio_engine_mem_create(size, 512, &e), 0);
	for (unsigned k = 0; k < 4; k++)
		ck_assert_int_eq(bufio_engine_mem_poke(e, places[k], "x", 1), 0);
	ck_assert_int_eq(mkfs_format(e, &o, &g), 0);
	for (unsigned k = 0; k < 4; k++) {
		ck_assert_int_eq(bufio_engine_mem_peek(e, places[k], &byte, 1), 0);
		ck_assert_uint_ne(byte, 'x');
	}
	bufio_engine_destroy(e);
}
END_TEST

/* Fail the 1st, 2nd... write or flush: no filesystem is found, old or new, or a whole one. */
START_TEST(half_made_filesystem_is_none)
{
	const struct mkfs_options o = {.block_bytes = 1024, .nr_inodes = 64};
	struct image i;
	bool failed = true;

	for (unsigned n = 1; failed; n++) {
		struct bufio_fault fault = {
			.ops = BUFIO_FAULT_WRITE | BUFIO_FAULT_FLUSH, .first = n, .error = -EIO};
		struct disk_super d;
		struct geometry g;
		bool copy_bad;
		int r;

		image_init(&i, 9 << 20, 4096); /* what stood there before */
		bufio_engine_fault_set(i.engine, &fault);
		r = mkfs_format(i.engine, &o, &g);
		failed = bufio_engine_fault_failed(i.engine) > 0;
		ck_assert_int_eq(r, failed ? -EIO : 0);
		bufio_engine_fault_set(i.engine, NULL);
		/* the first write has to get through, else what stood there still stands */
		if (n > 1 && super_read(i.engine, &d, &copy_bad) == 0 &&
		    le32_get(d.block_bytes) == 1024)
			ck_assert_uint_eq(check(i.engine) > 1, 0);
		image_finish(&i);
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("mkfs");
	TCase *const cases[] = {tc, NULL};

	tcase_add_loop_test(tc, fresh_filesystem_is_good, 0, 7);
	tcase_add_test(tc, every_size_gives_a_geometry_that_is_accepted);
	tcase_add_test(tc, tebibyte_needs_few_writes);
	tcase_add_test(tc, senseless_options_are_refused);
	tcase_add_test(tc, signatures_at_both_ends_are_wiped);
	tcase_add_test(tc, half_made_filesystem_is_none);
	return image_run("mkfs", cases);
}
