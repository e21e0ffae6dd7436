/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inodes without a name: when they are freed, by whom, who waits for it, and what a crash leaves of them. */
#include "image.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "file.h"
#include "inode.h"
#include "itable.h"
#include "log.h"
#include "open.h"
#include "super.h"

#define SIZE (UINT64_C(16) << 20)

static struct image i;
static struct fs_statfs before;

static void setup(void)
{
	image_init_mounted(&i, SIZE, 1024);
	before = image_statfs(&i);
}

static void teardown(void)
{
	if (i.fs)
		image_unmount(&i);
	image_check(&i);
	image_finish(&i);
}

static void assert_all_free(void)
{
	struct fs_statfs now = image_statfs(&i);

	image_settle(&i);
	ck_assert_uint_eq(now.free_blocks, before.free_blocks);
	ck_assert_uint_eq(now.free_inodes, before.free_inodes);
	ck_assert_uint_eq(now.free_blocks, atomic_load(&i.fs->unreserved_blocks));
	for (uint32_t g = 0; g < i.geo.nr_groups; g++)
		ck_assert_uint_eq(i.fs->groups[g].nr_orphans, 0);
}

/* A file of many extents: every other block is a hole. */
static uint64_t make_scattered(const char *name, unsigned nr_extents)
{
	uint64_t ino = image_make(&i, INODE_ROOT, name, S_IFREG | 0600);

	for (unsigned n = 0; n < nr_extents; n++)
		image_write(&i, ino, (uint64_t)n * 2048, "x", 1);
	return ino;
}

static void append_until_full(uint64_t ino, size_t step)
{
	static const char data[1 << 16];
	uint64_t at = 0;
	ssize_t n;

	while ((n = fs_write(i.fs, ino, at, data, step)) > 0)
		at += (uint64_t)n;
	ck_assert_int_eq(n, -ENOSPC);
}

/* To the last block: files of few extents take what one with a tree must leave for its nodes. */
static void fill(void)
{
	uint64_t most = image_make(&i, INODE_ROOT, "most of it", S_IFREG | 0600), rest[8];
	char name[8];

	for (unsigned n = 0; n < 8; n++) {
		snprintf(name, sizeof(name), "rest %u", n);
		rest[n] = image_make(&i, INODE_ROOT, name, S_IFREG | 0600);
	}
	append_until_full(most, 1 << 16);
	for (unsigned n = 0; n < 8; n++)
		append_until_full(rest[n], 1024);
}

/* It goes on at once: nothing of what was there before is taken away. */
static void crash(void)
{
	uint8_t *copy = malloc(SIZE);
	struct disk_super d;

	ck_assert_int_eq(fs_sync(i.fs), 0);
	ck_assert_int_eq(bufio_engine_mem_peek(i.mem, 0, copy, SIZE), 0);
	fs_close(i.fs);
	i.fs = NULL;
	ck_assert_int_eq(bufio_engine_mem_poke(i.mem, 0, copy, SIZE), 0);
	free(copy);
	/* as the check at the next mount would say after it found nothing else */
	image_get_super(&i, &d);
	d.state = le32_make(SUPER_CLEAN);
	image_set_super(&i, &d);
	image_mount(&i);
}

START_TEST(a_file_unlinked_while_referenced_is_whole_until_it_is_forgotten)
{
	uint64_t ino = make_scattered("f", 60);
	uint64_t used = before.free_blocks - image_statfs(&i).free_blocks;
	char c = 0;

	ck_assert_uint_ge(used, 60);
	ck_assert_uint_eq(image_lookup(&i, INODE_ROOT, "f"), ino);
	image_unlink(&i, INODE_ROOT, "f");
	ck_assert_uint_eq(i.fs->groups[0].nr_orphans, 1);
	fs_forget(i.fs, ino, 1);
	ck_assert_int_eq(fs_read(i.fs, ino, 59 * 2048, &c, 1), 1);
	ck_assert_int_eq(c, 'x');
	image_write(&i, ino, 200 * 2048, "y", 1);
	fs_forget(i.fs, ino, 1);
	assert_all_free();
}
END_TEST

START_TEST(a_directory_removed_while_referenced_takes_no_names)
{
	struct fs_new what = {.mode = S_IFREG | 0600};
	struct fs_attr attr;
	uint64_t dir = image_make(&i, INODE_ROOT, "d", S_IFDIR | 0700);

	ck_assert_int_eq(fs_rmdir(i.fs, INODE_ROOT, "d"), 0);
	ck_assert_int_eq(fs_make(i.fs, dir, "f", &what, &attr), -ENOENT);
	ck_assert_int_eq(fs_lookup(i.fs, dir, "..", &attr), -ENOENT);
	ck_assert_uint_eq(image_attr(&i, dir).nlink, 0);
	fs_forget(i.fs, dir, 1);
	assert_all_free();
}
END_TEST

