/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the device decides: misses, write-back, flushes. */
#include "bench.h"

#include <bufio_test_engine.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NR_PAIRS   5u /* against fio, of seconds each */
#define MOST_PAIRS 101u
#define DEPTH	   32u
#define NR_FILE	   (BENCH_BYTES / BENCH_BLOCK)

/* Ours and the peer's by turns, so that both meet the device in the same mood. */
struct pairs {
	double ours[MOST_PAIRS], theirs[MOST_PAIRS], ratio[MOST_PAIRS];
};

static void pairs_set(struct pairs *p, unsigned i, double ours, double theirs)
{
	p->ours[i] = ours;
	p->theirs[i] = theirs;
	p->ratio[i] = ours / theirs;
}

/* unit: of what both have measured; the target is for their ratio. */
static void pairs_row(const char *what, struct pairs *p, unsigned nr, struct bench_target target,
		      const char *unit)
{
	char note[120];

	snprintf(note, sizeof(note), "medians: %.4g and %.4g %s", median(p->ours, nr),
		 median(p->theirs, nr), unit);
	bench_row(what, median(p->ratio, nr), target, note);
}

static struct bufio_client *open_client(const char *path, uint64_t nr_buffers,
					struct bufio_engine **ret_engine)
{
	bench_must(bufio_engine_open(path, NULL, ret_engine), path);
	return bench_client(*ret_engine, nr_buffers);
}

static void finish(struct bufio_client *c, struct bufio_engine *e)
{
	bench_must(bufio_destroy(c), "bufio_destroy");
	bufio_engine_destroy(e);
}

static void read_one(struct bufio_client *c, uint64_t block)
{
	struct bufio_buffer *b;

	bench_must(bufio_read(c, block, &b), "bufio_read");
	bufio_release(b);
}

/* Random misses, DEPTH in flight. */

static void miss_window(struct bufio_client *c, uint64_t seconds_ns, uint64_t *seed)
{
	uint64_t window[DEPTH], start = now_ns();

	for (unsigned i = 0; i < DEPTH; i++) {
		window[i] = next_random(seed) % NR_FILE;
		bench_must(bufio_prefetch(c, window[i], 1), "bufio_prefetch");
	}
	for (unsigned i = 0; i % 256 || now_ns() - start < seconds_ns; i++) {
		uint64_t *w = &window[i % DEPTH];

		read_one(c, *w);
		*w = next_random(seed) % NR_FILE;
		bench_must(bufio_prefetch(c, *w, 1), "bufio_prefetch");
	}
}

static void misses_ours(const char *path, uint64_t *seed, struct fio_result *ret)
{
	struct bufio_engine *e;
	struct bufio_client *c = open_client(path, 2048, &e);
	struct bufio_stats stats;
	uint64_t ns = now_ns(), cpu = cpu_ns();

	miss_window(c, UINT64_C(2000000000), seed);
	ns = now_ns() - ns;
	cpu = cpu_ns() - cpu;
	bufio_get_stats(c, &stats);
	ret->ios_per_s = 1e9 * (double)stats.reads / (double)ns;
	ret->cpu_ns_per_io = (double)cpu / (double)stats.reads;
	finish(c, e);
}

static void misses(const char *path)
{
	struct pairs iops, cpu;
	struct fio_result ours, fio;
	uint64_t seed = 1;

	for (unsigned i = 0; i < NR_PAIRS; i++) {
		misses_ours(path, &seed, &ours);
		if (peer_fio(path, "--rw=randread --bs=4k --iodepth=32 --runtime=2 --time_based",
			     &fio)) {
			bench_skip("random 4 KiB misses, 32 in flight", "fio is not installed");
			return;
		}
		pairs_set(&iops, i, ours.ios_per_s, fio.ios_per_s);
		pairs_set(&cpu, i, ours.cpu_ns_per_io / 1e3, fio.cpu_ns_per_io / 1e3);
	}
	pairs_row("random 4 KiB misses, 32 in flight", &iops, NR_PAIRS, at_least(0.95, "of fio"),
		  "a second");
	pairs_row("the same, processor time per I/O", &cpu, NR_PAIRS, at_most(1.1, "of fio"), "us");
}

/* One miss at a time. */

static double pread_ns(int fd, void *data, unsigned nr, uint64_t *seed)
{
	uint64_t t = now_ns();

	for (unsigned i = 0; i < nr; i++) {
		off_t at = (off_t)(next_random(seed) % NR_FILE * BENCH_BLOCK);

		bench_must(pread(fd, data, BENCH_BLOCK, at) == BENCH_BLOCK ? 0 : -errno, "pread");
	}
	return (double)(now_ns() - t) / nr;
}

