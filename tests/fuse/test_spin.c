/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* When it pays to look for requests without sleeping. */
#include "spin.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define SOON (SPIN_NS / 10)
#define OVER (SPIN_NS + 1)
#define AGES (100ull * SPIN_NS)

static unsigned nr_passed(struct spin *s)
{
	unsigned n = 0;

	while (!spin_tries(s))
		n++;
	return n;
}

START_TEST(it_looks_each_time_as_long_as_requests_come)
{
	struct spin s = {0};

	for (unsigned i = 0; i < 100; i++) {
		ck_assert(spin_tries(&s));
		spin_learn(&s, SOON, true);
	}
}
END_TEST

START_TEST(it_looks_ever_more_seldom_when_none_come)
{
	struct spin s = {0};
	unsigned before = 0;

	for (unsigned i = 0; i < 8; i++) {
		spin_learn(&s, OVER, false);
		ck_assert_uint_eq(nr_passed(&s), 2 * before + 1);
		before = 2 * before + 1;
	}
	for (unsigned i = 0; i < 3; i++) {
		spin_learn(&s, OVER, false);
		ck_assert_uint_eq(nr_passed(&s), SPIN_MOST_OFF);
	}
}
END_TEST

START_TEST(a_request_that_comes_makes_good_for_those_that_did_not)
{
	struct spin s = {0};

	for (unsigned i = 0; i < 5; i++)
		spin_learn(&s, OVER, false);
	nr_passed(&s);
	spin_learn(&s, SOON, true);
	ck_assert(spin_tries(&s));
	spin_learn(&s, OVER, false);
	ck_assert_uint_eq(nr_passed(&s), 1);
}
END_TEST

/* It was there at the next look, but that was long ago: another program had the processor. */
START_TEST(losing_the_processor_is_no_success)
{
	struct spin s = {0};

	spin_learn(&s, AGES, true);
	ck_assert_uint_eq(nr_passed(&s), SPIN_MOST_OFF);
}
END_TEST

struct ends {
	struct spin_file out;
	int in;
};

static struct ends ends_make(bool never)
{
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	return (struct ends){{.fd = fds[0], .never = never, .looks = ATOMIC_FLAG_INIT}, fds[1]};
}

static void ends_close(struct ends *e)
{
	close(e->out.fd);
	close(e->in);
}

static void ends_write(const struct ends *e)
{
	ck_assert_int_eq((int)write(e->in, "x", 1), 1);
}

static bool blocks(const struct ends *e)
{
	return !(fcntl(e->out.fd, F_GETFL) & O_NONBLOCK);
}

START_TEST(what_is_there_already_is_read_and_teaches_nothing)
{
	struct spin s = {.off = 7};
	struct ends e = ends_make(false);
	char c = 0;

	ends_write(&e);
	ck_assert_int_eq((int)spin_look(&s, &e.out, &c, 1), 1);
	ck_assert_int_eq(c, 'x');
	ck_assert_uint_eq(s.off, 7);
	ck_assert_uint_eq(s.nr_to_pass, 0);
	ends_close(&e);
}
END_TEST

START_TEST(it_gives_up_and_learns_from_it)
{
	struct spin s = {0};
	struct ends e = ends_make(false);
	char c;

	ck_assert_int_eq((int)spin_look(&s, &e.out, &c, 1), -EAGAIN);
	ck_assert_uint_ge(s.nr_to_pass, 1);
	ck_assert(blocks(&e));
	ends_close(&e);
}
END_TEST

START_TEST(the_file_blocks_again_when_a_chance_is_passed)
{
	struct spin s = {0};
	struct ends e = ends_make(false);
	char c;

	ends_write(&e);
	spin_look(&s, &e.out, &c, 1);
	ck_assert(!blocks(&e));
	ends_write(&e);
	s.nr_to_pass = 1;
	ck_assert_int_eq((int)spin_look(&s, &e.out, &c, 1), -EAGAIN);
	ck_assert(blocks(&e));
	ends_close(&e);
}
END_TEST

START_TEST(who_never_looks_leaves_the_file_as_it_is)
{
	struct spin s = {0};
	struct ends e = ends_make(true);
	char c;

	ends_write(&e);
	ck_assert_int_eq((int)spin_look(&s, &e.out, &c, 1), -EAGAIN);
	ck_assert(blocks(&e));
	ck_assert_int_eq((int)spin_read(&s, &e.out, &c, 1), 1);
	ends_close(&e);
}
END_TEST

static void *write_later(void *context)
{
	struct ends *e = context;

	/* the other has found nothing yet, or sleeps: either way it is to get this */
	ends_write(e);
	return NULL;
}

/* As if another thread looked all the time. */
START_TEST(who_may_not_look_sleeps_though_the_file_does_not_block)
{
	struct spin s = {0};
	struct ends e = ends_make(false);
	pthread_t thread;
	char c = 0;

	ck_assert_int_eq(fcntl(e.out.fd, F_SETFL, O_NONBLOCK), 0);
	ck_assert(!atomic_flag_test_and_set(&e.out.looks));
	ck_assert_int_eq(pthread_create(&thread, NULL, write_later, &e), 0);
	ck_assert_int_eq((int)spin_read(&s, &e.out, &c, 1), 1);
	ck_assert_int_eq(c, 'x');
	pthread_join(thread, NULL);
	ends_close(&e);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("spin");
	TCase *t = tcase_create("spin");
	SRunner *sr;
	int nr_failed;

	tcase_add_test(t, it_looks_each_time_as_long_as_requests_come);
	tcase_add_test(t, it_looks_ever_more_seldom_when_none_come);
	tcase_add_test(t, a_request_that_comes_makes_good_for_those_that_did_not);
	tcase_add_test(t, losing_the_processor_is_no_success);
	tcase_add_test(t, what_is_there_already_is_read_and_teaches_nothing);
	tcase_add_test(t, it_gives_up_and_learns_from_it);
	tcase_add_test(t, the_file_blocks_again_when_a_chance_is_passed);
	tcase_add_test(t, who_never_looks_leaves_the_file_as_it_is);
	tcase_add_test(t, who_may_not_look_sleeps_though_the_file_does_not_block);
	suite_add_tcase(suite, t);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	nr_failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return nr_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
