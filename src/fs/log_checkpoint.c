/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checkpoint: all that is committed goes to its place, and the log is empty.
 *
 * What is pinned by the open transaction cannot be written, but the log has what it was when it was
 * committed last: that image is written past the cache.  Nobody else writes the block meanwhile,
 * for its buffer stays pinned until the next commit, and only one thread is busy with either.
 */
#include "log.h"
#include "meta.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Waiting for some transfers. */
struct transfers {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	size_t nr_running;
	int result;
};

static void transfer_done(struct bufio_io *io, int result)
{
	struct transfers *t = io->context;

	pthread_mutex_lock(&t->lock);
	if (result < 0 && t->result == 0)
		t->result = result;
	if (--t->nr_running == 0)
		pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
}

static void submit(struct bufio_engine *e, struct bufio_io *ios, size_t nr)
{
	struct bufio_io *batch[64];
	unsigned n = 0;

	for (size_t i = 0; i < nr; i++) {
		batch[n++] = &ios[i];
		if (n == 64 || i + 1 == nr) {
			e->ops->submit(e, batch, n);
			n = 0;
		}
	}
}

int log_transfer(struct bufio_engine *e, struct bufio_io *ios, size_t nr)
{
	struct transfers t = {.nr_running = nr};

	if (!nr)
		return 0;
	pthread_mutex_init(&t.lock, NULL);
	pthread_cond_init(&t.wake, NULL);
	for (size_t i = 0; i < nr; i++) {
		ios[i].done = transfer_done;
		ios[i].context = &t;
	}
	submit(e, ios, nr);
	pthread_mutex_lock(&t.lock);
	while (t.nr_running)
		pthread_cond_wait(&t.wake, &t.lock);
	pthread_mutex_unlock(&t.lock);
	pthread_cond_destroy(&t.wake);
	pthread_mutex_destroy(&t.lock);
	return t.result;
}

/* Images to write past the cache: copies, for the transaction may end with an error meanwhile. */
struct images {
	struct bufio_io *ios;
	struct iovec *iov;
	uint8_t *memory;
	size_t nr;
};

static void images_free(struct images *im)
{
	free(im->ios);
	free(im->iov);
	free(im->memory);
}

static int images_alloc(struct images *im, size_t nr, size_t block_bytes)
{
	void *memory;

	im->ios = calloc(nr, sizeof(*im->ios));
	im->iov = calloc(nr, sizeof(*im->iov));
	if (!im->ios || !im->iov || posix_memalign(&memory, 65536, nr * block_bytes))
		return -ENOMEM;
	im->memory = memory;
	return 0;
}

static void images_add(struct images *im, const struct geometry *g, const struct joined *j)
{
	size_t size = g->block_bytes, i = im->nr++;

	memcpy(im->memory + i * size, j->before, size);
	im->iov[i] = (struct iovec){im->memory + i * size, size};
	im->ios[i] = (struct bufio_io){
		.op = BUFIO_OP_WRITE,
		.offset_bytes = bufio_block(j->b) << g->block_shift,
		.iov = &im->iov[i],
		.nr_iov = 1,
		.size_bytes = size,
	};
}

/* What the open transaction changed of blocks that have an image in the log; operations are frozen. */
static int collect(struct log *l, struct images *im)
{
	const struct transaction *t = &l->open;
	int r;

	if (!t->nr_joined)
		return 0;
	r = images_alloc(im, t->nr_joined, l->fs->geo.block_bytes);
	for (size_t i = 0; i < t->nr_joined && r == 0; i++) {
		if (t->joined[i].before && log_is_live(l, bufio_block(t->joined[i].b)))
			images_add(im, &l->fs->geo, &t->joined[i]);
	}
	return r;
}

static int write_pinned(struct log *l)
{
	struct images im = {0};
	int r;

	log_freeze(l);
	r = collect(l, &im);
	log_thaw(l);
	if (r == 0)
		r = log_transfer(bufio_engine_of(l->fs->bufio), im.ios, im.nr);
	images_free(&im);
	return r;
}

int log_write_block(const struct fs *fs, struct bufio_engine *e, uint64_t tail_seq,
		    uint32_t tail_offset)
{
	const struct geometry *g = &fs->geo;
	struct iovec iov = {.iov_len = g->block_bytes};
	struct bufio_io io = {
		.op = BUFIO_OP_WRITE,
		.flags = BUFIO_IO_DURABLE,
		.offset_bytes = g->log_start << g->block_shift,
		.iov = &iov,
		.nr_iov = 1,
		.size_bytes = g->block_bytes,
	};
	struct disk_log *d;
	int r;

	if (posix_memalign(&iov.iov_base, 65536, g->block_bytes))
		return -ENOMEM;
	d = memset(iov.iov_base, 0, g->block_bytes);
	d->head =
		(struct disk_head){.magic = le32_make(MAGIC_LOG), .block = le64_make(g->log_start)};
	d->tail_seq = le64_make(tail_seq);
	d->tail_offset = le32_make(tail_offset);
	meta_stamp_raw(fs->crc_seed, g->block_bytes, d);
	r = e->ops->transfer(e, &io);
	free(iov.iov_base);
	return r;
}

/*
 * Two flushes: what is home must be durable before the log says that it is not needed, and that
 * before the next record overwrites it.
 */
int checkpoint_busy(struct log *l)
{
	struct bufio_client *c = l->fs->bufio;
	uint64_t next = atomic_load(&l->durable_seq) + 1;
	uint32_t head = l->head < l->fs->geo.log_blocks ? l->head : 1;
	int r;

	if (!l->empty) {
		r = bufio_write_unpinned(c, 0, l->fs->geo.nr_blocks);
		if (r == 0)
			r = write_pinned(l);
		if (r == 0)
			r = bufio_issue_flush(c);
		if (r == 0)
			r = log_write_block(l->fs, bufio_engine_of(c), next, head);
		if (r < 0) {
			if (r != -ENOMEM)
				log_abort(l, r);
			return r;
		}
		live_set_clear(&l->live);
	}
	l->empty = true;
	l->head = l->tail = head;
	atomic_store(&l->used_blocks, 0);
	atomic_store(&l->tail_seq, next);
	return 0;
}
