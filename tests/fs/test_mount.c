/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Mount and unmount: what is refused, what is written, and superblocks that lie. */
#include "image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"
#include "super.h"
#include "txn.h"

#define SIZE (UINT64_C(9) << 20)

static struct image i;

static void setup(void)
{
	image_init(&i, SIZE, 1024);
}

static void teardown(void)
{
	image_finish(&i);
}

static int try_mount(void)
{
	int r = fs_mount(i.engine, &i.options, &i.fs);

	if (r == 0)
		image_unmount(&i);
	return r;
}

static uint32_t state(void)
{
	struct disk_super d;

	image_get_super(&i, &d);
	return le32_get(d.state);
}

START_TEST(clean_is_cleared_while_mounted)
{
	struct disk_super d;

	i.options.mounted_at = "/mnt/here";
	image_mount(&i);
	ck_assert_uint_eq(state(), 0);
	image_get_super(&i, &d);
	ck_assert_str_eq((const char *)d.mounted_at, "/mnt/here");
	ck_assert_uint_eq(le32_get(d.mount_count), 1);
	image_unmount(&i);
	ck_assert_uint_eq(state(), SUPER_CLEAN);
}
END_TEST

/* State 0 without a log: a check was interrupted. */
START_TEST(unclean_is_refused_but_for_reading)
{
	struct disk_super d;

	image_get_super(&i, &d);
	d.state = le32_make(0);
	image_set_super(&i, &d);
	ck_assert_int_eq(try_mount(), -ESTALE);
	i.options.read_only = true;
	ck_assert_int_eq(try_mount(), 0);
	ck_assert_uint_eq(state(), 0);
}
END_TEST

START_TEST(read_only_mount_writes_nothing)
{
	const struct bufio_fault fault = {.ops = BUFIO_FAULT_WRITE | BUFIO_FAULT_DISCARD,
					  .error = -EIO};
	struct txn t;

	bufio_engine_fault_set(i.engine, &fault);
	i.options.read_only = true;
	image_mount(&i);
	ck_assert_int_eq(txn_start(i.fs, 0, &t), -EROFS);
	ck_assert_int_eq(fs_sync(i.fs), 0);
	image_unmount(&i);
	ck_assert_uint_eq(bufio_engine_fault_matched(i.engine), 0);
}
END_TEST

START_TEST(either_superblock_is_enough)
{
	const uint8_t junk[1024] = {1};
	struct disk_super d;
	bool copy_bad = false;

	image_poke(&i, _i ? geo_super_copy(&i.geo) : 0, 0, junk, sizeof(junk));
	ck_assert_int_eq(super_read(i.engine, &d, &copy_bad), 0);
	ck_assert(copy_bad);
	image_mount(&i);
	image_unmount(&i);
	ck_assert_int_eq(super_read(i.engine, &d, &copy_bad), 0);
	ck_assert(!copy_bad);
}
END_TEST

START_TEST(empty_device_is_none_of_ours)
{
	struct bufio_engine *e;
	struct fs *fs;

	ck_assert_int_eq(bufio_engine_mem_create(1 << 20, 512, &e), 0);
	ck_assert_int_eq(fs_mount(e, &i.options, &fs), -EMEDIUMTYPE);
	bufio_engine_destroy(e);
}
END_TEST

START_TEST(features_decide)
{
	struct disk_super d, good;

	image_get_super(&i, &good);
	d = good;
	d.compat = le64_make(UINT64_MAX);
	image_set_super(&i, &d);
	ck_assert_int_eq(try_mount(), 0);
	d = good;
	d.incompat = le64_make(UINT64_C(1) << 63);
	image_set_super(&i, &d);
	ck_assert_int_eq(try_mount(), -EPROTONOSUPPORT);
	d = good;
	d.version = le32_make(2);
	image_set_super(&i, &d);
	ck_assert_int_eq(try_mount(), -EPROTONOSUPPORT);
	d = good;
	d.ro_compat = le64_make(2);
	image_set_super(&i, &d);
	ck_assert_int_eq(try_mount(), -EROFS);
	i.options.read_only = true;
	ck_assert_int_eq(try_mount(), 0);
}
END_TEST

START_TEST(device_that_shrank_is_refused)
{
	struct bufio_engine *small;
	uint8_t *data = malloc(SIZE / 2);
	struct fs *fs;

	ck_assert_int_eq(bufio_engine_mem_create(SIZE / 2, 512, &small), 0);
	ck_assert_int_eq(bufio_engine_mem_peek(i.mem, 0, data, SIZE / 2), 0);
	ck_assert_int_eq(bufio_engine_mem_poke(small, 0, data, SIZE / 2), 0);
	ck_assert_int_eq(fs_mount(small, &i.options, &fs), -EFBIG);
	bufio_engine_destroy(small);
	free(data);
}
END_TEST

/* Numbers of any kind, well stamped: refused or mounted, but no crash. */
START_TEST(blocks_smaller_than_sectors_are_refused)
{
	struct bufio_engine *coarse;
	void *data = malloc(SIZE);

	ck_assert_int_eq(bufio_engine_mem_create(SIZE, 4096, &coarse), 0);
	ck_assert_int_eq(bufio_engine_mem_peek(i.mem, 0, data, SIZE), 0);
	ck_assert_int_eq(bufio_engine_mem_poke(coarse, 0, data, SIZE), 0);
	ck_assert_int_eq(fs_mount(coarse, &i.options, &i.fs), -EINVAL);
	i.options.read_only = true;
	ck_assert_int_eq(fs_mount(coarse, &i.options, &i.fs), -EINVAL);
	ck_assert_ptr_null(i.fs);
	bufio_engine_destroy(coarse);
	free(data);
}
END_TEST

