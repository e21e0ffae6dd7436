/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Engines over files: opening, windows, files that change, fork. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "engine_fixture.h"

#define MIB (1u << 20)

static char path[64];

static int open_kind(int kind, struct bufio_engine_options *o, struct bufio_engine **ret_engine)
{
	struct bufio_engine_options how;

	fixture_options((enum kind)kind, &how);
	o->synchronous = how.synchronous;
	o->buffered = how.buffered;
	return bufio_engine_open(path, o, ret_engine);
}

static struct bufio_engine *open_good(int kind, uint64_t offset_bytes, uint64_t size_bytes)
{
	struct bufio_engine_options o = {.offset_bytes = offset_bytes, .size_bytes = size_bytes};
	struct bufio_engine *e;

	ck_assert_int_eq(open_kind(kind, &o, &e), 0);
	return e;
}

static void use_file(uint64_t size_bytes)
{
	fixture_make_file(path, size_bytes);
}

static void teardown(struct bufio_engine *e)
{
	bufio_engine_destroy(e);
	unlink(path);
}

/* What the file itself has. */
static void assert_file_pattern(uint64_t offset_bytes, size_t size_bytes, unsigned seed)
{
	char *want = pattern_alloc(size_bytes, seed), *got = calloc(1, size_bytes);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, got, size_bytes, (off_t)offset_bytes), (ssize_t)size_bytes);
	ck_assert_mem_eq(got, want, size_bytes);
	close(fd);
	free(got);
	free(want);
}

static void write_pattern(struct bufio_engine *e, uint64_t offset_bytes, size_t size_bytes,
			  unsigned seed)
{
	void *data = pattern_alloc(size_bytes, seed);

	ck_assert_int_eq(simple_transfer(e, BUFIO_OP_WRITE, offset_bytes, data, size_bytes), 0);
	free(data);
}

START_TEST(odd_tail_of_a_file_is_cut_off)
{
	struct bufio_engine *e;

	use_file(MIB + 511);
	e = open_good(_i, 0, 0);
	ck_assert_uint_eq(e->size_bytes % e->sector_bytes, 0);
	ck_assert_uint_eq(e->size_bytes, MIB);
	assert_bytes(e, MIB - 4096, 4096, 0);
	teardown(e);
}
END_TEST

START_TEST(window_is_relative_to_its_offset)
{
	struct bufio_engine *e;
	struct request *q = malloc(sizeof(*q));
	void *data = pattern_alloc(8192, 2);

	use_file(2 * MIB);
	e = open_good(_i, MIB, 65536);
	ck_assert_uint_eq(e->size_bytes, 65536);
	write_pattern(e, 0, 4096, 1);
	request_init(q, BUFIO_OP_WRITE, 65536 - 8192, data, 8192);
	request_split(q, 3);
	ck_assert_int_eq(request_submit(e, q), 0);
	assert_pattern(e, 65536 - 8192, 8192, 2);
	assert_file_pattern(MIB, 4096, 1);
	assert_file_pattern(MIB + 65536 - 8192, 8192, 2);
	q->io.offset_bytes = 65536;
	ck_assert_int_eq(request_submit(e, q), -ERANGE);
	ck_assert_int_eq(e->ops->zero(e, 0, 65536), 0);
	assert_bytes(e, 0, 65536, 0);
	free(data);
	free(q);
	teardown(e);
}
END_TEST

START_TEST(discard_and_zero_stay_in_their_window)
{
	struct bufio_engine *whole, *e;
	int r;

	use_file(2 * MIB);
	whole = open_good(_i, 0, 0);
	write_pattern(whole, 0, 2 * MIB, 7);
	e = open_good(_i, MIB, 65536);
	r = e->ops->discard(e, 0, 65536);
	ck_assert(r == 0 || r == -EOPNOTSUPP);
	r = e->ops->zero(e, 0, 65536);
	ck_assert(r == 0 || r == -EOPNOTSUPP);
	assert_file_pattern(0, MIB, 7);
	write_pattern(whole, MIB, MIB, 8);
	ck_assert_int_eq(e->ops->discard(e, 0, 0), 0);
	ck_assert_int_eq(e->ops->zero(e, 512, 65536), -ERANGE);
	assert_file_pattern(MIB, MIB, 8);
	bufio_engine_destroy(e);
	teardown(whole);
}
END_TEST

static void assert_open_fails(uint64_t offset_bytes, uint64_t size_bytes)
{
	struct bufio_engine_options o = {.offset_bytes = offset_bytes, .size_bytes = size_bytes};
	struct bufio_engine *e = NULL;

	ck_assert_int_eq(bufio_engine_open(path, &o, &e), -EINVAL);
	ck_assert_ptr_null(e);
}

