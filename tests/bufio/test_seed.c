/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The defects of the 2008 seed of dm-bufio.  Each test says which lines of the seed it catches: a
 * literal transcription fails it, by losing data, by a BUG(), or by hanging until the time is up.
 * test_seed_model.c runs the scenarios on a model of the seed, where they do go wrong.
 *
 * Without a test of their own, for they are not to be seen in a result: the missing barrier of
 * wait_on_bit() and the buffer that is touched after its bit was cleared (read_endio; test_threads and
 * test_program under ThreadSanitizer), and the hash of block & 255 with a list_del() per hit
 * (tools/bench).
 */
#include <bufio.h>
#include <bufio_test_engine.h>
#include <check.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "cache_fixture.h"

#define NR_BLOCKS 4096
#define BLOCK	  4096

static struct bufio_engine *mem, *fault;
static struct bufio_client *client;

static void setup(void)
{
	struct bufio_options o;

	bufio_options_init(&o);
	ck_assert_int_eq(bufio_engine_mem_create((uint64_t)NR_BLOCKS * BLOCK, 512, &mem), 0);
	ck_assert_int_eq(bufio_engine_fault_create(mem, &fault), 0);
	ck_assert_int_eq(bufio_create(fault, &o, &client), 0);
}

static void teardown(void)
{
	bufio_engine_fault_set(fault, NULL);
	ck_assert_int_eq(bufio_destroy(client), 0);
	bufio_engine_destroy(fault);
}

static void put(uint64_t block, unsigned value)
{
	struct bufio_buffer *b;

	ck_assert_int_eq(bufio_new(client, block, &b), 0);
	memset(bufio_data(b), 0, BLOCK);
	memcpy(bufio_data(b), &value, sizeof(value));
	bufio_mark_dirty(b);
	bufio_release(b);
}

static unsigned get(uint64_t block)
{
	struct bufio_buffer *b;
	unsigned value;

	ck_assert_int_eq(bufio_read(client, block, &b), 0);
	memcpy(&value, bufio_data(b), sizeof(value));
	bufio_release(b);
	return value;
}

static unsigned on_device(uint64_t block)
{
	unsigned value;

	ck_assert_int_eq(bufio_engine_mem_peek(mem, block * BLOCK, &value, sizeof(value)), 0);
	return value;
}

/* get_unclaimed_buffer: "if (WRITING && !wait)" without its statement throws dirty data away. */
START_TEST(more_dirty_blocks_than_the_cache_has_are_not_lost)
{
	struct bufio_stats stats;

	for (unsigned i = 0; i < 2400; i++)
		put(i, i + 1);
	ck_assert_int_eq(bufio_write_dirty_buffers(client), 0);
	ck_assert_int_eq(bufio_drop_buffers(client), 0);
	for (unsigned i = 0; i < 2400; i++)
		ck_assert_uint_eq(get(i), i + 1);
	bufio_get_stats(client, &stats);
	ck_assert_uint_le(stats.peak_buffers, (9u << 20) / BLOCK);
}
END_TEST

/* dm_bufio_new_read: an undirtied new buffer stays cached as if it were the block. */
START_TEST(new_without_dirty_is_not_cached)
{
	struct bufio_buffer *b;

	put(7, 77);
	ck_assert_int_eq(bufio_drop_buffers(client), 0);
	ck_assert_int_eq(bufio_new(client, 7, &b), 0);
	memset(bufio_data(b), 0xee, BLOCK);
	bufio_release(b);
	ck_assert_uint_eq(get(7), 77);
}
END_TEST

