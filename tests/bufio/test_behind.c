/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes behind: the caller goes on, and nobody can tell that the device has not got the data yet. */
#include "client_fixture.h"

#define NR 64u

static struct tc t;
static char *memory; /* of NR blocks */

struct done {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	unsigned nr;
};

static void done(void *context)
{
	struct done *d = context;

	pthread_mutex_lock(&d->lock);
	d->nr++;
	pthread_cond_signal(&d->wake);
	pthread_mutex_unlock(&d->lock);
}

static void done_wait(struct done *d, unsigned nr)
{
	pthread_mutex_lock(&d->lock);
	while (d->nr < nr)
		pthread_cond_wait(&d->wake, &d->lock);
	ck_assert_uint_eq(d->nr, nr);
	pthread_mutex_unlock(&d->lock);
}

static struct done all_done = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};

static void setup(void)
{
	tc_init(&t, NULL);
	memory = aligned_alloc(BLOCK, NR * BLOCK);
	ck_assert_ptr_nonnull(memory);
	all_done.nr = 0;
}

static void teardown(void)
{
	tc_finish(&t);
	free(memory);
}

static void fill(unsigned first, unsigned nr)
{
	memset(memory, 0, NR * BLOCK);
	for (unsigned i = 0; i < nr; i++)
		memcpy(memory + i * BLOCK, &(unsigned){first + i}, sizeof(unsigned));
}

/* first, first + 1 ... to the blocks from block on. */
static void write_behind(uint64_t block, unsigned nr, unsigned first)
{
	fill(first, nr);
	ck_assert_int_eq(bufio_write_behind(t.client, block, &(struct iovec){memory, nr * BLOCK},
					    done, &all_done),
			 0);
}

START_TEST(call_returns_before_the_device_has_the_data)
{
	struct dam_counts n;

	dam_close(t.dam, DAM_WRITE);
	write_behind(10, NR, 100);
	dam_wait(t.dam, 1);
	ck_assert_uint_eq(all_done.nr, 0);
	dam_open(t.dam, DAM_WRITE);
	done_wait(&all_done, 1);
	dam_counts(t.dam, &n);
	ck_assert_uint_eq(n.writes, 1);
	ck_assert_ptr_eq(n.last_base, memory);
	ck_assert_uint_eq(tc_on_device(&t, 10 + NR - 1), 100 + NR - 1);
}
END_TEST

static int read_call(struct tc *cache, void *argument)
{
	return (int)tc_get(cache, *(uint64_t *)argument);
}

static int read_extent_call(struct tc *cache, void *argument)
{
	struct iovec iov = {aligned_alloc(BLOCK, BLOCK), BLOCK};
	int value;

	ck_assert_int_eq(
		bufio_read_extent(cache->client,
				  &(struct bufio_extent){*(uint64_t *)argument, 1, &iov, 1}, NULL,
				  NULL),
		0);
	memcpy(&value, iov.iov_base, sizeof(value));
	free(iov.iov_base);
	return value;
}

/* The calls may come to wait or not before the data is let go: they must have the new contents anyway. */
START_TEST(who_reads_gets_the_data_that_is_under_way)
{
	struct call one, extent;
	uint64_t block = 12;

	dam_close(t.dam, DAM_WRITE);
	write_behind(10, NR, 100);
	dam_wait(t.dam, 1);
	call_start(&one, &t, read_call, &block);
	call_start(&extent, &t, read_extent_call, &block);
	dam_open(t.dam, DAM_WRITE);
	ck_assert_int_eq(call_end(&one), 102);
	ck_assert_int_eq(call_end(&extent), 102);
	done_wait(&all_done, 1);
}
END_TEST

START_TEST(what_is_cached_is_written_to_its_buffer)
{
	struct dam_counts n;

	tc_put(&t, 12, 5);
	write_behind(10, 8, 100);
	done_wait(&all_done, 1);
	ck_assert_uint_eq(tc_get(&t, 12), 102);
	dam_counts(t.dam, &n);
	ck_assert_uint_eq(n.writes, 2); /* 10 and 11; 13 to 17 */
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), 0);
	ck_assert_uint_eq(tc_on_device(&t, 12), 102);
}
END_TEST

