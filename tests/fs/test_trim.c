/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* FITRIM: what is free is told to the device (the one in RAM shows 0xdd then), nothing else is. */
#include "image.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bmap.h"
#include "inode.h"

#define SIZE  (UINT64_C(48) << 20)
#define BLOCK 1024u /* so that there are several groups */

static struct image i;

static void setup(void)
{
	image_init_mounted(&i, SIZE, BLOCK);
}

static void teardown(void)
{
	image_unmount(&i);
	image_check(&i);
	image_finish(&i);
}

static uint64_t file_of(const char *name, uint64_t size)
{
	uint64_t ino = image_make(&i, INODE_ROOT, name, S_IFREG | 0600);
	char *data = malloc(size);

	memset(data, 'x', size);
	image_write(&i, ino, 0, data, size);
	/* what is freed before it was written never is */
	ck_assert_int_eq(fs_sync(i.fs), 0);
	free(data);
	return ino;
}

static uint64_t first_block(uint64_t ino)
{
	struct inode *inode;
	struct mapping m;

	ck_assert_int_eq(inode_get(i.fs, ino, &inode), 0);
	ck_assert_int_eq(bmap_lookup(inode, 0, 1, &m), 0);
	inode_put(inode);
	return m.physical;
}

static uint64_t trim(uint64_t start, uint64_t size, uint64_t min)
{
	const struct fs_trim what = {.start_bytes = start, .size_bytes = size, .min_bytes = min};
	uint64_t bytes = 1;

	ck_assert_int_eq(fs_trim(i.fs, &what, &bytes), 0);
	return bytes;
}

static int refused(uint64_t start, uint64_t size, uint64_t min)
{
	const struct fs_trim what = {.start_bytes = start, .size_bytes = size, .min_bytes = min};
	uint64_t bytes;

	return fs_trim(i.fs, &what, &bytes);
}

static uint8_t byte_at(uint64_t block)
{
	uint8_t byte;

	image_peek(&i, block, 0, &byte, 1);
	return byte;
}

static void remove_file(const char *name, uint64_t ino)
{
	image_unlink(&i, INODE_ROOT, name);
	fs_forget(i.fs, ino, 1);
}

START_TEST(all_that_is_free_is_told_and_no_more)
{
	uint64_t stays = file_of("stays", 100000), goes = file_of("goes", 100000);
	uint64_t here = first_block(stays), gone = first_block(goes);
	char back[1000];

	remove_file("goes", goes);
	ck_assert_int_eq(fs_sync(i.fs), 0);
	image_settle(&i);
	ck_assert_uint_eq(byte_at(gone), 'x');
	ck_assert_uint_eq(trim(0, UINT64_MAX, 0), image_statfs(&i).free_blocks * BLOCK);
	ck_assert_uint_eq(byte_at(gone), 0xdd);
	ck_assert_uint_eq(byte_at(here), 'x');
	ck_assert_int_eq(fs_read(i.fs, stays, 50000, back, sizeof(back)), sizeof(back));
	ck_assert_uint_eq(back[0], 'x');
}
END_TEST

START_TEST(what_a_crash_would_bring_back_is_not_told)
{
	struct bufio_fault fault = {.ops = BUFIO_FAULT_WRITE | BUFIO_FAULT_FLUSH, .error = -EIO};
	uint64_t ino = file_of("file", 300000), block = first_block(ino), before;
	struct fs *fs = i.fs;
	char back[1000];

	ck_assert_int_eq(fs_sync(i.fs), 0);
	image_settle(&i);
	before = trim(0, UINT64_MAX, 0);
	remove_file("file", ino);
	ck_assert_uint_eq(trim(0, UINT64_MAX, 0), before);
	ck_assert_uint_eq(byte_at(block), 'x');
	bufio_engine_fault_set(i.engine, &fault);
	i.fs = NULL;
	ck_assert_int_lt(fs_unmount(fs), 0);
	bufio_engine_fault_set(i.engine, NULL);
	image_mount(&i);
	ck_assert_uint_eq(image_lookup(&i, INODE_ROOT, "file"), ino);
	ck_assert_int_eq(fs_read(i.fs, ino, 150000, back, sizeof(back)), sizeof(back));
	ck_assert_uint_eq(back[999], 'x');
	/* once it is durable it is */
	remove_file("file", ino);
	image_settle(&i);
	ck_assert_uint_gt(trim(0, UINT64_MAX, 0), before);
	ck_assert_uint_eq(byte_at(block), 0xdd);
}
END_TEST

START_TEST(short_runs_are_left_when_longer_ones_are_asked_for)
{
	uint64_t holes[8];
	uint64_t all, gone;
	char name[] = "0";

	for (unsigned k = 0; k < 8; k++) {
		name[0] = (char)('0' + k);
		holes[k] = file_of(name, 4 * BLOCK);
	}
	gone = first_block(holes[2]);
	remove_file("2", holes[2]);
	image_settle(&i);
	all = trim(0, UINT64_MAX, 5 * BLOCK);
	ck_assert_uint_eq(byte_at(gone), 'x');
	ck_assert_uint_eq(trim(0, UINT64_MAX, 4 * BLOCK), all + 4 * BLOCK);
	ck_assert_uint_eq(byte_at(gone), 0xdd);
}
END_TEST

