/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inodes in memory: found, counted, freed, their times, and threads that do so at once. */
#include "image.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "inode.h"
#include "open.h"
#include "super.h"

#define BLOCK 4096u

static void finish(struct image *w)
{
	if (w->fs)
		image_unmount(w);
	image_check(w);
	image_finish(w);
}

START_TEST(a_number_that_is_free_or_does_not_exist_is_stale)
{
	struct inode *inode;
	struct image w;

	image_init_mounted(&w, 16 << 20, BLOCK);
	ck_assert_int_eq(inode_get(w.fs, 0, &inode), -ESTALE);
	ck_assert_int_eq(inode_get(w.fs, 9, &inode), -ESTALE);
	ck_assert_int_eq(inode_get(w.fs, geo_nr_inodes(&w.fs->geo), &inode), -ESTALE);
	ck_assert_int_eq(inode_get(w.fs, geo_nr_inodes(&w.fs->geo) + 1, &inode), -ESTALE);
	ck_assert_int_eq(inode_get(w.fs, UINT64_MAX, &inode), -ESTALE);
	finish(&w);
}
END_TEST

START_TEST(an_unlinked_inode_lives_until_it_is_forgotten)
{
	uint64_t free_blocks, free_inodes, ino;
	char data[10000] = {1}, back[10000];
	struct fs_attr attr;
	struct image w;

	image_init_mounted(&w, 16 << 20, BLOCK);
	free_blocks = image_statfs(&w).free_blocks;
	free_inodes = image_statfs(&w).free_inodes;
	ino = image_make(&w, INODE_ROOT, "f", S_IFREG | 0600);
	ck_assert_int_eq(fs_unlink(w.fs, INODE_ROOT, "f"), 0);
	ck_assert_int_eq(fs_write(w.fs, ino, 0, data, sizeof(data)), sizeof(data));
	ck_assert_int_eq(fs_read(w.fs, ino, 0, back, sizeof(back)), sizeof(back));
	ck_assert_mem_eq(data, back, sizeof(data));
	ck_assert_uint_eq(image_attr(&w, ino).nlink, 0);
	fs_forget(w.fs, ino, 1);
	ck_assert_int_eq(fs_getattr(w.fs, ino, &attr), -ESTALE);
	ck_assert_uint_eq(image_statfs(&w).free_blocks, free_blocks);
	ck_assert_uint_eq(image_statfs(&w).free_inodes, free_inodes);
	finish(&w);
}
END_TEST

START_TEST(what_is_only_in_use_and_has_no_name_is_not_found_by_its_number)
{
	uint64_t free_inodes, ino;
	struct inode *used;
	struct fs_attr attr;
	struct image w;

	image_init_mounted(&w, 16 << 20, BLOCK);
	free_inodes = image_statfs(&w).free_inodes;
	ino = image_make(&w, INODE_ROOT, "f", S_IFREG | 0600);
	ck_assert_int_eq(inode_get(w.fs, ino, &used), 0);
	ck_assert_int_eq(fs_unlink(w.fs, INODE_ROOT, "f"), 0);
	/* somebody has it open */
	ck_assert_int_eq(fs_lookup(w.fs, ino, ".", &attr), 0);
	fs_forget(w.fs, ino, 2);
	ck_assert_int_eq(fs_lookup(w.fs, ino, ".", &attr), -ESTALE);
	inode_put(used);
	ck_assert_int_eq(fs_lookup(w.fs, ino, ".", &attr), -ESTALE);
	ck_assert_uint_eq(image_statfs(&w).free_inodes, free_inodes);
	finish(&w);
}
END_TEST

START_TEST(a_reused_number_has_a_higher_generation)
{
	struct fs_attr first, second, attr;
	struct image w;
	uint64_t ino;

	image_init_mounted(&w, 16 << 20, BLOCK);
	ino = image_make(&w, INODE_ROOT, "f", S_IFREG | 0600);
	first = image_attr(&w, ino);
	ck_assert_int_eq(fs_unlink(w.fs, INODE_ROOT, "f"), 0);
	fs_forget(w.fs, ino, 1);
	for (unsigned i = 0; i < 100000; i++) {
		uint64_t again = image_make(&w, INODE_ROOT, "g", S_IFREG | 0600);

		second = image_attr(&w, again);
		ck_assert_int_eq(fs_unlink(w.fs, INODE_ROOT, "g"), 0);
		fs_forget(w.fs, again, 1);
		if (again == ino)
			break;
	}
	ck_assert_uint_eq(second.ino, ino);
	ck_assert_uint_gt(second.generation, first.generation);
	ck_assert_int_eq(fs_lookup(w.fs, ino, ".", &attr), -ESTALE);
	finish(&w);
}
END_TEST

