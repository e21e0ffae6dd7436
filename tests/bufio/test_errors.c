/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Errors keep data: whoever asks hears of them, nothing is lost, a mended device gets all.  And
 * progress: whoever keeps the rule of holding gets on, whatever others hold.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
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

/* Reads. */

START_TEST(failed_read_is_told_and_not_cached)
{
	cache_poke(&c, 3, 33);
	cache_fail(&c, BUFIO_FAULT_READ, 2);
	ck_assert_int_eq(cache_try(&c, 3), -EIO);
	ck_assert(!cache_has(&c, 3));
	ck_assert_int_eq(cache_try(&c, 3), -EIO);
	ck_assert_uint_eq(cache_get(&c, 3), 33);
	ck_assert_uint_eq(cache_counts(&c).reads, 3);
	ck_assert_uint_eq(cache_stats(&c).read_errors, 2);
}
END_TEST

START_TEST(failing_reads_leak_no_buffer)
{
	cache_fail(&c, BUFIO_FAULT_READ, 0);
	for (unsigned i = 0; i < 10 * NR_BUFFERS; i++)
		ck_assert_int_eq(cache_try(&c, i), -EIO);
	for (unsigned i = 0; i < 10 * NR_BUFFERS; i++)
		ck_assert_int_eq(bufio_prefetch(c.client, i, 1), 0);
	cache_mend(&c);
	for (unsigned i = 0; i < NR_BUFFERS; i++)
		cache_put(&c, i, i);
	ck_assert_uint_eq(cache_stats(&c).nr_held, 0);
}
END_TEST

START_TEST(all_who_wait_for_a_failing_read_hear_of_it)
{
	struct caller readers[4];

	cache_fail(&c, BUFIO_FAULT_READ, 0);
	gate_close(c.gate, BUFIO_FAULT_READ);
	for (unsigned i = 0; i < 4; i++)
		caller_start(&readers[i], &c, call_read, 7);
	gate_wait(c.gate, 1);
	gate_open(c.gate);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(caller_join(&readers[i]), -EIO);
	cache_mend(&c);
	ck_assert_uint_eq(cache_get(&c, 7), 0);
}
END_TEST

static int call_new(struct cache *x, uint64_t block)
{
	cache_put(x, block, 70);
	return 0;
}

START_TEST(new_does_not_get_the_error_of_anothers_read)
{
	struct caller reader, maker;

	cache_fail(&c, BUFIO_FAULT_READ, 0);
	gate_close(c.gate, BUFIO_FAULT_READ);
	caller_start(&reader, &c, call_read, 7);
	gate_wait(c.gate, 1);
	caller_start(&maker, &c, call_new, 7);
	gate_open(c.gate);
	ck_assert_int_eq(caller_join(&reader), -EIO);
	ck_assert_int_eq(caller_join(&maker), 0);
	ck_assert_uint_eq(cache_get(&c, 7), 70);
}
END_TEST

/* Writes. */

START_TEST(failed_write_keeps_the_data_until_a_write_succeeds)
{
	cache_put(&c, 3, 33);
	cache_fail(&c, BUFIO_FAULT_WRITE, 0);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(bufio_write_dirty_buffers(c.client), -EIO);
		ck_assert_uint_eq(cache_get(&c, 3), 33);
		ck_assert_uint_eq(cache_stats(&c).nr_dirty, 1);
	}
	ck_assert_uint_eq(cache_peek(&c, 3), 0);
	cache_mend(&c);
	cache_flush(&c);
	ck_assert_uint_eq(cache_peek(&c, 3), 33);
	cache_flush(&c);
	ck_assert_uint_eq(cache_stats(&c).nr_dirty, 0);
}
END_TEST

START_TEST(only_the_bad_block_of_a_merged_write_stays_dirty)
{
	for (unsigned i = 0; i < 8; i++)
		cache_put(&c, i, i + 1);
	cache_fail_block(&c, BUFIO_FAULT_WRITE, 5);
	ck_assert_int_eq(bufio_write_dirty_buffers(c.client), -EIO);
	ck_assert_uint_eq(cache_stats(&c).nr_dirty, 1);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_uint_eq(cache_peek(&c, i), i == 5 ? 0 : i + 1);
	cache_mend(&c);
	cache_flush(&c);
	ck_assert_uint_eq(cache_peek(&c, 5), 6);
}
END_TEST

