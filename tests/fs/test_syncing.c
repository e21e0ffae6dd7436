/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fs_fsync_start(): who syncs while another thread commits is told by that one. */
#include "gate.h"
#include "image.h"
#include "told.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>

#include "log.h"

#define BLOCK 1024u

static struct image i;
static struct bufio_engine *fault;

static void setup(void)
{
	struct bufio_engine *gate;

	image_init(&i, 32 << 20, BLOCK);
	fault = i.engine;
	ck_assert_int_eq(gate_create(fault, &gate), 0);
	i.engine = gate;
	image_mount(&i);
}

static void teardown(void)
{
	image_finish(&i);
}

/* The first to sync: it commits, and its record is kept back. */
static struct told first;
static pthread_t first_thread;

static void *first_main(void *context)
{
	uint64_t *ino = context;

	ck_assert_int_eq(told_start(&first, i.fs, *ino, false), -EINPROGRESS);
	return NULL;
}

static void begin_first(uint64_t *ino)
{
	gate_close(i.engine, BUFIO_FAULT_WRITE);
	ck_assert_int_eq(pthread_create(&first_thread, NULL, first_main, ino), 0);
	gate_wait(i.engine, 1);
}

static void end_first(int r)
{
	ck_assert_int_eq(pthread_join(first_thread, NULL), 0);
	ck_assert_int_eq(told_wait(&first), r);
	ck_assert_uint_eq(first.nr, 1);
}

START_TEST(who_commits_goes_on_for_those_who_came_meanwhile)
{
	uint64_t one = image_make(&i, INODE_ROOT, "one", S_IFREG | 0600), two;
	struct told second, third;

	begin_first(&one);
	two = image_make(&i, INODE_ROOT, "two", S_IFREG | 0600);
	/* two comes for the next commit, one for this */
	ck_assert_int_eq(told_start(&second, i.fs, two, false), -EINPROGRESS);
	ck_assert_int_eq(told_start(&third, i.fs, one, false), -EINPROGRESS);
	gate_pass(i.engine, 0);
	ck_assert_int_eq(told_wait(&third), 0);
	gate_wait(i.engine, 1);
	ck_assert_uint_eq(first.nr, 1);
	ck_assert_uint_eq(second.nr, 0);
	gate_open(i.engine);
	end_first(0);
	ck_assert_int_eq(told_wait(&second), 0);
	ck_assert_uint_eq(second.nr, 1);
	ck_assert_uint_eq(third.nr, 1);
	ck_assert(!i.fs->log->served);
	ck_assert_ptr_null(i.fs->log->syncing);
}
END_TEST

/* It is durable with the record, so who syncs the file again waits for that too. */
START_TEST(contents_that_ride_in_a_record_are_waited_for_by_the_next_sync)
{
	uint64_t ino = image_make(&i, INODE_ROOT, "file", S_IFREG | 0600);
	struct told again;
	char data[BLOCK];

	memset(data, 'o', BLOCK);
	image_write(&i, ino, 0, data, BLOCK);
	image_settle(&i);
	image_make(&i, INODE_ROOT, "other", S_IFREG | 0600);
	memset(data, 'n', BLOCK);
	image_write(&i, ino, 0, data, BLOCK);
	begin_first(&ino);
	ck_assert_int_eq(told_start(&again, i.fs, ino, true), -EINPROGRESS);
	ck_assert_uint_eq(again.nr, 0);
	gate_open(i.engine);
	end_first(0);
	ck_assert_int_eq(told_wait(&again), 0);
}
END_TEST

static void *checkpoint_main(void *context)
{
	ck_assert_int_eq(log_checkpoint(i.fs->log), 0);
	return NULL;
}

static unsigned waiting_checkpoints(void)
{
	struct log *l = i.fs->log;
	unsigned nr;

	pthread_mutex_lock(&l->lock);
	nr = l->nr_checkpoints;
	pthread_mutex_unlock(&l->lock);
	return nr;
}

