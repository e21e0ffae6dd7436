/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What being durable costs, counted exactly: writes to the device, and flushes or durable writes. */
#include "image.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bmap.h"
#include "inode.h"
#include "log.h"
#include "open.h"

static struct bufio_engine *mem, *record;
static struct fs *fs;

static void mount_again(bool sync)
{
	struct fs_options o;

	fs_options_init(&o);
	o.commit_ms = 0;
	o.sync = sync;
	ck_assert_int_eq(fs_mount(record, &o, &fs), 0);
}

static void setup_of(uint64_t size_bytes)
{
	struct mkfs_options m = {.uuid = {5}, .hash_seed = 3};
	struct geometry g;

	ck_assert_int_eq(bufio_engine_mem_create(size_bytes, 512, &mem), 0);
	ck_assert_int_eq(bufio_engine_record_create(mem, &record), 0);
	ck_assert_int_eq(mkfs_format(record, &m, &g), 0);
	mount_again(false);
}

static void setup(void)
{
	setup_of(64 << 20);
}

static void setup_large(void)
{
	setup_of(512 << 20);
}

static void teardown(void)
{
	ck_assert_int_eq(fs_unmount(fs), 0);
	bufio_engine_destroy(record);
}

static void count_from_here(void)
{
	bufio_engine_record_clear(record);
}

static void expect(unsigned writes, unsigned flushes)
{
	struct bufio_record_counts c;

	bufio_engine_record_counts(record, &c);
	ck_assert_uint_eq(c.writes, writes);
	ck_assert_uint_eq(c.flushes + c.durable_writes, flushes);
	bufio_engine_record_clear(record);
}

static uint64_t make(const char *name, uint32_t mode)
{
	const struct fs_new what = {.mode = mode};
	struct fs_attr a;

	ck_assert_int_eq(fs_make(fs, INODE_ROOT, name, &what, &a), 0);
	return a.ino;
}

static void write_at(uint64_t ino, uint64_t offset, size_t size)
{
	void *data = malloc(size);

	memset(data, 'x', size);
	ck_assert_int_eq(fs_write(fs, ino, offset, data, size), (ssize_t)size);
	free(data);
}

static void sync_file(uint64_t ino)
{
	ck_assert_int_eq(fs_fsync(fs, ino, false), 0);
}

START_TEST(append_and_fsync_is_one_write)
{
	uint64_t ino = make("log", S_IFREG | 0600);

	write_at(ino, 0, 4096);
	sync_file(ino);
	count_from_here();
	for (unsigned k = 1; k < 50; k++) {
		write_at(ino, k * 4096, 4096);
		sync_file(ino);
		expect(1, 1);
	}
}
END_TEST

START_TEST(small_append_and_fsync_is_one_write)
{
	uint64_t ino = make("log", S_IFREG | 0600);

	for (unsigned k = 0; k < 200; k++) {
		count_from_here();
		write_at(ino, k * 100, 100);
		sync_file(ino);
		expect(1, 1);
	}
}
END_TEST

/* What editors do. */
START_TEST(replace_by_rename_is_two_writes)
{
	make("file", S_IFREG | 0600);
	sync_file(INODE_ROOT);
	count_from_here();
	for (unsigned k = 0; k < 20; k++) {
		uint64_t ino = make("file.new", S_IFREG | 0600);

		write_at(ino, 0, 4096);
		sync_file(ino);
		ck_assert_int_eq(
			fs_rename(fs,
				  &(struct fs_names){INODE_ROOT, "file.new", INODE_ROOT, "file"},
				  0),
			0);
		sync_file(INODE_ROOT);
		expect(2, 2);
		fs_forget(fs, ino, 1);
	}
}
END_TEST

