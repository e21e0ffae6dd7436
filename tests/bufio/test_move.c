/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bufio_release_move(): what becomes of both blocks, of holders, and of movers in each other's way. */
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

static struct bufio_buffer *hold(uint64_t block)
{
	struct bufio_buffer *b;

	ck_assert_int_eq(bufio_read(t.client, block, &b), 0);
	return b;
}

START_TEST(move_to_the_same_block_marks_dirty_and_releases)
{
	struct bufio_buffer *b = hold(1);

	memcpy(bufio_data(b), &(unsigned){5}, 4);
	ck_assert_int_eq(bufio_release_move(b, 1), 0);
	ck_assert_uint_eq(bufio_report_held(t.client, NULL, NULL), 0);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), 0);
	ck_assert_uint_eq(tc_on_device(&t, 1), 5);
}
END_TEST

START_TEST(moved_clean_block_reads_from_the_device_again)
{
	struct bufio_buffer *b;

	tc_put(&t, 1, 5);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), 0);
	b = hold(1);
	memcpy(bufio_data(b), &(unsigned){6}, 4);
	ck_assert_int_eq(bufio_release_move(b, 2), 0);
	ck_assert_uint_eq(tc_get(&t, 1), 5);
	ck_assert_uint_eq(tc_get(&t, 2), 6);
}
END_TEST

START_TEST(moved_dirty_block_keeps_its_contents_in_both_places)
{
	tc_put(&t, 1, 5);
	ck_assert_int_eq(bufio_release_move(hold(1), 2), 0);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), 0);
	ck_assert_uint_eq(tc_on_device(&t, 1), 5);
	ck_assert_uint_eq(tc_on_device(&t, 2), 5);
}
END_TEST

START_TEST(move_out_of_range_leaves_the_buffer_held)
{
	struct bufio_buffer *b = hold(1);

	ck_assert_int_eq(bufio_release_move(b, NR_BLOCKS), -ERANGE);
	ck_assert_uint_eq(bufio_report_held(t.client, NULL, NULL), 1);
	bufio_release(b);
}
END_TEST

/* The source's own buffer becomes the target's; where it is pinned that cannot be. */
START_TEST(move_needs_no_buffer_but_its_own)
{
	struct bufio_buffer *b[2];
	struct bufio_options o;
	struct tc small;

	tc_options(&o);
	o.limit_bytes = o.cache_bytes = 2 * BLOCK;
	tc_init(&small, &o);
	tc_put(&small, 1, 5);
	ck_assert_int_eq(bufio_read(small.client, 1, &b[0]), 0);
	ck_assert_int_eq(bufio_read(small.client, 2, &b[1]), 0);
	bufio_pin(b[0]);
	ck_assert_int_eq(bufio_release_move(b[0], 3), -EDEADLK);
	ck_assert_uint_eq(bufio_report_held(small.client, NULL, NULL), 2);
	bufio_unpin(b[0], false);
	ck_assert_int_eq(bufio_release_move(b[0], 3), 0);
	ck_assert_uint_eq(tc_on_device(&small, 1), 5);
	ck_assert_uint_eq(tc_get(&small, 3), 5);
	bufio_release(b[1]);
	tc_finish(&small);
}
END_TEST

static int move_1_to_2(struct tc *cache, void *unused)
{
	struct bufio_buffer *b;
	int r = bufio_read(cache->client, 1, &b);

	return r ? r : bufio_release_move(b, 2);
}

static void count_holds(void *context, const struct bufio_held *held)
{
	if (held->block == 2)
		*(unsigned *)context = held->nr_holds;
}

START_TEST(move_waits_for_holders_and_pins_of_the_target)
{
	struct bufio_buffer *b = hold(2);
	unsigned nr_holds = 0;
	struct call call;

	tc_put(&t, 1, 5);
	bufio_pin(b);
	call_start(&call, &t, move_1_to_2, NULL);
	/* The mover has a hold of its own on the target when it begins to wait. */
	while (nr_holds < 2)
		bufio_report_held(t.client, count_holds, &nr_holds);
	ck_assert_uint_eq(*(unsigned *)bufio_data(b), 0);
	bufio_release(b);
	ck_assert_uint_eq(*(unsigned *)bufio_data(b), 0);
	bufio_unpin(b, false);
	ck_assert_int_eq(call_end(&call), 0);
	ck_assert_uint_eq(tc_get(&t, 2), 5);
}
END_TEST

#define NR_MOVERS 4u
#define NR_ROUNDS 2000u

/* Everybody moves among four blocks, in every direction at once. */
static int move_around(struct tc *cache, void *argument)
{
	unsigned seed = *(unsigned *)argument;

	for (unsigned i = 0; i < NR_ROUNDS; i++) {
		unsigned from = (unsigned)rand_r(&seed) % 4, to = (unsigned)rand_r(&seed) % 4;
		struct bufio_buffer *b;
		unsigned *words;
		int r = bufio_read(cache->client, from, &b);

		if (r)
			return r;
		words = bufio_data(b);
		/* Contents are never torn: the first and the last word were moved together. */
		if (words[0] != words[BLOCK / 4 - 1])
			return -EUCLEAN;
		r = bufio_release_move(b, to);
		if (r)
			return r;
	}
	return 0;
}

START_TEST(crossed_moves_end_and_never_mix_contents)
{
	struct call calls[NR_MOVERS];
	unsigned seeds[NR_MOVERS];

	for (unsigned i = 0; i < 4; i++) {
		struct bufio_buffer *b;

		ck_assert_int_eq(bufio_new(t.client, i, &b), 0);
		for (unsigned k = 0; k < BLOCK / 4; k++)
			((unsigned *)bufio_data(b))[k] = i + 1;
		bufio_mark_dirty(b);
		bufio_release(b);
	}
	for (unsigned i = 0; i < NR_MOVERS; i++) {
		seeds[i] = i + 1;
		call_start(&calls[i], &t, move_around, &seeds[i]);
	}
	for (unsigned i = 0; i < NR_MOVERS; i++)
		ck_assert_int_eq(call_end(&calls[i]), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("move");
	TCase *tc = tcase_create("move");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, move_to_the_same_block_marks_dirty_and_releases);
	tcase_add_test(tc, moved_clean_block_reads_from_the_device_again);
	tcase_add_test(tc, moved_dirty_block_keeps_its_contents_in_both_places);
	tcase_add_test(tc, move_out_of_range_leaves_the_buffer_held);
	tcase_add_test(tc, move_needs_no_buffer_but_its_own);
	tcase_add_test(tc, move_waits_for_holders_and_pins_of_the_target);
	tcase_add_test(tc, crossed_moves_end_and_never_mix_contents);
	suite_add_tcase(suite, tc);
	return tc_run_suite(suite);
}
