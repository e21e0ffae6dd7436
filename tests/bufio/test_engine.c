/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The contract of bufio_engine.h, over every kind of engine. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "engine_fixture.h"

static struct fixture fixture;

#define ENGINE fixture.engine

static void use(int kind)
{
	fixture_init(&fixture, (enum kind)kind);
}

static void teardown(void)
{
	fixture_finish(&fixture);
}

/* Contents. */

START_TEST(fresh_device_reads_as_zeroes)
{
	use(_i);
	assert_bytes(ENGINE, 0, FIXTURE_BYTES, 0);
	teardown();
}
END_TEST

START_TEST(size_and_alignment_are_told)
{
	use(_i);
	ck_assert_uint_eq(ENGINE->size_bytes, FIXTURE_BYTES);
	ck_assert_uint_ge(ENGINE->sector_bytes, 512);
	ck_assert_uint_eq(ENGINE->sector_bytes & (ENGINE->sector_bytes - 1), 0);
	ck_assert_uint_eq(ENGINE->memory_align & (ENGINE->memory_align - 1), 0);
	ck_assert_uint_le(ENGINE->memory_align, ENGINE->sector_bytes);
	ck_assert(!ENGINE->read_only);
	ck_assert_ptr_nonnull(ENGINE->name);
	teardown();
}
END_TEST

static void write_and_check(unsigned nr_parts, uint64_t offset_bytes, size_t size_bytes)
{
	struct request *q = malloc(sizeof(*q));
	void *data = pattern_alloc(size_bytes, nr_parts);
	char *back = pattern_alloc(size_bytes, 0);

	request_init(q, BUFIO_OP_WRITE, offset_bytes, data, size_bytes);
	request_split(q, nr_parts);
	ck_assert_int_eq(request_submit(ENGINE, q), 0);
	assert_pattern(ENGINE, offset_bytes, size_bytes, nr_parts);
	request_init(q, BUFIO_OP_READ, offset_bytes, back, size_bytes);
	request_split(q, nr_parts);
	ck_assert_int_eq(request_submit(ENGINE, q), 0);
	ck_assert_mem_eq(data, back, size_bytes);
	free(back);
	free(data);
	free(q);
}

START_TEST(written_parts_are_read_back)
{
	static const unsigned nr_parts[] = {1, 2, 3, 7, 63, 64, 65, 500, 1023, 1024};
	unsigned i;

	use(_i);
	for (i = 0; i < sizeof(nr_parts) / sizeof(*nr_parts); i++) {
		write_and_check(nr_parts[i], 3 * SECTOR_BYTES, 1024 * SECTOR_BYTES);
		write_and_check(nr_parts[i], FIXTURE_BYTES - nr_parts[i] * SECTOR_BYTES,
				nr_parts[i] * SECTOR_BYTES);
	}
	teardown();
}
END_TEST

/* One random step on the device and on a model of it in memory. */
static void model_step(struct draw *d, unsigned char *model, unsigned char *data)
{
	struct request *q = malloc(sizeof(*q));
	unsigned sectors = 1 + draw_below(d, 300);
	size_t size_bytes = (size_t)sectors * SECTOR_BYTES;
	uint64_t at = draw_below(d, FIXTURE_BYTES / SECTOR_BYTES - sectors + 1) * SECTOR_BYTES;
	bool write = draw_below(d, 2);
	int r;

	if (write)
		pattern_fill(data, size_bytes, draw_below(d, 1u << 30));
	request_init(q, write ? BUFIO_OP_WRITE : BUFIO_OP_READ, at, data, size_bytes);
	request_split(q, 1 + draw_below(d, sectors));
	if (write && draw_below(d, 4) == 0)
		q->io.flags = BUFIO_IO_DURABLE;
	r = draw_below(d, 2) ? request_submit(ENGINE, q) : request_transfer(ENGINE, q);
	ck_assert_int_eq(r, 0);
	if (write)
		memcpy(model + at, data, size_bytes);
	else
		ck_assert_mem_eq(data, model + at, size_bytes);
	free(q);
}

START_TEST(random_transfers_match_a_model)
{
	unsigned char *model = calloc(1, FIXTURE_BYTES), *data = pattern_alloc(1 << 20, 1);
	struct draw d = {12345};
	unsigned i;

	use(_i);
	for (i = 0; i < 200; i++)
		model_step(&d, model, data);
	ck_assert_int_eq(ENGINE->ops->flush(ENGINE), 0);
	ck_assert_int_eq(simple_transfer(ENGINE, BUFIO_OP_READ, 0, data, 1 << 20), 0);
	ck_assert_mem_eq(data, model, 1 << 20);
	free(data);
	free(model);
	teardown();
}
END_TEST

