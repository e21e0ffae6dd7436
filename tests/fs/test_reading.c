/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads that go on without the thread that started them: what they give, and who waits for them. */
#include "image.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "itable.h"
#include "log.h"

#define BLOCK  4096u
#define BLOCKS 32u
#define SIZE   (BLOCKS * BLOCK)

static struct image i;
static uint64_t ino;

/* An engine that keeps reads nobody waits for until it is told to go on. */
struct parking {
	struct bufio_engine head;
	struct bufio_engine *below;
	struct bufio_io *parked;
};
static struct parking parking;

static void park(struct bufio_engine *e, struct bufio_io *const *ios, unsigned nr)
{
	for (unsigned n = 0; n < nr; n++) {
		if (ios[n]->op == BUFIO_OP_READ && ios[n]->flags & BUFIO_IO_UNAWAITED)
			parking.parked = ios[n];
		else
			parking.below->ops->submit(parking.below, ios + n, 1);
	}
}

static int park_transfer(struct bufio_engine *e, struct bufio_io *io)
{
	return parking.below->ops->transfer(parking.below, io);
}

static int park_flush(struct bufio_engine *e)
{
	return parking.below->ops->flush(parking.below);
}

static int park_discard(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes)
{
	return parking.below->ops->discard(parking.below, offset_bytes, size_bytes);
}

static int park_zero(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes)
{
	return parking.below->ops->zero(parking.below, offset_bytes, size_bytes);
}

static void park_destroy(struct bufio_engine *e)
{
	bufio_engine_destroy(parking.below);
}

static void unpark(void)
{
	ck_assert_ptr_nonnull(parking.parked);
	parking.below->ops->submit(parking.below, &parking.parked, 1);
}

/* A read and how it ended. */
struct ended {
	struct fs_reading reading;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool done; /* lock */
	ssize_t n; /* lock */
};
static struct ended ended = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static void note_end(struct fs_reading *reading, ssize_t n)
{
	pthread_mutex_lock(&ended.lock);
	ended.done = true;
	ended.n = n;
	pthread_cond_signal(&ended.wake);
	pthread_mutex_unlock(&ended.lock);
}

static ssize_t wait_end(void)
{
	pthread_mutex_lock(&ended.lock);
	while (!ended.done)
		pthread_cond_wait(&ended.wake, &ended.lock);
	pthread_mutex_unlock(&ended.lock);
	return ended.n;
}

static ssize_t start(uint64_t offset, size_t size)
{
	ended.done = false;
	ended.reading = (struct fs_reading){.ino = ino,
					    .offset = offset,
					    .size = size,
					    .data = ended.reading.data,
					    .done = note_end};
	return fs_read_start(i.fs, &ended.reading);
}

static uint8_t *data(void)
{
	return ended.reading.data;
}

/* A file of 1, 2, 3... by blocks that is not cached, and lacks the last 100 bytes of its last block. */
static void make_file(void)
{
	static uint8_t bytes[SIZE];

	for (unsigned n = 0; n < BLOCKS; n++)
		memset(bytes + n * BLOCK, (int)n + 1, BLOCK);
	ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0644);
	image_write(&i, ino, 0, bytes, SIZE - 100);
	image_remount(&i);
	ino = image_lookup(&i, INODE_ROOT, "f");
}

static void setup(void)
{
	static const struct bufio_engine_ops ops = {.submit = park,
						    .transfer = park_transfer,
						    .flush = park_flush,
						    .discard = park_discard,
						    .zero = park_zero,
						    .destroy = park_destroy};

	image_init(&i, 16 << 20, BLOCK);
	parking = (struct parking){.head = *i.engine, .below = i.engine};
	parking.head.ops = &ops;
	i.engine = &parking.head;
	ended.reading.data = aligned_alloc(BLOCK, SIZE);
	ck_assert_ptr_nonnull(ended.reading.data);
	image_mount(&i);
	make_file();
}

