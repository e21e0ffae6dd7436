/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_CRC_H
#define FS_CRC_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32C of data, going on from crc, the result for what stands before it (0: nothing). */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);

#endif
