/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The cache over files: awkward system calls, no O_DIRECT, processes that fork, devices that shrink. */
#include <bufio.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "engine_fake.h"

#define BLOCK	  4096u
#define NR_BLOCKS (FIXTURE_BYTES / BLOCK)

static struct bufio_client *make_client(struct bufio_engine *e)
{
	struct bufio_client *c;
	struct bufio_options o;

	bufio_options_init(&o);
	o.cache_bytes = o.limit_bytes = 64 * BLOCK;
	ck_assert_int_eq(bufio_create(e, &o, &c), 0);
	return c;
}

static void put(struct bufio_client *c, uint64_t block, unsigned seed)
{
	struct bufio_buffer *b;

	ck_assert_int_eq(bufio_new(c, block, &b), 0);
	pattern_fill(bufio_data(b), BLOCK, seed + (unsigned)block);
	bufio_mark_dirty(b);
	bufio_release(b);
}

static void check(struct bufio_client *c, uint64_t block, unsigned seed)
{
	char *want = pattern_alloc(BLOCK, seed + (unsigned)block);
	struct bufio_buffer *b;

	ck_assert_int_eq(bufio_read(c, block, &b), 0);
	ck_assert_mem_eq(bufio_data(b), want, BLOCK);
	bufio_release(b);
	free(want);
}

static void check_file(const char *path, uint64_t block, unsigned seed)
{
	char *want = pattern_alloc(BLOCK, seed + (unsigned)block), got[BLOCK];
	int fd = open(path, O_RDONLY);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, got, BLOCK, (off_t)(block * BLOCK)), BLOCK);
	ck_assert_mem_eq(got, want, BLOCK);
	close(fd);
	free(want);
}

/* Runs and single blocks, more than the cache holds; read ahead; past the buffers. */
static void work(struct bufio_client *c, const char *path, unsigned seed)
{
	char *data = pattern_alloc(16 * BLOCK, 0), *want = pattern_alloc(BLOCK, seed + 37);
	struct iovec iov = {data, 16 * BLOCK};

	for (unsigned i = 0; i < 300; i++)
		put(c, i * 37 % NR_BLOCKS, seed);
	for (unsigned i = 0; i < 40; i++)
		put(c, NR_BLOCKS - 40 + i, seed);
	ck_assert_int_eq(bufio_write_dirty_buffers(c), 0);
	check_file(path, 37, seed);
	check_file(path, NR_BLOCKS - 1, seed);
	ck_assert_int_eq(bufio_drop_buffers(c), 0);
	ck_assert_int_eq(bufio_prefetch(c, NR_BLOCKS - 40, 40), 0);
	for (unsigned i = 0; i < 40; i++)
		check(c, NR_BLOCKS - 40 + i, seed);
	for (unsigned i = 0; i < 300; i++)
		check(c, i * 37 % NR_BLOCKS, seed);
	ck_assert_int_eq(bufio_read_extent(c, &(struct bufio_extent){30, 16, &iov, 1}, NULL, NULL),
			 0);
	ck_assert_mem_eq(data + 7 * BLOCK, want, BLOCK);
	free(data);
	free(want);
}

static const struct awkward {
	const char *what;
	int submit_most, submit_again, interrupt, short_bytes, extra, call_most, setup_error;
	bool shorten;
} awkward[] = {
	{.what = "nothing"},
	{.what = "one iocb per call", .submit_most = 1},
	{.what = "three iocbs per call", .submit_most = 3},
	{.what = "half of the calls EAGAIN", .submit_again = 5},
	{.what = "nine of ten EAGAIN", .submit_again = 9},
	{.what = "EINTR", .interrupt = 5},
	{.what = "half of each transfer", .shorten = true},
	{.what = "512 bytes of each transfer", .shorten = true, .short_bytes = 512},
	{.what = "all but 512 bytes", .shorten = true, .short_bytes = -512},
	{.what = "transfers end within a sector", .extra = 100},
	{.what = "short calls of the thread", .call_most = 1536},
	{.what = "io_setup refused", .setup_error = -EAGAIN},
	{.what = "io_setup unknown", .setup_error = -ENOSYS},
	{"everything", 3, 3, 2, 0, 1, 1536, 0, true},
};

