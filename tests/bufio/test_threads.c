/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Random operations from several threads; a lock per block makes the oracle exact. */
#include <bufio.h>
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define NR_BLOCKS  256
#define NR_THREADS 4

static struct bufio_client *client;
static pthread_mutex_t locks[NR_BLOCKS];
static unsigned values[NR_BLOCKS];

static void change(unsigned k, struct bufio_buffer *b)
{
	bufio_pin(b);
	values[k]++;
	memcpy(bufio_data(b), &values[k], sizeof(unsigned));
	bufio_unpin(b, true);
	bufio_release(b);
}

static void step(unsigned k, unsigned op)
{
	struct bufio_buffer *b;
	unsigned value;

	if (op < 40) {
		ck_assert_int_eq(bufio_read(client, k, &b), 0);
		memcpy(&value, bufio_data(b), sizeof(value));
		bufio_release(b);
		ck_assert_uint_eq(value, values[k]);
	} else if (op < 80) {
		ck_assert_int_eq(op < 70 ? bufio_read(client, k, &b) : bufio_new(client, k, &b), 0);
		change(k, b);
	} else if (op < 95) {
		bufio_forget(client, k);
	} else {
		ck_assert_int_eq(bufio_prefetch(client, k, 1), 0);
	}
}

static void *program(void *argument)
{
	unsigned seed = *(unsigned *)argument;

	for (int i = 0; i < 5000; i++) {
		unsigned k = (unsigned)rand_r(&seed) % NR_BLOCKS;
		unsigned op = (unsigned)rand_r(&seed) % 100;

		pthread_mutex_lock(&locks[k]);
		step(k, op);
		pthread_mutex_unlock(&locks[k]);
		if (op == 99)
			ck_assert_int_eq(bufio_write_dirty_buffers(client), 0);
	}
	return NULL;
}

static void run(size_t nr_buffers, struct bufio_engine *e)
{
	unsigned seeds[NR_THREADS], value;
	pthread_t threads[NR_THREADS];
	struct bufio_options o;

	bufio_options_init(&o);
	o.limit_bytes = nr_buffers * 4096;
	o.cache_bytes = o.limit_bytes / 2;
	o.dirty_age_ms = 5;
	memset(values, 0, sizeof(values));
	ck_assert_int_eq(bufio_create(e, &o, &client), 0);
	for (unsigned i = 0; i < NR_THREADS; i++) {
		seeds[i] = i + 1;
		ck_assert_int_eq(pthread_create(&threads[i], NULL, program, &seeds[i]), 0);
	}
	for (unsigned i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(bufio_write_dirty_buffers(client), 0);
	for (unsigned i = 0; i < NR_BLOCKS; i++) {
		ck_assert_int_eq(bufio_engine_mem_peek(e, i * 4096, &value, sizeof(value)), 0);
		ck_assert_uint_eq(value, values[i]);
	}
	ck_assert_int_eq(bufio_destroy(client), 0);
	bufio_engine_destroy(e);
}

START_TEST(threads_see_and_write_the_newest_contents)
{
	static const size_t sizes[] = {NR_THREADS, 16, 64, 1000};
	struct bufio_engine *e;

	ck_assert_int_eq(bufio_engine_mem_create(NR_BLOCKS * 4096, 512, &e), 0);
	if (_i % 2)
		ck_assert_int_eq(bufio_engine_mem_reorder(e, (uint64_t)_i), 0);
	run(sizes[_i / 2], e);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("threads");
	TCase *tc = tcase_create("threads");
	SRunner *runner = srunner_create(suite);
	int nr_failed;

	for (unsigned i = 0; i < NR_BLOCKS; i++)
		pthread_mutex_init(&locks[i], NULL);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, threads_see_and_write_the_newest_contents, 0, 8);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	nr_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return nr_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
