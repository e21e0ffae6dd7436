/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The queue of the aio engine over partial counts, -EAGAIN, -EINTR and short transfers. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
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

START_TEST(partial_counts_of_submit_lose_nothing)
{
	fake_reset();
	use(KIND_AIO);
	script.submit_most = 1;
	work_all(&fixture, 0, 1);
	ck_assert_int_ge(script.nr_submits, 2 * NR_PIECES);
	script.submit_most = 5;
	work_all(&fixture, 0, 2);
	teardown();
}
END_TEST

START_TEST(bursts_of_eagain_are_waited_out)
{
	fake_reset();
	use(KIND_AIO);
	script.submit_again = 5;
	work_all(&fixture, 0, 1);
	script.submit_again = 9;
	work_all(&fixture, 0, 2);
	ck_assert_int_gt(script.nr_submitted, 0);
	teardown();
}
END_TEST

START_TEST(eagain_for_ever_is_done_by_the_submitter)
{
	fake_reset();
	use(KIND_AIO);
	script.submit_again = 10;
	script.nr_submitted = 0;
	work_all(&fixture, 0, 3);
	ck_assert_int_eq(script.nr_submitted, 0);
	ck_assert_int_ge(script.nr_calls, 2 * NR_PIECES);
	/* Asked once for each, not in a loop. */
	ck_assert_int_le(script.nr_submits, 2 * NR_PIECES + 1);
	teardown();
}
END_TEST

START_TEST(interrupted_calls_are_made_again)
{
	fake_reset();
	use(KIND_AIO);
	script.submit_interrupt = 5;
	script.event_interrupt = 5;
	work_all(&fixture, 0, 4);
	teardown();
}
END_TEST

START_TEST(short_transfers_are_completed)
{
	fake_reset();
	use(KIND_AIO);
	script.shorten = true;
	work_all(&fixture, 0, 5);
	ck_assert_int_gt(script.nr_submitted, 4 * NR_PIECES);
	teardown();
}
END_TEST

START_TEST(what_ends_within_a_sector_is_completed)
{
	fake_reset();
	use(KIND_AIO);
	script.extra = 100;
	work_all(&fixture, 0, 6);
	script.shorten = true;
	work_all(&fixture, 0, 7);
	teardown();
}
END_TEST

START_TEST(remainder_that_is_refused_is_completed)
{
	fake_reset();
	use(KIND_AIO);
	script.shorten = true;
	script.submit_again = 5;
	work_all(&fixture, 0, 8);
	ck_assert_int_gt(script.nr_calls, 0);
	teardown();
}
END_TEST

static void *everything_thread(void *argument)
{
	unsigned thread = (unsigned)(uintptr_t)argument;

	work_all(&fixture, (uint64_t)thread * NR_PIECES * PIECE_BYTES, 20 + thread);
	return NULL;
}

START_TEST(everything_at_once_from_many_threads)
{
	pthread_t threads[4];
	uintptr_t i;

	fake_reset();
	use(KIND_AIO);
	script.submit_most = 3;
	script.submit_again = 3;
	script.submit_interrupt = 2;
	script.event_interrupt = 2;
	script.shorten = true;
	script.extra = 1;
	script.call_most = 1536;
	script.call_interrupt = 3;
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, everything_thread, (void *)i),
				 0);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	teardown();
}
END_TEST

/* Errors. */

static void assert_events_give(int event_result, int read_error, int write_error)
{
	struct work w;
	unsigned i;

	script.event_result = event_result;
	work_init(&w, 1);
	work_run(ENGINE, &w, BUFIO_OP_READ, 0);
	for (i = 0; i < NR_PIECES; i++)
		ck_assert_int_eq(w.qs[i]->result, read_error);
	work_run(ENGINE, &w, BUFIO_OP_WRITE, 0);
	for (i = 0; i < NR_PIECES; i++)
		ck_assert_int_eq(w.qs[i]->result, write_error);
	work_finish(&w);
	script.event_result = INT_MIN;
}

