/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What only the engine in RAM does. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "engine_fixture.h"

START_TEST(huge_device_costs_what_is_written)
{
	const uint64_t size_bytes = 1ull << 60;
	struct bufio_engine *e;
	void *data = pattern_alloc(1 << 17, 2);

	ck_assert_int_eq(bufio_engine_mem_create(size_bytes, 4096, &e), 0);
	ck_assert_int_eq(simple_transfer(e, BUFIO_OP_WRITE, size_bytes - (1 << 17), data, 1 << 17),
			 0);
	ck_assert_int_eq(simple_transfer(e, BUFIO_OP_WRITE, 4096, data, 1 << 17), 0);
	assert_pattern(e, size_bytes - (1 << 17), 1 << 17, 2);
	assert_pattern(e, 4096, 1 << 17, 2);
	assert_bytes(e, 0, 4096, 0);
	bufio_engine_destroy(e);
	free(data);
}
END_TEST

START_TEST(mem_engine_refuses_odd_geometry)
{
	struct bufio_engine *e = NULL;

	ck_assert_int_eq(bufio_engine_mem_create(1000, 512, &e), -EINVAL);
	ck_assert_int_eq(bufio_engine_mem_create(4096, 256, &e), -EINVAL);
	ck_assert_int_eq(bufio_engine_mem_create(3072, 1536, &e), -EINVAL);
	ck_assert_int_eq(bufio_engine_mem_create(4096, 0, &e), -EINVAL);
	ck_assert_ptr_null(e);
}
END_TEST

START_TEST(peek_and_poke_see_the_contents)
{
	struct bufio_engine *e;
	char data[10] = "some text", back[10];

	ck_assert_int_eq(bufio_engine_mem_create(1 << 20, 512, &e), 0);
	ck_assert_int_eq(bufio_engine_mem_poke(e, 65530, data, 10), 0);
	ck_assert_int_eq(bufio_engine_mem_peek(e, 65530, back, 10), 0);
	ck_assert_mem_eq(data, back, 10);
	ck_assert_int_eq(bufio_engine_mem_peek(e, (1 << 20) - 9, back, 10), -ERANGE);
	ck_assert_int_eq(bufio_engine_mem_poke(e, UINT64_MAX, back, 10), -ERANGE);
	ck_assert_int_eq(bufio_engine_mem_reorder(e, 0), 0);
	ck_assert_int_eq(bufio_engine_mem_reorder(e, 1), -EBUSY);
	bufio_engine_destroy(e);
}
END_TEST

START_TEST(discarded_memory_is_not_zero)
{
	char *data = pattern_alloc(1 << 16, 1);
	struct bufio_engine *e;

	ck_assert_int_eq(bufio_engine_mem_create(1 << 20, 512, &e), 0);
	ck_assert_int_eq(simple_transfer(e, BUFIO_OP_WRITE, 0, data, 1 << 16), 0);
	ck_assert_int_eq(e->ops->discard(e, 512, 1024), 0);
	assert_bytes(e, 512, 1024, 0xdd);
	ck_assert_int_eq(e->ops->zero(e, 0, 1 << 20), 0);
	assert_bytes(e, 0, 1 << 20, 0);
	bufio_engine_destroy(e);
	free(data);
}
END_TEST

#define NR_MANY 600

struct order {
	unsigned nr;
	unsigned at[NR_MANY];
	pthread_mutex_t lock;
};

static struct order order;
static struct fixture fixture;

static void order_done(struct bufio_io *io, int result)
{
	struct request *q = io->context;

	pthread_mutex_lock(&order.lock);
	order.at[order.nr++] = (unsigned)(io->offset_bytes / 4096);
	pthread_mutex_unlock(&order.lock);
	q->io.done = NULL;
}

START_TEST(reordered_engine_completes_out_of_order)
{
	struct request *qs = calloc(NR_MANY, sizeof(*qs));
	char *data = pattern_alloc(4096, 1);
	struct bufio_io *ios[NR_MANY];
	unsigned i, nr_swapped = 0;

	order = (struct order){0};
	pthread_mutex_init(&order.lock, NULL);
	fixture_init(&fixture, KIND_REORDER);
	for (i = 0; i < NR_MANY; i++) {
		request_init(&qs[i], BUFIO_OP_WRITE, i * 4096, data, 4096);
		qs[i].io.done = order_done;
		ios[i] = &qs[i].io;
	}
	fixture.engine->ops->submit(fixture.engine, ios, NR_MANY);
	fixture_finish(&fixture);
	ck_assert_uint_eq(order.nr, NR_MANY);
	for (i = 1; i < NR_MANY; i++)
		nr_swapped += order.at[i] < order.at[i - 1];
	/* Half of the neighbours would be; last in, first out would be all. */
	ck_assert_uint_gt(nr_swapped, NR_MANY / 4);
	ck_assert_uint_lt(nr_swapped, NR_MANY * 3 / 4);
	pthread_mutex_destroy(&order.lock);
	free(data);
	free(qs);
}
END_TEST

START_TEST(destroying_no_engine_is_allowed)
{
	bufio_engine_destroy(NULL);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("engine_mem");
	TCase *mem = tcase_create("mem");

	tcase_add_test(mem, huge_device_costs_what_is_written);
	tcase_add_test(mem, mem_engine_refuses_odd_geometry);
	tcase_add_test(mem, peek_and_poke_see_the_contents);
	tcase_add_test(mem, discarded_memory_is_not_zero);
	tcase_add_test(mem, reordered_engine_completes_out_of_order);
	tcase_add_test(mem, destroying_no_engine_is_allowed);
	suite_add_tcase(s, mem);
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