/* dm_bufio_write_dirty_buffers: xchg() forgets the error and DIRTY was gone: the retry lies. */
START_TEST(failed_write_is_repeated_by_the_next_flush)
{
	struct bufio_fault f = {.ops = BUFIO_FAULT_WRITE, .error = -EIO};

	put(3, 33);
	bufio_engine_fault_set(fault, &f);
	ck_assert_int_eq(bufio_write_dirty_buffers(client), -EIO);
	ck_assert_int_eq(bufio_write_dirty_buffers(client), -EIO);
	ck_assert_uint_eq(get(3), 33);
	bufio_engine_fault_set(fault, NULL);
	ck_assert_int_eq(bufio_write_dirty_buffers(client), 0);
	ck_assert_uint_eq(on_device(3), 33);
}
END_TEST

/* dm_bufio_write_dirty_buffers has no device flush; and one that fails must count. */
START_TEST(failed_flush_makes_what_was_written_dirty_again)
{
	struct bufio_fault f = {.ops = BUFIO_FAULT_FLUSH, .error = -EIO, .count = 1};
	struct bufio_stats stats;

	put(5, 55);
	bufio_engine_fault_set(fault, &f);
	ck_assert_int_eq(bufio_write_dirty_buffers(client), -EIO);
	bufio_get_stats(client, &stats);
	ck_assert_uint_eq(stats.nr_dirty, 1);
	ck_assert_int_eq(bufio_write_dirty_buffers(client), 0);
}
END_TEST

/* dm_bufio_setup_bio ignores its block: a move with two holders rewrites the old block. */
START_TEST(move_with_two_holders_reaches_the_new_block)
{
	struct bufio_buffer *b, *other;

	put(9, 99);
	ck_assert_int_eq(bufio_read(client, 9, &b), 0);
	ck_assert_int_eq(bufio_read(client, 9, &other), 0);
	ck_assert_int_eq(bufio_release_move(b, 11), 0);
	bufio_release(other);
	ck_assert_int_eq(bufio_write_dirty_buffers(client), 0);
	ck_assert_uint_eq(on_device(11), 99);
}
END_TEST

/* dm_bufio_release_move never looks new_block up: two buffers for one block. */
START_TEST(move_onto_a_cached_dirty_block_replaces_it)
{
	struct bufio_buffer *b;

	put(20, 1);
	put(21, 2);
	ck_assert_int_eq(bufio_read(client, 20, &b), 0);
	ck_assert_int_eq(bufio_release_move(b, 21), 0);
	ck_assert_uint_eq(get(21), 1);
	ck_assert_int_eq(bufio_write_dirty_buffers(client), 0);
	ck_assert_uint_eq(on_device(21), 1);
	ck_assert_int_eq(bufio_read(client, 21, &b), 0);
	ck_assert_int_eq(bufio_release_move(b, NR_BLOCKS), -ERANGE);
	ck_assert_int_eq(bufio_release_move(b, 21), 0);
}
END_TEST

/* dm_bufio_drop_buffers: BUG_ON for what is held. */
START_TEST(drop_and_destroy_refuse_while_a_buffer_is_held)
{
	struct bufio_buffer *b;

	ck_assert_int_eq(bufio_read(client, 1, &b), 0);
	ck_assert_int_eq(bufio_drop_buffers(client), -EBUSY);
	ck_assert_int_eq(bufio_destroy(client), -EBUSY);
	bufio_release(b);
}
END_TEST

/* Not in the seed: a pin, which every journal needs. */
START_TEST(pinned_buffer_is_not_written)
{
	struct bufio_buffer *b;

	ck_assert_int_eq(bufio_new(client, 30, &b), 0);
	memcpy(bufio_data(b), &(unsigned){5}, 4);
	bufio_pin(b);
	bufio_mark_dirty(b);
	for (unsigned i = 100; i < 2600; i++)
		put(i, i);
	ck_assert_uint_eq(on_device(30), 0);
	bufio_unpin(b, true);
	bufio_release(b);
	ck_assert_int_eq(bufio_write_dirty_buffers(client), 0);
	ck_assert_uint_eq(on_device(30), 5);
}
END_TEST

