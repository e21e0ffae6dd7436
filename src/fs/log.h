/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_LOG_H
#define FS_LOG_H

/*
 * The journal: FORMAT.md section 10.  Operations put what they change into the open transaction; a
 * commit closes it, writes it as one record and opens the next before that; a checkpoint sees to it
 * that all committed is in its place, after which the log is empty.
 *
 *	log.c		 the open transaction: joining, admission
 *	log_callers.c	 who wants what committed: whose turn it is, who is told
 *	log_commit.c	 the record of a transaction: made, written, its buffers let go
 *	log_checkpoint.c what is committed goes home
 *	log_live.c	 which blocks have an image in the log
 *	log_record.c	 the bytes of a record
 *	log_recover.c	 replay after a crash; log_overlay.c: the same without writing
 *	log_start.c	 its beginning and its end
 *
 * Invariants:
 *  1. A buffer that a transaction changed is pinned until the record is durable: it cannot be
 *     written before, and is dirty after.
 *  2. All that a record makes reachable is durable before the record: data of new blocks is
 *     written and flushed first, or is in the record.
 *  3. A block with an image in the log (the live set) changes through the log only.
 *  4. What a transaction freed is used again only when it is durable (held.c).
 *  5. After a record or a flush failed nothing is acknowledged any more (log_error()).
 */
#include "core.h"
#include "log_live.h"

struct joined {
	struct bufio_buffer *b; /* pinned */
	uint8_t *before;	/* as committed last; NULL: a new block */
	bool whole;		/* log all of it, not what differs: new blocks, and data */
};

struct data_run {
	uint64_t block, count;
};

struct transaction {
	uint64_t seq;
	struct joined *joined;
	size_t nr_joined, max_joined;
	struct data_run *data; /* to be durable with it */
	size_t nr_data, max_data;
	uint64_t data_blocks; /* in data */
};

/*
 *	I  set at the start, then never changed
 *	a  atomic
 *	J  join_lock.  open.seq: changed only while operations are frozen, so fixed within one
 *	C  the thread that set busy
 *	M  lock
 * Order: txn, inode and group locks, then join_lock, then the live set's.  lock is a leaf.
 */
struct log {
	struct fs *fs;	   /* I */
	size_t max_joined; /* I  buffers of one transaction, about */

	pthread_mutex_t join_lock;
	struct transaction open; /* J */
	unsigned nr_ops;	 /* J  operations inside */

	pthread_mutex_t lock;
	pthread_cond_t done;	      /* with M: busy ended */
	bool busy;		      /* M  a commit or checkpoint runs */
	unsigned nr_checkpoints;      /* M  that wait for their turn, which is the next */
	struct fs_syncing *syncing;   /* M  who is told when it is durable */
	bool served;		      /* M  a thread stays to commit for those */
	pthread_cond_t come;	      /* with M: as many callers as expected */
	uint64_t closed_seq;	      /* M  of the last transaction that was closed */
	unsigned nr_served;	      /* M  callers that wait for that one */
	unsigned nr_next;	      /* M  callers for a later one */
	unsigned nr_expected;	      /* M  ... as many as there may be soon */
	unsigned off, nr_to_pass;     /* M  commits that do not wait for those: in a row; still */
	uint64_t write_ns;	      /* C  that the last record took */
	_Atomic uint64_t durable_seq; /* a  up to here all is durable */
	_Atomic uint64_t tail_seq;    /* a  before this all is in its place and flushed */
	_Atomic bool just_emptied;    /* a  a file was, since log_take_emptied() */
	_Atomic bool
		data_unwritten; /* a  data of the transaction that commits may not be home yet */

	struct transaction closed;    /* C  being committed */
	uint32_t head, tail;	      /* C  offsets: where the next record goes, the oldest one */
	bool empty;		      /* C  no record is needed */
	_Atomic uint32_t used_blocks; /* a  from tail to head, with what a wrap left over */
	uint8_t *record;	      /* C  memory for records */
	size_t record_bytes;	      /* C */
	struct live_set live;
};

/*
 * Begin on a mounted image, whose log was replayed if need be: a new sequence, an empty log, in
 * fs->log.  The superblock must say LOG before the first commit.  0, -ENOMEM, -EUCLEAN or error.
 */
int log_start(struct fs *fs);

/* Free it.  What was not committed is given up. */
void log_destroy(struct log *l);

