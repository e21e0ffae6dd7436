/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What happens between two steps of a commit or an fsync(): a device that does something else in the
 * middle of a write; and transactions whose data is in the log already, in a small log or cache.
 */
#include "crash.h"
#include "image.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fsck.h"
#include "log.h"

#define BLOCK 1024u

/* An engine that calls something ahead of its next write outside the log, once. */
struct hooked {
	struct bufio_engine head;
	struct bufio_engine *below;
	void (*hook)(void);
};

static struct bufio_engine *mem;
static struct hooked hooked;
static struct fs *fs;

static bool is_data_write(const struct bufio_io *io)
{
	const struct geometry *g = &fs->geo;
	uint64_t block = io->offset_bytes >> g->block_shift;

	return io->op == BUFIO_OP_WRITE &&
	       (block < g->log_start || block >= g->log_start + g->log_blocks);
}

static void call_hook(struct hooked *h, const struct bufio_io *io)
{
	void (*hook)(void) = h->hook;

	if (hook && is_data_write(io)) {
		h->hook = NULL;
		hook();
	}
}

static void hooked_submit(struct bufio_engine *e, struct bufio_io *const *ios, unsigned nr)
{
	struct hooked *h = (struct hooked *)e;

	call_hook(h, ios[0]);
	h->below->ops->submit(h->below, ios, nr);
}

static int hooked_transfer(struct bufio_engine *e, struct bufio_io *io)
{
	struct hooked *h = (struct hooked *)e;

	call_hook(h, io);
	return h->below->ops->transfer(h->below, io);
}

static int hooked_flush(struct bufio_engine *e)
{
	struct hooked *h = (struct hooked *)e;

	return h->below->ops->flush(h->below);
}

static int hooked_discard(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes)
{
	struct hooked *h = (struct hooked *)e;

	return h->below->ops->discard(h->below, offset_bytes, size_bytes);
}

static int hooked_zero(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes)
{
	struct hooked *h = (struct hooked *)e;

	return h->below->ops->zero(h->below, offset_bytes, size_bytes);
}

static void hooked_destroy(struct bufio_engine *e)
{
	struct hooked *h = (struct hooked *)e;

	bufio_engine_destroy(h->below);
}

static const struct bufio_engine_ops hooked_ops = {
	.submit = hooked_submit,
	.transfer = hooked_transfer,
	.flush = hooked_flush,
	.discard = hooked_discard,
	.zero = hooked_zero,
	.destroy = hooked_destroy,
};

static void begin(uint64_t log_bytes)
{
	const struct mkfs_options m = {.block_bytes = BLOCK,
				       .log_bytes = log_bytes,
				       .nr_inodes = 512,
				       .uuid = {7},
				       .hash_seed = 1};
	struct fs_options o;
	struct geometry g;

	ck_assert_int_eq(bufio_engine_mem_create(32 << 20, 512, &mem), 0);
	ck_assert_int_eq(mkfs_format(mem, &m, &g), 0);
	hooked = (struct hooked){.head = *mem, .below = mem};
	hooked.head.ops = &hooked_ops;
	fs_options_init(&o);
	o.commit_ms = 0;
	o.cache_bytes = 1 << 20;
	ck_assert_int_eq(fs_mount(&hooked.head, &o, &fs), 0);
}

static void end(void)
{
	ck_assert_int_eq(fs_unmount(fs), 0);
	bufio_engine_destroy(&hooked.head);
}

static uint64_t make(const char *name)
{
	const struct fs_new what = {.mode = S_IFREG | 0600};
	struct fs_attr a;

	ck_assert_int_eq(fs_make(fs, INODE_ROOT, name, &what, &a), 0);
	return a.ino;
}

static void write_blocks(uint64_t ino, unsigned first, unsigned nr, char fill)
{
	void *data = malloc((size_t)nr * BLOCK);

	memset(data, fill, (size_t)nr * BLOCK);
	ck_assert_int_eq(fs_write(fs, ino, (uint64_t)first * BLOCK, data, (size_t)nr * BLOCK),
			 (ssize_t)nr * BLOCK);
	free(data);
}

/* The size and contents of a file on the device as it is this moment. */
static size_t read_after_crash(const char *name, char *data, size_t size)
{
	const struct check_options check = {.mode = CHECK_REPORT, .cache_bytes = 1 << 20};
	struct bufio_engine *copy = crash_copy(mem);
	struct check_result result;
	struct fs_options o;
	struct fs_attr a;
	struct fs *other;
	ssize_t n;

	ck_assert_int_eq(check_fs(copy, &check, &result), 0);
	ck_assert_uint_eq(result.problems, 0);
	fs_options_init(&o);
	o.commit_ms = 0;
	ck_assert_int_eq(fs_mount(copy, &o, &other), 0);
	ck_assert_int_eq(fs_lookup(other, INODE_ROOT, name, &a), 0);
	n = fs_read(other, a.ino, 0, data, size);
	ck_assert_int_ge(n, 0);
	fs_forget(other, a.ino, 1);
	ck_assert_int_eq(fs_unmount(other), 0);
	bufio_engine_destroy(copy);
	return (size_t)n;
}

