/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* When it pays to look for requests without sleeping. */
#include "spin.h"

#include <check.h>
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

START_TEST(what_is_there_already_is_found_and_teaches_nothing)
{
	struct spin s = {.off = 7};
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq((int)write(ends[1], "x", 1), 1);
	spin_until_readable(&s, ends[0]);
	ck_assert_uint_eq(s.off, 7);
	ck_assert_uint_eq(s.nr_to_pass, 0);
	close(ends[0]);
	close(ends[1]);
}
END_TEST

START_TEST(it_gives_up_and_learns_from_it)
{
	struct spin s = {0};
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	spin_until_readable(&s, ends[0]);
	ck_assert_uint_ge(s.nr_to_pass, 1);
	close(ends[0]);
	close(ends[1]);
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
	tcase_add_test(t, what_is_there_already_is_found_and_teaches_nothing);
	tcase_add_test(t, it_gives_up_and_learns_from_it);
	suite_add_tcase(suite, t);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	nr_failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return nr_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
