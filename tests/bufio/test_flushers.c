/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who is told what when writes and flushes fail, and what several flushers do for each other. */
#include "client_fixture.h"

static struct tc t;

static void setup(void)
{
	tc_init(&t, NULL);
}

static void teardown(void)
{
	tc_finish(&t);
}

/*
 * Block 1 is written by the first flusher, whose device flush then fails; the second one found
 * it clean before that, and its own device flush is good.  It must not say that all is well.
 */
START_TEST(good_flush_does_not_hide_what_an_earlier_one_lost)
{
	struct call first, second;

	tc_put(&t, 1, 11);
	dam_close(t.dam, DAM_FLUSH);
	call_start(&first, &t, tc_flush, NULL);
	dam_wait(t.dam, 1);
	tc_put(&t, 2, 22);
	dam_close(t.dam, DAM_WRITE);
	call_start(&second, &t, tc_flush, NULL);
	dam_wait(t.dam, 2);
	dam_fail(t.dam, DAM_FLUSH, 1, -EIO);
	dam_open(t.dam, DAM_FLUSH);
	ck_assert_int_eq(call_end(&first), -EIO);
	dam_open(t.dam, DAM_WRITE);
	ck_assert_int_eq(call_end(&second), -EIO);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), 0);
}
END_TEST

/* A pinned buffer in doubt cannot be written again, so no flush may say it was. */
START_TEST(issue_flush_tells_of_a_write_in_doubt_until_it_is_repeated)
{
	struct bufio_buffer *b;

	tc_put(&t, 1, 11);
	dam_fail(t.dam, DAM_FLUSH, 1, -EIO);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), -EIO);
	ck_assert_int_eq(bufio_read(t.client, 1, &b), 0);
	bufio_pin(b);
	ck_assert_int_eq(bufio_issue_flush(t.client), -EIO);
	bufio_unpin(b, false);
	bufio_release(b);
	ck_assert_int_eq(bufio_write_range(t.client, 1, 1), 0);
	ck_assert_int_eq(bufio_issue_flush(t.client), 0);
}
END_TEST

START_TEST(evicted_data_that_a_failed_flush_lost_is_told_until_abandon)
{
	tc_put(&t, 1, 11);
	ck_assert_int_eq(bufio_write_range(t.client, 1, 1), 0);
	bufio_forget(t.client, 1);
	dam_fail(t.dam, DAM_FLUSH, 1, -EIO);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), -EIO);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), -EIO);
	ck_assert_uint_eq(bufio_abandon(t.client), 0);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), 0);
}
END_TEST

START_TEST(what_was_discarded_cannot_be_lost)
{
	tc_put(&t, 1, 11);
	ck_assert_int_eq(bufio_write_range(t.client, 1, 1), 0);
	ck_assert_int_eq(bufio_discard_buffers(t.client, 1, 1), 0);
	dam_fail(t.dam, DAM_FLUSH, 1, -EIO);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), -EIO);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), 0);
}
END_TEST

START_TEST(two_flushers_hear_of_one_failed_write)
{
	struct call first, second;

	tc_put(&t, 1, 11);
	dam_close(t.dam, DAM_WRITE);
	dam_fail(t.dam, DAM_WRITE, 2, -EIO);
	call_start(&first, &t, tc_flush, NULL);
	dam_wait(t.dam, 1);
	call_start(&second, &t, tc_flush, NULL);
	dam_open(t.dam, DAM_WRITE);
	ck_assert_int_eq(call_end(&first), -EIO);
	ck_assert_int_eq(call_end(&second), -EIO);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), 0);
	ck_assert_uint_eq(tc_on_device(&t, 1), 11);
}
END_TEST

START_TEST(only_the_bad_block_of_a_merged_write_stays_dirty)
{
	struct bufio_stats s;

	for (unsigned i = 0; i < 8; i++)
		tc_put(&t, i, i + 1);
	/* The merged write fails, then the first block alone. */
	dam_fail(t.dam, DAM_WRITE, 2, -EIO);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), -EIO);
	bufio_get_stats(t.client, &s);
	ck_assert_uint_eq(s.nr_dirty, 1);
	ck_assert_uint_eq(s.write_errors, 1);
	ck_assert_uint_eq(tc_on_device(&t, 0), 0);
	ck_assert_uint_eq(tc_on_device(&t, 7), 8);
}
END_TEST