START_TEST(nothing_transferred_is_an_error)
{
	fake_reset();
	use(KIND_AIO);
	assert_events_give(0, -EIO, -ENOSPC);
	assert_events_give(511, -EIO, -ENOSPC);
	teardown();
}
END_TEST

START_TEST(error_of_the_device_is_passed_on)
{
	fake_reset();
	use(KIND_AIO);
	assert_events_give(-EIO, -EIO, -EIO);
	assert_events_give(-ENODATA, -ENODATA, -ENODATA);
	work_all(&fixture, 0, 9);
	teardown();
}
END_TEST

START_TEST(refused_iocb_fails_alone)
{
	struct work w;
	unsigned i;

	fake_reset();
	use(KIND_AIO);
	work_init(&w, 2);
	for (script.submit_most = 0; script.submit_most < 3; script.submit_most++) {
		script.bad_offset = (script.submit_most + 3) * (int)PIECE_BYTES;
		work_run(ENGINE, &w, BUFIO_OP_WRITE, 0);
		ck_assert_uint_eq(w.waiter.nr_failed, 1);
		for (i = 0; i < NR_PIECES; i++)
			ck_assert_int_eq(w.qs[i]->result,
					 i == (unsigned)script.submit_most + 3 ? -EFAULT : 0);
	}
	work_finish(&w);
	teardown();
}
END_TEST

/* Contexts. */

START_TEST(context_that_is_too_big_is_made_smaller)
{
	fake_reset();
	script.setup_error = -EAGAIN;
	script.setup_room = 10;
	use(KIND_AIO);
	ck_assert_str_eq(ENGINE->name, "aio");
	work_all(&fixture, 0, 1);
	teardown();
}
END_TEST

START_TEST(without_a_context_it_is_pread_and_pwrite)
{
	static const int errors[] = {-EAGAIN, -ENOSYS, -EPERM};

	fake_reset();
	script.setup_error = errors[_i];
	use(KIND_AIO);
	ck_assert_str_eq(ENGINE->name, "sync");
	work_all(&fixture, 0, 1);
	teardown();
}
END_TEST

START_TEST(without_a_poll_it_is_pread_and_pwrite)
{
	fake_reset();
	script.submit_again = 10;
	use(KIND_AIO);
	ck_assert_str_eq(ENGINE->name, "sync");
	work_all(&fixture, 0, 1);
	teardown();
}
END_TEST

static TCase *aio_case(void)
{
	TCase *t = tcase_create("aio");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, partial_counts_of_submit_lose_nothing);
	tcase_add_test(t, bursts_of_eagain_are_waited_out);
	tcase_add_test(t, eagain_for_ever_is_done_by_the_submitter);
	tcase_add_test(t, interrupted_calls_are_made_again);
	tcase_add_test(t, short_transfers_are_completed);
	tcase_add_test(t, what_ends_within_a_sector_is_completed);
	tcase_add_test(t, remainder_that_is_refused_is_completed);
	tcase_add_test(t, everything_at_once_from_many_threads);
	tcase_add_test(t, nothing_transferred_is_an_error);
	tcase_add_test(t, error_of_the_device_is_passed_on);
	tcase_add_test(t, refused_iocb_fails_alone);
	tcase_add_test(t, context_that_is_too_big_is_made_smaller);
	tcase_add_loop_test(t, without_a_context_it_is_pread_and_pwrite, 0, 3);
	tcase_add_test(t, without_a_poll_it_is_pread_and_pwrite);
	return t;
}

int main(void)
{
	Suite *s;
	SRunner *runner;
	int nr_failed;

	if (!fixture_has_aio())
		return TEST_SKIPPED;
	s = suite_create("engine_calls");
	suite_add_tcase(s, aio_case());
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	nr_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return nr_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