/* A record or a flush failed: nothing is acknowledged any more. */
void log_abort(struct log *l, int r);

/* 0, or what stopped the filesystem. */
static inline int log_error(const struct log *l)
{
	return atomic_load(&l->fs->stopped);
}

/*
 * An operation wants in: false if the transaction is full; commit it then, outside, and ask
 * again.  Caller is in the shared txn lock; for log_leave() too.
 */
bool log_enter(struct log *l);
void log_leave(struct log *l);

/* The caller, inside an operation, holds b and is about to change it.  0 or -ENOMEM. */
int log_join(struct log *l, struct bufio_buffer *b);

/*
 * Inside an operation: this data is to be durable before the transaction is.  b, if not NULL, is the
 * block's buffer: what is asked for it again in one transaction costs nothing.  0 or -ENOMEM.
 */
int log_add_data(struct log *l, uint64_t block, uint64_t count, struct bufio_buffer *b);

/* The transaction that an operation is inside of. */
static inline uint64_t log_seq(const struct log *l)
{
	return l->open.seq;
}

/* The open one, from anywhere: it may be closed the next moment. */
uint64_t log_last_seq(struct log *l);

bool log_is_live(struct log *l, uint64_t block);

/*
 * Inside an operation, before data is joined: until what the transaction that commits needs of it is in its
 * place, for a joined buffer is not written.
 */
void log_wait_data(struct log *l);

/*
 * Make transactions up to seq durable.  Called outside operations and locks.  Those who come while a
 * commit runs share the next one.  0, or the error that stopped the log.
 */
int log_commit(struct log *l, uint64_t seq);

/*
 * The same for s->seq, without waiting for a commit that another thread is busy with.  0: it is durable, done is not
 * called.  -EINPROGRESS: done is called, or was, with what log_commit() returns, by a thread that is in here, perhaps
 * this one; outside locks, and it must not wait or call the filesystem.  What s says is read no more once done is called.
 */
int log_commit_start(struct log *l, struct fs_syncing *s);

/*
 * Inside an operation: a file with contents was cut to nothing, most likely to be written anew.  And: was one since
 * this was asked last?  An operation may do it the moment after; that is as rare as it is short.
 */
void log_note_emptied(struct log *l);
bool log_take_emptied(struct log *l);

/* Commit whatever is open, also if it is nobody's. */
int log_commit_open(struct log *l);

/* Put everything committed in its place; the log is empty then.  As log_commit(). */
int log_checkpoint(struct log *l);

/* More than half of the log is in use. */
bool log_wants_checkpoint(const struct log *l);

/* Within the log: the rest of log.c */
/* Give up what it changed, and free it. */
void transaction_finish(struct transaction *t, size_t block_bytes);

/* log_checkpoint.c, log_commit.c, by the thread that is busy */
int checkpoint_busy(struct log *l);
int commit_busy(struct log *l);

uint64_t log_now_ns(void);

/* Write the log's first block, durably. */
int log_write_block(const struct fs *fs, struct bufio_engine *e, uint64_t tail_seq,
		    uint32_t tail_offset);

/* Freezing operations: txn.c's lock. */
void log_freeze(struct log *l);
void log_thaw(struct log *l);

/* Start transfers and wait for all of them; the first error. */
int log_transfer(struct bufio_engine *e, struct bufio_io *ios, size_t nr);

/*
 * After a crash: replay the log of an image that nobody uses, before it is opened for writing.
 * 0: there was nothing to do, or it is done, durable, and LOG is cleared; -EUCLEAN: the log's first block is
 * bad, or a record is none that we write; or super_open()'s errors.
 */
int log_recover(struct bufio_engine *e);

/*
 * An engine that shows e as it would be after a replay, and refuses writes.  e must outlive it.  NULL in
 * *ret_overlay: there is nothing to replay.  Keeps the blocks in memory.  As log_recover(), or -ENOMEM.
 */
int log_overlay_create(struct bufio_engine *e, struct bufio_engine **ret_overlay);

/* Call take for each good record from the tail on. */
struct log_scan {
	uint64_t tail_seq, next_seq; /* the first one's; that of the record that would follow */
	uint32_t tail_offset, next_offset; /* ... and where */
};
typedef int log_take(void *context, const uint8_t *record, uint32_t nr_blocks);
int log_scan(const struct fs *fs, struct bufio_engine *e, log_take *take, void *context,
	     struct log_scan *ret);

#endif
