/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The engine that fails on request. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <bufio_test_engine.h>
#include "engine_fixture.h"

#define FOREVER 0

static struct bufio_engine *engine, *inner;
static char *data;

static void setup(void)
{
	ck_assert_int_eq(bufio_engine_mem_create(1 << 20, SECTOR_BYTES, &inner), 0);
	ck_assert_int_eq(bufio_engine_fault_create(inner, &engine), 0);
	data = pattern_alloc(65536, 1);
}

static void teardown(void)
{
	bufio_engine_destroy(engine);
	free(data);
}

static int write_at(uint64_t offset_bytes, size_t size_bytes)
{
	return simple_transfer(engine, BUFIO_OP_WRITE, offset_bytes, data, size_bytes);
}

static int read_at(uint64_t offset_bytes, size_t size_bytes)
{
	return simple_transfer(engine, BUFIO_OP_READ, offset_bytes, data, size_bytes);
}

static void set(unsigned ops, unsigned first, unsigned count)
{
	struct bufio_fault fault = {.ops = ops, .first = first, .count = count, .error = -EIO};

	bufio_engine_fault_set(engine, &fault);
}

START_TEST(geometry_is_that_of_the_inner_engine)
{
	ck_assert_uint_eq(engine->size_bytes, inner->size_bytes);
	ck_assert_uint_eq(engine->sector_bytes, inner->sector_bytes);
	ck_assert_uint_eq(engine->memory_align, inner->memory_align);
	ck_assert_str_eq(engine->name, "fault");
}
END_TEST

START_TEST(only_calls_of_the_rule_fail)
{
	static const unsigned ops[] = {BUFIO_FAULT_READ, BUFIO_FAULT_WRITE, BUFIO_FAULT_FLUSH,
				       BUFIO_FAULT_DISCARD, BUFIO_FAULT_ANY};
	unsigned op = ops[_i];

	set(op, 1, FOREVER);
	ck_assert_int_eq(read_at(0, 512), op & BUFIO_FAULT_READ ? -EIO : 0);
	ck_assert_int_eq(write_at(0, 512), op & BUFIO_FAULT_WRITE ? -EIO : 0);
	ck_assert_int_eq(engine->ops->flush(engine), op & BUFIO_FAULT_FLUSH ? -EIO : 0);
	ck_assert_int_eq(engine->ops->discard(engine, 0, 512), op & BUFIO_FAULT_DISCARD ? -EIO : 0);
	ck_assert_int_eq(engine->ops->zero(engine, 0, 512), op & BUFIO_FAULT_DISCARD ? -EIO : 0);
	ck_assert_uint_eq(bufio_engine_fault_matched(engine), op == BUFIO_FAULT_ANY	  ? 5
							      : op == BUFIO_FAULT_DISCARD ? 2
											  : 1);
	bufio_engine_fault_set(engine, NULL);
	ck_assert_int_eq(read_at(0, 512), 0);
	ck_assert_int_eq(write_at(0, 512), 0);
	ck_assert_uint_eq(bufio_engine_fault_matched(engine), 0);
}
END_TEST

START_TEST(the_third_and_fourth_fail)
{
	static const int want[] = {0, 0, -EIO, -EIO, 0, 0};
	unsigned i;

	set(BUFIO_FAULT_WRITE, 3, 2);
	for (i = 0; i < 6; i++) {
		ck_assert_int_eq(write_at(0, 512), want[i]);
		ck_assert_int_eq(read_at(0, 512), 0);
	}
	ck_assert_uint_eq(bufio_engine_fault_matched(engine), 6);
	ck_assert_uint_eq(bufio_engine_fault_failed(engine), 2);
}
END_TEST

START_TEST(count_of_zero_fails_for_ever)
{
	unsigned i;

	set(BUFIO_FAULT_WRITE, 2, FOREVER);
	ck_assert_int_eq(write_at(0, 512), 0);
	for (i = 0; i < 100; i++)
		ck_assert_int_eq(write_at(0, 512), -EIO);
	ck_assert_uint_eq(bufio_engine_fault_failed(engine), 100);
}
END_TEST

START_TEST(setting_a_rule_restarts_its_count)
{
	set(BUFIO_FAULT_WRITE, 2, 1);
	ck_assert_int_eq(write_at(0, 512), 0);
	set(BUFIO_FAULT_WRITE, 2, 1);
	ck_assert_int_eq(write_at(0, 512), 0);
	ck_assert_int_eq(write_at(0, 512), -EIO);
	ck_assert_uint_eq(bufio_engine_fault_matched(engine), 2);
}
END_TEST

START_TEST(only_transfers_that_touch_the_range_fail)
{
	struct bufio_fault fault = {
		.ops = BUFIO_FAULT_ANY, .start_bytes = 4096, .end_bytes = 8192, .error = -ENODATA};

	bufio_engine_fault_set(engine, &fault);
	ck_assert_int_eq(write_at(0, 4096), 0);
	ck_assert_int_eq(write_at(8192, 4096), 0);
	ck_assert_int_eq(write_at(0, 4608), -ENODATA);
	ck_assert_int_eq(write_at(7680, 512), -ENODATA);
	ck_assert_int_eq(read_at(4608, 512), -ENODATA);
	ck_assert_int_eq(read_at(0, 65536), -ENODATA);
	ck_assert_int_eq(engine->ops->discard(engine, 0, 4096), 0);
	ck_assert_int_eq(engine->ops->zero(engine, 0, 8192), -ENODATA);
	ck_assert_uint_eq(bufio_engine_fault_matched(engine), 5);
}
END_TEST

