/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Threads that each have a file of their own and sync it, cut afterwards: check_fs() finds nothing, and what each
 * fsync() that had returned promised is there.  Some append, among other operations; others write all of it anew, in place
 * or after they have given its blocks away, which the others then take, past the cache and on a device that has it late.
 */
#include "crash_fs.h"

#include <errno.h>
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

static void check_appenders(struct fs *fs, uint64_t mark)
{
	for (unsigned t = 0; t < NR_THREADS; t++)
		check_file(fs, t, mark);
}

typedef void check_files(struct fs *fs, uint64_t mark);

static void check_cut(struct bufio_engine *e, uint64_t mark, check_files *check)
{
	struct fs *fs;

	check_clean(e);
	ck_assert_int_eq(fs_mount(e, &w.options, &fs), 0);
	check(fs, mark);
	ck_assert_int_eq(fs_unmount(fs), 0);
	check_clean(e);
}

static void run_threads(unsigned nr, void *(*run)(void *))
{
	pthread_t threads[NR_THREADS];

	for (unsigned t = 0; t < nr; t++)
		ck_assert_int_eq(pthread_create(&threads[t], NULL, run, &acks[t]), 0);
	for (unsigned t = 0; t < nr; t++)
		ck_assert_int_eq(pthread_join(threads[t], NULL), 0);
}

static unsigned cut(check_files *check)
{
	struct crash_options o;
	unsigned nr = 0;
	struct crash *c;

	crash_options_init(&o);
	o.nr_random = 1;
	o.most_exhaustive = 2;
	crash_create(w.record, w.base, &o, &c);
	w.base = NULL; /* the crash's now */
	while (crash_next_point(c)) {
		while (crash_next_image(c)) {
			check_cut(crash_image(c), crash_mark(c), check);
			nr++;
		}
	}
	crash_destroy(c);
	printf("crash: %u states of 1 programs: threads\n", nr);
	return nr;
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
	run_threads(NR_THREADS, work);
	ck_assert_uint_eq(nr_acks, NR_THREADS * NR_ROUNDS);
	ck_assert_int_eq(fs_unmount(w.fs), 0);
	ck_assert_uint_gt(cut(check_appenders), NR_THREADS * NR_ROUNDS);
	world_free(&w);
}
END_TEST

/* Written anew */

#define NR_WRITERS   3u
#define NR_ANEW	     7u
#define ANEW_BYTES   (150u << 10)
#define SECTOR_BYTES 512u

enum way { IN_PLACE, CUT_FIRST, REMOVED_FIRST, NR_WAYS };

/* Of round k; the first makes it. */
static enum way way_of(unsigned thread, unsigned k)
{
	return k == 1 ? CUT_FIRST : (enum way)((thread + k) % NR_WAYS);
}

static char letter_of(unsigned thread, unsigned k)
{
	return (char)("a0A"[thread] + k);
}

static uint64_t size_of(const char *path)
{
	struct fs_attr a;

	ck_assert_int_eq(fs_getattr(w.fs, path_ino(w.fs, path), &a), 0);
	return a.size;
}

static void *write_anew(void *context)
{
	unsigned thread = (unsigned)((struct acknowledged *)context - acks);
	char path[32];

	snprintf(path, sizeof(path), "/file%u", thread);
	for (unsigned k = 1; k <= NR_ANEW; k++) {
		if (way_of(thread, k) == CUT_FIRST)
			ck_assert_int_eq(do_truncate(w.fs, path, 0), 0);
		if (way_of(thread, k) == REMOVED_FIRST) {
			ck_assert_int_eq(do_unlink(w.fs, path), 0);
			ck_assert_int_eq(do_make(w.fs, path, S_IFREG | 0600, NULL), 0);
		}
		ck_assert_int_eq(do_write(w.fs, path, 0, ANEW_BYTES, letter_of(thread, k)), 0);
		ck_assert_uint_eq(size_of(path), ANEW_BYTES);
		ck_assert_int_eq(do_fsync(w.fs, path, k % 2), 0);
		acknowledge(thread, k);
	}
	return NULL;
}

/* Each sector is of one round. */
static bool has_only(const char *data, size_t size, char x, char y)
{
	for (size_t i = 0; i < size; i++)
		if ((data[i] != x && data[i] != y) ||
		    (i % SECTOR_BYTES != 0 && data[i] != data[i - 1]))
			return false;
	return true;
}

/* Acknowledged was round k, and the next may be under way. */
static bool may_be(const char *data, size_t size, unsigned thread, unsigned k)
{
	char old = letter_of(thread, k), new = letter_of(thread, k + 1);

	if (k < NR_ANEW && way_of(thread, k + 1) != IN_PLACE && has_only(data, size, new, new))
		return true;
	if (size != ANEW_BYTES)
		return false;
	if (k < NR_ANEW && way_of(thread, k + 1) == IN_PLACE)
		return has_only(data, size, old, new);
	return has_only(data, size, old, old);
}

static void check_writer(struct fs *fs, unsigned thread, uint64_t mark)
{
	static char data[ANEW_BYTES + 1];
	unsigned k = promised(thread, mark);
	struct fs_attr a;
	char name[32];
	ssize_t n;
	int r;

	snprintf(name, sizeof(name), "file%u", thread);
	r = fs_lookup(fs, INODE_ROOT, name, &a);
	if (r == -ENOENT) {
		ck_assert(k < NR_ANEW && way_of(thread, k + 1) == REMOVED_FIRST);
		return;
	}
	ck_assert_int_eq(r, 0);
	n = fs_read(fs, a.ino, 0, data, sizeof(data));
	ck_assert_int_ge(n, 0);
	ck_assert_int_le(n, ANEW_BYTES);
	ck_assert_msg(may_be(data, (size_t)n, thread, k), "%zd bytes of thread %u after round %u",
		      n, thread, k);
	fs_forget(fs, a.ino, 1);
}

static void check_writers(struct fs *fs, uint64_t mark)
{
	for (unsigned t = 0; t < NR_WRITERS; t++)
		check_writer(fs, t, mark);
}

/* There is room for all of them twice, for what waits for a commit, and little more. */
START_TEST(blocks_change_hands_while_they_are_being_written)
{
	char path[32];

	nr_acks = 0;
	world_init_late(&w, 1300 << 10, 256 << 10);
	for (unsigned t = 0; t < NR_WRITERS; t++) {
		snprintf(path, sizeof(path), "/file%u", t);
		ck_assert_int_eq(do_make(w.fs, path, S_IFREG | 0600, NULL), 0);
	}
	world_begin(&w);
	run_threads(NR_WRITERS, write_anew);
	ck_assert_uint_eq(nr_acks, NR_WRITERS * NR_ANEW);
	ck_assert_int_eq(fs_unmount(w.fs), 0);
	ck_assert_uint_gt(cut(check_writers), NR_WRITERS * NR_ANEW);
	world_free(&w);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("threads");
	TCase *const cases[] = {tc, NULL};

	tcase_add_loop_test(tc, each_fsync_keeps_its_promise_among_threads, 0, 2);
	tcase_add_loop_test(tc, blocks_change_hands_while_they_are_being_written, 0, 2);
	return image_run("crash_threads", cases);
}