START_TEST(change_of_names_and_fsync_of_the_directory_is_one_write)
{
	const struct fs_new link = {.mode = S_IFLNK | 0777, .target = "there"};
	struct fs_attr a;

	count_from_here();
	make("dir", S_IFDIR | 0700);
	sync_file(INODE_ROOT);
	expect(1, 1);
	ck_assert_int_eq(fs_make(fs, INODE_ROOT, "link", &link, &a), 0);
	sync_file(INODE_ROOT);
	expect(1, 1);
	ck_assert_int_eq(
		fs_rename(fs, &(struct fs_names){INODE_ROOT, "link", INODE_ROOT, "other"}, 0), 0);
	sync_file(INODE_ROOT);
	expect(1, 1);
	ck_assert_int_eq(fs_unlink(fs, INODE_ROOT, "other"), 0);
	sync_file(INODE_ROOT);
	expect(1, 1);
	ck_assert_int_eq(fs_rmdir(fs, INODE_ROOT, "dir"), 0);
	sync_file(INODE_ROOT);
	expect(1, 1);
}
END_TEST

START_TEST(overwrite_in_place_and_fdatasync_is_one_write)
{
	uint64_t ino = make("data", S_IFREG | 0600);

	write_at(ino, 0, 1 << 20);
	sync_file(ino);
	ck_assert_int_eq(log_checkpoint(fs->log), 0);
	count_from_here();
	for (unsigned k = 0; k < 20; k++) {
		write_at(ino, k * 4096, 8 * 4096);
		ck_assert_int_eq(fs_fsync(fs, ino, true), 0);
		expect(1, 1);
	}
}
END_TEST

START_TEST(fsync_with_nothing_dirty_costs_nothing)
{
	uint64_t ino = make("file", S_IFREG | 0600);

	write_at(ino, 0, 100000);
	sync_file(ino);
	count_from_here();
	sync_file(ino);
	sync_file(INODE_ROOT);
	ck_assert_int_eq(fs_fsync(fs, ino, true), 0);
	ck_assert_int_eq(fs_sync(fs), 0);
	ck_assert_int_eq(fs_sync(fs), 0);
	bufio_engine_record_clear(record);
	ck_assert_int_eq(fs_sync(fs), 0);
	expect(0, 0);
}
END_TEST

/* fdatasync() need not write what only tells when. */
START_TEST(times_are_left_out_by_fdatasync)
{
	uint64_t ino = make("file", S_IFREG | 0600);
	struct fs_attr a = {.mtime = {.tv_sec = 5}};

	write_at(ino, 0, 5000);
	sync_file(ino);
	count_from_here();
	ck_assert_int_eq(fs_setattr(fs, ino, &a, FS_SET_MTIME, &a), 0);
	ck_assert_int_eq(fs_fsync(fs, ino, true), 0);
	expect(0, 0);
	sync_file(ino);
	expect(1, 1);
	a.mode = 0640;
	ck_assert_int_eq(fs_setattr(fs, ino, &a, FS_SET_MODE, &a), 0);
	ck_assert_int_eq(fs_fsync(fs, ino, true), 0);
	expect(1, 1);
}
END_TEST

/* _i: in the inode, in a block with others, in blocks of its own. */
START_TEST(attributes_are_not_left_out_by_fdatasync)
{
	static const size_t sizes[] = {20, 400, 9000};
	static char value[9000];
	struct fs_xattr x = {"user.a", value, sizes[_i]};
	uint64_t ino = make("file", S_IFREG | 0600);

	ck_assert_int_eq(fs_setxattr(fs, ino, &x, 0), 0);
	sync_file(ino);
	count_from_here();
	memset(value, 'n', sizeof(value));
	ck_assert_int_eq(fs_setxattr(fs, ino, &x, 0), 0);
	ck_assert_int_eq(fs_fsync(fs, ino, true), 0);
	expect(1, 1);
	ck_assert_int_eq(fs_removexattr(fs, ino, "user.a"), 0);
	ck_assert_int_eq(fs_fsync(fs, ino, true), 0);
	expect(1, 1);
}
END_TEST

