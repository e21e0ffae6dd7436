/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The images of a power cut, which other tests rely on: logs made by hand, images counted. */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "crash.h"
#include "engine_fixture.h"
#include "gate.h"

#define NR_SECTORS 16
#define MOST_SEEN  5000

static struct bufio_engine *mem, *fault, *gate, *record;

/* The images at the last point, one letter per sector: the letter written, or '.'. */
static char seen[MOST_SEEN][NR_SECTORS + 1];
static unsigned nr_seen, nr_images;
static uint64_t last_mark;

static void setup(void)
{
	ck_assert_int_eq(bufio_engine_mem_create(NR_SECTORS * 512, 512, &mem), 0);
	ck_assert_int_eq(bufio_engine_fault_create(mem, &fault), 0);
	ck_assert_int_eq(gate_create(fault, &gate), 0);
	ck_assert_int_eq(bufio_engine_record_create(gate, &record), 0);
}

static void teardown(void)
{
	bufio_engine_destroy(record);
}

static int put_flags(unsigned sector, unsigned nr, char letter, unsigned flags)
{
	struct request *q = malloc(sizeof(*q));
	char *data = pattern_alloc(nr * 512, 0);
	int r;

	memset(data, letter, nr * 512);
	request_init(q, BUFIO_OP_WRITE, sector * 512, data, nr * 512);
	q->io.flags = flags;
	r = request_transfer(record, q);
	free(data);
	free(q);
	return r;
}

static void put(unsigned sector, unsigned nr, char letter)
{
	ck_assert_int_eq(put_flags(sector, nr, letter, 0), 0);
}

static void flush(void)
{
	ck_assert_int_eq(record->ops->flush(record), 0);
}

static void letters(struct bufio_engine *e, char *ret)
{
	for (unsigned i = 0; i < NR_SECTORS; i++) {
		char sector[512] __attribute__((aligned(512)));

		ck_assert_int_eq(simple_transfer(e, BUFIO_OP_READ, i * 512, sector, 512), 0);
		ck_assert_int_eq(memcmp(sector, sector + 1, 511), 0);
		ret[i] = (unsigned char)sector[0] == 0xdd ? 'J' : sector[0] ? sector[0] : '.';
	}
	ret[NR_SECTORS] = 0;
}

static bool has(const char *start)
{
	for (unsigned i = 0; i < nr_seen; i++)
		if (!strncmp(seen[i], start, strlen(start)))
			return true;
	return false;
}

static void look(struct crash *c)
{
	char now[NR_SECTORS + 1];

	letters(crash_image(c), now);
	nr_images++;
	if (has(now))
		return;
	ck_assert_uint_lt(nr_seen, MOST_SEEN);
	strcpy(seen[nr_seen++], now);
}

static void crash_options(const struct crash_options *o)
{
	struct bufio_engine *base;
	struct crash *c;

	ck_assert_int_eq(bufio_engine_mem_create(NR_SECTORS * 512, 512, &base), 0);
	crash_create(record, base, o, &c);
	while (crash_next_point(c)) {
		nr_seen = nr_images = 0;
		last_mark = crash_mark(c);
		while (crash_next_image(c))
			look(c);
	}
	crash_destroy(c);
}

static void crash(void)
{
	crash_options(NULL);
}

START_TEST(nothing_written_is_one_image)
{
	crash();
	ck_assert_uint_eq(nr_seen, 1);
	ck_assert(has("................"));
}
END_TEST

START_TEST(unflushed_writes_may_each_be_missing)
{
	put(0, 1, 'a');
	put(1, 1, 'b');
	crash();
	ck_assert_uint_eq(nr_seen, 4);
	ck_assert(has("..") && has("a.") && has(".b") && has("ab"));
}
END_TEST

START_TEST(flushed_writes_are_there)
{
	put(0, 1, 'a');
	put(1, 1, 'b');
	flush();
	put(2, 1, 'c');
	crash();
	ck_assert_uint_eq(nr_seen, 2);
	ck_assert(has("ab.") && has("abc"));
}
END_TEST

