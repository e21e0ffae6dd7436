/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse_write.h"

#include "fuse_privs.h"
#include "fuse_raw.h"

#include <linux/fuse.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

/* More than one for each thread, of which few are busy at a time. */
#define SPARE_ROOMS 2u

#define PAGE_BYTES 4096u

/* What a WRITE carries is aligned as the device wants it: its head ends where a page does. */
#define HEAD_BYTES (sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in))
#define ROOM_BYTES (PAGE_BYTES + REQUEST_BYTES)

struct room {
	struct fs_loan loan; /* the thread that receives in it is its owner */
	struct request_memory *memory;
	struct room *next;
	char *data;
};

struct request_memory {
	pthread_mutex_t lock;
	pthread_cond_t returned;
	struct room *free; /* lock */
	unsigned nr_taken; /* lock */
	unsigned nr_rooms;
	char *all;
	struct room rooms[];
};

/* How long a room is waited for. */
#define PATIENCE_MS 100

/* Where the request is that this thread works on; NULL: in its own memory. */
static _Thread_local struct room *mine;
static _Thread_local char *own;

static void room_put(struct fs_loan *loan)
{
	struct room *room = (struct room *)loan;
	struct request_memory *m = room->memory;

	pthread_mutex_lock(&m->lock);
	room->next = m->free;
	m->free = room;
	m->nr_taken--;
	pthread_cond_broadcast(&m->returned);
	pthread_mutex_unlock(&m->lock);
}

struct request_memory *request_memory_create(unsigned nr_threads)
{
	unsigned nr = nr_threads + SPARE_ROOMS;
	struct request_memory *m = calloc(1, sizeof(*m) + nr * sizeof(m->rooms[0]));
	pthread_condattr_t clock;

	if (!m)
		return NULL;
	/* used as it is touched, and the rooms used last are used first */
	m->all = mmap(NULL, nr * ROOM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	if (m->all == MAP_FAILED) {
		free(m);
		return NULL;
	}
	pthread_mutex_init(&m->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&m->returned, &clock);
	pthread_condattr_destroy(&clock);
	m->nr_rooms = nr;
	for (unsigned i = nr; i-- > 0;) {
		struct room *room = &m->rooms[i];

		room->loan.ended = room_put;
		room->memory = m;
		room->data = m->all + i * ROOM_BYTES + PAGE_BYTES - HEAD_BYTES;
		room->next = m->free;
		m->free = room;
	}
	return m;
}

void request_memory_destroy(struct request_memory *m)
{
	if (!m)
		return;
	pthread_mutex_lock(&m->lock);
	while (m->nr_taken)
		pthread_cond_wait(&m->returned, &m->lock);
	pthread_mutex_unlock(&m->lock);
	munmap(m->all, m->nr_rooms * ROOM_BYTES);
	pthread_cond_destroy(&m->returned);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static struct room *take_locked(struct request_memory *m)
{
	struct room *room = m->free;

	if (room) {
		m->free = room->next;
		m->nr_taken++;
		atomic_store(&room->loan.nr_users, 1);
	}
	return room;
}

void *request_memory_get(struct request_memory *m)
{
	pthread_mutex_lock(&m->lock);
	mine = take_locked(m);
	pthread_mutex_unlock(&m->lock);
	return mine ? mine->data : NULL;
}

static struct timespec patience_end(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += PATIENCE_MS * 1000000L;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return t;
}

void *request_memory_wait(struct request_memory *m)
{
	struct timespec end = patience_end();
	int r = 0;

	pthread_mutex_lock(&m->lock);
	while (!m->free && r == 0)
		r = pthread_cond_timedwait(&m->returned, &m->lock, &end);
	mine = take_locked(m);
	pthread_mutex_unlock(&m->lock);
	if (mine)
		return mine->data;
	if (!own)
		own = malloc(REQUEST_BYTES);
	return own;
}

void request_memory_put(void)
{
	if (mine)
		fs_loan_end(&mine->loan);
	mine = NULL;
}

void request_memory_end(void)
{
	free(own);
	own = NULL;
}

void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
	      struct fuse_file_info *fi)
{
	const struct front *f = fuse_req_userdata(req);
	struct fs_lent lent = {.ino = ino,
			       .offset = (uint64_t)offset,
			       .data = data,
			       .size = size,
			       .loan = mine ? &mine->loan : NULL,
			       .collected = f->write_back && fi->writepage};
	ssize_t n = raw_kills_privs() ? privs_kill(req, ino) : 0;

	if (n == 0)
		n = fs_write_lent(fs_of(req), &lent);
	/* the kernel would go on with the number of blocks it had before */
	if (lent.collected)
		fuse_lowlevel_notify_inval_inode(f->se, ino, -1, 0);
	if (n < 0)
		reply(req, (int)n);
	else
		fuse_reply_write(req, (size_t)n);
}
