/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Before pass 0: what a crash left in the log is replayed, or laid over the image if nothing may be
 * written.  In pass 0: the log's first block.
 */
#include "check_priv.h"
#include "log.h"
#include "log_record.h"

#include <errno.h>
#include <inttypes.h>

int check_replay(struct check *c)
{
	int r;

	if (check_writes(c)) {
		r = log_recover(c->engine);
	} else {
		r = log_overlay_create(c->engine, &c->overlay);
		if (c->overlay)
			c->engine = c->overlay;
	}
	c->log_bad = r == -EUCLEAN;
	/* what else is wrong with the superblock is found there */
	return r == -EIO || r == -ENOMEM ? r : 0;
}

/* The highest sequence number of anything that looks like a record. */
static int search_log(struct check *c, uint64_t *ret_seq)
{
	const struct geometry *g = &c->fs.geo;
	uint64_t seq = 0;

	for (uint64_t i = 1; i < g->log_blocks; i++) {
		const struct disk_head *h;
		struct bufio_buffer *b;
		int r = bufio_read(c->fs.bufio, g->log_start + i, &b);

		if (r < 0)
			return r;
		h = bufio_data(b);
		if (le32_get(h->magic) == MAGIC_RECORD && le64_get(h->block) == g->log_start + i &&
		    le64_get(h->seq) > seq && le64_get(h->seq) < LOG_SEQ_MAX - LOG_SEQ_SPARE)
			seq = le64_get(h->seq);
		bufio_release(b);
	}
	*ret_seq = seq;
	return 0;
}

static int make_log(struct check *c)
{
	uint64_t start = c->fs.geo.log_start, seq;
	struct bufio_buffer *b;
	struct disk_log *d;
	int r;

	r = search_log(c, &seq);
	if (r < 0)
		return r;
	r = block_new(c, start, META_LOG, 0, &b);
	if (r < 0)
		return r;
	d = bufio_data(b);
	d->tail_seq = le64_make(seq + 1);
	d->tail_offset = le32_make(1);
	block_store(c, b);
	return 0;
}

/* A log that cannot be replayed is given up: what it held is lost, and the rest is checked as it is. */
static void check_replayed(struct check *c)
{
	if (!c->log_bad)
		return;
	if (problem(c, FIX_LOSSY, "log-bad", (struct at){.block = c->fs.geo.log_start},
		    "the log cannot be replayed: its first block, or a record, is bad"))
		c->super.incompat = le64_make(le64_get(c->super.incompat) & ~INCOMPAT_LOG);
	else
		c->stopped = true;
}

int check_log(struct check *c)
{
	const struct geometry *g = &c->fs.geo;
	struct bufio_buffer *b;
	bool good = false;
	int r;

	check_replayed(c);
	r = block_read(c, g->log_start, META_LOG, 0, &b);
	if (r == 0) {
		const struct disk_log *d = bufio_data(b);

		good = log_block_is_good(g, d) &&
		       le64_get(d->tail_seq) < LOG_SEQ_MAX - LOG_SEQ_SPARE;
		bufio_release(b);
	}
	if (good || (r < 0 && r != -EUCLEAN))
		return good ? 0 : r;
	if (problem(c, FIX_SAFE, "log-block", (struct at){.block = g->log_start},
		    "the log's first block %" PRIu64 " is bad", g->log_start))
		return make_log(c);
	return 0;
}
