/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Transfers past the buffers: direct, asynchronous, and never apart from what is cached. */
#include "client_fixture.h"

#define NR 256u

static struct tc t;
static char *memory; /* of NR blocks and one more, aligned */

static void setup(void)
{
	tc_init(&t, NULL);
	memory = aligned_alloc(BLOCK, (NR + 1) * BLOCK);
	ck_assert_ptr_nonnull(memory);
	memset(memory, 0, (NR + 1) * BLOCK);
}

static void teardown(void)
{
	tc_finish(&t);
	free(memory);
}

static void fill(char *data, unsigned first)
{
	for (unsigned i = 0; i < NR; i++)
		memcpy(data + i * BLOCK, &(unsigned){first + i}, sizeof(unsigned));
}

static void assert_filled(const char *data, unsigned first)
{
	unsigned value;

	for (unsigned i = 0; i < NR; i++) {
		memcpy(&value, data + i * BLOCK, sizeof(value));
		ck_assert_uint_eq(value, first + i);
	}
}

/* How an asynchronous call ended. */
struct result {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	unsigned nr_done;
	int result;
};

static void result_init(struct result *x)
{
	*x = (struct result){.result = 1};
	pthread_mutex_init(&x->lock, NULL);
	pthread_cond_init(&x->wake, NULL);
}

static void result_done(void *context, int result)
{
	struct result *x = context;

	pthread_mutex_lock(&x->lock);
	x->nr_done++;
	x->result = result;
	pthread_cond_signal(&x->wake);
	pthread_mutex_unlock(&x->lock);
}

static int result_wait(struct result *x)
{
	pthread_mutex_lock(&x->lock);
	while (!x->nr_done)
		pthread_cond_wait(&x->wake, &x->lock);
	pthread_mutex_unlock(&x->lock);
	pthread_cond_destroy(&x->wake);
	pthread_mutex_destroy(&x->lock);
	ck_assert_uint_eq(x->nr_done, 1);
	return x->result;
}

START_TEST(aligned_memory_is_transferred_without_a_copy)
{
	struct iovec iov[2] = {{memory, 100 * BLOCK}, {memory + 101 * BLOCK, 156 * BLOCK}};
	struct dam_counts n;

	ck_assert_int_eq(
		bufio_read_extent(t.client, &(struct bufio_extent){10, NR, iov, 2}, NULL, NULL), 0);
	dam_counts(t.dam, &n);
	ck_assert_uint_eq(n.reads, 1);
	ck_assert_uint_eq(n.largest_bytes, NR * BLOCK);
	ck_assert_ptr_eq(n.last_base, memory);
}
END_TEST

START_TEST(unaligned_memory_takes_a_copy)
{
	struct iovec iov = {memory + 1, NR * BLOCK};
	struct dam_counts n;

	fill(memory + 1, 1);
	ck_assert_int_eq(
		bufio_write_extent(t.client, &(struct bufio_extent){0, NR, &iov, 1}, NULL, NULL),
		0);
	dam_counts(t.dam, &n);
	ck_assert_uint_eq(n.writes, 1);
	memset(memory, 0, NR * BLOCK);
	ck_assert_int_eq(
		bufio_read_extent(t.client, &(struct bufio_extent){0, NR, &iov, 1}, NULL, NULL), 0);
	assert_filled(memory + 1, 1);
}
END_TEST

/* Only the block that lies across the odd parts is copied. */
START_TEST(odd_parts_copy_their_own_block_only)
{
	struct iovec iov[4] = {{memory, 4 * BLOCK},
			       {memory + 4 * BLOCK, 100},
			       {memory + 4 * BLOCK + 100, BLOCK - 100},
			       {memory + 5 * BLOCK, (NR - 5) * BLOCK}};
	struct dam_counts n;

	fill(memory, 7);
	ck_assert_int_eq(
		bufio_write_extent(t.client, &(struct bufio_extent){0, NR, iov, 4}, NULL, NULL), 0);
	dam_counts(t.dam, &n);
	ck_assert_uint_eq(n.writes, 3);
	for (unsigned i = 0; i < NR; i++)
		ck_assert_uint_eq(tc_on_device(&t, i), 7 + i);
}
END_TEST