START_TEST(window_outside_the_file_is_refused)
{
	struct bufio_engine *e;

	use_file(MIB);
	assert_open_fails(100, 0);
	assert_open_fails(0, 100);
	assert_open_fails(MIB + 4096, 0);
	assert_open_fails(0, MIB + 4096);
	assert_open_fails(4096, MIB);
	assert_open_fails(UINT64_MAX - 4095, 0);
	assert_open_fails(8192, UINT64_MAX - 4095);
	e = open_good(KIND_AIO, MIB, 0);
	ck_assert_uint_eq(e->size_bytes, 0);
	teardown(e);
}
END_TEST

START_TEST(engine_follows_what_was_asked)
{
	const char *name = _i == KIND_AIO && fixture_has_aio() ? "aio" : "sync";
	struct bufio_engine *e;

	use_file(MIB);
	e = open_good(_i, 0, 0);
	ck_assert_str_eq(e->name, name);
	teardown(e);
}
END_TEST

/* The file is not as it was. */

START_TEST(reading_what_was_truncated_fails)
{
	struct request *q = malloc(sizeof(*q));
	char *data = pattern_alloc(65536, 1);
	struct bufio_engine *e;

	use_file(MIB);
	e = open_good(_i, 0, 0);
	ck_assert_int_eq(truncate(path, MIB / 2 + 700), 0);
	request_init(q, BUFIO_OP_READ, MIB / 2 + 65536, data, 65536);
	ck_assert_int_eq(request_submit(e, q), -EIO);
	q->nr_done = 0;
	ck_assert_int_eq(request_transfer(e, q), -EIO);
	/* Half there, up to the middle of a sector. */
	request_init(q, BUFIO_OP_READ, MIB / 2 - 32768, data, 65536);
	request_split(q, 5);
	ck_assert_int_eq(request_submit(e, q), -EIO);
	q->nr_done = 0;
	ck_assert_int_eq(request_transfer(e, q), -EIO);
	request_init(q, BUFIO_OP_READ, MIB / 2 - 65536, data, 65536);
	ck_assert_int_eq(request_submit(e, q), 0);
	free(data);
	free(q);
	teardown(e);
}
END_TEST

/* What cannot be opened. */

START_TEST(missing_file_is_not_opened)
{
	struct bufio_engine_options o = {0};
	struct bufio_engine *e = NULL;

	strcpy(path, "/var/tmp/bufio-engine-none/x");
	ck_assert_int_eq(open_kind(_i, &o, &e), -ENOENT);
	ck_assert_ptr_null(e);
}
END_TEST

START_TEST(neither_file_nor_block_device_is_refused)
{
	struct bufio_engine *e = NULL;
	int fds[2];

	ck_assert_int_eq(bufio_engine_open("/dev/zero", NULL, &e), -ENOTBLK);
	ck_assert_int_eq(bufio_engine_open("/var/tmp", NULL, &e), -ENOTBLK);
	use_file(0);
	unlink(path);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(bufio_engine_open(path, NULL, &e), -ENOTBLK);
	unlink(path);
	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(bufio_engine_open_fd(fds[0], NULL, &e), -ENOTBLK);
	close(fds[0]);
	close(fds[1]);
	ck_assert_int_eq(bufio_engine_open_fd(-1, NULL, &e), -EBADF);
	ck_assert_ptr_null(e);
}
END_TEST

static int open_with_flags(int flags, struct bufio_engine **ret_engine)
{
	int fd = open(path, flags | O_CLOEXEC), r;

	ck_assert_int_ge(fd, 0);
	r = bufio_engine_open_fd(fd, NULL, ret_engine);
	if (r)
		close(fd);
	return r ? r : fd;
}

START_TEST(descriptor_that_cannot_serve_is_refused)
{
	struct bufio_engine *e = NULL;

	use_file(MIB);
	ck_assert_int_eq(open_with_flags(O_WRONLY, &e), -EBADF);
	ck_assert_int_eq(open_with_flags(O_RDWR | O_APPEND, &e), -EINVAL);
	ck_assert_ptr_null(e);
	unlink(path);
}
END_TEST

START_TEST(descriptor_stays_the_callers)
{
	struct bufio_engine *e;
	char byte;
	int fd;

	use_file(MIB);
	fd = open_with_flags(O_RDWR, &e);
	ck_assert_int_ge(fd, 0);
	write_pattern(e, 0, 4096, 3);
	bufio_engine_destroy(e);
	ck_assert_int_eq(pread(fd, &byte, 1, 0), 1);
	close(fd);
	unlink(path);
}
END_TEST

