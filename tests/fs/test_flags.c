/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* chattr: what the flags forbid, what they hand down, what they make durable. */
#include "image.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "inode.h"

static struct image i;
static uint64_t dir, file, below; /* below: a file in dir */

static void setup(void)
{
	image_init_mounted(&i, 16 << 20, 4096);
	dir = image_make(&i, INODE_ROOT, "dir", S_IFDIR | 0755);
	file = image_make(&i, INODE_ROOT, "file", S_IFREG | 0644);
	below = image_make(&i, dir, "below", S_IFREG | 0644);
	image_write(&i, file, 0, "0123456789", 10);
}

static void teardown(void)
{
	image_unmount(&i);
	image_check(&i);
	image_finish(&i);
}

static void set(uint64_t ino, uint32_t flags)
{
	ck_assert_int_eq(fs_set_flags(i.fs, ino, flags, 0), 0);
}

static int setattr(uint64_t ino, unsigned mask)
{
	const struct fs_attr want = {.mode = 0600, .size = 5, .mtime = {.tv_sec = 1}};
	struct fs_attr got;

	return fs_setattr(i.fs, ino, &want, mask, &got);
}

static int make(uint64_t in, const char *name)
{
	const struct fs_new what = {.mode = S_IFREG | 0600};
	struct fs_attr a;
	int r = fs_make(i.fs, in, name, &what, &a);

	if (r == 0)
		fs_forget(i.fs, a.ino, 1);
	return r;
}

static int link_to(uint64_t ino, uint64_t in, const char *name)
{
	struct fs_attr a;
	int r = fs_link(i.fs, ino, in, name, &a);

	if (r == 0)
		fs_forget(i.fs, ino, 1);
	return r;
}

START_TEST(an_immutable_file_cannot_be_changed_in_any_way)
{
	const unsigned all[] = {
		FS_SET_MODE,	  FS_SET_UID,	    FS_SET_GID,
		FS_SET_SIZE,	  FS_SET_ATIME,	    FS_SET_MTIME,
		FS_SET_ATIME_NOW, FS_SET_MTIME_NOW, FS_SET_ATIME_NOW | FS_SET_MTIME_NOW};
	struct fs_attr before, after;

	set(file, FS_IMMUTABLE_FL);
	before = image_attr(&i, file);
	for (size_t k = 0; k < sizeof(all) / sizeof(all[0]); k++)
		ck_assert_int_eq(setattr(file, all[k]), -EPERM);
	ck_assert_int_eq(fs_write(i.fs, file, 0, "x", 1), -EPERM);
	ck_assert_int_eq(fs_write(i.fs, file, 10, "x", 1), -EPERM);
	ck_assert_int_eq(link_to(file, INODE_ROOT, "other"), -EPERM);
	ck_assert_int_eq(fs_unlink(i.fs, INODE_ROOT, "file"), -EPERM);
	ck_assert_int_eq(fs_rename(i.fs, &(struct fs_names){INODE_ROOT, "file", dir, "moved"}, 0),
			 -EPERM);
	ck_assert_int_eq(fs_rename(i.fs, &(struct fs_names){dir, "below", INODE_ROOT, "file"}, 0),
			 -EPERM);
	ck_assert_int_eq(fs_rename(i.fs, &(struct fs_names){dir, "below", INODE_ROOT, "file"},
				   RENAME_EXCHANGE),
			 -EPERM);
	after = image_attr(&i, file);
	ck_assert_mem_eq(&before, &after, sizeof(before));
	set(file, 0);
	ck_assert_int_eq(setattr(file, FS_SET_MODE), 0);
	ck_assert_int_eq(fs_unlink(i.fs, INODE_ROOT, "file"), 0);
}
END_TEST

