/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache_fixture.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void cache_options(struct bufio_options *o, unsigned nr_buffers)
{
	bufio_options_init(o);
	o->cache_bytes = o->limit_bytes = (size_t)nr_buffers * CACHE_BLOCK;
	o->dirty_background_percent = 100;
	o->dirty_age_ms = 0;
}

void cache_init_options(struct cache *c, uint64_t nr_blocks, const struct bufio_options *o)
{
	c->nr_blocks = nr_blocks;
	ck_assert_int_eq(bufio_engine_mem_create(nr_blocks * o->block_bytes, 512, &c->mem), 0);
	ck_assert_int_eq(bufio_engine_fault_create(c->mem, &c->fault), 0);
	ck_assert_int_eq(gate_create(c->fault, &c->gate), 0);
	ck_assert_int_eq(bufio_engine_record_create(c->gate, &c->record), 0);
	ck_assert_int_eq(bufio_create(c->record, o, &c->client), 0);
}

void cache_init(struct cache *c, uint64_t nr_blocks, unsigned nr_buffers)
{
	struct bufio_options o;

	cache_options(&o, nr_buffers);
	cache_init_options(c, nr_blocks, &o);
}

void cache_finish(struct cache *c)
{
	cache_mend(c);
	gate_open(c->gate);
	ck_assert_int_eq(bufio_destroy(c->client), 0);
	bufio_engine_destroy(c->record);
}

void cache_fill(struct bufio_buffer *b, uint64_t value)
{
	uint64_t *w = bufio_data(b);
	unsigned n = bufio_block_bytes(bufio_client_of(b)) / 8;

	for (unsigned i = 0; i < n; i++)
		w[i] = value;
}

static bool all_equal(const uint64_t *w, unsigned n)
{
	/* From the end: who copies meanwhile comes from the other side. */
	while (n > 1 && w[n - 1] == w[0])
		n--;
	return n == 1;
}

uint64_t cache_value(const struct bufio_buffer *b)
{
	const uint64_t *w = bufio_data(b);
	unsigned n = bufio_block_bytes(bufio_client_of(b)) / 8;

	/* One assertion: each is a message to Check's parent process. */
	ck_assert(all_equal(w, n));
	return w[0];
}

void cache_put(struct cache *c, uint64_t block, uint64_t value)
{
	struct bufio_buffer *b;

	ck_assert_int_eq(bufio_new(c->client, block, &b), 0);
	cache_fill(b, value);
	bufio_mark_dirty(b);
	bufio_release(b);
}

struct bufio_buffer *cache_hold(struct cache *c, uint64_t block)
{
	struct bufio_buffer *b;

	ck_assert_int_eq(bufio_read(c->client, block, &b), 0);
	return b;
}

uint64_t cache_get(struct cache *c, uint64_t block)
{
	struct bufio_buffer *b = cache_hold(c, block);
	uint64_t value = cache_value(b);

	bufio_release(b);
	return value;
}

int cache_try(struct cache *c, uint64_t block)
{
	struct bufio_buffer *b;
	int r = bufio_read(c->client, block, &b);

	if (!r)
		bufio_release(b);
	else
		ck_assert_ptr_null(b);
	return r;
}

void cache_poke(struct cache *c, uint64_t block, uint64_t value)
{
	uint64_t w[CACHE_BLOCK / 8];

	for (unsigned i = 0; i < CACHE_BLOCK / 8; i++)
		w[i] = value;
	ck_assert_int_eq(bufio_engine_mem_poke(c->mem, block * CACHE_BLOCK, w, sizeof(w)), 0);
}

uint64_t cache_peek(struct cache *c, uint64_t block)
{
	uint64_t w[CACHE_BLOCK / 8];

	ck_assert_int_eq(bufio_engine_mem_peek(c->mem, block * CACHE_BLOCK, w, sizeof(w)), 0);
	ck_assert(all_equal(w, CACHE_BLOCK / 8));
	return w[0];
}

bool cache_has(struct cache *c, uint64_t block)
{
	struct bufio_buffer *b;
	int r = bufio_get(c->client, block, &b);

	if (!r)
		bufio_release(b);
	else
		ck_assert_int_eq(r, -ENOENT);
	return !r;
}

void cache_flush(struct cache *c)
{
	ck_assert_int_eq(bufio_write_dirty_buffers(c->client), 0);
}

struct bufio_record_counts cache_counts(struct cache *c)
{
	struct bufio_record_counts counts;

	bufio_engine_record_counts(c->record, &counts);
	return counts;
}

struct bufio_stats cache_stats(struct cache *c)
{
	struct bufio_stats stats;

	bufio_get_stats(c->client, &stats);
	return stats;
}

void cache_fail(struct cache *c, unsigned ops, unsigned count)
{
	struct bufio_fault f = {.ops = ops, .count = count, .error = -EIO};

	bufio_engine_fault_set(c->fault, &f);
}

void cache_fail_block(struct cache *c, unsigned ops, uint64_t block)
{
	struct bufio_fault f = {.ops = ops,
				.start_bytes = block * CACHE_BLOCK,
				.end_bytes = (block + 1) * CACHE_BLOCK,
				.error = -EIO};

	bufio_engine_fault_set(c->fault, &f);
}

void cache_mend(struct cache *c)
{
	bufio_engine_fault_set(c->fault, NULL);
}

static void *caller_main(void *argument)
{
	struct caller *x = argument;

	x->result = x->call(x->c, x->argument);
	return NULL;
}

void caller_start(struct caller *x, struct cache *c,
		  int (*call)(struct cache *c, uint64_t argument), uint64_t argument)
{
	*x = (struct caller){.c = c, .call = call, .argument = argument};
	ck_assert_int_eq(pthread_create(&x->thread, NULL, caller_main, x), 0);
}

int caller_join(struct caller *x)
{
	ck_assert_int_eq(pthread_join(x->thread, NULL), 0);
	return x->result;
}

int call_flush(struct cache *c, uint64_t argument)
{
	return bufio_write_dirty_buffers(c->client);
}

int call_read(struct cache *c, uint64_t block)
{
	return cache_try(c, block);
}

int cache_run(const char *name, TCase *const *cases)
{
	Suite *suite = suite_create(name);
	SRunner *runner;
	int nr_failed;

	for (; *cases; cases++) {
		tcase_set_timeout(*cases, 60);
		suite_add_tcase(suite, *cases);
	}
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	nr_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return nr_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
