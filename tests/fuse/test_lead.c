/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who receives requests: whoever waits for the device lets another one. */
#include "lead.h"

#include <check.h>
#include <fcntl.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <unistd.h>

static struct lead lead;
static sem_t led_by_other;

/* A device that is as slow as the next thread to receive. */
static int slow_transfer(struct bufio_engine *e, struct bufio_io *io)
{
	sem_wait(&led_by_other);
	return 0;
}

static int slow_flush(struct bufio_engine *e)
{
	sem_wait(&led_by_other);
	return 0;
}

static void slow_submit(struct bufio_engine *e, struct bufio_io *const *ios, unsigned nr)
{
	sem_wait(&led_by_other);
}

static int slow_range(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes)
{
	sem_wait(&led_by_other);
	return 0;
}

static void nothing(struct bufio_engine *e)
{
}

static const struct bufio_engine_ops slow_ops = {
	.submit = slow_submit,
	.transfer = slow_transfer,
	.flush = slow_flush,
	.discard = slow_range,
	.zero = slow_range,
	.destroy = nothing,
};
static struct bufio_engine slow = {.ops = &slow_ops, .size_bytes = 4096, .sector_bytes = 512};

static void *other_main(void *context)
{
	lead_take(&lead);
	sem_post(&led_by_other);
	lead_give();
	return NULL;
}

static void use_device(struct bufio_engine *e, int how)
{
	struct bufio_io io = {.op = BUFIO_OP_READ};
	struct bufio_io *ios[] = {&io};

	switch (how) {
	case 0:
		ck_assert_int_eq(e->ops->transfer(e, &io), 0);
		break;
	case 1:
		e->ops->submit(e, ios, 1);
		break;
	case 2:
		ck_assert_int_eq(e->ops->flush(e), 0);
		break;
	case 3:
		ck_assert_int_eq(e->ops->discard(e, 0, 512), 0);
		break;
	default:
		ck_assert_int_eq(e->ops->zero(e, 0, 512), 0);
	}
}

/* It would hang, and the test time out. */
START_TEST(who_waits_for_the_device_lets_another_receive)
{
	struct bufio_engine *e;
	pthread_t other;

	lead_init(&lead, -1);
	sem_init(&led_by_other, 0, 0);
	ck_assert_int_eq(lead_engine_create(&slow, &e), 0);
	lead_take(&lead);
	ck_assert_int_eq(pthread_create(&other, NULL, other_main, NULL), 0);
	use_device(e, _i);
	pthread_join(other, NULL);
	bufio_engine_destroy(e);
	sem_destroy(&led_by_other);
	lead_finish(&lead);
}
END_TEST

static void quick_submit(struct bufio_engine *e, struct bufio_io *const *ios, unsigned nr)
{
}

START_TEST(who_does_not_wait_for_what_it_submits_keeps_the_lead)
{
	static const struct bufio_engine_ops ops = {.submit = quick_submit, .destroy = nothing};
	struct bufio_engine quick = {.ops = &ops}, *e;
	struct bufio_io io = {.op = BUFIO_OP_READ, .flags = BUFIO_IO_UNAWAITED};
	struct bufio_io awaited = {.op = BUFIO_OP_READ};
	struct bufio_io *ios[] = {&io, &awaited};

	lead_init(&lead, -1);
	ck_assert_int_eq(lead_engine_create(&quick, &e), 0);
	lead_take(&lead);
	e->ops->submit(e, ios, 1);
	ck_assert_uint_eq(lead.nr_readers, 1);
	e->ops->submit(e, ios, 2);
	ck_assert_uint_eq(lead.nr_readers, 0);
	bufio_engine_destroy(e);
	lead_finish(&lead);
}
END_TEST

static int watched_transfer(struct bufio_engine *e, struct bufio_io *io, struct bufio_watch *w)
{
	char byte;

	ck_assert_uint_eq(lead.nr_readers, 1);
	if (read(w->fd, &byte, 1) == 1)
		w->readable(w);
	return 0;
}