START_TEST(flush_makes_durable_what_was_written_behind)
{
	struct dam_counts n;
	struct call flush;

	dam_close(t.dam, DAM_WRITE | DAM_FLUSH);
	write_behind(10, 8, 100);
	dam_wait(t.dam, 1);
	call_start(&flush, &t, tc_flush, NULL);
	dam_open(t.dam, DAM_WRITE);
	dam_wait(t.dam, 1);
	ck_assert_uint_eq(tc_on_device(&t, 17), 107);
	dam_open(t.dam, DAM_FLUSH);
	ck_assert_int_eq(call_end(&flush), 0);
	dam_counts(t.dam, &n);
	ck_assert_uint_eq(n.flushes, 1);
	done_wait(&all_done, 1);
}
END_TEST

START_TEST(data_whose_write_failed_becomes_dirty_buffers)
{
	dam_fail(t.dam, DAM_WRITE, 1, -EIO);
	write_behind(10, 8, 100);
	done_wait(&all_done, 1);
	memset(memory, 0, NR * BLOCK); /* it is ours again */
	for (unsigned i = 0; i < 8; i++)
		ck_assert_uint_eq(tc_get(&t, 10 + i), 100 + i);
	ck_assert_uint_eq(tc_on_device(&t, 10), 0);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), 0);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_uint_eq(tc_on_device(&t, 10 + i), 100 + i);
}
END_TEST

/* The flush may find it under way, failed, or in buffers that are refused as well. */
START_TEST(flush_tells_of_a_failed_write_behind_until_it_is_repeated)
{
	struct call flush;

	dam_close(t.dam, DAM_WRITE);
	write_behind(10, 8, 100);
	dam_wait(t.dam, 1);
	dam_fail(t.dam, DAM_WRITE, UINT32_MAX, -EIO);
	call_start(&flush, &t, tc_flush, NULL);
	dam_open(t.dam, DAM_WRITE);
	ck_assert_int_eq(call_end(&flush), -EIO);
	dam_fail(t.dam, 0, 0, 0);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), 0);
	ck_assert_uint_eq(tc_on_device(&t, 17), 107);
	done_wait(&all_done, 1);
}
END_TEST

/* A block that had a buffer, which was changed later: the failure of its neighbours is no concern of it. */
START_TEST(newer_contents_survive_an_older_failed_write_behind)
{
	tc_put(&t, 12, 5);
	dam_close(t.dam, DAM_WRITE);
	write_behind(10, 8, 100);
	dam_wait(t.dam, 2);
	tc_put(&t, 12, 777);
	dam_fail(t.dam, DAM_WRITE, 2, -EIO);
	dam_open(t.dam, DAM_WRITE);
	done_wait(&all_done, 1);
	ck_assert_uint_eq(tc_get(&t, 11), 101);
	ck_assert_uint_eq(tc_get(&t, 12), 777);
	ck_assert_uint_eq(tc_get(&t, 13), 103);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), 0);
	ck_assert_uint_eq(tc_on_device(&t, 12), 777);
}
END_TEST

static int second_call(struct tc *cache, void *argument)
{
	return bufio_write_behind(cache->client, 14, &(struct iovec){argument, 8 * BLOCK}, done,
				  &all_done);
}

START_TEST(the_later_of_two_that_overlap_wins)
{
	char *other = aligned_alloc(BLOCK, 8 * BLOCK);
	struct dam_counts n;
	struct call second;

	memset(other, 0, 8 * BLOCK);
	memcpy(other, &(unsigned){999}, sizeof(unsigned));
	dam_close(t.dam, DAM_WRITE);
	write_behind(10, 8, 100);
	dam_wait(t.dam, 1);
	call_start(&second, &t, second_call, other);
	dam_counts(t.dam, &n);
	ck_assert_uint_eq(n.writes, 1);
	dam_open(t.dam, DAM_WRITE);
	ck_assert_int_eq(call_end(&second), 0);
	done_wait(&all_done, 2);
	ck_assert_uint_eq(tc_on_device(&t, 13), 103);
	ck_assert_uint_eq(tc_on_device(&t, 14), 999);
	free(other);
}
END_TEST

