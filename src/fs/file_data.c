/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * File contents in the cache, block by block.  What a transaction makes reachable (new blocks, bytes
 * past the end) goes with it, and so does what the log has an older image of; all else is written in
 * place, whenever write-back or fs_fsync() does.  A block that is written while it changes is
 * dirty again afterwards.  Calls bmap, txn, meta and bufio.
 */
#include "file.h"
#include "log.h"
#include "meta.h"

#include <errno.h>
#include <string.h>

static bool goes_with_txn(struct txn *t, const struct inode *inode, struct bufio_buffer *b,
			  const struct data_range *range)
{
	struct fs *fs = inode->fs;

	return range->fresh || (range->logical + 1) << fs->geo.block_shift > inode->size ||
	       meta_joined(b) == t->seq || log_is_live(fs->log, bufio_block(b));
}

void data_note_in_place(struct inode *inode, uint64_t logical)
{
	if (inode->dirty_from >= inode->dirty_to) {
		inode->dirty_from = logical;
		inode->dirty_to = logical + 1;
	} else if (logical < inode->dirty_from) {
		inode->dirty_from = logical;
	} else if (logical >= inode->dirty_to) {
		inode->dirty_to = logical + 1;
	}
}

/* Before the change. */
static int account(struct txn *t, struct inode *inode, struct bufio_buffer *b,
		   const struct data_range *range)
{
	if (!goes_with_txn(t, inode, b, range)) {
		data_note_in_place(inode, range->logical);
		return 0;
	}
	/* inode_store() follows, but for it only the times may have changed */
	inode->data_seq = t->seq;
	/* all of what was joined is in the record anyway */
	return meta_joined(b) == t->seq ? 0 : txn_add_data(t, bufio_block(b), 1, b);
}

/*
 * ThreadSanitizer is not to see what is written, for write-back may read it meanwhile.  A suppression would
 * not do: it goes by the stack of the writer, which may be forgotten by the time the reader comes.
 */
#ifdef __SANITIZE_THREAD__
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);
#else
#define AnnotateIgnoreWritesBegin(file, line)
#define AnnotateIgnoreWritesEnd(file, line)
#endif

static void fill(struct bufio_buffer *b, unsigned block_bytes, const struct data_range *range)
{
	uint8_t *data = bufio_data(b);

	AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
	if (range->fresh && range->bytes != block_bytes)
		memset(data, 0, block_bytes);
	memcpy(data + range->from, range->src, range->bytes);
	AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
	bufio_mark_dirty(b);
}

int data_write(struct txn *t, struct inode *inode, uint64_t block, const struct data_range *range)
{
	struct fs *fs = inode->fs;
	struct bufio_buffer *b;
	int r;

	r = range->fresh || range->bytes == fs->geo.block_bytes ? bufio_new(fs->bufio, block, &b)
								: bufio_read(fs->bufio, block, &b);
	if (r < 0)
		return r;
	meta_set_data(b);
	r = account(t, inode, b, range);
	if (r == 0)
		fill(b, fs->geo.block_bytes, range);
	bufio_release(b);
	return r;
}

static bool is_zero(const uint8_t *p, size_t size)
{
	while (size && !*p)
		p++, size--;
	return size == 0;
}

/* It must not be zero before the transaction is: a crash would have cut the file half. */
static int zero_in_txn(struct txn *t, struct inode *inode, uint64_t block,
		       const struct data_range *range)
{
	struct bufio_buffer *b;
	uint8_t *data;
	int r;

	r = bufio_read(inode->fs->bufio, block, &b);
	if (r < 0)
		return r;
	data = (uint8_t *)bufio_data(b) + range->from;
	if (!is_zero(data, range->bytes)) {
		meta_set_data(b);
		log_wait_data(inode->fs->log);
		r = txn_modify(t, b);
		if (r == 0)
			memset(data, 0, range->bytes);
	}
	bufio_release(b);
	return r;
}

int file_zero_part(struct txn *t, struct inode *inode, uint64_t from, unsigned bytes)
{
	const struct geometry *g = &inode->fs->geo;
	struct data_range range = {.from = (unsigned)(from & (g->block_bytes - 1)), .bytes = bytes};
	struct mapping m;
	int r;

	r = bmap_lookup(inode, from >> g->block_shift, 1, &m);
	if (r < 0)
		return r;
	return !m.physical || m.unwritten ? 0 : zero_in_txn(t, inode, m.physical, &range);
}

int file_zero_tail(struct txn *t, struct inode *inode, uint64_t from)
{
	const struct geometry *g = &inode->fs->geo;
	unsigned offset = (unsigned)(from & (g->block_bytes - 1));

	if (!offset || inode->data_format == DATA_INLINE)
		return 0;
	return file_zero_part(t, inode, from, g->block_bytes - offset);
}

/* Give the first block of a file what was in its tail. */
static int fill_first_block(struct txn *t, struct inode *inode, const uint8_t *saved)
{
	struct data_range range = {.bytes = (unsigned)inode->size, .src = saved, .fresh = true};
	struct mapping m;
	int r;

	r = bmap_alloc(t, inode, 0, 1, &m);
	if (r < 0)
		return r;
	r = data_write(t, inode, m.physical, &range);
	if (r < 0)
		bmap_remove(t, inode, 0, 1);
	return r;
}

int file_leave_inline(struct txn *t, struct inode *inode)
{
	uint8_t saved[INODE_TAIL_BYTES];
	int r;

	memcpy(saved, inode->tail, sizeof(saved));
	memset(inode->tail, 0, inode_data_bytes(inode));
	inode->data_format = DATA_NONE;
	if (!inode->size)
		return 0;
	r = fill_first_block(t, inode, saved);
	if (r < 0) {
		memcpy(inode->tail, saved, sizeof(saved));
		inode->data_format = DATA_INLINE;
	}
	return r;
}