START_TEST(orphans_that_nobody_forgot_are_freed_at_unmount)
{
	uint64_t free_blocks, free_inodes, ino;
	char data[10000] = {1};
	struct image w;

	image_init_mounted(&w, 16 << 20, BLOCK);
	free_blocks = image_statfs(&w).free_blocks;
	free_inodes = image_statfs(&w).free_inodes;
	ino = image_make(&w, INODE_ROOT, "f", S_IFREG | 0600);
	ck_assert_int_eq(fs_write(w.fs, ino, 0, data, sizeof(data)), sizeof(data));
	ck_assert_int_eq(fs_unlink(w.fs, INODE_ROOT, "f"), 0);
	image_remount(&w);
	ck_assert_uint_eq(image_statfs(&w).free_blocks, free_blocks);
	ck_assert_uint_eq(image_statfs(&w).free_inodes, free_inodes);
	finish(&w);
}
END_TEST

/* The image as it is on the device now, opened as after a crash. */
static struct fs *open_crashed(struct image *w, uint64_t size_bytes, struct bufio_engine **ret)
{
	char *copy = malloc(size_bytes);
	struct fs *fs;

	ck_assert_int_eq(bufio_engine_mem_peek(w->mem, 0, copy, size_bytes), 0);
	ck_assert_int_eq(bufio_engine_mem_create(size_bytes, 512, ret), 0);
	ck_assert_int_eq(bufio_engine_mem_poke(*ret, 0, copy, size_bytes), 0);
	free(copy);
	ck_assert_int_eq(fs_open(*ret, &w->options, &fs), 0);
	return fs;
}

START_TEST(orphans_of_a_crash_are_recovered)
{
	const uint64_t size_bytes = 16 << 20;
	uint64_t free_blocks, free_inodes, ino;
	struct bufio_engine *engine;
	char data[10000] = {1};
	struct fs_statfs s;
	struct image w;
	struct fs *fs;

	image_init_mounted(&w, size_bytes, BLOCK);
	free_blocks = image_statfs(&w).free_blocks;
	free_inodes = image_statfs(&w).free_inodes;
	ino = image_make(&w, INODE_ROOT, "f", S_IFREG | 0600);
	ck_assert_int_eq(fs_write(w.fs, ino, 0, data, sizeof(data)), sizeof(data));
	ck_assert_int_eq(fs_unlink(w.fs, INODE_ROOT, "f"), 0);
	ck_assert_int_eq(fs_sync(w.fs), 0);
	fs = open_crashed(&w, size_bytes, &engine);
	ck_assert_int_eq(inode_recover_orphans(fs), 0);
	fs_statfs(fs, &s);
	ck_assert_uint_eq(s.free_blocks, free_blocks);
	ck_assert_uint_eq(s.free_inodes, free_inodes);
	ck_assert_uint_eq(fs->groups[0].nr_orphans, 0);
	bufio_abandon(fs->bufio);
	fs_close(fs);
	bufio_engine_destroy(engine);
	finish(&w);
}
END_TEST

/* Times */

static void set_old_times(struct image *w, uint64_t ino, time_t atime, time_t mtime)
{
	struct fs_attr attr = {0}, out;

	attr.atime.tv_sec = atime;
	attr.mtime.tv_sec = attr.ctime.tv_sec = mtime;
	ck_assert_int_eq(
		fs_setattr(w->fs, ino, &attr, FS_SET_ATIME | FS_SET_MTIME | FS_SET_CTIME, &out), 0);
}

static time_t atime_after_read(struct image *w, uint64_t ino)
{
	char c;

	ck_assert_int_eq(fs_read(w->fs, ino, 0, &c, 1), 1);
	return image_attr(w, ino).atime.tv_sec;
}

