/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The engine that logs writes and flushes. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <bufio_test_engine.h>
#include "engine_fixture.h"

static struct bufio_engine *engine, *fault, *mem;
static char *data;

static void setup(void)
{
	ck_assert_int_eq(bufio_engine_mem_create(FIXTURE_BYTES, SECTOR_BYTES, &mem), 0);
	ck_assert_int_eq(bufio_engine_fault_create(mem, &fault), 0);
	ck_assert_int_eq(bufio_engine_record_create(fault, &engine), 0);
	data = pattern_alloc(65536, 1);
}

static void teardown(void)
{
	bufio_engine_destroy(engine);
	free(data);
}

static const struct bufio_record_entry *entry(size_t index, enum bufio_record_kind kind,
					      uint64_t write)
{
	const struct bufio_record_entry *found = bufio_engine_record_get(engine, index);

	ck_assert_ptr_nonnull(found);
	ck_assert_int_eq(found->kind, kind);
	ck_assert_uint_eq(found->write, write);
	return found;
}

static int write_at(uint64_t offset_bytes, size_t size_bytes)
{
	return simple_transfer(engine, BUFIO_OP_WRITE, offset_bytes, data, size_bytes);
}

static void set_fault(unsigned ops)
{
	struct bufio_fault rule = {.ops = ops, .error = -EIO};

	bufio_engine_fault_set(fault, &rule);
}

START_TEST(write_is_logged_with_its_data_and_completion)
{
	const struct bufio_record_entry *w;
	struct request *q = malloc(sizeof(*q));

	request_init(q, BUFIO_OP_WRITE, 4096, data, 8192);
	request_split(q, 5);
	ck_assert_int_eq(_i ? request_submit(engine, q) : request_transfer(engine, q), 0);
	/* A copy: what becomes of the memory is no matter. */
	memset(data, 0, 8192);
	ck_assert_uint_eq(bufio_engine_record_count(engine), 2);
	w = entry(0, BUFIO_RECORD_WRITE, 1);
	pattern_fill(data, 65536, 1);
	ck_assert_uint_eq(w->offset_bytes, 4096);
	ck_assert_uint_eq(w->size_bytes, 8192);
	ck_assert_mem_eq(w->data, data, 8192);
	ck_assert(!w->durable);
	entry(1, BUFIO_RECORD_COMPLETE, 1);
	assert_pattern(mem, 4096, 8192, 1);
	free(q);
}
END_TEST

START_TEST(durable_write_is_marked)
{
	struct request *q = malloc(sizeof(*q));
	struct bufio_record_counts counts;

	request_init(q, BUFIO_OP_WRITE, 0, data, 512);
	q->io.flags = BUFIO_IO_DURABLE;
	ck_assert_int_eq(request_submit(engine, q), 0);
	ck_assert_int_eq(write_at(0, 512), 0);
	ck_assert(entry(0, BUFIO_RECORD_WRITE, 1)->durable);
	ck_assert(!entry(2, BUFIO_RECORD_WRITE, 2)->durable);
	bufio_engine_record_counts(engine, &counts);
	ck_assert_uint_eq(counts.durable_writes, 1);
	ck_assert_uint_eq(counts.writes, 2);
	free(q);
}
END_TEST

START_TEST(flush_has_a_begin_and_an_end)
{
	ck_assert_int_eq(engine->ops->flush(engine), 0);
	ck_assert_int_eq(engine->ops->flush(engine), 0);
	ck_assert_uint_eq(bufio_engine_record_count(engine), 4);
	entry(0, BUFIO_RECORD_FLUSH_BEGIN, 1);
	entry(1, BUFIO_RECORD_FLUSH_END, 1);
	entry(2, BUFIO_RECORD_FLUSH_BEGIN, 2);
	entry(3, BUFIO_RECORD_FLUSH_END, 2);
}
END_TEST