static unsigned nr_others; /* that read */

static int unwatched_transfer(struct bufio_engine *e, struct bufio_io *io)
{
	ck_assert_uint_eq(lead.nr_readers, nr_others);
	return 0;
}

static const struct bufio_engine_ops watching_ops = {
	.transfer = unwatched_transfer,
	.transfer_watching = watched_transfer,
	.destroy = nothing,
};

static void write_durably(struct bufio_engine *e)
{
	struct bufio_io io = {.op = BUFIO_OP_WRITE, .flags = BUFIO_IO_DURABLE};

	ck_assert_int_eq(e->ops->transfer(e, &io), 0);
}

START_TEST(who_syncs_alone_keeps_the_lead)
{
	struct bufio_engine watching = {.ops = &watching_ops}, *e;
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_NONBLOCK), 0);
	lead_init(&lead, ends[0]);
	ck_assert_int_eq(lead_engine_create(&watching, &e), 0);
	lead_take(&lead);
	for (unsigned i = 0; i < 3; i++) {
		write_durably(e);
		ck_assert_uint_eq(lead.nr_readers, 1);
	}
	lead_give();
	bufio_engine_destroy(e);
	lead_finish(&lead);
	close(ends[0]);
	close(ends[1]);
}
END_TEST

/* ... at once, and for a while before each durable write. */
START_TEST(who_is_asked_for_something_during_a_sync_lets_another_receive)
{
	struct bufio_engine watching = {.ops = &watching_ops}, *e;
	unsigned nr_given = 0;
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_NONBLOCK), 0);
	ck_assert_int_eq(write(ends[1], "", 1), 1);
	lead_init(&lead, ends[0]);
	ck_assert_int_eq(lead_engine_create(&watching, &e), 0);
	lead_take(&lead);
	write_durably(e);
	ck_assert_uint_eq(lead.nr_readers, 0);
	for (;; nr_given++) {
		lead_take(&lead);
		write_durably(e);
		if (lead.nr_readers)
			break;
	}
	ck_assert_uint_ge(nr_given, 1);
	lead_give();
	bufio_engine_destroy(e);
	lead_finish(&lead);
	close(ends[0]);
	close(ends[1]);
}
END_TEST

static sem_t other_may_go;

static void *reading_main(void *context)
{
	lead_take(&lead);
	sem_post(&led_by_other);
	sem_wait(&other_may_go);
	lead_give();
	return NULL;
}

START_TEST(beside_another_reader_there_is_nothing_to_watch_for)
{
	struct bufio_engine watching = {.ops = &watching_ops}, *e;
	pthread_t other;

	lead_init(&lead, -1);
	sem_init(&led_by_other, 0, 0);
	sem_init(&other_may_go, 0, 0);
	ck_assert_int_eq(lead_engine_create(&watching, &e), 0);
	ck_assert_int_eq(pthread_create(&other, NULL, reading_main, NULL), 0);
	sem_wait(&led_by_other);
	lead_take(&lead);
	ck_assert_uint_eq(lead.nr_readers, 2);
	nr_others = 1;
	write_durably(e);
	ck_assert_uint_eq(lead.nr_readers, 1);
	sem_post(&other_may_go);
	pthread_join(other, NULL);
	bufio_engine_destroy(e);
	sem_destroy(&other_may_go);
	sem_destroy(&led_by_other);
	lead_finish(&lead);
}
END_TEST

START_TEST(the_engine_looks_like_what_it_wraps)
{
	struct bufio_engine *e;

	ck_assert_int_eq(lead_engine_create(&slow, &e), 0);
	ck_assert_uint_eq(e->size_bytes, slow.size_bytes);
	ck_assert_uint_eq(e->sector_bytes, slow.sector_bytes);
	bufio_engine_destroy(e);
}
END_TEST