START_TEST(failed_flush_makes_nothing_certain)
{
	struct bufio_fault f = {.ops = BUFIO_FAULT_FLUSH, .error = -EIO};

	put(0, 1, 'a');
	bufio_engine_fault_set(fault, &f);
	ck_assert_int_eq(record->ops->flush(record), -EIO);
	crash();
	ck_assert_uint_eq(nr_seen, 2);
}
END_TEST

static void *flush_thread(void *argument)
{
	return (void *)(intptr_t)record->ops->flush(record);
}

START_TEST(write_that_ends_after_the_flush_began_is_uncertain)
{
	pthread_t thread;
	void *r;

	put(0, 1, 'a');
	gate_close(gate, BUFIO_FAULT_FLUSH);
	ck_assert_int_eq(pthread_create(&thread, NULL, flush_thread, NULL), 0);
	gate_wait(gate, 1);
	put(1, 1, 'b');
	gate_open(gate);
	pthread_join(thread, &r);
	ck_assert_ptr_null(r);
	put(2, 1, 'c');
	crash();
	ck_assert_uint_eq(nr_seen, 4);
	ck_assert(has("a..") && has("ab.") && has("a.c") && has("abc"));
}
END_TEST

START_TEST(durable_write_is_there_and_what_it_covers_gone)
{
	put(0, 2, 'a');
	ck_assert_int_eq(put_flags(1, 2, 'b', BUFIO_IO_DURABLE), 0);
	put(4, 1, 'c');
	crash();
	ck_assert_uint_eq(nr_seen, 4);
	ck_assert(has(".bb..") && has("abb..") && has(".bb.c") && has("abb.c"));
}
END_TEST

START_TEST(later_write_stays_on_top_of_an_earlier_one)
{
	put(0, 1, 'a');
	put(0, 1, 'b');
	crash();
	ck_assert_uint_eq(nr_seen, 3);
	ck_assert(has(".") && has("a") && has("b"));
	flush();
	put(5, 1, 'c');
	crash();
	ck_assert_uint_eq(nr_seen, 2);
	ck_assert(has("b....") && has("b....c"));
}
END_TEST

/* Two writes of sector 0 in flight at once. */
static void put_together(void)
{
	struct request *a = malloc(sizeof(*a)), *b = malloc(sizeof(*b));
	char *data_a = pattern_alloc(512, 0), *data_b = pattern_alloc(512, 0);
	struct waiter w;

	memset(data_a, 'a', 512);
	memset(data_b, 'b', 512);
	waiter_init(&w);
	request_init(a, BUFIO_OP_WRITE, 0, data_a, 512);
	request_init(b, BUFIO_OP_WRITE, 0, data_b, 512);
	gate_close(gate, BUFIO_FAULT_WRITE);
	request_start(record, &a, 1, &w);
	request_start(record, &b, 1, &w);
	gate_wait(gate, 2);
	gate_open(gate);
	waiter_wait(&w);
	waiter_finish(&w);
	free(data_a);
	free(data_b);
	free(a);
	free(b);
}

START_TEST(of_two_in_flight_together_either_wins_even_after_a_flush)
{
	put_together();
	flush();
	put(1, 1, 'c');
	crash();
	ck_assert_uint_eq(nr_seen, 4);
	ck_assert(has("a.") && has("b.") && has("ac") && has("bc"));
}
END_TEST

START_TEST(certain_write_settles_two_in_flight_together)
{
	put_together();
	put(0, 1, 'd');
	flush();
	put(1, 1, 'c');
	crash();
	ck_assert_uint_eq(nr_seen, 2);
	ck_assert(has("d.") && has("dc"));
}
END_TEST

START_TEST(failed_write_may_be_there_until_something_certain_covers_it)
{
	struct bufio_fault f = {.ops = BUFIO_FAULT_WRITE, .error = -EIO};

	bufio_engine_fault_set(fault, &f);
	ck_assert_int_eq(put_flags(0, 1, 'a', 0), -EIO);
	bufio_engine_fault_set(fault, NULL);
	flush();
	crash();
	ck_assert_uint_eq(nr_seen, 2);
	ck_assert(has(".") && has("a"));
	put(0, 1, 'b');
	flush();
	put(1, 1, 'c');
	crash();
	ck_assert_uint_eq(nr_seen, 2);
	ck_assert(has("b.") && has("bc"));
}
END_TEST

