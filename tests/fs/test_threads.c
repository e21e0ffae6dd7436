/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Many threads on one filesystem: nothing hangs, no result is one that cannot be, and what they leave is in
 * order.  Also for ThreadSanitizer.
 */
#include "image.h"
#include "told.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "itable.h"

#define NR_THREADS 4
#define NR_STEPS   10000
#define NR_NAMES   6
#define NR_HELD	   8 /* the first half of them directories */

/* One thread: what it has references to, and what it found wrong. */
struct worker {
	uint64_t seed;
	uint64_t held[NR_HELD]; /* 0: none */
	const char *wrong;
	int result;
};

static struct image i;
static struct worker workers[NR_THREADS];

static unsigned draw(struct worker *w, unsigned limit)
{
	return (unsigned)(image_random(&w->seed) >> 33) % limit;
}

static const char *draw_name(struct worker *w)
{
	static const char *const names[NR_NAMES] = {
		"a",
		"bb",
		"a name that is somewhat longer",
		"d",
		"another, so that six of them are too much for an inode and a block is taken",
		"f"};

	return names[draw(w, NR_NAMES)];
}

/* A result is 0, or one of the errors that others can be the reason for. */
static void expect(struct worker *w, const char *what, long r)
{
	static const int may_be[] = {-ENOENT, -EEXIST, -ENOTDIR, -EISDIR, -ENOTEMPTY,
				     -ESTALE, -EINVAL, -EPERM,	 -ENOSPC, -ENODATA};

	if (r >= 0 || w->wrong)
		return;
	for (unsigned n = 0; n < sizeof(may_be) / sizeof(may_be[0]); n++) {
		if (may_be[n] == r)
			return;
	}
	w->wrong = what;
	w->result = (int)r;
}

/* Something it has a reference to, or the root. */
static uint64_t draw_ino(struct worker *w)
{
	uint64_t ino = w->held[draw(w, NR_HELD)];

	return ino ? ino : 1;
}

/* Mostly a directory, often the root, where all meet. */
static uint64_t draw_dir(struct worker *w)
{
	uint64_t ino = w->held[draw(w, NR_HELD / 2)];

	if (draw(w, 50) == 0)
		return draw_ino(w);
	return ino && draw(w, 2) ? ino : 1;
}

static uint64_t draw_file(struct worker *w)
{
	uint64_t ino = w->held[NR_HELD / 2 + draw(w, NR_HELD / 2)];

	return ino && draw(w, 20) ? ino : draw_ino(w);
}

static void hold(struct worker *w, const struct fs_attr *attr)
{
	unsigned n = draw(w, NR_HELD / 2) + (S_ISDIR(attr->mode) ? 0 : NR_HELD / 2);

	if (w->held[n])
		fs_forget(i.fs, w->held[n], 1);
	w->held[n] = attr->ino;
}

static void step_make(struct worker *w)
{
	static const uint32_t types[] = {S_IFDIR, S_IFDIR, S_IFREG, S_IFREG, S_IFLNK, S_IFIFO};
	const struct fs_new what = {.mode = types[draw(w, 6)] | 0700, .target = "to there"};
	struct fs_attr attr;
	int r = fs_make(i.fs, draw_dir(w), draw_name(w), &what, &attr);

	expect(w, "make", r);
	if (r == 0)
		hold(w, &attr);
}

static void step_lookup(struct worker *w)
{
	struct fs_attr attr;
	int r = fs_lookup(i.fs, draw_dir(w), draw(w, 8) ? draw_name(w) : "..", &attr);

	expect(w, "lookup", r);
	if (r == 0)
		hold(w, &attr);
}

static void step_link(struct worker *w)
{
	struct fs_attr attr;
	int r = fs_link(i.fs, draw_file(w), draw_dir(w), draw_name(w), &attr);

	expect(w, "link", r);
	if (r == 0)
		hold(w, &attr);
}

