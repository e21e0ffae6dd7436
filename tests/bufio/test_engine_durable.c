/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Engines over files: durable writes, flushes and their errors, transfers in the calling
 * thread, discard and zero.
 */
#include <check.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "engine_fake.h"

static struct fixture fixture;

#define ENGINE fixture.engine

static void use(int kind)
{
	fixture_init_sys(&fixture, (enum kind)kind, &fake_sys);
}

static void teardown(void)
{
	fixture_finish(&fixture);
}

/* Durable writes, in all ways: submitted, by the thread that waits for them, and by one that watches meanwhile. */

enum way { SUBMIT, TRANSFER, WATCHING, NR_WAYS };

struct counting_watch {
	struct bufio_watch head;
	unsigned nr_told;
};

static void count_told(struct bufio_watch *w)
{
	((struct counting_watch *)w)->nr_told++;
}

/* Of a pipe that has something to read, or has not.  Returns the write's result. */
static int transfer_watching(struct request *q, bool readable, unsigned *ret_nr_told)
{
	struct counting_watch w = {.head = {.readable = count_told}};
	int ends[2], r;

	ck_assert_int_eq(pipe(ends), 0);
	if (readable)
		ck_assert_int_eq(write(ends[1], "", 1), 1);
	w.head.fd = ends[0];
	r = ENGINE->ops->transfer_watching(ENGINE, &q->io, &w.head);
	*ret_nr_told = w.nr_told;
	close(ends[0]);
	close(ends[1]);
	return r;
}

static int transfer_in_some_way(struct request *q, enum way way)
{
	unsigned nr_told;

	if (way == SUBMIT)
		return request_submit(ENGINE, q);
	if (way == WATCHING && ENGINE->ops->transfer_watching)
		return transfer_watching(q, false, &nr_told);
	return request_transfer(ENGINE, q);
}

static int write_durable(enum way way, unsigned seed)
{
	struct request *q = calloc(1, sizeof(*q));
	void *data = pattern_alloc(PIECE_BYTES, seed);
	int r;

	request_init(q, BUFIO_OP_WRITE, 8192, data, PIECE_BYTES);
	q->io.flags = BUFIO_IO_DURABLE;
	r = transfer_in_some_way(q, way);
	if (r == 0)
		assert_pattern(ENGINE, 8192, PIECE_BYTES, seed);
	free(data);
	free(q);
	return r;
}

START_TEST(durable_write_is_one_dsync_iocb)
{
	fake_reset();
	use(KIND_AIO);
	script.nr_syncs = 0;
	ck_assert_int_eq(write_durable((enum way)_i, 1), 0);
	ck_assert_int_eq(script.nr_durable, 1);
	ck_assert_int_eq(script.nr_syncs, 0);
	teardown();
}
END_TEST

/* _i: both ways, two errors */
START_TEST(dsync_refused_by_submit_is_done_by_the_submitter)
{
	static const int errors[] = {-EINVAL, -EOPNOTSUPP};
	enum way way = (enum way)(_i % NR_WAYS);

	fake_reset();
	use(KIND_AIO);
	script.durable_error = errors[_i / NR_WAYS];
	ck_assert_int_eq(write_durable(way, 1), 0);
	ck_assert_int_eq(script.nr_durable, 1);
	/* Not tried a second time. */
	ck_assert_int_eq(write_durable(way, 2), 0);
	ck_assert_int_eq(script.nr_durable, 1);
	teardown();
}
END_TEST

START_TEST(dsync_refused_at_completion_is_done_again)
{
	static const int errors[] = {-EINVAL, -EOPNOTSUPP};
	enum way way = (enum way)(_i % NR_WAYS);

	fake_reset();
	use(KIND_AIO);
	script.durable_event = errors[_i / NR_WAYS];
	ck_assert_int_eq(write_durable(way, 1), 0);
	ck_assert_int_eq(script.nr_durable, 1);
	ck_assert_int_eq(write_durable(way, 2), 0);
	ck_assert_int_eq(script.nr_durable, 1);
	teardown();
}
END_TEST

START_TEST(without_dsync_durable_is_write_and_sync)
{
	enum way way = (enum way)(_i % NR_WAYS);

	fake_reset();
	use(_i / NR_WAYS);
	script.nr_syncs = 0;
	script.durable_error = -EINVAL;
	script.call_error = -EOPNOTSUPP;
	ck_assert_int_eq(write_durable(way, 1), 0);
	ck_assert_int_eq(script.nr_syncs, 1);
	ck_assert_int_eq(write_durable(way, 2), 0);
	ck_assert_int_eq(script.nr_syncs, 2);
	script.sync_error = -EIO;
	ck_assert_int_eq(write_durable(way, 3), -EIO);
	teardown();
}
END_TEST

