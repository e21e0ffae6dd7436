/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef BENCH_FS_H
#define BENCH_FS_H

/*
 * Workloads for tools/bench_fs.sh, run in the current directory.  Each prints lines "metric value", the value
 * being operations or MiB a second.  They know nothing of the filesystem they run on.
 */
#include "measure.h"

#include <stdbool.h>

#define MAX_THREADS 64u

/* bench_fs_run.c.  Ends the program with a message. */
_Noreturn void fail(const char *what);
void must(bool good, const char *what);

void print_rate(const char *metric, double nr, uint64_t ns);
/* The same, the metric's name being that of a workload by so many threads. */
void print_threads_rate(const char *metric, unsigned nr_threads, double nr, uint64_t ns);

/*
 * Threads that all begin at once.  Each does its part of the work and returns how many operations that was; what all did
 * is returned, and how long it took them.
 */
typedef uint64_t part(unsigned thread, uint64_t amount);
uint64_t run_threads(part *f, unsigned nr_threads, uint64_t amount, uint64_t *ret_ns);

/* bench_fs_data.c.  ms: how long to go on. */
void bench_append(unsigned nr_threads, uint64_t ms);
void bench_replace(unsigned nr_threads, uint64_t ms);
void bench_overwrite(unsigned nr_threads, uint64_t ms);
void bench_write(uint64_t mib); /* a file "large", one MiB at a time, and fsync */
void bench_read(uint64_t mib);	/* all of it */
void bench_random_read(unsigned nr_threads, uint64_t ms); /* of it */
void bench_random_write(uint64_t nr);			  /* to it, and fsync */

/* bench_fs_names.c.  nr files in all, each thread in a directory of its own. */
void bench_names(unsigned nr_threads, uint64_t nr);
void bench_make_small(uint64_t nr); /* without measuring */
void bench_list(void);
void bench_read_small(uint64_t nr);
void bench_one_directory(uint64_t nr);
void bench_make_many(uint64_t nr); /* empty ones, 1,000 to a directory; without measuring */
void bench_make_tree(
	uint64_t nr); /* folders and files as in a source tree, of 30 KiB in the mean */

/* bench_fs_sql.c */
void bench_sql(uint64_t ms);

#endif
