/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef BENCH_H
#define BENCH_H

/* Measuring against targets, and against peers in the same run. */
#include "measure.h"

#include <bufio.h>
#include <stdbool.h>
#include <stdint.h>

#define BENCH_BLOCK 4096u
#define BENCH_BYTES (UINT64_C(1) << 30) /* of the file on the device */

/* What a figure is to be. */
struct bench_target {
	bool at_least; /* else at most */
	double value;
	const char *unit;
};

static inline struct bench_target at_most(double value, const char *unit)
{
	return (struct bench_target){false, value, unit};
}

static inline struct bench_target at_least(double value, const char *unit)
{
	return (struct bench_target){true, value, unit};
}

/* bench_table.c.  One line of the table. */
void bench_row(const char *what, double measured, struct bench_target target, const char *note);
void bench_skip(const char *what, const char *why);

unsigned bench_nr_missed(void); /* targets, so far */

void bench_pin_cpu(unsigned cpu); /* the calling thread; a hint */

/* Ends the program with a message if r is an error. */
void bench_must(int r, const char *what);

/* A client of nr_buffers that writes nothing by itself. */
struct bufio_client *bench_client(struct bufio_engine *e, uint64_t nr_buffers);

/* bench_cached.c: what needs no device; path is for the peer. */
void bench_cached(const char *path);

/* bench_device.c.  path: a file of BENCH_BYTES, all written. */
void bench_device(const char *path);

/* bench_peer.c.  Each returns 0, or -ENOENT where the peer is not installed. */
struct fio_result {
	double ios_per_s, bytes_per_s, cpu_ns_per_io;
};
int peer_fio(const char *path, const char *options, struct fio_result *ret);
int peer_unix_io(const char *path, bool threads, double *ret_hit_ns); /* threads: with its locks */

#endif
