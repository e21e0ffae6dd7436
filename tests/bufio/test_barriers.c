/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The barriers of who takes blocks out of the cache: how many there are, and that one is missed.
 * The linker sends the library's system calls here.
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "cache_fixture.h"
#include "client.h"

#define NR_BLOCKS 1024
#define NR_CACHED 256
#define TOGETHER  32 /* that share a barrier */

static atomic_uint nr_barriers;

long __real_syscall(long nr, ...);
long __wrap_syscall(long nr, ...);

/* All the arguments that there can be are passed on; who gave fewer does not look at the rest. */
long __wrap_syscall(long nr, ...)
{
	long a[6];
	va_list list;

	va_start(list, nr);
	for (unsigned i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	if (nr == SYS_membarrier && (int)a[0] == MEMBARRIER_CMD_PRIVATE_EXPEDITED)
		nr_barriers++;
	return __real_syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static struct cache c;

static void setup(void)
{
	cache_init(&c, NR_BLOCKS, NR_CACHED);
	for (unsigned i = 0; i < NR_CACHED; i++)
		cache_get(&c, i);
	nr_barriers = 0;
}

static void teardown(void)
{
	cache_finish(&c);
}

static bool has_barriers(void)
{
	long r = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

	return r > 0 && (r & MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

/* Where the kernel has none, holds are counted without. */
static void check_barriers(void)
{
	if (!has_barriers()) {
		ck_assert_uint_eq(nr_barriers, 0);
		return;
	}
	ck_assert_uint_ge(nr_barriers, NR_CACHED / TOGETHER);
	ck_assert_uint_le(nr_barriers, NR_CACHED / TOGETHER + 1);
}

START_TEST(forgotten_blocks_share_barriers)
{
	bufio_forget_range(c.client, 0, NR_CACHED);
	check_barriers();
	for (unsigned i = 0; i < NR_CACHED; i++)
		ck_assert(!cache_has(&c, i));
}
END_TEST

START_TEST(discarded_blocks_share_barriers)
{
	ck_assert_int_eq(bufio_issue_discard(c.client, 0, NR_CACHED), 0);
	check_barriers();
	for (unsigned i = 0; i < NR_CACHED; i++)
		ck_assert(!cache_has(&c, i));
}
END_TEST

START_TEST(dropped_blocks_share_barriers)
{
	ck_assert_int_eq(bufio_drop_buffers(c.client), 0);
	check_barriers();
}
END_TEST

START_TEST(held_block_among_many_is_kept_and_named)
{
	struct bufio_buffer *b = cache_hold(&c, 40);

	ck_assert_int_eq(bufio_discard_buffers(c.client, 0, NR_CACHED), -EBUSY);
	for (unsigned i = 0; i < NR_CACHED; i++)
		ck_assert_int_eq(cache_has(&c, i), i == 40);
	bufio_release(b);
}
END_TEST

/* 0 or 1 of those the process may use; with one only there is nothing to race for. */
static void run_on(unsigned index)
{
	cpu_set_t all, one;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(all), &all), 0);
	CPU_ZERO(&one);
	for (unsigned cpu = 0, seen = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &all) && seen++ == index % (unsigned)CPU_COUNT(&all))
			CPU_SET(cpu, &one);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
}

static atomic_bool is_over;

/* Returns how often a buffer was taken away while we held it. */
static int hold_again_and_again(struct cache *cache, uint64_t block)
{
	struct bufio_buffer *b;
	int nr_stolen = 0;

	run_on(0);
	while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
		if (bufio_read(cache->client, block, &b))
			return -1;
		for (unsigned i = 0; i < 8; i++)
			nr_stolen +=
				!(atomic_load_explicit(&b->state, memory_order_relaxed) & ST_VALID);
		bufio_release(b);
	}
	return nr_stolen;
}

/*
 * The count of a hold, then the look at the state; REF off, then the look at the counts: without
 * the barrier between the latter two both threads see the old.  (With hold_barrier() emptied this
 * fails within 0.02 s on two processors.)
 */
START_TEST(held_block_is_never_forgotten)
{
	struct caller holder;

	atomic_store(&is_over, false);
	caller_start(&holder, &c, hold_again_and_again, 0);
	run_on(1);
	for (unsigned i = 0; i < 4000000; i++)
		bufio_forget(c.client, 0);
	atomic_store(&is_over, true);
	ck_assert_int_eq(caller_join(&holder), 0);
}
END_TEST

static TCase *barriers(void)
{
	TCase *tc = tcase_create("barriers");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, forgotten_blocks_share_barriers);
	tcase_add_test(tc, discarded_blocks_share_barriers);
	tcase_add_test(tc, dropped_blocks_share_barriers);
	tcase_add_test(tc, held_block_among_many_is_kept_and_named);
	tcase_add_test(tc, held_block_is_never_forgotten);
	return tc;
}

int main(void)
{
	TCase *const cases[] = {barriers(), NULL};

	return cache_run("barriers", cases);
}
