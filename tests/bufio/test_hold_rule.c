/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a call does that finds no free buffer, and how one learns who has them. */
#include "client_fixture.h"

#define NR_BUFFERS 8u

static struct tc t;

static void setup(void)
{
	struct bufio_options o;

	tc_options(&o);
	o.limit_bytes = o.cache_bytes = NR_BUFFERS * BLOCK;
	tc_init(&t, &o);
}

static void teardown(void)
{
	tc_finish(&t);
}

static void hold(struct bufio_buffer **b, unsigned first, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++)
		ck_assert_int_eq(bufio_read(t.client, first + i, &b[i]), 0);
}

static void release(struct bufio_buffer **b, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++)
		bufio_release(b[i]);
}

START_TEST(thread_that_holds_every_buffer_gets_edeadlk)
{
	struct bufio_buffer *b[NR_BUFFERS], *more;

	hold(b, 0, NR_BUFFERS);
	ck_assert_int_eq(bufio_read(t.client, 100, &more), -EDEADLK);
	ck_assert_ptr_null(more);
	ck_assert_int_eq(bufio_new(t.client, 100, &more), -EDEADLK);
	/* A hit needs no buffer. */
	ck_assert_int_eq(bufio_read(t.client, 3, &more), 0);
	ck_assert_int_eq(bufio_read(t.client, 100, &b[0]), -EDEADLK);
	bufio_release(more);
	b[0] = NULL;
	ck_assert_int_eq(bufio_get(t.client, 0, &b[0]), 0);
	bufio_release(b[0]);
	release(b, NR_BUFFERS);
	ck_assert_uint_eq(tc_get(&t, 100), 0);
}
END_TEST

static int read_block(struct tc *cache, void *argument)
{
	struct bufio_buffer *b;
	int r = bufio_read(cache->client, *(unsigned *)argument, &b);

	if (!r)
		bufio_release(b);
	return r;
}

START_TEST(call_waits_while_another_thread_can_release)
{
	struct bufio_buffer *b[NR_BUFFERS];
	unsigned block = 100;
	struct call call;
	struct bufio_stats s;

	hold(b, 0, NR_BUFFERS);
	call_start(&call, &t, read_block, &block);
	do {
		bufio_get_stats(t.client, &s);
	} while (!s.waits);
	release(b, NR_BUFFERS);
	ck_assert_int_eq(call_end(&call), 0);
}
END_TEST

static void setup_one(void)
{
	struct bufio_options o;

	tc_options(&o);
	o.limit_bytes = o.cache_bytes = BLOCK;
	tc_init(&t, &o);
}

START_TEST(one_buffer_is_enough_for_one_hold)
{
	struct bufio_buffer *b, *more;
	struct bufio_stats s;

	for (unsigned block = 0; block < 4; block++) {
		ck_assert_int_eq(bufio_new(t.client, block, &b), 0);
		memset(bufio_data(b), (int)block + 1, BLOCK);
		bufio_mark_dirty(b);
		ck_assert_int_eq(bufio_read(t.client, 10, &more), -EDEADLK);
		bufio_release(b);
	}
	ck_assert_int_eq(bufio_read(t.client, 0, &b), 0);
	ck_assert_int_eq(bufio_release_move(b, 9), 0);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), 0);
	ck_assert_uint_eq(tc_get(&t, 9), 0x01010101);
	ck_assert_uint_eq(tc_get(&t, 3), 0x04040404);
	bufio_get_stats(t.client, &s);
	ck_assert_uint_eq(s.peak_buffers, 1);
}
END_TEST

START_TEST(one_buffer_serves_threads_by_turns)
{
	struct bufio_buffer *b;
	unsigned block = 100;
	struct call call;
	struct bufio_stats s;

	ck_assert_int_eq(bufio_read(t.client, 0, &b), 0);
	call_start(&call, &t, read_block, &block);
	do {
		bufio_get_stats(t.client, &s);
	} while (!s.waits);
	bufio_release(b);
	ck_assert_int_eq(call_end(&call), 0);
}
END_TEST

struct half {
	unsigned first;
	pthread_barrier_t *both;
};

