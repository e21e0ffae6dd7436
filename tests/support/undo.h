/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TEST_UNDO_H
#define TEST_UNDO_H

/*
 * A mem engine whose changes can be taken back, at the price of what was changed: for trying
 * thousands of images that differ little.
 */
#include <bufio_engine.h>

/*
 * Wrap mem, which must be a mem engine that does not reorder; destroyed with it.  Discard and
 * zero give -EOPNOTSUPP.  Returns 0 or -ENOMEM.
 */
int undo_create(struct bufio_engine *mem, struct bufio_engine **ret_engine);

/* Write from memory of any alignment; undone like every other write.  0 or -errno. */
int undo_poke(struct bufio_engine *e, uint64_t offset_bytes, const void *data, size_t size_bytes);

/* Take back all that was written since creation or the last call.  Nothing is in flight. */
void undo_all(struct bufio_engine *e);

#endif
