/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Long random programs on a small log, which fills and wraps, and on devices that are nearly full, so that
 * freed blocks are soon used again.  Cut everywhere.
 */
#include "crash_ops.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define NR_PROGRAMS 4

struct program {
	struct world w;
	uint64_t random;
};

static unsigned draw(struct program *p, unsigned below)
{
	return (unsigned)(image_random(&p->random) >> 20) % below;
}

static const char *draw_path(struct program *p)
{
	static const char *const paths[] = {"/A/k", "/A/l", "/A/m", "/B/k", "/B/l", "/B/m"};

	return paths[draw(p, 6)];
}

static int write_somewhere(struct program *p, const char *path, char fill)
{
	static const size_t sizes[] = {100, 1500, 6000, 15000, 30000, 70000};
	struct fs_attr a = {.size = 0};
	uint64_t ino = path_ino(p->w.fs, path);

	if (!ino || fs_getattr(p->w.fs, ino, &a) < 0 || !S_ISREG(a.mode))
		return -ENOENT;
	p->w.in_place = true;
	return do_write(p->w.fs, path, draw(p, 3) ? a.size : draw(p, 20000), sizes[draw(p, 6)],
			fill);
}

static int fallocate_somewhere(struct program *p, const char *path)
{
	static const int modes[] = {0, FALLOC_FL_KEEP_SIZE,
				    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				    FALLOC_FL_ZERO_RANGE};

	return do_fallocate(p->w.fs, path, modes[draw(p, 4)], draw(p, 20000), 1 + draw(p, 9000));
}

static int draw_op(struct program *p, char fill)
{
	const char *path = draw_path(p);
	struct fs *fs = p->w.fs;

	switch (draw(p, 14)) {
	case 0:
	case 1:
		return do_make(fs, path, S_IFREG | 0644, NULL);
	case 2:
		return do_make(fs, path, S_IFDIR | 0755, NULL);
	case 3:
		return do_unlink(fs, path);
	case 4:
		return do_rmdir(fs, path);
	case 5:
		return do_rename(fs, path, draw_path(p), 0);
	case 6:
		return do_rename(fs, path, draw_path(p), RENAME_EXCHANGE);
	case 7:
		return do_link(fs, path, draw_path(p));
	case 8:
		return do_truncate(fs, path, draw(p, 3) ? draw(p, 9000) : 0);
	case 9:
	case 10:
		return fallocate_somewhere(p, path);
	default:
		return write_somewhere(p, path, fill);
	}
}

static void draw_persist(struct program *p)
{
	switch (draw(p, 8)) {
	case 0:
	case 1:
		world_fsync(&p->w, draw_path(p), false);
		break;
	case 2:
		world_fsync(&p->w, draw_path(p), true);
		break;
	case 3:
		world_fsync(&p->w, draw(p, 2) ? "/A" : "/B", false);
		break;
	case 4:
		ck_assert_int_eq(fs_sync(p->w.fs), 0);
		world_step(&p->w, true);
		break;
	default:
		break;
	}
}

/* Returns how often the log was emptied while the program ran. */
static unsigned run_program(const char *name, uint64_t size, uint64_t seed)
{
	struct program p = {.random = seed};
	struct world *w = &p.w;

	world_init(w, size, 256 << 10);
	w->forgets = seed % 3 == 0;
	ck_assert_int_eq(do_make(w->fs, "/A", S_IFDIR | 0755, NULL), 0);
	ck_assert_int_eq(do_make(w->fs, "/B", S_IFDIR | 0755, NULL), 0);
	world_begin(w);
	w->nr_random = 1;
	w->recut_every = 1000;
	snprintf(w->name, sizeof(w->name), "%s, SEED=%llu", name, (unsigned long long)seed);
	while (w->nr_steps + 2 < WORLD_MAX_STEPS) {
		if (draw_op(&p, (char)('a' + w->nr_steps % 26)) < 0)
			continue;
		world_step(w, false);
		draw_persist(&p);
	}
	world_finish(w);
	return w->nr_checkpoints;
}

/* CRASH_LONG: so many times as many programs. */
static void run_programs(const char *name, uint64_t size)
{
	const char *text = getenv("CRASH_LONG");
	unsigned nr = NR_PROGRAMS * (text ? (unsigned)strtoul(text, NULL, 0) : 1) / crash_share();
	uint64_t seed = image_seed(name);
	unsigned nr_checkpoints = 0;

	nr = nr ? nr : 1;
	for (unsigned n = 0; n < nr; n++)
		nr_checkpoints += run_program(name, size, seed + n);
	world_report(name);
	/* else it did not test what it is for */
	ck_assert_uint_ge(nr_checkpoints, nr);
}