/* The entries are what a directory's data is.  _i: so many, all in the inode or most in blocks. */
START_TEST(names_are_not_left_out_by_fdatasync)
{
	uint64_t dir = make("dir", S_IFDIR | 0700);
	const struct fs_new what = {.mode = S_IFREG | 0600};
	struct fs_attr a;
	char name[16];

	for (unsigned k = 0; k < (_i ? 200u : 2u); k++) {
		snprintf(name, sizeof(name), "%u", k);
		ck_assert_int_eq(fs_make(fs, dir, name, &what, &a), 0);
	}
	sync_file(dir);
	count_from_here();
	ck_assert_int_eq(fs_make(fs, dir, "new", &what, &a), 0);
	ck_assert_int_eq(fs_fsync(fs, dir, true), 0);
	expect(1, 1);
	ck_assert_int_eq(fs_rename(fs, &(struct fs_names){dir, "new", dir, "old"}, 0), 0);
	ck_assert_int_eq(fs_fsync(fs, dir, true), 0);
	expect(1, 1);
	ck_assert_int_eq(fs_unlink(fs, dir, "old"), 0);
	ck_assert_int_eq(fs_fsync(fs, dir, true), 0);
	expect(1, 1);
}
END_TEST

START_TEST(unlink_on_a_synchronous_mount_is_one_write)
{
	uint64_t ino;

	ck_assert_int_eq(fs_unmount(fs), 0);
	mount_again(true);
	ino = make("gone", S_IFREG | 0644);
	write_at(ino, 0, 64 << 10);
	write_at(ino, 1 << 20, 64 << 10);
	count_from_here();
	/* what frees the blocks and the inode may follow with any later commit: recovery does it too */
	ck_assert_int_eq(fs_unlink(fs, INODE_ROOT, "gone"), 0);
	fs_forget(fs, ino, 1);
	expect(1, 1);
}
END_TEST

START_TEST(much_new_data_is_written_flushed_and_committed)
{
	uint64_t ino = make("file", S_IFREG | 0600);

	sync_file(INODE_ROOT);
	count_from_here();
	write_at(ino, 0, 512 * 1024);
	sync_file(ino);
	expect(2, 2);
}
END_TEST

/* Threads that append and sync; who comes while a commit runs shares the next. */
#define NR_THREADS 16
#define NR_ROUNDS  20

static pthread_barrier_t barrier;

static void *appender(void *argument)
{
	uint64_t ino = *(uint64_t *)argument;

	for (unsigned k = 0; k < NR_ROUNDS; k++) {
		pthread_barrier_wait(&barrier);
		write_at(ino, k * 4096, 4096);
		pthread_barrier_wait(&barrier);
		sync_file(ino);
	}
	return NULL;
}

START_TEST(sixteen_appenders_share_commits)
{
	struct bufio_record_counts c;
	pthread_t threads[NR_THREADS];
	uint64_t inos[NR_THREADS];
	char name[16];

	pthread_barrier_init(&barrier, NULL, NR_THREADS);
	for (unsigned k = 0; k < NR_THREADS; k++) {
		snprintf(name, sizeof(name), "%u", k);
		inos[k] = make(name, S_IFREG | 0600);
	}
	sync_file(INODE_ROOT);
	count_from_here();
	for (unsigned k = 0; k < NR_THREADS; k++)
		ck_assert_int_eq(pthread_create(&threads[k], NULL, appender, &inos[k]), 0);
	for (unsigned k = 0; k < NR_THREADS; k++)
		pthread_join(threads[k], NULL);
	bufio_engine_record_counts(record, &c);
	ck_assert_uint_le(c.flushes + c.durable_writes, 2 * NR_ROUNDS);
	pthread_barrier_destroy(&barrier);
}
END_TEST

