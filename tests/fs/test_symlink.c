/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Symlinks: in the inode and in blocks, at every length that matters, and targets that lie. */
#include "image.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "bmap.h"
#include "inode.h"

#define SIZE (UINT64_C(16) << 20)

static struct image i;
static char target[SYMLINK_MAX + 2], back[SYMLINK_MAX + 2];

static const unsigned lengths[] = {1,	 143,  144,  145,  991,	 992,  993,	   1984,
				   1985, 2977, 4063, 4064, 4065, 4094, SYMLINK_MAX};
#define NR_LENGTHS (int)(sizeof(lengths) / sizeof(lengths[0]))

static int make(const char *name, struct fs_attr *ret_attr)
{
	const struct fs_new what = {.mode = S_IFLNK | 0777, .target = target};

	return fs_make(i.fs, INODE_ROOT, name, &what, ret_attr);
}

static void set_target(unsigned length)
{
	for (unsigned n = 0; n < length; n++)
		target[n] = (char)('a' + n % 23);
	target[length] = 0;
}

START_TEST(a_target_of_any_length_comes_back)
{
	unsigned length = lengths[_i / 2];
	struct fs_statfs before;
	struct fs_attr attr;

	image_init_mounted(&i, SIZE, _i % 2 ? 1024 : 4096);
	before = image_statfs(&i);
	set_target(length);
	ck_assert_int_eq(make("l", &attr), 0);
	ck_assert_uint_eq(attr.size, length);
	ck_assert_uint_eq(attr.blocks == 0, length <= INODE_TAIL_BYTES);
	fs_forget(i.fs, attr.ino, 1);
	image_remount(&i);
	ck_assert_uint_eq(image_lookup(&i, INODE_ROOT, "l"), attr.ino);
	ck_assert_int_eq(fs_readlink(i.fs, attr.ino, back, SYMLINK_MAX), (int)length);
	ck_assert_mem_eq(back, target, length);
	image_unlink(&i, INODE_ROOT, "l");
	fs_forget(i.fs, attr.ino, 1);
	ck_assert_uint_eq(image_statfs(&i).free_blocks, before.free_blocks);
	image_unmount(&i);
	image_check(&i);
	image_finish(&i);
}
END_TEST

START_TEST(no_target_and_one_too_long_are_refused)
{
	const struct fs_new none = {.mode = S_IFLNK | 0777};
	struct fs_attr attr;
	uint64_t file;

	image_init_mounted(&i, SIZE, 1024);
	set_target(0);
	ck_assert_int_eq(make("l", &attr), -ENOENT);
	set_target(SYMLINK_MAX + 1);
	ck_assert_int_eq(make("l", &attr), -ENAMETOOLONG);
	ck_assert_int_eq(fs_make(i.fs, INODE_ROOT, "l", &none, &attr), -EINVAL);
	file = image_make(&i, INODE_ROOT, "f", S_IFREG | 0600);
	ck_assert_int_eq(fs_readlink(i.fs, file, back, SYMLINK_MAX), -EINVAL);
	ck_assert_int_eq(fs_readlink(i.fs, INODE_ROOT, back, SYMLINK_MAX), -EINVAL);
	set_target(100);
	ck_assert_int_eq(make("l", &attr), 0);
	ck_assert_int_eq(fs_readlink(i.fs, attr.ino, back, 99), -ERANGE);
	image_unmount(&i);
	image_check(&i);
	image_finish(&i);
}
END_TEST

/* _i: in the inode, in a block */
START_TEST(corrupt_target_is_an_error)
{
	struct mapping m = {.physical = 0};
	struct inode *inode;
	struct fs_attr attr;
	struct txn t;

	image_init_mounted(&i, SIZE, 1024);
	set_target(_i ? 500 : 100);
	ck_assert_int_eq(make("l", &attr), 0);
	ck_assert_int_eq(inode_get(i.fs, attr.ino, &inode), 0);
	if (_i) {
		ck_assert_int_eq(bmap_lookup(inode, 0, 1, &m), 0);
	} else {
		ck_assert_int_eq(txn_start(i.fs, 0, &t), 0);
		inode->tail[50] = 0;
		ck_assert_int_eq(inode_store(&t, inode), 0);
		ck_assert_int_eq(txn_stop(&t), 0);
	}
	inode_put(inode);
	fs_forget(i.fs, attr.ino, 1);
	image_unmount(&i);
	if (_i)
		image_break(&i, m.physical, DISK_HEAD_BYTES + 50, 0);
	image_mount(&i);
	ck_assert_uint_eq(image_lookup(&i, INODE_ROOT, "l"), attr.ino);
	ck_assert_int_eq(fs_readlink(i.fs, attr.ino, back, SYMLINK_MAX), -EUCLEAN);
	image_unmount(&i);
	image_finish(&i);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("symlink");
	TCase *const cases[] = {tc, NULL};

	tcase_add_loop_test(tc, a_target_of_any_length_comes_back, 0, 2 * NR_LENGTHS);
	tcase_add_test(tc, no_target_and_one_too_long_are_refused);
	tcase_add_loop_test(tc, corrupt_target_is_an_error, 0, 2);
	return image_run("symlink", cases);
}
