/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See arguments.h.  Prints nothing. */
#include "arguments.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const struct option standard_options[] = {
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

bool number_parse(const char *text, uint64_t *ret)
{
	static const char units[] = "KMGT";
	int base = text[0] == '0' && (text[1] & ~32) == 'X' ? 16 : 10;
	const char *unit;
	char *end;
	unsigned long long n;
	unsigned shift = 0;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoull(text, &end, base);
	if (*end) {
		unit = strchr(units, *end & ~32);
		if (!unit || end[1])
			return false;
		shift = 10 * (unsigned)(unit - units + 1);
	}
	if (errno || n > UINT64_MAX >> 1 >> shift)
		return false;
	*ret = (uint64_t)n << shift;
	return true;
}
