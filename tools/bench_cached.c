/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the processor alone decides: hits, scaling, and what is kept during a scan. */
#include "bench.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define NR_RUNS	   7u
#define NR_ORDER   (1u << 20)
#define NR_THREADS 2u

/* Some blocks in an order drawn before, so that drawing is not measured. */
struct work {
	struct bufio_client *c;
	uint32_t *order;
	uint64_t nr_ops;
	unsigned cpu;
	pthread_barrier_t *start;
	uint64_t ns;
};

static uint32_t *make_order(uint64_t nr_blocks, uint64_t seed)
{
	uint32_t *order = malloc(NR_ORDER * sizeof(*order));

	bench_must(order ? 0 : -ENOMEM, "memory");
	for (unsigned i = 0; i < NR_ORDER; i++)
		order[i] = (uint32_t)(next_random(&seed) % nr_blocks);
	return order;
}

static void hit(struct bufio_client *c, uint64_t block)
{
	struct bufio_buffer *b;

	bench_must(bufio_read(c, block, &b), "bufio_read");
	bufio_release(b);
}

static void fill_cache(struct bufio_client *c, uint64_t nr_blocks)
{
	for (uint64_t i = 0; i < nr_blocks; i++)
		hit(c, i);
}

static void *work_main(void *argument)
{
	struct work *w = argument;
	uint64_t t;

	bench_pin_cpu(w->cpu);
	pthread_barrier_wait(w->start);
	t = now_ns();
	for (uint64_t i = 0; i < w->nr_ops; i++)
		hit(w->c, w->order[i % NR_ORDER]);
	w->ns = now_ns() - t;
	return NULL;
}

/* Hits per second of all threads together. */
static double run_threads(struct bufio_client *c, uint64_t nr_blocks, unsigned nr, uint64_t nr_ops)
{
	struct work work[NR_THREADS];
	pthread_t threads[NR_THREADS];
	pthread_barrier_t start;
	double rate = 0;

	pthread_barrier_init(&start, NULL, nr);
	for (unsigned i = 0; i < nr; i++) {
		work[i] = (struct work){c, make_order(nr_blocks, i + 1), nr_ops, i, &start, 0};
		bench_must(-pthread_create(&threads[i], NULL, work_main, &work[i]), "thread");
	}
	for (unsigned i = 0; i < nr; i++) {
		pthread_join(threads[i], NULL);
		rate += 1e9 * (double)nr_ops / (double)work[i].ns;
		free(work[i].order);
	}
	pthread_barrier_destroy(&start);
	return rate;
}

static struct bufio_client *cached_client(uint64_t nr_blocks, struct bufio_engine **ret_engine)
{
	struct bufio_client *c;

	bench_must(bufio_engine_mem_create(nr_blocks * BENCH_BLOCK, 512, ret_engine), "mem");
	c = bench_client(*ret_engine, nr_blocks + 64);
	fill_cache(c, nr_blocks);
	return c;
}

static void finish(struct bufio_client *c, struct bufio_engine *e)
{
	bench_must(bufio_destroy(c), "bufio_destroy");
	bufio_engine_destroy(e);
}

/* The best of some runs: what else runs on the machine only ever makes it slower. */
static double best_rate(struct bufio_client *c, uint64_t nr_blocks, unsigned nr, uint64_t nr_ops)
{
	double best = 0, rate;

	for (unsigned i = 0; i < NR_RUNS; i++) {
		rate = run_threads(c, nr_blocks, nr, nr_ops);
		best = rate > best ? rate : best;
	}
	return best;
}

static double hit_ns(struct bufio_client *c, uint64_t nr_blocks, uint64_t nr_ops)
{
	return 1e9 / best_rate(c, nr_blocks, 1, nr_ops);
}

/* How much two threads do of what one does: by turns, so that a slow second is not one's alone. */
static double scaling(struct bufio_client *c, uint64_t nr_blocks, uint64_t nr_ops)
{
	double one = 0, two = 0, rate;

	for (unsigned i = 0; i < 2 * NR_RUNS; i++) {
		rate = run_threads(c, nr_blocks, 1, nr_ops);
		one = rate > one ? rate : one;
		rate = run_threads(c, nr_blocks, NR_THREADS, nr_ops);
		two = rate > two ? rate : two;
	}
	return two / one;
}

static void hot_blocks(const char *path)
{
	struct bufio_engine *e;
	struct bufio_client *c = cached_client(1000, &e);
	double ns = hit_ns(c, 1000, 5000000), peer, locked;
	char note[80];

	bench_row("cached read + release, 1 thread, 1,000 hot blocks", ns, at_most(30, "ns"), "");
	if (peer_unix_io(path, false, &peer) || peer_unix_io(path, true, &locked)) {
		bench_skip("the same, times as fast as unix_io", "libext2fs is not installed");
	} else {
		snprintf(note, sizeof(note), "unix_io %.0f ns on its 8 blocks, %.0f when it locks",
			 peer, locked);
		bench_row("the same, times as fast as unix_io", peer / ns, at_least(3, "times"),
			  note);
	}
	finish(c, e);
}

static void many_blocks(void)
{
	struct bufio_engine *e;
	struct bufio_client *c = cached_client(100000, &e);

	bench_row("the same over 100,000 blocks at random", hit_ns(c, 100000, 2000000),
		  at_most(150, "ns"), "");
	bench_row("2 threads, uniform over 100,000 cached blocks", scaling(c, 100000, 2000000),
		  at_least(1.8, "times 1 thread"), "");
	bench_row("2 threads, one hot block, in total", scaling(c, 1, 5000000),
		  at_least(1, "times 1 thread"), "");
	finish(c, e);
}

/* A quarter of the cache is hot: read once for each block that the scan reads. */
static void scan(void)
{
	const uint64_t nr_cache = 2048, nr_hot = nr_cache / 4, nr_scan = 10 * nr_cache;
	struct bufio_stats before, after;
	struct bufio_engine *e;
	struct bufio_client *c;
	uint64_t seed = 1;

	bench_must(bufio_engine_mem_create((nr_hot + nr_scan) * BENCH_BLOCK, 512, &e), "mem");
	c = bench_client(e, nr_cache);
	fill_cache(c, nr_hot);
	fill_cache(c, nr_hot);
	bufio_get_stats(c, &before);
	for (uint64_t i = 0; i < nr_scan; i++) {
		hit(c, nr_hot + i);
		hit(c, next_random(&seed) % nr_hot);
	}
	bufio_get_stats(c, &after);
	bench_row("hit rate of the hot set during a scan of 10 times the cache",
		  100.0 * (double)(after.hits - before.hits) / (double)nr_scan,
		  at_least(90, "percent"),
		  "hot: a quarter of the cache, one read per block scanned");
	finish(c, e);
}

void bench_cached(const char *path)
{
	hot_blocks(path);
	many_blocks();
	scan();
}