/* The device's cache may be what failed, of which only a flush tells. */
START_TEST(durable_write_that_fails_is_a_write_and_a_flush)
{
	cache_put(&c, 3, 33);
	cache_fail(&c, BUFIO_FAULT_WRITE, 1);
	ck_assert_int_eq(bufio_write_durably(c.client, 3, 1), 0);
	ck_assert_uint_eq(cache_peek(&c, 3), 33);
	ck_assert_uint_eq(cache_counts(&c).durable_writes, 1);
	ck_assert_uint_eq(cache_counts(&c).writes, 2);
	cache_fail(&c, BUFIO_FAULT_FLUSH, 1);
	ck_assert_int_eq(bufio_flush_written(c.client), -EIO);
	ck_assert_uint_eq(cache_stats(&c).nr_dirty, 1);
	/* in doubt: a durable write would not do, for all that the flush lost has to be told */
	ck_assert_int_eq(bufio_write_durably(c.client, 3, 1), 0);
	ck_assert_uint_eq(cache_counts(&c).durable_writes, 1);
	ck_assert_int_eq(bufio_flush_written(c.client), 0);
}
END_TEST

START_TEST(durable_write_of_a_bad_block_leaves_it_dirty)
{
	for (unsigned i = 0; i < 4; i++)
		cache_put(&c, i, i + 1);
	cache_fail_block(&c, BUFIO_FAULT_WRITE, 2);
	ck_assert_int_eq(bufio_write_durably(c.client, 0, 4), -EIO);
	ck_assert_uint_eq(cache_stats(&c).nr_dirty, 1);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_uint_eq(cache_peek(&c, i), i == 2 ? 0 : i + 1);
}
END_TEST

START_TEST(torn_write_is_written_whole_by_the_next)
{
	cache_put(&c, 3, 33);
	cache_fail(&c, BUFIO_FAULT_WRITE, 1);
	bufio_engine_fault_torn(c.fault, true);
	ck_assert_int_eq(bufio_write_dirty_buffers(c.client), -EIO);
	cache_flush(&c);
	ck_assert_uint_eq(cache_peek(&c, 3), 33);
}
END_TEST

START_TEST(block_whose_write_fails_is_never_evicted)
{
	cache_put(&c, 0, 99);
	cache_fail_block(&c, BUFIO_FAULT_WRITE, 0);
	ck_assert_int_eq(bufio_write_dirty_buffers(c.client), -EIO);
	for (unsigned i = 1; i < 20 * NR_BUFFERS; i++)
		ck_assert_int_eq(cache_try(&c, i), 0);
	for (unsigned i = 1; i < 4 * NR_BUFFERS; i++)
		cache_put(&c, i, i);
	bufio_forget(c.client, 0);
	ck_assert_uint_eq(cache_get(&c, 0), 99);
	cache_mend(&c);
	cache_flush(&c);
	ck_assert_uint_eq(cache_peek(&c, 0), 99);
}
END_TEST

START_TEST(concurrent_flushes_all_hear_of_the_error)
{
	struct caller flush[4];

	cache_put(&c, 1, 1);
	cache_fail(&c, BUFIO_FAULT_WRITE, 0);
	for (unsigned i = 0; i < 4; i++)
		caller_start(&flush[i], &c, call_flush, 0);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(caller_join(&flush[i]), -EIO);
	ck_assert_uint_eq(cache_get(&c, 1), 1);
}
END_TEST

START_TEST(concurrent_flushes_all_hear_of_a_failed_flush_of_the_device)
{
	struct caller flush[4];

	cache_put(&c, 1, 1);
	cache_fail(&c, BUFIO_FAULT_FLUSH, 0);
	for (unsigned i = 0; i < 4; i++)
		caller_start(&flush[i], &c, call_flush, 0);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(caller_join(&flush[i]), -EIO);
	ck_assert_uint_eq(cache_stats(&c).nr_dirty, 1);
	cache_mend(&c);
	cache_flush(&c);
}
END_TEST

