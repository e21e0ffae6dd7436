/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a user of a block cache relies on: when it reads, writes and evicts, and what calls at the
 * same time see.  The behaviours are those that the tests of LVM2's bcache and the kernel's rigs
 * for dm-bufio ask for.
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

/* Creating. */

START_TEST(client_without_work_does_no_transfer)
{
	struct bufio_record_counts counts;

	cache_flush(&c);
	ck_assert_int_eq(bufio_drop_buffers(c.client), 0);
	counts = cache_counts(&c);
	ck_assert_uint_eq(counts.reads + counts.writes + counts.flushes, 0);
}
END_TEST

START_TEST(options_that_make_no_sense_are_refused)
{
	static const unsigned sizes[] = {0,    1,    3,	      256,     1000,
					 1536, 4095, 3 << 20, 2 << 20, 1u << 31};
	struct bufio_client *client = NULL;
	struct bufio_options o;

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		cache_options(&o, NR_BUFFERS);
		o.block_bytes = sizes[i];
		ck_assert_int_eq(bufio_create(c.record, &o, &client), -EINVAL);
	}
	cache_options(&o, 0);
	ck_assert_int_eq(bufio_create(c.record, &o, &client), -EINVAL);
	cache_options(&o, NR_BUFFERS);
	o.cache_bytes = o.limit_bytes + 1;
	ck_assert_int_eq(bufio_create(c.record, &o, &client), -EINVAL);
	ck_assert_ptr_null(client);
}
END_TEST

START_TEST(every_block_size_serves)
{
	unsigned block_bytes = 512u << _i;
	struct bufio_options o;
	struct cache other;

	cache_options(&o, 2);
	o.block_bytes = block_bytes;
	o.cache_bytes = o.limit_bytes = 4ul * block_bytes;
	cache_init_options(&other, 16, &o);
	for (uint64_t i = 0; i < 16; i++)
		cache_put(&other, i, i + 100);
	cache_flush(&other);
	for (uint64_t i = 0; i < 16; i++)
		ck_assert_uint_eq(cache_get(&other, i), i + 100);
	ck_assert_int_eq(cache_try(&other, 16), -ERANGE);
	cache_finish(&other);
}
END_TEST

START_TEST(two_clients_do_not_mix)
{
	struct cache other;

	cache_init(&other, NR_BLOCKS, NR_BUFFERS);
	cache_put(&c, 3, 33);
	cache_put(&other, 3, 44);
	cache_flush(&c);
	cache_flush(&other);
	ck_assert_uint_eq(cache_peek(&c, 3), 33);
	ck_assert_uint_eq(cache_peek(&other, 3), 44);
	cache_finish(&other);
}
END_TEST

/* Reading. */

START_TEST(hundred_reads_of_a_block_cause_one_transfer)
{
	cache_poke(&c, 5, 55);
	for (unsigned i = 0; i < 100; i++)
		ck_assert_uint_eq(cache_get(&c, 5), 55);
	ck_assert_uint_eq(cache_counts(&c).reads, 1);
	ck_assert_uint_eq(cache_stats(&c).hits, 99);
	ck_assert_uint_eq(cache_stats(&c).misses, 1);
}
END_TEST

START_TEST(one_block_more_than_fits_costs_one_block)
{
	unsigned nr_cached = 0;

	for (unsigned i = 0; i <= NR_BUFFERS; i++)
		ck_assert_uint_eq(cache_get(&c, i), 0);
	ck_assert_uint_eq(cache_counts(&c).reads, NR_BUFFERS + 1);
	for (unsigned i = 0; i <= NR_BUFFERS; i++)
		nr_cached += cache_has(&c, i);
	ck_assert_uint_eq(nr_cached, NR_BUFFERS);
	ck_assert_uint_eq(cache_stats(&c).evictions, 1);
}
END_TEST

START_TEST(blocks_read_twice_outlive_those_read_once)
{
	const unsigned nr_hot = NR_BUFFERS / 2;

	for (unsigned i = 0; i < 2 * nr_hot; i++)
		cache_get(&c, i % nr_hot);
	for (unsigned i = 0; i < NR_BUFFERS; i++)
		cache_get(&c, 100 + i);
	for (unsigned i = 0; i < nr_hot; i++)
		ck_assert_msg(cache_has(&c, i), "block %u is gone", i);
}
END_TEST

START_TEST(concurrent_reads_of_a_block_cause_one_transfer)
{
	struct caller readers[8];

	gate_close(c.gate, BUFIO_FAULT_READ);
	for (unsigned i = 0; i < 8; i++)
		caller_start(&readers[i], &c, call_read, 7);
	gate_wait(c.gate, 1);
	gate_open(c.gate);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_int_eq(caller_join(&readers[i]), 0);
	ck_assert_uint_eq(cache_counts(&c).reads, 1);
}
END_TEST

