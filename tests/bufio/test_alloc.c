/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * No memory, at every place where some is asked for.  The linker gives us the calls of the
 * library (--wrap); Check is not called while they fail, for it needs memory too.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "cache_fixture.h"

#define NR_BLOCKS  256
#define NR_BUFFERS 16

/* The next that fails, from 1; 0: none.  All: it and every later one. */
static atomic_int countdown;
static atomic_bool all_later;
static atomic_int nr_failed;

static bool must_fail(void)
{
	int n = atomic_load(&countdown);

	while (n > 0 && !atomic_compare_exchange_weak(&countdown, &n, n > 1 ? n - 1 : -1))
		;
	if (n != 1 && !(n < 0 && atomic_load(&all_later)))
		return false;
	atomic_fetch_add(&nr_failed, 1);
	errno = ENOMEM;
	return true;
}

#define WRAP(type, name, params, args, failure)                                                    \
	type __real_##name params;                                                                 \
	type __wrap_##name params;                                                                 \
	type __wrap_##name params                                                                  \
	{                                                                                          \
		return must_fail() ? failure : __real_##name args;                                 \
	}

WRAP(void *, malloc, (size_t size), (size), NULL)
WRAP(void *, calloc, (size_t nr, size_t size), (nr, size), NULL)
WRAP(void *, realloc, (void *p, size_t size), (p, size), NULL)
WRAP(void *, aligned_alloc, (size_t align, size_t size), (align, size), NULL)
WRAP(int, posix_memalign, (void **p, size_t align, size_t size), (p, align, size), ENOMEM)
WRAP(void *, mmap, (void *p, size_t n, int prot, int flags, int fd, off_t at),
     (p, n, prot, flags, fd, at), MAP_FAILED)

static void arm(int n, bool all)
{
	atomic_store(&nr_failed, 0);
	atomic_store(&all_later, all);
	atomic_store(&countdown, n);
}

/* Returns how many failed. */
static int disarm(void)
{
	atomic_store(&countdown, 0);
	return atomic_load(&nr_failed);
}

/* Without assertions: what is called while armed. */

static struct bufio_engine *mem;
static struct bufio_client *client;

static int put(uint64_t block, unsigned char value)
{
	struct bufio_buffer *b;
	int r = bufio_new(client, block, &b);

	if (r)
		return r;
	memset(bufio_data(b), value, CACHE_BLOCK);
	bufio_mark_dirty(b);
	bufio_release(b);
	return 0;
}

static int get(uint64_t block, unsigned char value)
{
	struct bufio_buffer *b;
	const unsigned char *data;
	int r = bufio_read(client, block, &b);

	if (r)
		return r;
	data = bufio_data(b);
	r = data[0] == value && data[CACHE_BLOCK - 1] == value ? 0 : -EUCLEAN;
	bufio_release(b);
	return r;
}

static int move(uint64_t from, uint64_t to)
{
	struct bufio_buffer *b;
	int r = bufio_read(client, from, &b);

	if (r)
		return r;
	r = bufio_release_move(b, to);
	if (r)
		bufio_release(b);
	return r;
}

static char extent[4 * CACHE_BLOCK] __attribute__((aligned(4096)));

static int read_extent(void)
{
	struct iovec iov = {extent, sizeof(extent)};

	return bufio_read_extent(client, &(struct bufio_extent){0, 4, &iov, 1}, NULL, NULL);
}

static int write_extent(void)
{
	struct iovec iov = {extent, sizeof(extent)};

	memset(extent, 9, sizeof(extent));
	return bufio_write_extent(client, &(struct bufio_extent){40, 4, &iov, 1}, NULL, NULL);
}

/* All chunks of the device are there, so it needs no memory. */
static void make_device(void)
{
	static const char data[CACHE_BLOCK] = {1};

	ck_assert_int_eq(bufio_engine_mem_create(NR_BLOCKS * CACHE_BLOCK, 512, &mem), 0);
	for (unsigned i = 0; i < NR_BLOCKS; i++)
		ck_assert_int_eq(bufio_engine_mem_poke(mem, i * CACHE_BLOCK, data, sizeof(data)),
				 0);
}