START_TEST(parts_may_be_empty_or_smaller_than_a_block)
{
	struct iovec iov[NR * 8 + 1];

	for (unsigned i = 0; i < NR * 8; i++)
		iov[i + (i >= 9)] = (struct iovec){memory + i * 512, 512};
	iov[9] = (struct iovec){memory, 0};
	fill(memory, 7);
	ck_assert_int_eq(bufio_write_extent(t.client,
					    &(struct bufio_extent){0, NR, iov, NR * 8 + 1}, NULL,
					    NULL),
			 0);
	memset(memory, 0, NR * BLOCK);
	ck_assert_int_eq(bufio_read_extent(t.client, &(struct bufio_extent){0, NR, iov, NR * 8 + 1},
					   NULL, NULL),
			 0);
	assert_filled(memory, 7);
}
END_TEST

START_TEST(what_is_all_cached_needs_no_device)
{
	struct iovec iov = {memory, 8 * BLOCK};
	struct dam_counts n;

	for (unsigned i = 0; i < 8; i++)
		tc_put(&t, i, 100 + i);
	ck_assert_int_eq(
		bufio_read_extent(t.client, &(struct bufio_extent){0, 8, &iov, 1}, NULL, NULL), 0);
	ck_assert_uint_eq(*(unsigned *)(memory + 7 * BLOCK), 107);
	memcpy(memory, &(unsigned){55}, 4);
	ck_assert_int_eq(
		bufio_write_extent(t.client, &(struct bufio_extent){0, 8, &iov, 1}, NULL, NULL), 0);
	ck_assert_uint_eq(tc_get(&t, 0), 55);
	dam_counts(t.dam, &n);
	ck_assert_uint_eq(n.reads + n.writes, 0);
}
END_TEST

START_TEST(only_gaps_between_cached_blocks_are_transferred)
{
	struct iovec iov = {memory, NR * BLOCK};
	struct dam_counts n;

	fill(memory, 1);
	ck_assert_int_eq(
		bufio_write_extent(t.client, &(struct bufio_extent){0, NR, &iov, 1}, NULL, NULL),
		0);
	tc_put(&t, 3, 1000);
	tc_put(&t, 200, 2000);
	dam_reset(t.dam);
	memset(memory, 0, NR * BLOCK);
	ck_assert_int_eq(
		bufio_read_extent(t.client, &(struct bufio_extent){0, NR, &iov, 1}, NULL, NULL), 0);
	dam_counts(t.dam, &n);
	ck_assert_uint_eq(n.reads, 3);
	ck_assert_uint_eq(n.read_bytes, (NR - 2) * BLOCK);
	ck_assert_uint_eq(*(unsigned *)(memory + 3 * BLOCK), 1000);
	ck_assert_uint_eq(*(unsigned *)(memory + 200 * BLOCK), 2000);
	ck_assert_uint_eq(*(unsigned *)(memory + 201 * BLOCK), 202);
}
END_TEST

START_TEST(call_with_done_returns_before_the_transfer)
{
	struct iovec iov = {memory, NR * BLOCK};
	struct result x;

	result_init(&x);
	fill(memory, 5);
	dam_close(t.dam, DAM_WRITE);
	ck_assert_int_eq(bufio_write_extent(t.client, &(struct bufio_extent){0, NR, &iov, 1},
					    result_done, &x),
			 0);
	ck_assert_uint_eq(x.nr_done, 0);
	dam_open(t.dam, DAM_WRITE);
	ck_assert_int_eq(result_wait(&x), 0);
	ck_assert_uint_eq(tc_on_device(&t, NR - 1), 5 + NR - 1);
	result_init(&x);
	memset(memory, 0, NR * BLOCK);
	ck_assert_int_eq(bufio_read_extent(t.client, &(struct bufio_extent){0, NR, &iov, 1},
					   result_done, &x),
			 0);
	ck_assert_int_eq(result_wait(&x), 0);
	assert_filled(memory, 5);
}
END_TEST