#define NR_THREADS 4
#define NR_ROUNDS  2000

static pthread_mutex_t count_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned leaders, most_leaders, rounds; /* count_lock */

static void count(int delta)
{
	pthread_mutex_lock(&count_lock);
	leaders += (unsigned)delta;
	rounds += delta > 0;
	if (leaders > most_leaders)
		most_leaders = leaders;
	pthread_mutex_unlock(&count_lock);
}

static void *waiting_rounds(void *context)
{
	for (unsigned i = 0; i < NR_ROUNDS; i++) {
		lead_take(&lead);
		count(1);
		count(-1);
		if (i % 3 == 0)
			lead_give();
	}
	lead_give();
	return NULL;
}

START_TEST(at_most_two_threads_receive_while_they_wait_now_and_then)
{
	pthread_t threads[NR_THREADS];

	lead_init(&lead, -1);
	for (unsigned i = 0; i < NR_THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, waiting_rounds, NULL), 0);
	for (unsigned i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(rounds, NR_THREADS * NR_ROUNDS);
	ck_assert_uint_le(most_leaders, 2);
	lead_finish(&lead);
}
END_TEST

/* Another one received beside it, then waits for nothing any more either: it is the one to go. */
static void *calm_rounds(void *context)
{
	lead_take(&lead);
	sem_post(&led_by_other);
	for (unsigned i = 0; i < NR_ROUNDS; i++)
		lead_take(&lead);
	sem_post(&led_by_other);
	lead_give();
	return NULL;
}

static unsigned nr_readers(void)
{
	unsigned nr;

	pthread_mutex_lock(&lead.lock);
	nr = lead.nr_readers;
	pthread_mutex_unlock(&lead.lock);
	return nr;
}

START_TEST(one_thread_receives_while_nobody_waits)
{
	pthread_t other;

	lead_init(&lead, -1);
	sem_init(&led_by_other, 0, 0);
	lead_take(&lead);
	ck_assert_int_eq(pthread_create(&other, NULL, calm_rounds, NULL), 0);
	sem_wait(&led_by_other);
	/* it stops, however long it goes on, until this one gives the lead away */
	while (nr_readers() == 2)
		sched_yield();
	ck_assert_int_ne(sem_trywait(&led_by_other), 0);
	for (unsigned i = 0; i < NR_ROUNDS; i++)
		lead_take(&lead);
	ck_assert_int_ne(sem_trywait(&led_by_other), 0);
	lead_give();
	pthread_join(other, NULL);
	sem_destroy(&led_by_other);
	lead_finish(&lead);
}
END_TEST

/* A device that notes what it is given in one call. */
#define NOTED 8u
static unsigned noted[NOTED], nr_calls;

static void note_submit(struct bufio_engine *e, struct bufio_io *const *ios, unsigned nr)
{
	ck_assert_uint_lt(nr_calls, NOTED);
	noted[nr_calls++] = nr;
	sem_post(&led_by_other);
}

static const struct bufio_engine_ops noting_ops = {.submit = note_submit, .destroy = nothing};
static struct bufio_engine noting = {.ops = &noting_ops};

static struct bufio_engine *begin_noting(void)
{
	struct bufio_engine *e;

	nr_calls = 0;
	sem_init(&led_by_other, 0, 0);
	lead_init(&lead, -1);
	ck_assert_int_eq(lead_engine_create(&noting, &e), 0);
	lead_take(&lead);
	return e;
}

static void end_noting(struct bufio_engine *e)
{
	lead_give();
	bufio_engine_destroy(e);
	lead_finish(&lead);
	sem_destroy(&led_by_other);
}

/* The device never ends them. */
static void submit_read(struct bufio_engine *e, size_t size)
{
	static struct bufio_io io;
	struct bufio_io *ios[] = {&io};

	io = (struct bufio_io){
		.op = BUFIO_OP_READ, .flags = BUFIO_IO_UNAWAITED, .size_bytes = size};
	e->ops->submit(e, ios, 1);
}