START_TEST(failing_durable_write_is_not_taken_for_a_refusal)
{
	enum way way = (enum way)_i;

	fake_reset();
	use(KIND_AIO);
	script.durable_error = -EINVAL;
	script.call_error = -EIO;
	ck_assert_int_eq(write_durable(way, 1), -EIO);
	ck_assert_int_eq(write_durable(way, 1), -EIO);
	ck_assert_int_eq(script.nr_durable, 2);
	teardown();
}
END_TEST

START_TEST(durable_write_that_is_short_or_interrupted_is_completed)
{
	fake_reset();
	use(KIND_AIO);
	script.shorten = true;
	script.submit_interrupt = script.event_interrupt = 3;
	for (unsigned seed = 1; seed < 20; seed++)
		ck_assert_int_eq(write_durable((enum way)_i, seed), 0);
	teardown();
}
END_TEST

/* _i: is there something to read?  Stale signals of the write before must not hide it. */
START_TEST(who_waits_for_a_durable_write_is_told_once_of_what_it_watches)
{
	struct request *q = calloc(1, sizeof(*q));
	void *data = pattern_alloc(PIECE_BYTES, 1);
	unsigned nr_told;

	fake_reset();
	use(KIND_AIO);
	script.event_interrupt = 3;
	for (unsigned i = 0; i < 20; i++) {
		request_init(q, BUFIO_OP_WRITE, 8192, data, PIECE_BYTES);
		q->io.flags = BUFIO_IO_DURABLE;
		ck_assert_int_eq(transfer_watching(q, _i, &nr_told), 0);
		ck_assert_uint_eq(nr_told, (unsigned)_i);
	}
	free(data);
	free(q);
	teardown();
}
END_TEST

static void write_meanwhile(struct bufio_watch *w)
{
	count_told(w);
	ck_assert_int_eq(write_durable(TRANSFER, 2), 0);
}

/* The first has not ended yet, as far as its thread knows, when the second is made and waited for. */
START_TEST(durable_writes_do_not_wait_for_each_other)
{
	struct counting_watch w = {.head = {.readable = write_meanwhile}};
	struct request *q = calloc(1, sizeof(*q));
	void *data = pattern_alloc(PIECE_BYTES, 1);
	int ends[2];

	fake_reset();
	use(KIND_AIO);
	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(write(ends[1], "", 1), 1);
	w.head.fd = ends[0];
	request_init(q, BUFIO_OP_WRITE, 65536, data, PIECE_BYTES);
	q->io.flags = BUFIO_IO_DURABLE;
	ck_assert_int_eq(ENGINE->ops->transfer_watching(ENGINE, &q->io, &w.head), 0);
	ck_assert_uint_eq(w.nr_told, 1);
	ck_assert_int_eq(script.nr_durable, 2);
	close(ends[0]);
	close(ends[1]);
	free(data);
	free(q);
	teardown();
}
END_TEST

/* _i: it has no context, the kernel takes none, RWF_DSYNC is refused, it is no durable write */
START_TEST(who_cannot_watch_is_told_at_once)
{
	struct request *q = calloc(1, sizeof(*q));
	void *data = pattern_alloc(PIECE_BYTES, 1);
	unsigned nr_told;

	fake_reset();
	use(KIND_AIO);
	script.setup_error = _i == 0 ? -EAGAIN : 0;
	script.submit_again = _i == 1 ? 10 : 0;
	script.durable_error = _i == 2 ? -EINVAL : 0;
	request_init(q, BUFIO_OP_WRITE, 8192, data, PIECE_BYTES);
	q->io.flags = _i == 3 ? 0 : BUFIO_IO_DURABLE;
	ck_assert_int_eq(transfer_watching(q, false, &nr_told), 0);
	ck_assert_uint_eq(nr_told, 1);
	free(data);
	free(q);
	teardown();
}
END_TEST

START_TEST(durable_transfer_needs_no_context)
{
	fake_reset();
	use(KIND_AIO);
	script.setup_error = -EAGAIN;
	ck_assert_int_eq(write_durable(TRANSFER, 1), 0);
	ck_assert_int_eq(script.nr_durable, 0);
	script.setup_error = 0;
	script.submit_again = 10;
	ck_assert_int_eq(write_durable(TRANSFER, 2), 0);
	script.submit_again = 0;
	ck_assert_int_eq(write_durable(TRANSFER, 3), 0);
	ck_assert_int_eq(script.nr_durable, 1);
	teardown();
}
END_TEST