START_TEST(read_only_descriptor_makes_a_read_only_engine)
{
	char *data = pattern_alloc(4096, 1);
	struct bufio_engine *e;
	int fd;

	use_file(MIB);
	fd = open_with_flags(O_RDONLY, &e);
	ck_assert_int_ge(fd, 0);
	ck_assert(e->read_only);
	ck_assert_int_eq(simple_transfer(e, BUFIO_OP_WRITE, 0, data, 4096), -EROFS);
	assert_bytes(e, 0, 4096, 0);
	free(data);
	close(fd);
	teardown(e);
}
END_TEST

START_TEST(file_in_tmpfs_is_served)
{
	struct bufio_engine_options o = {0};
	struct bufio_engine *e;
	int fd;

	strcpy(path, "/dev/shm/bufio-engine-XXXXXX");
	fd = mkstemp(path);
	if (fd < 0)
		return;
	ck_assert_int_eq(ftruncate(fd, MIB), 0);
	close(fd);
	ck_assert_int_eq(open_kind(_i, &o, &e), 0);
	write_pattern(e, 8192, 65536, 9);
	assert_pattern(e, 8192, 65536, 9);
	ck_assert_int_eq(e->ops->flush(e), 0);
	teardown(e);
}
END_TEST

/* Fork. */

/* Returns which check failed, 0: none.  No assertions in the child: Check would report twice. */
static int child_run(struct bufio_engine *e, struct request *q, struct waiter *w)
{
	int r = 0;

	request_start(e, &q, 1, w);
	if (q->nr_done != 1 || q->result != -EPERM)
		r = 1;
	else if (e->ops->transfer(e, &q->io) != -EPERM)
		r = 2;
	else if (e->ops->flush(e) != -EPERM)
		r = 3;
	else if (e->ops->discard(e, 0, 4096) != -EPERM || e->ops->zero(e, 0, 4096) != -EPERM)
		r = 4;
	bufio_engine_destroy(e);
	return r;
}

START_TEST(child_of_fork_cannot_use_the_engine)
{
	struct request *q = malloc(sizeof(*q));
	char *data = pattern_alloc(4096, 1);
	struct bufio_engine *e;
	struct waiter w;
	int status;
	pid_t pid;

	use_file(MIB);
	e = open_good(_i, 0, 0);
	waiter_init(&w);
	request_init(q, BUFIO_OP_WRITE, 0, data, 4096);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(child_run(e, q, &w));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	/* The parent's engine has come to no harm. */
	assert_bytes(e, 0, 4096, 0);
	ck_assert_int_eq(request_submit(e, q), 0);
	assert_pattern(e, 0, 4096, 1);
	waiter_finish(&w);
	free(data);
	free(q);
	teardown(e);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("engine_file");
	TCase *all = tcase_create("all kinds"), *open_case = tcase_create("open");

	tcase_set_timeout(all, 60);
	tcase_add_loop_test(all, odd_tail_of_a_file_is_cut_off, 0, NR_FILE_KINDS);
	tcase_add_loop_test(all, window_is_relative_to_its_offset, 0, NR_FILE_KINDS);
	tcase_add_loop_test(all, discard_and_zero_stay_in_their_window, 0, NR_FILE_KINDS);
	tcase_add_loop_test(all, engine_follows_what_was_asked, 0, NR_FILE_KINDS);
	tcase_add_loop_test(all, reading_what_was_truncated_fails, 0, NR_FILE_KINDS);
	tcase_add_loop_test(all, missing_file_is_not_opened, 0, NR_FILE_KINDS);
	tcase_add_loop_test(all, file_in_tmpfs_is_served, 0, NR_FILE_KINDS);
	tcase_add_loop_test(all, child_of_fork_cannot_use_the_engine, 0, NR_FILE_KINDS);
	suite_add_tcase(s, all);
	tcase_add_test(open_case, window_outside_the_file_is_refused);
	tcase_add_test(open_case, neither_file_nor_block_device_is_refused);
	tcase_add_test(open_case, descriptor_that_cannot_serve_is_refused);
	tcase_add_test(open_case, descriptor_stays_the_callers);
	tcase_add_test(open_case, read_only_descriptor_makes_a_read_only_engine);
	suite_add_tcase(s, open_case);
	return s;
}

int main(void)
{
	SRunner *runner = srunner_create(suite());
	int nr_failed;

	srunner_run_all(runner, CK_ENV);
	nr_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return nr_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
