/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse_read.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

/* Under way at once, at most; a small one may take the place of a large one. */
#define NR_SMALL    16u
#define NR_LARGE    12u
#define MAX_READS   (NR_SMALL + NR_LARGE)
#define SMALL_BYTES (64u * 1024)

/* A read under way; the memory is the same each time, as with reply_buffer(). */
struct read_slot {
	struct fs_reading reading;
	fuse_req_t req;
	struct read_pool *pool;
	struct read_slot *next;
	void *data;
	bool is_small; /* the memory is */
};

struct read_pool {
	pthread_mutex_t lock;
	pthread_cond_t ended;
	struct read_slot *small, *large; /* lock; free ones */
	unsigned nr_taken;		 /* lock */
	char *all;			 /* memory of the slots, which is used as it is touched */
	struct read_slot slots[MAX_READS];
};

static void free_locked(struct read_slot *slot)
{
	struct read_pool *pool = slot->pool;
	struct read_slot **list = slot->is_small ? &pool->small : &pool->large;

	slot->next = *list;
	*list = slot;
}

struct read_pool *read_pool_create(void)
{
	struct read_pool *pool = calloc(1, sizeof(*pool));
	char *data;

	if (!pool)
		return NULL;
	data = pool->all = transfer_memory(NR_SMALL * SMALL_BYTES + NR_LARGE * REQUEST_MAX);
	if (!pool->all) {
		free(pool);
		return NULL;
	}
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->ended, NULL);
	for (unsigned i = 0; i < MAX_READS; i++) {
		struct read_slot *slot = &pool->slots[i];

		slot->pool = pool;
		slot->data = data;
		slot->is_small = i < NR_SMALL;
		data += slot->is_small ? SMALL_BYTES : REQUEST_MAX;
		free_locked(slot);
	}
	return pool;
}

void read_pool_destroy(struct read_pool *pool)
{
	if (!pool)
		return;
	/* A session can end with reads under way: whoever completes them still has a slot and a request. */
	pthread_mutex_lock(&pool->lock);
	while (pool->nr_taken)
		pthread_cond_wait(&pool->ended, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
	free(pool->all);
	pthread_cond_destroy(&pool->ended);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

static struct read_slot *slot_take(struct read_pool *pool, size_t size)
{
	struct read_slot **list, *slot;

	pthread_mutex_lock(&pool->lock);
	list = size <= SMALL_BYTES && pool->small ? &pool->small : &pool->large;
	slot = *list;
	if (slot) {
		*list = slot->next;
		pool->nr_taken++;
	}
	pthread_mutex_unlock(&pool->lock);
	return slot;
}

static void slot_put(struct read_slot *slot)
{
	struct read_pool *pool = slot->pool;

	pthread_mutex_lock(&pool->lock);
	free_locked(slot);
	if (--pool->nr_taken == 0)
		pthread_cond_broadcast(&pool->ended);
	pthread_mutex_unlock(&pool->lock);
}

static void reply_read(fuse_req_t req, const void *data, ssize_t n)
{
	if (n < 0)
		reply(req, (int)n);
	else
		fuse_reply_buf(req, data, (size_t)n);
}

static void read_done(struct fs_reading *reading, ssize_t n)
{
	struct read_slot *slot = (struct read_slot *)reading;

	reply_read(slot->req, slot->data, n);
	slot_put(slot);
}

/* Too many are under way, or it is larger than we asked for. */
static void read_waiting(fuse_req_t req, const struct fs_reading *what)
{
	void *data = reply_buffer(what->size);
	ssize_t n = -ENOMEM;

	if (data)
		n = fs_read(fs_of(req), what->ino, what->offset, data, what->size);
	reply_read(req, data, n);
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct fs_reading what = {
		.ino = ino, .offset = (uint64_t)offset, .size = size, .done = read_done};
	struct front *f = fuse_req_userdata(req);
	struct read_slot *slot = size <= REQUEST_MAX ? slot_take(f->reads, size) : NULL;
	ssize_t n;

	if (!slot) {
		read_waiting(req, &what);
		return;
	}
	slot->req = req;
	slot->reading = what;
	slot->reading.data = slot->data;
	n = fs_read_start(f->fs, &slot->reading);
	if (n != -EINPROGRESS)
		read_done(&slot->reading, n);
}
