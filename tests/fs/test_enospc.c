/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A full filesystem: threads take blocks, inodes, room in directories and tree nodes until none is left.  Nothing but
 * -ENOSPC is said, what is there is whole, and all of it comes back.
 */
#include "image.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "inode.h"
#include "txn.h"

#define SIZE	   (UINT64_C(12) << 20)
#define NR_THREADS 4
#define LONG_NAME  200

static struct image i;

static int try_make(uint64_t dir, const char *name, uint32_t mode, uint64_t *ret_ino)
{
	const struct fs_new what = {.mode = mode, .target = name};
	struct fs_attr attr;
	int r = fs_make(i.fs, dir, name, &what, &attr);

	if (r == 0)
		*ret_ino = attr.ino;
	return r;
}

/* Each takes until it gets no more, in a directory of its own; the result it ended with. */

static int take_blocks(uint64_t dir, uint64_t file)
{
	static const uint8_t data[50000];
	uint64_t at = 0;
	ssize_t n;

	while ((n = fs_write(i.fs, file, at, data, sizeof(data))) > 0)
		at += (uint64_t)n;
	return (int)n;
}

static int take_tree_nodes(uint64_t dir, uint64_t file)
{
	ssize_t n = 1;

	for (uint64_t at = 0; n > 0; at += 3000)
		n = fs_write(i.fs, file, at, "x", 1);
	return (int)n;
}

/* Names as long as can be, so that the directory grows; each one is a symlink with a block. */
static int take_names(uint64_t dir, uint64_t file)
{
	char name[LONG_NAME + 1];
	uint64_t ino;
	int r = 0;

	for (unsigned n = 0; r == 0; n++) {
		memset(name, 'n', LONG_NAME);
		name[LONG_NAME] = 0;
		name[snprintf(name, 12, "%u", n)] = '-';
		r = try_make(dir, name, S_IFLNK | 0777, &ino);
		if (r == 0)
			fs_forget(i.fs, ino, 1);
	}
	return r;
}

static int take_inodes(uint64_t dir, uint64_t file)
{
	char name[16];
	uint64_t ino;
	int r = 0;

	for (unsigned n = 0; r == 0; n++) {
		snprintf(name, sizeof(name), "%u", n);
		r = try_make(dir, name, (n % 4 ? S_IFREG : S_IFDIR) | 0700, &ino);
		if (r == 0)
			fs_forget(i.fs, ino, 1);
	}
	return r;
}

struct worker {
	int (*take)(uint64_t dir, uint64_t file);
	uint64_t dir, file;
	int result;
};

static void *work(void *context)
{
	struct worker *w = context;

	w->result = w->take(w->dir, w->file);
	return NULL;
}

static void fill(void)
{
	static int (*const takes[NR_THREADS])(uint64_t, uint64_t) = {take_blocks, take_tree_nodes,
								     take_names, take_inodes};
	struct worker workers[NR_THREADS];
	pthread_t threads[NR_THREADS];
	char name[8];

	for (unsigned n = 0; n < NR_THREADS; n++) {
		snprintf(name, sizeof(name), "d%u", n);
		workers[n].take = takes[n];
		workers[n].dir = image_make(&i, INODE_ROOT, name, S_IFDIR | 0700);
		workers[n].file = image_make(&i, workers[n].dir, "file", S_IFREG | 0600);
	}
	for (unsigned n = 0; n < NR_THREADS; n++)
		ck_assert_int_eq(pthread_create(&threads[n], NULL, work, &workers[n]), 0);
	for (unsigned n = 0; n < NR_THREADS; n++) {
		pthread_join(threads[n], NULL);
		ck_assert_int_eq(workers[n].result, -ENOSPC);
		fs_forget(i.fs, workers[n].dir, 1);
		fs_forget(i.fs, workers[n].file, 1);
	}
}

/* The names of a directory, to be removed after the listing. */
struct names {
	char (*name)[LONG_NAME + 1];
	unsigned char *is_dir;
	size_t nr;
};

static int collect(void *context, const struct fs_dirent *e)
{
	struct names *l = context;

	if (!strcmp(e->name, ".") || !strcmp(e->name, ".."))
		return 0;
	l->name = realloc(l->name, (l->nr + 1) * sizeof(l->name[0]));
	l->is_dir = realloc(l->is_dir, l->nr + 1);
	strcpy(l->name[l->nr], e->name);
	l->is_dir[l->nr++] = e->type == S_IFDIR >> 12;
	return 0;
}

static void empty(uint64_t dir)
{
	struct names l = {.nr = 0};

	ck_assert_int_eq(fs_readdir(i.fs, dir, 0, collect, &l), 0);
	for (size_t n = 0; n < l.nr; n++) {
		uint64_t child = l.is_dir[n] ? image_lookup(&i, dir, l.name[n]) : 0;

		if (l.is_dir[n]) {
			empty(child);
			fs_forget(i.fs, child, 1);
			ck_assert_int_eq(fs_rmdir(i.fs, dir, l.name[n]), 0);
		} else {
			image_unlink(&i, dir, l.name[n]);
		}
	}
	free(l.name);
	free(l.is_dir);
}

