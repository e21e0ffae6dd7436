/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bench.bufs: how fast things are, against targets and against peers in the same run. */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static unsigned nr_missed;

void bench_must(int r, const char *what)
{
	if (!r)
		return;
	fprintf(stderr, "bench.bufs: %s: %s\n", what, strerror(-r));
	exit(1);
}

/* Each row as it is had: a run that is stopped is not for nothing. */
void bench_row(const char *what, double measured, const char *unit, enum bench_sense sense,
	       double target, const char *note)
{
	bool met = sense == AT_MOST ? measured <= target : measured >= target;

	printf("| %s | %.4g %s | %s %.4g | %s | %s |\n", what, measured, unit,
	       sense == AT_MOST ? "at most" : "at least", target, met ? "met" : "**not met**",
	       note);
	fflush(stdout);
	nr_missed += !met;
}

void bench_skip(const char *what, const char *why)
{
	printf("| %s | - | - | not measured | %s |\n", what, why);
	fflush(stdout);
}

uint64_t bench_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint64_t bench_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint64_t bench_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(double *values, unsigned nr)
{
	qsort(values, nr, sizeof(*values), compare);
	return values[nr / 2];
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

/* Written, not only allocated: a device reads nothing for a hole. */
static void make_file(const char *path)
{
	size_t size = 1 << 20;
	char *data = malloc(size);
	uint64_t random = 88172645463325252;
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

	bench_must(fd < 0 ? -errno : 0, path);
	bench_must(data ? 0 : -ENOMEM, path);
	for (size_t i = 0; i < size; i += 8)
		memcpy(data + i, &(uint64_t){bench_random(&random)}, 8);
	for (uint64_t at = 0; at < BENCH_BYTES; at += size)
		bench_must(write(fd, data, size) == (ssize_t)size ? 0
			   : errno				  ? -errno
								  : -ENOSPC,
			   path);
	bench_must(fsync(fd) ? -errno : 0, path);
	close(fd);
	free(data);
}

static void print_machine(void)
{
	char line[256], model[256] = "unknown";
	FILE *f = fopen("/proc/cpuinfo", "re");
	struct utsname u;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "model name : %255[^\n]", model) == 1)
			break;
	if (f)
		fclose(f);
	uname(&u);
	printf("%ld CPUs (%s), Linux %s\n\n", sysconf(_SC_NPROCESSORS_ONLN), model, u.release);
	printf("| what | measured | target | | |\n|---|---|---|---|---|\n");
}

static int usage(void)
{
	fprintf(stderr, "usage: bench.bufs bufio [DIRECTORY]\n"
			"Measures libbufio.  DIRECTORY (/var/tmp) is on the device to be measured\n"
			"and has room for 1 GiB.  Ends with 1 if a target is missed.\n");
	return 2;
}

int main(int argc, char **argv)
{
	char path[4096];

	if (argc < 2 || argc > 3 || strcmp(argv[1], "bufio") != 0)
		return usage();
	if (snprintf(path, sizeof(path), "%s/bench.bufs.%ld", argc > 2 ? argv[2] : "/var/tmp",
		     (long)getpid()) >= (int)sizeof(path))
		return usage();
	print_machine();
	make_file(path);
	bench_cached(path);
	bench_device(path);
	unlink(path);
	return nr_missed ? 1 : 0;
}