/* Reading past the buffers sees what only they have. */
START_TEST(extents_are_coherent_with_buffers)
{
	static char data[8 * BLOCK] __attribute__((aligned(4096)));
	struct iovec iov = {data, sizeof(data)};

	put(42, 4);
	ck_assert_int_eq(
		bufio_read_extent(client, &(struct bufio_extent){40, 8, &iov, 1}, NULL, NULL), 0);
	ck_assert_int_eq(data[2 * BLOCK], 4);
	memset(data, 6, sizeof(data));
	ck_assert_int_eq(
		bufio_write_extent(client, &(struct bufio_extent){40, 8, &iov, 1}, NULL, NULL), 0);
	ck_assert_uint_eq(get(42), 0x06060606);
	ck_assert_uint_eq(on_device(47), 0x06060606);
}
END_TEST

/* The same with a device that keeps calls back, and a cache of 16 buffers. */
static struct cache c;

static void setup_small(void)
{
	cache_init(&c, 1024, 16);
}

static void teardown_small(void)
{
	cache_finish(&c);
}

/* get_unclaimed_buffer: after wait_on_bit(B_WRITING) it unlinks without a look at write_error. */
START_TEST(block_whose_write_failed_is_not_evicted)
{
	cache_put(&c, 0, 99);
	cache_fail_block(&c, BUFIO_FAULT_WRITE, 0);
	ck_assert_int_eq(bufio_write_dirty_buffers(c.client), -EIO);
	for (unsigned i = 1; i < 200; i++)
		cache_get(&c, i);
	ck_assert_uint_eq(cache_get(&c, 0), 99);
}
END_TEST

/*
 * get_unclaimed_buffer, write_dirty_buffer: wait_on_bit() with c->lock held: a hit waits for the
 * disk; and so, in a port, does the completion that would end the wait.
 */
START_TEST(hits_and_misses_go_on_while_a_write_is_in_flight)
{
	struct caller flush;

	cache_put(&c, 1, 11);
	gate_close(c.gate, BUFIO_FAULT_WRITE);
	caller_start(&flush, &c, call_flush, 0);
	gate_wait(c.gate, 1);
	cache_put(&c, 1, 12); /* wants to be written again */
	for (unsigned i = 100; i < 150; i++)
		cache_get(&c, i);
	ck_assert_uint_eq(cache_get(&c, 1), 12);
	ck_assert_uint_eq(gate_kept(c.gate), 1);
	gate_open(c.gate);
	ck_assert_int_eq(caller_join(&flush), 0);
	cache_flush(&c);
	ck_assert_uint_eq(cache_peek(&c, 1), 12);
}
END_TEST

/*
 * dm_bufio_new_read: link_buffer() and check_watermark() come before "b->state = ": the walk meets
 * a buffer with the state of its former life, DIRTY or WRITING, on the clean list, and BUG()s.
 */
START_TEST(recycled_buffer_has_no_state_of_its_former_life)
{
	for (unsigned i = 0; i < 300; i++) {
		struct bufio_stats stats;

		cache_put(&c, i % 50, i);
		cache_get(&c, 100 + i);
		stats = cache_stats(&c);
		ck_assert_uint_le(stats.nr_dirty, 16);
	}
	ck_assert_int_eq(bufio_drop_buffers(c.client), 0);
	ck_assert_uint_eq(cache_stats(&c).nr_dirty, 0);
	for (unsigned i = 250; i < 300; i++)
		ck_assert_uint_eq(cache_peek(&c, i % 50), i);
}
END_TEST

static int call_put(struct cache *x, uint64_t block)
{
	cache_put(x, block, 5);
	return 0;
}

/* dm_bufio_new_read: "if (b->read_error)" also for one who will overwrite; no check of the range. */
START_TEST(new_neither_fails_by_a_read_nor_leaves_the_device)
{
	struct bufio_buffer *b;
	struct caller reader, maker;

	cache_fail(&c, BUFIO_FAULT_READ, 0);
	gate_close(c.gate, BUFIO_FAULT_READ);
	caller_start(&reader, &c, call_read, 7);
	gate_wait(c.gate, 1);
	caller_start(&maker, &c, call_put, 7);
	gate_open(c.gate);
	ck_assert_int_eq(caller_join(&reader), -EIO);
	ck_assert_int_eq(caller_join(&maker), 0);
	ck_assert_int_eq(bufio_new(c.client, 1024, &b), -ERANGE);
	ck_assert_ptr_null(b);
}
END_TEST

