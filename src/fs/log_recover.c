/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading the log, and replay: FORMAT.md section 10.  Nothing of the image is trusted: a record counts
 * if its checksum over all of it holds and its number is the next one; the first that does not ends
 * the log.  Calls log_record, super and bufio.
 */
#include "log.h"
#include "log_record.h"
#include "meta.h"
#include "super.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* So much of the log is read at once: most records are small. */
#define READ_BYTES ((size_t)1 << 20)

struct reader {
	const struct fs *fs;
	struct bufio_engine *e;
	uint8_t *memory;
	size_t blocks;	    /* of memory */
	uint32_t first, nr; /* of the log, are in it */
};

static int reader_reserve(struct reader *rd, size_t blocks)
{
	void *p;

	if (blocks <= rd->blocks)
		return 0;
	if (posix_memalign(&p, 65536, blocks << rd->fs->geo.block_shift))
		return -ENOMEM;
	free(rd->memory);
	rd->memory = p;
	rd->blocks = blocks;
	return 0;
}

static int fill_memory(struct reader *rd, uint32_t offset, uint32_t nr)
{
	const struct geometry *g = &rd->fs->geo;
	struct iovec iov;
	struct bufio_io io = {
		.op = BUFIO_OP_READ,
		.offset_bytes = (g->log_start + offset) << g->block_shift,
		.iov = &iov,
		.nr_iov = 1,
		.size_bytes = (size_t)nr << g->block_shift,
	};
	int r;

	rd->nr = 0;
	r = reader_reserve(rd, nr);
	if (r < 0)
		return r;
	iov = (struct iovec){rd->memory, io.size_bytes};
	r = rd->e->ops->transfer(rd->e, &io);
	if (r == 0) {
		rd->first = offset;
		rd->nr = nr;
	}
	return r;
}

/* Behind the last record it is of no account if the device cannot be read. */
static int read_blocks(struct reader *rd, uint32_t offset, uint32_t nr, const uint8_t **ret)
{
	const struct geometry *g = &rd->fs->geo;
	uint32_t left = g->log_blocks - offset, most = (uint32_t)(READ_BYTES >> g->block_shift);
	uint32_t many = most < left ? most : left;
	int r = 0;

	if (offset < rd->first || offset + nr > rd->first + rd->nr) {
		r = fill_memory(rd, offset, many > nr ? many : nr);
		if (r < 0 && many > nr)
			r = fill_memory(rd, offset, nr);
	}
	if (r == 0)
		*ret = rd->memory + ((size_t)(offset - rd->first) << g->block_shift);
	return r;
}

/* The record of seq at offset, in memory: its size, 0 if there is none, or error. */
static int64_t read_record(struct reader *rd, uint32_t offset, uint64_t seq,
			   const uint8_t **ret_record)
{
	uint32_t nr;
	int r;

	if (offset >= rd->fs->geo.log_blocks)
		return 0;
	r = read_blocks(rd, offset, 1, ret_record);
	if (r < 0)
		return r;
	nr = record_begins(rd->fs, *ret_record, offset, seq);
	if (nr == 0)
		return 0;
	r = read_blocks(rd, offset, nr, ret_record);
	if (r < 0)
		return r;
	return record_is_good(rd->fs, *ret_record, nr) ? nr : 0;
}

static int read_head(struct reader *rd, struct log_scan *ret)
{
	const struct geometry *g = &rd->fs->geo;
	const struct disk_log *d;
	const uint8_t *block;
	int r;

	r = read_blocks(rd, 0, 1, &block);
	if (r == 0)
		r = meta_verify_raw(rd->fs, g->log_start, META_LOG, 0, block);
	if (r < 0)
		return r;
	d = (const struct disk_log *)block;
	*ret = (struct log_scan){.tail_seq = le64_get(d->tail_seq),
				 .tail_offset = le32_get(d->tail_offset)};
	if (!log_block_is_good(g, d))
		return -EUCLEAN;
	ret->next_seq = ret->tail_seq;
	ret->next_offset = ret->tail_offset;
	return 0;
}