START_TEST(durable_write_and_flush_succeed)
{
	void *data = pattern_alloc(8192, 5);
	struct request *q = malloc(sizeof(*q));

	use(_i);
	request_init(q, BUFIO_OP_WRITE, 8192, data, 8192);
	q->io.flags = BUFIO_IO_DURABLE;
	ck_assert_int_eq(request_submit(ENGINE, q), 0);
	pattern_fill(data, 8192, 6);
	q->nr_done = 0;
	ck_assert_int_eq(request_transfer(ENGINE, q), 0);
	ck_assert_int_eq(ENGINE->ops->flush(ENGINE), 0);
	assert_pattern(ENGINE, 8192, 8192, 6);
	free(q);
	free(data);
	teardown();
}
END_TEST

/* Many at a time. */

#define NR_MANY 600

static void many_submit(struct request **qs, enum bufio_op op, char *data)
{
	struct waiter w;
	unsigned i;

	waiter_init(&w);
	for (i = 0; i < NR_MANY; i++)
		request_init(qs[i], op, i * 4096, data + i * 4096, 4096);
	request_start(ENGINE, qs, NR_MANY, &w);
	waiter_wait(&w);
	ck_assert_uint_eq(w.nr_done, NR_MANY);
	ck_assert_uint_eq(w.nr_failed, 0);
	for (i = 0; i < NR_MANY; i++)
		ck_assert_uint_eq(qs[i]->nr_done, 1);
	waiter_finish(&w);
}

static struct request **requests_alloc(unsigned nr)
{
	struct request **qs = calloc(nr, sizeof(*qs));
	unsigned i;

	for (i = 0; i < nr; i++)
		qs[i] = calloc(1, sizeof(**qs));
	return qs;
}

static void requests_free(struct request **qs, unsigned nr)
{
	while (nr)
		free(qs[--nr]);
	free(qs);
}

START_TEST(more_than_the_queue_takes_completes_once_each)
{
	struct request **qs = requests_alloc(NR_MANY);
	char *data = pattern_alloc(NR_MANY * 4096, 9), *back = pattern_alloc(NR_MANY * 4096, 0);

	use(_i);
	many_submit(qs, BUFIO_OP_WRITE, data);
	many_submit(qs, BUFIO_OP_READ, back);
	ck_assert_mem_eq(data, back, NR_MANY * 4096);
	free(back);
	free(data);
	requests_free(qs, NR_MANY);
	teardown();
}
END_TEST

#define NR_THREADS 4

static void *thread_run(void *argument)
{
	unsigned thread = (unsigned)(uintptr_t)argument, i;
	uint64_t start = (uint64_t)thread * (FIXTURE_BYTES / NR_THREADS), at;
	struct request **qs = requests_alloc(20);
	char *data[20];
	struct waiter w;
	struct draw d = {thread};

	waiter_init(&w);
	for (i = 0; i < 20; i++) {
		data[i] = pattern_alloc(8192, thread * 100 + i);
		request_init(qs[i], BUFIO_OP_WRITE, start + i * 8192, data[i], 8192);
		request_split(qs[i], 1 + draw_below(&d, 16));
	}
	request_start(ENGINE, qs, 20, &w);
	waiter_wait(&w);
	ck_assert_uint_eq(w.nr_failed, 0);
	for (i = 0; i < 20; i++) {
		at = start + i * 8192;
		assert_pattern(ENGINE, at, 8192, thread * 100 + i);
		free(data[i]);
	}
	ck_assert_int_eq(ENGINE->ops->flush(ENGINE), 0);
	waiter_finish(&w);
	requests_free(qs, 20);
	return NULL;
}

START_TEST(threads_do_not_disturb_each_other)
{
	pthread_t threads[NR_THREADS];
	uintptr_t i;

	use(_i);
	for (i = 0; i < NR_THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, thread_run, (void *)i), 0);
	for (i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
	teardown();
}
END_TEST

START_TEST(destroy_waits_for_what_is_in_flight)
{
	struct request **qs = requests_alloc(64);
	char *data = pattern_alloc(64 * 4096, 3);
	struct waiter w;
	unsigned i;

	use(_i);
	waiter_init(&w);
	for (i = 0; i < 64; i++)
		request_init(qs[i], i % 2 ? BUFIO_OP_WRITE : BUFIO_OP_READ, i * 4096,
			     data + i * 4096, 4096);
	request_start(ENGINE, qs, 64, &w);
	teardown();
	ck_assert_uint_eq(w.nr_pending, 0);
	ck_assert_uint_eq(w.nr_done, 64);
	ck_assert_uint_eq(w.nr_failed, 0);
	waiter_finish(&w);
	free(data);
	requests_free(qs, 64);
}
END_TEST

