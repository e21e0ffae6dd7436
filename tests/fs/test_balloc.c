/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs of blocks against a model; promises; bitmaps that lie. */
#include "image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "balloc.h"
#include "inode.h"
#include "meta.h"

#define SIZE (UINT64_C(20) << 20) /* three groups at 1 KiB */

static struct image i;
static struct txn t;

static void setup(void)
{
	image_init(&i, SIZE, 1024);
	/* to see what comes after a free of what is free */
	i.options.errors = FS_ERRORS_CONTINUE;
	image_mount(&i);
}

static void teardown(void)
{
	image_finish(&i);
}

static int take_once(uint64_t goal, uint32_t want, uint64_t *block, uint32_t *count)
{
	int r;

	ck_assert_int_eq(txn_start(i.fs, 0, &t), 0);
	r = balloc_alloc(&t, goal, want, block, count);
	ck_assert_int_eq(txn_stop(&t), 0);
	return r;
}

static int take(uint64_t goal, uint32_t want, uint64_t *block, uint32_t *count)
{
	int r = take_once(goal, want, block, count);

	if (r == -ENOSPC && txn_make_room(i.fs) == 0)
		r = take_once(goal, want, block, count);
	return r;
}

static int give(uint64_t block, uint64_t count)
{
	int r;

	ck_assert_int_eq(txn_start(i.fs, 0, &t), 0);
	r = balloc_free(&t, block, count);
	ck_assert_int_eq(txn_stop(&t), 0);
	return r;
}

static void check_sums(uint64_t free_blocks)
{
	uint64_t sum = 0;

	image_settle(&i);
	for (uint32_t g = 0; g < i.geo.nr_groups; g++)
		sum += i.fs->groups[g].free_blocks;
	ck_assert_uint_eq(sum, free_blocks);
	ck_assert_uint_eq(atomic_load(&i.fs->free_blocks), free_blocks);
	ck_assert_uint_eq(atomic_load(&i.fs->unreserved_blocks), free_blocks);
}

START_TEST(runs_agree_with_a_model)
{
	uint64_t seed = image_seed("balloc"), left = atomic_load(&i.fs->free_blocks), block;
	uint8_t *used = calloc(1, i.geo.nr_blocks);
	uint64_t kept = i.fs->kept_blocks;
	uint32_t count;

	for (unsigned round = 0; round < 20000; round++) {
		uint64_t at = image_random(&seed) % i.geo.nr_blocks;

		if (image_random(&seed) % 3) {
			uint32_t want = (uint32_t)(image_random(&seed) % 64) + 1;

			ck_assert_int_eq(take(at, want, &block, &count), left > kept ? 0 : -ENOSPC);
			if (left <= kept)
				continue;
			ck_assert(count >= 1 && count <= want);
			ck_assert(geo_is_data(&i.geo, block, count));
			for (uint32_t k = 0; k < count; k++)
				ck_assert_uint_eq(used[block + k]++, 0);
			left -= count;
		} else {
			uint64_t end = at;

			while (end < i.geo.nr_blocks && used[end] && end - at < 100)
				used[end++] = 0;
			if (end > at)
				ck_assert_int_eq(give(at, end - at), 0);
			left += end - at;
		}
		if (round % 1000 == 0)
			check_sums(left);
	}
	image_remount(&i);
	check_sums(left);
	for (block = 0; block < i.geo.nr_blocks; block++) {
		if (used[block])
			ck_assert_int_eq(give(block, 1), 0);
	}
	free(used);
}
END_TEST

START_TEST(consecutive_single_blocks_adjoin)
{
	uint64_t goal = geo_fixed_blocks(&i.geo, 0), first, block;
	uint32_t count;

	ck_assert_int_eq(take(goal, 1, &first, &count), 0);
	for (unsigned k = 1; k < 50; k++) {
		ck_assert_int_eq(take(goal, 1, &block, &count), 0);
		ck_assert_uint_eq(block, first + k);
	}
}
END_TEST

START_TEST(free_goal_is_taken)
{
	uint64_t goal = geo_group_start(&i.geo, 2) + 3000, block;
	uint32_t count;

	ck_assert_int_eq(take(goal, 200, &block, &count), 0);
	ck_assert_uint_eq(block, goal);
	ck_assert_uint_eq(count, 200);
}
END_TEST

START_TEST(promised_blocks_are_left_alone)
{
	uint64_t nr = atomic_load(&i.fs->free_blocks), block, taken = 0;
	uint64_t kept = i.fs->kept_blocks;
	uint32_t count;

	ck_assert_int_eq(txn_start(i.fs, 10, &t), 0);
	while (balloc_alloc(&t, 0, 5000, &block, &count) == 0)
		taken += count;
	ck_assert_uint_eq(taken, nr - kept);
	for (unsigned k = 0; k < 10; k++)
		ck_assert_int_eq(balloc_alloc_reserved(&t, 0, &block), 0);
	ck_assert_int_eq(balloc_alloc_reserved(&t, 0, &block), -ENOSPC);
	ck_assert_int_eq(txn_stop(&t), 0);
	check_sums(kept - 10);
	kept -= 10;
	ck_assert_int_eq(txn_start(i.fs, 1, &t), -ENOSPC);
	ck_assert_int_eq(txn_start_kept(i.fs, (unsigned)kept + 1, &t), -ENOSPC);
	ck_assert_int_eq(txn_start_kept(i.fs, (unsigned)kept, &t), 0);
	for (unsigned k = 0; k < kept; k++)
		ck_assert_int_eq(balloc_alloc_reserved(&t, 0, &block), 0);
	ck_assert_int_eq(txn_stop(&t), 0);
	check_sums(0);
	ck_assert_int_eq(txn_start_kept(i.fs, 1, &t), -ENOSPC);
}
END_TEST