START_TEST(many_durable_writes_without_dsync_keep_their_contents)
{
	char *want = pattern_alloc(NR_PIECES * PIECE_BYTES, 31);
	struct work w;

	fake_reset();
	use(KIND_AIO);
	script.durable_error = -EINVAL;
	work_init(&w, 31);
	w.flags = BUFIO_IO_DURABLE;
	work_run(ENGINE, &w, BUFIO_OP_WRITE, 0);
	ck_assert_uint_eq(w.waiter.nr_failed, 0);
	assert_file(&fixture, 0, want);
	work_finish(&w);
	free(want);
	teardown();
}
END_TEST

/* In the calling thread. */

START_TEST(short_and_interrupted_calls_are_completed)
{
	struct request *q = calloc(1, sizeof(*q));
	char *data = pattern_alloc(1 << 19, 3);

	fake_reset();
	use(_i);
	script.call_most = 1536;
	script.call_interrupt = 3;
	request_init(q, BUFIO_OP_WRITE, 4096, data, 1 << 19);
	request_split(q, 1000);
	ck_assert_int_eq(request_transfer(ENGINE, q), 0);
	memset(data, 0, 1 << 19);
	request_init(q, BUFIO_OP_READ, 4096, data, 1 << 19);
	request_split(q, 777);
	ck_assert_int_eq(request_transfer(ENGINE, q), 0);
	script.call_most = 0;
	assert_pattern(ENGINE, 4096, 1 << 19, 3);
	free(data);
	free(q);
	teardown();
}
END_TEST

/* Flush. */

START_TEST(opening_drains_old_errors)
{
	fake_reset();
	script.sync_error = -EIO;
	use(_i);
	ck_assert_int_eq(script.nr_syncs, 1);
	script.sync_error = 0;
	ck_assert_int_eq(ENGINE->ops->flush(ENGINE), 0);
	teardown();
}
END_TEST

START_TEST(failed_flush_is_reported_once)
{
	fake_reset();
	use(_i);
	script.sync_error = -ENOSPC;
	ck_assert_int_eq(ENGINE->ops->flush(ENGINE), -ENOSPC);
	script.sync_error = 0;
	ck_assert_int_eq(ENGINE->ops->flush(ENGINE), 0);
	teardown();
}
END_TEST

/* The kernel has told the durable write what the flush was to hear. */
START_TEST(flush_after_a_failed_durable_write_fails_in_the_page_cache)
{
	fake_reset();
	use(KIND_BUFFERED);
	script.call_error = -EIO;
	ck_assert_int_eq(write_durable(SUBMIT, 1), -EIO);
	ck_assert_int_eq(ENGINE->ops->flush(ENGINE), -EIO);
	ck_assert_int_eq(ENGINE->ops->flush(ENGINE), 0);
	teardown();
}
END_TEST

static void *flush_thread(void *argument)
{
	atomic_int *tid = argument;

	*tid = (int)gettid();
	return (void *)(intptr_t)ENGINE->ops->flush(ENGINE);
}

/* Wait until the thread sleeps, which it does nowhere but for the other's flush. */
static void wait_until_asleep(atomic_int *tid)
{
	char path[64], state = 0;
	time_t end = time(NULL) + 60;
	FILE *f;

	while (state != 'S' && time(NULL) < end) {
		snprintf(path, sizeof(path), "/proc/self/task/%d/stat", *tid);
		f = *tid ? fopen(path, "re") : NULL;
		if (f) {
			ck_assert_int_eq(fscanf(f, "%*d (%*[^)]) %c", &state), 1);
			fclose(f);
		}
		sched_yield();
	}
	ck_assert_int_eq(state, 'S');
}

