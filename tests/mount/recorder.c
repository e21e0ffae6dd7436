/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What makes bufs a bufs that records: linked around its calls to open and destroy the device.
 *
 * BUFS_RECORD is the path of what it leaves behind: .log with all writes and flushes when it has ended, and
 * before that two FIFOs that the test has made.  Who writes a line with a number to .marks and then reads a line from
 * .marked has that mark in the log, behind all that was complete when he wrote and before all he does next.
 */
#include <bufio_test_engine.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "record_file.h"

int __real_bufio_engine_open(const char *path, const struct bufio_engine_options *o,
			     struct bufio_engine **ret_engine);
int __wrap_bufio_engine_open(const char *path, const struct bufio_engine_options *o,
			     struct bufio_engine **ret_engine);
void __real_bufio_engine_destroy(struct bufio_engine *e);
void __wrap_bufio_engine_destroy(struct bufio_engine *e);

static struct bufio_engine *record;

static FILE *open_part(const char *suffix, const char *mode)
{
	const char *path = getenv("BUFS_RECORD");
	char part[4096];
	FILE *f;

	snprintf(part, sizeof(part), "%s%s", path ? path : "", suffix);
	f = fopen(part, mode);
	if (!f) {
		fprintf(stderr, "recorder: %s: %m\n", part);
		exit(1);
	}
	return f;
}

static void *take_marks(void *context)
{
	unsigned long long value;
	FILE *f;

	for (;;) {
		f = open_part(".marks", "re");
		while (fscanf(f, "%llu", &value) == 1)
			if (bufio_engine_record_mark(record, value) < 0)
				abort();
		fclose(f);
		f = open_part(".marked", "we");
		fprintf(f, "marked\n");
		fclose(f);
	}
	return NULL;
}

int __wrap_bufio_engine_open(const char *path, const struct bufio_engine_options *o,
			     struct bufio_engine **ret_engine)
{
	struct bufio_engine *inner;
	pthread_t thread;
	int r;

	r = __real_bufio_engine_open(path, o, &inner);
	if (r < 0)
		return r;
	r = bufio_engine_record_create(inner, &record);
	if (r == 0)
		r = -pthread_create(&thread, NULL, take_marks, NULL);
	if (r < 0)
		exit(1);
	*ret_engine = record;
	return 0;
}

void __wrap_bufio_engine_destroy(struct bufio_engine *e)
{
	if (e && e == record) {
		FILE *f = open_part(".log", "we");
		int r = record_save(e, f);

		if (fclose(f) || r < 0)
			exit(1);
	}
	__real_bufio_engine_destroy(e);
}
