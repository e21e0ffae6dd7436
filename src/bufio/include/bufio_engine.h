/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef BUFIO_ENGINE_H
#define BUFIO_ENGINE_H

/*
 * A block device as a handful of function pointers.
 *
 * The cache talks to nothing but this seam, so a program can put its own device under
 * it, and a test can put RAM, faults or a recorder there.  Engines stack: one that
 * wraps another passes calls on.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

enum bufio_op {
	BUFIO_OP_READ,
	BUFIO_OP_WRITE,
};

/* The write is on stable storage when it completes (RWF_DSYNC: one FUA write). */
#define BUFIO_IO_DURABLE (1u << 0)

/* A hint for wrappers: the thread that submits it goes on to something else and does not wait for it. */
#define BUFIO_IO_UNAWAITED (1u << 1)

/*
 * One transfer.  The submitter fills the first part and owns the memory; from submit
 * until done() is called the engine owns all of it and the memory iov points to.
 *
 * A transfer is all or nothing: short transfers are resubmitted by the engine, and a
 * read past the end of a device that shrank is an error, never silent zeroes.
 */
struct bufio_io {
	enum bufio_op op;
	uint16_t flags;	       /* BUFIO_IO_* */
	uint16_t ioprio;       /* a hint: ioprio_set(2)'s class << 13 | level; 0: none */
	uint64_t offset_bytes; /* multiple of the engine's sector_bytes */
	const struct iovec
		*iov;	   /* every base and length: multiples of memory_align / sector_bytes */
	unsigned nr_iov;   /* at most BUFIO_MAX_IOV */
	size_t size_bytes; /* sum of the iov lengths, not 0 */

	/*
	 * Called once, from any thread, also from within submit(), with 0 or -errno: -EINVAL for
	 * a misshapen or misaligned io, -ERANGE past the end, -EROFS, -EPERM in a child of
	 * fork(), else the device's.  The io belongs to the submitter again.  Must not block on
	 * this engine, nor submit to it.
	 */
	void (*done)(struct bufio_io *io, int result);
	void *context; /* for the submitter */

	struct bufio_io *next; /* for the engine */
	uintptr_t engine[4];   /* for the engine */
};

#define BUFIO_MAX_IOV 1024 /* IOV_MAX */

struct bufio_engine;

/* Something that a thread also looks at while it waits for a transfer. */
struct bufio_watch {
	int fd;
	/*
	 * Called at most once, by the thread that waits: as soon as fd can be read from or has an error,
	 * or nobody can look.  Not if the transfer ended, or was refused, before.  Must not wait.
	 */
	void (*readable)(struct bufio_watch *w);
};

struct bufio_engine_ops {
	/*
	 * Start nr transfers.  Never fails: errors arrive at done().  May block while the
	 * device's queue is full, so call it with no lock held.  Nothing stays parked: all that
	 * was handed in gets to the device without a further call.  An engine may do a transfer
	 * right here, as the sync engine does with all.
	 */
	void (*submit)(struct bufio_engine *e, struct bufio_io *const *ios, unsigned nr);

	/* One transfer in the calling thread; done is not called.  Returns 0 or -errno. */
	int (*transfer)(struct bufio_engine *e, struct bufio_io *io);

	/* The same, watching w until the transfer ends.  NULL: this engine cannot. */
	int (*transfer_watching)(struct bufio_engine *e, struct bufio_io *io,
				 struct bufio_watch *w);

	/*
	 * Every write that completed before the call is on stable storage on return 0.  Blocks.
	 * Returns 0 or -errno.
	 */
	int (*flush)(struct bufio_engine *e);

	/*
	 * Contents become undefined; a hint.  Returns 0, -EOPNOTSUPP or -errno: as done() of a write.
	 * Blocks.
	 */
	int (*discard)(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes);

	/* Contents become zero.  The same; -EOPNOTSUPP: write zeroes then. */
	int (*zero)(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes);