START_TEST(get_finds_only_what_is_there)
{
	struct bufio_buffer *b = (struct bufio_buffer *)1;
	struct caller reader;

	ck_assert_int_eq(bufio_get(c.client, 7, &b), -ENOENT);
	ck_assert_ptr_null(b);
	ck_assert_int_eq(bufio_get(c.client, NR_BLOCKS, &b), -ERANGE);
	gate_close(c.gate, BUFIO_FAULT_READ);
	caller_start(&reader, &c, call_read, 7);
	gate_wait(c.gate, 1);
	ck_assert_int_eq(bufio_get(c.client, 7, &b), -EAGAIN);
	gate_open(c.gate);
	ck_assert_int_eq(caller_join(&reader), 0);
	ck_assert_int_eq(bufio_get(c.client, 7, &b), 0);
	bufio_release(b);
}
END_TEST

START_TEST(block_past_the_end_is_refused)
{
	struct bufio_buffer *b = (struct bufio_buffer *)1;

	ck_assert_int_eq(bufio_read(c.client, NR_BLOCKS, &b), -ERANGE);
	ck_assert_ptr_null(b);
	ck_assert_int_eq(bufio_new(c.client, UINT64_MAX, &b), -ERANGE);
	ck_assert_int_eq(bufio_prefetch(c.client, NR_BLOCKS - 1, 2), -ERANGE);
	ck_assert_int_eq(bufio_prefetch(c.client, 2, UINT64_MAX), -ERANGE);
	ck_assert_int_eq(bufio_write_range(c.client, 1, UINT64_MAX), -ERANGE);
	ck_assert_int_eq(bufio_discard_buffers(c.client, UINT64_MAX, 2), -ERANGE);
	ck_assert_uint_eq(cache_counts(&c).reads, 0);
}
END_TEST

START_TEST(held_buffers_stay_while_all_else_is_evicted)
{
	struct bufio_buffer *held[NR_BUFFERS - 1];
	void *data[NR_BUFFERS - 1];

	for (unsigned i = 0; i < NR_BUFFERS - 1; i++) {
		cache_poke(&c, i, i + 1);
		held[i] = cache_hold(&c, i);
		data[i] = bufio_data(held[i]);
	}
	for (unsigned i = 100; i < 200; i++)
		cache_get(&c, i);
	for (unsigned i = 0; i < NR_BUFFERS - 1; i++) {
		ck_assert_ptr_eq(bufio_data(held[i]), data[i]);
		ck_assert_uint_eq(bufio_block(held[i]), i);
		ck_assert_uint_eq(cache_value(held[i]), i + 1);
		bufio_release(held[i]);
	}
}
END_TEST

/* Reading ahead. */

START_TEST(prefetch_does_not_wait)
{
	gate_close(c.gate, BUFIO_FAULT_READ);
	for (unsigned i = 0; i < 10; i++)
		ck_assert_int_eq(bufio_prefetch(c.client, i * 2, 1), 0);
	ck_assert_uint_eq(gate_kept(c.gate), 10);
	gate_open(c.gate);
	for (unsigned i = 0; i < 10; i++)
		cache_get(&c, i * 2);
	ck_assert_uint_eq(cache_counts(&c).reads, 10);
}
END_TEST

START_TEST(prefetch_of_more_than_fits_skips_the_rest)
{
	gate_close(c.gate, BUFIO_FAULT_READ);
	for (unsigned i = 0; i < 10 * NR_BUFFERS; i++)
		ck_assert_int_eq(bufio_prefetch(c.client, i * 2, 1), 0);
	ck_assert_uint_eq(gate_kept(c.gate), NR_BUFFERS);
	gate_open(c.gate);
	for (unsigned i = 0; i < NR_BUFFERS; i++)
		cache_get(&c, i * 2);
	ck_assert_uint_eq(cache_counts(&c).reads, NR_BUFFERS);
}
END_TEST

START_TEST(prefetch_of_what_is_cached_reads_nothing)
{
	cache_get(&c, 3);
	ck_assert_int_eq(bufio_prefetch(c.client, 3, 1), 0);
	ck_assert_int_eq(bufio_prefetch(c.client, 3, 0), 0);
	ck_assert_uint_eq(cache_counts(&c).reads, 1);
}
END_TEST

