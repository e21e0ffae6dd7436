/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rest of bufio.h, call by call. */
#include "client_fixture.h"
#include <bufio_test_engine.h>
#include <limits.h>

static struct tc t;
static unsigned nr_traced[4], nr_allocated, nr_prepared, nr_verified;
static int verify_result;
static bool prepare_stamps;

static void trace(void *context, const struct bufio_trace *event)
{
	nr_traced[event->kind]++;
}

static void alloc(void *context, struct bufio_buffer *b)
{
	nr_allocated++;
	*(unsigned *)bufio_aux(b) = 77;
}

static int verify(void *context, struct bufio_buffer *b)
{
	nr_verified++;
	return verify_result;
}

static void prepare(void *context, struct bufio_buffer *b)
{
	nr_prepared++;
	if (prepare_stamps)
		memset(bufio_data(b), 0x5a, 4);
}

static const struct bufio_callbacks callbacks = {
	.trace = trace, .alloc = alloc, .verify = verify, .prepare = prepare};

static void setup(void)
{
	struct bufio_options o;

	tc_options(&o);
	o.callbacks = &callbacks;
	o.aux_bytes = 4;
	o.resize_bytes = 16 << 20;
	memset(nr_traced, 0, sizeof(nr_traced));
	nr_allocated = nr_prepared = nr_verified = 0;
	verify_result = 0;
	prepare_stamps = false;
	tc_init(&t, &o);
}

static void teardown(void)
{
	tc_finish(&t);
}

START_TEST(callbacks_are_called)
{
	struct bufio_buffer *b;

	prepare_stamps = true;
	ck_assert_int_eq(bufio_read(t.client, 1, &b), 0);
	ck_assert_uint_eq(*(unsigned *)bufio_aux(b), 77);
	bufio_mark_dirty(b);
	bufio_release(b);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), 0);
	ck_assert_uint_eq(nr_verified, 1);
	ck_assert_uint_eq(nr_allocated, 1);
	ck_assert_uint_eq(nr_prepared, 1);
	ck_assert_uint_eq(tc_on_device(&t, 1), 0x5a5a5a5a);
	ck_assert_uint_eq(nr_traced[BUFIO_TRACE_READ], 1);
	ck_assert_uint_eq(nr_traced[BUFIO_TRACE_WRITE], 1);
	ck_assert_uint_eq(nr_traced[BUFIO_TRACE_FLUSH], 1);
	verify_result = -EBADMSG;
	ck_assert_int_eq(bufio_read(t.client, 2, &b), -EBADMSG);
	ck_assert_int_eq(bufio_prefetch(t.client, 3, 1), 0);
	ck_assert_int_eq(bufio_read(t.client, 3, &b), -EBADMSG);
	verify_result = 0;
	ck_assert_uint_eq(tc_get(&t, 3), 0);
}
END_TEST

/* A recorder cannot make zeroes by itself. */
START_TEST(zeroes_that_are_written_are_counted_and_traced)
{
	struct bufio_engine *mem, *record, *fault;
	struct bufio_client *c;
	struct bufio_options o;
	struct bufio_stats s;

	tc_options(&o);
	o.callbacks = &callbacks;
	o.aux_bytes = 4;
	o.max_io_bytes = 4 * BLOCK;
	ck_assert_int_eq(bufio_engine_mem_create(64 * BLOCK, 512, &mem), 0);
	ck_assert_int_eq(bufio_engine_record_create(mem, &record), 0);
	ck_assert_int_eq(bufio_engine_fault_create(record, &fault), 0);
	ck_assert_int_eq(bufio_create(fault, &o, &c), 0);
	ck_assert_int_eq(bufio_issue_zeroout(c, 1, 10), 0);
	bufio_get_stats(c, &s);
	ck_assert_uint_eq(s.writes, 3);
	ck_assert_uint_eq(s.written_blocks, 10);
	ck_assert_uint_eq(s.written_bytes, 10 * BLOCK);
	ck_assert_uint_eq(s.latency[BUFIO_LATENCY_WRITE].count, 3);
	ck_assert_uint_eq(nr_traced[BUFIO_TRACE_WRITE], 3);
	bufio_engine_fault_set(fault,
			       &(struct bufio_fault){.ops = BUFIO_FAULT_WRITE, .error = -EIO});
	ck_assert_int_eq(bufio_issue_zeroout(c, 1, 10), -EIO);
	bufio_get_stats(c, &s);
	ck_assert_uint_eq(s.write_errors, 1);
	ck_assert_uint_eq(s.written_blocks, 10);
	ck_assert_int_eq(bufio_destroy(c), 0);
	bufio_engine_destroy(fault);
}
END_TEST

