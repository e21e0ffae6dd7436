/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See crash_fs.h. */
#include "crash_fs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fsck.h"
#include "late.h"
#include "log.h"
#include "open.h"
#include "snapshot.h"
#include "super.h"

#define BLOCK_BYTES 1024u
#define SECTOR	    SNAPSHOT_SECTOR
#define LOOK_EVERY  4u /* one in so many images is mounted read-only, too */

static bool same_names(const struct snapshot *a, const struct snapshot *b)
{
	if (a->nr != b->nr)
		return false;
	for (size_t i = 0; i < a->nr; i++) {
		if (strcmp(a->files[i].path, b->files[i].path) != 0 ||
		    strcmp(a->files[i].line, b->files[i].line) != 0)
			return false;
	}
	return true;
}

/*
 * A write of a file's end may take several transactions when space is short: until the last of them is durable
 * the file may have any size in between.  f was found; new is what step k left.
 */
static bool size_fits(const struct world *w, const struct snapshot_file *f,
		      const struct snapshot_file *new, unsigned k)
{
	const struct snapshot_file *old = k ? snapshot_find(w->steps[k - 1], new->ino) : NULL;

	if (f->size == new->size)
		return true;
	return w->in_place && old && f->size >= old->size && f->size < new->size;
}

/* So may a range that is preallocated, or has its blocks taken. */
static bool blocks_fit(const struct world *w, const struct snapshot_file *f,
		       const struct snapshot_file *new, unsigned k)
{
	const struct snapshot_file *old = k ? snapshot_find(w->steps[k - 1], new->ino) : NULL;

	if (f->blocks == new->blocks)
		return true;
	return w->in_steps && old && (f->blocks >= old->blocks) == (f->blocks < new->blocks);
}

static size_t sector_size(const struct snapshot_file *f, uint64_t at)
{
	return f->size - at < SECTOR ? f->size - at : SECTOR;
}

/* The first step whose version of the inode may be found at this mark. */
static unsigned synced_step(const struct world *w, uint64_t ino, unsigned mark)
{
	unsigned step = w->durable[mark];

	for (unsigned i = 0; i < w->nr_synced; i++) {
		const struct synced *s = &w->synced[i];

		if (s->ino == ino && s->step <= mark && s->step > step)
			step = s->step;
	}
	return step;
}

/* Was it synced: a name of the inode, or one in it, where it is a directory? */
static bool is_of_synced(const struct snapshot_file *f, const struct synced *s)
{
	return f->ino == s->ino || f->parent == s->ino;
}

/* In which directory it is, not by which way that is found: a directory further up may have moved since. */
static bool same_entry(const struct world *w, const struct snapshot_file *a,
		       const struct snapshot_file *b, const struct synced *s)
{
	bool same_name = a->parent == b->parent && !strcmp(a->name, b->name);

	if (a->ino != b->ino || a->ino != s->ino)
		return a->ino == b->ino && same_name;
	/* what is overwritten in place may be durable before all that was done until then: same_data() */
	if (a->size != b->size ||
	    (!w->in_place && a->size && memcmp(a->data, b->data, a->size) != 0))
		return false;
	return same_name && !strcmp(a->line, b->line);
}

static bool has_entry(const struct world *w, const struct snapshot *x,
		      const struct snapshot_file *f, const struct synced *s)
{
	for (size_t i = 0; i < x->nr; i++)
		if (is_of_synced(&x->files[i], s) && same_entry(w, &x->files[i], f, s))
			return true;
	return false;
}

/* Is all of y that was synced in x? */
static bool has_all(const struct world *w, const struct snapshot *x, const struct snapshot *y,
		    const struct synced *s)
{
	for (size_t i = 0; i < y->nr; i++)
		if (is_of_synced(&y->files[i], s) && !has_entry(w, x, &y->files[i], s))
			return false;
	return true;
}

/* Is what was synced in step k what it was when it was synced? */
static bool synced_is_same(const struct world *w, const struct synced *s, unsigned k)
{
	const struct snapshot *x = w->steps[k], *y = w->steps[s->step];

	return has_all(w, x, y, s) && has_all(w, y, x, s);
}

static bool keeps_synced(const struct world *w, unsigned k, unsigned mark)
{
	for (unsigned i = 0; i < w->nr_synced; i++) {
		const struct synced *s = &w->synced[i];

		if (s->step <= mark && k < s->step && !synced_is_same(w, s, k))
			return false;
	}
	return true;
}

/* May this sector be what it is?  Steps first to last may each have written it. */
static bool sector_fits(const struct world *w, const struct snapshot_file *f, uint64_t at,
			unsigned first, unsigned last)
{
	size_t n = sector_size(f, at);

	for (unsigned k = first; k <= last; k++) {
		const struct snapshot_file *g = snapshot_find(w->steps[k], f->ino);

		if (g && g->size >= at + n && !memcmp(f->data + at, g->data + at, n))
			return true;
	}
	return false;
}