static double miss_ns(struct bufio_client *c, unsigned nr, uint64_t *seed)
{
	uint64_t t = now_ns();

	for (unsigned i = 0; i < nr; i++)
		read_one(c, next_random(seed) % NR_FILE);
	return (double)(now_ns() - t) / nr;
}

static void single_miss(const char *path)
{
	const unsigned nr = 100;
	struct pairs pairs;
	int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	struct bufio_engine *e;
	struct bufio_client *c;
	uint64_t seed = 2;
	double theirs;
	void *data = NULL;

	if (fd < 0) {
		bench_skip("single miss", "no O_DIRECT there");
		return;
	}
	bench_must(posix_memalign(&data, 4096, BENCH_BLOCK) ? -ENOMEM : 0, "memory");
	c = open_client(path, 64, &e);
	for (unsigned i = 0; i < MOST_PAIRS; i++) {
		theirs = pread_ns(fd, data, nr, &seed);
		pairs_set(&pairs, i, miss_ns(c, nr, &seed) / 1e3, theirs / 1e3);
	}
	pairs_row("single miss, latency", &pairs, MOST_PAIRS, at_most(1.1, "of pread, O_DIRECT"),
		  "us");
	finish(c, e);
	free(data);
	close(fd);
}

/* Write-back. */

static void dirty_one(struct bufio_client *c, uint64_t block)
{
	struct bufio_buffer *b;

	bench_must(bufio_new(c, block, &b), "bufio_new");
	memcpy(bufio_data(b), &block, sizeof(block));
	bufio_mark_dirty(b);
	bufio_release(b);
}

static void dirty_all_at_random(struct bufio_client *c)
{
	uint32_t *order = malloc(NR_FILE * sizeof(*order));
	uint64_t seed = 3;

	bench_must(order ? 0 : -ENOMEM, "memory");
	for (uint32_t i = 0; i < NR_FILE; i++) {
		uint32_t k = (uint32_t)(next_random(&seed) % (i + 1));

		order[i] = order[k];
		order[k] = i;
	}
	for (uint32_t i = 0; i < NR_FILE; i++)
		dirty_one(c, order[i]);
	free(order);
}

/* Returns bytes per second. */
static double write_back_ours(const char *path, double *ret_mean_kib)
{
	struct bufio_engine *e;
	struct bufio_client *c = open_client(path, NR_FILE + 1024, &e);
	struct bufio_stats stats;
	uint64_t ns;

	dirty_all_at_random(c);
	ns = now_ns();
	bench_must(bufio_write_dirty_buffers(c), "bufio_write_dirty_buffers");
	ns = now_ns() - ns;
	bufio_get_stats(c, &stats);
	*ret_mean_kib = (double)stats.written_blocks * BENCH_BLOCK / 1024 / (double)stats.writes;
	finish(c, e);
	return 1e9 * (double)BENCH_BYTES / (double)ns;
}

static void write_back(const char *path)
{
	struct fio_result fio = {0};
	double ours, mean_kib = 0;
	struct pairs pairs;
	bool peer = true;

	for (unsigned i = 0; i < NR_PAIRS && peer; i++) {
		ours = write_back_ours(path, &mean_kib);
		peer = !peer_fio(path, "--rw=write --bs=1M --iodepth=32 --end_fsync=1", &fio);
		pairs_set(&pairs, i, ours / (1 << 20), fio.bytes_per_s / (1 << 20));
	}
	if (peer)
		pairs_row("write-back of 1 GiB dirtied in random order", &pairs, NR_PAIRS,
			  at_least(0.9, "of fio, sequential 1 MiB"), "MiB/s");
	else
		bench_skip("write-back of 1 GiB dirtied in random order", "fio is not installed");
	bench_row("the same, mean write", mean_kib, at_least(512, "KiB"), "");
}

/* Flushes. */

static unsigned nr_out_of_order(struct bufio_engine *record)
{
	uint64_t last = 0;
	unsigned nr = 0;

	for (size_t i = 0; i < bufio_engine_record_count(record); i++) {
		const struct bufio_record_entry *e = bufio_engine_record_get(record, i);

		if (e->kind != BUFIO_RECORD_WRITE)
			continue;
		nr += e->offset_bytes < last;
		last = e->offset_bytes;
	}
	return nr;
}

