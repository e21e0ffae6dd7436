/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What was read ahead, and whether it is still there when it is wanted. */
#include "cache_fixture.h"

#define NR_BUFFERS 16u
#define NR_AHEAD   4u

static struct cache c;

static void setup(void)
{
	cache_init(&c, 64, NR_BUFFERS);
}

static void teardown(void)
{
	cache_finish(&c);
}

static void read_blocks(uint64_t from, uint64_t end)
{
	for (uint64_t block = from; block < end; block++)
		ck_assert_int_eq(cache_try(&c, block), 0);
}

START_TEST(what_was_read_ahead_outlives_what_was_used_before_it)
{
	uint64_t nr_reads;

	read_blocks(0, NR_BUFFERS);
	ck_assert_int_eq(bufio_prefetch(c.client, NR_BUFFERS, NR_AHEAD), 0);
	/* all that is left has been hit since */
	for (uint64_t block = 0; block < NR_BUFFERS; block++)
		if (cache_has(&c, block))
			read_blocks(block, block + 1);
	read_blocks(40, 40 + NR_AHEAD);
	nr_reads = cache_counts(&c).reads;
	read_blocks(NR_BUFFERS, NR_BUFFERS + NR_AHEAD);
	ck_assert_uint_eq(cache_counts(&c).reads, nr_reads);
}
END_TEST

int main(void)
{
	TCase *ahead = tcase_create("readahead");
	TCase *const cases[] = {ahead, NULL};

	tcase_add_checked_fixture(ahead, setup, teardown);
	tcase_add_test(ahead, what_was_read_ahead_outlives_what_was_used_before_it);
	return cache_run("readahead", cases);
}
