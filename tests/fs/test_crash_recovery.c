/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bugs that others had in recovery itself: orphans leaked or freed twice, records of an earlier round of the log
 * or of an earlier mount taken for new ones, a log that fills while recovery works, superblocks torn.
 */
#include "crash_fs.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fsck.h"
#include "log.h"
#include "log_record.h"
#include "mkfs.h"
#include "open.h"
#include "super.h"

#define BLOCK_BYTES 1024u

static struct world w;

static void begin(const char *name)
{
	snprintf(w.name, sizeof(w.name), "%s", name);
	world_begin(&w);
}

static void finish(void)
{
	world_finish(&w);
	world_report(w.name);
}

static void step(int r)
{
	ck_assert_int_eq(r, 0);
	world_step(&w, false);
}

/* Every second block of a file, so that each is an extent. */
static void write_scattered(const char *path, unsigned nr)
{
	ck_assert_int_eq(do_make(w.fs, path, S_IFREG | 0600, NULL), 0);
	for (unsigned n = 0; n < nr; n++)
		ck_assert_int_eq(do_write(w.fs, path, n * 2ull * BLOCK_BYTES, BLOCK_BYTES, 's'), 0);
}

/* Orphans */

START_TEST(orphans_are_freed_once_wherever_recovery_is_cut)
{
	struct fs_attr a, b;

	world_init(&w, 2 << 20, 256 << 10);
	w.options.cache_bytes = 1 << 20;
	w.recut_every = 4;
	write_scattered("/long", 60);
	write_scattered("/cut", 60);
	ck_assert_int_eq(do_make(w.fs, "/dir", S_IFDIR | 0700, NULL), 0);
	begin("orphans");
	ck_assert_int_eq(fs_lookup(w.fs, INODE_ROOT, "long", &a), 0);
	ck_assert_int_eq(fs_lookup(w.fs, INODE_ROOT, "dir", &b), 0);
	step(do_unlink(w.fs, "/long"));
	step(do_rmdir(w.fs, "/dir"));
	world_fsync(&w, "/", false);
	step(do_truncate(w.fs, "/cut", 100));
	world_fsync(&w, "/cut", false);
	fs_forget(w.fs, a.ino, 1);
	fs_forget(w.fs, b.ino, 1);
	ck_assert_int_eq(fs_sync(w.fs), 0);
	world_step(&w, true);
	finish();
}
END_TEST

/* Old records */

/* Is there a whole record where the next one will be, of a number that is not the next one? */
static bool old_record_follows(void)
{
	static uint8_t record[64 << 10];
	const struct geometry *g = &w.fs->geo;
	const struct log *l = w.fs->log;
	const struct disk_record *d = (const struct disk_record *)record;
	uint64_t at = (g->log_start + l->head) * BLOCK_BYTES, seq;
	uint32_t nr;

	if (l->head >= g->log_blocks)
		return false;
	ck_assert_int_eq(bufio_engine_mem_peek(w.mem, at, record, BLOCK_BYTES), 0);
	seq = le64_get(d->head.seq);
	nr = record_begins(w.fs, record, l->head, seq);
	if (nr == 0 || nr > sizeof(record) / BLOCK_BYTES)
		return false;
	ck_assert_int_eq(bufio_engine_mem_peek(w.mem, at, record, nr * BLOCK_BYTES), 0);
	return record_is_good(w.fs, record, nr) && seq < log_seq(l);
}

/* All of the same size, so that records of one round begin where those of the last did. */
static void change_modes(unsigned nr, unsigned *nr_old)
{
	for (unsigned n = 0; n < nr; n++) {
		ck_assert_int_eq(do_chmod(w.fs, "/file", n % 2 ? 0600 : 0644), 0);
		ck_assert_int_eq(do_fsync(w.fs, "/file", false), 0);
		world_step(&w, true);
		*nr_old += old_record_follows();
	}
}

START_TEST(records_of_the_last_round_behind_the_newest_are_not_replayed)
{
	unsigned nr_old = 0;

	world_init(&w, 2 << 20, FORMAT_MIN_LOG_BLOCKS * BLOCK_BYTES);
	w.recut_every = 50;
	ck_assert_int_eq(do_make(w.fs, "/file", S_IFREG | 0600, NULL), 0);
	begin("records of the last round");
	change_modes(3 * FORMAT_MIN_LOG_BLOCKS, &nr_old);
	ck_assert_uint_ge(w.nr_checkpoints, 2);
	ck_assert_uint_ge(nr_old, FORMAT_MIN_LOG_BLOCKS);
	finish();
}
END_TEST