/* Requests that make no sense. */

static void assert_refused(struct request *q, int error)
{
	q->nr_done = 0;
	ck_assert_int_eq(request_transfer(ENGINE, q), error);
	ck_assert_int_eq(request_submit(ENGINE, q), error);
}

START_TEST(transfer_past_the_end_is_refused)
{
	struct request *q = malloc(sizeof(*q));
	void *data = pattern_alloc(8192, 1);

	use(_i);
	request_init(q, BUFIO_OP_READ, FIXTURE_BYTES, data, 512);
	assert_refused(q, -ERANGE);
	request_init(q, BUFIO_OP_WRITE, FIXTURE_BYTES - 4096, data, 8192);
	assert_refused(q, -ERANGE);
	request_init(q, BUFIO_OP_READ, UINT64_MAX - 511, data, 8192);
	assert_refused(q, -ERANGE);
	assert_bytes(ENGINE, FIXTURE_BYTES - 4096, 4096, 0);
	ck_assert_int_eq(ENGINE->ops->discard(ENGINE, FIXTURE_BYTES - 512, 1024), -ERANGE);
	ck_assert_int_eq(ENGINE->ops->discard(ENGINE, UINT64_MAX - 511, 512), -ERANGE);
	free(data);
	free(q);
	teardown();
}
END_TEST

START_TEST(misshapen_transfer_is_refused)
{
	struct request *q = malloc(sizeof(*q));
	void *data = pattern_alloc(8192, 1);

	use(_i);
	request_init(q, BUFIO_OP_WRITE, 100, data, 512);
	assert_refused(q, -EINVAL);
	request_init(q, BUFIO_OP_WRITE, 0, data, 500);
	assert_refused(q, -EINVAL);
	request_init(q, BUFIO_OP_WRITE, 0, data, 0);
	assert_refused(q, -EINVAL);
	request_init(q, BUFIO_OP_WRITE, 0, data, 4096);
	q->io.nr_iov = 0;
	assert_refused(q, -EINVAL);
	q->io.nr_iov = BUFIO_MAX_IOV + 1;
	assert_refused(q, -EINVAL);
	request_init(q, BUFIO_OP_WRITE, 0, data, 4096);
	q->io.size_bytes = 8192;
	assert_refused(q, -EINVAL);
	q->io.size_bytes = 512;
	assert_refused(q, -EINVAL);
	request_init(q, (enum bufio_op)2, 0, data, 4096);
	assert_refused(q, -EINVAL);
	assert_bytes(ENGINE, 0, 8192, 0);
	free(data);
	free(q);
	teardown();
}
END_TEST

START_TEST(misaligned_memory_is_refused)
{
	struct request *q = malloc(sizeof(*q));
	char *data = pattern_alloc(8192, 1);

	use(_i);
	if (ENGINE->memory_align > 1) {
		request_init(q, BUFIO_OP_READ, 0, data + ENGINE->memory_align / 2, 512);
		assert_refused(q, -EINVAL);
	}
	free(data);
	free(q);
	teardown();
}
END_TEST

START_TEST(bad_request_does_not_hurt_its_neighbours)
{
	struct request **qs = requests_alloc(3);
	char *data = pattern_alloc(4096, 8);
	struct waiter w;
	unsigned i;

	use(_i);
	waiter_init(&w);
	for (i = 0; i < 3; i++)
		request_init(qs[i], BUFIO_OP_WRITE, i == 1 ? FIXTURE_BYTES : i * 4096, data, 4096);
	request_start(ENGINE, qs, 3, &w);
	waiter_wait(&w);
	ck_assert_int_eq(qs[0]->result, 0);
	ck_assert_int_eq(qs[1]->result, -ERANGE);
	ck_assert_int_eq(qs[2]->result, 0);
	assert_pattern(ENGINE, 0, 4096, 8);
	assert_bytes(ENGINE, 4096, 4096, 0);
	assert_pattern(ENGINE, 8192, 4096, 8);
	waiter_finish(&w);
	free(data);
	requests_free(qs, 3);
	teardown();
}
END_TEST