#define NR_AWKWARD ((int)(sizeof(awkward) / sizeof(awkward[0])))

START_TEST(cache_serves_over_awkward_system_calls)
{
	const struct awkward *a = &awkward[_i];
	struct bufio_client *c;
	struct fixture f;

	fake_reset();
	script.setup_error = a->setup_error;
	fixture_init_sys(&f, KIND_AIO, &fake_sys);
	if (a->setup_error)
		ck_assert_str_eq(f.engine->name, "sync");
	script.submit_most = a->submit_most;
	script.submit_again = a->submit_again;
	script.submit_interrupt = script.event_interrupt = script.call_interrupt = a->interrupt;
	script.shorten = a->shorten;
	script.short_bytes = a->short_bytes;
	script.extra = a->extra;
	script.call_most = a->call_most;
	c = make_client(f.engine);
	work(c, f.path, 1);
	ck_assert_int_eq(bufio_destroy(c), 0);
	fixture_finish(&f);
}
END_TEST

/* A transfer of no bytes is an error like any other: told, and nothing is lost. */
START_TEST(transfer_of_nothing_is_told_and_done_again)
{
	struct bufio_client *c;
	struct fixture f;

	fake_reset();
	fixture_init_sys(&f, KIND_AIO, &fake_sys);
	c = make_client(f.engine);
	for (unsigned i = 0; i < 8; i++)
		put(c, i * 3, 1);
	script.event_result = 0;
	ck_assert_int_eq(bufio_write_dirty_buffers(c), -ENOSPC);
	fake_reset();
	ck_assert_int_eq(bufio_write_dirty_buffers(c), 0);
	for (unsigned i = 0; i < 8; i++)
		check_file(f.path, i * 3, 1);
	ck_assert_int_eq(bufio_destroy(c), 0);
	fixture_finish(&f);
}
END_TEST

START_TEST(failed_fdatasync_is_told_and_done_again)
{
	struct bufio_client *c;
	struct fixture f;

	fake_reset();
	fixture_init_sys(&f, (enum kind)_i, &fake_sys);
	c = make_client(f.engine);
	put(c, 1, 1);
	script.sync_errors_left = 1;
	script.sync_error = -EIO;
	ck_assert_int_eq(bufio_write_dirty_buffers(c), -EIO);
	ck_assert_int_eq(bufio_write_dirty_buffers(c), 0);
	check_file(f.path, 1, 1);
	ck_assert_int_eq(bufio_destroy(c), 0);
	fixture_finish(&f);
}
END_TEST

START_TEST(cache_serves_over_every_file_engine)
{
	struct bufio_client *c;
	struct fixture f;

	fixture_init(&f, (enum kind)_i);
	c = make_client(f.engine);
	work(c, f.path, 2);
	ck_assert_int_eq(bufio_destroy(c), 0);
	fixture_finish(&f);
}
END_TEST

START_TEST(cache_serves_in_tmpfs)
{
	char path[] = "/dev/shm/bufio-matrix-XXXXXX";
	int fd = mkstemp(path);
	struct bufio_engine *e;
	struct bufio_client *c;

	if (fd < 0) {
		printf("no /dev/shm: not tested\n");
		return;
	}
	ck_assert_int_eq(ftruncate(fd, FIXTURE_BYTES), 0);
	close(fd);
	ck_assert_int_eq(bufio_engine_open(path, NULL, &e), 0);
	c = make_client(e);
	work(c, path, 3);
	ck_assert_int_eq(bufio_destroy(c), 0);
	bufio_engine_destroy(e);
	unlink(path);
}
END_TEST

/* Processes. */