START_TEST(log_that_wraps)
{
	run_programs("log_that_wraps", 1000 << 10);
}
END_TEST

START_TEST(device_nearly_full)
{
	run_programs("device_nearly_full", 384 << 10);
}
END_TEST

/* In this one a write waited between its two parts for blocks that had been freed, so the first was committed alone. */
START_TEST(a_write_that_needs_what_was_just_freed_is_whole)
{
	run_program("what was just freed", 384 << 10, 1796085796);
	world_report("what was just freed");
}
END_TEST

/* In this one fallocate did. */
START_TEST(a_range_that_needs_what_was_just_freed_is_whole)
{
	run_program("a range of what was just freed", 384 << 10, 1796086830);
	world_report("a range of what was just freed");
}
END_TEST

/* Its data is in the log only, the log is emptied, and then the removal is lost: it must be whole. */
START_TEST(a_file_removed_while_the_log_is_emptied_may_come_back)
{
	struct world w;

	world_init(&w, 1000 << 10, 256 << 10);
	world_begin(&w);
	snprintf(w.name, sizeof(w.name), "removed while the log is emptied");
	for (unsigned n = 0; n < 50; n++) {
		ck_assert_int_eq(do_make(w.fs, "/file", S_IFREG | 0644, NULL), 0);
		world_step(&w, false);
		ck_assert_int_eq(do_write(w.fs, "/file", 0, 2000 + n * 300 % 4000, (char)('A' + n)),
				 0);
		world_step(&w, false);
		world_fsync(&w, "/file", false);
		ck_assert_int_eq(do_unlink(w.fs, "/file"), 0);
		world_step(&w, false);
		ck_assert_int_eq(do_make(w.fs, "/other", S_IFREG | 0644, NULL), 0);
		world_step(&w, false);
		ck_assert_int_eq(do_write(w.fs, "/other", 0, 15000, (char)('a' + n)), 0);
		world_step(&w, false);
		world_fsync(&w, "/other", false);
		ck_assert_int_eq(do_unlink(w.fs, "/other"), 0);
		world_step(&w, false);
	}
	ck_assert_uint_ge(w.nr_checkpoints, 3);
	world_finish(&w);
	world_report(w.name);
}
END_TEST

/* The only free blocks are those of a file that was just removed: a crash may bring it back. */
START_TEST(freed_blocks_are_not_used_before_that_is_durable)
{
	struct world w;

	world_init(&w, 384 << 10, 256 << 10);
	ck_assert_int_eq(do_make(w.fs, "/old", S_IFREG | 0644, NULL), 0);
	ck_assert_int_eq(do_make(w.fs, "/new", S_IFREG | 0644, NULL), 0);
	ck_assert_int_eq(do_make(w.fs, "/rest", S_IFREG | 0644, NULL), 0);
	ck_assert_int_eq(do_write(w.fs, "/old", 0, 30000, 'o'), 0);
	ck_assert_int_eq(do_write(w.fs, "/rest", 0, 1 << 20, 'r'), 0);
	ck_assert_int_eq(do_write(w.fs, "/rest", 1 << 20, 1024, 'r'), -ENOSPC);
	world_begin(&w);
	snprintf(w.name, sizeof(w.name), "freed blocks");
	ck_assert_int_eq(do_unlink(w.fs, "/old"), 0);
	world_step(&w, false);
	w.in_place = true; /* may be in several transactions */
	ck_assert_int_eq(do_write(w.fs, "/new", 0, 28000, 'n'), 0);
	world_step(&w, false);
	world_fsync(&w, "/new", false);
	world_finish(&w);
	world_report(w.name);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("random");
	TCase *const cases[] = {tc, NULL};

	tcase_add_test(tc, log_that_wraps);
	tcase_add_test(tc, device_nearly_full);
	tcase_add_test(tc, a_write_that_needs_what_was_just_freed_is_whole);
	tcase_add_test(tc, a_range_that_needs_what_was_just_freed_is_whole);
	tcase_add_test(tc, a_file_removed_while_the_log_is_emptied_may_come_back);
	tcase_add_test(tc, freed_blocks_are_not_used_before_that_is_durable);
	return image_run("crash_random", cases);
}
