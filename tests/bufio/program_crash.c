/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* After any power cut: what was dirty before a flush that returned is there, or newer. */
#include <stdlib.h>
#include "crash.h"
#include "program.h"

static void add_promise(struct promise *sum, const struct promise *promise)
{
	for (unsigned i = 0; i < NR_SHARED; i++)
		if (promise->stamp[i] > sum->stamp[i])
			sum->stamp[i] = promise->stamp[i];
}

static void read_shared(struct bufio_engine *e, void *data, size_t size)
{
	struct iovec iov = {data, size};
	struct bufio_io io = {.op = BUFIO_OP_READ, .iov = &iov, .nr_iov = 1, .size_bytes = size};

	if (e->ops->transfer(e, &io))
		program_fail("cannot read the image");
}

static void check_image(struct run *run, struct crash *c, const struct promise *promise, char *data)
{
	unsigned block_bytes = run->p->block_bytes;

	read_shared(crash_image(c), data, (size_t)NR_SHARED * block_bytes);
	for (unsigned i = 0; i < NR_SHARED; i++) {
		if (content_is_since(run, data + i * block_bytes, promise->stamp[i], i))
			continue;
		crash_print(c, stderr);
		program_fail("after a power cut block %u is older than %llu", i,
			     (unsigned long long)promise->stamp[i]);
	}
}

void program_check_crashes(struct run *run)
{
	size_t block_bytes = run->p->block_bytes;
	struct crash_options o;
	struct promise promise = {0};
	struct bufio_engine *base;
	struct crash *c;
	void *data;

	crash_options_init(&o);
	o.most_exhaustive = 6;
	o.nr_random = 16;
	o.seed = run->p->seed;
	if (bufio_engine_mem_create(NR_BLOCKS * block_bytes, 512, &base) ||
	    posix_memalign(&data, 4096, NR_SHARED * block_bytes))
		abort();
	crash_create(run->record, base, &o, &c);
	while (crash_next_point(c)) {
		if (crash_mark(c))
			add_promise(&promise, &run->promises[crash_mark(c) - 1]);
		while (crash_next_image(c))
			check_image(run, c, &promise, data);
	}
	crash_destroy(c);
	free(data);
}