static int read_5(struct tc *cache, void *unused)
{
	return (int)tc_get(cache, 5);
}

/* It would otherwise read what the write is about to replace, and keep it. */
START_TEST(read_into_the_cache_waits_for_a_write_past_it)
{
	struct iovec iov = {memory, NR * BLOCK};
	struct dam_counts n;
	struct call call;
	struct result x;

	result_init(&x);
	fill(memory, 100);
	dam_close(t.dam, DAM_WRITE);
	ck_assert_int_eq(bufio_write_extent(t.client, &(struct bufio_extent){0, NR, &iov, 1},
					    result_done, &x),
			 0);
	dam_wait(t.dam, 1);
	ck_assert_int_eq(bufio_prefetch(t.client, 0, 16), 0);
	call_start(&call, &t, read_5, NULL);
	dam_counts(t.dam, &n);
	ck_assert_uint_eq(n.reads, 0);
	dam_open(t.dam, DAM_WRITE);
	ck_assert_int_eq(result_wait(&x), 0);
	ck_assert_int_eq(call_end(&call), 105);
}
END_TEST

START_TEST(error_of_one_piece_is_the_result)
{
	struct iovec iov = {memory, NR * BLOCK};
	struct result x;

	tc_put(&t, 7, 1);
	result_init(&x);
	dam_fail(t.dam, DAM_READ, 1, -EIO);
	ck_assert_int_eq(bufio_read_extent(t.client, &(struct bufio_extent){0, NR, &iov, 1},
					   result_done, &x),
			 0);
	ck_assert_int_eq(result_wait(&x), -EIO);
	ck_assert_int_eq(
		bufio_read_extent(t.client, &(struct bufio_extent){0, NR, &iov, 1}, NULL, NULL), 0);
	ck_assert_int_eq(
		bufio_read_extent(t.client, &(struct bufio_extent){0, NR - 1, &iov, 1}, NULL, NULL),
		-EINVAL);
	ck_assert_int_eq(bufio_read_extent(t.client, &(struct bufio_extent){NR_BLOCKS, NR, &iov, 1},
					   NULL, NULL),
			 -ERANGE);
}
END_TEST

/* It cannot be written again from the cache. */
START_TEST(extent_that_a_failed_flush_lost_is_told_until_abandon)
{
	struct iovec iov = {memory, NR * BLOCK};

	ck_assert_int_eq(
		bufio_write_extent(t.client, &(struct bufio_extent){0, NR, &iov, 1}, NULL, NULL),
		0);
	dam_fail(t.dam, DAM_FLUSH, 1, -EIO);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), -EIO);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), -EIO);
	bufio_abandon(t.client);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), 0);
}
END_TEST

START_TEST(zeroout_is_seen_in_the_cache_and_on_the_device)
{
	struct iovec iov = {memory, NR * BLOCK};

	fill(memory, 9);
	ck_assert_int_eq(
		bufio_write_extent(t.client, &(struct bufio_extent){0, NR, &iov, 1}, NULL, NULL),
		0);
	tc_put(&t, 3, 1000);
	ck_assert_int_eq(bufio_issue_zeroout(t.client, 2, 100), 0);
	ck_assert_uint_eq(tc_get(&t, 3), 0);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), 0);
	ck_assert_uint_eq(tc_on_device(&t, 1), 10);
	ck_assert_uint_eq(tc_on_device(&t, 2), 0);
	ck_assert_uint_eq(tc_on_device(&t, 3), 0);
	ck_assert_uint_eq(tc_on_device(&t, 101), 0);
	ck_assert_uint_eq(tc_on_device(&t, 102), 111);
	ck_assert_int_eq(bufio_issue_zeroout(t.client, NR_BLOCKS, 1), -ERANGE);
}
END_TEST

