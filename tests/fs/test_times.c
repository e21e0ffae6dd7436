/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which call changes which time, and when access times reach the disk. */
#include "image.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "inode.h"
#include "log.h"

#define OLD 1000000000 /* seconds */

static struct image i;
static uint64_t file, dir, link_ino;

static void find_all(void)
{
	file = image_lookup(&i, INODE_ROOT, "file");
	dir = image_lookup(&i, INODE_ROOT, "dir");
	link_ino = image_lookup(&i, INODE_ROOT, "link");
}

static void setup(void)
{
	const struct fs_new what = {.mode = S_IFLNK | 0777, .target = "target"};
	struct fs_attr a;

	image_init_mounted(&i, 16 << 20, 4096);
	file = image_make(&i, INODE_ROOT, "file", S_IFREG | 0600);
	dir = image_make(&i, INODE_ROOT, "dir", S_IFDIR | 0700);
	ck_assert_int_eq(fs_make(i.fs, INODE_ROOT, "link", &what, &a), 0);
	link_ino = a.ino;
	image_write(&i, file, 0, "0123456789", 10);
}

static void teardown(void)
{
	image_unmount(&i);
	image_check(&i);
	image_finish(&i);
}

/* Mount again with other options. */
static void with(enum fs_atime atime, bool nodiratime)
{
	i.options.atime = atime;
	i.options.nodiratime = nodiratime;
	image_remount(&i);
	find_all();
}

static void make_old(uint64_t ino, time_t atime, time_t others)
{
	const struct fs_attr a = {
		.atime.tv_sec = atime, .mtime.tv_sec = others, .ctime.tv_sec = others};
	struct fs_attr got;

	ck_assert_int_eq(
		fs_setattr(i.fs, ino, &a, FS_SET_ATIME | FS_SET_MTIME | FS_SET_CTIME, &got), 0);
}

static int fill_none(void *context, const struct fs_dirent *entry)
{
	return 0;
}

static void read_it(uint64_t ino)
{
	char target[SYMLINK_MAX];

	if (ino == file)
		ck_assert_int_eq(fs_read(i.fs, file, 0, target, 5), 5);
	else if (ino == dir)
		ck_assert_int_eq(fs_readdir(i.fs, dir, 0, fill_none, NULL), 0);
	else
		ck_assert_int_eq(fs_readlink(i.fs, link_ino, target, sizeof(target)), 6);
}

/* Does reading it, whose atime and other times are so many seconds ago, change the atime? */
static bool counts(uint64_t ino, time_t atime_ago, time_t others_ago)
{
	time_t now = fs_now().tv_sec;

	make_old(ino, now - atime_ago, now - others_ago);
	read_it(ino);
	return image_attr(&i, ino).atime.tv_sec >= now;
}

START_TEST(relatime_counts_for_all_that_can_be_read)
{
	const uint64_t all[] = {file, dir, link_ino};

	for (unsigned k = 0; k < 3; k++) {
		ck_assert(counts(all[k], 100, 50));
		ck_assert(counts(all[k], 100, 100));
		ck_assert(!counts(all[k], 50, 100));
		ck_assert(!counts(all[k], 86000, 90000));
		ck_assert(counts(all[k], 86400, 90000));
	}
}
END_TEST

START_TEST(strictatime_counts_always_and_noatime_never)
{
	with(FS_ATIME_STRICT, false);
	ck_assert(counts(file, 50, 100) && counts(dir, 50, 100) && counts(link_ino, 50, 100));
	with(FS_ATIME_NEVER, false);
	ck_assert(!counts(file, 100, 50) && !counts(dir, 100, 50) && !counts(link_ino, 100, 50));
}
END_TEST

START_TEST(nodiratime_is_about_directories_alone)
{
	with(FS_ATIME_STRICT, true);
	ck_assert(counts(file, 50, 100) && !counts(dir, 100, 50) && counts(link_ino, 50, 100));
}
END_TEST

START_TEST(reading_nothing_is_no_access)
{
	char data[10];

	with(FS_ATIME_STRICT, false);
	make_old(file, OLD, OLD);
	ck_assert_int_eq(fs_read(i.fs, file, 0, data, 0), 0);
	ck_assert_int_eq(image_attr(&i, file).atime.tv_sec, OLD);
}
END_TEST

/* An operation is durable: so a turn of the commit thread has gone by. */
static void wait_for_commit(const char *name)
{
	uint64_t seq;

	fs_forget(i.fs, image_make(&i, INODE_ROOT, name, S_IFREG | 0600), 1);
	seq = log_last_seq(i.fs->log);
	while (atomic_load(&i.fs->log->durable_seq) < seq)
		;
}