	/*
	 * Waits for what is in flight, frees the engine.  Every call must have returned.  A
	 * wrapper destroys what it wraps.
	 */
	void (*destroy)(struct bufio_engine *e);
};

/* The common head of every engine; set at creation, then never changed. */
struct bufio_engine {
	const struct bufio_engine_ops *ops;
	const char *name;      /* "aio", "sync", "mem", ... */
	uint64_t size_bytes;   /* of the device, or of the part that was opened */
	unsigned sector_bytes; /* alignment of offsets and lengths, a power of two >= 512 */
	unsigned memory_align; /* alignment of memory, a power of two */
	unsigned max_pieces;   /* of memory that the device takes in one request; 0: unknown */
	bool read_only;	       /* writes get -EROFS */
};

/* Destroy an engine: waits for its transfers.  NULL is allowed. */
void bufio_engine_destroy(struct bufio_engine *e);

struct bufio_engine_options {
	bool read_only;
	bool buffered; /* through the page cache instead of O_DIRECT; synchronous; not for a descriptor */
	bool synchronous;      /* pread and pwrite instead of libaio */
	uint64_t offset_bytes; /* where the device begins in the file */
	uint64_t size_bytes;   /* 0: all that follows, less a tail of less than a sector */
	unsigned queue_depth;  /* of libaio, more than 4096 is 4096; 0: 128 */
};

/*
 * Open a file or block device.  Prefers libaio with O_DIRECT; where the file system
 * has no O_DIRECT it takes the page cache with pread and pwrite, where libaio cannot be had
 * (io_setup() is refused, ...) pread and pwrite alone.  options may be NULL.
 *
 * Create engines after fork(): the contexts of libaio belong to one process.  In a child every
 * call on an inherited engine gives -EPERM, except for destroy, which frees the memory and
 * closes the child's descriptor.
 *
 * Returns 0 and the engine, or open(2)'s error, -EINVAL for an offset or size that is
 * not a multiple of the sector or lies past the end, -ENOTBLK if it is neither a regular
 * file nor a block device, -ENOMEM.
 */
int bufio_engine_open(const char *path, const struct bufio_engine_options *options,
		      struct bufio_engine **ret_engine);

/*
 * The same over an open file descriptor, which stays the caller's and must outlive the
 * engine.  Its flags decide about O_DIRECT and, unless options say read_only, writing.  -EBADF if it
 * cannot be read from, -EINVAL with O_APPEND.
 */
int bufio_engine_open_fd(int fd, const struct bufio_engine_options *options,
			 struct bufio_engine **ret_engine);

/*
 * A device in RAM, sparse, zeroed.  As strict as a disk: memory must be aligned to 512, and
 * what was written and then discarded reads as 0xdd.  A write may fail with -ENOMEM.
 * Returns 0, -EINVAL (sector_bytes no power of two >= 512, or size not a multiple of it) or -ENOMEM.
 */
int bufio_engine_mem_create(uint64_t size_bytes, unsigned sector_bytes,
			    struct bufio_engine **ret_engine);

/*
 * The contents of a mem engine, for tests that look at or break bytes.  A plain copy;
 * the caller sees to it that nothing is in flight there.  Returns 0, -ERANGE or, from poke, -ENOMEM.
 */
int bufio_engine_mem_peek(struct bufio_engine *e, uint64_t offset_bytes, void *data, size_t size);
int bufio_engine_mem_poke(struct bufio_engine *e, uint64_t offset_bytes, const void *data,
			  size_t size);

/*
 * Complete transfers of a mem engine late and in an order drawn from seed, from a thread
 * of its own, instead of within submit().  Call before the first transfer.
 * Returns 0, -EBUSY if it does so already, or the error of pthread_create().
 */
int bufio_engine_mem_reorder(struct bufio_engine *e, uint64_t seed);

#ifdef __cplusplus
}
#endif
#endif