/* What the hook cuts, in a thread of its own as any other caller would. */
static uint64_t cut_ino, cut_size;
static pthread_t cutter;
static bool cut_begun, cutting;

/* For the cut to get as far as it can while the write is held up; it may have to wait for the write. */
#define PATIENCE_MS 300

static void *cut_main(void *context)
{
	struct fs_attr a = {.size = cut_size};

	ck_assert_int_eq(fs_setattr(fs, cut_ino, &a, FS_SET_SIZE, &a), 0);
	return NULL;
}

static void cut_file(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += PATIENCE_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	ck_assert_int_eq(pthread_create(&cutter, NULL, cut_main, NULL), 0);
	cutting = pthread_timedjoin_np(cutter, NULL, &until) != 0;
	cut_begun = true;
}

/* The write was there to be held up, and the cut is over. */
static void end_cut(void)
{
	ck_assert(cut_begun);
	if (cutting)
		ck_assert_int_eq(pthread_join(cutter, NULL), 0);
}

static void cut_at_next_write(uint64_t ino, uint64_t size)
{
	cut_ino = ino;
	cut_size = size;
	hooked.hook = cut_file;
}

static void expect_all(const char *data, size_t from, size_t to, char fill)
{
	for (size_t i = from; i < to; i++)
		ck_assert_int_eq(data[i], fill);
}

/* _i: within a block; the blocks go as well */
START_TEST(data_of_a_commit_is_written_though_the_file_is_cut_meanwhile)
{
	static char data[64 * BLOCK];
	uint64_t other, first, second;

	begin(1 << 20);
	other = make("other");
	first = make("first");
	second = make("second");
	ck_assert_int_eq(fs_write(fs, other, 0, data, 1000), 1000);
	ck_assert_int_eq(fs_sync(fs), 0);
	/* three runs of data: the block of other keeps the two files from being one */
	write_blocks(first, 0, 20, 'f');
	ck_assert_int_eq(fs_write(fs, other, 1000, data, 10), 10);
	write_blocks(second, 0, 20, 's');
	cut_at_next_write(second, _i ? 0 : 19 * BLOCK + 100);
	ck_assert_int_eq(fs_fsync(fs, first, false), 0);
	ck_assert_uint_eq(read_after_crash("second", data, sizeof(data)), 20 * BLOCK);
	expect_all(data, 0, 20 * BLOCK, 's');
	end_cut();
	end();
}
END_TEST

/* 0: to blocks; 1: within a block */
START_TEST(fdatasync_of_a_file_that_is_cut_meanwhile_keeps_what_was_written)
{
	static char data[64 * BLOCK];
	uint64_t ino, other;
	size_t size = _i ? 39 * BLOCK + 100 : 30 * BLOCK, n;

	begin(1 << 20);
	ino = make("file");
	other = make("other");
	write_blocks(ino, 0, 20, 'a');
	write_blocks(other, 0, 1, 'o');
	write_blocks(ino, 20, 20, 'b');
	ck_assert_int_eq(fs_sync(fs), 0);
	write_blocks(ino, 0, 40, 'n');
	cut_at_next_write(ino, size);
	/* the times need not be durable, so no transaction is */
	ck_assert_int_eq(fs_fsync(fs, ino, true), 0);
	n = read_after_crash("file", data, sizeof(data));
	ck_assert(n == size || n == 40 * BLOCK);
	expect_all(data, 0, n, 'n');
	end_cut();
	end();
}
END_TEST

/* Who commits, and for what: what the next commit waits for must not grow or shrink by itself. */
static void expect_callers(unsigned nr_served, unsigned nr_next)
{
	struct log *l = fs->log;

	pthread_mutex_lock(&l->lock);
	ck_assert_uint_eq(l->nr_served, nr_served);
	ck_assert_uint_eq(l->nr_next, nr_next);
	pthread_mutex_unlock(&l->lock);
}

static pthread_t other_caller;

static void *sync_main(void *context)
{
	make("other");
	ck_assert_int_eq(fs_fsync(fs, INODE_ROOT, false), 0);
	return NULL;
}

/* Another caller, until it is counted beside the one that commits. */
static void let_come(void *(*run)(void *))
{
	bool here;

	ck_assert_int_eq(pthread_create(&other_caller, NULL, run, NULL), 0);
	do {
		sched_yield();
		pthread_mutex_lock(&fs->log->lock);
		here = fs->log->nr_served + fs->log->nr_next == 2;
		pthread_mutex_unlock(&fs->log->lock);
	} while (!here);
}

/* Another caller comes while a commit is under way, for what is not in it. */
static void come(void)
{
	expect_callers(1, 0);
	let_come(sync_main);
	expect_callers(1, 1);
}

