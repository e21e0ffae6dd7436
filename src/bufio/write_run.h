/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef WRITE_RUN_H
#define WRITE_RUN_H

/*
 * Claimed buffers on their way to the device.  A writer belongs to one thread, which adds buffers
 * in the order of their blocks; those that adjoin go out as one transfer.
 *
 * The sequence is make_room, then claim, then add: add never waits, so nothing that is claimed
 * waits for anything but the device.
 */
#include "client.h"
#include <errno.h>

struct writer;

/* One for nr_buffers at a time or more, at least one; what it needs grows with that up to a limit. */
struct writer *writer_create(struct bufio_client *c, size_t nr_buffers);
void writer_destroy(struct writer *w);

/* See to it that one more buffer can be added.  May submit, and wait for the device. */
void writer_make_room(struct writer *w);

/* Write the bytes range (start << 32 | end) of b, which is WRITING, to its block. */
void writer_add(struct writer *w, struct bufio_buffer *b, uint64_t block, uint64_t range);

/* Submit the rest and wait for all.  Returns 0 or the first error since the last finish. */
int writer_finish(struct writer *w, enum write_how how);

#endif
