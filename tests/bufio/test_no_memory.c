/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What works when malloc() gives nothing more.  The linker sends the library's calls here. */
#include "client_fixture.h"
#include <stdatomic.h>

static atomic_bool is_out_of_memory;

void *__real_malloc(size_t size);
void *__real_calloc(size_t nr, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t nr, size_t size);

void *__wrap_malloc(size_t size)
{
	return is_out_of_memory ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t nr, size_t size)
{
	return is_out_of_memory ? NULL : __real_calloc(nr, size);
}

/* Check needs memory, too. */
#define WITHOUT_MEMORY(call)                                                                       \
	__extension__({                                                                            \
		int result_;                                                                       \
		is_out_of_memory = true;                                                           \
		result_ = call;                                                                    \
		is_out_of_memory = false;                                                          \
		result_;                                                                           \
	})

/* The device in RAM needs memory as well, but only for the first write to a place. */
static void init(struct tc *t)
{
	tc_init(t, NULL);
	for (unsigned i = 0; i < 4000; i++)
		ck_assert_int_eq(bufio_engine_mem_poke(t->mem, i * BLOCK, "", 1), 0);
}

START_TEST(flush_needs_no_memory)
{
	struct tc t;

	init(&t);
	for (unsigned i = 0; i < 2000; i++)
		tc_put(&t, i * 7 % 2000, i + 1);
	ck_assert_int_eq(WITHOUT_MEMORY(bufio_write_dirty_buffers(t.client)), 0);
	for (unsigned i = 0; i < 2000; i++)
		ck_assert_uint_eq(tc_on_device(&t, i * 7 % 2000), i + 1);
	tc_finish(&t);
}
END_TEST

START_TEST(single_blocks_need_no_memory)
{
	struct bufio_buffer *b;
	struct tc t;

	init(&t);
	for (unsigned i = 0; i < 4000; i++) {
		ck_assert_int_eq(WITHOUT_MEMORY(bufio_new(t.client, i, &b)), 0);
		memcpy(bufio_data(b), &i, sizeof(i));
		bufio_mark_dirty(b);
		bufio_release(b);
	}
	for (unsigned i = 0; i < 4000; i++) {
		ck_assert_int_eq(WITHOUT_MEMORY(bufio_read(t.client, i, &b)), 0);
		ck_assert_mem_eq(bufio_data(b), &i, sizeof(i));
		bufio_release(b);
	}
	ck_assert_int_eq(WITHOUT_MEMORY(bufio_prefetch(t.client, 5000, 10)), 0);
	ck_assert_int_eq(bufio_read(t.client, 1, &b), 0);
	ck_assert_int_eq(WITHOUT_MEMORY(bufio_release_move(b, 2)), -ENOMEM);
	bufio_release(b);
	tc_finish(&t);
}
END_TEST

START_TEST(extent_without_memory_says_so)
{
	static char data[BLOCK] __attribute__((aligned(BLOCK)));
	struct iovec iov = {data, BLOCK};
	struct tc t;

	init(&t);
	ck_assert_int_eq(WITHOUT_MEMORY(bufio_read_extent(
				 t.client, &(struct bufio_extent){1, 1, &iov, 1}, NULL, NULL)),
			 -ENOMEM);
	ck_assert_int_eq(
		bufio_read_extent(t.client, &(struct bufio_extent){1, 1, &iov, 1}, NULL, NULL), 0);
	tc_finish(&t);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("no_memory");
	TCase *tc = tcase_create("no_memory");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, flush_needs_no_memory);
	tcase_add_test(tc, single_blocks_need_no_memory);
	tcase_add_test(tc, extent_without_memory_says_so);
	suite_add_tcase(suite, tc);
	return tc_run_suite(suite);
}