START_TEST(data_is_as_aligned_as_it_says)
{
	static const unsigned sizes[] = {512, 4096, 65536};
	struct bufio_options o;
	struct bufio_client *c;
	struct bufio_buffer *b;
	unsigned size = sizes[_i];

	tc_options(&o);
	o.block_bytes = size;
	o.aux_bytes = 1;
	ck_assert_int_eq(bufio_create(t.mem, &o, &c), 0);
	for (unsigned i = 0; i < 16; i++) {
		ck_assert_int_eq(bufio_read(c, i, &b), 0);
		ck_assert_uint_eq((uintptr_t)bufio_data(b) % (size < 4096 ? size : 4096), 0);
		ck_assert_uint_eq((uintptr_t)bufio_aux(b) % 8, 0);
		bufio_release(b);
	}
	ck_assert_int_eq(bufio_destroy(c), 0);
}
END_TEST

static int put_call(struct tc *cache, void *unused)
{
	tc_put(cache, 9, 10);
	return 0;
}

START_TEST(who_waits_for_a_buffer_is_traced)
{
	struct bufio_options o;
	struct call put;
	struct tc small;

	tc_options(&o);
	o.callbacks = &callbacks;
	o.aux_bytes = 4;
	o.cache_bytes = o.limit_bytes = 4 * BLOCK;
	tc_init(&small, &o);
	dam_close(small.dam, DAM_WRITE);
	for (unsigned i = 0; i < 4; i++)
		tc_put(&small, i * 2, i);
	ck_assert_uint_eq(nr_traced[BUFIO_TRACE_WAIT], 0);
	call_start(&put, &small, put_call, NULL);
	dam_wait(small.dam, 4);
	ck_assert_uint_eq(nr_traced[BUFIO_TRACE_WAIT], 1);
	dam_open(small.dam, DAM_WRITE);
	ck_assert_int_eq(call_end(&put), 0);
	tc_finish(&small);
}
END_TEST

START_TEST(partial_dirty_writes_only_its_sectors)
{
	struct bufio_buffer *b;
	struct dam_counts n;

	ck_assert_int_eq(bufio_read(t.client, 5, &b), 0);
	ck_assert_int_eq(bufio_mark_partial_dirty(b, 4000, BLOCK + 1), -EINVAL);
	ck_assert_int_eq(bufio_mark_partial_dirty(b, 7, 7), -EINVAL);
	ck_assert_int_eq(bufio_mark_partial_dirty(b, 600, 700), 0);
	ck_assert_int_eq(bufio_mark_partial_dirty(b, 1030, 1040), 0);
	bufio_release(b);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), 0);
	dam_counts(t.dam, &n);
	ck_assert_uint_eq(n.last_offset, 5 * BLOCK + 512);
	ck_assert_uint_eq(n.last_bytes, 1024);
}
END_TEST

START_TEST(partial_dirty_of_a_dirty_or_new_buffer_is_whole)
{
	struct bufio_buffer *b;
	struct dam_counts n;

	ck_assert_int_eq(bufio_new(t.client, 5, &b), 0);
	ck_assert_int_eq(bufio_mark_partial_dirty(b, 0, 1), 0);
	bufio_release(b);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), 0);
	dam_counts(t.dam, &n);
	ck_assert_uint_eq(n.last_bytes, BLOCK);
	ck_assert_int_eq(bufio_read(t.client, 5, &b), 0);
	bufio_mark_dirty(b);
	ck_assert_int_eq(bufio_mark_partial_dirty(b, 0, 1), 0);
	bufio_release(b);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), 0);
	dam_counts(t.dam, &n);
	ck_assert_uint_eq(n.last_bytes, BLOCK);
}
END_TEST

START_TEST(partly_dirty_buffer_whose_write_failed_is_written_whole)
{
	struct bufio_buffer *b;
	struct dam_counts n;

	ck_assert_int_eq(bufio_read(t.client, 5, &b), 0);
	ck_assert_int_eq(bufio_mark_partial_dirty(b, 0, 1), 0);
	bufio_release(b);
	dam_fail(t.dam, DAM_WRITE, 1, -EIO);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), -EIO);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), 0);
	dam_counts(t.dam, &n);
	ck_assert_uint_eq(n.last_bytes, BLOCK);
}
END_TEST

