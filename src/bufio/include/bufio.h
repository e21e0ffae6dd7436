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
 * How many buffers a thread may hold (the hold rule): a call that needs a buffer while all are
 * held, pinned or dirty waits until one can be had.  With N threads, each may hold (pins count)
 * up to (limit_bytes / block_bytes - 1) / N buffers while it calls for another one, and none
 * will wait for ever.  If the rule is broken such that every buffer is held by threads that
 * all wait for one, the last of them gets -EDEADLK; a pinned buffer is taken for one that comes
 * free.  A hold counts for the thread that took it until it is given back, by whichever thread:
 * who hands holds to another thread and then asks for a buffer while all are held may get
 * -EDEADLK, too, although the other thread would have given them back.  What a thread holds when
 * it ends may count for one that comes later.  (Threads that come while 32 others that used the
 * client live are counted together until they end, and not told: they wait.)  If there is
 * nothing to wait for but dirty buffers that the device refuses to take, again and again for some
 * seconds, and pinned ones, the call gets -ENOBUFS.
 * A buffer has room for 1023 pins at a time, and for 2^31 - 1 holds of a thread.
 *
 * A process that forbids itself system calls (seccomp) after bufio_create() must go on allowing
 * membarrier(2), or nothing leaves the cache any more, and tgkill(2) of its own threads, or
 * those that come after 32 others share one count, whether those live or not.
 *
 * What the Linux kernel's dm-bufio has, too, bears its name here, or tells it behind "dm-bufio:".
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

/* What a tracing hook is told.  Hits are not traced: they are counted only. */
enum bufio_trace_kind {
	BUFIO_TRACE_READ, /* a transfer completed; of a prefetch or extent, too */
	BUFIO_TRACE_WRITE,
	BUFIO_TRACE_FLUSH, /* of the device; block and nr are 0 */
	BUFIO_TRACE_WAIT,  /* a call begins to wait for a free buffer; block and nr are 0 */
};

struct bufio_trace {
	enum bufio_trace_kind kind;
	int result;	    /* 0 or -errno */
	uint64_t block, nr; /* which blocks; in part, if only a part was dirty */
	uint64_t ns;	    /* CLOCK_MONOTONIC, now */
};

/*
 * Hooks of the client's owner; each may be NULL.  They run in whatever thread does the work,
 * with no lock held that a getter takes or that is taken to hold, release or mark a buffer, and
 * must not call the library, except for the getters below.
 * What goes past the buffers (extents, writes behind) is shown to none but trace.
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

	/* A write of this block's buffer failed; it stays dirty.  For messages and counters. */
	void (*write_error)(void *context, uint64_t block, int error);

	/*
	 * b is about to be used for a block, which is not known yet; its aux is zero and nobody
	 * else sees it.  The place to set up what aux has.  dm-bufio: alloc_callback.
	 */
	void (*alloc)(void *context, struct bufio_buffer *b);

	/* Something happened; see struct bufio_trace.  Any thread; must be quick. */
	void (*trace)(void *context, const struct bufio_trace *event);
};

struct bufio_options {
	unsigned block_bytes; /* power of two, 512 to 1 MiB, >= the engine's sector; 4096 */
	size_t cache_bytes;   /* trimmed down to this in the background, <= limit_bytes; 8 MiB */
	size_t limit_bytes;   /* never exceeded; at least 1 block, less than 2^30; 9 MiB */
	size_t aux_bytes; /* per buffer, for the owner; zeroed when a block enters; <= 1 MiB; 0 */
	/* of cache_bytes: background writing starts; at most 100; 25 */
	unsigned dirty_background_percent;
	unsigned dirty_age_ms; /* dirty for so long: written in the background; 5000; 0: never */
	size_t max_io_bytes;   /* adjoining blocks are merged up to this, if it is a block; 1 MiB */
	const struct bufio_callbacks *callbacks; /* copied; NULL: none */
	void *callback_context;
	size_t resize_bytes; /* the most bufio_resize() may set limit_bytes to; 0: limit_bytes */
	/*
	 * Never write a buffer while somebody holds it, nor hand one out while it is written; so who
	 * waits for its write, a flush too, waits for its release.  false
	 */
	bool stable_writes;
};