/*
 * dm_bufio_release: "b->write_error && !B_WRITING": an error that comes after the last release is
 * seen by a later one, which drops the buffer: readers see old data again.
 */
START_TEST(error_after_the_last_release_brings_no_old_data_back)
{
	cache_poke(&c, 3, 1);
	cache_put(&c, 3, 2);
	cache_fail(&c, BUFIO_FAULT_WRITE, 1);
	gate_close(c.gate, BUFIO_FAULT_WRITE);
	bufio_write_dirty_buffers_async(c.client);
	gate_wait(c.gate, 1);
	ck_assert_uint_eq(cache_get(&c, 3), 2);
	gate_open(c.gate);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(cache_get(&c, 3), 2);
}
END_TEST

/* write_dirty_buffers_async: one bio per buffer, in the order of the LRU. */
START_TEST(flush_writes_in_the_order_of_the_device)
{
	uint64_t last = 0;

	for (unsigned i = 0; i < 10; i++)
		cache_put(&c, i * 7 % 10 * 3, i);
	cache_flush(&c);
	for (size_t i = 0; i < bufio_engine_record_count(c.record); i++) {
		const struct bufio_record_entry *e = bufio_engine_record_get(c.record, i);

		if (e->kind != BUFIO_RECORD_WRITE)
			continue;
		ck_assert_uint_ge(e->offset_bytes, last);
		last = e->offset_bytes;
	}
	ck_assert_uint_eq(last, 27 * CACHE_BLOCK);
}
END_TEST

struct dirtier {
	pthread_t thread;
	atomic_bool stop;
};

static void *dirty_without_end(void *argument)
{
	struct dirtier *d = argument;

	for (unsigned i = 0; !atomic_load(&d->stop); i++) {
		struct bufio_buffer *b = cache_hold(&c, i % 12);

		bufio_pin(b);
		cache_fill(b, 7);
		bufio_unpin(b, true);
		bufio_release(b);
	}
	return NULL;
}

/*
 * dm_bufio_write_dirty_buffers: walks dirty_lru with the lock given up in between: a hit moves the
 * buffer to the list's head and the walk ends early, or to the other list and it runs astray; who
 * dirties keeps it going for ever.
 */
START_TEST(flush_ends_and_is_whole_while_others_hit_and_dirty)
{
	struct dirtier d = {.stop = false};

	ck_assert_int_eq(pthread_create(&d.thread, NULL, dirty_without_end, &d), 0);
	for (unsigned i = 1; i < 200; i++) {
		cache_put(&c, 500, i);
		cache_flush(&c);
		ck_assert_uint_eq(cache_peek(&c, 500), i);
	}
	atomic_store(&d.stop, true);
	pthread_join(d.thread, NULL);
}
END_TEST

/* dm_bufio_setup_bio: BUG() unless one bio_vec takes the block; ffs() - 10 of less than 512. */
START_TEST(block_of_many_pages_is_written_and_a_small_one_refused)
{
	struct bufio_client *none = NULL;
	struct bufio_options o;
	struct cache big;

	cache_options(&o, 16);
	o.block_bytes = 256;
	ck_assert_int_eq(bufio_create(c.record, &o, &none), -EINVAL);
	ck_assert_ptr_null(none);
	cache_options(&o, 16);
	o.block_bytes = 1 << 20;
	o.cache_bytes = o.limit_bytes = 4 << 20;
	cache_init_options(&big, 8, &o);
	for (unsigned i = 0; i < 8; i++)
		cache_put(&big, i, i + 1);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_uint_eq(cache_get(&big, i), i + 1);
	cache_finish(&big);
}
END_TEST