/* Three ranges in every place of a block, with what lies around them. */
START_TEST(bytes_are_read_and_written_across_blocks)
{
	static const struct {
		uint64_t offset;
		size_t size;
	} ranges[] = {{10, 20}, {BLOCK - 3, 6}, {3 * BLOCK, BLOCK}, {5 * BLOCK - 1, 2 * BLOCK + 2}};
	static char data[3 * BLOCK], back[3 * BLOCK + 2];

	for (unsigned i = 0; i < sizeof(ranges) / sizeof(*ranges); i++) {
		uint64_t at = ranges[i].offset;
		size_t n = ranges[i].size;

		memset(data, 'a' + (int)i, n);
		ck_assert_int_eq(bufio_write_bytes(t.client, at, data, n), 0);
		ck_assert_int_eq(bufio_drop_buffers(t.client), 0);
		ck_assert_int_eq(bufio_read_bytes(t.client, at - 1, back, n + 2), 0);
		ck_assert_mem_eq(back + 1, data, n);
		ck_assert_int_eq(bufio_zero_bytes(t.client, at + 1, n - 1), 0);
		ck_assert_int_eq(bufio_read_bytes(t.client, at, back, n), 0);
		ck_assert_int_eq(back[0], 'a' + (int)i);
		for (size_t k = 1; k < n; k++)
			ck_assert_int_eq(back[k], 0);
	}
	ck_assert_int_eq(bufio_read_bytes(t.client, (uint64_t)NR_BLOCKS * BLOCK, back, 1), -ERANGE);
	ck_assert_int_eq(bufio_write_bytes(t.client, 0, NULL, 1), -EINVAL);
	ck_assert_int_eq(bufio_write_bytes(t.client, UINT64_MAX, data, 2), -ERANGE);
}
END_TEST

START_TEST(resize_grows_and_shrinks_the_budget)
{
	struct bufio_stats s;
	size_t cache, limit;

	ck_assert_int_eq(bufio_resize(t.client, 12 << 20, 16 << 20), 0);
	for (unsigned i = 0; i < 3000; i++)
		tc_put(&t, i, i + 1);
	bufio_get_stats(t.client, &s);
	ck_assert_uint_ge(s.nr_buffers, 3000);
	ck_assert_int_eq(bufio_resize(t.client, 1 << 20, 2 << 20), 0);
	bufio_get_limits(t.client, &cache, &limit);
	ck_assert_uint_eq(cache, 1 << 20);
	ck_assert_uint_eq(limit, 2 << 20);
	bufio_get_stats(t.client, &s);
	ck_assert_uint_le(s.nr_buffers, 512);
	for (unsigned i = 0; i < 3000; i++)
		ck_assert_uint_eq(tc_get(&t, i), i + 1);
	bufio_get_stats(t.client, &s);
	ck_assert_uint_le(s.nr_buffers, 512);
	ck_assert_int_eq(bufio_resize(t.client, 1 << 20, 17 << 20), -EINVAL);
	ck_assert_int_eq(bufio_resize(t.client, 2 << 20, 1 << 20), -EINVAL);
	ck_assert_int_eq(bufio_resize(t.client, 0, BLOCK - 1), -EINVAL);
}
END_TEST

START_TEST(shrinking_below_what_is_held_ends_when_it_is_released)
{
	struct bufio_buffer *b[8], *more;
	struct bufio_stats s;

	for (unsigned i = 0; i < 8; i++)
		ck_assert_int_eq(bufio_read(t.client, i, &b[i]), 0);
	ck_assert_int_eq(bufio_resize(t.client, 2 * BLOCK, 2 * BLOCK), -EBUSY);
	bufio_pin(b[0]);
	bufio_mark_dirty(b[0]);
	ck_assert_int_eq(bufio_resize(t.client, BLOCK, 2 * BLOCK), -EBUSY);
	bufio_unpin(b[0], false);
	for (unsigned i = 0; i < 6; i++)
		bufio_release(b[i]);
	/* Two are left, and all the memory of the others was given back. */
	ck_assert_int_eq(bufio_resize(t.client, BLOCK, 2 * BLOCK), 0);
	ck_assert_int_eq(bufio_read(t.client, 100, &more), -EDEADLK);
	for (unsigned i = 6; i < 8; i++)
		bufio_release(b[i]);
	ck_assert_uint_eq(tc_get(&t, 100), 0);
	bufio_get_stats(t.client, &s);
	ck_assert_uint_le(s.nr_buffers, 2);
}
END_TEST