/* Fill in the defaults named above. */
void bufio_options_init(struct bufio_options *o);

/*
 * Create a cache over engine, which must outlive it.  options are copied.  Starts the
 * background writer.  dm-bufio: client_create, set_sector_offset (the engine's offset_bytes).
 *
 * Returns 0, -EINVAL for options that are not as above, or NULL, or a NULL engine, -ENOMEM, or the
 * error of pthread_create() or of pthread_key_create(): -EAGAIN if the process has no key left (a
 * client has one; glibc allows 1024).
 */
int bufio_create(struct bufio_engine *engine, const struct bufio_options *options,
		 struct bufio_client **ret_client);

/*
 * Write everything, flush the device and free the client.  NULL is allowed.  Blocks, also until
 * reads ahead and transfers that were started have ended.  No other call may be under way or follow.
 * dm-bufio: client_destroy.
 *
 * Returns 0; -EBUSY while buffers are held or pinned; or the error of the write or flush.
 * On an error the client lives on with all that is dirty, held or pinned: mend the device and call
 * again, or bufio_abandon() first.
 */
int bufio_destroy(struct bufio_client *c);

/*
 * Read a block and hold it.
 *
 * On success the caller holds *ret_buffer until bufio_release(), and its contents equal
 * the device's or are newer.  Waits for the device and for a free buffer.
 *
 * Returns 0, -ERANGE past the end, -EDEADLK or -ENOBUFS (see the hold rule), verify's or the
 * engine's error, also that of a write behind of the block; a failed read is not cached.
 */
int bufio_read(struct bufio_client *c, uint64_t block, struct bufio_buffer **ret_buffer);

/*
 * The same with an I/O priority for the read, if there is one: ioprio_set(2)'s class << 13 | level.
 * 0 is none.  A hint: where the engine or the kernel will not have it, the read goes without.
 * dm-bufio: read_with_ioprio.
 */
int bufio_read_ioprio(struct bufio_client *c, uint64_t block, uint16_t ioprio,
		      struct bufio_buffer **ret_buffer);

/*
 * Hold a block that the caller will fill: like bufio_read() without the read.  The
 * contents are zero, or those of the cached block.  A buffer that is released by its last
 * holder without ever having been marked dirty is dropped: its invention is never cached.
 * A concurrent bufio_read() of the block gets the same buffer, contents as they are.
 *
 * Waits for a free buffer, and for a read or a write past the buffers of the block that is under way;
 * whether that read fails does not matter.
 * Returns 0, -ERANGE, -EDEADLK, -ENOBUFS or the error of a write behind of the block.
 */
int bufio_new(struct bufio_client *c, uint64_t block, struct bufio_buffer **ret_buffer);

/*
 * Hold a block if it is cached.  Never waits, never reads.
 * Returns 0, -ENOENT (not cached), -EAGAIN (being read just now or, with stable_writes, written or
 * about to be) or -ERANGE.
 */
int bufio_get(struct bufio_client *c, uint64_t block, struct bufio_buffer **ret_buffer);

/*
 * Start reading blocks [block, block + nr) that are not cached, adjoining ones in one transfer.  A
 * hint: no more of them than cache_bytes has room for, and stops where it finds no free buffer; errors
 * show up at the read that follows.  Waits only within the engine's submit(): for room in its queue,
 * or, where it does the transfers right there as the sync engine does, for these.
 * Returns 0 or -ERANGE.  dm-bufio: prefetch_with_ioprio.
 */
int bufio_prefetch(struct bufio_client *c, uint64_t block, uint64_t nr);
int bufio_prefetch_ioprio(struct bufio_client *c, uint64_t block, uint64_t nr, uint16_t ioprio);

