/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disk integers, checksums and bitmaps. */
#include "image.h"

#include <string.h>

#include "bitmap.h"
#include "crc.h"

START_TEST(crc_has_the_check_value)
{
	ck_assert_uint_eq(crc32c(0, "123456789", 9), 0xE3069283);
	ck_assert_uint_eq(crc32c(0, "", 0), 0);
}
END_TEST

START_TEST(crc_of_parts_is_the_crc_of_the_whole)
{
	const char text[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	uint32_t whole = crc32c(0, text, sizeof(text));

	for (size_t i = 0; i <= sizeof(text); i++)
		ck_assert_uint_eq(crc32c(crc32c(0, text, i), text + i, sizeof(text) - i), whole);
}
END_TEST

START_TEST(disk_integers_are_little_endian)
{
	const uint8_t expected[8] = {8, 7, 6, 5, 4, 3, 2, 1};
	le64 v = le64_make(UINT64_C(0x0102030405060708));

	ck_assert_mem_eq(v.b, expected, 8);
	ck_assert_uint_eq(le64_get(v), UINT64_C(0x0102030405060708));
	ck_assert_uint_eq(le48_get(le48_make(UINT64_C(0xaabbccddeeff))), UINT64_C(0xaabbccddeeff));
	ck_assert_uint_eq(le24_get(le24_make(0xabcdef)), 0xabcdef);
	ck_assert_uint_eq(le16_get(le16_make(0xfffe)), 0xfffe);
}
END_TEST

#define BITS 512u

static uint32_t slow_find(const bool *model, uint32_t from, uint32_t to, bool value)
{
	while (from < to && model[from] != value)
		from++;
	return from;
}

START_TEST(bitmap_agrees_with_a_model)
{
	uint8_t map[BITS / 8] __attribute__((aligned(8))) = {0};
	uint64_t seed = image_seed("bitmap");
	bool model[BITS] = {false};

	for (unsigned round = 0; round < 20000; round++) {
		uint32_t a = (uint32_t)(image_random(&seed) % (BITS + 1));
		uint32_t b = (uint32_t)(image_random(&seed) % (BITS + 1));
		uint32_t from = a < b ? a : b, to = a < b ? b : a;
		bool set = image_random(&seed) & 1;

		to = to - from > 70 ? from + 70 : to;
		if (set)
			bitmap_set(map, from, to);
		else
			bitmap_clear(map, from, to);
		for (uint32_t i = from; i < to; i++)
			model[i] = set;
		to = b;
		from = a;
		ck_assert_uint_eq(bitmap_find_zero(map, from, to),
				  from < to ? slow_find(model, from, to, false) : to);
		ck_assert_uint_eq(bitmap_find_one(map, from, to),
				  from < to ? slow_find(model, from, to, true) : to);
		if (from < BITS)
			ck_assert(bitmap_test(map, from) == model[from]);
		uint32_t zeros = 0;
		for (uint32_t i = 0; i < to; i++)
			zeros += !model[i];
		ck_assert_uint_eq(bitmap_count_zeros(map, to), zeros);
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("format");
	TCase *const cases[] = {tc, NULL};

	tcase_add_test(tc, crc_has_the_check_value);
	tcase_add_test(tc, crc_of_parts_is_the_crc_of_the_whole);
	tcase_add_test(tc, disk_integers_are_little_endian);
	tcase_add_test(tc, bitmap_agrees_with_a_model);
	return image_run("format", cases);
}
