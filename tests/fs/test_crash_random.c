/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Long random programs on a small log, which wraps and fills, on devices that are nearly full, so that
 * freed blocks are soon used again; and with threads.  Cut everywhere.
 */
#include "crash_ops.h"

#include <stdio.h>
#include <stdlib.h>

#define NR_PROGRAMS 6
#define NR_OPS_EACH 60

/* CRASH_LONG: so many times as many programs. */
static unsigned how_long(void)
{
	const char *text = getenv("CRASH_LONG");
	unsigned n = text ? (unsigned)strtoul(text, NULL, 0) : 1;

	return n ? n : 1;
}

static void program(const char *name, uint64_t size, uint64_t seed)
{
	uint64_t random = seed;
	struct world w;

	world_init(&w, size, 128 << 10);
	populate(w.fs);
	world_begin(&w);
	w.nr_random = 1;
	w.recut_every = 1000;
	snprintf(w.name, sizeof(w.name), "%s, SEED=%llu", name, (unsigned long long)seed);
	for (unsigned n = 0; n < NR_OPS_EACH; n++) {
		uint64_t r = image_random(&random);
		unsigned how = (r >> 32) % 12;

		world_op(&w, (enum op)(r % NR_OPS), how < NR_PERSIST ? (enum persist)how : 0,
			 (char)('a' + n % 26));
	}
	world_finish(&w);
	printf("crash: %s: %llu images, %llu of recoveries\n", w.name,
	       (unsigned long long)w.nr_images, (unsigned long long)w.nr_recuts);
}

START_TEST(log_that_wraps)
{
	uint64_t seed = image_seed("log_that_wraps");

	for (unsigned n = 0; n < NR_PROGRAMS * how_long(); n++)
		program("log that wraps", 900 << 10, seed + n);
}
END_TEST

START_TEST(device_nearly_full)
{
	uint64_t seed = image_seed("device_nearly_full");

	for (unsigned n = 0; n < NR_PROGRAMS * how_long(); n++)
		program("device nearly full", 240 << 10, seed + n);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("random");
	TCase *const cases[] = {tc, NULL};

	tcase_add_test(tc, log_that_wraps);
	tcase_add_test(tc, device_nearly_full);
	return image_run("crash_random", cases);
}
