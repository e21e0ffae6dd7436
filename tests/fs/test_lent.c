/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes of lent data, which the device gets while the writer goes on. */
#include "bmap.h"
#include "gate.h"
#include "image.h"
#include "inode.h"
#include "lend.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BLOCK 4096u
#define LARGE (256u * BLOCK)

static struct image i;
static uint8_t *data, *found; /* of LARGE bytes */

static void setup(void)
{
	image_init_mounted(&i, 64 << 20, BLOCK);
	data = malloc(LARGE);
	found = malloc(LARGE);
	for (unsigned k = 0; k < LARGE; k++)
		data[k] = (uint8_t)(k / BLOCK + k * 7);
}

static void teardown(void)
{
	image_unmount(&i);
	image_check(&i);
	image_finish(&i);
	free(data);
	free(found);
}

static uint64_t make(void)
{
	return image_make(&i, INODE_ROOT, "f", S_IFREG | 0644);
}

static void write_lent(uint64_t ino, uint64_t offset, size_t size)
{
	ck_assert_int_eq(lend_write(i.fs, ino, offset, data, size), (ssize_t)size);
}

static void assert_found(uint64_t ino, uint64_t offset, const uint8_t *want, size_t size)
{
	ck_assert_int_eq(fs_read(i.fs, ino, offset, found, size), (ssize_t)size);
	ck_assert_mem_eq(found, want, size);
}

START_TEST(what_was_lent_is_read_and_survives_a_mount)
{
	uint64_t ino = make();

	write_lent(ino, 0, LARGE);
	assert_found(ino, 0, data, LARGE);
	assert_found(ino, 5000, data + 5000, 100);
	image_remount(&i);
	assert_found(image_lookup(&i, INODE_ROOT, "f"), 0, data, LARGE);
}
END_TEST

/* One transfer straight from the memory, when the write is made. */
START_TEST(a_large_write_is_one_transfer_and_nothing_stays_in_the_cache)
{
	uint64_t ino = make();
	struct bufio_stats before, after;

	image_settle(&i);
	bufio_get_stats(i.fs->bufio, &before);
	write_lent(ino, 0, LARGE);
	ck_assert_int_eq(bufio_write_unpinned(i.fs->bufio, 0, i.geo.nr_blocks), 0);
	bufio_get_stats(i.fs->bufio, &after);
	ck_assert_uint_eq(after.writes - before.writes, 1);
	ck_assert_uint_eq(after.written_bytes - before.written_bytes, LARGE);
	ck_assert_uint_lt(after.nr_buffers - before.nr_buffers, LARGE / BLOCK / 8);
}
END_TEST

START_TEST(cached_blocks_in_the_middle_get_the_new_contents)
{
	uint64_t ino = make();

	write_lent(ino, 0, LARGE);
	ck_assert_int_eq(fs_write(i.fs, ino, 50 * BLOCK + 17, "in the cache", 12), 12);
	ck_assert_int_eq(fs_write(i.fs, ino, 70 * BLOCK, data, BLOCK), BLOCK);
	for (unsigned k = 0; k < LARGE; k++)
		data[k] ^= 0x55;
	write_lent(ino, 0, LARGE);
	assert_found(ino, 0, data, LARGE);
	ck_assert_int_eq(fs_fsync(i.fs, ino, true), 0);
	image_remount(&i);
	assert_found(image_lookup(&i, INODE_ROOT, "f"), 0, data, LARGE);
}
END_TEST

START_TEST(a_write_from_the_middle_of_a_block_to_that_of_another)
{
	static const uint8_t zeroes[100];
	uint64_t ino = make();

	write_lent(ino, 100, LARGE - 1000);
	assert_found(ino, 0, zeroes, 100);
	assert_found(ino, 100, data, LARGE - 1000);
	ck_assert_uint_eq(image_attr(&i, ino).size, LARGE - 900);
}
END_TEST

static void fail_writes(void)
{
	static const struct bufio_fault fault = {.ops = BUFIO_FAULT_WRITE, .error = -EIO};

	bufio_engine_fault_set(i.engine, &fault);
}

/* On the device, whatever the cache has. */
static void assert_on_device(uint64_t ino, uint64_t offset, const uint8_t *want, size_t size)
{
	struct inode *inode;
	struct mapping m;

	ck_assert_int_eq(inode_get(i.fs, ino, &inode), 0);
	for (size_t at = 0; at < size; at += BLOCK) {
		ck_assert_int_eq(bmap_lookup(inode, (offset + at) / BLOCK, 1, &m), 0);
		ck_assert_int_eq(bufio_engine_mem_peek(i.mem, m.physical * BLOCK, found, BLOCK), 0);
		ck_assert_mem_eq(found, want + at, BLOCK);
	}
	inode_put(inode);
}