START_TEST(write_may_be_torn_between_its_sectors)
{
	struct crash_options o;

	put(0, 8, 'a');
	crash();
	ck_assert(has("aaaa....") && has("....aaaa") && has("aaaaaaaa") && has("........"));
	crash_options_init(&o);
	o.whole_writes = true;
	crash_options(&o);
	ck_assert_uint_eq(nr_seen, 2);
}
END_TEST

START_TEST(discarded_sectors_are_as_they_were_or_junk)
{
	put(0, 2, 'a');
	flush();
	ck_assert_int_eq(record->ops->discard(record, 512, 1024), 0);
	crash();
	ck_assert(has("aa.") && has("aJJ"));
	flush();
	put(5, 1, 'b');
	crash();
	ck_assert_uint_eq(nr_seen, 2);
	ck_assert(has("aJJ...") && has("aJJ..b"));
}
END_TEST

START_TEST(many_writes_are_sampled)
{
	for (unsigned i = 0; i < NR_SECTORS; i++)
		put(i, 1, 'a');
	crash();
	ck_assert_uint_lt(nr_images, 400);
	ck_assert(has("................") && has("aaaaaaaaaaaaaaaa"));
	ck_assert(has("aaaaaa..........") && has("aaaaaa.aaaaaaaaa"));
	ck_assert(has("......a.........") && has("......a........a"));
}
END_TEST

START_TEST(images_come_with_the_last_mark_ahead)
{
	put(0, 1, 'a');
	ck_assert_int_eq(bufio_engine_record_mark(record, 7), 0);
	flush();
	ck_assert_int_eq(bufio_engine_record_mark(record, 8), 0);
	crash();
	ck_assert_uint_eq(last_mark, 8);
	ck_assert_uint_eq(nr_seen, 1);
	ck_assert(has("a"));
}
END_TEST

START_TEST(what_is_done_to_an_image_is_undone)
{
	char sector[512] __attribute__((aligned(512)));
	struct bufio_engine *base = crash_copy(mem);
	struct crash *c;
	char now[NR_SECTORS + 1];
	unsigned nr = 0;

	memset(sector, 'x', sizeof(sector));
	put(0, 1, 'a');
	crash_create(record, base, NULL, &c);
	while (crash_next_point(c)) {
		while (crash_next_image(c)) {
			letters(crash_image(c), now);
			ck_assert_ptr_null(strchr(now, 'x'));
			for (unsigned i = 0; i < NR_SECTORS; i++)
				ck_assert_int_eq(simple_transfer(crash_image(c), BUFIO_OP_WRITE,
								 i * 512, sector, 512),
						 0);
			nr++;
		}
	}
	ck_assert_uint_ge(nr, 2);
	crash_destroy(c);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("crash");
	TCase *tc = tcase_create("crash");
	SRunner *runner = srunner_create(suite);
	int nr_failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, nothing_written_is_one_image);
	tcase_add_test(tc, unflushed_writes_may_each_be_missing);
	tcase_add_test(tc, flushed_writes_are_there);
	tcase_add_test(tc, failed_flush_makes_nothing_certain);
	tcase_add_test(tc, write_that_ends_after_the_flush_began_is_uncertain);
	tcase_add_test(tc, durable_write_is_there_and_what_it_covers_gone);
	tcase_add_test(tc, later_write_stays_on_top_of_an_earlier_one);
	tcase_add_test(tc, of_two_in_flight_together_either_wins_even_after_a_flush);
	tcase_add_test(tc, certain_write_settles_two_in_flight_together);
	tcase_add_test(tc, failed_write_may_be_there_until_something_certain_covers_it);
	tcase_add_test(tc, write_may_be_torn_between_its_sectors);
	tcase_add_test(tc, discarded_sectors_are_as_they_were_or_junk);
	tcase_add_test(tc, many_writes_are_sampled);
	tcase_add_test(tc, images_come_with_the_last_mark_ahead);
	tcase_add_test(tc, what_is_done_to_an_image_is_undone);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	nr_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return nr_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