static void step_remove(struct worker *w)
{
	if (draw(w, 2))
		expect(w, "unlink", fs_unlink(i.fs, draw_dir(w), draw_name(w)));
	else
		expect(w, "rmdir", fs_rmdir(i.fs, draw_dir(w), draw_name(w)));
}

static void step_rename(struct worker *w)
{
	static const unsigned flags[] = {0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};

	expect(w, "rename",
	       fs_rename(i.fs,
			 &(struct fs_names){draw_dir(w), draw_name(w), draw_dir(w), draw_name(w)},
			 flags[draw(w, 4)]));
}

static void step_contents(struct worker *w)
{
	struct fs_attr attr = {.size = draw(w, 30000), .mode = 0600 + draw(w, 0100)};
	char data[6000] = {0};

	switch (draw(w, 4)) {
	case 0:
		expect(w, "read", fs_read(i.fs, draw_file(w), draw(w, 30000), data, sizeof(data)));
		break;
	case 1:
		expect(w, "setattr",
		       fs_setattr(i.fs, draw_file(w), &attr,
				  draw(w, 2) ? FS_SET_SIZE | FS_SET_MODE : FS_SET_MODE, &attr));
		break;
	default:
		expect(w, "write",
		       fs_write(i.fs, draw_file(w), draw(w, 30000), data, 1 + draw(w, 5999)));
	}
}

/* A value is all one byte, so half of one would be seen. */
static void step_xattr(struct worker *w)
{
	static const unsigned sizes[] = {20, 60, 500, 3000, 12000};
	const char *name = draw(w, 2) ? "trusted.a" : "trusted.b";
	uint64_t ino = draw(w, 4) ? draw_file(w) : draw_dir(w);
	char value[12000], list[100];
	ssize_t n;

	switch (draw(w, 4)) {
	case 0:
		expect(w, "removexattr", fs_removexattr(i.fs, ino, name));
		break;
	case 1:
		n = fs_getxattr(i.fs, ino, name, value, sizeof(value));
		expect(w, "getxattr", n);
		if (n > 1 && memcmp(value, value + 1, (size_t)n - 1) != 0)
			w->wrong = "half a value";
		break;
	case 2:
		expect(w, "listxattr", fs_listxattr(i.fs, ino, list, sizeof(list)));
		break;
	default:
		memset(value, 'a' + (int)draw(w, 26), sizeof(value));
		expect(w, "setxattr",
		       fs_setxattr(i.fs, ino, &(struct fs_xattr){name, value, sizes[draw(w, 5)]},
				   0));
	}
}

/* What a listing looked up is forgotten after it: a last forget waits for what may wait for the folder. */
struct listed {
	struct worker *w;
	uint64_t held[64];
	unsigned nr;
};

static int look_up_entry(void *context, const struct fs_dirent *e)
{
	struct listed *l = context;
	struct worker *w = l->w;
	struct fs_attr attr;
	int r;

	if (!strcmp(e->name, ".") || !strcmp(e->name, ".."))
		return 0;
	r = fs_lookup_child(i.fs, e->ino, &attr);
	expect(w, "lookup_child", r);
	if (r == 0 && attr.ino != e->ino)
		w->wrong = "another inode";
	if (r == 0)
		l->held[l->nr++] = attr.ino;
	return l->nr == sizeof(l->held) / sizeof(l->held[0]);
}

static void list_some(struct worker *w)
{
	struct listed l = {.w = w};

	expect(w, "readdir", fs_readdir(i.fs, draw_dir(w), 0, look_up_entry, &l));
	while (l.nr)
		fs_forget(i.fs, l.held[--l.nr], 1);
}

static void step_look(struct worker *w)
{
	struct fs_attr attr;
	struct fs_statfs s;
	char target[4096];

	switch (draw(w, 16)) {
	case 0:
		expect(w, "sync", fs_sync(i.fs));
		break;
	case 1:
		fs_statfs(i.fs, &s);
		break;
	case 2:
		expect(w, "fsync", fs_fsync(i.fs, draw_ino(w), draw(w, 2)));
		expect(w, "fsync", told_fsync(i.fs, draw_ino(w), draw(w, 2)));
		break;
	case 3:
	case 4:
	case 5:
		expect(w, "readlink", fs_readlink(i.fs, draw_file(w), target, sizeof(target)));
		break;
	case 6:
	case 7:
		expect(w, "getattr", fs_getattr(i.fs, draw_ino(w), &attr));
		break;
	default:
		list_some(w);
	}
}