START_TEST(read_waits_for_the_prefetch_of_its_block)
{
	struct caller reader;

	cache_poke(&c, 9, 99);
	gate_close(c.gate, BUFIO_FAULT_READ);
	ck_assert_int_eq(bufio_prefetch(c.client, 9, 1), 0);
	caller_start(&reader, &c, call_read, 9);
	gate_open(c.gate);
	ck_assert_int_eq(caller_join(&reader), 0);
	ck_assert_uint_eq(cache_get(&c, 9), 99);
	ck_assert_uint_eq(cache_counts(&c).reads, 1);
}
END_TEST

static int call_drop(struct cache *x, uint64_t argument)
{
	return bufio_drop_buffers(x->client);
}

START_TEST(drop_waits_for_prefetches_and_they_start_anew)
{
	struct caller drop;

	for (unsigned turn = 0; turn < 2; turn++) {
		gate_close(c.gate, BUFIO_FAULT_READ);
		for (unsigned i = 0; i < NR_BUFFERS; i++)
			ck_assert_int_eq(bufio_prefetch(c.client, i * 2, 1), 0);
		ck_assert_uint_eq(gate_kept(c.gate), NR_BUFFERS);
		caller_start(&drop, &c, call_drop, 0);
		gate_open(c.gate);
		ck_assert_int_eq(caller_join(&drop), 0);
	}
	ck_assert_uint_eq(cache_counts(&c).reads, 2 * NR_BUFFERS);
}
END_TEST

/* Writing. */

START_TEST(new_reads_nothing_and_is_zero)
{
	struct bufio_buffer *b;

	cache_poke(&c, 4, 44);
	ck_assert_int_eq(bufio_new(c.client, 4, &b), 0);
	ck_assert_uint_eq(cache_value(b), 0);
	bufio_mark_dirty(b);
	bufio_release(b);
	cache_flush(&c);
	ck_assert_uint_eq(cache_peek(&c, 4), 0);
	ck_assert_uint_eq(cache_counts(&c).reads, 0);
	ck_assert_uint_eq(cache_counts(&c).writes, 1);
}
END_TEST

START_TEST(new_of_a_cached_block_has_its_contents)
{
	struct bufio_buffer *b;

	cache_put(&c, 4, 44);
	ck_assert_int_eq(bufio_new(c.client, 4, &b), 0);
	ck_assert_uint_eq(cache_value(b), 44);
	bufio_release(b);
	ck_assert_uint_eq(cache_get(&c, 4), 44);
}
END_TEST

START_TEST(destroy_writes_what_is_dirty)
{
	struct bufio_options o;

	cache_put(&c, 6, 66);
	ck_assert_int_eq(bufio_destroy(c.client), 0);
	ck_assert_uint_eq(cache_peek(&c, 6), 66);
	ck_assert_uint_eq(cache_counts(&c).flushes, 1);
	cache_options(&o, NR_BUFFERS);
	ck_assert_int_eq(bufio_create(c.record, &o, &c.client), 0);
}
END_TEST

START_TEST(dirty_blocks_make_room_without_a_flush)
{
	for (unsigned i = 0; i < 10 * NR_BUFFERS; i++)
		cache_put(&c, i, i + 1);
	for (unsigned i = 0; i < 10 * NR_BUFFERS; i++)
		ck_assert_uint_eq(cache_get(&c, i), i + 1);
	ck_assert_uint_le(cache_stats(&c).peak_buffers, NR_BUFFERS);
}
END_TEST

START_TEST(flush_writes_each_dirty_block_once_and_nothing_else)
{
	for (unsigned i = 0; i < NR_BUFFERS; i++)
		cache_get(&c, i);
	for (unsigned i = 1; i < NR_BUFFERS; i += 2)
		cache_put(&c, i, i);
	cache_flush(&c);
	ck_assert_uint_eq(cache_counts(&c).writes, NR_BUFFERS / 2);
	ck_assert_uint_eq(cache_counts(&c).flushes, 1);
	cache_flush(&c);
	ck_assert_uint_eq(cache_counts(&c).writes, NR_BUFFERS / 2);
}
END_TEST

START_TEST(adjoining_blocks_are_written_together)
{
	for (unsigned i = NR_BUFFERS; i-- > 0;)
		cache_put(&c, i, i + 1);
	cache_flush(&c);
	ck_assert_uint_eq(cache_counts(&c).writes, 1);
	for (unsigned i = 0; i < NR_BUFFERS; i++)
		ck_assert_uint_eq(cache_peek(&c, i), i + 1);
}
END_TEST