START_TEST(concurrent_flushers_share_flushes)
{
	struct dam_counts n;
	struct call calls[8];

	tc_put(&t, 1, 11);
	dam_close(t.dam, DAM_FLUSH);
	call_start(&calls[0], &t, tc_flush, NULL);
	dam_wait(t.dam, 1);
	for (unsigned i = 1; i < 8; i++) {
		tc_put(&t, 1 + i, i);
		ck_assert_int_eq(bufio_write_range(t.client, 1 + i, 1), 0);
		call_start(&calls[i], &t, tc_flush, NULL);
	}
	dam_open(t.dam, DAM_FLUSH);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_int_eq(call_end(&calls[i]), 0);
	dam_counts(t.dam, &n);
	ck_assert_uint_ge(n.flushes, 2);
	ck_assert_uint_lt(n.flushes, 8);
}
END_TEST

/* In the order of the blocks, adjoining ones merged, one flush. */
START_TEST(flush_is_sorted_and_merged)
{
	struct dam_counts n;

	for (unsigned i = 0; i < 2048; i++)
		tc_put(&t, i * 1021 % 2048, i + 1);
	dam_reset(t.dam);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), 0);
	dam_counts(t.dam, &n);
	ck_assert_uint_eq(n.writes, 8);
	ck_assert_uint_eq(n.write_bytes, 2048 * BLOCK);
	ck_assert_uint_eq(n.largest_bytes, 1 << 20);
	ck_assert_uint_eq(n.flushes, 1);
}
END_TEST

/* A completion comes from a thread of the engine, which has to be woken, and wakes the one that waits. */
START_TEST(a_single_run_is_written_by_who_waits_for_it)
{
	struct dam_counts n;

	for (unsigned i = 5; i < 8; i++)
		tc_put(&t, i, i);
	dam_reset(t.dam);
	ck_assert_int_eq(bufio_write_range(t.client, 0, 16), 0);
	dam_counts(t.dam, &n);
	ck_assert_uint_eq(n.writes, 1);
	ck_assert_uint_eq(n.write_bytes, 3 * BLOCK);
	ck_assert_uint_eq(n.submits, 0);
	tc_put(&t, 5, 1);
	tc_put(&t, 7, 1);
	ck_assert_int_eq(bufio_write_range(t.client, 0, 16), 0);
	dam_counts(t.dam, &n);
	ck_assert_uint_eq(n.writes, 3);
	ck_assert_uint_eq(n.submits, 1);
}
END_TEST

/* Also while the device is busy with all the runs that may be in flight. */
START_TEST(runs_are_long_when_the_device_is_behind)
{
	struct dam_counts n;
	struct bufio_options o;
	struct call flush;
	struct tc big;

	tc_options(&o);
	o.limit_bytes = o.cache_bytes = 32 << 20;
	o.max_io_bytes = 4 * BLOCK;
	tc_init(&big, &o);
	for (unsigned i = 0; i < 1024; i++)
		tc_put(&big, i, i + 1);
	dam_close(big.dam, DAM_WRITE);
	call_start(&flush, &big, tc_flush, NULL);
	dam_wait(big.dam, 60);
	dam_open(big.dam, DAM_WRITE);
	ck_assert_int_eq(call_end(&flush), 0);
	dam_counts(big.dam, &n);
	ck_assert_uint_eq(n.writes, 256);
	tc_finish(&big);
}
END_TEST

/* The device completes one write after the other; the next ones do not follow one by one. */
START_TEST(writes_are_submitted_together_when_the_device_is_behind)
{
	enum { NR = 1000, IN_FLIGHT = 63, STEP = 15 };
	struct dam_counts counts;
	struct call flush;

	for (unsigned i = 0; i < NR; i++)
		tc_put(&t, i * 2, i);
	dam_reset(t.dam);
	dam_close(t.dam, DAM_WRITE);
	call_start(&flush, &t, tc_flush, NULL);
	for (unsigned done = 0; done + IN_FLIGHT + STEP < NR; done += STEP) {
		dam_wait(t.dam, IN_FLIGHT);
		for (unsigned i = 0; i < STEP; i++)
			dam_pass(t.dam, DAM_WRITE, 1);
	}
	dam_open(t.dam, DAM_WRITE);
	ck_assert_int_eq(call_end(&flush), 0);
	dam_counts(t.dam, &counts);
	ck_assert_uint_eq(counts.writes, NR);
	ck_assert_uint_le(counts.submits, NR / 12);
}
END_TEST

