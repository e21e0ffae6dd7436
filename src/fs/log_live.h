/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_LOG_LIVE_H
#define FS_LOG_LIVE_H

/*
 * The blocks with an image in the live part of the log.  Replay would bring that image back, so such a
 * block is changed through the log only, and its buffer may not be thrown away.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct live_set {
	pthread_mutex_t lock;
	uint64_t *slots;   /* lock  block + 1; 0: empty */
	size_t nr_slots;   /* lock  a power of two, or 0 */
	_Atomic size_t nr; /* changed under lock; 0 is looked for without */
};

void live_set_init(struct live_set *s);
void live_set_finish(struct live_set *s);

/* Room for nr more, so that live_set_add() cannot fail.  0 or -ENOMEM. */
int live_set_reserve(struct live_set *s, size_t nr);
void live_set_add(struct live_set *s, uint64_t block);
bool live_set_has(struct live_set *s, uint64_t block);
void live_set_clear(struct live_set *s);

#endif
