/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is kept for an inode that the kernel knows: how little, and that nothing is lost with the rest. */
#include "image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ialloc.h"
#include "itable.h"

#define NR_NUMBERS 3000u

static struct image i;

/* Counts by number, against an array. */

/* Runs of 24: a slot and a half. */
static uint64_t number(unsigned n)
{
	return (uint64_t)(n / 24) << 30 | n % 24;
}

static bool is_nameless(unsigned n)
{
	return n % 5 == 0;
}

static void compare(const struct known *k, const uint32_t *model)
{
	uint64_t used = UINT64_MAX;
	size_t nr = 0;

	for (unsigned n = 0; n < NR_NUMBERS; n++) {
		ck_assert_uint_eq(known_count(k, number(n)), model[n]);
		ck_assert_int_eq(known_is_nameless(k, number(n)), model[n] && is_nameless(n));
		if (model[n] && number(n) / KNOWN_PER_SLOT != used) {
			used = number(n) / KNOWN_PER_SLOT;
			nr++;
		}
	}
	ck_assert_uint_eq(k->nr_used, nr);
}

/* First more come than go, then all go. */
START_TEST(counts_are_what_was_added_less_what_was_dropped)
{
	static uint32_t model[NR_NUMBERS];
	struct known k = {0};
	uint64_t seed = image_seed("known");

	for (unsigned step = 0; step < 40000; step++) {
		unsigned n = (unsigned)(image_random(&seed) >> 33) % NR_NUMBERS;
		uint32_t nr = 1 + (uint32_t)(image_random(&seed) >> 33) % 3;

		if (model[n] == 0 && step < 30000) {
			ck_assert_int_eq(known_add(&k, number(n), nr, is_nameless(n)), 0);
			model[n] = nr;
		} else {
			known_drop(&k, number(n), nr);
			model[n] -= nr < model[n] ? nr : model[n];
		}
		if (step % 1000 == 0)
			compare(&k, model);
	}
	for (unsigned n = 0; n < NR_NUMBERS; n++)
		known_drop(&k, number(n), UINT64_MAX);
	memset(model, 0, sizeof(model));
	compare(&k, model);
	ck_assert_uint_lt(k.nr_slots, 100);
	known_finish(&k);
}
END_TEST

/* Inodes in memory */

static void setup(void)
{
	image_init(&i, UINT64_C(64) << 20, 4096);
	image_mount(&i);
	i.fs->inodes->max_idle = 0;
}

static void teardown(void)
{
	if (i.fs)
		image_unmount(&i);
	image_check(&i);
	image_finish(&i);
}

struct counts {
	size_t in_memory, known, known_bytes;
};

static size_t nr_known(const struct known *k)
{
	size_t nr = 0;

	for (size_t slot = 0; slot < k->nr_slots; slot++)
		for (unsigned n = 0; n < KNOWN_PER_SLOT; n++)
			nr += k->slots[slot].counts[n] != 0;
	return nr;
}

static struct counts count(void)
{
	struct counts sum = {0};

	for (unsigned n = 0; n < INODE_NR_SHARDS; n++) {
		const struct inode_shard *s = &i.fs->inodes->shards[n];

		sum.in_memory += s->nr_inodes;
		sum.known += nr_known(&s->known);
		sum.known_bytes += s->known.nr_slots * sizeof(s->known.slots[0]);
	}
	return sum;
}

static unsigned nr_orphans(void)
{
	unsigned sum = 0;

	for (uint32_t g = 0; g < i.geo.nr_groups; g++)
		sum += i.fs->groups[g].nr_orphans;
	return sum;
}

static void numbered(char name[16], unsigned n)
{
	snprintf(name, 16, "%u", n);
}

START_TEST(a_known_inode_costs_5_bytes_and_only_the_last_used_more)
{
	enum { NR = 100000 };
	struct mkfs_options o = {.block_bytes = 4096, .nr_inodes = NR + NR / 2};
	uint64_t *inos = calloc(NR, sizeof(*inos));
	struct counts c;
	char name[16];

	image_unmount(&i);
	image_finish(&i);
	image_init(&i, UINT64_C(512) << 20, 4096);
	ck_assert_int_eq(mkfs_format(i.engine, &o, &i.geo), 0);
	image_mount(&i);
	for (unsigned n = 0; n < NR; n++) {
		numbered(name, n);
		inos[n] = image_make(&i, INODE_ROOT, name, S_IFREG | 0600);
	}
	c = count();
	ck_assert_uint_le(c.in_memory, INODE_MAX_IDLE + 1);
	ck_assert_uint_eq(c.in_memory + c.known, NR);
	ck_assert_uint_le(c.known_bytes, 5 * c.known);
	for (unsigned n = 0; n < NR; n++) {
		ck_assert_uint_eq(image_attr(&i, inos[n]).ino, inos[n]);
		fs_forget(i.fs, inos[n], 1);
	}
	c = count();
	ck_assert_uint_eq(c.known + c.in_memory, 0);
	ck_assert_uint_lt(c.known_bytes, 65536);
	free(inos);
}
END_TEST