START_TEST(relatime_updates_an_atime_that_is_older_than_mtime_or_a_day)
{
	time_t now = time(NULL);
	struct image w;
	uint64_t ino;

	image_init_mounted(&w, 16 << 20, BLOCK);
	ino = image_make(&w, INODE_ROOT, "f", S_IFREG | 0600);
	ck_assert_int_eq(fs_write(w.fs, ino, 0, "x", 1), 1);
	set_old_times(&w, ino, now - 1000, now - 500);
	ck_assert_int_ge(atime_after_read(&w, ino), now);
	set_old_times(&w, ino, now - 1000, now - 2000);
	ck_assert_int_eq(atime_after_read(&w, ino), now - 1000);
	set_old_times(&w, ino, now - 90000, now - 100000);
	ck_assert_int_ge(atime_after_read(&w, ino), now);
	finish(&w);
}
END_TEST

START_TEST(noatime_never_updates)
{
	time_t now = time(NULL);
	struct image w;
	uint64_t ino;

	image_init_mounted(&w, 16 << 20, BLOCK);
	ino = image_make(&w, INODE_ROOT, "f", S_IFREG | 0600);
	ck_assert_int_eq(fs_write(w.fs, ino, 0, "x", 1), 1);
	w.options.atime = FS_ATIME_NEVER;
	fs_forget(w.fs, ino, 1);
	image_remount(&w);
	ino = image_lookup(&w, INODE_ROOT, "f");
	set_old_times(&w, ino, now - 1000, now - 500);
	ck_assert_int_eq(atime_after_read(&w, ino), now - 1000);
	finish(&w);
}
END_TEST

/* how: 0 a sync, 1 the last put, 2 the unmount stores it */
START_TEST(an_atime_read_changed_reaches_the_disk)
{
	time_t now = time(NULL);
	struct image w;
	uint64_t ino;

	image_init_mounted(&w, 16 << 20, BLOCK);
	ino = image_make(&w, INODE_ROOT, "f", S_IFREG | 0600);
	ck_assert_int_eq(fs_write(w.fs, ino, 0, "x", 1), 1);
	set_old_times(&w, ino, now - 1000, now - 500);
	ck_assert_int_ge(atime_after_read(&w, ino), now);
	if (_i == 0)
		ck_assert_int_eq(fs_sync(w.fs), 0);
	if (_i == 1)
		fs_forget(w.fs, ino, 1);
	image_remount(&w);
	ino = image_lookup(&w, INODE_ROOT, "f");
	ck_assert_int_ge(image_attr(&w, ino).atime.tv_sec, now);
	finish(&w);
}
END_TEST

START_TEST(setattr_changes_what_the_mask_names)
{
	struct fs_attr in = {.mode = S_IFDIR | 04711, .uid = 10, .gid = 20, .size = 5}, out;
	struct fs_attr before;
	struct image w;
	uint64_t ino;

	image_init_mounted(&w, 16 << 20, BLOCK);
	ino = image_make(&w, INODE_ROOT, "f", S_IFREG | 0600);
	before = image_attr(&w, ino);
	in.mtime = (struct timespec){1234, 5};
	ck_assert_int_eq(fs_setattr(w.fs, ino, &in, FS_SET_MODE | FS_SET_UID | FS_SET_MTIME, &out),
			 0);
	ck_assert_uint_eq(out.mode, S_IFREG | 04711);
	ck_assert_uint_eq(out.uid, 10);
	ck_assert_uint_eq(out.gid, before.gid);
	ck_assert_uint_eq(out.size, 0);
	ck_assert_int_eq(out.mtime.tv_sec, 1234);
	ck_assert_int_ge(out.ctime.tv_sec, before.ctime.tv_sec);
	image_remount(&w);
	out = image_attr(&w, image_lookup(&w, INODE_ROOT, "f"));
	ck_assert_uint_eq(out.mode, S_IFREG | 04711);
	ck_assert_int_eq(out.mtime.tv_nsec, 5);
	finish(&w);
}
END_TEST