START_TEST(what_failed_has_no_completion)
{
	set_fault(BUFIO_FAULT_ANY);
	ck_assert_int_eq(write_at(0, 512), -EIO);
	ck_assert_int_eq(engine->ops->flush(engine), -EIO);
	bufio_engine_fault_set(fault, NULL);
	ck_assert_int_eq(write_at(0, 512), 0);
	ck_assert_uint_eq(bufio_engine_record_count(engine), 4);
	entry(0, BUFIO_RECORD_WRITE, 1);
	entry(1, BUFIO_RECORD_FLUSH_BEGIN, 1);
	entry(2, BUFIO_RECORD_WRITE, 2);
	entry(3, BUFIO_RECORD_COMPLETE, 2);
}
END_TEST

START_TEST(what_never_reached_the_device_is_not_logged)
{
	ck_assert_int_eq(write_at(FIXTURE_BYTES, 512), -ERANGE);
	ck_assert_int_eq(write_at(100, 512), -EINVAL);
	ck_assert_uint_eq(bufio_engine_record_count(engine), 0);
	ck_assert_ptr_null(bufio_engine_record_get(engine, 0));
}
END_TEST

START_TEST(mark_stands_behind_what_was_done_before)
{
	ck_assert_int_eq(write_at(0, 512), 0);
	ck_assert_int_eq(bufio_engine_record_mark(engine, 77), 0);
	ck_assert_int_eq(write_at(0, 512), 0);
	entry(1, BUFIO_RECORD_COMPLETE, 1);
	entry(2, BUFIO_RECORD_MARK, 77);
	entry(3, BUFIO_RECORD_WRITE, 2);
}
END_TEST

START_TEST(counts_are_exact)
{
	struct bufio_record_counts counts;
	struct request *q = malloc(sizeof(*q));

	ck_assert_int_eq(write_at(0, 8192), 0);
	ck_assert_int_eq(simple_transfer(engine, BUFIO_OP_READ, 0, data, 4096), 0);
	request_init(q, BUFIO_OP_READ, 0, data, 512);
	ck_assert_int_eq(request_submit(engine, q), 0);
	ck_assert_int_eq(engine->ops->flush(engine), 0);
	bufio_engine_record_counts(engine, &counts);
	ck_assert_uint_eq(counts.reads, 2);
	ck_assert_uint_eq(counts.read_bytes, 4608);
	ck_assert_uint_eq(counts.writes, 1);
	ck_assert_uint_eq(counts.write_bytes, 8192);
	ck_assert_uint_eq(counts.flushes, 1);
	ck_assert_uint_eq(counts.durable_writes, 0);
	bufio_engine_record_clear(engine);
	bufio_engine_record_counts(engine, &counts);
	ck_assert_uint_eq(counts.reads + counts.writes + counts.flushes, 0);
	ck_assert_uint_eq(bufio_engine_record_count(engine), 0);
	free(q);
}
END_TEST

START_TEST(numbers_go_on_after_clear)
{
	ck_assert_int_eq(write_at(0, 512), 0);
	ck_assert_int_eq(engine->ops->flush(engine), 0);
	bufio_engine_record_clear(engine);
	ck_assert_int_eq(write_at(0, 512), 0);
	ck_assert_int_eq(engine->ops->flush(engine), 0);
	entry(0, BUFIO_RECORD_WRITE, 2);
	entry(2, BUFIO_RECORD_FLUSH_BEGIN, 2);
}
END_TEST

START_TEST(discard_is_logged_and_zero_is_left_to_writes)
{
	const struct bufio_record_entry *d;

	ck_assert_int_eq(write_at(0, 8192), 0);
	ck_assert_int_eq(engine->ops->discard(engine, 4096, 4096), 0);
	d = entry(2, BUFIO_RECORD_DISCARD, 0);
	ck_assert_uint_eq(d->offset_bytes, 4096);
	ck_assert_uint_eq(d->size_bytes, 4096);
	ck_assert_ptr_null(d->data);
	ck_assert_int_eq(engine->ops->zero(engine, 0, 4096), -EOPNOTSUPP);
	assert_pattern(mem, 0, 4096, 1);
	ck_assert_uint_eq(bufio_engine_record_count(engine), 3);
}
END_TEST

/* Writes in flight, reordered, from threads: what replaying the log gives is the device. */

#define NR_THREADS 4
#define NR_WRITES  64