START_TEST(flush_that_fails_after_an_eviction_is_told_until_abandoned)
{
	for (unsigned i = 0; i < 4; i++)
		cache_put(&c, i, i + 1);
	ck_assert_int_eq(bufio_write_range(c.client, 0, 4), 0);
	for (unsigned i = 100; i < 100 + 4 * NR_BUFFERS; i++)
		cache_get(&c, i);
	ck_assert(!cache_has(&c, 0));
	cache_fail(&c, BUFIO_FAULT_FLUSH, 1);
	/* Each time: the data may be lost, and we do not have it any more. */
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(bufio_write_dirty_buffers(c.client), -EIO);
	ck_assert_uint_eq(bufio_abandon(c.client), 0);
	cache_flush(&c);
}
END_TEST

START_TEST(write_range_tells_of_its_own_blocks_only)
{
	cache_put(&c, 3, 33);
	cache_put(&c, 50, 55);
	cache_fail_block(&c, BUFIO_FAULT_WRITE, 3);
	ck_assert_int_eq(bufio_write_range(c.client, 50, 1), 0);
	ck_assert_uint_eq(cache_peek(&c, 50), 55);
	ck_assert_int_eq(bufio_write_range(c.client, 0, 10), -EIO);
	ck_assert_uint_eq(cache_get(&c, 3), 33);
}
END_TEST

START_TEST(reader_who_evicts_does_not_get_the_write_error)
{
	for (unsigned i = 0; i < NR_BUFFERS - 2; i++)
		cache_put(&c, i, i + 1);
	cache_fail(&c, BUFIO_FAULT_WRITE, 0);
	bufio_write_dirty_buffers_async(c.client);
	for (unsigned i = 100; i < 200; i++)
		ck_assert_int_eq(cache_try(&c, i), 0);
	cache_mend(&c);
	cache_flush(&c);
	for (unsigned i = 0; i < NR_BUFFERS - 2; i++)
		ck_assert_uint_eq(cache_peek(&c, i), i + 1);
}
END_TEST

START_TEST(destroy_and_drop_tell_the_error_and_keep_the_client)
{
	cache_put(&c, 3, 33);
	cache_fail(&c, BUFIO_FAULT_WRITE, 0);
	ck_assert_int_eq(bufio_drop_buffers(c.client), -EIO);
	ck_assert_int_eq(bufio_destroy(c.client), -EIO);
	ck_assert_uint_eq(cache_get(&c, 3), 33);
	cache_fail(&c, BUFIO_FAULT_FLUSH, 1);
	ck_assert_int_eq(bufio_destroy(c.client), -EIO);
	ck_assert_uint_eq(cache_get(&c, 3), 33);
}
END_TEST

START_TEST(abandoned_data_is_gone_and_counted)
{
	struct bufio_buffer *b;

	cache_poke(&c, 1, 11);
	for (unsigned i = 0; i < 4; i++)
		cache_put(&c, i, 100);
	b = cache_hold(&c, 3);
	cache_fail(&c, BUFIO_FAULT_WRITE, 0);
	ck_assert_int_eq(bufio_write_dirty_buffers(c.client), -EIO);
	ck_assert_uint_eq(bufio_abandon(c.client), 3);
	ck_assert_uint_eq(cache_get(&c, 1), 11);
	ck_assert_uint_eq(cache_value(b), 100);
	bufio_release(b);
	ck_assert_uint_eq(bufio_abandon(c.client), 1);
	ck_assert_int_eq(bufio_write_dirty_buffers(c.client), 0);
}
END_TEST

struct heard {
	pthread_mutex_t lock;
	unsigned nr;
	uint64_t block;
	int error;
};

static void hear(void *context, uint64_t block, int error)
{
	struct heard *h = context;

	pthread_mutex_lock(&h->lock);
	h->nr++;
	h->block = block;
	h->error = error;
	pthread_mutex_unlock(&h->lock);
}

START_TEST(owner_is_told_block_and_error_of_each_failed_write)
{
	static const struct bufio_callbacks callbacks = {.write_error = hear};
	struct heard heard = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct bufio_options o;
	struct cache other;

	cache_options(&o, NR_BUFFERS);
	o.callbacks = &callbacks;
	o.callback_context = &heard;
	cache_init_options(&other, NR_BLOCKS, &o);
	for (unsigned i = 0; i < 8; i++)
		cache_put(&other, i, 1);
	cache_fail_block(&other, BUFIO_FAULT_WRITE, 5);
	ck_assert_int_eq(bufio_write_dirty_buffers(other.client), -EIO);
	ck_assert_uint_eq(heard.nr, 1);
	ck_assert_uint_eq(heard.block, 5);
	ck_assert_int_eq(heard.error, -EIO);
	cache_finish(&other);
}
END_TEST

