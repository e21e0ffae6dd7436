/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef BUFIO_H
#define BUFIO_H

/*
 * libbufio: a write-back cache of the blocks of one device, for programs.
 *
 * The normal sequence:
 *
 *	bufio_engine_open("disk.img", NULL, &engine);
 *	bufio_options_init(&options);
 *	bufio_create(engine, &options, &client);
 *	bufio_read(client, 7, &buffer);			hold block 7
 *	memcpy(bufio_data(buffer), ...);
 *	bufio_mark_dirty(buffer);			before releasing it
 *	bufio_release(buffer);
 *	bufio_write_dirty_buffers(client);		all of it is on the disk
 *	bufio_destroy(client);
 *	bufio_engine_destroy(engine);
 *
 * What holds always:
 *  - There is at most one buffer for a block, and concurrent reads of a block that is not
 *    cached cause one read of the device.
 *  - A held buffer stays where it is: its data pointer is valid until release.
 *  - A dirty buffer may be written at any time after bufio_mark_dirty(), also while it is
 *    held; bufio_pin() prevents that.  Between flushes there is no order between buffers.
 *  - A failed write loses nothing: the buffer stays dirty and cached until a later
 *    write succeeds or bufio_abandon() throws it away.
 *  - The memory of all buffers never exceeds options.limit_bytes.
 *
 * Every call may be made from any thread.  Functions that return int give 0 or a
 * negative errno: -EINVAL and -ERANGE are the caller's mistakes, -EIO is the device's.
 * An output is written only on success, except that a held buffer that could not be had
 * is set to NULL.  The library prints nothing and has no mutable global state.
 *
 * How many buffers a thread may hold: a call that needs a buffer while all are held or
 * pinned waits until one is released.  With N threads, each may hold (pins count) up to
 * limit_bytes / block_bytes / N buffers at once without a deadlock.  A call that finds every
 * buffer of the client held by its own caller waits for ever: the client does not know
 * whose a hold is, so -EDEADLK is reserved and not returned by this version.
 *
 * The names are those of the Linux kernel's dm-bufio where the call exists there.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include <bufio_engine.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bufio_client;
struct bufio_buffer;

/*
 * Hooks of the client's owner; each may be NULL.  They run with no lock of the library
 * held, in whatever thread does the work, and must not call the library, except for the
 * getters below.
 */
struct bufio_callbacks {
	/*
	 * The contents came from the device and nobody has seen them yet.  A negative errno
	 * fails the read: every waiter gets it and the block is not cached.
	 */
	int (*verify)(void *context, struct bufio_buffer *b);

	/*
	 * The contents are about to be written: the place to stamp a checksum.  The buffer is
	 * not pinned and no other write of it is in flight.  dm-bufio: write_callback.
	 */
	void (*prepare)(void *context, struct bufio_buffer *b);

	/* A write of this block failed; it stays dirty.  For messages and counters. */
	void (*write_error)(void *context, uint64_t block, int error);
};

struct bufio_options {
	unsigned block_bytes;		/* power of two, 512 to 1 MiB, >= the engine's sector; 4096 */
	size_t cache_bytes;		/* trimmed down to this in the background; 8 MiB */
	size_t limit_bytes;		/* never exceeded; 9 MiB; at least 2 blocks */
	size_t aux_bytes;		/* per buffer, for the owner; zeroed when a block enters; 0 */
	unsigned dirty_background_percent;	/* of cache_bytes: background writing starts; 25 */
	unsigned dirty_age_ms;		/* dirty for so long: written in the background; 5000; 0: never */
	size_t max_io_bytes;		/* adjoining blocks are merged up to this; 1 MiB */
	const struct bufio_callbacks *callbacks;	/* must outlive the client; NULL */
	void *callback_context;
};

/* Fill in the defaults named above. */
void bufio_options_init(struct bufio_options *o);

/*
 * Create a cache over engine, which must outlive it.  options are copied.  Starts the
 * background writer.  dm-bufio: client_create.
 *
 * Returns 0, -EINVAL for options that make no sense, -ENOMEM or pthread_create()'s error.
 */
int bufio_create(struct bufio_engine *engine, const struct bufio_options *options,
		 struct bufio_client **ret_client);