/* Give a hold back.  data and buffer are no longer the caller's. */
void bufio_release(struct bufio_buffer *b);

/* The caller, who holds b, changed its contents.  Never blocks.  dm-bufio: mark_buffer_dirty. */
void bufio_mark_dirty(struct bufio_buffer *b);

/*
 * The caller changed only the bytes [start, end) of b: nothing else need be written.  Ranges add up
 * to the smallest one that has them all; the device's sector and the alignment of memory widen it.
 * Never blocks.  Returns 0 or -EINVAL for a range that is empty or ends behind the block.
 * dm-bufio: mark_partial_buffer_dirty.
 */
int bufio_mark_partial_dirty(struct bufio_buffer *b, size_t start, size_t end);

/*
 * Keep b from being written until bufio_unpin(): waits until a write of it completes that is in
 * flight, or that a flush is about to begin after it waited for the last pin to go.  The caller holds
 * b; the pin then keeps b in memory by itself, so the hold may be given back.  Pins nest.  For changes
 * that must not reach the disk half done or too early.  Who has pinned a dirty buffer and calls
 * bufio_write_dirty_buffers() or bufio_write_range() of it returns only after someone else unpins it.
 */
void bufio_pin(struct bufio_buffer *b);

/* Take one pin back; if dirty is set, mark the buffer dirty first.  Never blocks. */
void bufio_unpin(struct bufio_buffer *b, bool dirty);

/*
 * Make everything that was marked dirty before the call durable: held or not, in flight
 * or not; includes a flush of the device.  Bounded, whatever others dirty meanwhile.
 * Concurrent callers share flushes.  Waits for pinned dirty buffers to be unpinned, with
 * stable_writes also for held ones to be released.
 *
 * Returns 0, or the error of the first write that failed, of a write behind for which there is no room
 * in buffers, or of the flush.  After a failed write the buffer is still dirty; after a failed flush
 * all that was written since the last good flush is dirty again.  If a buffer of the latter kind had
 * been evicted, or the data was written past the buffers (bufio_write_extent(), bufio_write_behind(),
 * bufio_issue_zeroout()), it may be lost: then this and every later call returns the error until
 * bufio_abandon().
 */
int bufio_write_dirty_buffers(struct bufio_client *c);

/*
 * Have the background writer write all dirty buffers that are not pinned (with stable_writes: nor
 * held).  Never blocks.
 */
void bufio_write_dirty_buffers_async(struct bufio_client *c);

/*
 * Write the dirty buffers among blocks [block, block + nr) and wait for them, for their pins too, and
 * for writes behind there; no flush.
 * Returns 0, -ERANGE or the first write error.
 */
int bufio_write_range(struct bufio_client *c, uint64_t block, uint64_t nr);

/*
 * The same, but what is pinned is left out: for an owner of pins (a journal), whose own order of
 * things decides when those are written.  Blocks until writes in flight have ended.  Returns the same.
 */
int bufio_write_unpinned(struct bufio_client *c, uint64_t block, uint64_t nr);

/*
 * The same, for a bufio_flush_written() that follows: what is a single transfer goes out as one
 * durable write if no flush is owed for something else, so that the device is waited for once, and
 * the flush has nothing to do.
 */
int bufio_write_durably(struct bufio_client *c, uint64_t block, uint64_t nr);

/*
 * Flush the device if a write through this client has completed since the last flush began, or
 * what a failed flush undid has not been written again.  Blocks.
 * Returns 0 or an error as bufio_issue_flush() does.
 */
int bufio_flush_written(struct bufio_client *c);

/*
 * Flush the device's own cache: every write that completed before the call is durable.  Says
 * nothing of dirty buffers, but for one thing: while a buffer whose write was undone by an earlier
 * failed flush has not been written again, this returns that flush's error.  Blocks.
 * Returns 0, the error of the flush or, until bufio_abandon(), that of one by which data was lost.
 */