/* The writer had its answer long before. */
START_TEST(fsync_tells_of_an_overwrite_that_failed_until_it_is_repeated)
{
	uint64_t ino = make();

	write_lent(ino, 0, LARGE);
	ck_assert_int_eq(fs_fsync(i.fs, ino, false), 0);
	memset(data, 'n', LARGE);
	fail_writes();
	write_lent(ino, 40 * BLOCK, LARGE / 2);
	ck_assert_int_eq(fs_fsync(i.fs, ino, true), -EIO);
	ck_assert_int_eq(fs_fsync(i.fs, ino, true), -EIO);
	assert_found(ino, 40 * BLOCK, data, LARGE / 2);
	bufio_engine_fault_set(i.engine, NULL);
	ck_assert_int_eq(fs_fsync(i.fs, ino, true), 0);
	assert_on_device(ino, 40 * BLOCK, data, LARGE / 2);
	image_remount(&i);
	assert_found(image_lookup(&i, INODE_ROOT, "f"), 40 * BLOCK, data, LARGE / 2);
}
END_TEST

/* A commit that cannot make its data durable stops the filesystem, whichever way the data went. */
START_TEST(new_data_that_failed_is_never_committed)
{
	uint64_t ino = make();

	ck_assert_int_eq(fs_fsync(i.fs, ino, false), 0);
	fail_writes();
	write_lent(ino, 0, LARGE);
	ck_assert_int_eq(fs_fsync(i.fs, ino, false), -EIO);
	ck_assert_int_eq(fs_write(i.fs, ino, 0, "x", 1), -EROFS);
	bufio_engine_fault_set(i.engine, NULL);
	fs_unmount(i.fs);
	i.fs = NULL;
	image_mount(&i);
	ck_assert_uint_eq(image_attr(&i, image_lookup(&i, INODE_ROOT, "f")).size, 0);
}
END_TEST

/* The device is slow; blocks that are still being written go to another file, and to directories. */
START_TEST(blocks_are_used_again_only_when_their_write_is_over)
{
	static const struct bufio_fault slow = {.ops = BUFIO_FAULT_WRITE, .delay_us = 2000};
	uint64_t ino, other;

	bufio_engine_fault_set(i.engine, &slow);
	for (unsigned k = 0; k < 30; k++) {
		ino = make();
		write_lent(ino, 0, LARGE);
		image_unlink(&i, INODE_ROOT, "f");
		fs_forget(i.fs, ino, 1);
		ck_assert_int_eq(fs_sync(i.fs), 0);
		other = image_make(&i, INODE_ROOT, "other", S_IFREG | 0644);
		memset(data, (int)k, LARGE);
		write_lent(other, 0, LARGE);
		assert_found(other, 0, data, LARGE);
		image_unlink(&i, INODE_ROOT, "other");
		fs_forget(i.fs, other, 1);
	}
	bufio_engine_fault_set(i.engine, NULL);
}
END_TEST

START_TEST(a_full_device_takes_what_fits)
{
	uint64_t ino = make(), offset = 0;
	ssize_t n;

	while ((n = lend_write(i.fs, ino, offset, data, LARGE)) == LARGE)
		offset += LARGE;
	ck_assert(n == -ENOSPC || (n > 0 && n < LARGE));
	ck_assert_uint_eq(image_attr(&i, ino).size, offset + (n > 0 ? (uint64_t)n : 0));
	assert_found(ino, offset - LARGE, data, LARGE);
}
END_TEST

static sem_t waiting;

static void note_waiting(void)
{
	sem_post(&waiting);
}

/* More than the cache has room for. */
static void *write_much(void *context)
{
	uint64_t ino = *(uint64_t *)context;

	for (unsigned k = 0; k < 8; k++)
		ck_assert_int_eq(fs_write(i.fs, ino, k * LARGE, data, LARGE), LARGE);
	return NULL;
}

/* Not lent, so all of it has to be in the cache, and the device takes nothing. */
START_TEST(who_waits_for_room_in_the_cache_says_so)
{
	struct image slow;
	struct bufio_engine *gate;
	pthread_t thread;
	uint64_t ino;

	image_init(&slow, 64 << 20, BLOCK);
	ck_assert_int_eq(gate_create(slow.engine, &gate), 0);
	slow.engine = gate;
	slow.options.cache_bytes = 4 * LARGE;
	slow.options.waits = note_waiting;
	image_unmount(&i);
	image_finish(&i);
	i = slow;
	image_mount(&i);
	ino = make();
	sem_init(&waiting, 0, 0);
	gate_close(gate, BUFIO_FAULT_WRITE);
	ck_assert_int_eq(pthread_create(&thread, NULL, write_much, &ino), 0);
	while (sem_wait(&waiting) < 0)
		;
	gate_open(gate);
	pthread_join(thread, NULL);
	sem_destroy(&waiting);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("lent"), *const cases[] = {tc, NULL};

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, what_was_lent_is_read_and_survives_a_mount);
	tcase_add_test(tc, a_large_write_is_one_transfer_and_nothing_stays_in_the_cache);
	tcase_add_test(tc, cached_blocks_in_the_middle_get_the_new_contents);
	tcase_add_test(tc, a_write_from_the_middle_of_a_block_to_that_of_another);
	tcase_add_test(tc, fsync_tells_of_an_overwrite_that_failed_until_it_is_repeated);
	tcase_add_test(tc, new_data_that_failed_is_never_committed);
	tcase_add_test(tc, blocks_are_used_again_only_when_their_write_is_over);
	tcase_add_test(tc, a_full_device_takes_what_fits);
	tcase_add_test(tc, who_waits_for_room_in_the_cache_says_so);
	return image_run("lent", cases);
}
