/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random programs over every engine, with 1 to 16 threads and caches from one buffer to more than
 * all blocks.  A program that fails is made short and printed.
 *
 *	PROGRAM_SEED	of the first program of each combination; 1 if not set, 0: the time
 *	PROGRAM_RUNS	programs per combination; 10 if not set
 *	PROGRAM_ONLY	one combination
 */
#include <check.h>
#include <stdlib.h>
#include <time.h>
#include "program.h"

static const struct shape {
	unsigned nr_threads, nr_buffers, length;
} shapes[] = {
	{1, 2, 300}, {1, 1000, 300}, {2, 2, 200},  {2, 1000, 200}, {4, 4, 150}, {4, 64, 150},
	{8, 8, 100}, {8, 1000, 100}, {16, 16, 60}, {16, 1000, 60}, {1, 1, 300},
};

#define NR_SHAPES ((int)(sizeof(shapes) / sizeof(shapes[0])))

static unsigned from_environment(const char *name, unsigned otherwise)
{
	const char *s = getenv(name);

	return s ? (unsigned)strtoul(s, NULL, 0) : otherwise;
}

static struct program *make(enum program_engine engine, const struct shape *shape, uint64_t seed)
{
	static const unsigned block_bytes[] = {512, 1024, 4096, 4096, 65536};
	struct program *p = calloc(1, sizeof(*p));

	ck_assert_ptr_nonnull(p);
	p->engine = engine;
	p->nr_threads = shape->nr_threads;
	p->nr_buffers = shape->nr_buffers;
	p->block_bytes = engine == ON_RECORD ? 1024 : block_bytes[seed % 5];
	program_make(p, seed, shape->length);
	return p;
}

static void run_or_shrink(struct program *p)
{
	uint64_t seed = p->seed;

	if (program_passes(p)) {
		free(p);
		return;
	}
	program_shrink(p);
	program_print(p, stderr);
	ck_abort_msg("a program of seed %llu fails", (unsigned long long)seed);
}

START_TEST(random_programs_keep_every_promise)
{
	enum program_engine engine = (enum program_engine)(_i / NR_SHAPES);
	unsigned seed = from_environment("PROGRAM_SEED", 1);
	unsigned runs = from_environment("PROGRAM_RUNS", 10);

	if (from_environment("PROGRAM_ONLY", (unsigned)_i) != (unsigned)_i)
		return;
	seed = seed ? seed : (unsigned)time(NULL);
	printf("combination %d: PROGRAM_SEED=%u\n", _i, seed);
	for (unsigned i = 0; i < runs; i++)
		run_or_shrink(make(engine, &shapes[_i % NR_SHAPES], seed + i));
}
END_TEST

START_TEST(lost_writes_are_found_and_the_program_made_short)
{
	struct program *p = make(ON_MEM, &shapes[0], 7);

	p->lie = 1 + 3;
	ck_assert(!program_passes(p));
	program_shrink(p);
	ck_assert(!program_passes(p));
	ck_assert_uint_le(program_length(p), 2);
	free(p);
}
END_TEST

/* What a program that takes write_range() for a flush would rely on. */
START_TEST(missing_flush_is_found)
{
	struct program *p = make(ON_RECORD, &shapes[1], 7);

	ck_assert(program_passes(p));
	p->lie = UINT64_MAX;
	ck_assert(!program_passes(p));
	free(p);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("program");
	TCase *tc = tcase_create("program");
	SRunner *runner = srunner_create(suite);
	int nr_failed;

	tcase_set_timeout(tc, 0); /* each program has its own, and shrinking takes long */
	tcase_add_loop_test(tc, random_programs_keep_every_promise, 0,
			    NR_PROGRAM_ENGINES * NR_SHAPES);
	tcase_add_test(tc, lost_writes_are_found_and_the_program_made_short);
	tcase_add_test(tc, missing_flush_is_found);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	nr_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return nr_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
