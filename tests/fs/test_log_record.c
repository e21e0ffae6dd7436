/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bytes of a log record: what is built is taken apart again, and nothing else is believed. */
#include "image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log_record.h"

#define NR_IMAGES 12

static struct fs fs;
static uint8_t before[NR_IMAGES][4096], after[NR_IMAGES][4096], *record;
static struct image_of_block images[NR_IMAGES];
static uint32_t nr_blocks;
static const struct record_place place = {.seq = 77, .offset = 5, .tail_seq = 70, .tail_offset = 3};

/* Blocks 100 and on, of which some pieces change. */
static void setup(void)
{
	uint64_t random = 1;

	fs = (struct fs){.crc_seed = 9};
	fs.geo = (struct geometry){.block_bytes = 4096,
				   .block_shift = 12,
				   .nr_blocks = 10000,
				   .blocks_per_group = 32512,
				   .nr_groups = 1,
				   .log_start = 400,
				   .log_blocks = 256};
	for (unsigned i = 0; i < NR_IMAGES; i++) {
		for (unsigned k = 0; k < sizeof(before[i]); k++)
			before[i][k] = (uint8_t)image_random(&random);
		memcpy(after[i], before[i], sizeof(after[i]));
		for (unsigned n = 0; n <= i * 3; n++)
			after[i][image_random(&random) % sizeof(after[i])] ^= 0xff;
		images[i] = (struct image_of_block){
			100 + i, record_diff(&fs.geo, before[i], after[i]), after[i]};
	}
	nr_blocks = record_size(&fs.geo, images, NR_IMAGES);
	record = malloc((size_t)nr_blocks * 4096);
	record_build(&fs, &place, images, NR_IMAGES, record);
}

static void teardown(void)
{
	free(record);
}

static int patch(void *context, uint64_t block, uint64_t mask, const uint8_t *pieces)
{
	*(unsigned *)context += 1;
	record_patch(&fs.geo, mask, pieces, before[block - 100]);
	return 0;
}

START_TEST(what_was_built_makes_the_blocks_what_they_were)
{
	unsigned nr = 0;

	ck_assert_uint_eq(record_begins(&fs, record, place.offset, place.seq), nr_blocks);
	ck_assert(record_is_good(&fs, record, nr_blocks));
	ck_assert_int_eq(record_walk(&fs, record, nr_blocks, patch, &nr), 0);
	ck_assert_uint_eq(nr, NR_IMAGES);
	ck_assert_mem_eq(before, after, sizeof(before));
}
END_TEST

START_TEST(only_what_changed_is_in_it)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < NR_IMAGES; i++)
		bytes += (size_t)__builtin_popcountll(images[i].mask) * 64;
	ck_assert_uint_le((size_t)nr_blocks * 4096, bytes + 64 + NR_IMAGES * 16 + 64 + 4095);
	ck_assert_uint_lt(__builtin_popcountll(images[0].mask), 2);
}
END_TEST

START_TEST(another_place_or_number_is_no_record)
{
	ck_assert_uint_eq(record_begins(&fs, record, place.offset + 1, place.seq), 0);
	ck_assert_uint_eq(record_begins(&fs, record, place.offset, place.seq + 1), 0);
	ck_assert_uint_eq(record_begins(&fs, record, place.offset, place.seq - 1), 0);
	fs.crc_seed++;
	ck_assert(!record_is_good(&fs, record, nr_blocks));
}
END_TEST

START_TEST(a_missing_sector_is_seen)
{
	uint8_t sector[512];

	for (size_t at = 0; at < (size_t)nr_blocks * 4096; at += sizeof(sector)) {
		memcpy(sector, record + at, sizeof(sector));
		memset(record + at, 0xa5, sizeof(sector));
		ck_assert(!record_begins(&fs, record, place.offset, place.seq) ||
			  !record_is_good(&fs, record, nr_blocks));
		memcpy(record + at, sector, sizeof(sector));
	}
	ck_assert(record_is_good(&fs, record, nr_blocks));
}
END_TEST

/* With a right checksum: tags that nobody honest writes. */
static const struct {
	uint64_t block, mask;
} lies[] = {
	{0, 1},			   /* the superblock */
	{9999, 1},		   /* its copy */
	{10000, 1},		   /* past the end */
	{UINT64_MAX, 1}, {400, 1}, /* the log */
	{655, 1},	 {100, 0}, /* nothing: it would only cost memory */
};

START_TEST(a_tag_that_lies_is_refused)
{
	struct disk_tag *tag = (struct disk_tag *)(record + sizeof(struct disk_record));
	unsigned nr = 0;

	tag->block = le64_make(lies[_i].block);
	tag->mask = le64_make(lies[_i].mask);
	ck_assert_int_eq(record_walk(&fs, record, nr_blocks, patch, &nr), -EUCLEAN);
	ck_assert_uint_eq(nr, 0);
}
END_TEST

START_TEST(pieces_past_the_end_are_refused)
{
	struct disk_record *d = (struct disk_record *)record;
	struct disk_tag *tags = (struct disk_tag *)(d + 1);
	unsigned nr = 0;

	for (unsigned i = 0; i < NR_IMAGES; i++)
		tags[i].mask = le64_make(UINT64_MAX);
	ck_assert_int_eq(record_walk(&fs, record, nr_blocks, patch, &nr), -EUCLEAN);
	ck_assert_uint_lt(nr, NR_IMAGES);
	d->nr_tags = le32_make(UINT32_MAX);
	ck_assert_int_eq(record_walk(&fs, record, nr_blocks, patch, &nr), -EUCLEAN);
	d->nr_blocks = le32_make(UINT32_MAX);
	ck_assert_uint_eq(record_begins(&fs, record, place.offset, place.seq), 0);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("record");
	TCase *const cases[] = {tc, NULL};

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, what_was_built_makes_the_blocks_what_they_were);
	tcase_add_test(tc, only_what_changed_is_in_it);
	tcase_add_test(tc, another_place_or_number_is_no_record);
	tcase_add_test(tc, a_missing_sector_is_seen);
	tcase_add_loop_test(tc, a_tag_that_lies_is_refused, 0, sizeof(lies) / sizeof(lies[0]));
	tcase_add_test(tc, pieces_past_the_end_are_refused);
	return image_run("record", cases);
}