static void *writer_thread(void *argument)
{
	unsigned thread = (unsigned)(uintptr_t)argument, i;
	struct request *qs[NR_WRITES];
	char *mine = pattern_alloc(NR_WRITES * 1024, thread);
	struct waiter w;

	waiter_init(&w);
	for (i = 0; i < NR_WRITES; i++) {
		qs[i] = malloc(sizeof(*qs[i]));
		request_init(qs[i], BUFIO_OP_WRITE, (thread * NR_WRITES + i) * 1024,
			     mine + i * 1024, 1024);
		if (i % 8 == 0)
			qs[i]->io.flags = BUFIO_IO_DURABLE;
	}
	request_start(engine, qs, NR_WRITES, &w);
	ck_assert_int_eq(engine->ops->flush(engine), 0);
	waiter_wait(&w);
	ck_assert_uint_eq(w.nr_failed, 0);
	ck_assert_int_eq(bufio_engine_record_mark(engine, thread), 0);
	for (i = 0; i < NR_WRITES; i++)
		free(qs[i]);
	waiter_finish(&w);
	free(mine);
	return NULL;
}

struct tally {
	bool submitted[NR_THREADS * NR_WRITES + 1];
	bool completed[NR_THREADS * NR_WRITES + 1];
	bool flushing[NR_THREADS + 1];
	unsigned nr_writes, nr_completes, nr_flushes, nr_marks;
};

/* Check one entry against those before it and replay it. */
static void tally_entry(struct tally *t, const struct bufio_record_entry *e, char *image)
{
	switch (e->kind) {
	case BUFIO_RECORD_WRITE:
		ck_assert_uint_eq(e->write, ++t->nr_writes);
		t->submitted[e->write] = true;
		memcpy(image + e->offset_bytes, e->data, e->size_bytes);
		break;
	case BUFIO_RECORD_COMPLETE:
		ck_assert(t->submitted[e->write]);
		ck_assert(!t->completed[e->write]);
		t->completed[e->write] = true;
		t->nr_completes++;
		break;
	case BUFIO_RECORD_FLUSH_BEGIN:
		t->flushing[e->write] = true;
		break;
	case BUFIO_RECORD_FLUSH_END:
		ck_assert(t->flushing[e->write]);
		t->flushing[e->write] = false;
		t->nr_flushes++;
		break;
	default:
		t->nr_marks++;
		break;
	}
}

START_TEST(log_of_many_threads_is_whole)
{
	char *image = calloc(1, NR_THREADS * NR_WRITES * 1024);
	char *got = pattern_alloc(NR_THREADS * NR_WRITES * 1024, 0);
	struct tally t = {0};
	pthread_t threads[NR_THREADS];
	uintptr_t i;

	ck_assert_int_eq(bufio_engine_mem_reorder(mem, 99), 0);
	for (i = 0; i < NR_THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, writer_thread, (void *)i), 0);
	for (i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < bufio_engine_record_count(engine); i++)
		tally_entry(&t, bufio_engine_record_get(engine, i), image);
	ck_assert_uint_eq(t.nr_writes, NR_THREADS * NR_WRITES);
	ck_assert_uint_eq(t.nr_completes, NR_THREADS * NR_WRITES);
	ck_assert_uint_eq(t.nr_flushes, NR_THREADS);
	ck_assert_uint_eq(t.nr_marks, NR_THREADS);
	ck_assert_int_eq(bufio_engine_mem_peek(mem, 0, got, NR_THREADS * NR_WRITES * 1024), 0);
	ck_assert_mem_eq(got, image, NR_THREADS * NR_WRITES * 1024);
	free(got);
	free(image);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("record");
	TCase *t = tcase_create("record");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, write_is_logged_with_its_data_and_completion, 0, 2);
	tcase_add_test(t, durable_write_is_marked);
	tcase_add_test(t, flush_has_a_begin_and_an_end);
	tcase_add_test(t, what_failed_has_no_completion);
	tcase_add_test(t, what_never_reached_the_device_is_not_logged);
	tcase_add_test(t, mark_stands_behind_what_was_done_before);
	tcase_add_test(t, counts_are_exact);
	tcase_add_test(t, numbers_go_on_after_clear);
	tcase_add_test(t, discard_is_logged_and_zero_is_left_to_writes);
	tcase_add_test(t, log_of_many_threads_is_whole);
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
