/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* After a record or a flush failed nothing is acknowledged any more; what was durable before is there. */
#include "image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"

static struct image i;
static uint64_t ino;
static const char old_data[60000] = {1}, new_data[60000] = {2};

static void setup(void)
{
	image_init_mounted(&i, 16 << 20, 4096);
	ino = image_make(&i, INODE_ROOT, "file", S_IFREG | 0600);
	image_write(&i, ino, 0, old_data, sizeof(old_data));
	ck_assert_int_eq(fs_sync(i.fs), 0);
	image_settle(&i);
}

static void teardown(void)
{
	image_finish(&i);
}

static void break_device(unsigned ops)
{
	const struct bufio_fault fault = {.ops = ops, .count = 1, .error = -EIO};

	bufio_engine_fault_set(i.engine, &fault);
}

/* Nothing is made or acknowledged, the superblock has the error, and the next mount has what was durable. */
static void assert_stopped(void)
{
	const struct fs_new what = {.mode = S_IFREG | 0600};
	struct disk_super d;
	struct fs_attr a;
	struct fs *fs = i.fs;
	char data[10];

	bufio_engine_fault_set(i.engine, NULL);
	ck_assert_int_eq(fs_make(fs, INODE_ROOT, "more", &what, &a), -EROFS);
	ck_assert_int_eq(fs_sync(fs), -EIO);
	ck_assert_int_eq(fs_read(fs, ino, 0, data, sizeof(data)), sizeof(data));
	i.fs = NULL;
	ck_assert_int_lt(fs_unmount(fs), 0);
	image_get_super(&i, &d);
	ck_assert_uint_eq(le32_get(d.state), SUPER_ERRORS);
	ck_assert_uint_eq(le32_get(d.error_count), 1);
	ck_assert_uint_eq(le32_get(d.first_error.error), EIO);
	i.options.read_only = true;
	image_mount(&i);
	ck_assert_uint_eq(image_lookup(&i, INODE_ROOT, "file"), ino);
	ck_assert_int_eq(fs_lookup(i.fs, INODE_ROOT, "lost", &a), -ENOENT);
	image_unmount(&i);
}

START_TEST(record_that_fails_stops_the_filesystem)
{
	image_make(&i, INODE_ROOT, "lost", S_IFREG | 0600);
	break_device(BUFIO_FAULT_WRITE);
	ck_assert_int_eq(fs_fsync(i.fs, INODE_ROOT, false), -EIO);
	assert_stopped();
}
END_TEST

START_TEST(flush_that_fails_stops_the_filesystem)
{
	/* in place, not the last block, and in two pieces, or one durable write would do */
	image_write(&i, ino, 0, new_data, 4096);
	image_write(&i, ino, 8192, new_data, 4096);
	break_device(BUFIO_FAULT_FLUSH);
	ck_assert_int_eq(fs_fsync(i.fs, ino, true), -EIO);
	assert_stopped();
}
END_TEST

START_TEST(checkpoint_that_fails_stops_the_filesystem)
{
	image_write(&i, ino, 0, new_data, 10);
	ck_assert_int_eq(fs_fsync(i.fs, ino, false), 0);
	break_device(BUFIO_FAULT_FLUSH);
	ck_assert_int_eq(log_checkpoint(i.fs->log), -EIO);
	assert_stopped();
}
END_TEST

/* What is given up must not get to the disk when its buffers are let go. */
START_TEST(what_was_not_committed_is_undone)
{
	struct fs_attr a;

	image_make(&i, INODE_ROOT, "lost", S_IFREG | 0600);
	log_destroy(i.fs->log);
	i.fs->log = NULL;
	ck_assert_int_eq(bufio_write_dirty_buffers(i.fs->bufio), 0);
	i.fs->read_only = true;
	ck_assert_int_eq(fs_unmount(i.fs), 0);
	i.fs = NULL;
	image_mount(&i);
	ck_assert_int_eq(fs_lookup(i.fs, INODE_ROOT, "lost", &a), -ENOENT);
	image_unmount(&i);
	image_check(&i);
}
END_TEST

static void damage_inode(uint64_t which)
{
	unsigned at = (unsigned)((which - 1) % (4096 / INODE_BYTES)) * INODE_BYTES + 100;
	uint64_t block = geo_inode_block(&i.geo, which);
	uint8_t byte;

	image_peek(&i, block, at, &byte, 1);
	byte ^= 0x55;
	image_poke(&i, block, at, &byte, 1);
}