/* The cache is full of what the device refuses, too. */
START_TEST(error_is_told_while_there_is_no_room_for_the_data)
{
	struct bufio_options o;
	struct tc small;
	struct iovec iov = {memory, BLOCK};

	tc_options(&o);
	o.cache_bytes = o.limit_bytes = 4 * BLOCK;
	tc_init(&small, &o);
	for (unsigned i = 0; i < 4; i++)
		tc_put(&small, i, i + 1);
	dam_fail(small.dam, DAM_WRITE, UINT32_MAX, -EIO);
	fill(100, 8);
	ck_assert_int_eq(bufio_write_behind(small.client, 10, &(struct iovec){memory, 8 * BLOCK},
					    done, &all_done),
			 0);
	ck_assert_int_eq(bufio_write_dirty_buffers(small.client), -EIO);
	ck_assert_int_eq(
		bufio_read_extent(small.client, &(struct bufio_extent){12, 1, &iov, 1}, NULL, NULL),
		-EIO);
	ck_assert_uint_eq(bufio_abandon(small.client), 12);
	done_wait(&all_done, 1);
	dam_fail(small.dam, 0, 0, 0);
	tc_finish(&small);
}
END_TEST

START_TEST(data_finds_room_when_the_device_is_well_again)
{
	struct bufio_options o;
	struct tc small;

	tc_options(&o);
	o.cache_bytes = o.limit_bytes = 4 * BLOCK;
	tc_init(&small, &o);
	for (unsigned i = 0; i < 4; i++)
		tc_put(&small, i, i + 1);
	dam_fail(small.dam, DAM_WRITE, UINT32_MAX, -EIO);
	fill(100, 8);
	ck_assert_int_eq(bufio_write_behind(small.client, 10, &(struct iovec){memory, 8 * BLOCK},
					    done, &all_done),
			 0);
	ck_assert_int_eq(bufio_write_dirty_buffers(small.client), -EIO);
	dam_fail(small.dam, 0, 0, 0);
	ck_assert_int_eq(bufio_write_range(small.client, 0, 4), 0);
	done_wait(&all_done, 1);
	ck_assert_int_eq(bufio_write_dirty_buffers(small.client), 0);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_uint_eq(tc_on_device(&small, 10 + i), 100 + i);
	tc_finish(&small);
}
END_TEST

START_TEST(bad_arguments_are_refused)
{
	ck_assert_int_eq(bufio_write_behind(t.client, NR_BLOCKS - 1,
					    &(struct iovec){memory, 2 * BLOCK}, done, &all_done),
			 -ERANGE);
	ck_assert_int_eq(bufio_write_behind(t.client, 0, &(struct iovec){memory, BLOCK + 512}, done,
					    &all_done),
			 -EINVAL);
	ck_assert_int_eq(bufio_write_behind(t.client, 0, &(struct iovec){memory, 0 * BLOCK}, done,
					    &all_done),
			 -EINVAL);
	ck_assert_int_eq(bufio_write_behind(t.client, 0, &(struct iovec){memory + 1, 1 * BLOCK},
					    done, &all_done),
			 -EINVAL);
	ck_assert_uint_eq(all_done.nr, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("behind");
	TCase *tc = tcase_create("behind");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, call_returns_before_the_device_has_the_data);
	tcase_add_test(tc, who_reads_gets_the_data_that_is_under_way);
	tcase_add_test(tc, what_is_cached_is_written_to_its_buffer);
	tcase_add_test(tc, flush_makes_durable_what_was_written_behind);
	tcase_add_test(tc, data_whose_write_failed_becomes_dirty_buffers);
	tcase_add_test(tc, flush_tells_of_a_failed_write_behind_until_it_is_repeated);
	tcase_add_test(tc, newer_contents_survive_an_older_failed_write_behind);
	tcase_add_test(tc, the_later_of_two_that_overlap_wins);
	tcase_add_test(tc, error_is_told_while_there_is_no_room_for_the_data);
	tcase_add_test(tc, data_finds_room_when_the_device_is_well_again);
	tcase_add_test(tc, bad_arguments_are_refused);
	suite_add_tcase(suite, tc);
	return tc_run_suite(suite);
}
