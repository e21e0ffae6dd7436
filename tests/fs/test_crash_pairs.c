/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every operation alone and every ordered pair of them over a small namespace, with every way to
 * make it durable at every place, and some of the triples, cut everywhere.  The bounded black-box method.
 * How a program begins is cut once, as the shorter program it is: a pair behind its first operation.
 */
#include "crash_ops.h"

#include <stdio.h>
#include <stdlib.h>

#define SIZE (1100u << 10)

/* One program in three forgets each inode at once. */
static void begin(struct world *w, unsigned number)
{
	world_init(w, SIZE, 512 << 10);
	w->forgets = number % 3 == 0;
	populate(w->fs);
	world_begin(w);
}

/* One in so many ways to persist a pair, or CRASH_SHARE times as many, unless CRASH_LONG takes all. */
#define EVERY 19u

static bool takes_all(void)
{
	return getenv("CRASH_LONG") != NULL;
}

static unsigned draw(uint64_t *random, unsigned below)
{
	return (unsigned)(image_random(random) >> 20) % below;
}

static void report(const char *name, int first)
{
	char text[80];

	snprintf(text, sizeof(text), "%s, %d of %d first operations", name, first + 1, NR_OPS);
	world_report(text);
}

static void run_single(enum op op, enum persist how)
{
	struct world w;

	begin(&w, (unsigned)op + (unsigned)how);
	w.recut_every = 50;
	snprintf(w.name, sizeof(w.name), "%s, persist %u", op_names[op], how);
	world_op(&w, op, 'x');
	if (how != PERSIST_NONE)
		w.cut_from = w.nr_steps;
	world_persist(&w, op, how);
	world_finish(&w);
}

/* CRASH_PART=K/N: every Nth first operation from the Kth on, so that N processors can share all pairs. */
static bool is_in_part(unsigned first)
{
	const char *text = getenv("CRASH_PART");
	unsigned k, n;

	if (!text)
		return true;
	ck_assert_msg(sscanf(text, "%u/%u", &k, &n) == 2 && k < n, "CRASH_PART=%s is not K/N",
		      text);
	return first % n == k;
}

START_TEST(every_operation_alone)
{
	if (!is_in_part((unsigned)_i))
		return;
	for (unsigned how = 0; how < NR_PERSIST; how++)
		if (persists_otherwise((enum op)_i, (enum persist)how))
			run_single((enum op)_i, (enum persist)how);
	report("single operations", _i);
}
END_TEST

/* how: the way to persist the first, and the second of those. */
static bool is_pair(enum op first, enum op second, unsigned how)
{
	return persists_otherwise(first, how % NR_PERSIST) &&
	       persists_otherwise(second, how / NR_PERSIST);
}

static void run_pair(enum op first, enum op second, unsigned how)
{
	enum persist persist[] = {how % NR_PERSIST, how / NR_PERSIST};
	struct world w;

	begin(&w, (unsigned)first + (unsigned)second + how);
	w.nr_random = 8;
	snprintf(w.name, sizeof(w.name), "%s, persist %u, %s, persist %u", op_names[first],
		 persist[0], op_names[second], persist[1]);
	world_op(&w, first, 'x');
	world_persist(&w, first, persist[0]);
	w.cut_from = w.nr_steps;
	world_op(&w, second, 'y');
	if (takes_all() && persist[1] != PERSIST_NONE)
		w.cut_from = w.nr_steps;
	world_persist(&w, second, persist[1]);
	world_finish(&w);
}

START_TEST(every_pair)
{
	unsigned every = EVERY * crash_share();

	if (!is_in_part((unsigned)_i))
		return;
	for (unsigned second = 0; second < NR_OPS; second++) {
		unsigned nr = (unsigned)_i * 7 + second * 3;

		for (unsigned how = 0; how < NR_PERSIST * NR_PERSIST; how++) {
			if (!is_pair((enum op)_i, (enum op)second, how))
				continue;
			/* there are 25 at least, so each pair is there where CRASH_SHARE is 1 */
			if (takes_all() || nr++ % every == 0)
				run_pair((enum op)_i, (enum op)second, how);
		}
	}
	report("pairs", _i);
}
END_TEST

static void run_triple(enum op first, uint64_t *random)
{
	const enum op ops[3] = {first, draw(random, NR_OPS), draw(random, NR_OPS)};
	unsigned how[3];
	struct world w;

	for (unsigned i = 0; i < 3; i++)
		how[i] = draw(random, NR_PERSIST);
	begin(&w, how[0]);
	w.nr_random = 4;
	w.recut_every = 500;
	snprintf(w.name, sizeof(w.name), "%s, persist %u, %s, persist %u, %s, persist %u",
		 op_names[ops[0]], how[0], op_names[ops[1]], how[1], op_names[ops[2]], how[2]);
	for (unsigned i = 0; i < 3; i++) {
		if (i == 1 || (i == 2 && takes_all()))
			w.cut_from = w.nr_steps;
		world_op(&w, ops[i], (char)('x' + i));
		world_persist(&w, ops[i], (enum persist)how[i]);
	}
	world_finish(&w);
}

/* CRASH_LONG: 25 times so many. */
START_TEST(some_triples)
{
	const char *text = getenv("CRASH_LONG");
	unsigned nr = text ? 25 * (unsigned)strtoul(text, NULL, 0) : crash_share() > 1 ? 1 : 3;
	uint64_t random = image_seed("some_triples") + (uint64_t)_i;

	if (!is_in_part((unsigned)_i))
		return;
	for (unsigned n = 0; n < nr; n++)
		run_triple((enum op)_i, &random);
	report("triples", _i);
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
