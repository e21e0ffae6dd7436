/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keeps what every write overwrites, and puts it back in the opposite order. */
#include "undo.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct undo_step {
	struct undo_step *older;
	uint64_t offset_bytes;
	size_t size_bytes;
	char data[];
};

struct undo_engine {
	struct bufio_engine head;
	struct bufio_engine *mem;
	pthread_mutex_t lock; /* of steps; held over a write, so that the steps are in its order */
	struct undo_step *steps;
};

/* Returns -ERANGE for what the device would refuse too. */
static int save_locked(struct undo_engine *u, uint64_t offset_bytes, size_t size_bytes)
{
	struct undo_step *s = malloc(sizeof(*s) + size_bytes);
	int r;

	if (!s)
		return -ENOMEM;
	r = bufio_engine_mem_peek(u->mem, offset_bytes, s->data, size_bytes);
	if (r) {
		free(s);
		return r;
	}
	s->offset_bytes = offset_bytes;
	s->size_bytes = size_bytes;
	s->older = u->steps;
	u->steps = s;
	return 0;
}

static int undo_transfer(struct bufio_engine *e, struct bufio_io *io)
{
	struct undo_engine *u = (struct undo_engine *)e;
	int r;

	if (io->op == BUFIO_OP_READ)
		return u->mem->ops->transfer(u->mem, io);
	pthread_mutex_lock(&u->lock);
	r = save_locked(u, io->offset_bytes, io->size_bytes);
	if (!r)
		r = u->mem->ops->transfer(u->mem, io);
	pthread_mutex_unlock(&u->lock);
	return r;
}

static void undo_submit(struct bufio_engine *e, struct bufio_io *const *ios, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++)
		ios[i]->done(ios[i], undo_transfer(e, ios[i]));
}

static int undo_flush(struct bufio_engine *e)
{
	return 0;
}

static int undo_refuse(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes)
{
	return -EOPNOTSUPP;
}

int undo_poke(struct bufio_engine *e, uint64_t offset_bytes, const void *data, size_t size_bytes)
{
	struct undo_engine *u = (struct undo_engine *)e;
	int r;

	pthread_mutex_lock(&u->lock);
	r = save_locked(u, offset_bytes, size_bytes);
	if (!r)
		r = bufio_engine_mem_poke(u->mem, offset_bytes, data, size_bytes);
	pthread_mutex_unlock(&u->lock);
	return r;
}

void undo_all(struct bufio_engine *e)
{
	struct undo_engine *u = (struct undo_engine *)e;
	struct undo_step *s;

	while ((s = u->steps)) {
		/* The chunks are there since the write, so nothing can fail. */
		int r = bufio_engine_mem_poke(u->mem, s->offset_bytes, s->data, s->size_bytes);

		assert(r == 0);
		(void)r;
		u->steps = s->older;
		free(s);
	}
}

static void undo_destroy(struct bufio_engine *e)
{
	struct undo_engine *u = (struct undo_engine *)e;

	undo_all(e);
	bufio_engine_destroy(u->mem);
	pthread_mutex_destroy(&u->lock);
	free(u);
}

static const struct bufio_engine_ops undo_ops = {
	.submit = undo_submit,
	.transfer = undo_transfer,
	.flush = undo_flush,
	.discard = undo_refuse,
	.zero = undo_refuse,
	.destroy = undo_destroy,
};

int undo_create(struct bufio_engine *mem, struct bufio_engine **ret_engine)
{
	struct undo_engine *u = calloc(1, sizeof(*u));

	if (!u)
		return -ENOMEM;
	u->head = *mem;
	u->head.ops = &undo_ops;
	u->head.name = "undo";
	u->mem = mem;
	pthread_mutex_init(&u->lock, NULL);
	*ret_engine = &u->head;
	return 0;
}