/* Returns which check failed, 0: none.  No assertions: Check would report twice. */
static int child_run(struct bufio_client *c)
{
	struct bufio_buffer *b;

	if (bufio_read(c, 200, &b) != -EPERM || b)
		return 1;
	if (bufio_issue_flush(c) != -EPERM)
		return 2;
	return 0;
}

START_TEST(child_of_fork_gets_eperm_and_harms_nobody)
{
	struct bufio_client *c;
	struct fixture f;
	int status;
	pid_t pid;

	fixture_init(&f, (enum kind)_i);
	c = make_client(f.engine);
	put(c, 7, 4);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid)
		_exit(child_run(c));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	work(c, f.path, 4);
	ck_assert_int_eq(bufio_destroy(c), 0);
	fixture_finish(&f);
}
END_TEST

/* A client that is made after daemon(3) has forked; the parent waits for its pipe to close. */
/* Returns which step failed, 0: none. */
static int daemon_run(const char *path)
{
	struct bufio_engine *e;
	struct bufio_client *c;

	if (daemon(0, 0))
		return 1;
	if (bufio_engine_open(path, NULL, &e))
		return 2;
	c = make_client(e);
	work(c, path, 5);
	if (bufio_destroy(c))
		return 3;
	bufio_engine_destroy(e);
	return 0;
}

START_TEST(daemon_makes_a_client_of_its_own)
{
	int pipes[2], status;
	char path[64], failed = 0;
	pid_t pid;

	fixture_make_file(path, FIXTURE_BYTES);
	ck_assert_int_eq(pipe(pipes), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid) {
		failed = (char)daemon_run(path);
		_exit(write(pipes[1], &failed, 1) == 1 ? 0 : 1);
	}
	close(pipes[1]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(read(pipes[0], &failed, 1), 1);
	ck_assert_int_eq(failed, 0);
	check_file(path, 37, 5);
	close(pipes[0]);
	unlink(path);
}
END_TEST

START_TEST(what_a_shrunk_device_lost_is_an_error_and_the_rest_stays)
{
	struct bufio_buffer *b;
	struct bufio_client *c;
	struct fixture f;

	fixture_init(&f, (enum kind)_i);
	c = make_client(f.engine);
	for (unsigned i = 0; i < NR_BLOCKS; i++)
		put(c, i, 6);
	ck_assert_int_eq(bufio_drop_buffers(c), 0);
	ck_assert_int_eq(truncate(f.path, 100 * BLOCK + 512), 0);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(bufio_read(c, 100, &b), -EIO);
		ck_assert_int_eq(bufio_read(c, 500, &b), -EIO);
		ck_assert_ptr_null(b);
	}
	check(c, 99, 6);
	ck_assert_int_eq(bufio_prefetch(c, 90, 20), 0);
	for (unsigned i = 90; i < 100; i++)
		check(c, i, 6);
	ck_assert_int_eq(bufio_destroy(c), 0);
	fixture_finish(&f);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("matrix");
	TCase *tc = tcase_create("matrix");
	SRunner *runner = srunner_create(suite);
	int nr_failed;

	if (!fixture_has_aio())
		return TEST_SKIPPED;
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, cache_serves_over_awkward_system_calls, 0, NR_AWKWARD);
	tcase_add_test(tc, transfer_of_nothing_is_told_and_done_again);
	tcase_add_loop_test(tc, failed_fdatasync_is_told_and_done_again, 0, NR_FILE_KINDS);
	tcase_add_loop_test(tc, cache_serves_over_every_file_engine, 0, NR_FILE_KINDS);
	tcase_add_test(tc, cache_serves_in_tmpfs);
	tcase_add_loop_test(tc, child_of_fork_gets_eperm_and_harms_nobody, 0, NR_FILE_KINDS);
	tcase_add_test(tc, daemon_makes_a_client_of_its_own);
	tcase_add_loop_test(tc, what_a_shrunk_device_lost_is_an_error_and_the_rest_stays, 0,
			    NR_FILE_KINDS);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	nr_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return nr_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