START_TEST(held_dirty_block_is_flushed_too)
{
	struct bufio_buffer *b = cache_hold(&c, 8);

	cache_fill(b, 88);
	bufio_mark_dirty(b);
	cache_flush(&c);
	ck_assert_uint_eq(cache_peek(&c, 8), 88);
	bufio_release(b);
}
END_TEST

START_TEST(change_during_a_write_is_written_again)
{
	struct bufio_buffer *b = cache_hold(&c, 8);
	struct caller flush;

	cache_fill(b, 1);
	bufio_mark_dirty(b);
	gate_close(c.gate, BUFIO_FAULT_WRITE);
	caller_start(&flush, &c, call_flush, 0);
	gate_wait(c.gate, 1);
	cache_fill(b, 2);
	bufio_mark_dirty(b);
	bufio_release(b);
	gate_open(c.gate);
	ck_assert_int_eq(caller_join(&flush), 0);
	cache_flush(&c);
	ck_assert_uint_eq(cache_peek(&c, 8), 2);
	ck_assert_uint_eq(cache_stats(&c).nr_dirty, 0);
}
END_TEST

/* Entry of the log, or its end. */
static size_t log_find(enum bufio_record_kind kind)
{
	size_t i = 0;

	while (i < bufio_engine_record_count(c.record) &&
	       bufio_engine_record_get(c.record, i)->kind != kind)
		i++;
	return i;
}

START_TEST(flush_waits_for_a_write_already_in_flight)
{
	struct caller flush;

	cache_put(&c, 8, 88);
	gate_close(c.gate, BUFIO_FAULT_WRITE);
	bufio_write_dirty_buffers_async(c.client);
	gate_wait(c.gate, 1);
	caller_start(&flush, &c, call_flush, 0);
	gate_open(c.gate);
	ck_assert_int_eq(caller_join(&flush), 0);
	ck_assert_uint_lt(log_find(BUFIO_RECORD_COMPLETE), log_find(BUFIO_RECORD_FLUSH_BEGIN));
	ck_assert_uint_lt(log_find(BUFIO_RECORD_FLUSH_END), bufio_engine_record_count(c.record));
	ck_assert_uint_eq(cache_counts(&c).writes, 1);
}
END_TEST

START_TEST(block_being_written_is_read_from_memory)
{
	struct caller flush;

	cache_put(&c, 8, 88);
	gate_close(c.gate, BUFIO_FAULT_WRITE);
	caller_start(&flush, &c, call_flush, 0);
	gate_wait(c.gate, 1);
	ck_assert_uint_eq(cache_get(&c, 8), 88);
	for (unsigned i = 100; i < 200; i++)
		cache_get(&c, i);
	ck_assert_uint_eq(cache_get(&c, 8), 88);
	ck_assert_uint_eq(cache_counts(&c).reads, 100);
	gate_open(c.gate);
	ck_assert_int_eq(caller_join(&flush), 0);
}
END_TEST

START_TEST(hits_go_on_while_a_flush_waits_for_the_device)
{
	struct caller flush;

	cache_put(&c, 1, 11);
	cache_get(&c, 2);
	gate_close(c.gate, BUFIO_FAULT_WRITE | BUFIO_FAULT_FLUSH);
	caller_start(&flush, &c, call_flush, 0);
	gate_wait(c.gate, 1);
	ck_assert_uint_eq(cache_get(&c, 2), 0);
	cache_put(&c, 3, 33);
	gate_pass(c.gate, 0);
	gate_wait(c.gate, 1); /* now the device's flush */
	ck_assert_uint_eq(cache_get(&c, 1), 11);
	cache_put(&c, 1, 12);
	cache_get(&c, 50);
	gate_open(c.gate);
	ck_assert_int_eq(caller_join(&flush), 0);
	ck_assert_uint_eq(cache_get(&c, 1), 12);
}
END_TEST

START_TEST(concurrent_flushes_share_one_of_the_device)
{
	struct caller flush[8];

	cache_put(&c, 0, 1);
	gate_close(c.gate, BUFIO_FAULT_FLUSH);
	caller_start(&flush[0], &c, call_flush, 0);
	gate_wait(c.gate, 1);
	cache_put(&c, 1, 1);
	for (unsigned i = 1; i < 8; i++)
		caller_start(&flush[i], &c, call_flush, 0);
	gate_open(c.gate);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_int_eq(caller_join(&flush[i]), 0);
	/* One that ran, one that covers who came meanwhile; a straggler has nothing to flush. */
	ck_assert_uint_eq(cache_counts(&c).flushes, 2);
}
END_TEST

/* Stampers: the kernel's rig. */