/* _i: 0 with every commit; 1 lazytime: not; 2 lazytime: but with a sync; 3 and with its last reference */
START_TEST(lazytime_keeps_access_times_in_memory)
{
	struct bufio_fault fault = {.ops = BUFIO_FAULT_WRITE | BUFIO_FAULT_FLUSH, .error = -EIO};
	struct fs *fs;

	i.options.commit_ms = 10;
	i.options.lazytime = _i > 0;
	with(FS_ATIME_STRICT, false);
	make_old(file, OLD, OLD);
	ck_assert_int_eq(fs_sync(i.fs), 0);
	read_it(file);
	if (_i == 2)
		ck_assert_int_eq(fs_sync(i.fs), 0);
	if (_i == 3)
		fs_forget(i.fs, file, 1);
	/* two turns: what was dirty before the first ended is stored in the second at the latest */
	wait_for_commit("a");
	wait_for_commit("b");
	bufio_engine_fault_set(i.engine, &fault);
	fs = i.fs;
	i.fs = NULL;
	ck_assert_int_lt(fs_unmount(fs), 0);
	bufio_engine_fault_set(i.engine, NULL);
	i.options.commit_ms = 0;
	image_mount(&i);
	find_all();
	ck_assert_int_eq(image_attr(&i, file).atime.tv_sec == OLD, _i == 1);
}
END_TEST

/* The times that became new: "mc", "c" or "" */
static void changed(uint64_t ino, const char *which)
{
	struct fs_attr a = image_attr(&i, ino);

	ck_assert_int_eq(a.mtime.tv_sec != OLD, strchr(which, 'm') != NULL);
	ck_assert_int_eq(a.ctime.tv_sec != OLD, strchr(which, 'c') != NULL);
	ck_assert_int_eq(a.atime.tv_sec, OLD);
	make_old(ino, OLD, OLD);
}

static void setattr(uint64_t ino, const struct fs_attr *a, unsigned mask)
{
	struct fs_attr got;

	ck_assert_int_eq(fs_setattr(i.fs, ino, a, mask, &got), 0);
}

START_TEST(each_change_of_an_inode_moves_the_times_it_should)
{
	const struct fs_attr same = {.size = 10, .mode = 0600}, shorter = {.size = 3};
	const struct fs_attr when = {.mtime.tv_sec = OLD, .atime.tv_sec = OLD};

	make_old(file, OLD, OLD);
	image_write(&i, file, 0, "x", 1);
	changed(file, "mc");
	setattr(file, &same, FS_SET_SIZE);
	changed(file, "mc");
	setattr(file, &shorter, FS_SET_SIZE);
	changed(file, "mc");
	setattr(file, &same, FS_SET_MODE);
	changed(file, "c");
	setattr(file, &same, FS_SET_UID | FS_SET_GID);
	changed(file, "c");
	setattr(file, &when, FS_SET_MTIME);
	changed(file, "c");
	setattr(file, &when, FS_SET_ATIME);
	changed(file, "c");
	setattr(file, &when, FS_SET_MTIME_NOW);
	changed(file, "mc");
	ck_assert_int_eq(fs_set_flags(i.fs, file, 0, 0), 0);
	changed(file, "c");
}
END_TEST

START_TEST(what_fails_and_what_writes_nothing_moves_no_time)
{
	const struct fs_attr huge = {.size = UINT64_MAX};
	struct fs_attr got;

	make_old(file, OLD, OLD);
	make_old(dir, OLD, OLD);
	ck_assert_int_eq(fs_write(i.fs, file, 0, "", 0), 0);
	ck_assert_int_eq(fs_write(i.fs, file, 1000, "", 0), 0);
	ck_assert_int_eq(fs_write(i.fs, file, UINT64_MAX, "x", 1), -EFBIG);
	ck_assert_int_eq(fs_setattr(i.fs, file, &huge, FS_SET_SIZE, &got), -EFBIG);
	ck_assert_int_eq(fs_set_flags(i.fs, file, 1u << 31, 0), -EOPNOTSUPP);
	ck_assert_int_eq(fs_unlink(i.fs, dir, "none"), -ENOENT);
	ck_assert_int_eq(fs_rename(i.fs, &(struct fs_names){dir, "none", INODE_ROOT, "file"}, 0),
			 -ENOENT);
	ck_assert_int_eq(fs_link(i.fs, file, INODE_ROOT, "dir", &got), -EEXIST);
	changed(file, "");
	changed(dir, "");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("times");
	TCase *const cases[] = {tc, NULL};

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, relatime_counts_for_all_that_can_be_read);
	tcase_add_test(tc, strictatime_counts_always_and_noatime_never);
	tcase_add_test(tc, nodiratime_is_about_directories_alone);
	tcase_add_test(tc, reading_nothing_is_no_access);
	tcase_add_loop_test(tc, lazytime_keeps_access_times_in_memory, 0, 4);
	tcase_add_test(tc, each_change_of_an_inode_moves_the_times_it_should);
	tcase_add_test(tc, what_fails_and_what_writes_nothing_moves_no_time);
	return image_run("times", cases);
}
