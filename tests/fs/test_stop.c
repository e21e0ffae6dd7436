/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* After a record or a flush failed nothing is acknowledged any more; what was durable before is there. */
#include "image.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

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
	image_write(&i, ino, 0, new_data, 40960); /* in place, not the last block */
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

int main(void)
{
	TCase *tc = tcase_create("stop");
	TCase *const cases[] = {tc, NULL};

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, record_that_fails_stops_the_filesystem);
	tcase_add_test(tc, flush_that_fails_stops_the_filesystem);
	tcase_add_test(tc, checkpoint_that_fails_stops_the_filesystem);
	tcase_add_test(tc, what_was_not_committed_is_undone);
	return image_run("stop", cases);
}
