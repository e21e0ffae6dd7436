/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random programs of writes so large that they go past the cache, on a device that has them late: cut, punched, zeroed,
 * written over, renamed over, removed and their blocks used again meanwhile.  Cut everywhere.
 *
 * Each program is run twice: first to see the tree after each step, then, with nobody looking, to be cut.
 */
#include "crash_ops.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "log.h"

#define NR_PROGRAMS 3
#define NR_STEPS    60u
#define LOG_BYTES   (256u << 10)
#define BLOCK	    1024u
#define NO_LACK	    (4u << 20) /* of space, on a device of so many bytes */

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
	static const char *const paths[] = {"/A/k", "/A/l", "/B/k"};

	return paths[draw(p, 3)];
}

static bool is_file(struct fs *fs, const char *path, uint64_t *ret_size)
{
	struct fs_attr a;
	uint64_t ino = path_ino(fs, path);

	if (!ino || fs_getattr(fs, ino, &a) < 0 || !S_ISREG(a.mode))
		return false;
	*ret_size = a.size;
	return true;
}

/* Where a file has blocks that begin at that of a page of memory, or at its end, wherever that is. */
static int write_much(struct program *p, const char *path, char fill)
{
	uint64_t size, at = draw(p, 30) * 4096ull;

	if (!is_file(p->w.fs, path, &size))
		return -ENOENT;
	if (draw(p, 4) == 0)
		at = draw(p, 2) ? size : (size + 4095) & ~4095ull;
	return do_write(p->w.fs, path, at, (64 + draw(p, 120)) * BLOCK + draw(p, 2) * 100, fill);
}

static int write_little(struct program *p, const char *path, char fill)
{
	uint64_t size;

	if (!is_file(p->w.fs, path, &size))
		return -ENOENT;
	return do_write(p->w.fs, path, draw(p, 2) ? size : draw(p, 150000), 1 + draw(p, 9000),
			fill);
}

static int fallocate_somewhere(struct program *p, const char *path)
{
	static const int modes[] = {0, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				    FALLOC_FL_ZERO_RANGE};

	return do_fallocate(p->w.fs, path, modes[draw(p, 4)], draw(p, 150000), 1 + draw(p, 90000));
}

static int draw_op(struct program *p, char fill)
{
	const char *path = draw_path(p);
	struct fs *fs = p->w.fs;

	switch (draw(p, 16)) {
	case 0:
	case 1:
		return do_make(fs, path, S_IFREG | 0644, NULL);
	case 2:
		return do_unlink(fs, path);
	case 3:
		return do_rename(fs, path, draw_path(p), 0);
	case 4:
		return do_rename(fs, path, draw_path(p), RENAME_EXCHANGE);
	case 5:
	case 6:
		return do_truncate(fs, path, draw(p, 3) ? draw(p, 150000) : 0);
	case 7:
	case 8:
		return fallocate_somewhere(p, path);
	case 9:
	case 10:
		return write_little(p, path, fill);
	default:
		return write_much(p, path, fill);
	}
}

static void draw_persist(struct program *p)
{
	unsigned how = draw(p, 8);

	if (how < 3)
		world_fsync(&p->w, draw_path(p), how == 0);
	if (how == 3)
		world_fsync(&p->w, draw(p, 2) ? "/A" : "/B", false);
	if (how != 4)
		return;
	ck_assert_int_eq(fs_sync(p->w.fs), 0);
	world_step(&p->w, true);
}

static void run(struct program *p, const char *name, uint64_t seed)
{
	struct world *w = &p->w;

	p->random = seed;
	ck_assert_int_eq(do_make(w->fs, "/A", S_IFDIR | 0755, NULL), 0);
	ck_assert_int_eq(do_make(w->fs, "/B", S_IFDIR | 0755, NULL), 0);
	world_begin(w);
	w->in_place = true;
	w->in_steps = w->mem->size_bytes < NO_LACK;
	w->nr_random = 4;
	w->recut_every = 500;
	snprintf(w->name, sizeof(w->name), "%s, SEED=%llu", name, (unsigned long long)seed);
	while (w->nr_steps < NR_STEPS) {
		if (draw_op(p, (char)('a' + w->nr_steps % 26)) < 0)
			continue;
		world_step(w, false);
		draw_persist(p);
	}
}

static void run_program(const char *name, uint64_t size, uint64_t seed)
{
	static struct program seen, late;

	world_init(&seen.w, size, LOG_BYTES);
	seen.w.forgets = seed % 3 == 0;
	run(&seen, name, seed);
	ck_assert_int_eq(fs_unmount(seen.w.fs), 0);
	world_init_late(&late.w, size, LOG_BYTES);
	late.w.like = &seen.w;
	late.w.forgets = seen.w.forgets;
	run(&late, name, seed);
	ck_assert_uint_eq(late.w.nr_steps, seen.w.nr_steps);
	world_finish(&late.w);
	world_free(&seen.w);
}

/* CRASH_LONG: so many times as many programs. */
static void run_programs(const char *name, uint64_t size)
{
	const char *text = getenv("CRASH_LONG");
	unsigned nr = NR_PROGRAMS * (text ? (unsigned)strtoul(text, NULL, 0) : 1) / crash_share();
	uint64_t seed = image_seed(name);

	nr = nr ? nr : 1;
	for (unsigned n = 0; n < nr; n++)
		run_program(name, size, seed + n);
	world_report(name);
}

START_TEST(large_writes_that_end_late)
{
	run_programs("large_writes_that_end_late", NO_LACK);
}
END_TEST

START_TEST(large_writes_on_a_device_nearly_full)
{
	run_programs("large_writes_on_a_device_nearly_full", 900 << 10);
}
END_TEST

/* Whatever is allocated from here on holds what was there before. */
static void fill_with_old_data(struct fs *fs)
{
	ck_assert_int_eq(do_make(fs, "/old", S_IFREG | 0600, NULL), 0);
	for (uint64_t at = 0; do_write(fs, "/old", at, 64 * BLOCK, 'o') == 0;)
		at += 64 * BLOCK;
	ck_assert_int_eq(fs_sync(fs), 0);
	ck_assert_int_eq(do_unlink(fs, "/old"), 0);
	ck_assert_int_eq(fs_sync(fs), 0);
}

/* Nobody syncs the file, but others' commits make its map durable. */
START_TEST(hole_that_is_filled_shows_nothing_old)
{
	static struct world w;

	world_init(&w, NO_LACK, LOG_BYTES);
	fill_with_old_data(w.fs);
	world_begin(&w);
	snprintf(w.name, sizeof(w.name), "hole_that_is_filled_shows_nothing_old");
	ck_assert_int_eq(do_make(w.fs, "/file", S_IFREG | 0644, NULL), 0);
	world_step(&w, false);
	ck_assert_int_eq(do_truncate(w.fs, "/file", 400 * BLOCK), 0);
	world_step(&w, false);
	ck_assert_int_eq(do_write(w.fs, "/file", 0, 300 * BLOCK, 'n'), 0);
	world_step(&w, false);
	ck_assert_int_eq(log_commit_open(w.fs->log), 0);
	world_finish(&w);
	world_report("hole filled");
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("behind");
	TCase *const cases[] = {tc, NULL};

	tcase_add_test(tc, large_writes_that_end_late);
	tcase_add_test(tc, large_writes_on_a_device_nearly_full);
	tcase_add_test(tc, hole_that_is_filled_shows_nothing_old);
	return image_run("crash_behind", cases);
}
