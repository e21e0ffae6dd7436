/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fs_shutdown(): nothing works any more, and the next mount finds what a crash would have left; and the label. */
#include "image.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "inode.h"

static struct image i;
static uint64_t synced, fresh;
static const char old_data[20000] = {1}, new_data[20000] = {2};

static void setup(void)
{
	image_init_mounted(&i, 16 << 20, 4096);
	synced = image_make(&i, INODE_ROOT, "synced", S_IFREG | 0600);
	image_write(&i, synced, 0, old_data, sizeof(old_data));
	ck_assert_int_eq(fs_sync(i.fs), 0);
	fresh = image_make(&i, INODE_ROOT, "fresh", S_IFREG | 0600);
	image_write(&i, fresh, 0, new_data, sizeof(new_data));
}

static void teardown(void)
{
	image_unmount(&i);
	image_check(&i);
	image_finish(&i);
}

static int fill_none(void *context, const struct fs_dirent *entry)
{
	return 0;
}

START_TEST(every_call_fails_afterwards)
{
	const struct fs_new what = {.mode = S_IFREG | 0600};
	const struct fs_trim all = {.size_bytes = UINT64_MAX};
	struct fs_attr a = {.mode = 0600};
	char data[10];
	uint64_t n;

	ck_assert_int_eq(fs_shutdown(i.fs, FS_SHUTDOWN_NOW), 0);
	ck_assert_int_eq(fs_shutdown(i.fs, FS_SHUTDOWN_SYNC), 0);
	ck_assert_int_eq(fs_lookup(i.fs, INODE_ROOT, "synced", &a), -EIO);
	ck_assert_int_eq(fs_lookup(i.fs, synced, ".", &a), -EIO);
	ck_assert_int_eq(fs_getattr(i.fs, synced, &a), -EIO);
	ck_assert_int_eq(fs_setattr(i.fs, synced, &a, FS_SET_MODE, &a), -EIO);
	ck_assert_int_eq(fs_set_flags(i.fs, synced, 0, 0), -EIO);
	ck_assert_int_eq(fs_make(i.fs, INODE_ROOT, "more", &what, &a), -EIO);
	ck_assert_int_eq(fs_link(i.fs, synced, INODE_ROOT, "more", &a), -EIO);
	ck_assert_int_eq(fs_unlink(i.fs, INODE_ROOT, "synced"), -EIO);
	ck_assert_int_eq(fs_rmdir(i.fs, INODE_ROOT, "synced"), -EIO);
	ck_assert_int_eq(
		fs_rename(i.fs, &(struct fs_names){INODE_ROOT, "synced", INODE_ROOT, "more"}, 0),
		-EIO);
	ck_assert_int_eq(fs_readlink(i.fs, synced, data, 10), -EIO);
	ck_assert_int_eq(fs_read(i.fs, synced, 0, data, 10), -EIO);
	ck_assert_int_eq(fs_write(i.fs, synced, 0, data, 10), -EIO);
	ck_assert_int_eq(fs_readdir(i.fs, INODE_ROOT, 0, fill_none, NULL), -EIO);
	ck_assert_int_eq(fs_fsync(i.fs, synced, false), -EIO);
	ck_assert_int_eq(fs_sync(i.fs), -EIO);
	ck_assert_int_eq(fs_set_label(i.fs, "x"), -EIO);
	ck_assert_int_eq(fs_trim(i.fs, &all, &n), -EIO);
}
END_TEST

/* _i: how */
START_TEST(the_next_mount_finds_what_was_durable)
{
	struct disk_super d;
	char data[sizeof(old_data)];
	struct fs_attr a;

	/* in place, to blocks it has: that is not the log's */
	image_write(&i, synced, 4096, new_data, 4096);
	ck_assert_int_eq(fs_shutdown(i.fs, (enum fs_shutdown)_i), 0);
	image_unmount(&i);
	image_get_super(&i, &d);
	ck_assert_uint_eq(le32_get(d.state) & (SUPER_CLEAN | SUPER_ERRORS), 0);
	image_mount(&i);
	ck_assert_uint_eq(image_lookup(&i, INODE_ROOT, "synced"), synced);
	ck_assert_int_eq(fs_read(i.fs, synced, 0, data, sizeof(data)), sizeof(data));
	ck_assert_int_eq(data[0], 1);
	if (_i == FS_SHUTDOWN_SYNC)
		ck_assert_mem_eq(data + 4096, new_data, 4096);
	ck_assert_int_eq(fs_lookup(i.fs, INODE_ROOT, "fresh", &a),
			 _i == FS_SHUTDOWN_NOW ? -ENOENT : 0);
	if (_i != FS_SHUTDOWN_NOW) {
		ck_assert_int_eq(fs_read(i.fs, fresh, 0, data, sizeof(data)), sizeof(data));
		ck_assert_mem_eq(data, new_data, sizeof(data));
	}
}
END_TEST

START_TEST(what_was_removed_and_is_still_open_is_given_up_too)
{
	image_unlink(&i, INODE_ROOT, "synced");
	ck_assert_int_eq(fs_shutdown(i.fs, FS_SHUTDOWN_LOG), 0);
	fs_forget(i.fs, synced, 1);
	image_remount(&i);
}
END_TEST

START_TEST(a_label_is_kept_in_both_superblocks)
{
	char label[66];
	struct disk_super d;

	memset(label, 'L', 65);
	label[64] = 0;
	ck_assert_int_eq(fs_set_label(i.fs, label), -EINVAL);
	ck_assert_str_eq(image_statfs(&i).label, "test");
	label[63] = 0;
	ck_assert_int_eq(fs_set_label(i.fs, label), 0);
	ck_assert_str_eq(image_statfs(&i).label, label);
	ck_assert_int_eq(fs_set_label(i.fs, "short"), 0);
	/* without an unmount */
	ck_assert_int_eq(fs_shutdown(i.fs, FS_SHUTDOWN_NOW), 0);
	image_unmount(&i);
	image_get_super(&i, &d);
	ck_assert_mem_eq(d.label, "short\0\0\0", 8);
	image_mount(&i);
	ck_assert_str_eq(image_statfs(&i).label, "short");
}
END_TEST

START_TEST(a_label_that_could_not_be_written_is_not_there)
{
	const struct bufio_fault fault = {.ops = BUFIO_FAULT_WRITE, .count = 1, .error = -EIO};

	bufio_engine_fault_set(i.engine, &fault);
	ck_assert_int_eq(fs_set_label(i.fs, "new"), -EIO);
	bufio_engine_fault_set(i.engine, NULL);
	ck_assert_str_eq(image_statfs(&i).label, "test");
	image_remount(&i);
	ck_assert_str_eq(image_statfs(&i).label, "test");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("shutdown");
	TCase *const cases[] = {tc, NULL};

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, every_call_fails_afterwards);
	tcase_add_loop_test(tc, the_next_mount_finds_what_was_durable, 0, 3);
	tcase_add_test(tc, what_was_removed_and_is_still_open_is_given_up_too);
	tcase_add_test(tc, a_label_is_kept_in_both_superblocks);
	tcase_add_test(tc, a_label_that_could_not_be_written_is_not_there);
	return image_run("shutdown", cases);
}