/* Data of the found tree against that of step k. */
static bool same_data(const struct world *w, const struct snapshot *found, unsigned k,
		      unsigned mark, unsigned last)
{
	for (size_t i = 0; i < found->nr; i++) {
		const struct snapshot_file *f = &found->files[i], *g = &w->steps[k]->files[i];
		unsigned first;

		if (!size_fits(w, f, g, k) || (f->size == g->size && !blocks_fit(w, f, g, k)))
			return false;
		first = synced_step(w, f->ino, mark);
		if (!f->size ||
		    ((first <= k || !w->in_place) && !memcmp(f->data, g->data, f->size)))
			continue;
		if (!w->in_place)
			return false;
		for (uint64_t at = 0; at < f->size; at += SECTOR)
			if ((first > k ||
			     memcmp(f->data + at, g->data + at, sector_size(f, at)) != 0) &&
			    !sector_fits(w, f, at, first, last))
				return false;
	}
	return true;
}

/* Making a world */

/* On mem, by way of below, which is mem or stands on it. */
static void init(struct world *w, struct bufio_engine *below, uint64_t log_bytes)
{
	const struct mkfs_options m = {.block_bytes = BLOCK_BYTES,
				       .log_bytes = log_bytes,
				       .nr_inodes = 64,
				       .uuid = {9},
				       .hash_seed = 1};
	struct geometry g;

	ck_assert_int_eq(bufio_engine_record_create(below, &w->record), 0);
	ck_assert_int_eq(mkfs_format(w->record, &m, &g), 0);
	fs_options_init(&w->options);
	w->options.commit_ms = 0;
	w->options.atime = FS_ATIME_NEVER;
	w->options.cache_bytes = 1 << 20;
	ck_assert_int_eq(fs_mount(w->record, &w->options, &w->fs), 0);
}

void world_init(struct world *w, uint64_t size_bytes, uint64_t log_bytes)
{
	*w = (struct world){.name = "world"};
	ck_assert_int_eq(bufio_engine_mem_create(size_bytes, 512, &w->mem), 0);
	init(w, w->mem, log_bytes);
}

void world_init_late(struct world *w, uint64_t size_bytes, uint64_t log_bytes)
{
	struct bufio_engine *late;

	*w = (struct world){.name = "world"};
	ck_assert_int_eq(bufio_engine_mem_create(size_bytes, 512, &w->mem), 0);
	ck_assert_int_eq(late_create(w->mem, 1, &late), 0);
	init(w, late, log_bytes);
}

static bool is_held(const struct world *w, uint64_t ino)
{
	for (size_t i = 0; i < w->nr_held; i++)
		if (w->held[i] == ino)
			return true;
	return false;
}

static void hold(struct world *w, const char *path)
{
	uint64_t ino = path_get(w->fs, path);

	ck_assert_uint_ne(ino, 0);
	ck_assert_uint_lt(w->nr_held, WORLD_MAX_HELD);
	w->held[w->nr_held++] = ino;
}

/* As the kernel does: what has a name stays known, and what lost its last one is forgotten. */
static void hold_all(struct world *w)
{
	const struct snapshot *s = w->steps[w->nr_steps];
	size_t nr = 0;

	for (size_t i = 0; i < w->nr_held; i++) {
		if (w->held[i] == INODE_ROOT || snapshot_find(s, w->held[i]))
			w->held[nr++] = w->held[i];
		else
			fs_forget(w->fs, w->held[i], 1);
	}
	w->nr_held = nr;
	if (!is_held(w, INODE_ROOT))
		hold(w, "/");
	for (size_t i = 0; i < s->nr; i++)
		if (!is_held(w, s->files[i].ino))
			hold(w, s->files[i].path);
}

static void take_step(struct world *w)
{
	uint64_t tail_seq = atomic_load(&w->fs->log->tail_seq);

	w->nr_checkpoints += tail_seq != w->tail_seq;
	w->tail_seq = tail_seq;
	if (w->like) {
		ck_assert_uint_le(w->nr_steps, w->like->nr_steps);
		w->steps[w->nr_steps] = w->like->steps[w->nr_steps];
	} else {
		ck_assert_int_eq(snapshot_take(w->fs, &w->steps[w->nr_steps]), 0);
	}
	if (!w->forgets)
		hold_all(w);
	bufio_engine_record_mark(w->record, w->nr_steps);
}

/*
 * What is loaded may have been changed by the open transaction, for all the filesystem knows, and an fsync() of it
 * commits that.  So that one is committed, too: what is known of inodes from here on is what was done to them.
 */