/* The new ones begin at the start of the log again, and end where an old one begins. */
START_TEST(records_of_an_earlier_mount_behind_the_newest_are_not_replayed)
{
	unsigned nr_old = 0;

	world_init(&w, 2 << 20, FORMAT_MIN_LOG_BLOCKS * BLOCK_BYTES);
	ck_assert_int_eq(do_make(w.fs, "/file", S_IFREG | 0600, NULL), 0);
	for (unsigned n = 0; n < 20; n++) {
		ck_assert_int_eq(do_chmod(w.fs, "/file", n % 2 ? 0640 : 0604), 0);
		ck_assert_int_eq(do_fsync(w.fs, "/file", false), 0);
	}
	fs_close(w.fs);
	ck_assert_int_eq(fs_mount(w.record, &w.options, &w.fs), 0);
	begin("records of an earlier mount");
	change_modes(4, &nr_old);
	ck_assert_uint_ge(nr_old, 2);
	finish();
}
END_TEST

/* Cuts of a whole life, mount and unmount too. */

struct life {
	struct bufio_engine *record, *base;
	uint64_t free_inodes, free_blocks; /* what each image must have when it is recovered */
	enum tear { TEAR_NOTHING, TEAR_FIRST, TEAR_COPY, NR_TEARS } tear; /* of the superblocks */
	unsigned nr_states;
};

/* From here on all that happens on the device is recorded. */
static void life_begin(struct life *life, struct bufio_engine *mem)
{
	life->base = crash_copy(mem);
	ck_assert_int_eq(bufio_engine_record_create(mem, &life->record), 0);
}

static void check_problems(struct bufio_engine *e, unsigned nr)
{
	const struct check_options o = {.mode = CHECK_REPORT, .cache_bytes = 1 << 20};
	struct check_result result;

	ck_assert_int_eq(check_fs(e, &o, &result), 0);
	ck_assert_uint_eq(result.problems, nr);
}

/* What changes of a superblock is in its first sector, so none is torn where sectors are not: do it by hand. */
static void tear(struct bufio_engine *e, enum tear which)
{
	uint64_t at = which == TEAR_FIRST ? 0 : (e->size_bytes / BLOCK_BYTES - 1) * BLOCK_BYTES;
	uint8_t block[BLOCK_BYTES];

	if (which == TEAR_NOTHING)
		return;
	ck_assert_int_eq(super_transfer(e, BUFIO_OP_READ, at, block, sizeof(block)), 0);
	ck_assert_uint_eq(le32_get(((struct disk_super *)block)->head.magic), MAGIC_SUPER);
	memset(block + SUPER_BYTES / 2, 0xff, SUPER_BYTES / 2);
	ck_assert_int_eq(super_transfer(e, BUFIO_OP_WRITE, at, block, sizeof(block)), 0);
}

static void check_life(struct life *life, struct bufio_engine *e)
{
	struct fs_statfs s;
	struct fs *fs;

	tear(e, life->tear);
	check_problems(e, life->tear != TEAR_NOTHING);
	ck_assert_int_eq(fs_mount(e, &w.options, &fs), 0);
	fs_statfs(fs, &s);
	ck_assert_uint_eq(s.free_inodes, life->free_inodes);
	ck_assert_uint_eq(s.free_blocks, life->free_blocks);
	ck_assert_int_eq(fs_unmount(fs), 0);
	check_problems(e, 0);
	life->nr_states++;
}

static void life_end(struct life *life)
{
	struct crash_options o;
	struct crash *c;

	crash_options_init(&o);
	o.most_exhaustive = 6;
	o.nr_random = 16;
	crash_create(life->record, life->base, &o, &c);
	while (crash_next_point(c))
		while (crash_next_image(c))
			check_life(life, crash_image(c));
	crash_destroy(c);
	bufio_engine_destroy(life->record);
	printf("crash: %u states of 1 programs: %s\n", life->nr_states, w.name);
}

/* A log that fills while recovery works */

static bool writes_log_block(const struct bufio_record_entry *e, uint64_t log_start)
{
	return e->kind == BUFIO_RECORD_WRITE && e->offset_bytes == log_start * BLOCK_BYTES;
}

