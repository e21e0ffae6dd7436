/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef WATCH_H
#define WATCH_H

/*
 * An engine that looks at what the cache does to each block: never two writes of one in flight,
 * nor a read with a write, nor two reads.  Blocks from lenient on, which the extents use, are let
 * off: transfers past the buffers may meet there.
 */
#include <bufio_engine.h>

/* Wrap inner, destroyed with it.  fail is called with the block, and does not return. */
int watch_create(struct bufio_engine *inner, unsigned block_bytes, uint64_t lenient,
		 void (*fail)(uint64_t block, const char *what), struct bufio_engine **ret_engine);

#endif