/* Or those who sync all the time would keep it away, until the log is full. */
START_TEST(a_checkpoint_comes_before_the_next_commit)
{
	uint64_t one = image_make(&i, INODE_ROOT, "one", S_IFREG | 0600), two;
	struct told second;
	pthread_t checkpoint;

	begin_first(&one);
	two = image_make(&i, INODE_ROOT, "two", S_IFREG | 0600);
	ck_assert_int_eq(told_start(&second, i.fs, two, false), -EINPROGRESS);
	ck_assert_int_eq(pthread_create(&checkpoint, NULL, checkpoint_main, NULL), 0);
	while (!waiting_checkpoints())
		sched_yield();
	gate_pass(i.engine, 0);
	gate_wait(i.engine, 1);
	ck_assert_uint_eq(waiting_checkpoints(), 0);
	ck_assert_uint_eq(second.nr, 0);
	gate_open(i.engine);
	end_first(0);
	ck_assert_int_eq(told_wait(&second), 0);
	ck_assert_int_eq(pthread_join(checkpoint, NULL), 0);
}
END_TEST

static void *sync_main(void *context)
{
	ck_assert_int_eq(fs_sync(i.fs), 0);
	return NULL;
}

/* fs_sync() waits for one that stays to commit, or commits, for itself and for those that are to be told. */
START_TEST(who_waits_is_served_beside_those_who_are_told)
{
	uint64_t one = image_make(&i, INODE_ROOT, "one", S_IFREG | 0600), two;
	struct told second;
	pthread_t other;

	begin_first(&one);
	two = image_make(&i, INODE_ROOT, "two", S_IFREG | 0600);
	ck_assert_int_eq(pthread_create(&other, NULL, sync_main, NULL), 0);
	ck_assert_int_eq(told_start(&second, i.fs, two, false), -EINPROGRESS);
	gate_open(i.engine);
	end_first(0);
	ck_assert_int_eq(told_wait(&second), 0);
	ck_assert_int_eq(pthread_join(other, NULL), 0);
	image_unmount(&i);
	image_check(&i);
}
END_TEST

START_TEST(all_are_told_of_a_record_that_fails)
{
	static const struct bufio_fault writes = {.ops = BUFIO_FAULT_WRITE, .error = -EIO};
	uint64_t one = image_make(&i, INODE_ROOT, "one", S_IFREG | 0600), two;
	struct told second, third;

	begin_first(&one);
	two = image_make(&i, INODE_ROOT, "two", S_IFREG | 0600);
	ck_assert_int_eq(told_start(&second, i.fs, two, false), -EINPROGRESS);
	ck_assert_int_eq(told_start(&third, i.fs, one, false), -EINPROGRESS);
	bufio_engine_fault_set(fault, &writes);
	gate_open(i.engine);
	end_first(-EIO);
	ck_assert_int_eq(told_wait(&second), -EIO);
	ck_assert_int_eq(told_wait(&third), -EIO);
	ck_assert_int_eq(told_fsync(i.fs, two, false), -EIO);
}
END_TEST

START_TEST(what_is_durable_is_not_told)
{
	uint64_t ino = image_make(&i, INODE_ROOT, "file", S_IFREG | 0600);
	struct told t;

	ck_assert_int_eq(fs_sync(i.fs), 0);
	ck_assert_int_eq(told_start(&t, i.fs, ino, false), 0);
	ck_assert_uint_eq(t.nr, 0);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("syncing"), *const cases[] = {tc, NULL};

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, who_commits_goes_on_for_those_who_came_meanwhile);
	tcase_add_test(tc, contents_that_ride_in_a_record_are_waited_for_by_the_next_sync);
	tcase_add_test(tc, a_checkpoint_comes_before_the_next_commit);
	tcase_add_test(tc, who_waits_is_served_beside_those_who_are_told);
	tcase_add_test(tc, all_are_told_of_a_record_that_fails);
	tcase_add_test(tc, what_is_durable_is_not_told);
	return image_run("syncing", cases);
}
