/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Holds are counted by thread: many threads, threads that come and go, holds that one thread
 * takes and another gives back, and who takes buffers away meanwhile.
 */
#include "client_fixture.h"
#include <sched.h>
#include <sys/mman.h>
#include "client.h"

#define NR_BUFFERS 8u

static void init(struct tc *t, unsigned nr_buffers, bool stable_writes)
{
	struct bufio_options o;

	tc_options(&o);
	o.limit_bytes = o.cache_bytes = nr_buffers * BLOCK;
	o.stable_writes = stable_writes;
	tc_init(t, &o);
}

static uint64_t nr_held(struct tc *t)
{
	return bufio_report_held(t->client, NULL, NULL);
}

static int give_back(struct tc *t, void *buffer)
{
	bufio_release(buffer);
	return 0;
}

START_TEST(hold_that_another_thread_gives_back_is_gone)
{
	struct bufio_buffer *b[NR_BUFFERS];
	struct call call;
	struct tc t;

	init(&t, NR_BUFFERS, _i);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < NR_BUFFERS; i++)
			ck_assert_int_eq(bufio_read(t.client, i, &b[i]), 0);
		ck_assert_uint_eq(nr_held(&t), NR_BUFFERS);
		for (unsigned i = 0; i < NR_BUFFERS; i++) {
			call_start(&call, &t, give_back, b[i]);
			call_end(&call);
		}
		ck_assert_uint_eq(nr_held(&t), 0);
		/* All of them can be taken away. */
		for (unsigned i = 0; i < NR_BUFFERS; i++)
			tc_get(&t, 100 + i);
	}
	tc_finish(&t);
}
END_TEST

struct crowd {
	unsigned block;
	pthread_barrier_t *round;
};

static int hold_with_the_crowd(struct tc *t, void *argument)
{
	struct crowd *crowd = argument;
	struct bufio_buffer *own, *shared;
	int r = bufio_read(t->client, crowd->block, &own);

	r = r ? r : bufio_read(t->client, 0, &shared);
	pthread_barrier_wait(crowd->round);
	pthread_barrier_wait(crowd->round);
	if (r)
		return r;
	bufio_release(own);
	bufio_release(shared);
	return 0;
}

static void note_most(void *context, const struct bufio_held *held)
{
	unsigned *most = context;

	*most = held->nr_holds > *most ? held->nr_holds : *most;
}

/* More threads than the client counts by themselves. */
START_TEST(crowd_of_threads_is_counted_to_the_last_hold)
{
	enum { NR = 100 };
	struct crowd crowd[NR];
	struct call calls[NR];
	struct bufio_stats before, after;
	pthread_barrier_t round;
	unsigned most = 0;
	struct tc t;

	init(&t, NR + 1, _i);
	for (unsigned i = 0; i <= NR; i++)
		tc_get(&t, i);
	bufio_get_stats(t.client, &before);
	pthread_barrier_init(&round, NULL, NR + 1);
	for (unsigned i = 0; i < NR; i++) {
		crowd[i] = (struct crowd){1 + i, &round};
		call_start(&calls[i], &t, hold_with_the_crowd, &crowd[i]);
	}
	pthread_barrier_wait(&round);
	ck_assert_uint_eq(bufio_report_held(t.client, note_most, &most), NR + 1);
	ck_assert_uint_eq(most, NR);
	bufio_forget_range(t.client, 0, NR + 1);
	ck_assert_int_eq(bufio_drop_buffers(t.client), -EBUSY);
	ck_assert_uint_eq(nr_held(&t), NR + 1);
	pthread_barrier_wait(&round);
	for (unsigned i = 0; i < NR; i++)
		ck_assert_int_eq(call_end(&calls[i]), 0);
	pthread_barrier_destroy(&round);
	bufio_get_stats(t.client, &after);
	ck_assert_uint_eq(after.hits - before.hits, 2 * NR);
	ck_assert_uint_eq(nr_held(&t), 0);
	ck_assert_int_eq(bufio_drop_buffers(t.client), 0);
	tc_finish(&t);
}
END_TEST

