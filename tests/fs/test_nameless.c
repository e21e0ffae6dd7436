/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files made without a name: they can get one, once, and else are gone in the end. */
#include "image.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "inode.h"

#define SIZE (UINT64_C(16) << 20)

static struct image i;
static struct fs_statfs before;

static void start(void)
{
	image_init_mounted(&i, SIZE, 1024);
	before = image_statfs(&i);
}

static void finish(void)
{
	image_unmount(&i);
	image_check(&i);
	image_finish(&i);
}

static uint64_t make_nameless(uint32_t mode)
{
	const struct fs_new what = {.mode = S_IFREG | mode, .uid = 5, .gid = 6, .umask = 022};
	struct fs_attr a;

	ck_assert_int_eq(fs_make_nameless(i.fs, INODE_ROOT, &what, &a), 0);
	ck_assert_uint_eq(a.nlink, 0);
	ck_assert_uint_eq(a.mode, S_IFREG | (mode & ~022u));
	ck_assert_uint_eq(a.uid, 5);
	ck_assert_uint_eq(a.gid, 6);
	return a.ino;
}

static int link_as(uint64_t ino, const char *name)
{
	struct fs_attr a;
	int r = fs_link(i.fs, ino, INODE_ROOT, name, &a);

	if (r == 0)
		fs_forget(i.fs, ino, 1);
	return r;
}

START_TEST(it_is_gone_with_its_last_reference)
{
	char data[5000] = {1};
	uint64_t ino;

	start();
	ino = make_nameless(0600);
	image_write(&i, ino, 0, data, sizeof(data));
	ck_assert_uint_eq(image_statfs(&i).free_inodes, before.free_inodes - 1);
	fs_forget(i.fs, ino, 1);
	image_settle(&i);
	ck_assert_uint_eq(image_statfs(&i).free_inodes, before.free_inodes);
	ck_assert_uint_eq(image_statfs(&i).free_blocks, before.free_blocks);
	finish();
}
END_TEST

START_TEST(it_leaves_times_of_its_directory_alone)
{
	const struct timespec old = {1000, 0};
	struct fs_attr a = {.mtime = old, .ctime = old};

	start();
	ck_assert_int_eq(fs_setattr(i.fs, INODE_ROOT, &a, FS_SET_MTIME | FS_SET_CTIME, &a), 0);
	fs_forget(i.fs, make_nameless(0600), 1);
	a = image_attr(&i, INODE_ROOT);
	ck_assert_int_eq(a.mtime.tv_sec, 1000);
	ck_assert_int_eq(a.ctime.tv_sec, 1000);
	finish();
}
END_TEST

START_TEST(a_link_gives_it_a_name_for_good)
{
	char data[6];
	uint64_t ino;

	start();
	ino = make_nameless(0640);
	image_write(&i, ino, 0, "hello", 5);
	ck_assert_int_eq(link_as(ino, "named"), 0);
	ck_assert_int_eq(link_as(ino, "twice"), 0);
	ck_assert_uint_eq(image_attr(&i, ino).nlink, 2);
	fs_forget(i.fs, ino, 1);
	image_remount(&i);
	ck_assert_uint_eq(image_lookup(&i, INODE_ROOT, "named"), ino);
	ck_assert_int_eq(fs_read(i.fs, ino, 0, data, 6), 5);
	ck_assert_mem_eq(data, "hello", 5);
	finish();
}
END_TEST

START_TEST(a_link_that_fails_leaves_it_as_it_was)
{
	uint64_t ino, other;

	start();
	ino = make_nameless(0600);
	other = image_make(&i, INODE_ROOT, "taken", S_IFREG | 0600);
	ck_assert_int_eq(link_as(ino, "taken"), -EEXIST);
	ck_assert_int_eq(link_as(ino, "free"), 0);
	ck_assert_uint_eq(image_attr(&i, ino).nlink, 1);
	fs_forget(i.fs, other, 1);
	finish();
}
END_TEST

START_TEST(what_lost_its_last_name_gets_none)
{
	uint64_t ino, other;

	start();
	ino = make_nameless(0600);
	other = image_make(&i, INODE_ROOT, "other", S_IFREG | 0600);
	ck_assert_int_eq(link_as(ino, "named"), 0);
	image_unlink(&i, INODE_ROOT, "named");
	image_unlink(&i, INODE_ROOT, "other");
	ck_assert_int_eq(link_as(ino, "again"), -ENOENT);
	ck_assert_int_eq(link_as(other, "again"), -ENOENT);
	finish();
}
END_TEST

START_TEST(only_files_and_only_in_directories)
{
	struct fs_new what = {.mode = S_IFDIR | 0700};
	struct fs_attr a;
	uint64_t file;

	start();
	ck_assert_int_eq(fs_make_nameless(i.fs, INODE_ROOT, &what, &a), -EINVAL);
	what.mode = S_IFREG | 0600;
	file = image_make(&i, INODE_ROOT, "file", S_IFREG | 0600);
	ck_assert_int_eq(fs_make_nameless(i.fs, file, &what, &a), -ENOTDIR);
	ck_assert_int_eq(fs_make_nameless(i.fs, 9999, &what, &a), -ESTALE);
	ck_assert_uint_eq(image_statfs(&i).free_inodes, before.free_inodes - 1);
	finish();
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("nameless");
	TCase *const cases[] = {tc, NULL};

	tcase_add_test(tc, it_is_gone_with_its_last_reference);
	tcase_add_test(tc, it_leaves_times_of_its_directory_alone);
	tcase_add_test(tc, a_link_gives_it_a_name_for_good);
	tcase_add_test(tc, a_link_that_fails_leaves_it_as_it_was);
	tcase_add_test(tc, what_lost_its_last_name_gets_none);
	tcase_add_test(tc, only_files_and_only_in_directories);
	return image_run("nameless", cases);
}