START_TEST(one_that_was_let_go_is_not_free_before_its_last_lookup)
{
	uint64_t ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0640);

	image_write(&i, ino, 5000, "x", 1);
	ck_assert_uint_eq(image_lookup(&i, INODE_ROOT, "f"), ino);
	ck_assert_uint_eq(count().in_memory, 0);
	image_unlink(&i, INODE_ROOT, "f");
	ck_assert_uint_eq(count().in_memory, 0);
	fs_forget(i.fs, ino, 1);
	ck_assert_uint_eq(nr_orphans(), 1);
	ck_assert_uint_eq(image_attr(&i, ino).size, 5001);
	ck_assert_uint_eq(image_attr(&i, ino).nlink, 0);
	fs_forget(i.fs, ino, 1);
	ck_assert_uint_eq(nr_orphans(), 0);
	ck_assert_uint_eq(count().in_memory + count().known, 0);
}
END_TEST

START_TEST(one_without_a_name_is_written_and_read_after_it_was_let_go)
{
	uint64_t ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0640);
	char byte;

	image_unlink(&i, INODE_ROOT, "f");
	image_write(&i, ino, 5000, "x", 1);
	ck_assert_uint_eq(count().in_memory, 0);
	ck_assert_int_eq(fs_read(i.fs, ino, 5000, &byte, 1), 1);
	ck_assert_int_eq(byte, 'x');
	fs_forget(i.fs, ino, 1);
	ck_assert_uint_eq(nr_orphans(), 0);
}
END_TEST

START_TEST(unmounting_frees_those_without_a_name_that_were_let_go)
{
	uint64_t free_inodes = image_statfs(&i).free_inodes;
	char name[16];

	for (unsigned n = 0; n < 100; n++) {
		numbered(name, n);
		image_write(&i, image_make(&i, INODE_ROOT, name, S_IFREG | 0640), 0, "x", 1);
		image_unlink(&i, INODE_ROOT, name);
	}
	ck_assert_uint_eq(count().in_memory, 0);
	ck_assert_uint_eq(count().known, 100);
	image_unmount(&i);
	/* without a recovery */
	i.options.read_only = true;
	image_mount(&i);
	ck_assert_uint_eq(nr_orphans(), 0);
	ck_assert_uint_eq(image_statfs(&i).free_inodes, free_inodes);
}
END_TEST

START_TEST(one_without_a_name_that_cannot_be_read_is_freed_later)
{
	const struct bufio_fault fault = {.ops = BUFIO_FAULT_READ, .error = -EIO};
	uint64_t ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0640);

	image_unlink(&i, INODE_ROOT, "f");
	image_settle(&i);
	ck_assert_int_eq(bufio_write_dirty_buffers(i.fs->bufio), 0);
	bufio_forget(i.fs->bufio, geo_inode_block(&i.geo, ino));
	bufio_engine_fault_set(i.engine, &fault);
	fs_forget(i.fs, ino, 1);
	bufio_engine_fault_set(i.engine, NULL);
	ck_assert_uint_eq(count().known, 0);
	ck_assert_uint_eq(nr_orphans(), 1);
	ck_assert_int_eq(inode_recover_orphans(i.fs), 0);
	ck_assert_uint_eq(nr_orphans(), 0);
}
END_TEST

START_TEST(forgetting_one_that_was_let_go_reads_nothing)
{
	uint64_t ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0640);
	uint64_t other = image_make(&i, INODE_ROOT, "g", S_IFREG | 0640);

	ck_assert_uint_eq(image_lookup(&i, INODE_ROOT, "f"), ino);
	image_settle(&i);
	ck_assert_int_eq(bufio_write_dirty_buffers(i.fs->bufio), 0);
	bufio_forget(i.fs->bufio, geo_inode_block(&i.geo, ino));
	image_count_from(&i, BUFIO_FAULT_READ);
	fs_forget(i.fs, ino, 1);
	ck_assert_uint_eq(count().known, 2);
	fs_forget(i.fs, ino, 1);
	ck_assert_uint_eq(count().known, 1);
	fs_forget(i.fs, other, 1);
	ck_assert_uint_eq(count().known, 0);
	ck_assert_uint_eq(image_counted(&i), 0);
}
END_TEST

START_TEST(one_that_cannot_be_read_again_keeps_its_lookups)
{
	const struct bufio_fault fault = {.ops = BUFIO_FAULT_READ, .error = -EIO};
	uint64_t ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0640);
	struct fs_attr attr;

	image_settle(&i);
	ck_assert_int_eq(bufio_write_dirty_buffers(i.fs->bufio), 0);
	bufio_forget(i.fs->bufio, geo_inode_block(&i.geo, ino));
	bufio_engine_fault_set(i.engine, &fault);
	ck_assert_int_eq(fs_getattr(i.fs, ino, &attr), -EIO);
	bufio_engine_fault_set(i.engine, NULL);
	ck_assert_uint_eq(count().known, 1);
	image_unlink(&i, INODE_ROOT, "f");
	ck_assert_uint_eq(image_attr(&i, ino).nlink, 0);
	fs_forget(i.fs, ino, 1);
	ck_assert_uint_eq(nr_orphans(), 0);
}
END_TEST

