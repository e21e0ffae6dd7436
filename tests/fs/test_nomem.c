/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* As test_fault.c, with allocations that fail.  The linker wraps them: see meson.build. */
#include "image.h"
#include "scenario.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#define SIZE (UINT64_C(9) << 20)

/* Allocations left until one fails; those of the tests themselves are not counted. */
static atomic_bool counting;
static atomic_long left, nr_failed;
static bool for_ever;

static bool fails(void)
{
	long n;

	if (!atomic_load(&counting))
		return false;
	n = atomic_fetch_sub(&left, 1);
	if (n != 1 && (n > 1 || !for_ever))
		return false;
	atomic_fetch_add(&nr_failed, 1);
	return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t nr, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
int __real_posix_memalign(void **ret, size_t align, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t nr, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
int __wrap_posix_memalign(void **ret, size_t align, size_t size);

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t nr, size_t size)
{
	return fails() ? NULL : __real_calloc(nr, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : __real_realloc(p, size);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
	return fails() ? NULL : __real_aligned_alloc(align, size);
}

int __wrap_posix_memalign(void **ret, size_t align, size_t size)
{
	return fails() ? ENOMEM : __real_posix_memalign(ret, align, size);
}

static bool failing(void *context)
{
	return atomic_load(&nr_failed) > 0;
}

START_TEST(each_allocation_that_fails_does_bounded_harm)
{
	bool failed = true;

	for_ever = _i % 2;
	for (long n = 1; failed; n++) {
		struct scenario s = {.failing = failing, .no_idle = _i / 2};

		ck_assert_int_eq(bufio_engine_mem_create(SIZE, 512, &s.engine), 0);
		atomic_store(&left, n);
		atomic_store(&nr_failed, 0);
		atomic_store(&counting, true);
		scenario_run(&s);
		atomic_store(&counting, false);
		failed = failing(NULL);
		if (!failed)
			ck_assert_msg(!s.nr_errors, "%s: %d", s.first_call, s.first_error);
		scenario_verify(&s);
		bufio_engine_destroy(s.engine);
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("nomem");
	TCase *const cases[] = {tc, NULL};

	tcase_add_loop_test(tc, each_allocation_that_fails_does_bounded_harm, 0, 4);
	return image_run("nomem", cases);
}
