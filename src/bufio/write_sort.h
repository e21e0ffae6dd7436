/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef BUFIO_WRITE_SORT_H
#define BUFIO_WRITE_SORT_H

/* What a pass of write-back collected, by block. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct write_entry {
	uint64_t block;
	uint32_t index;
	uint32_t nr_written; /* good writes when collected */
	uint8_t need;	     /* more good writes that prove it on the device */
	bool done;
};

void write_sort(struct write_entry *entries, size_t nr);

#endif