int bufio_issue_flush(struct bufio_client *c);

/*
 * Release b and make its contents those of new_block, dirty; what new_block had, cached, dirty or
 * on the device, is replaced.  Waits until all others have released and unpinned new_block; so
 * the caller must not hold it himself.  Needs no buffer more than the one the caller holds.  Who
 * reads new_block meanwhile gets the old contents or the new ones.  Moves of several threads to one
 * block or across each other do not deadlock.
 *
 * b's own block: if others hold it or it is dirty, it stays as it is; else it is dropped, and
 * the device has what it had.  If new_block is b's block, this is mark_dirty and release.
 *
 * On an error (-ERANGE, -ENOMEM; that of a write behind of new_block; where no buffer is free also
 * -EDEADLK, -ENOBUFS or that of writing b's own block) b is still held and unchanged.
 */
int bufio_release_move(struct bufio_buffer *b, uint64_t new_block);

/*
 * Drop blocks from the cache that are clean and idle.  A hint: blocks past the end are none.  Waits
 * for nothing.  dm-bufio: forget, forget_buffers.
 */
void bufio_forget(struct bufio_client *c, uint64_t block);
void bufio_forget_range(struct bufio_client *c, uint64_t block, uint64_t nr);

/*
 * Throw away blocks [block, block + nr), dirty or not, for blocks whose contents no longer
 * matter (freed by their owner).  Waits for reads and writes in flight.
 * Returns 0, -EBUSY if one is held or pinned (the others are gone), -ERANGE, or the error of a write
 * behind of one of them for which there is no room in buffers (nothing is gone).
 */
int bufio_discard_buffers(struct bufio_client *c, uint64_t block, uint64_t nr);

/*
 * Write everything, flush the device and empty the cache.  Blocks.  Returns 0, -EBUSY if buffers are
 * held (the others are gone) or pinned (nothing was done, as with stable_writes if one is held), or
 * the error of a write or flush (what failed stays).  dm-bufio: client_reset.
 */
int bufio_drop_buffers(struct bufio_client *c);

/*
 * Throw away all dirty data that is not held or pinned, and forget errors.  For a device
 * that is gone.  Waits for writes in flight.  Returns how many dirty buffers, and blocks of writes
 * behind that had failed, were lost.
 */
uint64_t bufio_abandon(struct bufio_client *c);

/* Adjoining blocks, and the memory that they come from or go to. */
struct bufio_extent {
	uint64_t block, nr_blocks;
	const struct iovec *iov; /* covers nr_blocks whole blocks */
	unsigned nr_iov;
};

/*
 * A transfer of many adjoining blocks between the device and the caller's memory, past
 * the buffers but coherent with them: cached blocks are copied from (read) or to and marked
 * dirty (write), the others are transferred directly.
 *
 * A block whose parts, at most 8, have bases and lengths that are multiples of the engine's
 * memory_align and sector_bytes is transferred without a copy.  iov and the memory are the library's
 * until the end, *x only during the call.
 * A write is durable only after bufio_write_dirty_buffers(): it may have gone to buffers.  If the
 * flush fails, what went past them may be lost, see there.
 * Blocks that others change in the cache during the call come out old or new; who reads blocks
 * into the cache that are being written waits until that is done.
 *
 * done is called once with 0 or -errno, from any thread, also from within the call.  It must
 * not wait for the device: of this library it may call bufio_release(), bufio_mark_dirty() and
 * the getters.  If done is NULL the call waits and returns the result.  The call itself may wait
 * for reads and writes of cached blocks, for writes behind of the blocks, and within the engine's
 * submit().
 * Returns, without calling done, -EINVAL (no blocks, or iov is not as long as they are), -ERANGE,
 * -ENOMEM (part of a write may be in buffers) or the error of a write behind for which there is
 * no room in buffers.
 */
int bufio_read_extent(struct bufio_client *c, const struct bufio_extent *x,
		      void (*done)(void *context, int result), void *context);