static int take_and_keep(struct tc *t, void *argument)
{
	struct bufio_buffer *b;

	return bufio_read(t->client, 3, &b);
}

START_TEST(hold_outlives_its_thread)
{
	enum { NR = 200 };
	struct bufio_buffer *b;
	struct call call;
	struct tc t;

	init(&t, NR_BUFFERS, _i);
	for (unsigned i = 0; i < NR; i++) {
		call_start(&call, &t, take_and_keep, NULL);
		ck_assert_int_eq(call_end(&call), 0);
	}
	for (unsigned i = 0; i < 2 * NR_BUFFERS; i++)
		tc_get(&t, 100 + i);
	ck_assert_int_eq(bufio_get(t.client, 3, &b), 0);
	for (unsigned i = 0; i <= NR; i++) {
		ck_assert_uint_eq(nr_held(&t), 1);
		bufio_release(b);
	}
	ck_assert_uint_eq(nr_held(&t), 0);
	tc_finish(&t);
}
END_TEST

static int has_own_holder(struct tc *t)
{
	tc_get(t, 0);
	return hold_mine(t->client) != &t->client->shared;
}

#define STACK_BYTES ((size_t)1 << 20)

static char *map_stacks(unsigned nr)
{
	char *p = mmap(NULL, nr * STACK_BYTES, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	ck_assert(p != MAP_FAILED);
	return p;
}

/* A thread on a stack that was another one's is easily taken for that one. */
static void start_on_stack(struct call *call, char *stack, void *(*run)(void *call))
{
	pthread_attr_t attr;

	ck_assert_int_eq(pthread_attr_init(&attr), 0);
	ck_assert_int_eq(pthread_attr_setstack(&attr, stack, STACK_BYTES), 0);
	ck_assert_int_eq(pthread_create(&call->thread, &attr, run, call), 0);
	pthread_attr_destroy(&attr);
}

static void *note_holder(void *argument)
{
	struct call *call = argument;

	call->result = has_own_holder(call->cache);
	return NULL;
}

/* Places were not given back: from the 32nd thread on all shared one holder, for ever. */
START_TEST(thread_gets_the_holder_of_one_that_ended)
{
	enum { NR = 100 };
	char *stacks = map_stacks(NR);
	struct tc t;
	struct call call = {.cache = &t};

	init(&t, NR_BUFFERS, _i);
	for (unsigned i = 0; i < NR; i++) {
		start_on_stack(&call, stacks + i * STACK_BYTES, note_holder);
		ck_assert_int_eq(call_end(&call), 1);
	}
	ck_assert_uint_eq(nr_held(&t), 0);
	munmap(stacks, NR * STACK_BYTES);
	tc_finish(&t);
}
END_TEST

static int wait_with_the_crowd(struct tc *t, void *argument)
{
	int r = has_own_holder(t);

	pthread_barrier_wait(argument);
	return r;
}

START_TEST(thread_has_its_own_holder_again_after_a_crowd)
{
	enum { NR = 2 * NR_HOLDERS };
	char *stack = map_stacks(1);
	pthread_barrier_t all;
	unsigned nr_own = 0;
	struct tc t;
	struct call calls[NR], call = {.cache = &t};

	init(&t, NR_BUFFERS, _i);
	pthread_barrier_init(&all, NULL, NR);
	for (unsigned i = 0; i < NR; i++)
		call_start(&calls[i], &t, wait_with_the_crowd, &all);
	for (unsigned i = 0; i < NR; i++)
		nr_own += (unsigned)call_end(&calls[i]);
	pthread_barrier_destroy(&all);
	ck_assert_uint_gt(nr_own, 0);
	ck_assert_uint_le(nr_own, NR_HOLDERS);
	start_on_stack(&call, stack, note_holder);
	ck_assert_int_eq(call_end(&call), 1);
	munmap(stack, STACK_BYTES);
	tc_finish(&t);
}
END_TEST

struct all {
	pthread_barrier_t *both;
};

static int hold_all_and_one_more(struct tc *t, void *argument)
{
	struct all *all = argument;
	struct bufio_buffer *b[NR_BUFFERS], *more;
	int r;

	for (unsigned i = 0; i < NR_BUFFERS; i++)
		if (bufio_read(t->client, i, &b[i]))
			return -EINVAL;
	pthread_barrier_wait(all->both);
	r = bufio_read(t->client, 100, &more);
	if (!r)
		bufio_release(more);
	for (unsigned i = 0; i < NR_BUFFERS; i++)
		bufio_release(b[i]);
	return r;
}

START_TEST(buffers_that_waiting_threads_share_are_told)
{
	struct call calls[2];
	pthread_barrier_t both;
	struct all all = {&both};
	struct tc t;

	init(&t, NR_BUFFERS, false);
	/* Cached, or one thread would wait for a buffer for what the other is reading. */
	for (unsigned i = 0; i < NR_BUFFERS; i++)
		tc_get(&t, i);
	pthread_barrier_init(&both, NULL, 2);
	for (unsigned i = 0; i < 2; i++)
		call_start(&calls[i], &t, hold_all_and_one_more, &all);
	/* Each holds every buffer: the second is told, and then the first has them alone. */
	for (unsigned i = 0; i < 2; i++)
		ck_assert_int_eq(call_end(&calls[i]), -EDEADLK);
	pthread_barrier_destroy(&both);
	tc_finish(&t);
}
END_TEST

#define NR_TURNS 200000u

static bool is_whole(struct bufio_buffer *b, unsigned block)
{
	const volatile unsigned *words = bufio_data(b);

	for (unsigned i = 0; i < BLOCK / sizeof(*words); i += 16)
		if (words[i] != 1000 + block)
			return false;
	return bufio_block(b) == block;
}

static int read_the_hot_block(struct tc *t, void *argument)
{
	struct bufio_buffer *b;
	int r;

	for (unsigned i = 0; i < NR_TURNS; i++) {
		r = bufio_read(t->client, 0, &b);
		if (r)
			return r;
		r = is_whole(b, 0) ? 0 : -EILSEQ;
		bufio_release(b);
		if (r)
			return r;
	}
	atomic_store((atomic_bool *)argument, true);
	return 0;
}

static void stamp(struct tc *t, unsigned block)
{
	struct bufio_buffer *b;
	unsigned *words;

	ck_assert_int_eq(bufio_new(t->client, block, &b), 0);
	words = bufio_data(b);
	for (unsigned i = 0; i < BLOCK / sizeof(*words); i++)
		words[i] = 1000 + block;
	bufio_mark_dirty(b);
	bufio_release(b);
}

/* Each buffer that is taken away is filled with another block at once. */
START_TEST(buffer_is_never_taken_from_one_who_just_got_it)
{
	atomic_bool done = false;
	struct bufio_buffer *b;
	struct call call;
	struct tc t;

	init(&t, 3, _i);
	for (unsigned block = 0; block < 64; block++)
		stamp(&t, block);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), 0);
	call_start(&call, &t, read_the_hot_block, &done);
	for (unsigned i = 0; !atomic_load(&done); i++) {
		bufio_forget(t.client, 0);
		ck_assert_int_eq(bufio_read(t.client, 1 + i % 63, &b), 0);
		ck_assert(is_whole(b, 1 + i % 63));
		bufio_release(b);
	}
	ck_assert_int_eq(call_end(&call), 0);
	tc_finish(&t);
}
END_TEST