/* Checkpoints are counted apart: two flushes for half a log. */
START_TEST(checkpoints_are_rare)
{
	uint64_t ino = make("log", S_IFREG | 0600), nr_fsyncs = 0, log_bytes;
	struct bufio_record_counts c;

	log_bytes = (uint64_t)fs->geo.log_blocks << fs->geo.block_shift;
	count_from_here();
	do {
		write_at(ino, nr_fsyncs++ * 4096, 4096);
		sync_file(ino);
		bufio_engine_record_counts(record, &c);
	} while (c.durable_writes == nr_fsyncs);
	ck_assert_uint_ge(nr_fsyncs * 8192, log_bytes / 2);
	ck_assert_uint_le(c.flushes + c.durable_writes, nr_fsyncs + 2);
}
END_TEST

/* So that neither an operation has to wait for that, nor a mount after a crash has much to do. */
START_TEST(the_timer_empties_a_log_that_is_half_full)
{
	uint64_t ino = make("log", S_IFREG | 0600);

	for (unsigned k = 0; !log_wants_checkpoint(fs->log); k++) {
		write_at(ino, k * 4096, 4096);
		sync_file(ino);
	}
	ck_assert(fs_timed_commit(fs, 0));
	ck_assert(!log_wants_checkpoint(fs->log));
	count_from_here();
	ck_assert(fs_timed_commit(fs, 0));
	expect(0, 0);
}
END_TEST

#define NR_SMALL 20000u

static bool is_in_log(const struct bufio_record_entry *e)
{
	uint64_t block = e->offset_bytes >> fs->geo.block_shift;

	return block >= fs->geo.log_start && block < fs->geo.log_start + fs->geo.log_blocks;
}

/* Written home: how often, and how much. */
static unsigned count_home(uint64_t *ret_bytes)
{
	unsigned nr = 0;

	*ret_bytes = 0;
	for (size_t i = 0; i < bufio_engine_record_count(record); i++) {
		const struct bufio_record_entry *e = bufio_engine_record_get(record, i);

		if (e->kind != BUFIO_RECORD_WRITE || is_in_log(e))
			continue;
		nr++;
		*ret_bytes += e->size_bytes;
	}
	return nr;
}

START_TEST(twenty_thousand_small_files_are_few_large_writes)
{
	uint64_t bytes;
	unsigned nr;
	char name[16];

	count_from_here();
	for (unsigned i = 0; i < NR_SMALL; i++) {
		snprintf(name, sizeof(name), "%u", i);
		write_at(make(name, S_IFREG | 0600), 0, 4096);
	}
	ck_assert_int_eq(fs_sync(fs), 0);
	nr = count_home(&bytes);
	ck_assert_uint_ge(bytes, NR_SMALL * 4096);
	ck_assert_uint_le(nr, 150);
	ck_assert_uint_ge(bytes / nr, 512 * 1024);
}
END_TEST

START_TEST(a_large_file_lies_in_long_extents)
{
	const uint64_t size = 384 << 20, least = (64 << 20) / 4096;
	uint64_t ino = make("large", S_IFREG | 0600), at = 0;
	struct inode *inode;
	struct mapping m;

	for (uint64_t offset = 0; offset < size; offset += 1 << 20)
		write_at(ino, offset, 1 << 20);
	ck_assert_int_eq(inode_get(fs, ino, &inode), 0);
	while (at < size / 4096) {
		ck_assert_int_eq(bmap_next(inode, at, &m), 0);
		ck_assert_uint_eq(m.logical, at);
		at += m.count;
		/* the last one is what is left */
		ck_assert(m.count >= least || at == size / 4096);
	}
	inode_put(inode);
}
END_TEST

#define NR_LISTED 1000u

static int look_at(void *context, const struct fs_dirent *d)
{
	struct fs_attr a;

	if (strcmp(d->name, ".") != 0 && strcmp(d->name, "..") != 0) {
		ck_assert_int_eq(fs_lookup_child(fs, d->ino, &a), 0);
		++*(unsigned *)context;
	}
	return 0;
}