static int hold_half_and_one_more(struct tc *cache, void *argument)
{
	struct half *half = argument;
	struct bufio_buffer *b[NR_BUFFERS / 2], *more;
	int r;

	hold(b, half->first, NR_BUFFERS / 2);
	pthread_barrier_wait(half->both);
	r = bufio_read(cache->client, 100 + half->first, &more);
	if (!r)
		bufio_release(more);
	release(b, NR_BUFFERS / 2);
	return r;
}

/* Whichever comes last breaks the knot; the other one then gets its buffer. */
START_TEST(threads_that_all_wait_for_each_other_are_told)
{
	struct half halves[2] = {{0, NULL}, {NR_BUFFERS / 2, NULL}};
	pthread_barrier_t both;
	struct call calls[2];
	int r[2];

	pthread_barrier_init(&both, NULL, 2);
	for (unsigned i = 0; i < 2; i++) {
		halves[i].both = &both;
		call_start(&calls[i], &t, hold_half_and_one_more, &halves[i]);
	}
	for (unsigned i = 0; i < 2; i++)
		r[i] = call_end(&calls[i]);
	pthread_barrier_destroy(&both);
	ck_assert(r[0] == -EDEADLK || r[1] == -EDEADLK);
	ck_assert(r[0] == 0 || r[0] == -EDEADLK);
	ck_assert(r[1] == 0 || r[1] == -EDEADLK);
}
END_TEST

/* _i: so many are pinned; who would unpin them perhaps waits for the one who gets no buffer, as a journal's commit does */
START_TEST(cache_full_of_data_that_the_device_refuses_gives_enobufs)
{
	struct bufio_buffer *b, *pinned[NR_BUFFERS];

	for (unsigned i = 0; i < NR_BUFFERS; i++)
		tc_put(&t, i, i + 1);
	for (int i = 0; i < _i; i++) {
		ck_assert_int_eq(bufio_read(t.client, (uint64_t)i, &pinned[i]), 0);
		bufio_pin(pinned[i]);
		bufio_release(pinned[i]);
	}
	dam_fail(t.dam, DAM_WRITE, 100000, -EIO);
	ck_assert_int_eq(bufio_read(t.client, 100, &b), -ENOBUFS);
	dam_fail(t.dam, DAM_WRITE, 0, 0);
	for (int i = 0; i < _i; i++)
		bufio_unpin(pinned[i], true);
	ck_assert_uint_eq(tc_get(&t, 100), 0);
	for (unsigned i = 0; i < NR_BUFFERS; i++)
		ck_assert_uint_eq(tc_get(&t, i), i + 1);
}
END_TEST

static void note_held(void *context, const struct bufio_held *held)
{
	*(struct bufio_held *)context = *held;
}

START_TEST(held_buffer_is_reported_with_its_caller)
{
	struct bufio_held held = {0};
	struct bufio_buffer *b;
	char *caller = (char *)hold;

	hold(&b, 7, 1);
	bufio_pin(b);
	ck_assert_int_eq(bufio_destroy(t.client), -EBUSY);
	ck_assert_uint_eq(bufio_report_held(t.client, note_held, &held), 1);
	ck_assert_uint_eq(held.block, 7);
	ck_assert_uint_eq(held.nr_holds, 1);
	ck_assert_uint_eq(held.nr_pins, 1);
	/* In hold(), or where it was inlined. */
	ck_assert_ptr_nonnull(held.caller);
	ck_assert_int_lt(labs((const char *)held.caller - caller), 65536);
	bufio_unpin(b, false);
	bufio_release(b);
	ck_assert_uint_eq(bufio_report_held(t.client, NULL, NULL), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hold_rule");
	TCase *tc = tcase_create("hold_rule"), *one = tcase_create("one_buffer");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, thread_that_holds_every_buffer_gets_edeadlk);
	tcase_add_test(tc, call_waits_while_another_thread_can_release);
	tcase_add_test(tc, threads_that_all_wait_for_each_other_are_told);
	tcase_add_loop_test(tc, cache_full_of_data_that_the_device_refuses_gives_enobufs, 0, 3);
	tcase_add_test(tc, held_buffer_is_reported_with_its_caller);
	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(one, setup_one, teardown);
	tcase_set_timeout(one, 60);
	tcase_add_test(one, one_buffer_is_enough_for_one_hold);
	tcase_add_test(one, one_buffer_serves_threads_by_turns);
	suite_add_tcase(suite, one);
	return tc_run_suite(suite);
}