START_TEST(minimum_is_in_memory_at_once_and_stays)
{
	struct bufio_stats s;

	ck_assert_int_eq(bufio_set_minimum_buffers(t.client, 100), 0);
	bufio_get_stats(t.client, &s);
	ck_assert_uint_eq(s.nr_buffers, 100);
	ck_assert_int_eq(bufio_resize(t.client, 99 * BLOCK, 9 << 20), -EINVAL);
	ck_assert_int_eq(bufio_set_minimum_buffers(t.client, 1 << 20), -EINVAL);
}
END_TEST

START_TEST(json_has_the_counters_and_tells_its_length)
{
	char text[4096], few[10];
	size_t n;

	tc_put(&t, 1, 1);
	ck_assert_int_eq(bufio_write_dirty_buffers(t.client), 0);
	n = bufio_stats_json(t.client, text, sizeof(text));
	ck_assert_uint_eq(n, strlen(text));
	ck_assert_ptr_nonnull(strstr(text, "\"written_blocks\": 1,"));
	ck_assert_ptr_nonnull(strstr(text, "\"flush_latency\": {\"count\": 1,"));
	ck_assert_int_eq(text[n - 1], '}');
	ck_assert_uint_eq(bufio_stats_json(t.client, few, sizeof(few)), n);
	ck_assert_uint_eq(strlen(few), sizeof(few) - 1);
	ck_assert_uint_eq(bufio_stats_json(t.client, NULL, 0), n);
}
END_TEST

START_TEST(latencies_are_counted)
{
	struct bufio_stats s;
	uint64_t n = 0;

	tc_get(&t, 1);
	bufio_get_stats(t.client, &s);
	ck_assert_uint_eq(s.latency[BUFIO_LATENCY_READ].count, 1);
	for (unsigned i = 0; i < BUFIO_HISTOGRAM_BUCKETS; i++)
		n += s.latency[BUFIO_LATENCY_READ].buckets[i];
	ck_assert_uint_eq(n, 1);
}
END_TEST

/* Block sizes, and the largest device. */
START_TEST(every_block_size_works_beyond_2_to_the_32_blocks)
{
	unsigned block_bytes = 512u << _i, value = 7;
	uint64_t blocks = (UINT64_C(1) << 33) + 1;
	struct bufio_engine *mem;
	struct bufio_client *c;
	struct bufio_buffer *b;
	struct bufio_options o;

	/* An odd tail: half a block. */
	ck_assert_int_eq(bufio_engine_mem_create(
				 blocks * block_bytes + (block_bytes > 512 ? 512 : 0), 512, &mem),
			 0);
	tc_options(&o);
	o.block_bytes = block_bytes;
	ck_assert_int_eq(bufio_create(mem, &o, &c), 0);
	ck_assert_uint_eq(bufio_nr_blocks(c), blocks);
	ck_assert_int_eq(bufio_read(c, blocks, &b), -ERANGE);
	ck_assert_int_eq(bufio_new(c, blocks - 1, &b), 0);
	memcpy(bufio_data(b), &value, sizeof(value));
	bufio_mark_dirty(b);
	bufio_release(b);
	ck_assert_int_eq(bufio_drop_buffers(c), 0);
	ck_assert_int_eq(bufio_read(c, blocks - 1, &b), 0);
	ck_assert_uint_eq(*(unsigned *)bufio_data(b), value);
	bufio_release(b);
	ck_assert_int_eq(bufio_read(c, (blocks - 1) & UINT32_MAX, &b), 0);
	ck_assert_uint_eq(*(unsigned *)bufio_data(b), 0);
	bufio_release(b);
	ck_assert_int_eq(bufio_destroy(c), 0);
	bufio_engine_destroy(mem);
}
END_TEST

START_TEST(options_that_make_no_sense_are_refused)
{
	struct bufio_client *c = NULL;
	struct bufio_options o;

	tc_options(&o);
	o.block_bytes = 1536;
	ck_assert_int_eq(bufio_create(t.mem, &o, &c), -EINVAL);
	tc_options(&o);
	o.block_bytes = 2 << 20;
	ck_assert_int_eq(bufio_create(t.mem, &o, &c), -EINVAL);
	tc_options(&o);
	o.cache_bytes = o.limit_bytes = BLOCK - 1;
	ck_assert_int_eq(bufio_create(t.mem, &o, &c), -EINVAL);
	tc_options(&o);
	o.cache_bytes = o.limit_bytes + 1;
	ck_assert_int_eq(bufio_create(t.mem, &o, &c), -EINVAL);
	tc_options(&o);
	o.limit_bytes = (size_t)BLOCK << 30;
	ck_assert_int_eq(bufio_create(t.mem, &o, &c), -EINVAL);
	tc_options(&o);
	o.aux_bytes = (1 << 20) + 1;
	ck_assert_int_eq(bufio_create(t.mem, &o, &c), -EINVAL);
	tc_options(&o);
	o.dirty_background_percent = 101;
	ck_assert_int_eq(bufio_create(t.mem, &o, &c), -EINVAL);
	tc_options(&o);
	ck_assert_int_eq(bufio_create(NULL, &o, &c), -EINVAL);
	ck_assert_int_eq(bufio_create(t.mem, NULL, &c), -EINVAL);
	ck_assert_ptr_null(c);
}
END_TEST