static int create(void)
{
	struct bufio_options o;

	cache_options(&o, NR_BUFFERS);
	return bufio_create(mem, &o, &client);
}

/* Creating, until nothing fails any more. */
START_TEST(create_without_memory_says_so_and_leaks_nothing)
{
	int r, failed, nr = 0;

	make_device();
	do {
		arm(++nr, false);
		r = create();
		failed = disarm();
		ck_assert_int_eq(r, failed ? -ENOMEM : 0);
	} while (failed);
	ck_assert_int_gt(nr, 3);
	ck_assert_int_eq(bufio_destroy(client), 0);
	bufio_engine_destroy(mem);
}
END_TEST

struct results {
	int put, flush, read, prefetch, move, read_extent, write_extent, range, drop, destroy;
};

static void scenario(struct results *r)
{
	for (unsigned i = 0; i < 8; i++)
		r->put |= put(i, (unsigned char)(i + 1));
	r->flush = bufio_write_dirty_buffers(client);
	r->prefetch = bufio_prefetch(client, 100, 4);
	for (unsigned i = 0; i < 8; i++)
		r->read |= get(i, (unsigned char)(i + 1));
	r->move = move(7, 20);
	r->read_extent = read_extent();
	r->write_extent = write_extent();
	r->put |= put(30, 30);
	r->range = bufio_write_range(client, 30, 1);
	r->put |= put(31, 31);
	r->drop = bufio_drop_buffers(client);
}

static bool may(int r)
{
	return r == 0 || r == -ENOMEM;
}

static void check_after(const struct results *r)
{
	/* What has its memory since create. */
	ck_assert_int_eq(r->put, 0);
	ck_assert_int_eq(r->read, 0);
	ck_assert_int_eq(r->prefetch, 0);
	ck_assert_int_eq(r->flush, 0);
	ck_assert_int_eq(r->range, 0);
	ck_assert_int_eq(r->drop, 0);
	ck_assert(may(r->move) && may(r->read_extent) && may(r->write_extent));
	for (unsigned i = 0; i < 8; i++)
		ck_assert_int_eq(get(i, (unsigned char)(i + 1)), 0);
	ck_assert_int_eq(get(30, 30), 0);
	ck_assert_int_eq(get(31, 31), 0);
	if (!r->move)
		ck_assert_int_eq(get(20, 8), 0);
	if (!r->write_extent)
		ck_assert_int_eq(get(43, 9), 0);
}

START_TEST(without_memory_calls_say_so_and_lose_nothing)
{
	int failed, nr = 0;

	do {
		struct results r = {0};

		make_device();
		ck_assert_int_eq(create(), 0);
		arm(++nr, _i);
		scenario(&r);
		failed = disarm();
		check_after(&r);
		ck_assert_int_eq(bufio_destroy(client), 0);
		bufio_engine_destroy(mem);
	} while (failed);
	ck_assert_int_gt(nr, 1);
}
END_TEST

START_TEST(dirty_blocks_make_room_without_memory)
{
	int r = 0, r1;

	make_device();
	ck_assert_int_eq(create(), 0);
	arm(1, true);
	for (unsigned i = 0; i < 10 * NR_BUFFERS && !r; i++)
		r = put(i, (unsigned char)i);
	r1 = bufio_write_dirty_buffers(client);
	disarm();
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(r1, 0);
	for (unsigned i = 0; i < 10 * NR_BUFFERS; i++)
		ck_assert_int_eq(get(i, (unsigned char)i), 0);
	ck_assert_int_eq(bufio_destroy(client), 0);
	bufio_engine_destroy(mem);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("alloc");
	TCase *const cases[] = {tc, NULL};

	tcase_add_test(tc, create_without_memory_says_so_and_leaks_nothing);
	tcase_add_loop_test(tc, without_memory_calls_say_so_and_lose_nothing, 0, 2);
	tcase_add_test(tc, dirty_blocks_make_room_without_memory);
	return cache_run("alloc", cases);
}
