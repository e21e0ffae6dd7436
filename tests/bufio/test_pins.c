/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a pin keeps from the device, and the calls for those who pin. */
#include <bufio.h>
#include <bufio_test_engine.h>
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#define SIZE 4096u

static struct bufio_engine *mem, *record;
static struct bufio_client *client;

static void setup(void)
{
	struct bufio_options o;

	ck_assert_int_eq(bufio_engine_mem_create(64 * SIZE, 512, &mem), 0);
	ck_assert_int_eq(bufio_engine_record_create(mem, &record), 0);
	bufio_options_init(&o);
	o.dirty_age_ms = 0;
	ck_assert_int_eq(bufio_create(record, &o, &client), 0);
}

static void teardown(void)
{
	ck_assert_int_eq(bufio_destroy(client), 0);
	bufio_engine_destroy(record);
}

static struct bufio_buffer *change(uint64_t block, char value)
{
	struct bufio_buffer *b;

	ck_assert_int_eq(bufio_read(client, block, &b), 0);
	*(char *)bufio_data(b) = value;
	bufio_mark_dirty(b);
	bufio_release(b);
	return b;
}

static char on_device(uint64_t block)
{
	char value;

	ck_assert_int_eq(bufio_engine_mem_peek(mem, block * SIZE, &value, 1), 0);
	return value;
}

START_TEST(what_is_pinned_is_left_out)
{
	struct bufio_buffer *b = change(1, 'a');

	bufio_pin(b);
	change(2, 'b');
	ck_assert_int_eq(bufio_write_unpinned(client, 0, 64), 0);
	ck_assert_int_eq(on_device(1), 0);
	ck_assert_int_eq(on_device(2), 'b');
	bufio_unpin(b, false);
	ck_assert_int_eq(bufio_write_unpinned(client, 0, 64), 0);
	ck_assert_int_eq(on_device(1), 'a');
}
END_TEST

START_TEST(only_the_range_is_written)
{
	change(1, 'a');
	change(2, 'b');
	ck_assert_int_eq(bufio_write_unpinned(client, 2, 1), 0);
	ck_assert_int_eq(on_device(1), 0);
	ck_assert_int_eq(on_device(2), 'b');
	ck_assert_int_eq(bufio_write_unpinned(client, 64, 1), -ERANGE);
}
END_TEST

START_TEST(a_flush_happens_only_after_a_write)
{
	struct bufio_record_counts counts;

	ck_assert_int_eq(bufio_flush_written(client), 0);
	bufio_engine_record_counts(record, &counts);
	ck_assert_uint_eq(counts.flushes, 0);
	change(1, 'a');
	ck_assert_int_eq(bufio_write_unpinned(client, 0, 64), 0);
	ck_assert_int_eq(bufio_flush_written(client), 0);
	ck_assert_int_eq(bufio_flush_written(client), 0);
	bufio_engine_record_counts(record, &counts);
	ck_assert_uint_eq(counts.writes, 1);
	ck_assert_uint_eq(counts.flushes, 1);
}
END_TEST

static void expect_counts(uint64_t writes, uint64_t durable_writes, uint64_t flushes)
{
	struct bufio_record_counts counts;

	bufio_engine_record_counts(record, &counts);
	ck_assert_uint_eq(counts.writes, writes);
	ck_assert_uint_eq(counts.durable_writes, durable_writes);
	ck_assert_uint_eq(counts.flushes, flushes);
}

START_TEST(a_single_transfer_is_durable_by_itself)
{
	for (unsigned i = 0; i < 3; i++) {
		change(4, 'a' + (int)i);
		change(5, 'b' + (int)i);
		ck_assert_int_eq(bufio_write_durably(client, 0, 64), 0);
		ck_assert_int_eq(on_device(5), 'b' + (int)i);
		ck_assert_int_eq(bufio_flush_written(client), 0);
		expect_counts(i + 1, i + 1, 0);
	}
	ck_assert_int_eq(bufio_write_durably(client, 64, 1), -ERANGE);
}
END_TEST

START_TEST(several_transfers_are_flushed_once)
{
	change(4, 'a');
	change(6, 'b');
	ck_assert_int_eq(bufio_write_durably(client, 0, 64), 0);
	ck_assert_int_eq(bufio_flush_written(client), 0);
	expect_counts(2, 0, 1);
}
END_TEST

/* What was written before, perhaps of the same file, is not durable for a later write that is. */
START_TEST(a_flush_that_is_owed_is_not_saved)
{
	change(4, 'a');
	ck_assert_int_eq(bufio_write_unpinned(client, 4, 1), 0);
	change(5, 'b');
	ck_assert_int_eq(bufio_write_durably(client, 5, 1), 0);
	expect_counts(2, 0, 0);
	ck_assert_int_eq(bufio_flush_written(client), 0);
	expect_counts(2, 0, 1);
	change(6, 'c');
	ck_assert_int_eq(bufio_write_durably(client, 6, 1), 0);
	ck_assert_int_eq(bufio_flush_written(client), 0);
	expect_counts(3, 1, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pins");
	TCase *tc = tcase_create("pins");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, what_is_pinned_is_left_out);
	tcase_add_test(tc, only_the_range_is_written);
	tcase_add_test(tc, a_flush_happens_only_after_a_write);
	tcase_add_test(tc, a_single_transfer_is_durable_by_itself);
	tcase_add_test(tc, several_transfers_are_flushed_once);
	tcase_add_test(tc, a_flush_that_is_owed_is_not_saved);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
