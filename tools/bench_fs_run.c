/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the workloads share: threads, and how their rates are told. */
#include "bench_fs.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void fail(const char *what)
{
	fprintf(stderr, "bench_fs.bufs: %s: %s\n", what, strerror(errno));
	exit(1);
}

void must(bool good, const char *what)
{
	if (!good)
		fail(what);
}

void print_rate(const char *metric, double nr, uint64_t ns)
{
	printf("%s %.6g\n", metric, nr * NS_PER_S / (double)ns);
}

void print_threads_rate(const char *metric, unsigned nr_threads, double nr, uint64_t ns)
{
	char name[64];

	snprintf(name, sizeof(name), "%s_%u", metric, nr_threads);
	print_rate(name, nr, ns);
}

struct worker {
	part *f;
	unsigned thread;
	uint64_t amount, done;
	pthread_barrier_t *start;
};

static void *worker_main(void *argument)
{
	struct worker *w = argument;

	pthread_barrier_wait(w->start);
	w->done = w->f(w->thread, w->amount);
	return NULL;
}

uint64_t run_threads(part *f, unsigned nr_threads, uint64_t amount, uint64_t *ret_ns)
{
	struct worker workers[MAX_THREADS];
	pthread_t threads[MAX_THREADS];
	pthread_barrier_t start;
	uint64_t done = 0;

	pthread_barrier_init(&start, NULL, nr_threads + 1);
	for (unsigned i = 0; i < nr_threads; i++) {
		workers[i] = (struct worker){f, i, amount, 0, &start};
		errno = pthread_create(&threads[i], NULL, worker_main, &workers[i]);
		must(!errno, "thread");
	}
	/* before they begin: whoever comes first may keep us from running for a while */
	*ret_ns = now_ns();
	pthread_barrier_wait(&start);
	for (unsigned i = 0; i < nr_threads; i++) {
		pthread_join(threads[i], NULL);
		done += workers[i].done;
	}
	*ret_ns = now_ns() - *ret_ns;
	pthread_barrier_destroy(&start);
	return done;
}