START_TEST(orphans_of_every_type_are_freed_at_the_next_mount)
{
	static const uint32_t types[] = {S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO, S_IFCHR, S_IFSOCK};
	char name[8];

	make_scattered("scattered", 60);
	image_unlink(&i, INODE_ROOT, "scattered");
	for (unsigned n = 0; n < sizeof(types) / sizeof(types[0]); n++) {
		snprintf(name, sizeof(name), "%u", n);
		image_make(&i, INODE_ROOT, name, types[n] | 0600);
		if (types[n] == S_IFDIR)
			ck_assert_int_eq(fs_rmdir(i.fs, INODE_ROOT, name), 0);
		else
			image_unlink(&i, INODE_ROOT, name);
	}
	crash();
	assert_all_free();
}
END_TEST

/* _i: has it still a name? */
START_TEST(a_truncate_cut_short_by_a_crash_is_finished_at_the_next_mount)
{
	uint64_t ino = make_scattered("f", 60);
	struct inode *inode;
	struct txn t;

	ck_assert_int_eq(inode_get(i.fs, ino, &inode), 0);
	if (_i)
		image_unlink(&i, INODE_ROOT, "f");
	/* the first step of emptying it: file_truncate() would go on */
	ck_assert_int_eq(txn_start(i.fs, 0, &t), 0);
	inode->size = 0;
	inode->state |= INODE_STATE_TRUNCATE;
	ck_assert_int_eq(inode_orphan(&t, inode, 1), 0);
	ck_assert_int_eq(inode_store(&t, inode), 0);
	ck_assert_int_eq(txn_stop(&t), 0);
	inode_put(inode);
	crash();
	ck_assert_uint_eq(image_statfs(&i).free_blocks, before.free_blocks);
	ck_assert_uint_eq(i.fs->groups[0].nr_orphans, 0);
	if (!_i)
		ck_assert_uint_eq(image_attr(&i, ino).size, 0);
}
END_TEST

START_TEST(an_orphan_that_cannot_be_freed_now_is_freed_at_the_unmount)
{
	const struct bufio_fault fault = {.ops = BUFIO_FAULT_READ, .error = -EIO};
	uint64_t ino;

	make_scattered("f", 60);
	image_remount(&i);
	ino = image_lookup(&i, INODE_ROOT, "f");
	image_unlink(&i, INODE_ROOT, "f");
	bufio_engine_fault_set(i.engine, &fault);
	fs_forget(i.fs, ino, 1);
	bufio_engine_fault_set(i.engine, NULL);
	ck_assert_uint_eq(i.fs->groups[0].nr_orphans, 1);
	ck_assert_uint_lt(image_statfs(&i).free_blocks, before.free_blocks);
	image_unmount(&i);
	image_check(&i);
	image_mount(&i);
	assert_all_free();
}
END_TEST

/* Waiting for what is being freed */

static void *forget(void *context)
{
	const uint64_t *ino = context;

	fs_forget(i.fs, *ino, 1);
	return NULL;
}

static bool is_dying(uint64_t ino)
{
	struct inode_shard *s = inode_shard(i.fs, ino);
	struct inode *inode;
	bool dying;

	pthread_mutex_lock(&s->lock);
	inode = shard_find_locked(s, ino);
	dying = inode && inode->stage == INODE_DYING;
	pthread_mutex_unlock(&s->lock);
	return dying;
}

/* Another thread frees the inode, and gets no further than to the start of its first transaction. */
static pthread_t start_forget(uint64_t *ino)
{
	pthread_t thread;

	log_freeze(i.fs->log);
	ck_assert_int_eq(pthread_create(&thread, NULL, forget, ino), 0);
	while (!is_dying(*ino))
		sched_yield();
	return thread;
}

static void *statfs_now(void *context)
{
	fs_statfs(i.fs, context);
	return NULL;
}

START_TEST(statfs_waits_for_what_is_being_freed)
{
	pthread_t thread, forgetting;
	uint64_t ino = make_scattered("f", 60);
	struct fs_statfs s;

	image_unlink(&i, INODE_ROOT, "f");
	forgetting = start_forget(&ino);
	ck_assert_int_eq(pthread_create(&thread, NULL, statfs_now, &s), 0);
	for (unsigned n = 0; n < 1000; n++)
		sched_yield();
	log_thaw(i.fs->log);
	pthread_join(thread, NULL);
	pthread_join(forgetting, NULL);
	ck_assert_uint_eq(s.free_blocks, before.free_blocks);
	ck_assert_uint_eq(s.free_inodes, before.free_inodes);
}
END_TEST