/*
 * Write everything, flush the device and free the client.  NULL is allowed.  Blocks.
 * dm-bufio: client_destroy.
 *
 * Returns 0; -EBUSY while buffers are held or pinned; or the error of the write or flush.
 * On an error the client lives on with its data: mend the device and call again, or
 * bufio_abandon() first.
 */
int bufio_destroy(struct bufio_client *c);

/*
 * Read a block and hold it.
 *
 * On success the caller holds *ret_buffer until bufio_release(), and its contents equal
 * the device's or are newer.  Waits for the device and for a free buffer.
 *
 * Returns 0, -ERANGE past the end, -EDEADLK (see above), verify's or the engine's error; a
 * failed read is not cached.
 */
int bufio_read(struct bufio_client *c, uint64_t block, struct bufio_buffer **ret_buffer);

/*
 * Hold a block that the caller will fill: like bufio_read() without the read.  The
 * contents are zero, or those of the cached block.  A buffer that is released by its last
 * holder without ever having been marked dirty is dropped: its invention is never cached.
 * A concurrent bufio_read() of the block gets the same buffer, contents as they are.
 */
int bufio_new(struct bufio_client *c, uint64_t block, struct bufio_buffer **ret_buffer);

/*
 * Hold a block if it is cached.  Never waits, never reads.
 * Returns 0, -ENOENT (not cached), -EAGAIN (being read just now) or -ERANGE.
 */
int bufio_get(struct bufio_client *c, uint64_t block, struct bufio_buffer **ret_buffer);

/*
 * Start reading blocks [block, block + nr) that are not cached.  A hint: does not wait for
 * the device, skips what finds no free buffer, errors show up at the read that follows.
 * Returns 0 or -ERANGE.
 */
int bufio_prefetch(struct bufio_client *c, uint64_t block, uint64_t nr);

/* Give a hold back.  data and buffer are no longer the caller's. */
void bufio_release(struct bufio_buffer *b);

/* The caller, who holds b, changed its contents.  Never blocks. */
void bufio_mark_dirty(struct bufio_buffer *b);

/*
 * Keep b from being written until bufio_unpin(): waits until a write of it that is in
 * flight completes.  The caller holds b; the pin then keeps b in memory by itself, so the
 * hold may be given back.  Pins nest.  For changes that must not reach the disk half done
 * or too early.  Holding pins while calling bufio_write_dirty_buffers() in the same
 * thread returns only after someone else unpins them.
 */
void bufio_pin(struct bufio_buffer *b);

/* Take one pin back; if dirty is set, mark the buffer dirty first. */
void bufio_unpin(struct bufio_buffer *b, bool dirty);

/*
 * Make everything that was marked dirty before the call durable: held or not, in flight
 * or not; includes a flush of the device.  Bounded, whatever others dirty meanwhile.
 * Concurrent callers share flushes.  Waits for pinned dirty buffers to be unpinned.
 *
 * Returns 0, or the error of the first write that failed or of the flush.  After a failed
 * write the buffer is still dirty; after a failed flush all that was written since the last
 * good flush is dirty again.  If a buffer of the latter kind had been evicted, its data may
 * be lost: then this and every later call returns the error until bufio_abandon().
 */
int bufio_write_dirty_buffers(struct bufio_client *c);

/* Start writing all dirty buffers that are not pinned; does not wait for the writes. */
void bufio_write_dirty_buffers_async(struct bufio_client *c);

/*
 * Write the dirty buffers among blocks [block, block + nr) and wait for them; no flush.
 * Returns 0, -ERANGE or the first write error.
 */
int bufio_write_range(struct bufio_client *c, uint64_t block, uint64_t nr);

/*
 * The same, but what is pinned is left out: for an owner of pins (a journal), whose own order of
 * things decides when those are written.  Blocks until writes in flight have ended.
 */
int bufio_write_unpinned(struct bufio_client *c, uint64_t block, uint64_t nr);

/*
 * Flush the device if a write through this client has completed since the last flush began.
 * Returns as bufio_write_dirty_buffers() does.  Blocks.
 */
int bufio_flush_written(struct bufio_client *c);