static void assert_same(const struct fs_statfs *before)
{
	struct fs_statfs now = image_statfs(&i);

	ck_assert_uint_eq(now.free_blocks, before->free_blocks);
	ck_assert_uint_eq(now.free_inodes, before->free_inodes);
	image_settle(&i);
	ck_assert_uint_eq(now.free_blocks, atomic_load(&i.fs->unreserved_blocks));
}

/* _i: block size */
START_TEST(everything_taken_comes_back)
{
	struct fs_statfs before;

	image_init_mounted(&i, SIZE, _i ? 4096 : 1024);
	before = image_statfs(&i);
	for (unsigned round = 0; round < 3; round++) {
		fill();
		ck_assert_uint_eq(image_statfs(&i).free_blocks,
				  atomic_load(&i.fs->unreserved_blocks));
		if (round == 1) {
			image_unmount(&i);
			image_check(&i);
			image_mount(&i);
		}
		empty(INODE_ROOT);
		assert_same(&before);
	}
	image_unmount(&i);
	image_check(&i);
	image_finish(&i);
}
END_TEST

/* Files of few extents take what one with a tree leaves for its nodes. */
static void fill_to_the_last_block(uint64_t dir)
{
	static const uint8_t data[1024];
	uint64_t files[12];
	char name[16];

	for (unsigned n = 0; n < 12; n++) {
		snprintf(name, sizeof(name), "fill %u", n);
		files[n] = image_make(&i, dir, name, S_IFREG | 0600);
	}
	for (unsigned n = 0; n < 12; n++) {
		ssize_t r = n ? 1 : take_blocks(dir, files[n]);

		for (uint64_t at = 0; r > 0; at += sizeof(data))
			r = fs_write(i.fs, files[n], at, data, sizeof(data));
		ck_assert_int_eq(r, -ENOSPC);
		fs_forget(i.fs, files[n], 1);
	}
	ck_assert_uint_eq(image_statfs(&i).usable_blocks, 0);
}

START_TEST(what_needs_no_block_goes_on_when_none_is_left)
{
	uint64_t file, dir, old;
	struct fs_attr attr;
	char c;

	image_init_mounted(&i, SIZE, 1024);
	dir = image_make(&i, INODE_ROOT, "dir", S_IFDIR | 0700);
	file = image_make(&i, INODE_ROOT, "file", S_IFREG | 0600);
	image_write(&i, file, 0, "inline", 6);
	old = image_make(&i, INODE_ROOT, "old", S_IFREG | 0600);
	image_write(&i, old, 3000, "block", 5);
	fill_to_the_last_block(INODE_ROOT);
	image_write(&i, file, 6, "more", 4);
	image_write(&i, old, 3001, "LOCK", 4);
	ck_assert_int_eq(fs_write(i.fs, old, 0, "x", 1), -ENOSPC);
	ck_assert_int_eq(fs_link(i.fs, file, dir, "l", &attr), 0);
	ck_assert_int_eq(fs_rename(i.fs, &(struct fs_names){dir, "l", dir, "m"}, 0), 0);
	ck_assert_int_eq(
		fs_rename(i.fs, &(struct fs_names){INODE_ROOT, "file", INODE_ROOT, "old"}, 0), 0);
	ck_assert_int_eq(
		fs_rename(i.fs, &(struct fs_names){INODE_ROOT, "old", dir, "m"}, RENAME_EXCHANGE),
		0);
	ck_assert_int_eq(fs_read(i.fs, file, 9, &c, 1), 1);
	ck_assert_int_eq(c, 'e');
	image_make(&i, dir, "empty", S_IFREG | 0600);
	image_make(&i, dir, "sub", S_IFDIR | 0700);
	image_unlink(&i, dir, "m");
	attr.size = 2;
	ck_assert_int_eq(fs_setattr(i.fs, file, &attr, FS_SET_SIZE, &attr), 0);
	image_unmount(&i);
	image_check(&i);
	image_finish(&i);
}
END_TEST

/* Each name needs one block, and promises dozens. */
START_TEST(a_few_free_blocks_are_enough_for_a_name)
{
	char name[LONG_NAME + 1];
	uint64_t dir, file, ino;
	struct fs_attr attr;

	image_init_mounted(&i, SIZE, 1024);
	dir = image_make(&i, INODE_ROOT, "dir", S_IFDIR | 0700);
	file = image_make(&i, INODE_ROOT, "file", S_IFREG | 0600);
	image_write(&i, file, 3000, "block", 5);
	fill_to_the_last_block(INODE_ROOT);
	memset(name, 'n', LONG_NAME);
	name[LONG_NAME] = 0;
	ck_assert_int_eq(try_make(dir, name, S_IFREG | 0600, &ino), -ENOSPC);
	attr.size = 0;
	ck_assert_int_eq(fs_setattr(i.fs, file, &attr, FS_SET_SIZE, &attr), 0);
	ck_assert_uint_eq(image_statfs(&i).usable_blocks, 1);
	ck_assert_int_eq(try_make(dir, name, S_IFREG | 0600, &ino), 0);
	ck_assert_uint_eq(image_statfs(&i).usable_blocks, 0);
	image_unmount(&i);
	image_check(&i);
	image_finish(&i);
}
END_TEST