START_TEST(failed_extents_change_nothing_that_is_cached)
{
	char *data;
	struct iovec iov;

	ck_assert_int_eq(posix_memalign((void **)&data, 4096, 4 * CACHE_BLOCK), 0);
	memset(data, 7, 4 * CACHE_BLOCK);
	iov = (struct iovec){data, 4 * CACHE_BLOCK};
	cache_put(&c, 2, 22);
	cache_fail(&c, BUFIO_FAULT_READ | BUFIO_FAULT_WRITE, 0);
	ck_assert_int_eq(
		bufio_read_extent(c.client, &(struct bufio_extent){0, 4, &iov, 1}, NULL, NULL),
		-EIO);
	ck_assert_int_eq(
		bufio_write_extent(c.client, &(struct bufio_extent){0, 4, &iov, 1}, NULL, NULL),
		-EIO);
	cache_mend(&c);
	ck_assert_uint_eq(cache_get(&c, 2), 22);
	cache_flush(&c);
	ck_assert_uint_eq(cache_peek(&c, 2), 22);
	free(data);
}
END_TEST

START_TEST(late_writes_and_flushes_are_waited_for)
{
	struct bufio_fault f = {.ops = BUFIO_FAULT_ANY, .delay_us = 20000};

	bufio_engine_fault_set(c.fault, &f);
	for (unsigned i = 0; i < 4; i++)
		cache_put(&c, i * 2, i + 1);
	cache_flush(&c);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_uint_eq(cache_peek(&c, i * 2), i + 1);
}
END_TEST

/* Progress.  A hang is caught by the time limit of the test. */

START_TEST(one_free_buffer_is_enough_for_the_others)
{
	struct bufio_buffer *held[NR_BUFFERS - 1];
	struct caller readers[4];

	for (unsigned i = 0; i < NR_BUFFERS - 1; i++) {
		held[i] = cache_hold(&c, i);
		bufio_mark_dirty(held[i]);
	}
	for (unsigned i = 100; i < 300; i++)
		cache_put(&c, i, i);
	for (unsigned round = 0; round < 50; round++) {
		for (unsigned i = 0; i < 4; i++)
			caller_start(&readers[i], &c, call_read, 300 + round * 4 + i);
		for (unsigned i = 0; i < 4; i++)
			ck_assert_int_eq(caller_join(&readers[i]), 0);
	}
	for (unsigned i = 0; i < NR_BUFFERS - 1; i++)
		bufio_release(held[i]);
	ck_assert_uint_le(cache_stats(&c).peak_buffers, NR_BUFFERS);
}
END_TEST

static int call_change_many(struct cache *x, uint64_t number)
{
	for (uint64_t i = 0; i < 200; i++) {
		uint64_t block = (number * 31 + i * 17) % NR_BLOCKS;
		struct bufio_buffer *b = cache_hold(x, block);

		bufio_pin(b);
		bufio_unpin(b, true);
		bufio_release(b);
	}
	return 0;
}

START_TEST(as_many_threads_as_buffers_get_on)
{
	struct caller threads[NR_BUFFERS];

	for (unsigned i = 0; i < NR_BUFFERS; i++)
		caller_start(&threads[i], &c, call_change_many, i);
	for (unsigned i = 0; i < NR_BUFFERS; i++)
		ck_assert_int_eq(caller_join(&threads[i]), 0);
	ck_assert_uint_le(cache_stats(&c).peak_buffers, NR_BUFFERS);
}
END_TEST

static int call_move(struct cache *x, uint64_t number)
{
	for (unsigned i = 0; i < 500; i++) {
		uint64_t from = (number + i) % 2;
		int r = bufio_release_move(cache_hold(x, from), 1 - from);

		if (r)
			return r;
	}
	return 0;
}

START_TEST(crossed_moves_get_on)
{
	struct caller threads[4];

	cache_put(&c, 0, 1);
	cache_put(&c, 1, 2);
	for (unsigned i = 0; i < 4; i++)
		caller_start(&threads[i], &c, call_move, i);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(caller_join(&threads[i]), 0);
	cache_flush(&c);
	for (unsigned i = 0; i < 2; i++)
		ck_assert(cache_peek(&c, i) == 1 || cache_peek(&c, i) == 2);
}
END_TEST