START_TEST(a_cold_listing_reads_each_block_once_and_ahead)
{
	uint64_t dir = make("dir", S_IFDIR | 0700), blocks;
	const struct fs_new what = {.mode = S_IFREG | 0600};
	struct bufio_record_counts c;
	struct fs_attr a;
	unsigned nr = 0;
	char name[16];

	for (unsigned i = 0; i < NR_LISTED; i++) {
		snprintf(name, sizeof(name), "file%u", i);
		ck_assert_int_eq(fs_make(fs, dir, name, &what, &a), 0);
	}
	ck_assert_int_eq(fs_getattr(fs, dir, &a), 0);
	blocks = a.size / 4096 + NR_LISTED / fs->geo.inodes_per_block + 1;
	ck_assert_int_eq(fs_unmount(fs), 0);
	mount_again(false);
	count_from_here();
	ck_assert_int_eq(fs_readdir(fs, dir, 0, look_at, &nr), 0);
	ck_assert_uint_eq(nr, NR_LISTED);
	bufio_engine_record_counts(record, &c);
	/* of the inode table what was written, that is some more */
	ck_assert_uint_le(c.read_bytes / 4096, blocks + 2);
	ck_assert_uint_le(c.reads, 8);
}
END_TEST

/*
 * What the time of a mount after a crash depends on: the log is read a MiB at a time, each block that it names
 * once and written once, however many records name it.
 */
START_TEST(a_replay_reads_the_log_in_large_pieces_and_writes_each_block_once)
{
	struct bufio_record_counts c;
	uint32_t log_mib, used, nr = 0;
	char name[32];

	while (!log_wants_checkpoint(fs->log)) {
		snprintf(name, sizeof(name), "file%u", nr++);
		sync_file(make(name, S_IFREG | 0644));
	}
	log_mib = (uint32_t)(((uint64_t)fs->geo.log_blocks * fs->geo.block_bytes) >> 20);
	used = atomic_load(&fs->log->used_blocks);
	ck_assert_uint_ge(nr, 200);
	fs_close(fs);
	count_from_here();
	mount_again(false);
	bufio_engine_record_counts(record, &c);
	/* an inode takes 256 bytes, a name some 20; besides them bitmaps, descriptors, superblocks */
	ck_assert_uint_le(c.reads, log_mib + 1 + nr / 16 + nr / 100 + 10);
	ck_assert_uint_le(c.writes, nr / 16 + nr / 100 + 10);
	ck_assert_uint_lt(c.reads + c.writes, used / 4);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("cost"), *large = tcase_create("much");
	TCase *const cases[] = {tc, large, NULL};

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, append_and_fsync_is_one_write);
	tcase_add_test(tc, small_append_and_fsync_is_one_write);
	tcase_add_test(tc, replace_by_rename_is_two_writes);
	tcase_add_test(tc, change_of_names_and_fsync_of_the_directory_is_one_write);
	tcase_add_test(tc, overwrite_in_place_and_fdatasync_is_one_write);
	tcase_add_test(tc, fsync_with_nothing_dirty_costs_nothing);
	tcase_add_test(tc, times_are_left_out_by_fdatasync);
	tcase_add_loop_test(tc, attributes_are_not_left_out_by_fdatasync, 0, 3);
	tcase_add_loop_test(tc, names_are_not_left_out_by_fdatasync, 0, 2);
	tcase_add_test(tc, unlink_on_a_synchronous_mount_is_one_write);
	tcase_add_test(tc, much_new_data_is_written_flushed_and_committed);
	tcase_add_test(tc, sixteen_appenders_share_commits);
	tcase_add_test(tc, a_replay_reads_the_log_in_large_pieces_and_writes_each_block_once);
	tcase_add_test(tc, checkpoints_are_rare);
	tcase_add_test(tc, the_timer_empties_a_log_that_is_half_full);
	tcase_add_test(tc, a_cold_listing_reads_each_block_once_and_ahead);
	tcase_add_checked_fixture(large, setup_large, teardown);
	tcase_set_timeout(large, 300);
	tcase_add_test(large, twenty_thousand_small_files_are_few_large_writes);
	tcase_add_test(large, a_large_file_lies_in_long_extents);
	return image_run("cost", cases);
}