/* What errors= says follows when the image lies.  The file's inode is damaged: mounted, but not read yet. */
static void damage(enum fs_errors errors)
{
	image_unmount(&i);
	damage_inode(ino);
	i.options.errors = errors;
	image_mount(&i);
}

static void assert_recorded(void)
{
	struct disk_super d;

	image_get_super(&i, &d);
	ck_assert_uint_eq(le32_get(d.state) & SUPER_ERRORS, SUPER_ERRORS);
	ck_assert_uint_ge(le32_get(d.error_count), 1);
	ck_assert_uint_eq(le32_get(d.first_error.error), EUCLEAN);
	ck_assert_uint_eq(le32_get(d.last_error.error), EUCLEAN);
}

/* _i: remount-ro, continue */
START_TEST(a_lie_of_the_image_stops_or_is_survived)
{
	static const enum fs_errors errors[] = {FS_ERRORS_STOP, FS_ERRORS_CONTINUE};
	const struct fs_new what = {.mode = S_IFREG | 0600};
	struct fs *fs;
	struct fs_attr a;
	bool goes_on = errors[_i] == FS_ERRORS_CONTINUE;

	damage(errors[_i]);
	ck_assert_int_eq(fs_lookup(i.fs, INODE_ROOT, "file", &a), -EUCLEAN);
	assert_recorded();
	ck_assert_int_eq(fs_make(i.fs, INODE_ROOT, "more", &what, &a), goes_on ? 0 : -EROFS);
	fs = i.fs;
	i.fs = NULL;
	fs_unmount(fs);
	assert_recorded();
	/* until fsck has looked at it */
	ck_assert_int_eq(fs_mount(i.engine, &i.options, &fs), -ESTALE);
}
END_TEST

START_TEST(first_and_last_error_are_kept)
{
	uint64_t other = image_make(&i, INODE_ROOT, "other", S_IFREG | 0600);
	uint64_t third = image_make(&i, INODE_ROOT, "third", S_IFREG | 0600);
	struct fs *fs;
	struct disk_super d;
	struct fs_attr a;

	image_unmount(&i);
	damage_inode(other);
	damage_inode(third);
	image_mount(&i);
	damage(FS_ERRORS_CONTINUE);
	ck_assert_int_eq(fs_lookup(i.fs, INODE_ROOT, "file", &a), -EUCLEAN);
	ck_assert_int_eq(fs_lookup(i.fs, INODE_ROOT, "other", &a), -EUCLEAN);
	ck_assert_int_eq(fs_lookup(i.fs, INODE_ROOT, "third", &a), -EUCLEAN);
	image_get_super(&i, &d);
	ck_assert_uint_ge(le32_get(d.error_count), 3);
	ck_assert_uint_eq(le64_get(d.first_error.ino), ino);
	ck_assert_uint_eq(le64_get(d.last_error.ino), third);
	fs = i.fs;
	i.fs = NULL;
	fs_unmount(fs);
}
END_TEST

/* The error is on the disk before the process ends. */
static void panic_after_recording(void)
{
	struct disk_super d;

	image_get_super(&i, &d);
	if (le32_get(d.error_count) == 1)
		abort();
	_exit(1);
}

START_TEST(a_lie_of_the_image_ends_the_process_if_that_is_wanted)
{
	struct fs_attr a;
	int status;
	pid_t pid;

	/* a child has none of the threads of a mount it inherits, so it cannot end that one */
	image_unmount(&i);
	pid = fork();
	if (pid == 0) {
		i.options.panic = panic_after_recording;
		i.options.errors = FS_ERRORS_PANIC;
		damage_inode(ino);
		image_mount(&i);
		fs_lookup(i.fs, INODE_ROOT, "file", &a);
		_exit(2);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGABRT);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("stop");
	TCase *const cases[] = {tc, NULL};

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, record_that_fails_stops_the_filesystem);
	tcase_add_test(tc, flush_that_fails_stops_the_filesystem);
	tcase_add_test(tc, checkpoint_that_fails_stops_the_filesystem);
	tcase_add_test(tc, what_was_not_committed_is_undone);
	tcase_add_loop_test(tc, a_lie_of_the_image_stops_or_is_survived, 0, 2);
	tcase_add_test(tc, first_and_last_error_are_kept);
	tcase_add_test(tc, a_lie_of_the_image_ends_the_process_if_that_is_wanted);
	return image_run("stop", cases);
}
