/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mistakes that other filesystems made when the power failed, one by one.  What must be found is crash_fs.h's:
 * a tree of some step at or behind what was made durable, checked at every place of the record.
 *
 * The log is large enough for transactions of several operations, other than in the tests of pairs.
 */
#include "crash_named.h"

#include <linux/falloc.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/stat.h>

#include "log.h"
#include "open.h"

struct world w;

void begin(void)
{
	world_init(&w, 4 << 20, 512 << 10);
	w.nr_random = 8;
	w.recut_every = 100;
	ck_assert_int_eq(do_make(w.fs, "/A", S_IFDIR | 0755, NULL), 0);
	ck_assert_int_eq(do_make(w.fs, "/B", S_IFDIR | 0755, NULL), 0);
	ck_assert_int_eq(do_make(w.fs, "/A/foo", S_IFREG | 0644, NULL), 0);
	ck_assert_int_eq(do_make(w.fs, "/B/bar", S_IFREG | 0644, NULL), 0);
	ck_assert_int_eq(do_write(w.fs, "/A/foo", 0, 3000, 'f'), 0);
	ck_assert_int_eq(do_write(w.fs, "/B/bar", 0, 3000, 'b'), 0);
	world_begin(&w);
}

void finish(void)
{
	world_finish(&w);
	world_report("named");
}

/* A step that must succeed. */
void step(int r)
{
	ck_assert_int_eq(r, 0);
	world_step(&w, false);
}

void make_file(const char *path)
{
	step(do_make(w.fs, path, S_IFREG | 0644, NULL));
}

void write_file(const char *path, uint64_t offset, size_t size, char fill)
{
	w.in_place = true;
	step(do_write(w.fs, path, offset, size, fill));
}

START_TEST(rename_neither_loses_nor_doubles_a_file)
{
	begin();
	step(do_rename(w.fs, "/A/foo", "/B/moved", 0));
	step(do_rename(w.fs, "/B/moved", "/A/back", 0));
	world_fsync(&w, "/B", false);
	step(do_rename(w.fs, "/A/back", "/B/moved", 0));
	world_fsync(&w, "/A", false);
	finish();
}
END_TEST

START_TEST(rename_over_a_file_then_fsync_of_another)
{
	begin();
	make_file("/A/other");
	step(do_rename(w.fs, "/B/bar", "/A/foo", 0));
	world_fsync(&w, "/A/other", false);
	finish();
}
END_TEST

START_TEST(fsync_by_one_hard_link_keeps_the_other_name)
{
	begin();
	step(do_link(w.fs, "/A/foo", "/B/hard"));
	world_fsync(&w, "/A/foo", false);
	step(do_link(w.fs, "/A/foo", "/A/third"));
	world_fsync(&w, "/B/hard", false);
	finish();
}
END_TEST

START_TEST(link_then_fsync_then_unlink_of_the_old_name)
{
	begin();
	step(do_link(w.fs, "/A/foo", "/B/hard"));
	world_fsync(&w, "/B/hard", false);
	step(do_unlink(w.fs, "/A/foo"));
	world_fsync(&w, "/B/hard", false);
	finish();
}
END_TEST

START_TEST(fsync_of_a_directory_keeps_new_children_and_what_is_below)
{
	begin();
	step(do_make(w.fs, "/A/d", S_IFDIR | 0755, NULL));
	step(do_make(w.fs, "/A/d/e", S_IFDIR | 0755, NULL));
	make_file("/A/d/e/f");
	world_fsync(&w, "/A", false);
	step(do_rename(w.fs, "/A/d", "/B/d", 0));
	world_fsync(&w, "/B/d/e", false);
	finish();
}
END_TEST

START_TEST(unlink_and_create_again_under_the_same_name)
{
	begin();
	step(do_unlink(w.fs, "/A/foo"));
	make_file("/A/foo");
	write_file("/A/foo", 0, 2000, 'n');
	world_fsync(&w, "/A/foo", false);
	step(do_unlink(w.fs, "/A/foo"));
	step(do_make(w.fs, "/A/foo", S_IFDIR | 0755, NULL));
	world_fsync(&w, "/A/foo", false);
	finish();
}
END_TEST

