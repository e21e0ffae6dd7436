/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Drawing programs, printing them, and making a failing one short. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "engine_fixture.h"
#include "program.h"

#define RUN_SECONDS  30	 /* then it hangs */
#define RUNS_THREADS 10	 /* a program of threads passes if it does so often */
#define MOST_TRIES   400 /* of the shrinking */

static const struct {
	const char *name;
	unsigned weight;
} ops[NR_OPS] = {
	[OP_NEW] = {"NEW", 12},	       [OP_LEAVE] = {"LEAVE", 3},     [OP_READ] = {"READ", 25},
	[OP_GET] = {"GET", 6},	       [OP_PUT] = {"PUT", 12},	      [OP_DIRTY] = {"DIRTY", 16},
	[OP_FLUSH] = {"FLUSH", 2},     [OP_RANGE] = {"RANGE", 2},     [OP_FORGET] = {"FORGET", 6},
	[OP_MOVE] = {"MOVE", 4},       [OP_CROSS] = {"CROSS", 4},     [OP_AHEAD] = {"AHEAD", 4},
	[OP_XREAD] = {"XREAD", 2},     [OP_XWRITE] = {"XWRITE", 2},   [OP_FAULT] = {"FAULT", 1},
	[OP_PARTIAL] = {"PARTIAL", 6}, [OP_BYTES] = {"BYTES", 3},     [OP_ZERO] = {"ZERO", 2},
	[OP_DISCARD] = {"DISCARD", 2}, [OP_ABANDON] = {"ABANDON", 1}, [OP_RESIZE] = {"RESIZE", 2},
	[OP_LOOP] = {"LOOP", 4},       [OP_VERIFY] = {"VERIFY", 4},
};

static enum op draw_op(struct draw *d, const struct program *p)
{
	unsigned sum = 0, at;

	for (unsigned i = 0; i < NR_OPS; i++)
		sum += ops[i].weight;
	for (;;) {
		unsigned i;

		at = draw_below(d, sum);
		for (i = 0; at >= ops[i].weight; i++)
			at -= ops[i].weight;
		if (i != OP_FAULT || p->engine == ON_FAULT)
			return (enum op)i;
	}
}

static unsigned own(unsigned thread, unsigned i)
{
	return FIRST_OWN + thread * NR_OWN + i % NR_OWN;
}

static void draw_instruction(struct draw *d, const struct program *p, unsigned thread,
			     struct instruction *i)
{
	unsigned own_block = own(thread, draw_below(d, NR_OWN));
	unsigned hot = draw_below(d, 2) ? NR_SHARED : 8;

	*i = (struct instruction){.op = draw_op(d, p),
				  .slot = (uint16_t)draw_below(d, PROGRAM_SLOTS),
				  .arg = (uint16_t)draw_below(d, 64)};
	i->block = (uint16_t)(draw_below(d, 4) ? draw_below(d, hot) : own_block);
	if (i->op == OP_LEAVE || i->op == OP_MOVE || (i->op >= OP_BYTES && i->op <= OP_ABANDON))
		i->block = (uint16_t)own_block;
	if (i->op == OP_CROSS)
		i->block = (uint16_t)(FIRST_ARENA + draw_below(d, NR_ARENA));
	if (i->op == OP_XREAD || i->op == OP_XWRITE)
		i->block = (uint16_t)(FIRST_EXTENT + draw_below(d, NR_SHARED - FIRST_EXTENT));
	if (i->op == OP_LOOP) {
		i->block = (uint16_t)(1 + draw_below(d, 8));
		i->arg = (uint16_t)(1 + draw_below(d, 3));
	}
}

void program_make(struct program *p, uint64_t seed, unsigned length)
{
	struct draw d = {seed};

	p->seed = seed;
	for (unsigned t = 0; t < p->nr_threads; t++) {
		p->code[t].nr = length;
		for (unsigned i = 0; i < length; i++)
			draw_instruction(&d, p, t, &p->code[t].at[i]);
	}
}

unsigned program_length(const struct program *p)
{
	unsigned nr = 0;

	for (unsigned t = 0; t < p->nr_threads; t++)
		nr += p->code[t].nr;
	return nr;
}

void program_print(const struct program *p, FILE *f)
{
	static const char *const engines[] = {"mem", "reorder", "fault", "record"};

	fprintf(f, "seed %llu, %u threads, %u buffers of %u bytes, on %s\n",
		(unsigned long long)p->seed, p->nr_threads, p->nr_buffers, p->block_bytes,
		engines[p->engine]);
	for (unsigned t = 0; t < p->nr_threads; t++) {
		if (p->code[t].nr)
			fprintf(f, "thread %u:\n", t);
		for (unsigned i = 0; i < p->code[t].nr; i++) {
			const struct instruction *x = &p->code[t].at[i];

			fprintf(f, "\t%-6s slot %u block %u arg %u\n", ops[x->op].name, x->slot,
				x->block, x->arg);
		}
	}
}

static bool passes_once(const struct program *p)
{
	pid_t pid;
	int status;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		abort();
	if (!pid) {
		signal(SIGALRM, SIG_DFL); /* Check's handler kills everybody */
		alarm(RUN_SECONDS);
		program_run(p);
		exit(0);
	}
	if (waitpid(pid, &status, 0) != pid)
		abort();
	if (WIFSIGNALED(status))
		fprintf(stderr, "program: %s\n",
			WTERMSIG(status) == SIGALRM ? "hangs" : strsignal(WTERMSIG(status)));
	return status == 0;
}

bool program_passes(const struct program *p)
{
	return passes_once(p);
}

/* Shrinking. */

struct shrinking {
	struct program *p;    /* fails */
	struct program *next; /* to be tried */
	unsigned nr_tries;
};

static bool still_fails(struct shrinking *s)
{
	unsigned runs = s->next->nr_threads > 1 ? RUNS_THREADS : 1;
	bool passed = true;

	if (s->nr_tries++ >= MOST_TRIES)
		return false;
	while (passed && runs--)
		passed = passes_once(s->next);
	if (!passed)
		*s->p = *s->next;
	return !passed;
}

static bool try_without(struct shrinking *s, unsigned thread, unsigned at, unsigned nr)
{
	struct code *code = &s->next->code[thread];

	*s->next = *s->p;
	memmove(&code->at[at], &code->at[at + nr], (code->nr - at - nr) * sizeof(code->at[0]));
	code->nr -= nr;
	return still_fails(s);
}

static bool shrink_thread(struct shrinking *s, unsigned thread)
{
	const struct code *code = &s->p->code[thread];
	bool any = false;

	for (unsigned nr = code->nr; nr; nr /= 2)
		for (unsigned at = 0; at + nr <= code->nr;)
			if (try_without(s, thread, at, nr))
				any = true;
			else
				at += nr;
	return any;
}

void program_shrink(struct program *p)
{
	struct shrinking s = {.p = p, .next = malloc(sizeof(*p))};
	bool any;

	if (!s.next)
		abort();
	do {
		any = false;
		for (unsigned t = 0; t < p->nr_threads; t++)
			any |= shrink_thread(&s, t);
		while (p->nr_threads > 1 && !p->code[p->nr_threads - 1].nr) {
			*s.next = *p;
			s.next->nr_threads--;
			if (!still_fails(&s))
				break;
		}
	} while (any && s.nr_tries < MOST_TRIES);
	free(s.next);
}