START_TEST(small_reads_go_to_the_device_together)
{
	struct bufio_engine *e = begin_noting();

	ck_assert(!lead_holds(&lead));
	for (unsigned i = 0; i < 3; i++)
		submit_read(e, 4096);
	ck_assert_uint_eq(nr_calls, 0);
	ck_assert(lead_holds(&lead));
	lead_submit(&lead);
	ck_assert_uint_eq(nr_calls, 1);
	ck_assert_uint_eq(noted[0], 3);
	ck_assert(!lead_holds(&lead));
	end_noting(e);
	ck_assert_uint_eq(nr_calls, 1);
}
END_TEST

START_TEST(as_many_reads_as_can_be_held_go_by_themselves)
{
	struct bufio_engine *e = begin_noting();

	for (unsigned i = 0; i < LEAD_MOST_HELD + 1; i++)
		submit_read(e, 4096);
	ck_assert_uint_eq(nr_calls, 1);
	ck_assert_uint_eq(noted[0], LEAD_MOST_HELD);
	ck_assert(lead_holds(&lead));
	end_noting(e);
}
END_TEST

START_TEST(large_reads_and_those_of_who_has_not_the_lead_are_not_held)
{
	struct bufio_engine *e = begin_noting();

	submit_read(e, 1 << 20);
	ck_assert_uint_eq(nr_calls, 1);
	lead_give();
	submit_read(e, 4096);
	ck_assert_uint_eq(nr_calls, 2);
	ck_assert(!lead_holds(&lead));
	end_noting(e);
}
END_TEST

START_TEST(who_gives_the_lead_away_holds_nothing)
{
	struct bufio_engine *e = begin_noting();

	submit_read(e, 4096);
	lead_give();
	ck_assert_uint_eq(nr_calls, 1);
	ck_assert_uint_eq(noted[0], 1);
	end_noting(e);
}
END_TEST

/* Until the device has something. */
static void *lead_until_noted(void *context)
{
	lead_take(&lead);
	sem_wait(&led_by_other);
	lead_give();
	return NULL;
}

/* Else it would leave its reads to one who sleeps: this would hang, and the test time out. */
START_TEST(who_stops_receiving_holds_nothing)
{
	struct bufio_engine *e = begin_noting();
	pthread_t other;

	ck_assert_int_eq(pthread_create(&other, NULL, lead_until_noted, NULL), 0);
	while (nr_readers() != 2)
		sched_yield();
	submit_read(e, 4096);
	for (unsigned i = 0; i < NR_ROUNDS; i++)
		lead_take(&lead);
	pthread_join(other, NULL);
	end_noting(e);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lead");
	TCase *tc = tcase_create("lead");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tc, who_waits_for_the_device_lets_another_receive, 0, 5);
	tcase_add_test(tc, who_does_not_wait_for_what_it_submits_keeps_the_lead);
	tcase_add_test(tc, who_syncs_alone_keeps_the_lead);
	tcase_add_test(tc, who_is_asked_for_something_during_a_sync_lets_another_receive);
	tcase_add_test(tc, beside_another_reader_there_is_nothing_to_watch_for);
	tcase_add_test(tc, the_engine_looks_like_what_it_wraps);
	tcase_add_test(tc, at_most_two_threads_receive_while_they_wait_now_and_then);
	tcase_add_test(tc, one_thread_receives_while_nobody_waits);
	tcase_add_test(tc, small_reads_go_to_the_device_together);
	tcase_add_test(tc, as_many_reads_as_can_be_held_go_by_themselves);
	tcase_add_test(tc, large_reads_and_those_of_who_has_not_the_lead_are_not_held);
	tcase_add_test(tc, who_gives_the_lead_away_holds_nothing);
	tcase_add_test(tc, who_stops_receiving_holds_nothing);
	suite_add_tcase(s, tc);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