int bufio_write_extent(struct bufio_client *c, const struct bufio_extent *x,
		       void (*done)(void *context, int result), void *context);

/*
 * Write the adjoining blocks from block on, a piece of the caller's memory that is whole blocks, past
 * the buffers, and return before the device has them.  From the return on they are the blocks'
 * contents for everybody, as if they were dirty buffers: who reads or writes them waits until they are
 * on the device, and the calls that write dirty buffers wait for them.  If the write fails nothing is
 * lost: the data becomes dirty buffers.  Until there is room for these, a flush, and whatever wants one
 * of the blocks, returns the error; bufio_abandon() throws the data away.
 * If a flush of the device fails, the data may be lost, see bufio_write_dirty_buffers().
 *
 * The memory, aligned to the engine's memory_align, must not change until done (not NULL) is called,
 * once, from any thread, also from within the call; it must not wait, and of this library it may call
 * bufio_release(), bufio_mark_dirty() and the getters.  *data is the library's only during the call.
 * What is cached is written into its buffer; the call waits for reads and writes of it, for a write
 * behind of one of the blocks that is under way, and within the engine's submit().
 *
 * Returns 0; without calling done -EINVAL (no whole blocks, or not aligned), -ERANGE, -ENOMEM (part of
 * the data may be in buffers) or the error of such a write behind.
 */
int bufio_write_behind(struct bufio_client *c, uint64_t block, const struct iovec *data,
		       void (*done)(void *context), void *context);

/*
 * Tell the device that blocks are unused: their contents become undefined.  Cached buffers are
 * thrown away first, see bufio_discard_buffers().  Blocks.
 * Returns 0, an error of bufio_discard_buffers() (the device was not told), -EOPNOTSUPP or the
 * device's error.
 */
int bufio_issue_discard(struct bufio_client *c, uint64_t block, uint64_t nr);

/*
 * Make blocks zero, on the device without writing them where it can; cached ones become zero
 * and dirty.  Durable after bufio_write_dirty_buffers().  Blocks.
 * Returns 0, -ERANGE, -ENOMEM or the device's error (some may be zero then), also that of a write
 * behind (none is).
 */
int bufio_issue_zeroout(struct bufio_client *c, uint64_t block, uint64_t nr);

/*
 * Read, write or zero bytes of the device, through buffers: any offset and size within the whole
 * blocks.  A write marks what it changed dirty; blocks it covers are not read.  Each block is pinned
 * while it changes, so the device never gets one half changed.  Waits for the device, also for a
 * write of the block that is in flight; holds one buffer at a time.
 *
 * Returns 0, -ERANGE (nothing done), -EINVAL (bufio_write_bytes() of NULL), or bufio_read()'s errors;
 * then what lies before the block that failed is done.
 */
int bufio_read_bytes(struct bufio_client *c, uint64_t offset_bytes, void *data, size_t size);
int bufio_write_bytes(struct bufio_client *c, uint64_t offset_bytes, const void *data, size_t size);
int bufio_zero_bytes(struct bufio_client *c, uint64_t offset_bytes, size_t size);

/*
 * Change cache_bytes and limit_bytes.  What is over the new limit is written and given back
 * before the call returns; what is over cache_bytes in the background.
 *
 * Returns 0; -EINVAL for a limit below one block or above options.resize_bytes (or the
 * limit_bytes of creation, if that is more), a cache larger than it, or one smaller than the
 * minimum; -EBUSY or a write's error if buffers that are held, pinned, under way or cannot be written
 * are over the limit: both limits stand then, and these are given back when they are free.
 * bufio_get_limits() tells them in whole blocks.
 */
int bufio_resize(struct bufio_client *c, size_t cache_bytes, size_t limit_bytes);
void bufio_get_limits(const struct bufio_client *c, size_t *ret_cache_bytes,
		      size_t *ret_limit_bytes);

