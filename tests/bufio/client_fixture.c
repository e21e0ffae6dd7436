/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client_fixture.h"

void tc_options(struct bufio_options *o)
{
	bufio_options_init(o);
	o->dirty_age_ms = 0;
	o->dirty_background_percent = 100;
}

void tc_init(struct tc *t, const struct bufio_options *options)
{
	struct bufio_options o;

	tc_options(&o);
	ck_assert_int_eq(bufio_engine_mem_create((uint64_t)NR_BLOCKS * BLOCK, 512, &t->mem), 0);
	t->dam = dam_create(t->mem);
	ck_assert_int_eq(bufio_create(t->dam, options ? options : &o, &t->client), 0);
}

void tc_finish(struct tc *t)
{
	ck_assert_int_eq(bufio_destroy(t->client), 0);
	bufio_engine_destroy(t->dam);
}

void tc_put(struct tc *t, uint64_t block, unsigned value)
{
	struct bufio_buffer *b;

	ck_assert_int_eq(bufio_new(t->client, block, &b), 0);
	memcpy(bufio_data(b), &value, sizeof(value));
	bufio_mark_dirty(b);
	bufio_release(b);
}

unsigned tc_get(struct tc *t, uint64_t block)
{
	struct bufio_buffer *b;
	unsigned value;

	ck_assert_int_eq(bufio_read(t->client, block, &b), 0);
	memcpy(&value, bufio_data(b), sizeof(value));
	bufio_release(b);
	return value;
}

unsigned tc_on_device(struct tc *t, uint64_t block)
{
	unsigned value;

	ck_assert_int_eq(bufio_engine_mem_peek(t->mem, block * bufio_block_bytes(t->client), &value,
					       sizeof(value)),
			 0);
	return value;
}

static void *call_main(void *argument)
{
	struct call *call = argument;

	call->result = call->run(call->cache, call->argument);
	return NULL;
}

void call_start(struct call *call, struct tc *t, int (*run)(struct tc *t, void *argument),
		void *argument)
{
	call->cache = t;
	call->run = run;
	call->argument = argument;
	ck_assert_int_eq(pthread_create(&call->thread, NULL, call_main, call), 0);
}

int call_end(struct call *call)
{
	ck_assert_int_eq(pthread_join(call->thread, NULL), 0);
	return call->result;
}

int tc_flush(struct tc *t, void *unused)
{
	return bufio_write_dirty_buffers(t->client);
}

int tc_run_suite(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int nr_failed;

	srunner_run_all(runner, CK_NORMAL);
	nr_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return nr_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