START_TEST(discard_drops_buffers_and_refuses_held_ones)
{
	struct bufio_buffer *b;

	tc_put(&t, 3, 1000);
	ck_assert_int_eq(bufio_read(t.client, 3, &b), 0);
	ck_assert_int_eq(bufio_issue_discard(t.client, 0, 8), -EBUSY);
	bufio_release(b);
	ck_assert_int_eq(bufio_issue_discard(t.client, 0, 8), 0);
	ck_assert_int_eq(bufio_get(t.client, 3, &b), -ENOENT);
}
END_TEST

START_TEST(prefetch_merges_and_submits_once)
{
	struct dam_counts n;
	struct bufio_buffer *b;

	tc_put(&t, 40, 1);
	ck_assert_int_eq(bufio_prefetch(t.client, 0, 100), 0);
	dam_counts(t.dam, &n);
	ck_assert_uint_eq(n.submits, 1);
	ck_assert_uint_eq(n.reads, 2);
	ck_assert_uint_eq(n.read_bytes, 99 * BLOCK);
	ck_assert_int_eq(bufio_get(t.client, 99, &b), 0);
	bufio_release(b);
}
END_TEST

START_TEST(failed_prefetch_fails_no_read)
{
	struct bufio_buffer *b;
	struct call call;

	dam_close(t.dam, DAM_READ);
	dam_fail(t.dam, DAM_READ, 1, -EIO);
	ck_assert_int_eq(bufio_prefetch(t.client, 0, 10), 0);
	ck_assert_int_eq(bufio_get(t.client, 5, &b), -EAGAIN);
	call_start(&call, &t, read_5, NULL);
	dam_open(t.dam, DAM_READ);
	ck_assert_int_eq(call_end(&call), 0);
	ck_assert_int_eq(bufio_get(t.client, 4, &b), -ENOENT);
}
END_TEST

START_TEST(priority_reaches_the_engine)
{
	struct bufio_buffer *b;
	struct dam_counts n;

	ck_assert_int_eq(bufio_read_ioprio(t.client, 1, 3 << 13, &b), 0);
	bufio_release(b);
	dam_counts(t.dam, &n);
	ck_assert_uint_eq(n.last_ioprio, 3 << 13);
	ck_assert_int_eq(bufio_prefetch_ioprio(t.client, 2, 1, 2 << 13 | 7), 0);
	dam_counts(t.dam, &n);
	ck_assert_uint_eq(n.last_ioprio, 2 << 13 | 7);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("extent");
	TCase *tc = tcase_create("extent");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, aligned_memory_is_transferred_without_a_copy);
	tcase_add_test(tc, unaligned_memory_takes_a_copy);
	tcase_add_test(tc, odd_parts_copy_their_own_block_only);
	tcase_add_test(tc, parts_may_be_empty_or_smaller_than_a_block);
	tcase_add_test(tc, what_is_all_cached_needs_no_device);
	tcase_add_test(tc, only_gaps_between_cached_blocks_are_transferred);
	tcase_add_test(tc, call_with_done_returns_before_the_transfer);
	tcase_add_test(tc, read_into_the_cache_waits_for_a_write_past_it);
	tcase_add_test(tc, error_of_one_piece_is_the_result);
	tcase_add_test(tc, extent_that_a_failed_flush_lost_is_told_until_abandon);
	tcase_add_test(tc, zeroout_is_seen_in_the_cache_and_on_the_device);
	tcase_add_test(tc, discard_drops_buffers_and_refuses_held_ones);
	tcase_add_test(tc, prefetch_merges_and_submits_once);
	tcase_add_test(tc, failed_prefetch_fails_no_read);
	tcase_add_test(tc, priority_reaches_the_engine);
	suite_add_tcase(suite, tc);
	return tc_run_suite(suite);
}
