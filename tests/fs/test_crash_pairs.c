/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every operation alone and every ordered pair of them over a small namespace, with every way to
 * make it durable at every place, and some of the triples, cut everywhere.  The bounded black-box method.
 */
#include "crash_ops.h"

#include <stdio.h>
#include <stdlib.h>

#define SIZE (1100u << 10)

static void begin(struct world *w)
{
	world_init(w, SIZE, 512 << 10);
	populate(w->fs);
	world_begin(w);
}

/* How much: 1 in the ordinary run; CRASH_LONG=1 takes all. */
static bool takes(unsigned n, unsigned of)
{
	return getenv("CRASH_LONG") || n % of == 0;
}

static unsigned draw(uint64_t *random, unsigned below)
{
	return (unsigned)(image_random(random) >> 20) % below;
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
		world_finish(&w);
	}
	world_report("single operations");
}
END_TEST

START_TEST(every_pair)
{
	for (unsigned second = 0; second < NR_OPS; second++) {
		unsigned nr = NR_PERSIST * NR_PERSIST;

		for (unsigned how = 0; how < nr; how++) {
			struct world w;

			/* each pair once at least */
			if (!takes((unsigned)_i * 7 + second * 3 + how, 24))
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
			world_finish(&w);
		}
	}
	world_report("pairs");
}
END_TEST

static void run_triple(enum op first, uint64_t *random)
{
	const enum op ops[3] = {first, draw(random, NR_OPS), draw(random, NR_OPS)};
	unsigned how[3];
	struct world w;

	for (unsigned i = 0; i < 3; i++)
		how[i] = draw(random, NR_PERSIST);
	begin(&w);
	w.nr_random = 4;
	w.recut_every = 500;
	snprintf(w.name, sizeof(w.name), "%s, persist %u, %s, persist %u, %s, persist %u",
		 op_names[ops[0]], how[0], op_names[ops[1]], how[1], op_names[ops[2]], how[2]);
	for (unsigned i = 0; i < 3; i++) {
		world_op(&w, ops[i], (char)('x' + i));
		world_persist(&w, (enum persist)how[i]);
	}
	world_finish(&w);
}

/* CRASH_LONG: 25 times so many. */
START_TEST(some_triples)
{
	const char *text = getenv("CRASH_LONG");
	unsigned nr = text ? 25 * (unsigned)strtoul(text, NULL, 0) : 3;
	uint64_t random = image_seed("some_triples") + (uint64_t)_i;

	for (unsigned n = 0; n < nr; n++)
		run_triple((enum op)_i, &random);
	world_report("triples");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("pairs");
	TCase *const cases[] = {tc, NULL};

	tcase_add_loop_test(tc, every_operation_alone, 0, NR_OPS);
	tcase_add_loop_test(tc, every_pair, 0, NR_OPS);
	tcase_add_loop_test(tc, some_triples, 0, NR_OPS);
	return image_run("crash_pairs", cases);
}