START_TEST(callers_of_a_commit_are_counted_as_long_as_they_wait)
{
	uint64_t ino;

	begin(1 << 20);
	ino = make("file");
	write_blocks(ino, 0, 20, 'f');
	ck_assert_int_eq(fs_fsync(fs, ino, false), 0);
	expect_callers(0, 0);
	ck_assert_uint_eq(fs->log->nr_expected, 1);
	/* there is nothing to commit */
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(log_commit_open(fs->log), 0);
	expect_callers(0, 0);
	ck_assert_uint_eq(fs->log->nr_expected, 0);
	write_blocks(ino, 20, 20, 'f');
	hooked.hook = come;
	ck_assert_int_eq(fs_fsync(fs, ino, false), 0);
	ck_assert_int_eq(pthread_join(other_caller, NULL), 0);
	expect_callers(0, 0);
	/* it waited for two, and was alone; the next one that could wait does not */
	ck_assert_uint_eq(fs->log->nr_expected, 1);
	ck_assert_uint_eq(fs->log->nr_to_pass, 1);
	ck_assert_int_eq(fs_fsync(fs, ino, false), 0);
	ck_assert_uint_eq(fs->log->nr_to_pass, 1);
	end();
}
END_TEST

static void *commit_main(void *context)
{
	ck_assert_int_eq(log_commit_open(fs->log), 0);
	return NULL;
}

/* When operations go on after the next transaction was closed, once. */
static bool come_at_thaw;

void __real_log_thaw(struct log *l);
void __wrap_log_thaw(struct log *l);

void __wrap_log_thaw(struct log *l)
{
	__real_log_thaw(l);
	if (come_at_thaw) {
		come_at_thaw = false;
		let_come(commit_main);
	}
}

START_TEST(who_comes_as_a_transaction_is_closed_comes_for_the_next)
{
	begin(1 << 20);
	make("file");
	come_at_thaw = true;
	ck_assert_int_eq(log_commit_open(fs->log), 0);
	ck_assert_int_eq(pthread_join(other_caller, NULL), 0);
	expect_callers(0, 0);
	end();
}
END_TEST

/* So that all of nr blocks of a file are in the log: little by little. */
static uint64_t make_live(unsigned nr)
{
	uint64_t ino = make("live"), tail_seq = atomic_load(&fs->log->tail_seq);

	for (unsigned at = 0; at < nr; at += 16) {
		write_blocks(ino, at, 16, 'l');
		ck_assert_int_eq(fs_fsync(fs, ino, false), 0);
	}
	ck_assert_uint_eq(atomic_load(&fs->log->tail_seq), tail_seq);
	return ino;
}

static void make_symlinks(unsigned nr)
{
	char target[600] = "", name[16];
	const struct fs_new what = {.mode = S_IFLNK | 0777, .target = target};
	struct fs_attr a;

	memset(target, 't', sizeof(target) - 1);
	for (unsigned i = 0; i < nr; i++) {
		snprintf(name, sizeof(name), "link%u", i);
		ck_assert_int_eq(fs_make(fs, INODE_ROOT, name, &what, &a), 0);
		fs_forget(fs, a.ino, 1);
	}
}

static void overwrite_live(uint64_t log_bytes, unsigned nr, unsigned nr_links)
{
	char *data = malloc((size_t)nr * BLOCK);
	uint64_t ino;

	begin(log_bytes);
	ino = make_live(nr);
	make_symlinks(nr_links);
	write_blocks(ino, 0, nr, 'n');
	ck_assert_int_eq(fs_fsync(fs, ino, false), 0);
	ck_assert_uint_eq(read_after_crash("live", data, (size_t)nr * BLOCK), nr * BLOCK);
	expect_all(data, 0, nr * BLOCK, 'n');
	free(data);
	end();
}

START_TEST(data_in_the_log_that_makes_a_record_larger_than_the_log)
{
	overwrite_live(512 << 10, 448, 62);
}
END_TEST

START_TEST(data_in_the_log_that_is_as_large_as_the_cache)
{
	overwrite_live(2 << 20, 1008, 110);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("race");
	TCase *const cases[] = {tc, NULL};

	tcase_add_loop_test(tc, data_of_a_commit_is_written_though_the_file_is_cut_meanwhile, 0, 2);
	tcase_add_loop_test(tc, fdatasync_of_a_file_that_is_cut_meanwhile_keeps_what_was_written, 0,
			    2);
	tcase_add_test(tc, callers_of_a_commit_are_counted_as_long_as_they_wait);
	tcase_add_test(tc, who_comes_as_a_transaction_is_closed_comes_for_the_next);
	tcase_add_test(tc, data_in_the_log_that_makes_a_record_larger_than_the_log);
	tcase_add_test(tc, data_in_the_log_that_is_as_large_as_the_cache);
	return image_run("log_race", cases);
}