static int call_stamp(struct cache *x, uint64_t first)
{
	for (uint64_t i = first; i < first + 64; i++) {
		struct bufio_buffer *b = cache_hold(x, i);

		bufio_pin(b);
		cache_fill(b, i * 7 + 1);
		bufio_unpin(b, true);
		bufio_release(b);
		cache_flush(x);
		bufio_forget(x->client, i);
		if (cache_get(x, i) != i * 7 + 1)
			return -EUCLEAN;
	}
	return 0;
}

START_TEST(stamps_are_read_back_after_flush_and_forget)
{
	struct caller stampers[16];
	unsigned nr = _i ? 16 : 1;

	for (unsigned i = 0; i < nr; i++)
		caller_start(&stampers[i], &c, call_stamp, i * 64);
	for (unsigned i = 0; i < nr; i++)
		ck_assert_int_eq(caller_join(&stampers[i]), 0);
	for (unsigned i = 0; i < nr * 64; i++)
		ck_assert_uint_eq(cache_peek(&c, i), i * 7 + 1);
	ck_assert_uint_le(cache_stats(&c).peak_buffers, NR_BUFFERS);
}
END_TEST

static int call_new(struct cache *x, uint64_t first)
{
	for (uint64_t i = first; i < NR_BLOCKS; i += 16)
		cache_put(x, i, i + 1);
	return 0;
}

START_TEST(sixteen_threads_make_new_blocks)
{
	struct caller makers[16];

	for (unsigned i = 0; i < 16; i++)
		caller_start(&makers[i], &c, call_new, i);
	for (unsigned i = 0; i < 16; i++)
		ck_assert_int_eq(caller_join(&makers[i]), 0);
	cache_flush(&c);
	for (unsigned i = 0; i < NR_BLOCKS; i++)
		ck_assert_uint_eq(cache_peek(&c, i), i + 1);
	ck_assert_uint_eq(cache_counts(&c).reads, 0);
	ck_assert_uint_le(cache_stats(&c).peak_buffers, NR_BUFFERS);
}
END_TEST

static TCase *reading(void)
{
	TCase *tc = tcase_create("reading");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, client_without_work_does_no_transfer);
	tcase_add_test(tc, options_that_make_no_sense_are_refused);
	tcase_add_loop_test(tc, every_block_size_serves, 0, 12);
	tcase_add_test(tc, two_clients_do_not_mix);
	tcase_add_test(tc, hundred_reads_of_a_block_cause_one_transfer);
	tcase_add_test(tc, one_block_more_than_fits_costs_one_block);
	tcase_add_test(tc, blocks_read_twice_outlive_those_read_once);
	tcase_add_test(tc, concurrent_reads_of_a_block_cause_one_transfer);
	tcase_add_test(tc, get_finds_only_what_is_there);
	tcase_add_test(tc, block_past_the_end_is_refused);
	tcase_add_test(tc, held_buffers_stay_while_all_else_is_evicted);
	tcase_add_test(tc, prefetch_does_not_wait);
	tcase_add_test(tc, prefetch_of_more_than_fits_skips_the_rest);
	tcase_add_test(tc, prefetch_of_what_is_cached_reads_nothing);
	tcase_add_test(tc, read_waits_for_the_prefetch_of_its_block);
	tcase_add_test(tc, drop_waits_for_prefetches_and_they_start_anew);
	return tc;
}

static TCase *writing(void)
{
	TCase *tc = tcase_create("writing");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, new_reads_nothing_and_is_zero);
	tcase_add_test(tc, new_of_a_cached_block_has_its_contents);
	tcase_add_test(tc, destroy_writes_what_is_dirty);
	tcase_add_test(tc, dirty_blocks_make_room_without_a_flush);
	tcase_add_test(tc, flush_writes_each_dirty_block_once_and_nothing_else);
	tcase_add_test(tc, adjoining_blocks_are_written_together);
	tcase_add_test(tc, held_dirty_block_is_flushed_too);
	tcase_add_test(tc, change_during_a_write_is_written_again);
	tcase_add_test(tc, flush_waits_for_a_write_already_in_flight);
	tcase_add_test(tc, block_being_written_is_read_from_memory);
	tcase_add_test(tc, hits_go_on_while_a_flush_waits_for_the_device);
	tcase_add_test(tc, concurrent_flushes_share_one_of_the_device);
	tcase_add_test(tc, sixteen_threads_make_new_blocks);
	tcase_add_loop_test(tc, stamps_are_read_back_after_flush_and_forget, 0, 2);
	return tc;
}

int main(void)
{
	TCase *const cases[] = {reading(), writing(), NULL};

	return cache_run("cache", cases);
}
