/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The beginning and the end of a log: see log.h.  Calls log_recover, log_checkpoint, log. */
#include "log.h"
#include "log_record.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

void log_destroy(struct log *l)
{
	if (!l)
		return;
	/* the later first: what it found is what the other one left */
	transaction_finish(&l->open, l->fs->geo.block_bytes);
	transaction_finish(&l->closed, l->fs->geo.block_bytes);
	live_set_finish(&l->live);
	pthread_mutex_destroy(&l->join_lock);
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->done);
	pthread_cond_destroy(&l->come);
	free(l->record);
	free(l);
}

static int take_none(void *context, const uint8_t *record, uint32_t nr_blocks)
{
	return 0;
}

/* A sequence that no record in the log can have, nor can anyone guess it. */
static int choose_seq(struct fs *fs, uint64_t *ret_seq)
{
	struct log_scan scan;
	uint32_t stride;
	int r;

	r = log_scan(fs, bufio_engine_of(fs->bufio), take_none, NULL, &scan);
	if (r < 0)
		return r;
	if (getrandom(&stride, sizeof(stride), 0) != sizeof(stride))
		return -EIO;
	if (scan.next_seq >= LOG_SEQ_MAX - LOG_SEQ_SPARE / 2)
		return -EUCLEAN;
	*ret_seq = scan.next_seq + stride + 1;
	return 0;
}

/* A sixteenth of the cache: copies of two transactions, and a record as long as one, are beside the cache. */
static size_t choose_max(const struct fs *fs)
{
	size_t buffers = fs->options.cache_bytes >> fs->geo.block_shift;
	/* all of them whole fill less than half of an empty log */
	size_t blocks = (size_t)fs->geo.log_blocks * 3 / 8;

	buffers = buffers / 16 < FS_MIN_BUFFERS / 4 ? FS_MIN_BUFFERS / 4 : buffers / 16;
	return blocks < buffers ? blocks : buffers;
}

static void init_locks(struct log *l)
{
	pthread_condattr_t clock;

	pthread_mutex_init(&l->join_lock, NULL);
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->done, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&l->come, &clock);
	pthread_condattr_destroy(&clock);
}

int log_start(struct fs *fs)
{
	struct log *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	l->fs = fs;
	l->max_joined = choose_max(fs);
	l->head = l->tail = 1;
	l->empty = true;
	init_locks(l);
	live_set_init(&l->live);
	r = choose_seq(fs, &l->open.seq);
	if (r == 0) {
		atomic_store(&l->tail_seq, l->open.seq);
		atomic_store(&l->durable_seq, l->open.seq - 1);
		l->closed_seq = l->open.seq - 1;
		r = log_write_block(fs, bufio_engine_of(fs->bufio), l->open.seq, l->tail);
	}
	if (r < 0) {
		log_destroy(l);
		return r;
	}
	fs->log = l;
	return 0;
}
