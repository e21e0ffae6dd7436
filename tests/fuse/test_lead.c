/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who receives requests: whoever waits for the device lets another one. */
#include "lead.h"

#include <check.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>

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

	lead_init(&lead);
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

	lead_init(&lead);
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

	lead_init(&lead);
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

	lead_init(&lead);
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

int main(void)
{
	Suite *s = suite_create("lead");
	TCase *tc = tcase_create("lead");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tc, who_waits_for_the_device_lets_another_receive, 0, 5);
	tcase_add_test(tc, who_does_not_wait_for_what_it_submits_keeps_the_lead);
	tcase_add_test(tc, the_engine_looks_like_what_it_wraps);
	tcase_add_test(tc, at_most_two_threads_receive_while_they_wait_now_and_then);
	tcase_add_test(tc, one_thread_receives_while_nobody_waits);
	suite_add_tcase(s, tc);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