START_TEST(setattr_refuses_a_size_for_what_is_no_file)
{
	struct fs_attr in = {.size = 5}, out;
	struct image w;
	uint64_t ino;

	image_init_mounted(&w, 16 << 20, BLOCK);
	ino = image_make(&w, INODE_ROOT, "fifo", S_IFIFO | 0600);
	ck_assert_int_eq(fs_setattr(w.fs, INODE_ROOT, &in, FS_SET_SIZE, &out), -EISDIR);
	ck_assert_int_eq(fs_setattr(w.fs, ino, &in, FS_SET_SIZE, &out), -EINVAL);
	in.mtime.tv_nsec = 1000000000;
	ck_assert_int_eq(fs_setattr(w.fs, ino, &in, FS_SET_MTIME, &out), -EINVAL);
	finish(&w);
}
END_TEST

START_TEST(a_device_number_is_kept)
{
	struct fs_attr attr;
	struct image w;

	image_init_mounted(&w, 16 << 20, BLOCK);
	image_make(&w, INODE_ROOT, "dev", S_IFBLK | 0600);
	image_remount(&w);
	attr = image_attr(&w, image_lookup(&w, INODE_ROOT, "dev"));
	ck_assert_uint_eq(attr.rdev_major, 8);
	ck_assert_uint_eq(attr.rdev_minor, 3);
	finish(&w);
}
END_TEST

START_TEST(a_read_only_mount_writes_nothing)
{
	struct bufio_fault all = {.ops = BUFIO_FAULT_WRITE, .first = 1, .error = -EIO};
	struct fs_attr in = {.mode = 0777}, out;
	struct image w;
	uint64_t ino;

	image_init_mounted(&w, 16 << 20, BLOCK);
	ino = image_make(&w, INODE_ROOT, "f", S_IFREG | 0600);
	ck_assert_int_eq(fs_write(w.fs, ino, 0, "x", 1), 1);
	set_old_times(&w, ino, 1000, 2000);
	w.options.read_only = true;
	image_remount(&w);
	bufio_engine_fault_set(w.engine, &all);
	ino = image_lookup(&w, INODE_ROOT, "f");
	ck_assert_int_eq(atime_after_read(&w, ino), 1000);
	ck_assert_int_eq(fs_write(w.fs, ino, 0, "y", 1), -EROFS);
	ck_assert_int_eq(fs_setattr(w.fs, ino, &in, FS_SET_MODE, &out), -EROFS);
	in.size = 0;
	ck_assert_int_eq(fs_setattr(w.fs, ino, &in, FS_SET_SIZE, &out), -EROFS);
	ck_assert_int_eq(fs_sync(w.fs), 0);
	fs_forget(w.fs, ino, 1);
	image_unmount(&w);
	ck_assert_uint_eq(bufio_engine_fault_matched(w.engine), 0);
	finish(&w);
}
END_TEST

/* Threads */

#define NR_THREADS 4
#define NR_FILES   8

static void *complaint(const char *what)
{
	return (void *)(uintptr_t)what;
}

struct racer {
	struct image *w;
	const uint64_t *inos;
	unsigned seed;
};

static void *get_and_put(void *context)
{
	struct racer *racer = context;
	uint64_t state = racer->seed;
	struct inode *inode;
	char c;

	for (unsigned i = 0; i < 3000; i++) {
		uint64_t ino = racer->inos[image_random(&state) % NR_FILES];

		if (inode_get(racer->w->fs, ino, &inode) < 0)
			return complaint("inode_get failed");
		if (inode->ino != ino)
			return complaint("another inode");
		inode_put(inode);
		if (i % 16 == 0 && fs_read(racer->w->fs, ino, 0, &c, 1) != 1)
			return complaint("fs_read failed");
		if (i % 512 == 0 && inode_store_times(racer->w->fs) < 0)
			return complaint("inode_store_times failed");
	}
	return NULL;
}

START_TEST(threads_load_and_drop_the_same_inodes)
{
	struct racer racers[NR_THREADS];
	pthread_t threads[NR_THREADS];
	uint64_t inos[NR_FILES];
	struct image w;
	char name[8];
	void *failure;

	image_init_mounted(&w, 16 << 20, BLOCK);
	w.options.atime = FS_ATIME_STRICT;
	for (unsigned i = 0; i < NR_FILES; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		inos[i] = image_make(&w, INODE_ROOT, name, S_IFREG | 0600);
		ck_assert_int_eq(fs_write(w.fs, inos[i], 0, "x", 1), 1);
	}
	image_remount(&w);
	for (unsigned i = 0; i < NR_THREADS; i++) {
		racers[i] = (struct racer){&w, inos, i + 1};
		ck_assert_int_eq(pthread_create(&threads[i], NULL, get_and_put, &racers[i]), 0);
	}
	for (unsigned i = 0; i < NR_THREADS; i++) {
		pthread_join(threads[i], &failure);
		ck_assert_msg(!failure, "%s", (char *)failure);
	}
	finish(&w);
}
END_TEST