/* One in the inode, one in blocks of its own. */
START_TEST(a_removed_attribute_does_not_come_back)
{
	static const char value[3000];

	begin();
	step(do_setxattr(w.fs, "/A/foo", "user.small", value, 20));
	step(do_setxattr(w.fs, "/A/foo", "user.large", value, sizeof(value)));
	world_fsync(&w, "/A/foo", false);
	step(do_removexattr(w.fs, "/A/foo", "user.large"));
	world_fsync(&w, "/A/foo", false);
	step(do_removexattr(w.fs, "/A/foo", "user.small"));
	world_fsync(&w, "/A", false);
	step(do_setxattr(w.fs, "/B/bar", "user.large", value, sizeof(value)));
	world_fsync(&w, "/B/bar", false);
	finish();
}
END_TEST

START_TEST(overwrite_then_fsync_through_another_name)
{
	begin();
	step(do_link(w.fs, "/A/foo", "/B/hard"));
	write_file("/A/foo", 0, 2048, 'n');
	world_fsync(&w, "/B/hard", false);
	finish();
}
END_TEST

/* ext4's auto_da_alloc: without any sync it is the old file or all of the new one.  _i: data in the record, before it */
START_TEST(rename_over_without_fsync_is_the_old_or_the_new_file)
{
	begin();
	make_file("/A/new");
	step(do_write(w.fs, "/A/new", 0, _i ? 40000 : 2500, 'n'));
	step(do_rename(w.fs, "/A/new", "/A/foo", 0));
	ck_assert_int_eq(log_commit_open(w.fs->log), 0);
	finish();
}
END_TEST

/* A turn of the timer, late as often as it wants; what it commits is durable. */
static void timed_commit(void)
{
	unsigned nr_late = 0;

	while (!fs_timed_commit(w.fs, nr_late))
		nr_late++;
	world_step(&w, true);
}

/*
 * Opened with O_TRUNC, written, closed.  With no commit between the two it is one step: nobody finds the file empty.
 * _i: data in the record or before it; bits: 2 a commit before, 4 after, 8 asked for by a sync
 */
START_TEST(cut_and_written_anew_is_the_old_or_the_new_file)
{
	begin();
	write_file("/B/bar", 0, 100, 'x');
	if (_i & 2)
		timed_commit();
	ck_assert_int_eq(do_truncate(w.fs, "/A/foo", 0), 0);
	step(do_write(w.fs, "/A/foo", 0, _i & 1 ? 40000 : 2500, 'n'));
	if (_i & 4)
		timed_commit();
	if (_i & 8)
		world_fsync(&w, "/B", false);
	make_file("/A/later");
	finish();
}
END_TEST

/* A commit that another program asks for in between is durable: the file is empty then, but never mixed. */
START_TEST(cut_and_written_anew_around_a_commit_is_the_old_the_empty_or_the_new_file)
{
	begin();
	step(do_truncate(w.fs, "/A/foo", 0));
	world_fsync(&w, "/B", false);
	step(do_write(w.fs, "/A/foo", 0, _i ? 40000 : 2500, 'n'));
	timed_commit();
	finish();
}
END_TEST

static uint64_t durable(void)
{
	return atomic_load(&w.fs->log->durable_seq);
}

/* As long as files are emptied it waits, a few times; and is not late where none was. */
START_TEST(timer_does_not_commit_between_cut_and_write)
{
	unsigned nr_late = 0;
	uint64_t seq;

	begin();
	make_file("/A/new");
	ck_assert(fs_timed_commit(w.fs, 0));
	step(do_truncate(w.fs, "/A/new", 0));
	step(do_truncate(w.fs, "/A/foo", 1));
	ck_assert(fs_timed_commit(w.fs, 0));
	seq = durable();
	step(do_truncate(w.fs, "/A/foo", 0));
	ck_assert(!fs_timed_commit(w.fs, 0));
	ck_assert_uint_eq(durable(), seq);
	write_file("/A/foo", 0, 2500, 'n');
	ck_assert(fs_timed_commit(w.fs, 1));
	ck_assert_uint_eq(durable(), seq + 1);
	do {
		step(do_truncate(w.fs, "/A/foo", 0));
		step(do_write(w.fs, "/A/foo", 0, 100, 'm'));
	} while (!fs_timed_commit(w.fs, nr_late++));
	ck_assert_uint_eq(nr_late, 6);
	ck_assert_uint_eq(durable(), seq + 2);
	finish();
}
END_TEST

static void set_flags(const char *path, uint32_t flags)
{
	ck_assert_int_eq(fs_set_flags(w.fs, path_ino(w.fs, path), flags, 0), 0);
	ck_assert_int_eq(fs_sync(w.fs), 0);
	world_step(&w, true);
}

