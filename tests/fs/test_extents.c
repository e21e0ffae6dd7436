/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The set of an inode's extents: in its tail, moving to a tree, in it, and gone again. */
#include "image.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "btree.h"
#include "extents.h"

#define SIZE (UINT64_C(16) << 20)

static struct image i;
static struct inode *inode;
static struct txn t;
static uint64_t ino, base; /* a block number that is data */
static unsigned room;	   /* extents in the tail */

/* The extents name blocks that nobody took, so the image is not for check_fs(). */
static void setup(void)
{
	image_init_mounted(&i, SIZE, 1024);
	ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0600);
	ck_assert_int_eq(inode_get(i.fs, ino, &inode), 0);
	base = 8192 - 2000;
	room = INODE_TAIL_BYTES / sizeof(struct disk_extent);
	ck_assert_int_eq(txn_start(i.fs, 4 * BTREE_INSERT_BLOCKS, &t), 0);
	pthread_rwlock_wrlock(&inode->lock);
}

static void teardown(void)
{
	pthread_rwlock_unlock(&inode->lock);
	ck_assert_int_eq(txn_stop(&t), 0);
	image_finish(&i);
}

static struct extent nth(unsigned n)
{
	return (struct extent){.logical = 10 + 10 * n, .physical = base + 3 * n, .count = 2};
}

static void insert(unsigned n)
{
	struct extent e = nth(n);

	ck_assert_int_eq(extents_insert(&t, inode, &e), 0);
}

/* Those from 0 to nr - 1 are there: each is found at, before and behind its place. */
static void expect(unsigned nr)
{
	struct extent e;

	for (unsigned n = 0; n < nr; n++) {
		uint64_t logical = nth(n).logical;

		for (unsigned d = 0; d < 10; d++) {
			ck_assert_int_eq(extents_find_le(inode, logical + d, &e), 0);
			ck_assert_uint_eq(e.logical, logical);
			ck_assert_uint_eq(e.physical, nth(n).physical);
			ck_assert_uint_eq(e.count, 2);
			ck_assert_int_eq(extents_find_ge(inode, logical - d, &e), 0);
			ck_assert_uint_eq(e.logical, logical);
		}
	}
	ck_assert_int_eq(extents_find_le(inode, 9, &e), -ENOENT);
	ck_assert_int_eq(extents_find_ge(inode, nth(nr - 1).logical + 1, &e), -ENOENT);
}

START_TEST(order_of_coming_does_not_matter)
{
	for (unsigned n = 0; n < room; n++)
		insert(_i == 0 ? n : _i == 1 ? room - 1 - n : n * 5 % room);
	ck_assert_uint_eq(inode->data_format, DATA_EXTENTS);
	expect(room);
}
END_TEST

START_TEST(one_more_than_fits_moves_all_to_a_tree)
{
	for (unsigned n = 0; n <= room; n++) {
		insert(n);
		ck_assert_uint_eq(inode->data_format, n < room ? DATA_EXTENTS : DATA_TREE);
		expect(n + 1);
	}
	ck_assert_uint_eq(inode->blocks, 1);
}
END_TEST

START_TEST(the_tree_goes_with_its_last_extent)
{
	struct fs_statfs before = image_statfs(&i);

	for (unsigned n = 0; n < 200; n++)
		insert(n);
	expect(200);
	ck_assert_uint_ge(inode->blocks, 3);
	for (unsigned n = 200; n-- > 0;) {
		ck_assert_uint_eq(inode->data_format, DATA_TREE);
		ck_assert_int_eq(extents_delete(&t, inode, nth(n).logical), 0);
		if (n)
			expect(n);
	}
	ck_assert_uint_eq(inode->data_format, DATA_NONE);
	ck_assert_uint_eq(inode->blocks, 0);
	ck_assert_uint_eq(image_statfs(&i).free_blocks, before.free_blocks);
}
END_TEST

/* _i: in the tail, or in a tree */
START_TEST(what_is_not_there_is_not_changed)
{
	struct extent e = nth(0);
	unsigned nr = _i ? 40 : 5;

	ck_assert_int_eq(extents_update(&t, inode, &e), -ENOENT);
	ck_assert_int_eq(extents_delete(&t, inode, e.logical), -ENOENT);
	for (unsigned n = 0; n < nr; n++)
		insert(n);
	ck_assert_int_eq(extents_insert(&t, inode, &e), -EEXIST);
	ck_assert_int_eq(extents_delete(&t, inode, e.logical + 1), -ENOENT);
	e.logical++;
	ck_assert_int_eq(extents_update(&t, inode, &e), -ENOENT);
	expect(nr);
	e = nth(2);
	e.count = 1;
	e.unwritten = true;
	ck_assert_int_eq(extents_update(&t, inode, &e), 0);
	ck_assert_int_eq(extents_find_le(inode, e.logical, &e), 0);
	ck_assert_uint_eq(e.count, 1);
	ck_assert(e.unwritten);
}
END_TEST

START_TEST(attributes_leave_less_room_in_the_tail)
{
	inode->xattr_bytes = 100; /* 44 are left: two extents */
	memset(inode->tail + 44, 0x5a, 100);
	for (unsigned n = 0; n < 3; n++) {
		insert(n);
		expect(n + 1);
		ck_assert_uint_eq(inode->data_format, n < 2 ? DATA_EXTENTS : DATA_TREE);
	}
	for (unsigned n = 44; n < INODE_TAIL_BYTES; n++)
		ck_assert_uint_eq(inode->tail[n], 0x5a);
}
END_TEST

START_TEST(a_tail_without_room_for_a_root_takes_none)
{
	struct extent e = nth(0);

	inode->xattr_bytes = 140;
	ck_assert_int_eq(extents_insert(&t, inode, &e), -ENOSPC);
	ck_assert_int_eq(extents_find_ge(inode, 0, &e), -ENOENT);
	inode->data_format = DATA_INLINE;
	ck_assert_int_eq(extents_insert(&t, inode, &e), -EINVAL);
	inode->data_format = DATA_NONE;
}
END_TEST

START_TEST(bytes_behind_the_last_extent_are_refused)
{
	insert(0);
	ck_assert_int_eq(extents_check_tail(i.fs, inode), 0);
	/* the second place says "none", the third has one: it would turn up when the second is used */
	inode->tail[2 * sizeof(struct disk_extent)] = 1;
	ck_assert_int_eq(extents_check_tail(i.fs, inode), -EUCLEAN);
	inode->tail[2 * sizeof(struct disk_extent)] = 0;
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("extents");
	TCase *const cases[] = {tc, NULL};

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, order_of_coming_does_not_matter, 0, 3);
	tcase_add_test(tc, one_more_than_fits_moves_all_to_a_tree);
	tcase_add_test(tc, the_tree_goes_with_its_last_extent);
	tcase_add_loop_test(tc, what_is_not_there_is_not_changed, 0, 2);
	tcase_add_test(tc, attributes_leave_less_room_in_the_tail);
	tcase_add_test(tc, a_tail_without_room_for_a_root_takes_none);
	tcase_add_test(tc, bytes_behind_the_last_extent_are_refused);
	return image_run("extents", cases);
}
