/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CRC-32C by ISA-L, which chooses the CPU's instructions at run time.  Calls nothing else. */
#include "crc.h"

#include <isa-l/crc.h>
#include <limits.h>

uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
	/* ISA-L does not write to it, and leaves out the inversions at both ends. */
	unsigned char *p = (unsigned char *)(uintptr_t)data;

	crc = ~crc;
	while (size) {
		int part = size < INT_MAX ? (int)size : INT_MAX;

		crc = crc32_iscsi(p, part, crc);
		p += part;
		size -= (size_t)part;
	}
	return ~crc;
}