static int flush_and_count(struct tc *cache, void *unused)
{
	return bufio_write_dirty_buffers(cache->client);
}

/* A held buffer is not written, and one that is written is not handed out. */
START_TEST(stable_writes_never_write_what_is_held)
{
	struct bufio_options o;
	struct bufio_buffer *b;
	struct tc stable;
	struct call call;

	tc_options(&o);
	o.stable_writes = true;
	tc_init(&stable, &o);
	tc_put(&stable, 1, 11);
	ck_assert_int_eq(bufio_read(stable.client, 1, &b), 0);
	ck_assert_int_eq(bufio_drop_buffers(stable.client), -EBUSY);
	call_start(&call, &stable, flush_and_count, NULL);
	ck_assert_int_eq(bufio_write_unpinned(stable.client, 2, 1), 0);
	ck_assert_uint_eq(tc_on_device(&stable, 1), 0);
	dam_close(stable.dam, DAM_WRITE);
	bufio_release(b);
	dam_wait(stable.dam, 1);
	ck_assert_int_eq(bufio_get(stable.client, 1, &b), -EAGAIN);
	dam_open(stable.dam, DAM_WRITE);
	ck_assert_uint_eq(tc_get(&stable, 1), 11);
	ck_assert_int_eq(call_end(&call), 0);
	ck_assert_uint_eq(tc_on_device(&stable, 1), 11);
	tc_finish(&stable);
}
END_TEST

START_TEST(client_that_finds_no_key_left_is_refused_and_takes_nothing)
{
	static pthread_key_t keys[PTHREAD_KEYS_MAX];
	struct bufio_client *c = NULL;
	struct bufio_options o;
	unsigned nr = 0;

	tc_options(&o);
	while (nr < PTHREAD_KEYS_MAX && pthread_key_create(&keys[nr], NULL) == 0)
		nr++;
	ck_assert_uint_gt(nr, 0);
	ck_assert_int_eq(bufio_create(t.mem, &o, &c), -EAGAIN);
	ck_assert_ptr_null(c);
	while (nr)
		pthread_key_delete(keys[--nr]);
	ck_assert_int_eq(bufio_create(t.mem, &o, &c), 0);
	ck_assert_int_eq(bufio_destroy(c), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("api");
	TCase *tc = tcase_create("api");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, callbacks_are_called);
	tcase_add_test(tc, client_that_finds_no_key_left_is_refused_and_takes_nothing);
	tcase_add_test(tc, zeroes_that_are_written_are_counted_and_traced);
	tcase_add_loop_test(tc, data_is_as_aligned_as_it_says, 0, 3);
	tcase_add_test(tc, who_waits_for_a_buffer_is_traced);
	tcase_add_test(tc, partial_dirty_writes_only_its_sectors);
	tcase_add_test(tc, partial_dirty_of_a_dirty_or_new_buffer_is_whole);
	tcase_add_test(tc, partly_dirty_buffer_whose_write_failed_is_written_whole);
	tcase_add_test(tc, bytes_are_read_and_written_across_blocks);
	tcase_add_test(tc, resize_grows_and_shrinks_the_budget);
	tcase_add_test(tc, shrinking_below_what_is_held_ends_when_it_is_released);
	tcase_add_test(tc, minimum_is_in_memory_at_once_and_stays);
	tcase_add_test(tc, json_has_the_counters_and_tells_its_length);
	tcase_add_test(tc, latencies_are_counted);
	tcase_add_loop_test(tc, every_block_size_works_beyond_2_to_the_32_blocks, 0, 12);
	tcase_add_test(tc, options_that_make_no_sense_are_refused);
	tcase_add_test(tc, stable_writes_never_write_what_is_held);
	suite_add_tcase(suite, tc);
	return tc_run_suite(suite);
}