/*
 * Get the memory of nr buffers, of which those in use are some, from the system now and keep it, 0 by
 * default.
 * Returns 0 or -EINVAL if cache_bytes has not so many.  dm-bufio: set_minimum_buffers.
 */
int bufio_set_minimum_buffers(struct bufio_client *c, uint64_t nr);

/*
 * Getters; b is held or pinned, or given to a hook.  Never block.
 * dm-bufio: get_block_data, get_aux_data, get_block_number, get_client, get_block_size,
 * get_device_size.
 */
/* block_bytes, aligned to 4096, or to the block if that is less */
void *bufio_data(const struct bufio_buffer *b);
void *bufio_aux(const struct bufio_buffer *b); /* aux_bytes, aligned to 8 */
uint64_t bufio_block(const struct bufio_buffer *b);
struct bufio_client *bufio_client_of(const struct bufio_buffer *b);
unsigned bufio_block_bytes(const struct bufio_client *c);
uint64_t bufio_nr_blocks(const struct bufio_client *c); /* whole blocks of the device */
struct bufio_engine *bufio_engine_of(const struct bufio_client *c);

/* How long things took. */
enum bufio_latency {
	BUFIO_LATENCY_READ, /* transfers from the device */
	BUFIO_LATENCY_WRITE,
	BUFIO_LATENCY_FLUSH,
	BUFIO_LATENCY_WAIT, /* for a free buffer */
	BUFIO_NR_LATENCIES,
};

#define BUFIO_HISTOGRAM_BUCKETS 40

struct bufio_histogram {
	uint64_t count, total_ns;
	/* i: 2^i <= ns < 2^(i + 1); the first has 0, too, and the last all that is more */
	uint64_t buckets[BUFIO_HISTOGRAM_BUCKETS];
};

struct bufio_stats {
	uint64_t hits, misses;	     /* of read and get; of read */
	uint64_t reads, read_blocks; /* transfers and blocks; read ahead and extents, too */
	/* transfers, and what of them reached the device; past the buffers, too */
	uint64_t writes, written_blocks, written_bytes;
	/* blocks, those that verify refused, too; past the buffers, transfers */
	uint64_t read_errors, write_errors;
	uint64_t flushes, flush_errors;
	uint64_t evictions; /* for room; not what was forgotten, discarded or dropped */
	uint64_t waits;	    /* for a free buffer */
	uint64_t nr_buffers, peak_buffers;     /* in memory now, at most */
	uint64_t nr_dirty, nr_held, nr_pinned; /* buffers now */
	struct bufio_histogram latency[BUFIO_NR_LATENCIES];
};

/* Since creation.  Looks at every buffer.  Any thread; counters may be torn against each other. */
void bufio_get_stats(const struct bufio_client *c, struct bufio_stats *ret);

/*
 * The same as one JSON object: the counters by their names, block_bytes, and read_latency ...
 * wait_latency with count, total_ns and below_ns, a list of [ns, how many took less, and at least
 * half], without those of none; the first and the last as in struct bufio_histogram.
 * Writes at most size bytes with the final 0.  Returns how long the text is, like snprintf().
 */
size_t bufio_stats_json(const struct bufio_client *c, char *text, size_t size);

#define BUFIO_CALLER_NAME 256

/* A buffer that somebody holds or has pinned. */
struct bufio_held {
	uint64_t block;
	unsigned nr_holds, nr_pins;
	const void *caller;	 /* where read, new or get was called by who held it last */
	const char *caller_name; /* symbol or file + offset, or the address; during report() only */
};

/*
 * Call report (may be NULL) for each buffer that is held or pinned: who leaked what makes
 * bufio_destroy() return -EBUSY.  report must not call the library, except for the getters.  Returns
 * how many there are.
 */
uint64_t bufio_report_held(struct bufio_client *c,
			   void (*report)(void *context, const struct bufio_held *held),
			   void *context);

#ifdef __cplusplus
}
#endif
#endif