static void teardown(void)
{
	image_unmount(&i);
	image_check(&i);
	bufio_engine_destroy(i.engine);
	free(ended.reading.data);
}

START_TEST(a_read_of_what_is_on_the_device_does_not_wait_for_it)
{
	ck_assert_int_eq(start(2 * BLOCK, 4 * BLOCK), -EINPROGRESS);
	ck_assert(!ended.done);
	unpark();
	ck_assert_int_eq(wait_end(), 4 * BLOCK);
	for (unsigned n = 0; n < 4; n++)
		ck_assert_uint_eq(data()[n * BLOCK], n + 3);
}
END_TEST

START_TEST(the_last_block_comes_as_far_as_the_file_goes)
{
	ck_assert_int_eq(start(SIZE - BLOCK, 2 * BLOCK), -EINPROGRESS);
	unpark();
	ck_assert_int_eq(wait_end(), BLOCK - 100);
	ck_assert_uint_eq(data()[BLOCK - 101], BLOCKS);
}
END_TEST

START_TEST(parts_of_blocks_and_what_is_behind_the_end_are_there_at_once)
{
	ck_assert_int_eq(start(BLOCK - 1, 2), 2);
	ck_assert_uint_eq(data()[0], 1);
	ck_assert_uint_eq(data()[1], 2);
	ck_assert_int_eq(start(SIZE, BLOCK), 0);
	ck_assert(!ended.done);
}
END_TEST

START_TEST(a_device_that_fails_is_told_to_who_reads)
{
	struct bufio_fault fault = {.ops = BUFIO_FAULT_READ, .error = -EIO};

	ck_assert_int_eq(start(0, BLOCK), -EINPROGRESS);
	bufio_engine_fault_set(parking.below, &fault);
	unpark();
	ck_assert_int_eq(wait_end(), -EIO);
	bufio_engine_fault_set(parking.below, NULL);
}
END_TEST

/* What would give the blocks to another file, and the inode's memory back. */
struct taker {
	bool unlinks;  /* else it cuts */
	bool was_over; /* the read, when that was done */
};

static void *take_blocks(void *context)
{
	struct fs_attr attr = {.size = 0};
	struct taker *taker = context;

	if (taker->unlinks)
		image_unlink(&i, INODE_ROOT, "f");
	else
		ck_assert_int_eq(fs_setattr(i.fs, ino, &attr, FS_SET_SIZE, &attr), 0);
	fs_forget(i.fs, ino, 1);
	pthread_mutex_lock(&ended.lock);
	taker->was_over = ended.done;
	pthread_mutex_unlock(&ended.lock);
	return NULL;
}

/* Time to go wrong in: who waits as it should is not held up by more than this, nor does the result depend on it. */
static void let_it_try(void)
{
	struct timespec t = {.tv_nsec = 100000000};

	nanosleep(&t, NULL);
}

/* 0: cut; 1: unlinked and forgotten. */
START_TEST(blocks_are_not_taken_away_under_a_read)
{
	struct taker taker = {.unlinks = _i};
	pthread_t thread;

	ck_assert_int_eq(start(0, SIZE), -EINPROGRESS);
	ck_assert_int_eq(pthread_create(&thread, NULL, take_blocks, &taker), 0);
	let_it_try();
	unpark();
	pthread_join(thread, NULL);
	ck_assert(taker.was_over);
	ck_assert_int_eq(wait_end(), SIZE - 100);
	ck_assert_uint_eq(data()[BLOCK], 2);
}
END_TEST

/* For a front end whose threads hold back the reads they start: what they are told to let go of them by. */
static pthread_t reader;
static sem_t writer_waits;

static void let_go(void)
{
	if (!pthread_equal(pthread_self(), reader)) {
		sem_post(&writer_waits);
	} else if (parking.parked) {
		unpark();
		parking.parked = NULL;
	}
}