#define NR_ORPHANS 3000u

static struct bufio_engine *make_orphans(struct life *life)
{
	const struct mkfs_options m = {.block_bytes = BLOCK_BYTES,
				       .log_bytes = FORMAT_MIN_LOG_BLOCKS * BLOCK_BYTES,
				       .nr_inodes = 4096,
				       .uuid = {9}};
	const struct fs_new what = {.mode = S_IFREG | 0600};
	struct bufio_engine *mem;
	struct geometry g;
	struct fs_statfs s;
	struct fs_attr a;
	struct fs *fs;

	ck_assert_int_eq(bufio_engine_mem_create(6 << 20, 512, &mem), 0);
	ck_assert_int_eq(mkfs_format(mem, &m, &g), 0);
	ck_assert_int_eq(fs_mount(mem, &w.options, &fs), 0);
	fs_statfs(fs, &s);
	life->free_inodes = s.free_inodes;
	life->free_blocks = s.free_blocks;
	for (unsigned n = 0; n < NR_ORPHANS; n++) {
		ck_assert_int_eq(fs_make(fs, INODE_ROOT, "f", &what, &a), 0);
		ck_assert_int_eq(fs_write(fs, a.ino, 0, "data", 4), 4);
		ck_assert_int_eq(fs_unlink(fs, INODE_ROOT, "f"), 0);
	}
	ck_assert_int_eq(fs_sync(fs), 0);
	fs_close(fs);
	return mem;
}

START_TEST(log_that_fills_while_recovery_works)
{
	struct life life = {.tear = TEAR_NOTHING};
	unsigned nr_log_blocks = 0;
	struct bufio_engine *mem;
	uint64_t log_start;
	struct fs *fs;

	snprintf(w.name, sizeof(w.name), "log that fills while recovery works");
	fs_options_init(&w.options);
	w.options.commit_ms = 0;
	w.options.cache_bytes = 1 << 20;
	mem = make_orphans(&life);
	life_begin(&life, mem);
	ck_assert_int_eq(fs_mount(life.record, &w.options, &fs), 0);
	log_start = fs->geo.log_start;
	for (size_t i = 0; i < bufio_engine_record_count(life.record); i++)
		nr_log_blocks +=
			writes_log_block(bufio_engine_record_get(life.record, i), log_start);
	/* after the replay, at the start, and: else it did not test what it is for */
	ck_assert_uint_gt(nr_log_blocks, 2);
	fs_close(fs);
	life_end(&life);
}
END_TEST

/* Torn superblocks */

/* _i: which of them */
START_TEST(a_torn_superblock_does_no_harm_whichever_copy_it_is)
{
	struct life life = {.tear = (enum tear)_i};
	struct fs_statfs s;
	struct fs *fs;

	world_init(&w, 1 << 20, FORMAT_MIN_LOG_BLOCKS * BLOCK_BYTES);
	snprintf(w.name, sizeof(w.name), "torn superblocks");
	ck_assert_int_eq(do_make(w.fs, "/file", S_IFREG | 0600, NULL), 0);
	fs_statfs(w.fs, &s);
	ck_assert_int_eq(fs_unmount(w.fs), 0);
	life_begin(&life, crash_copy(w.mem));
	bufio_engine_destroy(w.record);
	life.free_inodes = s.free_inodes;
	life.free_blocks = s.free_blocks;
	w.options.mounted_at = "/somewhere";
	ck_assert_int_eq(fs_mount(life.record, &w.options, &fs), 0);
	ck_assert_int_eq(do_chmod(fs, "/file", 0644), 0);
	ck_assert_int_eq(do_fsync(fs, "/file", false), 0);
	ck_assert_int_eq(fs_unmount(fs), 0);
	life_end(&life);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("recovery");
	TCase *const cases[] = {tc, NULL};

	tcase_add_test(tc, orphans_are_freed_once_wherever_recovery_is_cut);
	tcase_add_test(tc, records_of_the_last_round_behind_the_newest_are_not_replayed);
	tcase_add_test(tc, records_of_an_earlier_mount_behind_the_newest_are_not_replayed);
	tcase_add_test(tc, log_that_fills_while_recovery_works);
	tcase_add_loop_test(tc, a_torn_superblock_does_no_harm_whichever_copy_it_is, 0, NR_TEARS);
	return image_run("crash_recovery", cases);
}
