/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The scenarios of test_seed.c, run on a model of the seed: each goes wrong there as test_seed.c says
 * it would.  So those tests are known to look for what they say.  The names are the same, but for
 * what is the other way round.
 *
 * Not modelled: what one thread cannot show (the missing acquire of who waits for a read).
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include "seed_model.h"

static struct seed s;

static void setup(void)
{
	/* Those of 4 KiB blocks. */
	seed_init(&s, 2049, 2305);
}

static void teardown(void)
{
	seed_finish(&s);
}

static void put(unsigned block, unsigned value)
{
	struct seed_buffer *b;

	ck_assert_int_eq(seed_new(&s, block, &b), 0);
	b->value = value;
	seed_mark_dirty(&s, b);
	seed_release(&s, b);
}

static unsigned get(unsigned block)
{
	struct seed_buffer *b;
	unsigned value;

	ck_assert_int_eq(seed_read(&s, block, &b), 0);
	value = b->value;
	seed_release(&s, b);
	return value;
}

START_TEST(more_dirty_blocks_than_the_cache_has_are_lost)
{
	unsigned nr_lost = 0;

	for (unsigned i = 0; i < 2400; i++)
		put(i, i + 1);
	ck_assert_int_eq(seed_write_dirty(&s), 0);
	for (unsigned i = 0; i < 2400; i++)
		nr_lost += s.on_device[i] != i + 1;
	ck_assert_uint_eq(nr_lost, 2400 - 2305);
}
END_TEST

START_TEST(new_without_dirty_is_cached)
{
	struct seed_buffer *b;

	s.on_device[7] = 77;
	ck_assert_int_eq(seed_new(&s, 7, &b), 0);
	seed_release(&s, b);
	ck_assert_uint_eq(get(7), SEED_GARBAGE);
}
END_TEST

START_TEST(failed_write_is_forgotten_by_the_next_flush)
{
	put(3, 33);
	s.fail_writes = -EIO;
	ck_assert_int_eq(seed_write_dirty(&s), -EIO);
	s.fail_writes = 0;
	ck_assert_int_eq(seed_write_dirty(&s), 0);
	ck_assert_uint_eq(s.on_device[3], 0);
}
END_TEST

START_TEST(move_with_two_holders_does_not_reach_the_new_block)
{
	struct seed_buffer *b, *other;

	put(9, 99);
	ck_assert_int_eq(seed_read(&s, 9, &b), 0);
	ck_assert_int_eq(seed_read(&s, 9, &other), 0);
	seed_move(&s, b, 11);
	seed_release(&s, other);
	ck_assert_int_eq(seed_write_dirty(&s), 0);
	ck_assert_uint_eq(s.on_device[11], 0);
}
END_TEST

/* One that holds the old buffer of the target writes it over what was moved there. */
START_TEST(move_onto_a_cached_dirty_block_makes_a_second_buffer)
{
	struct seed_buffer *b, *old;

	put(20, 1);
	put(21, 2);
	ck_assert_int_eq(seed_read(&s, 21, &old), 0);
	ck_assert_int_eq(seed_read(&s, 20, &b), 0);
	seed_move(&s, b, 21);
	ck_assert_uint_eq(seed_count(&s, 21), 2);
	ck_assert_uint_eq(get(21), 1);
	ck_assert_int_eq(seed_write_dirty(&s), 0);
	seed_mark_dirty(&s, old);
	seed_release(&s, old);
	ck_assert_int_eq(seed_write_dirty(&s), 0);
	ck_assert_uint_eq(get(21), 1);
	ck_assert_uint_eq(s.on_device[21], 2);
}
END_TEST

START_TEST(drop_dies_while_a_buffer_is_held)
{
	struct seed_buffer *b;

	ck_assert_int_eq(seed_read(&s, 1, &b), 0);
	seed_drop(&s);
	ck_assert_ptr_nonnull(s.bug);
}
END_TEST

START_TEST(block_whose_write_failed_is_dropped)
{
	put(0, 99);
	s.fail_writes = -EIO;
	ck_assert_int_eq(seed_write_dirty(&s), -EIO);
	ck_assert_uint_eq(get(0), 99);
	ck_assert_uint_eq(get(0), 0);
}
END_TEST

START_TEST(flush_waits_for_the_device_with_the_lock_held)
{
	put(1, 11);
	seed_write_async(&s);
	put(1, 12);
	ck_assert_uint_eq(s.nr_locked_waits, 0);
	seed_write_async(&s);
	ck_assert_uint_eq(s.nr_locked_waits, 1);
}
END_TEST

START_TEST(recycled_buffer_has_the_state_of_its_former_life)
{
	s.recycles = true;
	for (unsigned i = 0; i < 2400 && !s.bug; i++)
		put(i, i + 1);
	ck_assert_ptr_nonnull(s.bug);
}
END_TEST

START_TEST(new_fails_by_the_read_of_another_and_leaves_the_device)
{
	struct seed_buffer *reader, *b;

	s.fail_reads = -EIO;
	reader = seed_start_read(&s, 7);
	ck_assert_int_eq(seed_new(&s, 7, &b), -EIO);
	seed_release(&s, reader);
	ck_assert_int_eq(seed_new(&s, SEED_BLOCKS + 1, &b), 0);
	seed_release(&s, b);
}
END_TEST

