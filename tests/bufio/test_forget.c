/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What leaves the cache when it is asked to: forget, discard, drop. */
#include <errno.h>
#include "cache_fixture.h"

#define NR_BLOCKS  1024
#define NR_BUFFERS 16

static struct cache c;

static void setup(void)
{
	cache_init(&c, NR_BLOCKS, NR_BUFFERS);
}

static void teardown(void)
{
	cache_finish(&c);
}

/* Forgetting. */

START_TEST(clean_block_is_forgotten_and_read_again)
{
	bufio_forget(c.client, 3);
	cache_get(&c, 3);
	bufio_forget(c.client, 3);
	ck_assert(!cache_has(&c, 3));
	cache_get(&c, 3);
	ck_assert_uint_eq(cache_counts(&c).reads, 2);
}
END_TEST

START_TEST(dirty_or_held_block_is_not_forgotten)
{
	struct bufio_buffer *b = cache_hold(&c, 4);

	cache_put(&c, 3, 33);
	bufio_forget_range(c.client, 0, NR_BLOCKS);
	ck_assert(cache_has(&c, 3));
	ck_assert(cache_has(&c, 4));
	ck_assert_uint_eq(cache_get(&c, 3), 33);
	bufio_release(b);
}
END_TEST

START_TEST(forget_takes_only_its_range)
{
	for (unsigned i = 0; i < 8; i++)
		cache_get(&c, i);
	bufio_forget_range(c.client, 2, 3);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_int_eq(cache_has(&c, i), i < 2 || i >= 5);
}
END_TEST

START_TEST(discarded_dirty_blocks_are_never_written)
{
	cache_poke(&c, 4, 1);
	for (unsigned i = 0; i < 8; i++)
		cache_put(&c, i, 100 + i);
	ck_assert_int_eq(bufio_discard_buffers(c.client, 4, 2), 0);
	ck_assert_int_eq(bufio_discard_buffers(c.client, 500, 2), 0);
	cache_flush(&c);
	ck_assert_uint_eq(cache_peek(&c, 4), 1);
	ck_assert_uint_eq(cache_peek(&c, 5), 0);
	ck_assert_uint_eq(cache_peek(&c, 3), 103);
	ck_assert_uint_eq(cache_peek(&c, 6), 106);
	ck_assert_uint_eq(cache_get(&c, 4), 1);
	ck_assert_uint_eq(cache_counts(&c).reads, 1);
}
END_TEST

START_TEST(held_block_is_not_discarded_but_its_neighbours_are)
{
	struct bufio_buffer *b;

	for (unsigned i = 0; i < 3; i++)
		cache_put(&c, i, 1);
	b = cache_hold(&c, 1);
	ck_assert_int_eq(bufio_discard_buffers(c.client, 0, 3), -EBUSY);
	ck_assert(!cache_has(&c, 0));
	ck_assert(cache_has(&c, 1));
	ck_assert(!cache_has(&c, 2));
	ck_assert_uint_eq(cache_value(b), 1);
	bufio_release(b);
}
END_TEST

START_TEST(discard_waits_for_a_write_in_flight)
{
	struct caller flush;

	cache_put(&c, 8, 88);
	gate_close(c.gate, BUFIO_FAULT_WRITE);
	caller_start(&flush, &c, call_flush, 0);
	gate_wait(c.gate, 1);
	gate_open(c.gate);
	ck_assert_int_eq(bufio_discard_buffers(c.client, 8, 1), 0);
	ck_assert_int_eq(caller_join(&flush), 0);
	ck_assert(!cache_has(&c, 8));
}
END_TEST

START_TEST(nothing_is_cached_after_a_drop)
{
	for (unsigned i = 0; i < 8; i++)
		cache_put(&c, i, i + 1);
	ck_assert_int_eq(bufio_drop_buffers(c.client), 0);
	for (unsigned i = 0; i < 8; i++) {
		ck_assert(!cache_has(&c, i));
		ck_assert_uint_eq(cache_peek(&c, i), i + 1);
		ck_assert_uint_eq(cache_get(&c, i), i + 1);
	}
	ck_assert_uint_eq(cache_counts(&c).reads, 8);
}
END_TEST

START_TEST(drop_does_nothing_while_a_buffer_is_pinned)
{
	struct bufio_buffer *b = cache_hold(&c, 1);

	cache_get(&c, 2);
	cache_put(&c, 3, 33);
	bufio_pin(b);
	bufio_release(b);
	ck_assert_int_eq(bufio_drop_buffers(c.client), -EBUSY);
	ck_assert_int_eq(bufio_destroy(c.client), -EBUSY);
	ck_assert(cache_has(&c, 1) && cache_has(&c, 2) && cache_has(&c, 3));
	ck_assert_uint_eq(cache_counts(&c).writes, 0);
	bufio_unpin(b, false);
	ck_assert_int_eq(bufio_drop_buffers(c.client), 0);
	ck_assert_uint_eq(cache_peek(&c, 3), 33);
}
END_TEST

START_TEST(drop_leaves_what_is_held_and_takes_the_rest)
{
	struct bufio_buffer *b = cache_hold(&c, 1);

	cache_get(&c, 2);
	cache_put(&c, 3, 33);
	ck_assert_int_eq(bufio_drop_buffers(c.client), -EBUSY);
	ck_assert(cache_has(&c, 1) && !cache_has(&c, 2) && !cache_has(&c, 3));
	ck_assert_uint_eq(cache_peek(&c, 3), 33);
	bufio_release(b);
}
END_TEST

static TCase *forgetting(void)
{
	TCase *tc = tcase_create("forgetting");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, clean_block_is_forgotten_and_read_again);
	tcase_add_test(tc, dirty_or_held_block_is_not_forgotten);
	tcase_add_test(tc, forget_takes_only_its_range);
	tcase_add_test(tc, discarded_dirty_blocks_are_never_written);
	tcase_add_test(tc, held_block_is_not_discarded_but_its_neighbours_are);
	tcase_add_test(tc, discard_waits_for_a_write_in_flight);
	tcase_add_test(tc, nothing_is_cached_after_a_drop);
	tcase_add_test(tc, drop_does_nothing_while_a_buffer_is_pinned);
	tcase_add_test(tc, drop_leaves_what_is_held_and_takes_the_rest);
	return tc;
}

int main(void)
{
	TCase *const cases[] = {forgetting(), NULL};

	return cache_run("forget", cases);
}
