/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The defects of the 2008 seed; each test names the line of the seed that it catches. */
#include <bufio.h>
#include <bufio_test_engine.h>
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
	ck_assert_int_eq(bufio_read_extent(client, 40, 8, &iov, 1, NULL, NULL), 0);
	ck_assert_int_eq(data[2 * BLOCK], 4);
	memset(data, 6, sizeof(data));
	ck_assert_int_eq(bufio_write_extent(client, 40, 8, &iov, 1, NULL, NULL), 0);
	ck_assert_uint_eq(get(42), 0x06060606);
	ck_assert_uint_eq(on_device(47), 0x06060606);
}
END_TEST

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
	srunner_run_all(runner, CK_NORMAL);
	nr_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return nr_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
