/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The device as it would be after a replay: the same bytes wherever one looks, in little memory whatever the log says. */
#include "image.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "log.h"
#include "log_record.h"
#include "open.h"
#include "super.h"

#define SIZE   (64u << 20)
#define SECTOR 512u

static struct image i;

static void teardown(void)
{
	image_finish(&i);
}

/* As a crash leaves it: committed, nothing in its place. */
static void crash(void)
{
	ck_assert_int_eq(log_commit_open(i.fs->log), 0);
	fs_close(i.fs);
	i.fs = NULL;
}

/* Many small changes, so that blocks have pieces from several records. */
static void setup(void)
{
	char name[16];

	image_init_mounted(&i, SIZE, 4096);
	for (unsigned n = 0; n < 60; n++) {
		snprintf(name, sizeof(name), "file%u", n);
		image_write(&i, image_make(&i, INODE_ROOT, name, S_IFREG | 0644), 0, name,
			    sizeof(name));
		if (n % 3 == 2)
			image_unlink(&i, INODE_ROOT, name);
		ck_assert_int_eq(log_commit_open(i.fs->log), 0);
	}
	crash();
}

static void transfer(struct bufio_engine *e, enum bufio_op op, uint64_t at, void *data, size_t size)
{
	ck_assert_int_eq(super_transfer(e, op, at, data, size), 0);
}

/* The replay changes the log's own first block and the superblocks. */
static bool is_of_replay(uint64_t at)
{
	uint64_t block = at >> i.geo.block_shift;

	return block == 0 || block == geo_super_copy(&i.geo) || block == i.geo.log_start;
}

START_TEST(any_part_of_it_is_what_a_replay_makes_of_it)
{
	static uint8_t was[8 * SECTOR], a[8 * SECTOR], b[8 * SECTOR];
	struct bufio_engine *overlay, *copy;
	uint64_t random = 1;
	unsigned nr_changed = 0;

	ck_assert_int_eq(bufio_engine_mem_create(SIZE, SECTOR, &copy), 0);
	for (uint64_t at = 0; at < SIZE; at += sizeof(a)) {
		transfer(i.engine, BUFIO_OP_READ, at, a, sizeof(a));
		transfer(copy, BUFIO_OP_WRITE, at, a, sizeof(a));
	}
	ck_assert_int_eq(log_recover(copy), 0);
	ck_assert_int_eq(log_overlay_create(i.engine, &overlay), 0);
	ck_assert_ptr_nonnull(overlay);
	for (uint64_t at = 0; at + sizeof(a) <= SIZE; at += SECTOR) {
		size_t n = SECTOR * (1 + image_random(&random) % 8);

		if (is_of_replay(at) || is_of_replay(at + n - 1))
			continue;
		transfer(i.engine, BUFIO_OP_READ, at, was, n);
		transfer(overlay, BUFIO_OP_READ, at, a, n);
		transfer(copy, BUFIO_OP_READ, at, b, n);
		ck_assert(!memcmp(a, b, n));
		nr_changed += memcmp(a, was, n) != 0;
	}
	ck_assert_uint_ge(nr_changed, 20);
	bufio_engine_destroy(overlay);
	bufio_engine_destroy(copy);
}
END_TEST

static int take_nothing(void *context, const uint8_t *record, uint32_t nr_blocks)
{
	return 0;
}

/* One more record, which has a piece of each of so many blocks.  Returns its size in bytes. */
static size_t add_record(size_t nr)
{
	struct image_of_block *images = calloc(nr, sizeof(*images));
	static const uint8_t data[4096] = {'h'};
	struct record_place place;
	struct log_scan s;
	struct fs fs = {0};
	uint8_t *record;
	size_t size;

	ck_assert_int_eq(super_open(i.engine, &fs), 0);
	ck_assert_int_eq(log_scan(&fs, i.engine, take_nothing, NULL, &s), 0);
	for (size_t n = 0; n < nr; n++)
		images[n] =
			(struct image_of_block){fs.geo.log_start + fs.geo.log_blocks + n, 1, data};
	size = (size_t)record_size(&fs.geo, images, nr) << fs.geo.block_shift;
	ck_assert_uint_lt(s.next_offset + (size >> fs.geo.block_shift), fs.geo.log_blocks);
	ck_assert_int_eq(posix_memalign((void **)&record, 4096, size), 0);
	place = (struct record_place){s.next_seq, s.next_offset, s.tail_seq, s.tail_offset};
	record_build(&fs, &place, images, nr, record);
	transfer(i.engine, BUFIO_OP_WRITE, (fs.geo.log_start + s.next_offset) << fs.geo.block_shift,
		 record, size);
	free(record);
	free(images);
	return size;
}

START_TEST(a_record_that_names_thousands_of_blocks_takes_little_more_memory_than_it_is_long)
{
	size_t size = add_record(8000), before, after;
	struct bufio_engine *overlay;
	uint8_t first[SECTOR];

	before = mallinfo2().uordblks + mallinfo2().hblkhd;
	ck_assert_int_eq(log_overlay_create(i.engine, &overlay), 0);
	after = mallinfo2().uordblks + mallinfo2().hblkhd;
	transfer(overlay, BUFIO_OP_READ,
		 (i.geo.log_start + i.geo.log_blocks + 7999) << i.geo.block_shift, first,
		 sizeof(first));
	ck_assert_int_eq(first[0], 'h');
	/* whole blocks would be 50 times as much */
	ck_assert_uint_lt(after - before, 4 * size);
	bufio_engine_destroy(overlay);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("overlay");
	TCase *const cases[] = {tc, NULL};

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, any_part_of_it_is_what_a_replay_makes_of_it);
	tcase_add_test(
		tc,
		a_record_that_names_thousands_of_blocks_takes_little_more_memory_than_it_is_long);
	return image_run("overlay", cases);
}