/* dm_bufio_write_dirty_buffers: no flush of the device.  That it covers all: test_program.c, on record. */
START_TEST(flush_reaches_the_medium)
{
	cache_put(&c, 3, 33);
	cache_flush(&c);
	ck_assert_uint_eq(cache_counts(&c).writes, 1);
	ck_assert_uint_eq(cache_counts(&c).flushes, 1);
}
END_TEST

/* dm_bufio_drop_buffers, _client_destroy: void, and without a flush of the device. */
START_TEST(drop_tells_the_error_and_flushes_the_device)
{
	cache_put(&c, 3, 33);
	cache_fail(&c, BUFIO_FAULT_WRITE, 0);
	ck_assert_int_eq(bufio_drop_buffers(c.client), -EIO);
	ck_assert_int_eq(bufio_destroy(c.client), -EIO);
	ck_assert_uint_eq(cache_get(&c, 3), 33);
	cache_mend(&c);
	ck_assert_int_eq(bufio_drop_buffers(c.client), 0);
	ck_assert_uint_eq(cache_counts(&c).flushes, 1);
}
END_TEST

/* alloc_buffer_wait: only a failing kmalloc() keeps memory in bounds. */
START_TEST(memory_stays_in_bounds_whatever_is_asked_for)
{
	struct caller makers[16];

	for (unsigned i = 0; i < 16; i++)
		caller_start(&makers[i], &c, call_put, i * 50);
	for (unsigned i = 0; i < 16; i++)
		caller_join(&makers[i]);
	for (unsigned i = 0; i < 1024; i++)
		cache_put(&c, i, i);
	ck_assert_uint_le(cache_stats(&c).peak_buffers, 16);
}
END_TEST

static TCase *small_case(void)
{
	TCase *tc = tcase_create("small");

	tcase_add_checked_fixture(tc, setup_small, teardown_small);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, block_whose_write_failed_is_not_evicted);
	tcase_add_test(tc, hits_and_misses_go_on_while_a_write_is_in_flight);
	tcase_add_test(tc, recycled_buffer_has_no_state_of_its_former_life);
	tcase_add_test(tc, new_neither_fails_by_a_read_nor_leaves_the_device);
	tcase_add_test(tc, error_after_the_last_release_brings_no_old_data_back);
	tcase_add_test(tc, flush_writes_in_the_order_of_the_device);
	tcase_add_test(tc, flush_ends_and_is_whole_while_others_hit_and_dirty);
	tcase_add_test(tc, block_of_many_pages_is_written_and_a_small_one_refused);
	tcase_add_test(tc, flush_reaches_the_medium);
	tcase_add_test(tc, drop_tells_the_error_and_flushes_the_device);
	tcase_add_test(tc, memory_stays_in_bounds_whatever_is_asked_for);
	return tc;
}

int main(void)
{
	Suite *suite = suite_create("seed");
	TCase *tc = tcase_create("seed");
	SRunner *runner = srunner_create(suite);
	int nr_failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, more_dirty_blocks_than_the_cache_has_are_not_lost);
	tcase_add_test(tc, new_without_dirty_is_not_cached);
	tcase_add_test(tc, failed_write_is_repeated_by_the_next_flush);
	tcase_add_test(tc, failed_flush_makes_what_was_written_dirty_again);
	tcase_add_test(tc, move_with_two_holders_reaches_the_new_block);
	tcase_add_test(tc, move_onto_a_cached_dirty_block_replaces_it);
	tcase_add_test(tc, drop_and_destroy_refuse_while_a_buffer_is_held);
	tcase_add_test(tc, pinned_buffer_is_not_written);
	tcase_add_test(tc, extents_are_coherent_with_buffers);
	suite_add_tcase(suite, tc);
	suite_add_tcase(suite, small_case());
	srunner_run_all(runner, CK_ENV);
	nr_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return nr_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