/* As with O_SYNC, chattr +S or a mount with sync.  In place and behind the end, past the cache too, and no contents. */
START_TEST(what_is_done_to_a_synchronous_file_is_durable_when_it_returns)
{
	static const char value[3000];

	begin();
	set_flags("/A/foo", FS_SYNC_FL);
	w.in_place = true;
	ck_assert_int_eq(do_write(w.fs, "/A/foo", 500, 1500, 'n'), 0);
	world_step_synced(&w, "/A/foo");
	ck_assert_int_eq(do_write(w.fs, "/A/foo", 3000, 200000, 'm'), 0);
	world_step_synced(&w, "/A/foo");
	ck_assert_int_eq(do_write(w.fs, "/A/foo", 4096, 102400, 'o'), 0);
	world_step_synced(&w, "/A/foo");
	ck_assert_int_eq(do_truncate(w.fs, "/A/foo", 50001), 0);
	world_step_synced(&w, "/A/foo");
	ck_assert_int_eq(fs_fallocate(w.fs, path_ino(w.fs, "/A/foo"),
				      FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 500, 3000),
			 0);
	world_step_synced(&w, "/A/foo");
	ck_assert_int_eq(do_setxattr(w.fs, "/A/foo", "user.large", value, sizeof(value)), 0);
	world_step_synced(&w, "/A/foo");
	ck_assert_int_eq(do_chmod(w.fs, "/A/foo", 0600), 0);
	world_step_synced(&w, "/A/foo");
	ck_assert_int_eq(do_link(w.fs, "/A/foo", "/B/hard"), 0);
	world_step_synced(&w, "/A/foo");
	finish();
}
END_TEST

START_TEST(what_is_done_in_a_synchronous_directory_is_durable_when_it_returns)
{
	begin();
	set_flags("/A", FS_DIRSYNC_FL);
	ck_assert_int_eq(do_make(w.fs, "/A/new", S_IFREG | 0600, NULL), 0);
	world_step_synced(&w, "/A");
	ck_assert_int_eq(do_rename(w.fs, "/A/new", "/A/foo", 0), 0);
	world_step_synced(&w, "/A");
	ck_assert_int_eq(do_rename(w.fs, "/A/foo", "/B/bar", RENAME_EXCHANGE), 0);
	world_step_synced(&w, "/A");
	ck_assert_int_eq(do_rename(w.fs, "/B/bar", "/A/back", 0), 0);
	world_step_synced(&w, "/A");
	ck_assert_int_eq(do_unlink(w.fs, "/A/foo"), 0);
	world_step_synced(&w, "/A");
	ck_assert_int_eq(do_make(w.fs, "/A/d", S_IFDIR | 0700, NULL), 0);
	world_step_synced(&w, "/A");
	ck_assert_int_eq(do_rmdir(w.fs, "/A/d"), 0);
	world_step_synced(&w, "/A");
	finish();
}
END_TEST

START_TEST(symlink_is_not_empty)
{
	char target[600] = "";

	memset(target, 't', sizeof(target) - 1);
	begin();
	step(do_make(w.fs, "/A/short", S_IFLNK | 0777, "target"));
	step(do_make(w.fs, "/A/long", S_IFLNK | 0777, target));
	world_fsync(&w, "/A", false);
	finish();
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("named");
	TCase *const cases[] = {tc, data_case(), NULL};

	tcase_add_test(tc, rename_neither_loses_nor_doubles_a_file);
	tcase_add_test(tc, rename_over_a_file_then_fsync_of_another);
	tcase_add_test(tc, fsync_by_one_hard_link_keeps_the_other_name);
	tcase_add_test(tc, link_then_fsync_then_unlink_of_the_old_name);
	tcase_add_test(tc, fsync_of_a_directory_keeps_new_children_and_what_is_below);
	tcase_add_test(tc, unlink_and_create_again_under_the_same_name);
	tcase_add_test(tc, a_removed_attribute_does_not_come_back);
	tcase_add_test(tc, overwrite_then_fsync_through_another_name);
	tcase_add_loop_test(tc, rename_over_without_fsync_is_the_old_or_the_new_file, 0, 2);
	tcase_add_loop_test(tc, cut_and_written_anew_is_the_old_or_the_new_file, 0, 16);
	tcase_add_loop_test(
		tc, cut_and_written_anew_around_a_commit_is_the_old_the_empty_or_the_new_file, 0,
		2);
	tcase_add_test(tc, timer_does_not_commit_between_cut_and_write);
	tcase_add_test(tc, what_is_done_to_a_synchronous_file_is_durable_when_it_returns);
	tcase_add_test(tc, what_is_done_in_a_synchronous_directory_is_durable_when_it_returns);
	tcase_add_test(tc, symlink_is_not_empty);
	return image_run("crash_named", cases);
}