/* Rounds in which two threads meet as closely as they can. */
struct meeting {
	atomic_uint round[2];
	struct bufio_buffer *b;
	bool held;
};

static void meet(struct meeting *m, unsigned who, unsigned round)
{
	atomic_store(&m->round[who], round);
	for (unsigned n = 1; atomic_load(&m->round[!who]) < round; n++)
		if (n % 1000 == 0)
			sched_yield();
}

static int count_and_look(struct tc *t, void *argument)
{
	struct meeting *m = argument;
	struct holder *h = hold_mine(t->client);

	for (unsigned i = 0; i < NR_TURNS / 10; i++) {
		meet(m, 0, 3 * i + 1);
		/* At hand already, or the look is as slow as the count. */
		atomic_load(&m->b->state);
		meet(m, 0, 3 * i + 2);
		hold_add(h, m->b->index, 1);
		m->held = atomic_load(&m->b->state) & ST_REF;
		meet(m, 0, 3 * i + 3);
		hold_add(h, m->b->index, -1);
	}
	return 0;
}

/* Rules 1 and 2 of hold.c, without the cache around them: the count or the look comes first. */
START_TEST(hold_is_seen_by_one_who_took_the_reference_bit_away)
{
	struct meeting m = {0};
	struct call call;
	unsigned nr_lost = 0;
	struct tc t;

	init(&t, NR_BUFFERS, _i);
	ck_assert_int_eq(bufio_read(t.client, 0, &m.b), 0);
	bufio_release(m.b);
	atomic_fetch_or(&m.b->state, ST_REF);
	call_start(&call, &t, count_and_look, &m);
	for (unsigned i = 0; i < NR_TURNS / 10; i++) {
		bool seen;

		meet(&m, 1, 3 * i + 1);
		meet(&m, 1, 3 * i + 2);
		atomic_fetch_and(&m.b->state, ~ST_REF);
		ck_assert(hold_barrier(t.client));
		seen = hold_count(m.b) != 0;
		meet(&m, 1, 3 * i + 3);
		nr_lost += m.held && !seen;
		atomic_fetch_or(&m.b->state, ST_REF);
	}
	call_end(&call);
	ck_assert_uint_eq(nr_lost, 0);
	tc_finish(&t);
}
END_TEST