static void *work(void *context)
{
	static void (*const steps[])(struct worker *) = {
		step_make,   step_make,	  step_lookup,	 step_lookup, step_link,  step_remove,
		step_rename, step_rename, step_contents, step_look,   step_xattr,
	};
	struct worker *w = context;

	for (unsigned n = 0; n < NR_STEPS && !w->wrong; n++)
		steps[draw(w, sizeof(steps) / sizeof(steps[0]))](w);
	for (unsigned n = 0; n < NR_HELD; n++) {
		if (w->held[n])
			fs_forget(i.fs, w->held[n], 1);
	}
	return NULL;
}

static void run(void *(*start)(void *))
{
	pthread_t threads[NR_THREADS];

	for (unsigned n = 0; n < NR_THREADS; n++)
		ck_assert_int_eq(pthread_create(&threads[n], NULL, start, &workers[n]), 0);
	for (unsigned n = 0; n < NR_THREADS; n++)
		pthread_join(threads[n], NULL);
	for (unsigned n = 0; n < NR_THREADS; n++)
		ck_assert_msg(!workers[n].wrong, "%s: %d", workers[n].wrong, workers[n].result);
}

/* _i: block size, and whether inodes stay in memory; the commit thread is one more that takes part. */
START_TEST(what_many_threads_leave_is_in_order)
{
	uint64_t seed = image_seed("threads") + (uint64_t)_i * 100;

	memset(workers, 0, sizeof(workers));
	for (unsigned n = 0; n < NR_THREADS; n++)
		workers[n].seed = seed + n;
	image_init(&i, 32 << 20, _i % 2 ? 1024 : 4096);
	i.options.commit_ms = 3;
	image_mount(&i);
	if (_i % 4 >= 2)
		i.fs->inodes->max_idle = 0;
	run(work);
	image_unmount(&i);
	image_check(&i);
	image_finish(&i);
}
END_TEST

/* A call is one step for others: a write of one byte value, however long, is seen whole or not at all. */
#define PIECE 20000

static uint64_t shared_ino;

static void *write_pieces(void *context)
{
	struct worker *w = context;
	uint8_t data[PIECE];

	for (unsigned n = 0; n < 400 && !w->wrong; n++) {
		memset(data, (int)(1 + draw(w, 255)), sizeof(data));
		if (fs_write(i.fs, shared_ino, 0, data, sizeof(data)) != sizeof(data))
			w->wrong = "write";
		if (fs_read(i.fs, shared_ino, 0, data, sizeof(data)) != sizeof(data))
			w->wrong = "read";
		for (unsigned k = 1; k < sizeof(data); k++) {
			if (data[k] != data[0])
				w->wrong = "a write was seen half done";
		}
	}
	return NULL;
}

START_TEST(a_write_is_seen_whole)
{
	uint8_t data[PIECE] = {0};

	memset(workers, 0, sizeof(workers));
	for (unsigned n = 0; n < NR_THREADS; n++)
		workers[n].seed = n + 1;
	image_init_mounted(&i, 32 << 20, 4096);
	shared_ino = image_make(&i, 1, "f", S_IFREG | 0600);
	image_write(&i, shared_ino, 0, data, sizeof(data));
	run(write_pieces);
	image_unmount(&i);
	image_check(&i);
	image_finish(&i);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("threads");
	TCase *const cases[] = {tc, NULL};

	tcase_add_loop_test(tc, what_many_threads_leave_is_in_order, 0, 8);
	tcase_add_test(tc, a_write_is_seen_whole);
	return image_run("threads", cases);
}
