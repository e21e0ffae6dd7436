/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <check.h>
#include <stdlib.h>
#include "client_fixture.h"
#include "write_sort.h"

#define NR 5000u

static uint64_t random_next(uint64_t *x)
{
	*x = *x * UINT64_C(6364136223846793005) + 1442695040888963407;
	return *x >> 1 ^ *x >> 33;
}

/* Sorted, and with each block its own index still. */
static void sorts(size_t nr, uint64_t mask, uint64_t base)
{
	static struct write_entry e[NR];
	static uint64_t block[NR];
	uint64_t seed = mask ^ nr;
	static bool seen[NR];

	memset(seen, 0, sizeof(seen));
	for (size_t i = 0; i < nr; i++) {
		block[i] = base + (random_next(&seed) & mask);
		e[i] = (struct write_entry){.block = block[i], .index = (uint32_t)i};
	}
	write_sort(e, nr);
	for (size_t i = 0; i < nr; i++) {
		ck_assert(i == 0 || e[i - 1].block <= e[i].block);
		ck_assert_uint_eq(e[i].block, block[e[i].index]);
		ck_assert(!seen[e[i].index]);
		seen[e[i].index] = true;
	}
}

START_TEST(entries_are_sorted_by_block)
{
	static const size_t nrs[] = {0, 1, 2, 1023, 1024, NR};
	static const uint64_t masks[] = {
		0, 1, 0x7ff, 0xfff, 0xfff000, UINT64_C(0xff00000000), UINT64_MAX,
	};

	for (size_t i = 0; i < sizeof(nrs) / sizeof(nrs[0]); i++)
		for (size_t k = 0; k < sizeof(masks) / sizeof(masks[0]); k++)
			sorts(nrs[i], masks[k], masks[k] == UINT64_MAX ? 0 : 12345);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("write_sort");
	TCase *tc = tcase_create("write_sort");

	tcase_add_test(tc, entries_are_sorted_by_block);
	suite_add_tcase(s, tc);
	return tc_run_suite(s);
}