START_TEST(a_range_is_kept_to)
{
	uint64_t first = file_of("a", 50000), last = file_of("b", 50000);
	uint64_t a = first_block(first), b = first_block(last);

	remove_file("a", first);
	remove_file("b", last);
	image_settle(&i);
	ck_assert_uint_eq(trim(b * BLOCK, 3 * BLOCK, 0), 3 * BLOCK);
	ck_assert_uint_eq(byte_at(a), 'x');
	ck_assert_uint_eq(byte_at(b + 2), 0xdd);
	ck_assert_uint_eq(byte_at(b + 3), 'x');
	/* not a block that is only partly in it */
	ck_assert_uint_eq(trim(a * BLOCK + 1, BLOCK + 1, 0), BLOCK);
	ck_assert_uint_eq(byte_at(a), 'x');
	ck_assert_uint_eq(byte_at(a + 1), 0xdd);
}
END_TEST

START_TEST(what_makes_no_sense_is_refused)
{
	ck_assert_int_eq(refused(SIZE, 1 << 20, 0), -EINVAL);
	ck_assert_int_eq(refused(UINT64_MAX, 1 << 20, 0), -EINVAL);
	ck_assert_int_eq(refused(0, BLOCK - 1, 0), -EINVAL);
	ck_assert_int_eq(refused(0, SIZE, (uint64_t)i.geo.blocks_per_group * BLOCK + 1), -EINVAL);
	ck_assert_int_eq(refused(0, SIZE, UINT64_MAX), -EINVAL);
	ck_assert_uint_eq(trim(0, BLOCK, 0), 0); /* the superblock */
	image_unmount(&i);
	i.options.read_only = true;
	image_mount(&i);
	ck_assert_int_eq(refused(0, SIZE, 0), -EROFS);
}
END_TEST

static bool at_once(void *context)
{
	return ++*(unsigned *)context == 2;
}

START_TEST(it_can_be_interrupted_between_steps)
{
	unsigned asked = 0;
	const struct fs_trim what = {.size_bytes = SIZE, .interrupted = at_once, .context = &asked};
	uint64_t bytes = 0;

	ck_assert_int_eq(fs_trim(i.fs, &what, &bytes), -EINTR);
	ck_assert_uint_eq(asked, 2);
	ck_assert_uint_gt(bytes, 0);
	ck_assert_uint_lt(bytes, image_statfs(&i).free_blocks * BLOCK);
}
END_TEST

static void *trims(void *context)
{
	const struct fs_trim what = {.size_bytes = UINT64_MAX};
	uint64_t bytes;

	for (unsigned k = 0; k < 40; k++)
		ck_assert_int_eq(fs_trim(i.fs, &what, &bytes), 0);
	return NULL;
}

START_TEST(files_written_meanwhile_keep_their_contents)
{
	static char data[70000], back[sizeof(data)];
	pthread_t thread;
	char name[16];

	ck_assert_int_eq(pthread_create(&thread, NULL, trims, NULL), 0);
	for (unsigned k = 0; k < 300; k++) {
		uint64_t ino;

		snprintf(name, sizeof(name), "%u", k % 100);
		if (k >= 100)
			image_unlink(&i, INODE_ROOT, name);
		ino = image_make(&i, INODE_ROOT, name, S_IFREG | 0600);
		memset(data, (int)k, sizeof(data));
		image_write(&i, ino, 0, data, sizeof(data));
		if (k % 10 == 0)
			ck_assert_int_eq(fs_sync(i.fs), 0);
		fs_forget(i.fs, ino, 1);
	}
	pthread_join(thread, NULL);
	image_remount(&i);
	for (unsigned k = 200; k < 300; k++) {
		uint64_t ino;

		snprintf(name, sizeof(name), "%u", k % 100);
		ino = image_lookup(&i, INODE_ROOT, name);
		memset(data, (int)k, sizeof(data));
		ck_assert_int_eq(fs_read(i.fs, ino, 0, back, sizeof(back)), sizeof(back));
		ck_assert_mem_eq(data, back, sizeof(data));
		fs_forget(i.fs, ino, 1);
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("trim");
	TCase *const cases[] = {tc, NULL};

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, all_that_is_free_is_told_and_no_more);
	tcase_add_test(tc, what_a_crash_would_bring_back_is_not_told);
	tcase_add_test(tc, short_runs_are_left_when_longer_ones_are_asked_for);
	tcase_add_test(tc, a_range_is_kept_to);
	tcase_add_test(tc, what_makes_no_sense_is_refused);
	tcase_add_test(tc, it_can_be_interrupted_between_steps);
	tcase_add_test(tc, files_written_meanwhile_keep_their_contents);
	return image_run("trim", cases);
}
