/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A flush sorts all that is dirty before it writes the first block, and the device has nothing to do
 * meanwhile: qsort() of 262,144 entries took 40 ms, a tenth of the time it took to write them.  So many
 * are sorted digit by digit, the least one first.
 */
#include "write_sort.h"
#include <stdlib.h>
#include <string.h>

#define DIGIT_BITS   11u
#define NR_DIGITS    (1u << DIGIT_BITS)
#define LEAST_DIGITS 1024u /* entries for which it pays */

static int compare(const void *a, const void *b)
{
	const struct write_entry *x = a, *y = b;

	return x->block < y->block ? -1 : x->block > y->block;
}

static unsigned digit(const struct write_entry *e, unsigned shift)
{
	return e->block >> shift & (NR_DIGITS - 1);
}

/* By one digit; equal ones stay in their order. */
static void pass(const struct write_entry *from, struct write_entry *to, size_t nr, unsigned shift)
{
	size_t at[NR_DIGITS] = {0}, sum = 0;

	for (size_t i = 0; i < nr; i++)
		at[digit(&from[i], shift)]++;
	for (unsigned d = 0; d < NR_DIGITS; d++) {
		size_t n = at[d];

		at[d] = sum;
		sum += n;
	}
	for (size_t i = 0; i < nr; i++)
		to[at[digit(&from[i], shift)]++] = from[i];
}

void write_sort(struct write_entry *entries, size_t nr)
{
	struct write_entry *other = NULL, *from = entries, *to;
	uint64_t differ = 0;

	if (nr >= LEAST_DIGITS)
		other = malloc(nr * sizeof(*other));
	if (!other) {
		qsort(entries, nr, sizeof(*entries), compare);
		return;
	}
	for (size_t i = 1; i < nr; i++)
		differ |= entries[i].block ^ entries[0].block;
	to = other;
	for (unsigned shift = 0; shift < 64 && differ >> shift; shift += DIGIT_BITS) {
		struct write_entry *sorted = to;

		if (!(differ >> shift & (NR_DIGITS - 1)))
			continue;
		pass(from, to, nr, shift);
		to = from;
		from = sorted;
	}
	if (from != entries)
		memcpy(entries, from, nr * sizeof(*entries));
	free(other);
}