START_TEST(a_file_without_a_name_stays_and_can_get_one)
{
	struct fs_new what = {.mode = S_IFREG | 0600};
	struct fs_attr attr;

	ck_assert_int_eq(fs_make_nameless(i.fs, INODE_ROOT, &what, &attr), 0);
	ck_assert_uint_eq(count().in_memory, 1);
	ck_assert_int_eq(fs_link(i.fs, attr.ino, INODE_ROOT, "f", &attr), 0);
	ck_assert_uint_eq(count().in_memory, 0);
	fs_forget(i.fs, attr.ino, 2);
	ck_assert_uint_eq(image_lookup(&i, INODE_ROOT, "f"), attr.ino);
	fs_forget(i.fs, attr.ino, 1);
}
END_TEST

/* Written in place, let go, synced: the range that was to be synced went with it. */
START_TEST(fsync_of_one_that_was_let_go_has_its_data_durable)
{
	uint64_t ino = image_make(&i, INODE_ROOT, "f", S_IFREG | 0640);
	uint8_t *copy = malloc((size_t)64 << 20);
	char old[4096], now[4096];

	memset(old, 'o', sizeof(old));
	memset(now, 'n', sizeof(now));
	image_write(&i, ino, 0, old, sizeof(old));
	/* no image of it is left in the log, so it is written in place */
	ck_assert_int_eq(fs_sync(i.fs), 0);
	image_settle(&i);
	image_write(&i, ino, 0, now, sizeof(now));
	ck_assert_uint_eq(count().in_memory, 0);
	ck_assert_int_eq(fs_fsync(i.fs, ino, true), 0);
	ck_assert_int_eq(bufio_engine_mem_peek(i.mem, 0, copy, (size_t)64 << 20), 0);
	ck_assert(memmem(copy, (size_t)64 << 20, now, sizeof(now)) != NULL);
	free(copy);
}
END_TEST

/* Read files have an access time that only memory knows: they stay until it is stored, and then they go. */
START_TEST(access_times_are_stored_before_too_many_inodes_stay_for_them)
{
	enum { NR = INODE_MAX_TIMES + 2000 };
	struct mkfs_options o = {.block_bytes = 4096, .nr_inodes = NR + NR / 2};
	uint64_t first = 0;
	struct timespec made;
	char name[16], byte;

	image_unmount(&i);
	image_finish(&i);
	image_init(&i, UINT64_C(64) << 20, 4096);
	ck_assert_int_eq(mkfs_format(i.engine, &o, &i.geo), 0);
	image_mount(&i);
	i.fs->inodes->max_idle = 0;
	for (unsigned n = 0; n < NR; n++) {
		uint64_t ino;

		numbered(name, n);
		ino = image_make(&i, INODE_ROOT, name, S_IFREG | 0600);
		image_write(&i, ino, 0, "x", 1);
		first = first ? first : ino;
	}
	made = image_attr(&i, first).atime;
	for (unsigned n = 0; n < NR; n++)
		ck_assert_int_eq(fs_read(i.fs, first + n, 0, &byte, 1), 1);
	ck_assert_uint_gt(count().in_memory, INODE_MAX_TIMES / 2);
	ck_assert_uint_le(count().in_memory, INODE_MAX_TIMES + 1);
	ck_assert_int_eq(fs_sync(i.fs), 0);
	ck_assert_uint_eq(count().in_memory, 0);
	ck_assert(image_attr(&i, first).atime.tv_nsec != made.tv_nsec ||
		  image_attr(&i, first).atime.tv_sec != made.tv_sec);
}
END_TEST

int main(void)
{
	TCase *counts = tcase_create("counts"), *inodes = tcase_create("inodes");
	TCase *const cases[] = {counts, inodes, NULL};

	tcase_add_test(counts, counts_are_what_was_added_less_what_was_dropped);
	tcase_add_checked_fixture(inodes, setup, teardown);
	tcase_add_test(inodes, a_known_inode_costs_5_bytes_and_only_the_last_used_more);
	tcase_add_test(inodes, one_that_was_let_go_is_not_free_before_its_last_lookup);
	tcase_add_test(inodes, one_without_a_name_is_written_and_read_after_it_was_let_go);
	tcase_add_test(inodes, unmounting_frees_those_without_a_name_that_were_let_go);
	tcase_add_test(inodes, one_without_a_name_that_cannot_be_read_is_freed_later);
	tcase_add_test(inodes, forgetting_one_that_was_let_go_reads_nothing);
	tcase_add_test(inodes, one_that_cannot_be_read_again_keeps_its_lookups);
	tcase_add_test(inodes, a_file_without_a_name_stays_and_can_get_one);
	tcase_add_test(inodes, fsync_of_one_that_was_let_go_has_its_data_durable);
	tcase_add_test(inodes, access_times_are_stored_before_too_many_inodes_stay_for_them);
	return image_run("known", cases);
}