START_TEST(unused_promise_is_given_back)
{
	uint64_t nr = atomic_load(&i.fs->free_blocks);

	ck_assert_int_eq(txn_start(i.fs, (unsigned)nr, &t), 0);
	ck_assert_int_eq(txn_stop(&t), 0);
	check_sums(nr);
	ck_assert_int_eq(txn_start(i.fs, (unsigned)nr + 1, &t), -ENOSPC);
}
END_TEST

START_TEST(free_of_what_is_free_or_fixed_is_refused)
{
	uint64_t goal = geo_group_start(&i.geo, 1) + 1000, block;
	uint64_t nr = atomic_load(&i.fs->free_blocks);
	uint32_t count;

	ck_assert_int_eq(give(goal, 1), -EUCLEAN);
	ck_assert_int_eq(take(goal, 4, &block, &count), 0);
	ck_assert_int_eq(give(block, 5), -EUCLEAN);
	ck_assert_int_eq(give(block - 1, 5), -EUCLEAN);
	ck_assert_int_eq(give(0, 1), -EUCLEAN);
	ck_assert_int_eq(give(block, 0), -EUCLEAN);
	ck_assert_int_eq(give(geo_block_bitmap(&i.geo, 1), 1), -EUCLEAN);
	ck_assert_int_eq(give(i.geo.nr_blocks, 1), -EUCLEAN);
	ck_assert_int_eq(give(block, UINT64_MAX), -EUCLEAN);
	check_sums(nr - 4);
	ck_assert_int_eq(give(block, 4), 0);
	check_sums(nr);
}
END_TEST

START_TEST(lying_bitmap_is_refused)
{
	const unsigned offsets[] = {32, 1023, 32 + 600};
	uint64_t block;
	uint32_t count;

	/* fill all, so that no other group helps out */
	ck_assert_int_eq(txn_start(i.fs, 0, &t), 0);
	while (balloc_alloc(&t, 0, 5000, &block, &count) == 0)
		;
	ck_assert_int_eq(txn_stop(&t), 0);
	image_unmount(&i);
	image_break(&i, geo_block_bitmap(&i.geo, 2), offsets[_i], 0);
	i.options.errors = FS_ERRORS_STOP;
	image_mount(&i);
	ck_assert_int_eq(give(geo_group_start(&i.geo, 2) + 4000, 1), -EUCLEAN);
	ck_assert_int_eq(txn_start(i.fs, 0, &t), -EROFS);
}
END_TEST

START_TEST(freed_block_loses_its_head)
{
	uint64_t block, goal = geo_group_start(&i.geo, 1) + 1000;
	uint8_t data[1024] = {0}, disk[1024];
	struct iovec iov = {data, sizeof(data)};
	struct bufio_buffer *b;
	uint32_t count;

	memset(data, 0xab, sizeof(data));
	ck_assert_int_eq(txn_start(i.fs, 0, &t), 0);
	ck_assert_int_eq(balloc_alloc(&t, goal, 1, &block, &count), 0);
	ck_assert_int_eq(meta_new(i.fs, block, META_DIR, 9, &b), 0);
	ck_assert_int_eq(txn_modify(&t, b), 0);
	bufio_release(b);
	ck_assert_int_eq(balloc_free(&t, block, 1), 0);
	ck_assert_int_eq(txn_stop(&t), 0);
	image_settle(&i);
	ck_assert_int_eq(bufio_write_extent(i.fs->bufio, &(struct bufio_extent){block, 1, &iov, 1},
					    NULL, NULL),
			 0);
	ck_assert_int_eq(bufio_write_dirty_buffers(i.fs->bufio), 0);
	image_peek(&i, block, 0, disk, sizeof(disk));
	ck_assert_mem_eq(disk, data, sizeof(disk));
}
END_TEST

static void set_xattr(uint64_t ino, const char *name, unsigned size, int expected)
{
	static const uint8_t value[1024];
	const struct fs_xattr x = {name, value, size};

	ck_assert_int_eq(fs_setxattr(i.fs, ino, &x, 0), expected);
}

/* The record that grows finds no room beside the others in its block, which the bitmap has among the free ones. */
START_TEST(block_in_use_is_not_taken_for_more_attributes)
{
	struct inode *inode;
	uint64_t ino;

	ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0644);
	set_xattr(ino, "user.in the tail", 100, 0);
	set_xattr(ino, "user.b", 400, 0);
	set_xattr(ino, "user.c", 400, 0);
	set_xattr(ino, "user.d", 100, 0);
	image_settle(&i);
	ck_assert_int_eq(inode_get(i.fs, ino, &inode), 0);
	ck_assert_int_eq(give(inode->xattr_block, 1), 0);
	inode_put(inode);
	image_settle(&i);
	i.fs->groups[0].block_cursor = 0;
	set_xattr(ino, "user.d", 450, -EUCLEAN);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("balloc");
	TCase *const cases[] = {tc, NULL};

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, runs_agree_with_a_model);
	tcase_add_test(tc, consecutive_single_blocks_adjoin);
	tcase_add_test(tc, free_goal_is_taken);
	tcase_add_test(tc, promised_blocks_are_left_alone);
	tcase_add_test(tc, unused_promise_is_given_back);
	tcase_add_test(tc, free_of_what_is_free_or_fixed_is_refused);
	tcase_add_loop_test(tc, lying_bitmap_is_refused, 0, 3);
	tcase_add_test(tc, freed_block_loses_its_head);
	tcase_add_test(tc, block_in_use_is_not_taken_for_more_attributes);
	return image_run("balloc", cases);
}
