/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every operation alone and every ordered pair of them over a small namespace, with every way to
 * make it durable at every place, cut everywhere.  The bounded black-box method.
 */
#include "crash_ops.h"

#include <stdio.h>
#include <stdlib.h>

#define SIZE (1100u << 10)

static uint64_t nr_images, nr_recuts, nr_worlds;

static void begin(struct world *w)
{
	world_init(w, SIZE, 512 << 10);
	populate(w->fs);
	world_begin(w);
}

static void finish(struct world *w)
{
	world_finish(w);
	nr_images += w->nr_images;
	nr_recuts += w->nr_recuts;
	nr_worlds++;
}

/* How much: 1 in the ordinary run; CRASH_LONG=1 takes all. */
static bool takes(unsigned n, unsigned of)
{
	return getenv("CRASH_LONG") || n % of == 0;
}

START_TEST(every_operation_alone)
{
	for (unsigned how = 0; how < NR_PERSIST; how++) {
		struct world w;

		begin(&w);
		w.recut_every = 50;
		snprintf(w.name, sizeof(w.name), "%s, persist %u", op_names[_i], how);
		world_op(&w, (enum op)_i, 'x');
		world_persist(&w, (enum persist)how);
		finish(&w);
	}
	printf("crash: %llu images, %llu of them of recoveries, of %llu programs\n",
	       (unsigned long long)(nr_images + nr_recuts), (unsigned long long)nr_recuts,
	       (unsigned long long)nr_worlds);
}
END_TEST

START_TEST(every_pair)
{
	for (unsigned second = 0; second < NR_OPS; second++) {
		unsigned nr = NR_PERSIST * NR_PERSIST;

		for (unsigned how = 0; how < nr; how++) {
			struct world w;

			if (!takes((unsigned)_i * 7 + second * 3 + how, 12))
				continue;
			begin(&w);
			w.nr_random = 8;
			snprintf(w.name, sizeof(w.name), "%s, persist %u, %s, persist %u",
				 op_names[_i], how % NR_PERSIST, op_names[second],
				 how / NR_PERSIST);
			world_op(&w, (enum op)_i, 'x');
			world_persist(&w, (enum persist)(how % NR_PERSIST));
			world_op(&w, (enum op)second, 'y');
			world_persist(&w, (enum persist)(how / NR_PERSIST));
			finish(&w);
		}
	}
	printf("crash: %llu images of %llu programs\n", (unsigned long long)nr_images,
	       (unsigned long long)nr_worlds);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("pairs");
	TCase *const cases[] = {tc, NULL};

	tcase_add_loop_test(tc, every_operation_alone, 0, NR_OPS);
	tcase_add_loop_test(tc, every_pair, 0, NR_OPS);
	return image_run("crash_pairs", cases);
}