void world_begin(struct world *w)
{
	w->nr_steps = 0;
	take_step(w);
	if (!w->like)
		snapshot_free(w->steps[0]);
	ck_assert_int_eq(do_chmod(w->fs, "/", 0700), 0);
	ck_assert_int_eq(fs_sync(w->fs), 0);
	w->base = crash_copy(w->mem);
	bufio_engine_record_clear(w->record);
	w->tail_seq = atomic_load(&w->fs->log->tail_seq);
	w->nr_checkpoints = 0;
	take_step(w);
}

void world_step(struct world *w, bool durable)
{
	ck_assert_uint_lt(w->nr_steps + 1, WORLD_MAX_STEPS);
	w->nr_steps++;
	w->durable[w->nr_steps] = durable ? w->nr_steps : w->durable[w->nr_steps - 1];
	take_step(w);
}

void world_step_synced(struct world *w, const char *path)
{
	uint64_t ino = path_ino(w->fs, path);

	ck_assert_uint_ne(ino, 0);
	ck_assert_uint_lt(w->nr_synced, WORLD_MAX_SYNCED);
	w->synced[w->nr_synced++] = (struct synced){ino, w->nr_steps + 1};
	world_step(w, false);
}

void world_fsync(struct world *w, const char *path, bool datasync)
{
	uint64_t ino = path_ino(w->fs, path);

	if (ino) {
		ck_assert_int_eq(do_fsync(w->fs, path, datasync), 0);
		ck_assert_uint_lt(w->nr_synced, WORLD_MAX_SYNCED);
		w->synced[w->nr_synced++] = (struct synced){ino, w->nr_steps + 1};
	}
	world_step(w, false);
}

/* Cutting it */

static void fail_image(const struct world *w, struct crash *c, const char *what)
{
	/* on one line with what tools/check looks for */
	printf("crash: violation in %s: %s\n", w->name, what);
	fprintf(stderr, "%s: %s\n", w->name, what);
	if (c)
		crash_print(c, stderr);
	for (unsigned k = 0; k <= w->nr_steps; k++) {
		char title[64];

		snprintf(title, sizeof(title), "after step %u (durable: %u)", k, w->durable[k]);
		snapshot_print(w->steps[k], title);
	}
	ck_abort_msg("%s: %s", w->name, what);
}

static void print_problem(void *context, const struct check_problem *p)
{
	fprintf(stderr, "check: %s: %s\n", p->code, p->text);
}

static void check_image(const struct world *w, struct crash *c, struct bufio_engine *e,
			const char *when)
{
	const struct check_options o = {
		.mode = CHECK_REPORT, .cache_bytes = 1 << 20, .problem = print_problem};
	struct check_result result;
	int r = check_fs(e, &o, &result);

	if (r < 0 || result.problems)
		fail_image(w, c, when);
}

static void compare_tree(const struct world *w, struct crash *c, struct fs *fs, unsigned mark)
{
	unsigned first = w->durable[mark], last = mark < w->nr_steps ? mark + 1 : mark;
	struct snapshot *found;

	if (snapshot_take(fs, &found) < 0)
		fail_image(w, c, "the tree cannot be read");
	for (unsigned k = first; k <= last; k++) {
		if (same_names(found, w->steps[k]) && same_data(w, found, k, mark, last) &&
		    keeps_synced(w, k, mark)) {
			snapshot_free(found);
			return;
		}
	}
	fprintf(stderr, "expected: step %u to %u\n", first, last);
	snapshot_print(found, "found");
	fail_image(w, c, "the tree is of no step that it may be of");
}

/* Work on what was recovered, and leave it in order. */
static void go_on(const struct world *w, struct crash *c, struct fs *fs)
{
	const struct fs_new what = {.mode = S_IFREG | 0600};
	struct fs_attr a;
	char data[3000];
	int r;

	memset(data, 'n', sizeof(data));
	r = fs_make(fs, INODE_ROOT, "afterwards", &what, &a);
	if (r == 0) {
		ssize_t n = fs_write(fs, a.ino, 0, data, sizeof(data));

		if ((n < 0 && n != -ENOSPC) || fs_fsync(fs, a.ino, false) < 0)
			fail_image(w, c, "it cannot be written to");
		fs_forget(fs, a.ino, 1);
		r = fs_unlink(fs, INODE_ROOT, "afterwards");
	}
	if (r < 0 && r != -ENOSPC)
		fail_image(w, c, "it cannot be worked on");
}