static void *make_and_unlink(void *context)
{
	struct racer *racer = context;
	struct fs_new what = {.mode = S_IFREG | 0600};
	char name[16], data[6000] = {1};
	struct fs_attr attr, stale;
	int r;

	snprintf(name, sizeof(name), "t%u", racer->seed);
	for (unsigned i = 0; i < 300; i++) {
		if (fs_make(racer->w->fs, INODE_ROOT, name, &what, &attr) < 0)
			return complaint("fs_make failed");
		if (fs_write(racer->w->fs, attr.ino, 0, data, sizeof(data)) != sizeof(data))
			return complaint("fs_write failed");
		if (fs_unlink(racer->w->fs, INODE_ROOT, name) < 0)
			return complaint("fs_unlink failed");
		fs_forget(racer->w->fs, attr.ino, 1);
		/* the number may be another thread's by now, or one looks it up as we do */
		r = fs_lookup(racer->w->fs, attr.ino, ".", &stale);
		if (r == 0)
			fs_forget(racer->w->fs, attr.ino, 1);
		else if (r != -ESTALE)
			return complaint("a number cannot be looked up");
		if (r == 0 && stale.generation == attr.generation && stale.nlink)
			return complaint("a freed inode came back");
	}
	return NULL;
}

START_TEST(threads_make_and_free_inodes)
{
	struct racer racers[NR_THREADS];
	pthread_t threads[NR_THREADS];
	uint64_t free_blocks, free_inodes;
	struct image w;
	void *failure;

	image_init_mounted(&w, 16 << 20, BLOCK);
	free_blocks = image_statfs(&w).free_blocks;
	free_inodes = image_statfs(&w).free_inodes;
	for (unsigned i = 0; i < NR_THREADS; i++) {
		racers[i] = (struct racer){&w, NULL, i + 1};
		ck_assert_int_eq(pthread_create(&threads[i], NULL, make_and_unlink, &racers[i]), 0);
	}
	for (unsigned i = 0; i < NR_THREADS; i++) {
		pthread_join(threads[i], &failure);
		ck_assert_msg(!failure, "%s", (char *)failure);
	}
	ck_assert_uint_eq(image_statfs(&w).free_blocks, free_blocks);
	ck_assert_uint_eq(image_statfs(&w).free_inodes, free_inodes);
	finish(&w);
}
END_TEST

int main(void)
{
	TCase *memory = tcase_create("memory"), *threads = tcase_create("threads");
	TCase *const cases[] = {memory, threads, NULL};

	tcase_add_test(memory, a_number_that_is_free_or_does_not_exist_is_stale);
	tcase_add_test(memory, an_unlinked_inode_lives_until_it_is_forgotten);
	tcase_add_test(memory, what_is_only_in_use_and_has_no_name_is_not_found_by_its_number);
	tcase_add_test(memory, a_reused_number_has_a_higher_generation);
	tcase_add_test(memory, orphans_that_nobody_forgot_are_freed_at_unmount);
	tcase_add_test(memory, orphans_of_a_crash_are_recovered);
	tcase_add_test(memory, relatime_updates_an_atime_that_is_older_than_mtime_or_a_day);
	tcase_add_test(memory, noatime_never_updates);
	tcase_add_loop_test(memory, an_atime_read_changed_reaches_the_disk, 0, 3);
	tcase_add_test(memory, setattr_changes_what_the_mask_names);
	tcase_add_test(memory, setattr_refuses_a_size_for_what_is_no_file);
	tcase_add_test(memory, a_device_number_is_kept);
	tcase_add_test(memory, a_read_only_mount_writes_nothing);
	tcase_add_test(threads, threads_load_and_drop_the_same_inodes);
	tcase_add_test(threads, threads_make_and_free_inodes);
	return image_run("inode", cases);
}