static int scan(struct reader *rd, log_take *take, void *context, struct log_scan *s)
{
	uint32_t offset = s->tail_offset;
	const uint8_t *record;
	int64_t nr;
	int r = 0;

	while (r == 0) {
		nr = read_record(rd, offset, s->next_seq, &record);
		if (nr == 0 && offset != 1)
			nr = read_record(rd, offset = 1, s->next_seq, &record);
		if (nr <= 0)
			return (int)nr;
		r = take(context, record, (uint32_t)nr);
		offset += (uint32_t)nr;
		s->next_seq++;
		s->next_offset = offset;
	}
	return r;
}

int log_scan(const struct fs *fs, struct bufio_engine *e, log_take *take, void *context,
	     struct log_scan *ret)
{
	struct reader rd = {.fs = fs, .e = e};
	int r;

	r = read_head(&rd, ret);
	if (r == 0)
		r = scan(&rd, take, context, ret);
	free(rd.memory);
	return r;
}

/* Replay, through a cache, so that memory stays small and what is written twice is written once. */

static int replay_block(void *context, uint64_t block, uint64_t mask, const uint8_t *pieces)
{
	struct fs *fs = context;
	struct bufio_buffer *b;
	int r;

	r = mask == UINT64_MAX ? bufio_new(fs->bufio, block, &b) : bufio_read(fs->bufio, block, &b);
	if (r < 0)
		return r;
	bufio_pin(b);
	record_patch(&fs->geo, mask, pieces, bufio_data(b));
	bufio_unpin(b, true);
	bufio_release(b);
	return 0;
}

static int replay_record(void *context, const uint8_t *record, uint32_t nr_blocks)
{
	return record_walk(context, record, nr_blocks, replay_block, context);
}

static int open_cache(struct fs *fs, struct bufio_engine *e)
{
	struct bufio_options o;

	bufio_options_init(&o);
	o.block_bytes = fs->geo.block_bytes;
	o.cache_bytes = (size_t)FS_MIN_BUFFERS * o.block_bytes;
	o.limit_bytes = o.cache_bytes;
	return bufio_create(e, &o, &fs->bufio);
}

static int close_cache(struct fs *fs, int r)
{
	int r2;

	if (r < 0)
		bufio_abandon(fs->bufio);
	r2 = bufio_destroy(fs->bufio);
	if (r2 < 0) {
		bufio_abandon(fs->bufio);
		bufio_destroy(fs->bufio);
	}
	return r < 0 ? r : r2;
}

/* The records end where they are all replayed; only then does the superblock forget the log. */
static int retire(struct fs *fs, struct bufio_engine *e, const struct log_scan *s)
{
	struct disk_super *d = &fs->super;
	uint32_t state = le32_get(d->state);
	uint32_t offset = s->next_offset < fs->geo.log_blocks ? s->next_offset : 1;
	int r;

	r = log_write_block(fs, e, s->next_seq, offset);
	if (r < 0)
		return r;
	d->incompat = le64_make(le64_get(d->incompat) & ~INCOMPAT_LOG);
	d->state = le32_make(state | SUPER_CLEAN | SUPER_REPLAYED);
	return super_store(e, &fs->geo, d);
}

static int replay(struct fs *fs, struct bufio_engine *e)
{
	struct log_scan s;
	int r;

	r = open_cache(fs, e);
	if (r < 0)
		return r;
	r = log_scan(fs, e, replay_record, fs, &s);
	r = close_cache(fs, r);
	return r < 0 ? r : retire(fs, e, &s);
}

int log_recover(struct bufio_engine *e)
{
	struct fs fs = {0};
	int r;

	r = super_open(e, &fs);
	if (r < 0 || !(le64_get(fs.super.incompat) & INCOMPAT_LOG))
		return r;
	if (e->read_only || le64_get(fs.super.ro_compat) & ~RO_COMPAT_KNOWN)
		return -EROFS;
	return replay(&fs, e);
}