START_TEST(error_after_the_last_release_brings_old_data_back)
{
	struct seed_buffer *b;

	s.on_device[3] = 1;
	put(3, 2);
	seed_write_async(&s);
	ck_assert_int_eq(seed_read(&s, 3, &b), 0);
	seed_release(&s, b);
	s.fail_writes = -EIO;
	seed_complete(&s, b);
	ck_assert_uint_eq(get(3), 2);
	ck_assert_uint_eq(get(3), 1);
}
END_TEST

START_TEST(flush_writes_in_the_order_of_use)
{
	unsigned nr_back = 0;

	for (unsigned i = 0; i < 10; i++)
		put(i * 7 % 10 * 3, i);
	ck_assert_int_eq(seed_write_dirty(&s), 0);
	ck_assert_uint_eq(s.nr_writes, 10);
	for (unsigned i = 1; i < s.nr_writes; i++)
		nr_back += s.writes[i] < s.writes[i - 1];
	ck_assert_uint_gt(nr_back, 0);
}
END_TEST

static void hit(struct seed *seed, struct seed_buffer *waited_for)
{
	struct seed_buffer *b;

	ck_assert_int_eq(seed_read(seed, waited_for->block, &b), 0);
	seed_release(seed, b);
}

START_TEST(flush_ends_early_when_another_hits)
{
	for (unsigned i = 0; i < 10; i++)
		put(i, 1);
	s.meanwhile = hit;
	ck_assert_int_eq(seed_write_dirty(&s), 0);
	ck_assert_uint_eq(seed_nr_in_flight(&s), 9);
	ck_assert_uint_eq(s.on_device[9], 0);
}
END_TEST

START_TEST(drop_swallows_the_error)
{
	put(3, 33);
	s.fail_writes = -EIO;
	seed_drop(&s);
	ck_assert_ptr_null(s.bug);
	ck_assert_uint_eq(seed_count(&s, 3), 0);
	ck_assert_uint_eq(s.on_device[3], 0);
}
END_TEST

START_TEST(memory_grows_with_what_is_held)
{
	struct seed_buffer *b;

	for (unsigned i = 0; i < 3000; i++)
		ck_assert_int_eq(seed_read(&s, i, &b), 0);
	ck_assert_uint_eq(s.nr_buffers, 3000);
	ck_assert_uint_gt(s.nr_buffers, s.limit);
}
END_TEST

/* The seed's shift of a block to its sector, an unsigned char. */
START_TEST(small_block_shifts_by_more_than_there_are_bits)
{
	unsigned char shift = (unsigned char)(ffs(256) - 1 - 9);

	ck_assert_uint_ge(shift, 64);
}
END_TEST

/* dm_bufio_setup_bio: one bio_vec, and BUG() where bio_add_page() takes less than all of it. */
START_TEST(block_of_more_than_the_device_takes_at_once_is_a_bug)
{
	s.queue_bytes = 512 << 10;
	s.block_bytes = 512 << 10;
	put(1, 11);
	ck_assert_int_eq(seed_write_dirty(&s), 0);
	ck_assert_ptr_null(s.bug);
	s.block_bytes = 1 << 20;
	put(2, 22);
	ck_assert_int_eq(seed_write_dirty(&s), 0);
	ck_assert_str_eq(s.bug, "bio_add_page");
}
END_TEST

/* dm_bufio_write_dirty_buffers: returns when the device has it, not when the medium has. */
START_TEST(what_a_flush_wrote_is_gone_after_a_power_cut)
{
	put(3, 33);
	ck_assert_int_eq(seed_write_dirty(&s), 0);
	ck_assert_uint_eq(s.on_device[3], 33);
	seed_power_cut(&s);
	ck_assert_uint_eq(s.on_device[3], 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("seed_model");
	TCase *tc = tcase_create("seed_model");
	SRunner *runner = srunner_create(suite);
	int nr_failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, more_dirty_blocks_than_the_cache_has_are_lost);
	tcase_add_test(tc, new_without_dirty_is_cached);
	tcase_add_test(tc, failed_write_is_forgotten_by_the_next_flush);
	tcase_add_test(tc, move_with_two_holders_does_not_reach_the_new_block);
	tcase_add_test(tc, move_onto_a_cached_dirty_block_makes_a_second_buffer);
	tcase_add_test(tc, drop_dies_while_a_buffer_is_held);
	tcase_add_test(tc, block_whose_write_failed_is_dropped);
	tcase_add_test(tc, flush_waits_for_the_device_with_the_lock_held);
	tcase_add_test(tc, recycled_buffer_has_the_state_of_its_former_life);
	tcase_add_test(tc, new_fails_by_the_read_of_another_and_leaves_the_device);
	tcase_add_test(tc, error_after_the_last_release_brings_old_data_back);
	tcase_add_test(tc, flush_writes_in_the_order_of_use);
	tcase_add_test(tc, flush_ends_early_when_another_hits);
	tcase_add_test(tc, drop_swallows_the_error);
	tcase_add_test(tc, memory_grows_with_what_is_held);
	tcase_add_test(tc, small_block_shifts_by_more_than_there_are_bits);
	tcase_add_test(tc, block_of_more_than_the_device_takes_at_once_is_a_bug);
	tcase_add_test(tc, what_a_flush_wrote_is_gone_after_a_power_cut);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	nr_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return nr_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
