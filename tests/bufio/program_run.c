/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Engines, threads, and what must be so when all are done. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "program.h"
#include "watch.h"

#define MOST_STEPS 2000 /* per thread: loops in loops end somewhere */

void program_fail(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "program: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	_exit(1);
}

static void must(int r, const char *what)
{
	if (r)
		program_fail("%s: %s", what, strerror(-r));
}

static void watch_fail(uint64_t block, const char *what)
{
	program_fail("block %llu: %s", (unsigned long long)block, what);
}

/* A device that swallows the writes of one block, and what is written with it. */
struct lie_engine {
	struct bufio_engine head;
	struct bufio_engine *inner;
	struct bufio_engine_ops ops;
	uint64_t at_bytes;
};

static int lie_transfer(struct bufio_engine *e, struct bufio_io *io)
{
	struct lie_engine *lie = (struct lie_engine *)e;

	if (io->op == BUFIO_OP_WRITE && io->offset_bytes <= lie->at_bytes &&
	    lie->at_bytes - io->offset_bytes < io->size_bytes)
		return 0;
	return lie->inner->ops->transfer(lie->inner, io);
}

static void lie_submit(struct bufio_engine *e, struct bufio_io *const *ios, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++)
		ios[i]->done(ios[i], lie_transfer(e, ios[i]));
}

static int lie_flush(struct bufio_engine *e)
{
	return 0;
}

static int lie_discard(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes)
{
	struct lie_engine *lie = (struct lie_engine *)e;

	return lie->inner->ops->discard(lie->inner, offset_bytes, size_bytes);
}

static int lie_zero(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes)
{
	struct lie_engine *lie = (struct lie_engine *)e;

	return lie->inner->ops->zero(lie->inner, offset_bytes, size_bytes);
}

static void lie_destroy(struct bufio_engine *e)
{
	struct lie_engine *lie = (struct lie_engine *)e;

	bufio_engine_destroy(lie->inner);
	free(lie);
}

static void add_lie(struct run *run)
{
	struct lie_engine *lie = calloc(1, sizeof(*lie));

	lie->head = *run->top;
	lie->inner = run->top;
	lie->ops = (struct bufio_engine_ops){.submit = lie_submit,
					     .transfer = lie_transfer,
					     .flush = lie_flush,
					     .discard = lie_discard,
					     .zero = lie_zero,
					     .destroy = lie_destroy};
	lie->head.ops = &lie->ops;
	lie->at_bytes = (run->p->lie - 1) * run->p->block_bytes;
	run->top = &lie->head;
}

static void make_engines(struct run *run)
{
	const struct program *p = run->p;

	must(bufio_engine_mem_create((uint64_t)NR_BLOCKS * p->block_bytes, 512, &run->mem), "mem");
	run->top = run->mem;
	if (p->engine == ON_REORDER)
		must(bufio_engine_mem_reorder(run->mem, p->seed), "reorder");
	if (p->lie && p->engine != ON_RECORD)
		add_lie(run);
	must(bufio_engine_fault_create(run->top, &run->fault), "fault");
	run->top = run->fault;
	if (p->engine == ON_RECORD) {
		must(bufio_engine_record_create(run->top, &run->record), "record");
		run->top = run->record;
	} else {
		must(watch_create(run->top, p->block_bytes, FIRST_EXTENT, watch_fail, &run->top),
		     "watch");
	}
}

static void make_client(struct run *run)
{
	struct bufio_options o;

	bufio_options_init(&o);
	o.block_bytes = run->p->block_bytes;
	o.limit_bytes = (size_t)run->p->nr_buffers * o.block_bytes;
	o.cache_bytes = o.limit_bytes - (run->p->seed % 3 ? 0 : o.limit_bytes / 4);
	o.dirty_age_ms = run->p->seed % 5 ? 5 : 0;
	must(bufio_create(run->top, &o, &run->client), "create");
}

static void make_cells(struct run *run)
{
	for (unsigned i = 0; i < NR_BLOCKS; i++) {
		pthread_rwlock_init(&run->cells[i].lock, NULL);
		pthread_mutex_init(&run->cells[i].holders_lock, NULL);
		run->cells[i].home = i;
	}
}

/* Does the instruction at pc jump, and where to? */
static unsigned next_pc(struct thread *t, const struct code *code, unsigned pc)
{
	const struct instruction *i = &code->at[pc];

	if (i->op != OP_LOOP)
		return pc + 1;
	if (!t->loops[pc])
		t->loops[pc] = i->arg + 1u;
	if (--t->loops[pc] == 0)
		return pc + 1;
	return i->block < pc ? pc - i->block : 0;
}