START_TEST(read_only_engine_refuses_to_write)
{
	struct request *q = malloc(sizeof(*q));
	void *data = pattern_alloc(4096, 1);

	fixture_init_read_only(&fixture, (enum kind)_i);
	ck_assert(ENGINE->read_only);
	request_init(q, BUFIO_OP_WRITE, 0, data, 4096);
	assert_refused(q, -EROFS);
	ck_assert_int_eq(ENGINE->ops->discard(ENGINE, 0, 4096), -EROFS);
	ck_assert_int_eq(ENGINE->ops->flush(ENGINE), 0);
	assert_bytes(ENGINE, 0, 4096, 0);
	free(data);
	free(q);
	teardown();
}
END_TEST

/* Discard and zero. */

static void fill(size_t size_bytes, unsigned seed)
{
	void *data = pattern_alloc(size_bytes, seed);

	ck_assert_int_eq(simple_transfer(ENGINE, BUFIO_OP_WRITE, 0, data, size_bytes), 0);
	free(data);
}

START_TEST(zero_changes_its_range_only)
{
	char *want = pattern_alloc(1 << 20, 6), *got = pattern_alloc(1 << 20, 0);
	int r;

	use(_i);
	fill(1 << 20, 6);
	r = ENGINE->ops->zero(ENGINE, 5 * 512, 300 * 512);
	if (r != -EOPNOTSUPP) {
		ck_assert_int_eq(r, 0);
		memset(want + 5 * 512, 0, 300 * 512);
	}
	ck_assert_int_eq(simple_transfer(ENGINE, BUFIO_OP_READ, 0, got, 1 << 20), 0);
	ck_assert_mem_eq(got, want, 1 << 20);
	free(got);
	free(want);
	teardown();
}
END_TEST

START_TEST(discard_changes_its_range_only)
{
	char *want = pattern_alloc(1 << 20, 6), *got = pattern_alloc(1 << 20, 0);
	int r;

	use(_i);
	fill(1 << 20, 6);
	r = ENGINE->ops->discard(ENGINE, 5 * 512, 300 * 512);
	ck_assert(r == 0 || r == -EOPNOTSUPP);
	ck_assert_int_eq(simple_transfer(ENGINE, BUFIO_OP_READ, 0, got, 1 << 20), 0);
	ck_assert_mem_eq(got, want, 5 * 512);
	ck_assert_mem_eq(got + 305 * 512, want + 305 * 512, (1 << 20) - 305 * 512);
	fill(1 << 20, 7);
	assert_pattern(ENGINE, 0, 1 << 20, 7);
	free(got);
	free(want);
	teardown();
}
END_TEST

START_TEST(misaligned_discard_and_zero_are_refused)
{
	use(_i);
	ck_assert_int_eq(ENGINE->ops->discard(ENGINE, 100, 512), -EINVAL);
	ck_assert_int_eq(ENGINE->ops->discard(ENGINE, 512, 100), -EINVAL);
	if (fixture.kind != KIND_RECORD && fixture.kind != KIND_RECORD_AIO)
		ck_assert_int_eq(ENGINE->ops->zero(ENGINE, 512, 100), -EINVAL);
	teardown();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("engine");
	TCase *all = tcase_create("all kinds");

	tcase_set_timeout(all, 120);
	tcase_add_loop_test(all, fresh_device_reads_as_zeroes, 0, NR_KINDS);
	tcase_add_loop_test(all, size_and_alignment_are_told, 0, NR_KINDS);
	tcase_add_loop_test(all, written_parts_are_read_back, 0, NR_KINDS);
	tcase_add_loop_test(all, random_transfers_match_a_model, 0, NR_KINDS);
	tcase_add_loop_test(all, durable_write_and_flush_succeed, 0, NR_KINDS);
	tcase_add_loop_test(all, more_than_the_queue_takes_completes_once_each, 0, NR_KINDS);
	tcase_add_loop_test(all, threads_do_not_disturb_each_other, 0, NR_KINDS);
	tcase_add_loop_test(all, destroy_waits_for_what_is_in_flight, 0, NR_KINDS);
	tcase_add_loop_test(all, transfer_past_the_end_is_refused, 0, NR_KINDS);
	tcase_add_loop_test(all, misshapen_transfer_is_refused, 0, NR_KINDS);
	tcase_add_loop_test(all, misaligned_memory_is_refused, 0, NR_KINDS);
	tcase_add_loop_test(all, bad_request_does_not_hurt_its_neighbours, 0, NR_KINDS);
	tcase_add_loop_test(all, read_only_engine_refuses_to_write, 0, NR_KINDS);
	tcase_add_loop_test(all, zero_changes_its_range_only, 0, NR_KINDS);
	tcase_add_loop_test(all, discard_changes_its_range_only, 0, NR_KINDS);
	tcase_add_loop_test(all, misaligned_discard_and_zero_are_refused, 0, NR_KINDS);
	suite_add_tcase(s, all);
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