static int discard(struct tc *t, void *block)
{
	return bufio_discard_buffers(t->client, *(unsigned *)block, 1);
}

/* It was, when the end of the read cleared READING before it gave up a hold of its own. */
START_TEST(discard_during_a_read_ahead_is_not_refused)
{
	unsigned block = 7;
	struct call call;
	struct tc t;

	init(&t, NR_BUFFERS, false);
	for (unsigned i = 0; i < 3000; i++) {
		dam_close(t.dam, DAM_READ);
		ck_assert_int_eq(bufio_prefetch(t.client, block, 1), 0);
		call_start(&call, &t, discard, &block);
		dam_open(t.dam, DAM_READ);
		ck_assert_int_eq(call_end(&call), 0);
	}
	tc_finish(&t);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hold");
	TCase *tc = tcase_create("hold");

	tcase_set_timeout(tc, 120);
	/* 1: stable_writes, whose holds are counted atomically. */
	tcase_add_loop_test(tc, hold_that_another_thread_gives_back_is_gone, 0, 2);
	tcase_add_loop_test(tc, crowd_of_threads_is_counted_to_the_last_hold, 0, 2);
	tcase_add_loop_test(tc, hold_outlives_its_thread, 0, 2);
	tcase_add_loop_test(tc, thread_gets_the_holder_of_one_that_ended, 0, 2);
	tcase_add_loop_test(tc, thread_has_its_own_holder_again_after_a_crowd, 0, 2);
	tcase_add_test(tc, buffers_that_waiting_threads_share_are_told);
	tcase_add_loop_test(tc, buffer_is_never_taken_from_one_who_just_got_it, 0, 2);
	tcase_add_loop_test(tc, hold_is_seen_by_one_who_took_the_reference_bit_away, 0, 2);
	tcase_add_test(tc, discard_during_a_read_ahead_is_not_refused);
	suite_add_tcase(suite, tc);
	return tc_run_suite(suite);
}