static void scattered(void)
{
	struct bufio_engine *mem, *record;
	struct bufio_record_counts counts;
	struct bufio_client *c;
	uint64_t seed = 4;
	char note[80];

	bench_must(bufio_engine_mem_create(BENCH_BYTES, 512, &mem), "mem");
	bench_must(bufio_engine_record_create(mem, &record), "record");
	c = bench_client(record, 2048);
	for (unsigned i = 0; i < 1000; i++)
		dirty_one(c, next_random(&seed) % NR_FILE);
	bench_must(bufio_write_dirty_buffers(c), "bufio_write_dirty_buffers");
	bufio_engine_record_counts(record, &counts);
	snprintf(note, sizeof(note), "%llu writes", (unsigned long long)counts.writes);
	bench_row("flush of 1,000 scattered dirty blocks, device flushes", (double)counts.flushes,
		  at_most(1, ""), note);
	bench_row("the same, writes out of elevator order", nr_out_of_order(record), at_most(0, ""),
		  "");
	finish(c, record);
}

struct flusher {
	struct bufio_client *c;
	pthread_barrier_t *round;
	uint64_t block;
};

#define NR_ROUNDS   50
#define NR_FLUSHERS 8

static void *flusher_main(void *argument)
{
	struct flusher *f = argument;

	for (unsigned i = 0; i < NR_ROUNDS; i++) {
		dirty_one(f->c, f->block);
		pthread_barrier_wait(f->round);
		bench_must(bufio_write_dirty_buffers(f->c), "bufio_write_dirty_buffers");
		pthread_barrier_wait(f->round);
	}
	return NULL;
}

static void shared_flushes(const char *path)
{
	struct bufio_engine *e;
	struct bufio_client *c = open_client(path, 2048, &e);
	struct flusher flushers[NR_FLUSHERS];
	pthread_t threads[NR_FLUSHERS];
	struct bufio_stats stats;
	pthread_barrier_t round;

	pthread_barrier_init(&round, NULL, NR_FLUSHERS);
	for (unsigned i = 0; i < NR_FLUSHERS; i++) {
		flushers[i] = (struct flusher){c, &round, i * 1000};
		bench_must(-pthread_create(&threads[i], NULL, flusher_main, &flushers[i]),
			   "thread");
	}
	for (unsigned i = 0; i < NR_FLUSHERS; i++)
		pthread_join(threads[i], NULL);
	bufio_get_stats(c, &stats);
	bench_row("8 concurrent flushes, device flushes", (double)stats.flushes / NR_ROUNDS,
		  at_most(7, ""), "mean of 50 rounds");
	pthread_barrier_destroy(&round);
	finish(c, e);
}

/* Hits while another thread flushes without end. */

#define BUCKET_NS  20u
#define NR_BUCKETS 50000u

struct flood {
	struct bufio_client *c;
	atomic_bool stop;
	unsigned nr_flushes;
};

static void *flood_main(void *argument)
{
	struct flood *f = argument;
	uint64_t seed = 5;

	bench_pin_cpu(1);
	while (!atomic_load(&f->stop)) {
		for (unsigned i = 0; i < 1000; i++)
			dirty_one(f->c, 1000 + next_random(&seed) % 2000);
		bench_must(bufio_write_dirty_buffers(f->c), "bufio_write_dirty_buffers");
		f->nr_flushes++;
	}
	return NULL;
}

static void time_hits(struct bufio_client *c, unsigned *buckets, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++) {
		uint64_t t = now_ns(), at;

		read_one(c, i % 1000);
		at = (now_ns() - t) / BUCKET_NS;
		buckets[at < NR_BUCKETS ? at : NR_BUCKETS - 1]++;
	}
}

static void hits_during_flush(const char *path)
{
	unsigned *buckets = calloc(NR_BUCKETS, sizeof(*buckets));
	const unsigned nr = 10000000;
	struct bufio_engine *e;
	struct flood f = {.c = open_client(path, 8192, &e)};
	unsigned sum = 0, at = 0;
	pthread_t thread;
	char note[80];

	bench_must(buckets ? 0 : -ENOMEM, "memory");
	for (unsigned i = 0; i < 1000; i++)
		read_one(f.c, i);
	bench_must(-pthread_create(&thread, NULL, flood_main, &f), "thread");
	bench_pin_cpu(0);
	time_hits(f.c, buckets, nr);
	atomic_store(&f.stop, true);
	pthread_join(thread, NULL);
	while (sum < nr / 100 * 99)
		sum += buckets[at++];
	snprintf(note, sizeof(note), "clock included; %u flushes of 1,000 blocks meanwhile",
		 f.nr_flushes);
	bench_row("99th percentile of a hit while flushes run", at * BUCKET_NS / 1e3,
		  at_most(5, "us"), note);
	free(buckets);
	finish(f.c, e);
}

void bench_device(const char *path)
{
	misses(path);
	single_miss(path);
	write_back(path);
	scattered();
	shared_flushes(path);
	hits_during_flush(path);
}