/* A write of more would leave a small rest for a second request. */
START_TEST(runs_are_of_as_many_buffers_as_the_device_takes_at_once)
{
	struct dam_counts n;
	struct bufio_options o;
	struct tc few;

	tc_options(&o);
	o.max_io_bytes = 12 * BLOCK;
	tc_init(&few, &o);
	bufio_destroy(few.client);
	few.dam->max_pieces = 5;
	ck_assert_int_eq(bufio_create(few.dam, &o, &few.client), 0);
	for (unsigned i = 0; i < 24; i++)
		tc_put(&few, i, i + 1);
	ck_assert_int_eq(bufio_write_dirty_buffers(few.client), 0);
	dam_counts(few.dam, &n);
	ck_assert_uint_eq(n.writes, 3); /* 10, 10, 4 */
	ck_assert_uint_eq(n.largest_bytes, 10 * BLOCK);
	tc_finish(&few);
}
END_TEST

/* A change during the write is not in it, so the flush that began before does not clean it. */
START_TEST(buffer_dirtied_while_it_is_written_is_written_again)
{
	struct call flush;
	struct bufio_stats s;

	tc_put(&t, 1, 11);
	dam_close(t.dam, DAM_WRITE);
	call_start(&flush, &t, tc_flush, NULL);
	dam_wait(t.dam, 1);
	tc_put(&t, 1, 12);
	dam_open(t.dam, DAM_WRITE);
	ck_assert_int_eq(call_end(&flush), 0);
	bufio_get_stats(t.client, &s);
	ck_assert_uint_eq(s.nr_dirty, 1);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), 0);
	ck_assert_uint_eq(tc_on_device(&t, 1), 12);
}
END_TEST

static int pin_next(struct tc *cache, void *argument)
{
	struct bufio_buffer *b;

	ck_assert_int_eq(bufio_read(cache->client, *(unsigned *)argument, &b), 0);
	bufio_pin(b);
	bufio_unpin(b, true);
	bufio_release(b);
	return 0;
}

/* What does not fit into what is in flight is not claimed, so nobody waits for it. */
START_TEST(long_flush_does_not_keep_others_from_changing_what_it_has_not_reached)
{
	unsigned last = 2040;
	struct call flush, pin;

	for (unsigned i = 0; i <= last; i += 2)
		tc_put(&t, i, i + 1);
	dam_close(t.dam, DAM_WRITE);
	call_start(&flush, &t, tc_flush, NULL);
	dam_wait(t.dam, 60);
	call_start(&pin, &t, pin_next, &last);
	ck_assert_int_eq(call_end(&pin), 0);
	dam_open(t.dam, DAM_WRITE);
	ck_assert_int_eq(call_end(&flush), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flushers");
	TCase *tc = tcase_create("flushers");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, good_flush_does_not_hide_what_an_earlier_one_lost);
	tcase_add_test(tc, issue_flush_tells_of_a_write_in_doubt_until_it_is_repeated);
	tcase_add_test(tc, evicted_data_that_a_failed_flush_lost_is_told_until_abandon);
	tcase_add_test(tc, what_was_discarded_cannot_be_lost);
	tcase_add_test(tc, two_flushers_hear_of_one_failed_write);
	tcase_add_test(tc, only_the_bad_block_of_a_merged_write_stays_dirty);
	tcase_add_test(tc, concurrent_flushers_share_flushes);
	tcase_add_test(tc, flush_is_sorted_and_merged);
	tcase_add_test(tc, runs_are_of_as_many_buffers_as_the_device_takes_at_once);
	tcase_add_test(tc, a_single_run_is_written_by_who_waits_for_it);
	tcase_add_test(tc, runs_are_long_when_the_device_is_behind);
	tcase_add_test(tc, writes_are_submitted_together_when_the_device_is_behind);
	tcase_add_test(tc, buffer_dirtied_while_it_is_written_is_written_again);
	tcase_add_test(tc, long_flush_does_not_keep_others_from_changing_what_it_has_not_reached);
	suite_add_tcase(suite, tc);
	return tc_run_suite(suite);
}
