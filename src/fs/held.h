/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_HELD_H
#define FS_HELD_H

/*
 * Blocks that are free, but may not be used yet: the transaction that freed them is not durable.  Used before, a crash
 * would give them back to their old owner with another's contents.  What the log may have an older image of
 * is no matter here: such a block changes through the log only (log_live.h).
 *
 * They count as free, but not as unreserved.  A group with such blocks has a shadow of its bitmap, in
 * which they are in use: that is what a search looks at.
 */
#include "log.h"

struct held *held_create(void);
void held_destroy(struct held *h);

/* Under group->lock for all of these */

/* Before the change: so that held_add_locked() cannot fail.  0 or -ENOMEM. */
int held_prepare_locked(struct fs *fs, uint32_t group, const uint8_t *map);

/* These blocks were freed by the transaction seq; map has them free. */
void held_add_locked(struct fs *fs, uint32_t group, uint32_t bit, uint32_t count, uint64_t seq);

/* These were taken: the shadow has to know. */
void held_taken_locked(struct fs *fs, uint32_t group, uint32_t bit, uint32_t count);

/* What may be taken: the bitmap, or its shadow. */
const uint8_t *held_map_locked(const struct fs *fs, uint32_t group, const uint8_t *map);

/* With no group locked */

/* Let go what is durable. */
void held_release(struct fs *fs);

uint64_t held_blocks(const struct fs *fs);

#endif