static void remount_with_let_go(void)
{
	image_unmount(&i);
	i.options.waits = let_go;
	image_mount(&i);
	ino = image_lookup(&i, INODE_ROOT, "f");
	reader = pthread_self();
	sem_init(&writer_waits, 0, 0);
}

/* Both would hang, and the tests time out. */
START_TEST(who_waits_for_its_own_reads_is_told_first)
{
	struct taker taker = {.unlinks = false};

	remount_with_let_go();
	ck_assert_int_eq(start(0, SIZE), -EINPROGRESS);
	take_blocks(&taker);
	ck_assert(taker.was_over);
	ck_assert_int_eq(wait_end(), SIZE - 100);
}
END_TEST

START_TEST(who_reads_what_a_writer_has_is_told_before_it_waits)
{
	struct taker taker = {.unlinks = false};
	pthread_t thread;
	uint8_t byte;

	remount_with_let_go();
	ck_assert_int_eq(start(0, SIZE), -EINPROGRESS);
	ck_assert_int_eq(pthread_create(&thread, NULL, take_blocks, &taker), 0);
	sem_wait(&writer_waits);
	/* the writer has the inode's lock, and waits for the read before */
	ck_assert_int_eq(fs_read(i.fs, ino, 0, &byte, 1), 0);
	pthread_join(thread, NULL);
	ck_assert(taker.was_over);
	ck_assert_int_eq(wait_end(), SIZE - 100);
}
END_TEST

static void *commit(void *context)
{
	ck_assert_int_eq(log_commit_open(i.fs->log), 0);
	return NULL;
}

/* A commit waits until no operation runs, and new ones wait for it. */
static void wait_for_commit(void)
{
	while (pthread_rwlock_tryrdlock(&i.fs->txn_lock) == 0) {
		pthread_rwlock_unlock(&i.fs->txn_lock);
		sched_yield();
	}
}

/* A read that finds too many access times to be stored begins an operation. */
START_TEST(who_stores_times_is_told_before_it_waits)
{
	uint64_t other = image_make(&i, INODE_ROOT, "other", S_IFREG | 0644);
	struct taker taker = {.unlinks = false};
	pthread_t writer, committer;
	uint8_t byte;

	image_write(&i, other, 0, "x", 1);
	remount_with_let_go();
	other = image_lookup(&i, INODE_ROOT, "other");
	ck_assert_int_eq(start(0, SIZE), -EINPROGRESS);
	ck_assert_int_eq(pthread_create(&writer, NULL, take_blocks, &taker), 0);
	sem_wait(&writer_waits);
	ck_assert_int_eq(pthread_create(&committer, NULL, commit, NULL), 0);
	wait_for_commit();
	atomic_fetch_add(&i.fs->inodes->nr_times, INODE_MAX_TIMES);
	ck_assert_int_eq(fs_read(i.fs, other, 0, &byte, 1), 1);
	atomic_fetch_sub(&i.fs->inodes->nr_times, INODE_MAX_TIMES);
	pthread_join(committer, NULL);
	pthread_join(writer, NULL);
	ck_assert(taker.was_over);
	ck_assert_int_eq(wait_end(), SIZE - 100);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("reading");
	TCase *const cases[] = {tc, NULL};

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_read_of_what_is_on_the_device_does_not_wait_for_it);
	tcase_add_test(tc, the_last_block_comes_as_far_as_the_file_goes);
	tcase_add_test(tc, parts_of_blocks_and_what_is_behind_the_end_are_there_at_once);
	tcase_add_test(tc, a_device_that_fails_is_told_to_who_reads);
	tcase_add_test(tc, who_waits_for_its_own_reads_is_told_first);
	tcase_add_test(tc, who_reads_what_a_writer_has_is_told_before_it_waits);
	tcase_add_test(tc, who_stores_times_is_told_before_it_waits);
	tcase_add_loop_test(tc, blocks_are_not_taken_away_under_a_read, 0, 2);
	return image_run("reading", cases);
}