START_TEST(an_append_only_file_grows_and_does_nothing_else)
{
	set(file, FS_APPEND_FL);
	ck_assert_int_eq(fs_write(i.fs, file, 9, "x", 1), -EPERM);
	ck_assert_int_eq(fs_write(i.fs, file, 10, "abc", 3), 3);
	ck_assert_int_eq(setattr(file, FS_SET_SIZE), -EPERM);
	ck_assert_int_eq(setattr(file, FS_SET_MODE), -EPERM);
	ck_assert_int_eq(setattr(file, FS_SET_MTIME), -EPERM);
	ck_assert_int_eq(setattr(file, FS_SET_MTIME_NOW), -EPERM);
	ck_assert_int_eq(setattr(file, FS_SET_ATIME_NOW | FS_SET_MTIME_NOW), 0);
	ck_assert_int_eq(link_to(file, INODE_ROOT, "other"), -EPERM);
	ck_assert_int_eq(fs_unlink(i.fs, INODE_ROOT, "file"), -EPERM);
	ck_assert_int_eq(
		fs_rename(i.fs, &(struct fs_names){INODE_ROOT, "file", INODE_ROOT, "moved"}, 0),
		-EPERM);
	ck_assert_uint_eq(image_attr(&i, file).size, 13);
}
END_TEST

START_TEST(an_append_only_write_of_many_blocks_is_taken_whole)
{
	static char data[300000];
	char back[sizeof(data)];

	memset(data, 'x', sizeof(data));
	set(file, FS_APPEND_FL);
	ck_assert_int_eq(fs_write(i.fs, file, 10, data, sizeof(data)), sizeof(data));
	ck_assert_int_eq(fs_read(i.fs, file, 10, back, sizeof(back)), sizeof(back));
	ck_assert_mem_eq(data, back, sizeof(data));
}
END_TEST

START_TEST(names_in_an_immutable_directory_stay_as_they_are)
{
	set(dir, FS_IMMUTABLE_FL);
	ck_assert_int_eq(make(dir, "new"), -EPERM);
	ck_assert_int_eq(link_to(file, dir, "new"), -EPERM);
	ck_assert_int_eq(fs_unlink(i.fs, dir, "below"), -EPERM);
	ck_assert_int_eq(fs_rename(i.fs, &(struct fs_names){dir, "below", dir, "new"}, 0), -EPERM);
	ck_assert_int_eq(fs_rename(i.fs, &(struct fs_names){INODE_ROOT, "file", dir, "new"}, 0),
			 -EPERM);
	ck_assert_int_eq(
		fs_rename(i.fs, &(struct fs_names){INODE_ROOT, "dir", INODE_ROOT, "new"}, 0),
		-EPERM);
	ck_assert_int_eq(fs_rmdir(i.fs, INODE_ROOT, "dir"), -EPERM);
	ck_assert_int_eq(setattr(dir, FS_SET_MODE), -EPERM);
	/* what is in it may change */
	ck_assert_int_eq(fs_write(i.fs, below, 0, "x", 1), 1);
	ck_assert_int_eq(setattr(below, FS_SET_MODE), 0);
}
END_TEST

START_TEST(an_append_only_directory_takes_names_and_gives_none_away)
{
	set(dir, FS_APPEND_FL);
	ck_assert_int_eq(make(dir, "new"), 0);
	ck_assert_int_eq(link_to(file, dir, "hard"), 0);
	ck_assert_int_eq(fs_rename(i.fs, &(struct fs_names){INODE_ROOT, "file", dir, "moved"}, 0),
			 0);
	ck_assert_int_eq(fs_unlink(i.fs, dir, "new"), -EPERM);
	ck_assert_int_eq(fs_rename(i.fs, &(struct fs_names){dir, "new", dir, "newer"}, 0), -EPERM);
	ck_assert_int_eq(fs_rename(i.fs, &(struct fs_names){dir, "new", INODE_ROOT, "new"}, 0),
			 -EPERM);
	ck_assert_int_eq(make(INODE_ROOT, "rival"), 0);
	ck_assert_int_eq(fs_rename(i.fs, &(struct fs_names){INODE_ROOT, "rival", dir, "new"}, 0),
			 -EPERM);
}
END_TEST