static void fill_but(uint64_t nr_blocks)
{
	uint64_t filler = image_make(&i, INODE_ROOT, "filler", S_IFREG | 0600);
	static const uint8_t data[1024];

	for (uint64_t at = 0; image_statfs(&i).usable_blocks > nr_blocks; at += sizeof(data))
		image_write(&i, filler, at, data, sizeof(data));
	fs_forget(i.fs, filler, 1);
}

static pthread_barrier_t promised;
static _Atomic bool said;

/* Promise all there is, and use nothing of it; until somebody waits for that, or was told that there is no room. */
static void *promise(void *context)
{
	struct txn t;
	int r = txn_start(i.fs, *(unsigned *)context, &t);

	ck_assert_int_eq(r, 0);
	pthread_barrier_wait(&promised);
	while (!atomic_load(&said) && pthread_rwlock_tryrdlock(&i.fs->txn_lock) == 0) {
		pthread_rwlock_unlock(&i.fs->txn_lock);
		sched_yield();
	}
	txn_end(&t);
	return NULL;
}

/* _i: the first block of a file, the target of a symlink */
START_TEST(what_was_only_promised_is_no_lack)
{
	char name[LONG_NAME + 1] = "";
	unsigned nr = 20;
	pthread_t thread;
	uint64_t file;
	int r;

	image_init_mounted(&i, SIZE, 1024);
	file = image_make(&i, INODE_ROOT, "file", S_IFREG | 0600);
	fill_but(nr);
	atomic_store(&said, false);
	pthread_barrier_init(&promised, NULL, 2);
	ck_assert_int_eq(pthread_create(&thread, NULL, promise, &nr), 0);
	pthread_barrier_wait(&promised);
	if (_i)
		r = try_make(INODE_ROOT, memset(name, 'n', LONG_NAME), S_IFLNK | 0777, &file);
	else
		r = (int)fs_write(i.fs, file, 3000, "block", 5);
	atomic_store(&said, true);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&promised);
	ck_assert_int_ge(r, 0);
	image_finish(&i);
}
END_TEST

/* The names have no room in the inode, and the directory gets no block: all is as before. */
START_TEST(a_name_without_room_leaves_nothing_behind)
{
	struct fs_statfs before, after;
	char name[LONG_NAME + 1];
	struct fs_attr attr;
	uint64_t dir, file;
	uint64_t ino;

	image_init_mounted(&i, SIZE, 1024);
	dir = image_make(&i, INODE_ROOT, "dir", S_IFDIR | 0700);
	file = image_make(&i, dir, "file", S_IFREG | 0600);
	fill_to_the_last_block(INODE_ROOT);
	before = image_statfs(&i);
	memset(name, 'n', LONG_NAME);
	name[LONG_NAME] = 0;
	ck_assert_int_eq(try_make(dir, name, S_IFREG | 0600, &ino), -ENOSPC);
	ck_assert_int_eq(try_make(dir, name, S_IFDIR | 0700, &ino), -ENOSPC);
	ck_assert_int_eq(fs_link(i.fs, file, dir, name, &attr), -ENOSPC);
	ck_assert_int_eq(fs_rename(i.fs, &(struct fs_names){dir, "file", dir, name}, 0), -ENOSPC);
	ck_assert_int_eq(fs_lookup(i.fs, dir, name, &attr), -ENOENT);
	after = image_statfs(&i);
	ck_assert_uint_eq(after.free_blocks, before.free_blocks);
	ck_assert_uint_eq(after.free_inodes, before.free_inodes);
	ck_assert_uint_eq(image_attr(&i, file).nlink, 1);
	ck_assert_uint_eq(image_attr(&i, dir).nlink, 2);
	image_unmount(&i);
	image_check(&i);
	image_finish(&i);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("enospc");
	TCase *const cases[] = {tc, NULL};

	tcase_add_loop_test(tc, everything_taken_comes_back, 0, 2);
	tcase_add_test(tc, what_needs_no_block_goes_on_when_none_is_left);
	tcase_add_test(tc, a_few_free_blocks_are_enough_for_a_name);
	tcase_add_loop_test(tc, what_was_only_promised_is_no_lack, 0, 2);
	tcase_add_test(tc, a_name_without_room_leaves_nothing_behind);
	return image_run("enospc", cases);
}