/* The kernel tells an open file of an error once, so the second would hear of nothing. */
START_TEST(overlapping_flushes_all_hear_of_the_error)
{
	pthread_t first, second;
	atomic_int tids[2] = {0, 0};
	void *r;

	fake_reset();
	use(_i);
	pthread_mutex_lock(&script.sync_gate);
	script.sync_gated = true;
	script.sync_error = -EIO;
	script.sync_errors_left = 1;
	ck_assert_int_eq(pthread_create(&first, NULL, flush_thread, &tids[0]), 0);
	wait_until_asleep(&tids[0]);
	ck_assert_int_eq(pthread_create(&second, NULL, flush_thread, &tids[1]), 0);
	wait_until_asleep(&tids[1]);
	pthread_mutex_unlock(&script.sync_gate);
	pthread_join(first, &r);
	ck_assert_int_eq((int)(intptr_t)r, -EIO);
	pthread_join(second, &r);
	ck_assert_int_eq((int)(intptr_t)r, -EIO);
	ck_assert_int_eq(ENGINE->ops->flush(ENGINE), 0);
	teardown();
}
END_TEST

/* Discard and zero. */

START_TEST(refused_discard_is_not_tried_again)
{
	fake_reset();
	use(_i);
	script.fallocate_error = -EOPNOTSUPP;
	ck_assert_int_eq(ENGINE->ops->discard(ENGINE, 0, 4096), -EOPNOTSUPP);
	ck_assert_int_eq(ENGINE->ops->discard(ENGINE, 0, 4096), -EOPNOTSUPP);
	ck_assert_int_eq(script.nr_fallocates, 1);
	ck_assert_int_eq(ENGINE->ops->zero(ENGINE, 0, 4096), -EOPNOTSUPP);
	ck_assert_int_eq(ENGINE->ops->zero(ENGINE, 0, 4096), -EOPNOTSUPP);
	ck_assert_int_eq(script.nr_fallocates, 3);
	teardown();
}
END_TEST

START_TEST(failed_discard_is_tried_again)
{
	fake_reset();
	use(_i);
	script.fallocate_error = -EIO;
	ck_assert_int_eq(ENGINE->ops->discard(ENGINE, 0, 4096), -EIO);
	ck_assert_int_eq(ENGINE->ops->zero(ENGINE, 0, 4096), -EIO);
	script.fallocate_error = 0;
	ck_assert_int_ne(ENGINE->ops->discard(ENGINE, 0, 4096), -EIO);
	ck_assert_int_eq(script.nr_fallocates, 3);
	teardown();
}
END_TEST

static TCase *durable_case(void)
{
	TCase *t = tcase_create("durable");

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, durable_write_is_one_dsync_iocb, 0, NR_WAYS);
	tcase_add_loop_test(t, dsync_refused_by_submit_is_done_by_the_submitter, 0, 2 * NR_WAYS);
	tcase_add_loop_test(t, dsync_refused_at_completion_is_done_again, 0, 2 * NR_WAYS);
	tcase_add_loop_test(t, without_dsync_durable_is_write_and_sync, 0, NR_FILE_KINDS * NR_WAYS);
	tcase_add_loop_test(t, failing_durable_write_is_not_taken_for_a_refusal, 0, NR_WAYS);
	tcase_add_loop_test(t, durable_write_that_is_short_or_interrupted_is_completed, 0, NR_WAYS);
	tcase_add_loop_test(t, who_waits_for_a_durable_write_is_told_once_of_what_it_watches, 0, 2);
	tcase_add_test(t, durable_writes_do_not_wait_for_each_other);
	tcase_add_loop_test(t, who_cannot_watch_is_told_at_once, 0, 4);
	tcase_add_test(t, durable_transfer_needs_no_context);
	tcase_add_test(t, many_durable_writes_without_dsync_keep_their_contents);
	return t;
}

static TCase *file_case(void)
{
	TCase *t = tcase_create("all kinds");

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, short_and_interrupted_calls_are_completed, 0, NR_FILE_KINDS);
	tcase_add_loop_test(t, opening_drains_old_errors, 0, NR_FILE_KINDS);
	tcase_add_loop_test(t, failed_flush_is_reported_once, 0, NR_FILE_KINDS);
	tcase_add_test(t, flush_after_a_failed_durable_write_fails_in_the_page_cache);
	tcase_add_loop_test(t, overlapping_flushes_all_hear_of_the_error, 0, NR_FILE_KINDS);
	tcase_add_loop_test(t, refused_discard_is_not_tried_again, 0, NR_FILE_KINDS);
	tcase_add_loop_test(t, failed_discard_is_tried_again, 0, NR_FILE_KINDS);
	return t;
}

int main(void)
{
	Suite *s;
	SRunner *runner;
	int nr_failed;

	if (!fixture_has_aio())
		return TEST_SKIPPED;
	s = suite_create("engine_durable");
	suite_add_tcase(s, durable_case());
	suite_add_tcase(s, file_case());
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	nr_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return nr_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
