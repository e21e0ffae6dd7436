/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Byte ranges, over every engine: what is in them is written, read or zeroed, and the bytes beside
 * them stay.  The ranges are those of the tests of LVM2's bcache.
 */
#include "engine_fixture.h"
#include <bufio.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK  4096u
#define BESIDE 128u

static const struct range {
	uint64_t offset;
	size_t size;
} ranges[] = {
	{0, BLOCK},			   /* the first block */
	{0, 0},				   /* the last one: see bytes_init() */
	{10 * BLOCK, 4 * BLOCK},	   /* some */
	{3 * BLOCK + 100, 200},		   /* within one */
	{5 * BLOCK - 77, 200},		   /* over a boundary */
	{2 * BLOCK + 1000, 8 * BLOCK + 7}, /* over many */
};

#define NR_RANGES ((int)(sizeof(ranges) / sizeof(ranges[0])))

struct bytes {
	struct fixture f;
	struct bufio_client *c;
	struct range range;
	uint64_t from; /* with what is beside it */
	size_t size;
	char *before, *data, *after;
};

static void bytes_init(struct bytes *b, int i)
{
	struct bufio_options o;
	uint64_t end;

	fixture_init(&b->f, (enum kind)(i / NR_RANGES));
	bufio_options_init(&o);
	o.block_bytes = BLOCK;
	ck_assert_int_eq(bufio_create(b->f.engine, &o, &b->c), 0);
	b->range = ranges[i % NR_RANGES];
	if (!b->range.size)
		b->range = (struct range){(bufio_nr_blocks(b->c) - 1) * BLOCK, BLOCK};
	b->from = b->range.offset > BESIDE ? b->range.offset - BESIDE : 0;
	end = b->range.offset + b->range.size + BESIDE;
	if (end > bufio_nr_blocks(b->c) * BLOCK)
		end = bufio_nr_blocks(b->c) * BLOCK;
	b->size = end - b->from;
	b->before = pattern_alloc(b->size, 1);
	b->data = pattern_alloc(b->range.size, 2);
	b->after = pattern_alloc(b->size, 3);
	ck_assert_int_eq(bufio_write_bytes(b->c, b->from, b->before, b->size), 0);
	ck_assert_int_eq(bufio_drop_buffers(b->c), 0);
}

/* What is there, from the device, must be what was before with data in the range. */
static void bytes_check(struct bytes *b)
{
	ck_assert_int_eq(bufio_drop_buffers(b->c), 0);
	memcpy(b->before + (b->range.offset - b->from), b->data, b->range.size);
	ck_assert_int_eq(bufio_read_bytes(b->c, b->from, b->after, b->size), 0);
	ck_assert_mem_eq(b->after, b->before, b->size);
	ck_assert_int_eq(bufio_destroy(b->c), 0);
	fixture_finish(&b->f);
	free(b->before);
	free(b->data);
	free(b->after);
}

START_TEST(written_bytes_are_there_and_those_beside_them_stay)
{
	struct bytes b;

	bytes_init(&b, _i);
	ck_assert_int_eq(bufio_write_bytes(b.c, b.range.offset, b.data, b.range.size), 0);
	bytes_check(&b);
}
END_TEST

START_TEST(zeroed_bytes_are_zero_and_those_beside_them_stay)
{
	struct bytes b;

	bytes_init(&b, _i);
	memset(b.data, 0, b.range.size);
	ck_assert_int_eq(bufio_zero_bytes(b.c, b.range.offset, b.range.size), 0);
	bytes_check(&b);
}
END_TEST

START_TEST(read_bytes_are_those_of_the_range)
{
	struct bytes b;

	bytes_init(&b, _i);
	ck_assert_int_eq(bufio_read_bytes(b.c, b.range.offset, b.data, b.range.size), 0);
	ck_assert_mem_eq(b.data, b.before + (b.range.offset - b.from), b.range.size);
	bytes_check(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bytes");
	TCase *tc = tcase_create("bytes");
	SRunner *runner = srunner_create(suite);
	int nr_failed, nr = NR_KINDS * NR_RANGES;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, written_bytes_are_there_and_those_beside_them_stay, 0, nr);
	tcase_add_loop_test(tc, zeroed_bytes_are_zero_and_those_beside_them_stay, 0, nr);
	tcase_add_loop_test(tc, read_bytes_are_those_of_the_range, 0, nr);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	nr_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return nr_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