START_TEST(flags_and_project_survive_a_remount_and_ctime_tells)
{
	const uint32_t all =
		FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NOATIME_FL | FS_SYNC_FL | FS_NODUMP_FL;
	struct fs_attr before = image_attr(&i, file), a;

	ck_assert_int_eq(fs_set_flags(i.fs, file, FS_COMPR_FL, 0), -EOPNOTSUPP);
	a = image_attr(&i, file);
	ck_assert_mem_eq(&before, &a, sizeof(a));
	ck_assert_int_eq(fs_set_flags(i.fs, file, all | FS_DIRSYNC_FL | FS_PROJINHERIT_FL, 77), 0);
	a = image_attr(&i, file);
	ck_assert_uint_eq(a.flags, all); /* the other two are of directories */
	ck_assert_uint_eq(a.projid, 77);
	ck_assert(a.ctime.tv_sec > before.ctime.tv_sec || a.ctime.tv_nsec != before.ctime.tv_nsec);
	ck_assert_int_eq(a.mtime.tv_nsec, before.mtime.tv_nsec);
	image_remount(&i);
	ck_assert_uint_eq(image_lookup(&i, INODE_ROOT, "file"), file);
	a = image_attr(&i, file);
	ck_assert_uint_eq(a.flags, all);
	ck_assert_uint_eq(a.projid, 77);
}
END_TEST

START_TEST(new_inodes_take_flags_and_project_from_their_directory)
{
	const uint32_t all = FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NOATIME_FL | FS_SYNC_FL |
			     FS_DIRSYNC_FL | FS_NODUMP_FL | FS_PROJINHERIT_FL;
	const uint32_t expect[][2] = {
		{S_IFDIR | 0700, all & ~(uint32_t)(FS_IMMUTABLE_FL | FS_APPEND_FL)},
		{S_IFREG | 0600, FS_NOATIME_FL | FS_SYNC_FL | FS_NODUMP_FL},
		{S_IFIFO | 0600, FS_NOATIME_FL | FS_NODUMP_FL},
	};
	struct fs_attr a;
	char name[8];

	ck_assert_int_eq(fs_set_flags(i.fs, dir, all & ~(uint32_t)FS_IMMUTABLE_FL, 5), 0);
	for (unsigned k = 0; k < 3; k++) {
		snprintf(name, sizeof(name), "%u", k);
		a = image_attr(&i, image_make(&i, dir, name, expect[k][0]));
		ck_assert_uint_eq(a.flags, expect[k][1]);
		ck_assert_uint_eq(a.projid, 5);
	}
	/* without P no project is handed down */
	ck_assert_int_eq(fs_set_flags(i.fs, dir, 0, 5), 0);
	a = image_attr(&i, image_make(&i, dir, "plain", S_IFREG | 0600));
	ck_assert_uint_eq(a.flags, 0);
	ck_assert_uint_eq(a.projid, 0);
}
END_TEST

START_TEST(a_tree_of_one_project_takes_nothing_of_another)
{
	ck_assert_int_eq(fs_set_flags(i.fs, dir, FS_PROJINHERIT_FL, 5), 0);
	ck_assert_int_eq(link_to(file, dir, "hard"), -EXDEV);
	ck_assert_int_eq(fs_rename(i.fs, &(struct fs_names){INODE_ROOT, "file", dir, "moved"}, 0),
			 -EXDEV);
	ck_assert_int_eq(fs_rename(i.fs, &(struct fs_names){dir, "below", INODE_ROOT, "out"}, 0),
			 0);
	ck_assert_int_eq(fs_set_flags(i.fs, file, 0, 5), 0);
	ck_assert_int_eq(link_to(file, dir, "hard"), 0);
	ck_assert_int_eq(fs_rename(i.fs, &(struct fs_names){INODE_ROOT, "file", dir, "moved"}, 0),
			 0);
}
END_TEST

/* The power goes: nothing more is written, and what is there is mounted. */
static void cut_power(void)
{
	struct bufio_fault fault = {.ops = BUFIO_FAULT_WRITE | BUFIO_FAULT_FLUSH,

				    .error = -EIO};
	struct fs *fs = i.fs;

	bufio_engine_fault_set(i.engine, &fault);
	i.fs = NULL;
	ck_assert_int_lt(fs_unmount(fs), 0);
	bufio_engine_fault_set(i.engine, NULL);
	image_mount(&i);
}

static bool exists(uint64_t in, const char *name)
{
	struct fs_attr a;
	int r = fs_lookup(i.fs, in, name, &a);

	ck_assert(r == 0 || r == -ENOENT);
	return r == 0;
}

