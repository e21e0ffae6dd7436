/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Threads that each append to a file of their own and sync it, among other operations, cut afterwards:
 * check_fs() finds nothing, and what each fsync() that had returned promised is there.
 */
#include "crash_fs.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fsck.h"

#define NR_THREADS 4u
#define NR_ROUNDS  6u
#define PIECE	   1000u

/* An fsync() returned: of that thread's file, with so many pieces. */
struct acknowledged {
	unsigned thread, pieces;
};

static struct acknowledged acks[NR_THREADS * NR_ROUNDS + 1];
static unsigned nr_acks;
static pthread_mutex_t ack_lock = PTHREAD_MUTEX_INITIALIZER;
static struct world w;

static void acknowledge(unsigned thread, unsigned pieces)
{
	pthread_mutex_lock(&ack_lock);
	acks[++nr_acks] = (struct acknowledged){thread, pieces};
	bufio_engine_record_mark(w.record, nr_acks);
	pthread_mutex_unlock(&ack_lock);
}

/* Renamed over one another: nothing is promised of these. */
static void disturb(unsigned thread)
{
	char from[32], to[32];

	snprintf(from, sizeof(from), "/tmp%u", thread);
	snprintf(to, sizeof(to), "/shared%u", thread / 2);
	ck_assert_int_eq(do_make(w.fs, from, S_IFREG | 0600, NULL), 0);
	ck_assert_int_eq(do_write(w.fs, from, 0, 3000, 't'), 0);
	ck_assert_int_eq(do_rename(w.fs, from, to, 0), 0);
}

static void *work(void *context)
{
	unsigned thread = (unsigned)((struct acknowledged *)context - acks);
	char path[32];

	snprintf(path, sizeof(path), "/file%u", thread);
	for (unsigned k = 0; k < NR_ROUNDS; k++) {
		ck_assert_int_eq(do_write(w.fs, path, (uint64_t)k * PIECE, PIECE, (char)('a' + k)),
				 0);
		disturb(thread);
		ck_assert_int_eq(do_fsync(w.fs, path, k % 2), 0);
		acknowledge(thread, k + 1);
	}
	return NULL;
}

static unsigned promised(unsigned thread, uint64_t mark)
{
	unsigned pieces = 0;

	for (unsigned i = 1; i <= mark; i++)
		if (acks[i].thread == thread && acks[i].pieces > pieces)
			pieces = acks[i].pieces;
	return pieces;
}

static void check_file(struct fs *fs, unsigned thread, uint64_t mark)
{
	static char data[(NR_ROUNDS + 1) * PIECE];
	struct fs_attr a;
	char name[32];
	ssize_t n;

	snprintf(name, sizeof(name), "file%u", thread);
	ck_assert_int_eq(fs_lookup(fs, INODE_ROOT, name, &a), 0);
	n = fs_read(fs, a.ino, 0, data, sizeof(data));
	ck_assert_int_ge(n, (ssize_t)promised(thread, mark) * PIECE);
	ck_assert_int_eq(n % PIECE, 0);
	for (ssize_t i = 0; i < n; i++)
		ck_assert_int_eq(data[i], (char)('a' + i / PIECE));
	fs_forget(fs, a.ino, 1);
}

static void check_clean(struct bufio_engine *e)
{
	const struct check_options o = {.mode = CHECK_REPORT, .cache_bytes = 1 << 20};
	struct check_result result;

	ck_assert_int_eq(check_fs(e, &o, &result), 0);
	ck_assert_uint_eq(result.problems, 0);
}

static void check_cut(struct bufio_engine *e, uint64_t mark)
{
	struct fs *fs;

	check_clean(e);
	ck_assert_int_eq(fs_mount(e, &w.options, &fs), 0);
	for (unsigned t = 0; t < NR_THREADS; t++)
		check_file(fs, t, mark);
	ck_assert_int_eq(fs_unmount(fs), 0);
	check_clean(e);
}

static void run_threads(void)
{
	pthread_t threads[NR_THREADS];

	for (unsigned t = 0; t < NR_THREADS; t++)
		ck_assert_int_eq(pthread_create(&threads[t], NULL, work, &acks[t]), 0);
	for (unsigned t = 0; t < NR_THREADS; t++)
		ck_assert_int_eq(pthread_join(threads[t], NULL), 0);
}

static void cut(void)
{
	struct crash_options o;
	unsigned nr = 0;
	struct crash *c;

	crash_options_init(&o);
	o.nr_random = 1;
	o.most_exhaustive = 2;
	crash_create(w.record, w.base, &o, &c);
	while (crash_next_point(c)) {
		while (crash_next_image(c)) {
			check_cut(crash_image(c), crash_mark(c));
			nr++;
		}
	}
	crash_destroy(c);
	printf("crash: %u states of 1 programs: threads\n", nr);
	ck_assert_uint_gt(nr, NR_THREADS * NR_ROUNDS);
}

START_TEST(each_fsync_keeps_its_promise_among_threads)
{
	char path[32];

	nr_acks = 0; /* no fork, no fresh start */
	world_init(&w, 4 << 20, _i ? 512 << 10 : 128 << 10);
	for (unsigned t = 0; t < NR_THREADS; t++) {
		snprintf(path, sizeof(path), "/file%u", t);
		ck_assert_int_eq(do_make(w.fs, path, S_IFREG | 0600, NULL), 0);
	}
	world_begin(&w);
	run_threads();
	ck_assert_uint_eq(nr_acks, NR_THREADS * NR_ROUNDS);
	ck_assert_int_eq(fs_unmount(w.fs), 0);
	cut();
	world_free(&w);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("threads");
	TCase *const cases[] = {tc, NULL};

	tcase_add_loop_test(tc, each_fsync_keeps_its_promise_among_threads, 0, 2);
	return image_run("crash_threads", cases);
}