START_TEST(failed_write_writes_nothing)
{
	set(BUFIO_FAULT_WRITE, 1, FOREVER);
	ck_assert_int_eq(write_at(0, 8192), -EIO);
	assert_bytes(engine, 0, 8192, 0);
}
END_TEST

START_TEST(torn_write_writes_its_first_half)
{
	struct request *q = malloc(sizeof(*q));

	bufio_engine_fault_torn(engine, true);
	set(BUFIO_FAULT_WRITE, 1, FOREVER);
	request_init(q, BUFIO_OP_WRITE, 4096, data, 65536);
	request_split(q, 127);
	ck_assert_int_eq(_i ? request_submit(engine, q) : request_transfer(engine, q), -EIO);
	bufio_engine_fault_set(engine, NULL);
	assert_pattern(engine, 4096, 32768, 1);
	assert_bytes(engine, 4096 + 32768, 32768, 0);
	free(q);
}
END_TEST

START_TEST(torn_write_of_one_sector_writes_nothing)
{
	bufio_engine_fault_torn(engine, true);
	set(BUFIO_FAULT_WRITE, 1, FOREVER);
	ck_assert_int_eq(write_at(0, 512), -EIO);
	ck_assert_int_eq(write_at(4096, 1536), -EIO);
	assert_bytes(engine, 0, 512, 0);
	assert_pattern(engine, 4096, 512, 1);
	assert_bytes(engine, 4608, 1024, 0);
}
END_TEST

START_TEST(only_the_chosen_of_a_batch_fails)
{
	struct request *qs[5];
	struct waiter w;
	unsigned i;

	waiter_init(&w);
	for (i = 0; i < 5; i++) {
		qs[i] = malloc(sizeof(*qs[i]));
		request_init(qs[i], BUFIO_OP_WRITE, i * 4096, data, 4096);
	}
	set(BUFIO_FAULT_WRITE, 1 + (unsigned)_i, 1);
	request_start(engine, qs, 5, &w);
	waiter_wait(&w);
	for (i = 0; i < 5; i++) {
		ck_assert_uint_eq(qs[i]->nr_done, 1);
		ck_assert_int_eq(qs[i]->result, i == (unsigned)_i ? -EIO : 0);
		if (i == (unsigned)_i)
			assert_bytes(engine, i * 4096, 4096, 0);
		else
			assert_pattern(engine, i * 4096, 4096, 1);
		free(qs[i]);
	}
	waiter_finish(&w);
}
END_TEST

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

START_TEST(delay_without_error_only_delays)
{
	struct bufio_fault fault = {.ops = BUFIO_FAULT_ANY, .delay_us = 5000};
	struct request *q = malloc(sizeof(*q));
	uint64_t start = now_us();

	bufio_engine_fault_set(engine, &fault);
	ck_assert_int_eq(write_at(0, 4096), 0);
	ck_assert_int_eq(engine->ops->flush(engine), 0);
	request_init(q, BUFIO_OP_READ, 0, data, 4096);
	ck_assert_int_eq(request_submit(engine, q), 0);
	ck_assert_uint_ge(now_us() - start, 15000);
	ck_assert_uint_eq(bufio_engine_fault_matched(engine), 3);
	ck_assert_uint_eq(bufio_engine_fault_failed(engine), 0);
	free(q);
}
END_TEST

#define NR_THREADS 4
#define NR_ROUNDS  200

static void *thread_run(void *argument)
{
	char *mine = pattern_alloc(4096, 2);
	uint64_t at = (uintptr_t)argument * 4096;
	unsigned i, nr_failed = 0;

	for (i = 0; i < NR_ROUNDS; i++)
		nr_failed += simple_transfer(engine, BUFIO_OP_WRITE, at, mine, 4096) != 0;
	free(mine);
	return (void *)(uintptr_t)nr_failed;
}

START_TEST(count_is_exact_among_threads)
{
	pthread_t threads[NR_THREADS];
	uintptr_t i, nr_failed = 0;
	void *r;

	set(BUFIO_FAULT_WRITE, 50, 123);
	for (i = 0; i < NR_THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, thread_run, (void *)i), 0);
	for (i = 0; i < NR_THREADS; i++) {
		pthread_join(threads[i], &r);
		nr_failed += (uintptr_t)r;
	}
	ck_assert_uint_eq(nr_failed, 123);
	ck_assert_uint_eq(bufio_engine_fault_failed(engine), 123);
	ck_assert_uint_eq(bufio_engine_fault_matched(engine), NR_THREADS * NR_ROUNDS);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("fault");
	TCase *t = tcase_create("fault");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, geometry_is_that_of_the_inner_engine);
	tcase_add_loop_test(t, only_calls_of_the_rule_fail, 0, 5);
	tcase_add_test(t, the_third_and_fourth_fail);
	tcase_add_test(t, count_of_zero_fails_for_ever);
	tcase_add_test(t, setting_a_rule_restarts_its_count);
	tcase_add_test(t, only_transfers_that_touch_the_range_fail);
	tcase_add_test(t, failed_write_writes_nothing);
	tcase_add_loop_test(t, torn_write_writes_its_first_half, 0, 2);
	tcase_add_test(t, torn_write_of_one_sector_writes_nothing);
	tcase_add_loop_test(t, only_the_chosen_of_a_batch_fails, 0, 5);
	tcase_add_test(t, delay_without_error_only_delays);
	tcase_add_test(t, count_is_exact_among_threads);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	SRunner *runner = srunner_create(suite());
	int nr_failed;

	srunner_run_all(runner, CK_ENV);
	nr_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return nr_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