/* _i: chattr +D, +S, or the mount options; and without all that it is lost */
START_TEST(what_is_done_in_a_synchronous_directory_is_durable_at_once)
{
	if (_i == 1)
		set(dir, FS_DIRSYNC_FL);
	if (_i == 2)
		set(dir, FS_SYNC_FL);
	i.options.dirsync = _i == 3;
	i.options.sync = _i == 4;
	image_remount(&i);
	ck_assert_uint_eq(image_lookup(&i, INODE_ROOT, "dir"), dir);
	ck_assert_int_eq(make(dir, "new"), 0);
	ck_assert_int_eq(fs_rename(i.fs, &(struct fs_names){dir, "below", dir, "moved"}, 0), 0);
	cut_power();
	ck_assert_uint_eq(image_lookup(&i, INODE_ROOT, "dir"), dir);
	ck_assert_int_eq(exists(dir, "new"), _i != 0);
	ck_assert_int_eq(exists(dir, "moved"), _i != 0);
	ck_assert_int_eq(exists(dir, "below"), _i == 0);
}
END_TEST

/* _i: chattr +S, or the mount option; and without it is lost.  In place, and behind the end. */
START_TEST(what_is_written_to_a_synchronous_file_is_durable_at_once)
{
	static char data[20000], back[30000];

	memset(data, 'a', sizeof(data));
	ck_assert_int_eq(fs_write(i.fs, file, 0, data, sizeof(data)), sizeof(data));
	if (_i == 1)
		set(file, FS_SYNC_FL);
	i.options.sync = _i == 2;
	image_remount(&i);
	ck_assert_uint_eq(image_lookup(&i, INODE_ROOT, "file"), file);
	memset(data, 'b', sizeof(data));
	ck_assert_int_eq(fs_write(i.fs, file, 4096, data, 4096), 4096);
	ck_assert_int_eq(fs_write(i.fs, file, 20000, data, 5000), 5000);
	ck_assert_int_eq(setattr(file, FS_SET_MODE), 0);
	cut_power();
	ck_assert_uint_eq(image_lookup(&i, INODE_ROOT, "file"), file);
	ck_assert_uint_eq(image_attr(&i, file).size, _i ? 25000 : 20000);
	ck_assert_uint_eq(image_attr(&i, file).mode & 0777, _i ? 0600 : 0644);
	ck_assert_int_ge(fs_read(i.fs, file, 0, back, sizeof(back)), 20000);
	ck_assert_int_eq(back[5000], _i ? 'b' : 'a');
	ck_assert_int_eq(back[3000], 'a');
}
END_TEST

/* The answer is the error if it could not be made durable. */
START_TEST(a_synchronous_operation_tells_of_a_failed_commit)
{
	struct bufio_fault fault = {.ops = BUFIO_FAULT_WRITE, .count = 1, .error = -EIO};
	struct fs *fs = i.fs;

	set(dir, FS_DIRSYNC_FL);
	ck_assert_int_eq(fs_sync(i.fs), 0);
	bufio_engine_fault_set(i.engine, &fault);
	ck_assert_int_eq(make(dir, "new"), -EIO);
	i.fs = NULL;
	ck_assert_int_lt(fs_unmount(fs), 0);
	bufio_engine_fault_set(i.engine, NULL);
	i.options.read_only = true;
	image_mount(&i);
	ck_assert(!exists(dir, "new"));
	image_unmount(&i);
	image_finish(&i);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("flags"), *stop = tcase_create("failing");
	TCase *const cases[] = {tc, stop, NULL};

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, an_immutable_file_cannot_be_changed_in_any_way);
	tcase_add_test(tc, an_append_only_file_grows_and_does_nothing_else);
	tcase_add_test(tc, an_append_only_write_of_many_blocks_is_taken_whole);
	tcase_add_test(tc, names_in_an_immutable_directory_stay_as_they_are);
	tcase_add_test(tc, an_append_only_directory_takes_names_and_gives_none_away);
	tcase_add_test(tc, flags_and_project_survive_a_remount_and_ctime_tells);
	tcase_add_test(tc, new_inodes_take_flags_and_project_from_their_directory);
	tcase_add_test(tc, a_tree_of_one_project_takes_nothing_of_another);
	tcase_add_loop_test(tc, what_is_done_in_a_synchronous_directory_is_durable_at_once, 0, 5);
	tcase_add_loop_test(tc, what_is_written_to_a_synchronous_file_is_durable_at_once, 0, 3);
	tcase_add_checked_fixture(stop, setup, NULL);
	tcase_add_test(stop, a_synchronous_operation_tells_of_a_failed_commit);
	return image_run("flags", cases);
}