START_TEST(hostile_superblock_does_no_harm)
{
	uint64_t seed = image_seed("mount");
	const uint64_t odd[] = {0,
				1,
				2,
				3,
				255,
				256,
				0x7fffffff,
				0x80000000,
				0xffffffff,
				UINT64_C(1) << 47,
				UINT64_MAX,
				UINT64_C(1) << 48,
				UINT64_MAX - 1};
	struct disk_super good;

	image_get_super(&i, &good);
	i.options.read_only = true;
	for (unsigned round = 0; round < 3000; round++) {
		struct disk_super d = good;
		/* block_bytes to log_blocks */
		unsigned offset = 152 + (unsigned)(image_random(&seed) % 11) * 4;
		uint64_t v = odd[image_random(&seed) % (sizeof(odd) / sizeof(odd[0]))];

		if (round & 1)
			v = le32_get(*(le32 *)((uint8_t *)&d + offset)) + image_random(&seed) % 33 -
			    16;
		bytes_put((uint8_t *)&d + offset, round & 2 ? 4 : 8, v);
		image_set_super(&i, &d);
		try_mount();
	}
}
END_TEST

/* offset in the first descriptor, byte: sums that cannot be */
static const struct {
	unsigned offset;
	uint8_t byte;
} lies[] = {{3, 1}, {7, 1}, {11, 1}, {8, 3}, {15, 1}, {19, 1}};

START_TEST(lying_descriptor_is_refused)
{
	image_break(&i, 1, DISK_HEAD_BYTES + lies[_i].offset, lies[_i].byte);
	ck_assert_int_eq(try_mount(), -EUCLEAN);
}
END_TEST

/* The nth I/O of a mount, a change and an unmount fails. */
START_TEST(failing_io_is_an_error_and_never_clean)
{
	bool failed = true;

	for (unsigned n = 1; failed; n++) {
		struct bufio_fault fault = {
			.ops = BUFIO_FAULT_ANY, .first = n, .count = _i ? 0 : 1, .error = -EIO};
		int r;

		image_finish(&i);
		image_init(&i, SIZE, 1024);
		bufio_engine_fault_set(i.engine, &fault);
		r = fs_mount(i.engine, &i.options, &i.fs);
		if (r == 0) {
			const struct fs_new what = {.mode = 0100644};
			struct fs_attr attr;

			fs_make(i.fs, INODE_ROOT, "f", &what, &attr);
			r = fs_unmount(i.fs);
			i.fs = NULL;
		}
		failed = bufio_engine_fault_failed(i.engine) > 0;
		if (!failed)
			ck_assert_int_eq(r, 0);
		if (r == 0)
			ck_assert_uint_eq(state(), SUPER_CLEAN);
		bufio_engine_fault_set(i.engine, NULL);
	}
}
END_TEST

/* Wait, boundedly, for what the thread does by itself. */
START_TEST(commit_thread_writes_and_is_idle_then)
{
	const struct fs_new what = {.mode = 0100644};
	const struct timespec ms = {.tv_nsec = 1000000};
	struct bufio_stats s, later;
	struct fs_attr attr;
	unsigned waits = 0;
	uint64_t seq;

	i.options.commit_ms = 5;
	image_mount(&i);
	ck_assert_int_eq(fs_make(i.fs, INODE_ROOT, "f", &what, &attr), 0);
	/* that one, or the next if it was committed already */
	seq = log_last_seq(i.fs->log);
	ck_assert_int_eq(fs_make(i.fs, INODE_ROOT, "g", &what, &attr), 0);
	do {
		nanosleep(&ms, NULL);
		bufio_get_stats(i.fs->bufio, &s);
	} while ((s.nr_dirty || atomic_load(&i.fs->log->durable_seq) < seq) && waits++ < 10000);
	ck_assert_uint_eq(s.nr_dirty, 0);
	ck_assert_uint_ge(atomic_load(&i.fs->log->durable_seq), seq);
	for (waits = 0; waits < 50; waits++)
		nanosleep(&ms, NULL);
	bufio_get_stats(i.fs->bufio, &s);
	for (waits = 0; waits < 50; waits++)
		nanosleep(&ms, NULL);
	bufio_get_stats(i.fs->bufio, &later);
	ck_assert_uint_eq(later.writes, s.writes);
	ck_assert_uint_eq(later.flushes, s.flushes);
	image_unmount(&i);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("mount");
	TCase *const cases[] = {tc, NULL};

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, clean_is_cleared_while_mounted);
	tcase_add_test(tc, unclean_is_refused_but_for_reading);
	tcase_add_test(tc, read_only_mount_writes_nothing);
	tcase_add_loop_test(tc, either_superblock_is_enough, 0, 2);
	tcase_add_test(tc, empty_device_is_none_of_ours);
	tcase_add_test(tc, features_decide);
	tcase_add_test(tc, device_that_shrank_is_refused);
	tcase_add_test(tc, blocks_smaller_than_sectors_are_refused);
	tcase_add_test(tc, hostile_superblock_does_no_harm);
	tcase_add_loop_test(tc, lying_descriptor_is_refused, 0, sizeof(lies) / sizeof(lies[0]));
	tcase_add_loop_test(tc, failing_io_is_an_error_and_never_clean, 0, 2);
	tcase_add_test(tc, commit_thread_writes_and_is_idle_then);
	return image_run("mount", cases);
}
