/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The nth I/O fails, for every n until the scenario gets through: the error reaches the caller, nothing hangs or
 * crashes, what is left can be repaired, and what was synced before is there.
 */
#include "image.h"
#include "scenario.h"

#include <errno.h>

#define SIZE (UINT64_C(9) << 20)

enum duration { ONCE, FOR_EVER };

static const struct kind {
	unsigned ops;
	enum duration duration;
	bool torn;
} kinds[] = {
	{BUFIO_FAULT_READ, ONCE, false},    {BUFIO_FAULT_READ, FOR_EVER, false},
	{BUFIO_FAULT_WRITE, ONCE, false},   {BUFIO_FAULT_WRITE, FOR_EVER, false},
	{BUFIO_FAULT_WRITE, ONCE, true},    {BUFIO_FAULT_WRITE, FOR_EVER, true},
	{BUFIO_FAULT_FLUSH, ONCE, false},   {BUFIO_FAULT_FLUSH, FOR_EVER, false},
	{BUFIO_FAULT_ANY, FOR_EVER, false},
};

static bool failing(void *context)
{
	return bufio_engine_fault_failed(context) > 0;
}

#define NR_KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* Each kind with inodes that stay in memory, and with ones that do not. */
START_TEST(each_io_that_fails_does_bounded_harm)
{
	const struct kind *k = &kinds[(size_t)_i % NR_KINDS];
	bool failed = true;

	for (unsigned n = 1; failed; n++) {
		struct bufio_fault fault = {
			.ops = k->ops, .first = n, .count = k->duration == ONCE, .error = -EIO};
		struct bufio_engine *mem, *e;
		struct scenario s = {.failing = failing, .no_idle = (size_t)_i >= NR_KINDS};

		ck_assert_int_eq(bufio_engine_mem_create(SIZE, 512, &mem), 0);
		ck_assert_int_eq(bufio_engine_fault_create(mem, &e), 0);
		s.engine = s.context = e;
		bufio_engine_fault_torn(e, k->torn);
		bufio_engine_fault_set(e, &fault);
		scenario_run(&s);
		failed = failing(e);
		bufio_engine_fault_set(e, NULL);
		/* no device that stays broken is left without a word */
		if (failed && k->duration == FOR_EVER)
			ck_assert_int_ne(s.nr_errors, 0);
		if (!failed)
			ck_assert_msg(!s.nr_errors, "%s: %d", s.first_call, s.first_error);
		scenario_verify(&s);
		bufio_engine_destroy(e);
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("fault");
	TCase *const cases[] = {tc, NULL};

	tcase_add_loop_test(tc, each_io_that_fails_does_bounded_harm, 0, 2 * NR_KINDS);
	return image_run("fault", cases);
}