static int call_move_big(struct cache *x, uint64_t number)
{
	for (unsigned i = 0; i < 100; i++) {
		int r = bufio_release_move(cache_hold(x, number), 2);

		if (r)
			return r;
	}
	return 0;
}

static int call_look(struct cache *x, uint64_t block)
{
	for (unsigned i = 0; i < 500; i++)
		cache_get(x, block); /* asserts that it is of one piece */
	return 0;
}

START_TEST(target_of_a_move_is_read_whole)
{
	struct bufio_options o;
	struct caller threads[3];
	struct cache big;

	cache_options(&o, NR_BUFFERS);
	o.block_bytes = 1 << 20;
	o.cache_bytes = o.limit_bytes = (size_t)NR_BUFFERS << 20;
	cache_init_options(&big, 4, &o);
	cache_put(&big, 0, 1);
	cache_put(&big, 1, 2);
	caller_start(&threads[0], &big, call_move_big, 0);
	caller_start(&threads[1], &big, call_move_big, 1);
	caller_start(&threads[2], &big, call_look, 2);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(caller_join(&threads[i]), 0);
	cache_finish(&big);
}
END_TEST

START_TEST(waiter_gets_the_buffer_that_is_released)
{
	struct bufio_buffer *held[NR_BUFFERS];
	struct caller reader;

	for (unsigned i = 0; i < NR_BUFFERS; i++)
		held[i] = cache_hold(&c, i);
	caller_start(&reader, &c, call_read, 100);
	for (unsigned i = 0; i < NR_BUFFERS; i++)
		bufio_release(held[i]);
	ck_assert_int_eq(caller_join(&reader), 0);
	ck_assert_uint_eq(cache_stats(&c).peak_buffers, NR_BUFFERS);
}
END_TEST

static TCase *errors(void)
{
	TCase *tc = tcase_create("errors");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, failed_read_is_told_and_not_cached);
	tcase_add_test(tc, failing_reads_leak_no_buffer);
	tcase_add_test(tc, all_who_wait_for_a_failing_read_hear_of_it);
	tcase_add_test(tc, new_does_not_get_the_error_of_anothers_read);
	tcase_add_test(tc, failed_write_keeps_the_data_until_a_write_succeeds);
	tcase_add_test(tc, only_the_bad_block_of_a_merged_write_stays_dirty);
	tcase_add_test(tc, durable_write_that_fails_is_a_write_and_a_flush);
	tcase_add_test(tc, durable_write_of_a_bad_block_leaves_it_dirty);
	tcase_add_test(tc, torn_write_is_written_whole_by_the_next);
	tcase_add_test(tc, block_whose_write_fails_is_never_evicted);
	tcase_add_test(tc, concurrent_flushes_all_hear_of_the_error);
	tcase_add_test(tc, concurrent_flushes_all_hear_of_a_failed_flush_of_the_device);
	tcase_add_test(tc, flush_that_fails_after_an_eviction_is_told_until_abandoned);
	tcase_add_test(tc, write_range_tells_of_its_own_blocks_only);
	tcase_add_test(tc, reader_who_evicts_does_not_get_the_write_error);
	tcase_add_test(tc, destroy_and_drop_tell_the_error_and_keep_the_client);
	tcase_add_test(tc, abandoned_data_is_gone_and_counted);
	tcase_add_test(tc, owner_is_told_block_and_error_of_each_failed_write);
	tcase_add_test(tc, failed_extents_change_nothing_that_is_cached);
	tcase_add_test(tc, late_writes_and_flushes_are_waited_for);
	return tc;
}

static TCase *progress(void)
{
	TCase *tc = tcase_create("progress");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, one_free_buffer_is_enough_for_the_others);
	tcase_add_test(tc, as_many_threads_as_buffers_get_on);
	tcase_add_test(tc, crossed_moves_get_on);
	tcase_add_test(tc, target_of_a_move_is_read_whole);
	tcase_add_test(tc, waiter_gets_the_buffer_that_is_released);
	return tc;
}

int main(void)
{
	TCase *const cases[] = {errors(), progress(), NULL};

	return cache_run("errors", cases);
}