static void *thread_main(void *argument)
{
	struct thread *t = argument;
	const struct code *code = &t->run->p->code[t->number];

	for (unsigned pc = 0; pc < code->nr && t->steps < MOST_STEPS; t->steps++) {
		step_run(t, &code->at[pc]);
		pc = next_pc(t, code, pc);
	}
	step_put_all(t);
	return NULL;
}

static unsigned nr_slots(const struct program *p)
{
	unsigned nr = p->nr_buffers / p->nr_threads;

	return nr < PROGRAM_SLOTS ? nr : PROGRAM_SLOTS;
}

static void run_threads(struct run *run)
{
	struct thread *threads = calloc(PROGRAM_THREADS, sizeof(*threads));
	pthread_t ids[PROGRAM_THREADS];

	for (unsigned i = 0; i < run->p->nr_threads; i++) {
		threads[i].run = run;
		threads[i].number = i;
		threads[i].nr_slots = nr_slots(run->p);
		must(-pthread_create(&ids[i], NULL, thread_main, &threads[i]), "thread");
	}
	for (unsigned i = 0; i < run->p->nr_threads; i++)
		pthread_join(ids[i], NULL);
	free(threads);
}

/* With the device mended all gets there, whatever failed before. */
static void flush_at_end(struct run *run)
{
	int r;

	bufio_engine_fault_set(run->fault, NULL);
	r = bufio_write_dirty_buffers(run->client);
	if (r == -EIO && run->p->engine == ON_FAULT) {
		/* A flush failed after an eviction: that stays until it is acknowledged. */
		if (bufio_abandon(run->client))
			program_fail("abandon lost what a flush had written");
		r = bufio_write_dirty_buffers(run->client);
	}
	must(r, "last flush");
}

static void check_device(struct run *run)
{
	char *data = malloc(run->p->block_bytes);

	for (unsigned i = 0; i < NR_BLOCKS; i++) {
		const struct cell *cell = &run->cells[i];

		must(bufio_engine_mem_peek(run->mem, (uint64_t)i * run->p->block_bytes, data,
					   run->p->block_bytes),
		     "peek");
		if (i >= FIRST_ARENA && i < FIRST_OWN) {
			if (!content_is_whole(run, data))
				program_fail("at the end block %u of the arena is torn", i);
		} else if (!content_is(run, data, cell->stamp, cell->home)) {
			program_fail("at the end the device has an old block %u", i);
		}
	}
	free(data);
}

/* Nothing is cached after a drop: each block is a miss. */
static void check_dropped(struct run *run)
{
	struct bufio_stats before, after;
	struct bufio_buffer *b;

	must(bufio_drop_buffers(run->client), "drop");
	bufio_get_stats(run->client, &before);
	for (unsigned i = 0; i < NR_BLOCKS; i++) {
		must(bufio_read(run->client, i, &b), "read after drop");
		bufio_release(b);
	}
	bufio_get_stats(run->client, &after);
	if (before.nr_dirty || before.nr_held)
		program_fail("%llu dirty, %llu held after a drop",
			     (unsigned long long)before.nr_dirty,
			     (unsigned long long)before.nr_held);
	if (after.misses - before.misses != NR_BLOCKS)
		program_fail("something was still cached after a drop");
	if (after.peak_buffers > run->p->nr_buffers)
		program_fail("more buffers than allowed");
}

/* The arena begins with contents that can be told apart. */
static void fill_arena(struct run *run)
{
	struct bufio_buffer *b;

	for (unsigned i = FIRST_ARENA; i < FIRST_OWN; i++) {
		must(bufio_new(run->client, i, &b), "new");
		content_fill(run, bufio_data(b), ++run->last_stamp, i);
		bufio_mark_dirty(b);
		bufio_release(b);
	}
}

void program_run(const struct program *p)
{
	struct run *run = calloc(1, sizeof(*run));

	run->p = p;
	run->promises = calloc(MOST_PROMISES, sizeof(*run->promises));
	make_cells(run);
	make_engines(run);
	make_client(run);
	fill_arena(run);
	run_threads(run);
	flush_at_end(run);
	check_device(run);
	check_dropped(run);
	must(bufio_destroy(run->client), "destroy");
	if (run->record)
		program_check_crashes(run);
	bufio_engine_destroy(run->top);
	free(run->promises);
	free(run);
}
