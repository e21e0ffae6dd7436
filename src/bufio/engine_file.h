/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef ENGINE_FILE_H
#define ENGINE_FILE_H

/* What the engines over a file descriptor share: aio and sync. */
#include <libaio.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>
#include "engine.h"

/*
 * The system calls whose awkward results (short, -EAGAIN, -EINTR, refused) are decided
 * upon here; tests put their own in.  Those of libaio return -errno, the others -1 and errno.
 */
struct engine_sys {
	int (*io_setup)(int nr, io_context_t *context);
	int (*io_submit)(io_context_t context, long nr, struct iocb **iocbs);
	int (*io_getevents)(io_context_t context, long min_nr, long nr, struct io_event *events,
			    struct timespec *timeout);
	ssize_t (*preadv2)(int fd, const struct iovec *iov, int nr_iov, off_t offset, int flags);
	ssize_t (*pwritev2)(int fd, const struct iovec *iov, int nr_iov, off_t offset, int flags);
	int (*fdatasync)(int fd);
	int (*fallocate)(int fd, int mode, off_t offset, off_t size);
};

extern const struct engine_sys engine_sys_kernel;

/* A file as it was found, and the part of it that is the device. */
struct engine_file_config {
	const struct engine_sys *sys;
	int fd;
	bool owns_fd; /* close it with the engine */
	bool is_block;
	bool direct; /* O_DIRECT is on and works */
	bool read_only;
	uint64_t start_bytes;
	uint64_t size_bytes;
	unsigned sector_bytes;
	unsigned memory_align;
	unsigned max_pieces;
};

/*
 * What keeps each field safe:
 *	I  set at creation, then never changed
 *	a  atomic
 *	F  flush_lock
 */
struct engine_file {
	struct bufio_engine head;	  /* I */
	struct engine_file_config config; /* I */
	pid_t pid;			  /* I; who made it */
	atomic_bool no_durable;		  /* a; RWF_DSYNC was refused */
	atomic_bool no_discard;		  /* a */
	atomic_bool no_zero;		  /* a */
	pthread_mutex_t flush_lock;	  /* held in fdatasync() */
	atomic_uint nr_sync_errors;	  /* a; changed with F */
	int sync_error;			  /* F; the last one */
	bool sync_owed;			  /* F; a durable write took an error that is the flush's */
};

void engine_file_init(struct engine_file *f, const struct engine_file_config *config,
		      const struct bufio_engine_ops *ops, const char *name);

/* Closes what it owns; f's memory is the caller's. */
void engine_file_finish(struct engine_file *f);

/* engine_check_io(), and -EPERM in a process that did not create the engine. */
int engine_file_check(const struct engine_file *f, const struct bufio_io *io);
bool engine_file_inherited(const struct engine_file *f);

/* How one system call on what is left of a transfer went. */
enum engine_step {
	ENGINE_STEP_FINISHED,
	ENGINE_STEP_MORE, /* go on behind *done_bytes */
	ENGINE_STEP_FAILED,
};

/*
 * Judge result, bytes or -errno, of the system call that began at *done_bytes of io;
 * moves *done_bytes on.  On ENGINE_STEP_FAILED *ret_error is set.
 */
enum engine_step engine_file_step(const struct engine_file *f, const struct bufio_io *io,
				  ssize_t result, size_t *done_bytes, int *ret_error);

/* Transfer what is behind done_bytes of io in the calling thread.  Returns 0 or -errno. */
int engine_file_transfer(struct engine_file *f, const struct bufio_io *io, size_t done_bytes);

/* A durable write of this engine failed with error: see that no flush misses it. */
void engine_file_durable_failed(struct engine_file *f, int error);

/* The operations that both engines have alike. */
int engine_file_flush(struct bufio_engine *e);
int engine_file_discard(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes);
int engine_file_zero(struct bufio_engine *e, uint64_t offset_bytes, uint64_t size_bytes);

/* Create the engine over config; on an error the descriptor stays the caller's. */
int engine_sync_create(const struct engine_file_config *config, struct bufio_engine **ret_engine);
int engine_aio_create(const struct engine_file_config *config, unsigned queue_depth,
		      struct bufio_engine **ret_engine);

/* Where an engine is opened from; tests bring their own system calls. */
struct engine_open_source {
	const struct engine_sys *sys;
	int fd;
	bool owns_fd;
};

/* bufio_engine_open_fd() for that; o is not NULL. */
int engine_open_fd(const struct engine_open_source *source, const struct bufio_engine_options *o,
		   struct bufio_engine **ret_engine);

#endif
