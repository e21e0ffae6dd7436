/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table that bench.bufs prints, and what its parts share. */
#include "bench.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned nr_missed;

void bench_must(int r, const char *what)
{
	if (!r)
		return;
	fprintf(stderr, "bench.bufs: %s: %s\n", what, strerror(-r));
	exit(1);
}

/* Each row as it is had: a run that is stopped is not for nothing. */
void bench_row(const char *what, double measured, struct bench_target target, const char *note)
{
	bool met = target.at_least ? measured >= target.value : measured <= target.value;

	printf("| %s | %.4g %s | %s %.4g | %s | %s |\n", what, measured, target.unit,
	       target.at_least ? "at least" : "at most", target.value, met ? "met" : "**not met**",
	       note);
	fflush(stdout);
	nr_missed += !met;
}

void bench_skip(const char *what, const char *why)
{
	printf("| %s | - | - | not measured | %s |\n", what, why);
	fflush(stdout);
}

unsigned bench_nr_missed(void)
{
	return nr_missed;
}

void bench_pin_cpu(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

struct bufio_client *bench_client(struct bufio_engine *e, uint64_t nr_buffers)
{
	struct bufio_client *c;
	struct bufio_options o;

	bufio_options_init(&o);
	o.cache_bytes = o.limit_bytes = nr_buffers * BENCH_BLOCK;
	o.dirty_background_percent = 100;
	o.dirty_age_ms = 0;
	bench_must(bufio_create(e, &o, &c), "bufio_create");
	return c;
}
