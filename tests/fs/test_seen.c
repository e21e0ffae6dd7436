/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What tells images of a power cut apart, or none of the tests that use it checks them all. */
#include "seen.h"

#include <check.h>
#include <string.h>

#include "image.h"
#include "super.h"

#define SIZE (256u << 10)

static struct bufio_engine *mem, *record;
static struct seen seen;

static void write_at(uint64_t offset, size_t size, char fill)
{
	char data[4096];

	memset(data, fill, sizeof(data));
	ck_assert_int_eq(super_transfer(record, BUFIO_OP_WRITE, offset, data, size), 0);
}

/* Three writes: two overlap, one is longer than what is hashed at a time and another is the last sector. */
static void setup(void)
{
	ck_assert_int_eq(bufio_engine_mem_create(SIZE, 512, &mem), 0);
	ck_assert_int_eq(bufio_engine_record_create(mem, &record), 0);
	write_at(8192, 4096, 'a');
	for (unsigned i = 0; i < 10; i++)
		write_at(10240 + i * 4096, 4096, 'b');
	write_at(SIZE - 512, 512, 'c');
	seen_init(&seen, record);
}

static void teardown(void)
{
	seen_finish(&seen);
	bufio_engine_destroy(record);
}

static void poke(uint64_t at, char c)
{
	ck_assert_int_eq(bufio_engine_mem_poke(mem, at, &c, 1), 0);
}

START_TEST(the_same_image_is_checked_once)
{
	ck_assert(seen_first(&seen, mem, 1));
	ck_assert(!seen_first(&seen, mem, 1));
}
END_TEST

START_TEST(the_same_image_is_checked_again_where_another_tree_is_expected)
{
	ck_assert(seen_first(&seen, mem, 1));
	ck_assert(seen_first(&seen, mem, 2));
	ck_assert(!seen_first(&seen, mem, 1));
}
END_TEST

START_TEST(an_image_is_new_by_any_byte_that_was_written)
{
	const uint64_t at[] = {8192, 10239, 10240, 51199, SIZE - 512, SIZE - 1};

	ck_assert(seen_first(&seen, mem, 1));
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		poke(at[i], 'x');
		ck_assert(seen_first(&seen, mem, 1));
	}
}
END_TEST

/* Also when the table has grown several times. */
START_TEST(a_thousand_images_are_remembered)
{
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 1000; i++) {
			poke(8200, (char)(i >> 5));
			poke(9000, (char)(i & 31));
			ck_assert(seen_first(&seen, mem, 1) == (round == 0));
		}
	}
	ck_assert_uint_eq(seen.nr, 1000);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("seen");
	TCase *const cases[] = {tc, NULL};

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_same_image_is_checked_once);
	tcase_add_test(tc, the_same_image_is_checked_again_where_another_tree_is_expected);
	tcase_add_test(tc, an_image_is_new_by_any_byte_that_was_written);
	tcase_add_test(tc, a_thousand_images_are_remembered);
	return image_run("seen", cases);
}