START_TEST(statfs_waits_for_all_that_is_forgotten_together)
{
	struct fs_freeing together;
	struct fs_statfs s;
	pthread_t thread;
	uint64_t inos[3];
	char name[8];

	for (unsigned n = 0; n < 3; n++) {
		snprintf(name, sizeof(name), "%u", n);
		inos[n] = make_scattered(name, 40);
		image_unlink(&i, INODE_ROOT, name);
	}
	fs_forget_begin(i.fs, &together);
	fs_forget(i.fs, inos[0], 1);
	ck_assert_int_eq(pthread_create(&thread, NULL, statfs_now, &s), 0);
	for (unsigned n = 0; n < 1000; n++)
		sched_yield();
	fs_forget(i.fs, inos[1], 1);
	fs_forget(i.fs, inos[2], 1);
	fs_forget_end(i.fs, &together);

	pthread_join(thread, NULL);
	ck_assert_uint_eq(s.free_blocks, before.free_blocks);
}
END_TEST

enum full_op { FULL_WRITE, FULL_MAKE, FULL_LINK, FULL_RENAME, FULL_TRUNCATE, FULL_NR };

struct attempt {
	enum full_op op;
	uint64_t file, dir;
	int result;
};

/* What needs a block, where there is none. */
static void *attempt(void *context)
{
	static const char data[2048];
	const struct fs_new what = {.mode = S_IFDIR | 0700};
	char name[200] = {0}; /* too long for an inode */
	struct attempt *a = context;
	struct fs_attr attr = {.size = 5000};

	memset(name, 'n', sizeof(name) - 1);
	switch (a->op) {
	case FULL_WRITE:
		a->result = (int)fs_write(i.fs, a->file, 0, data, sizeof(data));
		break;
	case FULL_MAKE:
		a->result = fs_make(i.fs, a->dir, name, &what, &attr);
		break;
	case FULL_LINK:
		a->result = fs_link(i.fs, a->file, a->dir, name, &attr);
		break;
	case FULL_RENAME:
		a->result =
			fs_rename(i.fs, &(struct fs_names){INODE_ROOT, "small", a->dir, name}, 0);
		break;
	default:
		a->result = fs_setattr(i.fs, a->file, &attr, FS_SET_SIZE, &attr);
	}
	return NULL;
}

START_TEST(who_finds_no_space_waits_for_what_is_being_freed)
{
	struct attempt a = {.op = (enum full_op)_i};
	uint64_t ino = make_scattered("freed", 100);
	pthread_t thread, forgetting;

	a.file = image_make(&i, INODE_ROOT, "small", S_IFREG | 0600);
	image_write(&i, a.file, 0, "inline", 6);
	a.dir = image_make(&i, INODE_ROOT, "dir", S_IFDIR | 0700);
	fill();
	attempt(&a);
	ck_assert_int_eq(a.result, -ENOSPC);
	image_unlink(&i, INODE_ROOT, "freed");
	forgetting = start_forget(&ino);
	ck_assert_int_eq(pthread_create(&thread, NULL, attempt, &a), 0);
	for (unsigned n = 0; n < 1000; n++)
		sched_yield();
	log_thaw(i.fs->log);
	pthread_join(thread, NULL);
	pthread_join(forgetting, NULL);
	ck_assert_int_eq(a.result, a.op == FULL_WRITE ? 2048 : 0);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("orphan"), *waits = tcase_create("waits");
	TCase *const cases[] = {tc, waits, NULL};

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_checked_fixture(waits, setup, teardown);
	tcase_add_test(tc, a_file_unlinked_while_referenced_is_whole_until_it_is_forgotten);
	tcase_add_test(tc, a_directory_removed_while_referenced_takes_no_names);
	tcase_add_test(tc, orphans_of_every_type_are_freed_at_the_next_mount);
	tcase_add_loop_test(tc, a_truncate_cut_short_by_a_crash_is_finished_at_the_next_mount, 0,
			    2);
	tcase_add_test(tc, an_orphan_that_cannot_be_freed_now_is_freed_at_the_unmount);
	tcase_add_loop_test(waits, statfs_waits_for_what_is_being_freed, 0, 20);
	tcase_add_loop_test(waits, statfs_waits_for_all_that_is_forgotten_together, 0, 20);
	tcase_add_loop_test(waits, who_finds_no_space_waits_for_what_is_being_freed, 0, FULL_NR);
	return image_run("orphan", cases);
}