/* Flush the device's own cache.  Says nothing of dirty buffers.  Returns 0 or -errno. */
int bufio_issue_flush(struct bufio_client *c);

/*
 * Release b and make its contents those of new_block, dirty; the cached new_block, if
 * any, is replaced.  If others hold b, it stays and new_block gets a copy.  new_block ==
 * b's block is mark_dirty and release.  Waits for holders of new_block.  Two crossed moves
 * do not deadlock.
 *
 * On an error (-ERANGE, -ENOMEM) b is still held and unchanged.
 */
int bufio_release_move(struct bufio_buffer *b, uint64_t new_block);

/* Drop a block from the cache if it is clean and idle.  A hint.  dm-bufio: forget. */
void bufio_forget(struct bufio_client *c, uint64_t block);
void bufio_forget_range(struct bufio_client *c, uint64_t block, uint64_t nr);

/*
 * Throw away blocks [block, block + nr), dirty or not, for blocks whose contents no longer
 * matter (freed by their owner).  Waits for writes in flight.
 * Returns 0, -EBUSY if one is held or pinned (the others are gone), or -ERANGE.
 */
int bufio_discard_buffers(struct bufio_client *c, uint64_t block, uint64_t nr);

/*
 * Write everything and empty the cache.  Returns 0, -EBUSY if buffers are held (the others
 * are gone), or the error of a write or flush (what failed stays).
 */
int bufio_drop_buffers(struct bufio_client *c);

/*
 * Throw away all dirty data that is not held or pinned, and forget errors.  For a device
 * that is gone.  Returns how many dirty buffers were lost.
 */
uint64_t bufio_abandon(struct bufio_client *c);

/*
 * A transfer of many adjoining blocks between the device and the caller's memory, past
 * the buffers but coherent with them: cached blocks are copied from (read) or to and marked
 * dirty (write), the others are transferred directly.
 *
 * iov covers nr whole blocks; bases and lengths of its parts must be multiples of
 * the engine's memory_align and sector_bytes, else the data takes a copy.
 * A write is durable only after bufio_write_dirty_buffers() or bufio_issue_flush().
 * Blocks that others change in the cache during the call come out old or new.
 *
 * done is called once with 0 or -errno, from any thread, also from within the call; if it
 * is NULL the call waits and returns the result.  Returns -EINVAL, -ERANGE or -ENOMEM
 * without calling done.
 */
int bufio_read_extent(struct bufio_client *c, uint64_t block, uint64_t nr,
		      const struct iovec *iov, unsigned nr_iov,
		      void (*done)(void *context, int result), void *context);
int bufio_write_extent(struct bufio_client *c, uint64_t block, uint64_t nr,
		       const struct iovec *iov, unsigned nr_iov,
		       void (*done)(void *context, int result), void *context);

/* Tell the device that blocks are unused.  The caller sees to it that none is cached. */
int bufio_issue_discard(struct bufio_client *c, uint64_t block, uint64_t nr);

/* Getters; b is held. */
void *bufio_data(const struct bufio_buffer *b);		/* block_bytes, aligned to 4096 or the block */
void *bufio_aux(const struct bufio_buffer *b);		/* aux_bytes, aligned to 8 */
uint64_t bufio_block(const struct bufio_buffer *b);
struct bufio_client *bufio_client_of(const struct bufio_buffer *b);
unsigned bufio_block_bytes(const struct bufio_client *c);
uint64_t bufio_nr_blocks(const struct bufio_client *c);	/* whole blocks of the device */
struct bufio_engine *bufio_engine_of(const struct bufio_client *c);

struct bufio_stats {
	uint64_t hits, misses;
	uint64_t reads, read_blocks;		/* transfers and blocks */
	uint64_t writes, written_blocks;
	uint64_t read_errors, write_errors;
	uint64_t flushes, flush_errors;
	uint64_t evictions;
	uint64_t waits;				/* for a free buffer */
	uint64_t nr_buffers, peak_buffers;	/* in memory now, at most */
	uint64_t nr_dirty, nr_held;
};

void bufio_get_stats(const struct bufio_client *c, struct bufio_stats *ret);

#ifdef __cplusplus
}
#endif
#endif