/* Who only looks sees what a replay would make of it, and has not written when it leaves. */
static void look_only(const struct world *w, struct crash *c, struct seen *seen, unsigned mark)
{
	struct fs_options o = w->options;
	struct fs *fs;

	o.read_only = true;
	check_image(w, c, crash_image(c), "the check before the replay found something");
	if (w->nr_images % LOOK_EVERY)
		return;
	if (fs_mount(crash_image(c), &o, &fs) < 0)
		fail_image(w, c, "it cannot be mounted read-only");
	compare_tree(w, c, fs, mark);
	if (fs_unmount(fs) < 0)
		fail_image(w, c, "it cannot be unmounted though it was read-only");
	if (seen_first(seen, crash_image(c), mark))
		fail_image(w, c, "who only looked at it has changed it");
}

static void check_recovered(const struct world *w, struct crash *c, struct bufio_engine *e,
			    unsigned mark)
{
	struct fs *fs;

	if (fs_mount(e, &w->options, &fs) < 0)
		fail_image(w, c, "it cannot be mounted");
	compare_tree(w, c, fs, mark);
	go_on(w, c, fs);
	if (fs_unmount(fs) < 0)
		fail_image(w, c, "it cannot be unmounted");
	check_image(w, c, e, "the check at the end found something");
}

/* Of any engine, by reading it. */
static struct bufio_engine *copy_of(struct bufio_engine *e)
{
	static uint8_t data[64 << 10];
	struct bufio_engine *mem;

	ck_assert_int_eq(bufio_engine_mem_create(e->size_bytes, 512, &mem), 0);
	for (uint64_t at = 0; at < e->size_bytes; at += sizeof(data)) {
		uint64_t left = e->size_bytes - at;
		size_t n = left < sizeof(data) ? (size_t)left : sizeof(data);

		ck_assert_int_eq(super_transfer(e, BUFIO_OP_READ, at, data, n), 0);
		ck_assert_int_eq(bufio_engine_mem_poke(mem, at, data, n), 0);
	}
	return mem;
}

/* Power fails again while it is mounted: each image of that must be as good. */
static void cut_recovery(struct world *w, struct crash *c, unsigned mark)
{
	struct bufio_engine *base = copy_of(crash_image(c)), *mem = crash_copy(base), *record;
	struct crash_options o;
	struct crash *again;
	struct seen seen;
	struct fs *fs;

	ck_assert_int_eq(bufio_engine_record_create(mem, &record), 0);
	if (fs_mount(record, &w->options, &fs) < 0)
		fail_image(w, c, "it cannot be mounted");
	fs_close(fs);
	crash_options_init(&o);
	o.nr_random = 4;
	o.most_exhaustive = 4;
	crash_create(record, base, &o, &again);
	seen_init(&seen, record);
	while (crash_next_point(again)) {
		while (crash_next_image(again)) {
			if (!seen_first(&seen, crash_image(again), mark))
				continue;
			look_only(w, again, &seen, mark);
			check_recovered(w, c, crash_image(again), mark);
			w->nr_recuts++;
		}
	}
	crash_destroy(again);
	seen_finish(&seen);
	bufio_engine_destroy(record);
}

static void cut_at_point(struct world *w, struct crash *c)
{
	unsigned mark = (unsigned)crash_mark(c);

	while (crash_next_image(c)) {
		if (!seen_first(&w->seen, crash_image(c), mark))
			continue;
		look_only(w, c, &w->seen, mark);
		if (w->recut_every && w->nr_images % w->recut_every == 0)
			cut_recovery(w, c, mark);
		check_recovered(w, c, crash_image(c), mark);
		w->nr_images++;
	}
}

static void cut_everywhere(struct world *w)
{
	struct crash_options o;
	struct crash *c;

	crash_options_init(&o);
	o.whole_writes = w->whole_writes;
	if (w->nr_random)
		o.nr_random = w->nr_random;
	crash_create(w->record, w->base, &o, &c);
	w->base = NULL; /* the crash's now */
	seen_init(&w->seen, w->record);
	while (crash_next_point(c)) {
		/* what may be found at a mark depends on the steps up to the next one */
		if (crash_mark(c) >= w->cut_from)
			cut_at_point(w, c);
	}
	crash_destroy(c);
	seen_finish(&w->seen);
}

/* Of all worlds since the last report. */
static uint64_t nr_states, nr_worlds;

void world_free(struct world *w)
{
	bufio_engine_destroy(w->base);
	bufio_engine_destroy(w->record);
	for (unsigned k = 0; k <= w->nr_steps && !w->like; k++)
		snapshot_free(w->steps[k]);
}

void world_finish(struct world *w)
{
	ck_assert_int_eq(fs_unmount(w->fs), 0);
	cut_everywhere(w);
	world_free(w);
	nr_states += w->nr_images + w->nr_recuts;
	nr_worlds++;
}

void world_report(const char *name)
{
	printf("crash: %llu states of %llu programs: %s\n", (unsigned long long)nr_states,
	       (unsigned long long)nr_worlds, name);
	fflush(stdout); /* to be followed, for it may take hours */
	nr_states = nr_worlds = 0;
}
