/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A check and its device.  One that fails: it ends, and what it did until then is no damage for the next one.  One that
 * works: what adjoins is read together.
 */
#include "image.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fsck.h"

#define SIZE	  (UINT64_C(64) << 20)
#define NR_BEFORE 300 /* names: more blocks than the cache of the check has */

static struct image i;

static void make_names(const char *prefix)
{
	char name[200];

	for (unsigned n = 0; n < NR_BEFORE; n++) {
		snprintf(name, sizeof(name), "%s%0150u", prefix, n);
		fs_forget(i.fs, image_make(&i, INODE_ROOT, name, S_IFREG | 0600), 1);
	}
}

/* A large root with lost+found in its midst, and a file whose directory is gone. */
static void make_lost(void)
{
	static const uint8_t noise[16] = "noise";
	uint64_t dir;

	image_init_mounted(&i, SIZE, 1024);
	make_names("a");
	fs_forget(i.fs, image_make(&i, INODE_ROOT, "lost+found", S_IFDIR | 0700), 1);
	make_names("b");
	dir = image_make(&i, INODE_ROOT, "dir", S_IFDIR | 0700);
	fs_forget(i.fs, image_make(&i, dir, "file", S_IFREG | 0600), 1);
	fs_forget(i.fs, dir, 1);
	image_unmount(&i);
	image_poke(&i, geo_inode_block(&i.geo, dir), geo_inode_offset(&i.geo, dir), noise,
		   sizeof(noise));
}

/* The block that has text in it, besides those of the log. */
static uint64_t find_block(const char *text)
{
	const struct geometry *g = &i.geo;
	uint8_t data[1024];

	for (uint64_t block = 0; block < g->nr_blocks; block++) {
		if (block >= g->log_start && block < g->log_start + g->log_blocks)
			continue;
		image_peek(&i, block, 0, data, sizeof(data));
		if (memmem(data, sizeof(data), text, strlen(text)))
			return block;
	}
	ck_abort_msg("no block has it");
	return 0;
}

static void hear(void *context, const struct check_problem *p)
{
	ck_assert_msg(strcmp(p->code, "dirent-twice") != 0, "read %u: %s",
		      *(const unsigned *)context, p->text);
}

/* Its result; with a block unreadable the nth time, if n is not 0. */
static int repair(unsigned n, uint64_t block, unsigned *ret_failed)
{
	const struct bufio_fault fault = {.ops = BUFIO_FAULT_READ,
					  .start_bytes = block << i.geo.block_shift,
					  .end_bytes = (block << i.geo.block_shift) + 1,
					  .first = n,
					  .count = 1,
					  .error = -EIO};
	struct check_options o = {
		.mode = CHECK_REPAIR, .cache_bytes = 1, .problem = hear, .context = &n};
	struct check_result result;
	int r;

	bufio_engine_fault_set(i.engine, n ? &fault : NULL);
	r = check_fs(i.engine, &o, &result);
	*ret_failed = bufio_engine_fault_failed(i.engine);
	bufio_engine_fault_set(i.engine, NULL);
	return r;
}

START_TEST(lost_found_that_cannot_be_read_is_not_made_twice)
{
	unsigned failed = 1, nr_failed = 0;

	for (unsigned n = 1; failed; n++) {
		unsigned none;
		int r;

		make_lost();
		r = repair(n, find_block("lost+found"), &failed);
		ck_assert_msg(r == 0 || r == -EIO, "read %u: %d", n, r);
		nr_failed += r == -EIO;
		ck_assert_int_eq(repair(0, 0, &none), 0);
		image_check(&i);
		image_finish(&i);
	}
	ck_assert_uint_gt(nr_failed, 0);
}
END_TEST

/* Each has some blocks and an index. */
static void make_dirs(unsigned nr)
{
	char name[128];

	for (unsigned d = 0; d < nr; d++) {
		uint64_t dir;

		snprintf(name, sizeof(name), "d%u", d);
		dir = image_make(&i, INODE_ROOT, name, S_IFDIR | 0700);
		for (unsigned n = 0; n < 40; n++) {
			snprintf(name, sizeof(name), "%064u", n);
			fs_forget(i.fs, image_make(&i, dir, name, S_IFREG | 0600), 1);
		}
		fs_forget(i.fs, dir, 1);
	}
}

/* Of a check with such a cache. */
static unsigned count_reads(size_t cache_bytes)
{
	const struct check_options o = {.mode = CHECK_REPORT, .cache_bytes = cache_bytes};
	struct check_result result;

	image_count_from(&i, BUFIO_FAULT_READ);
	ck_assert_int_eq(check_fs(i.engine, &o, &result), 0);
	ck_assert_uint_eq(result.dirs, 101);
	return image_counted(&i);
}

/* 4,141 inodes in 1,036 blocks, 303 blocks of directories. */
START_TEST(what_adjoins_is_read_together)
{
	image_init_mounted(&i, SIZE, 1024);
	make_dirs(100);
	image_unmount(&i);
	ck_assert_uint_lt(count_reads(0), 100);
	/* not all fits */
	ck_assert_uint_lt(count_reads(1 << 20), 300);
	image_finish(&i);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("check_io");
	TCase *const cases[] = {tc, NULL};

	tcase_add_test(tc, lost_found_that_cannot_be_read_is_not_made_twice);
	tcase_add_test(tc, what_adjoins_is_read_together);
	return image_run("check_io", cases);
}
