/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CLIENT_H
#define CLIENT_H

/*
 * What the parts of the cache share.  Calls go down only:
 *	client -> extent, background -> writeback -> flush -> cache -> pool -> wait
 */
#include <bufio.h>
#include <pthread.h>
#include <stdatomic.h>

/* The state word: holds, pins, flags. */
#define ST_HOLD	     (UINT64_C(1) << 0)
#define ST_HOLDS     (UINT64_C(0xffffff))
#define ST_PIN	     (UINT64_C(1) << 24)
#define ST_PINS	     (UINT64_C(0xffff) << 24)
#define ST_VALID     (UINT64_C(1) << 40) /* in the index; without it nobody may take a hold */
#define ST_READING   (UINT64_C(1) << 41) /* contents on their way; holders wait */
#define ST_WRITING   (UINT64_C(1) << 42) /* one write in flight; not evictable */
#define ST_DIRTY     (UINT64_C(1) << 43)
#define ST_NEW	     (UINT64_C(1) << 44) /* never read and never marked dirty */
#define ST_REF	     (UINT64_C(1) << 45) /* hit since the clock's hand passed */
#define ST_FLUSHWAIT (UINT64_C(1) << 46) /* a flush waits for the pins: no first pin now */
#define ST_FAILED    (UINT64_C(1) << 47) /* the read failed; error is set, not VALID */
#define ST_MOVE	     (UINT64_C(1) << 48) /* a release_move replaces the contents */

#define ST_BUSY (ST_HOLDS | ST_PINS | ST_READING | ST_WRITING | ST_DIRTY | ST_MOVE)

#define NR_WAIT_SHARDS 64
#define NR_SHARDS      64

/*
 * What keeps each field safe:
 *	I  set at creation, then never changed
 *	A  atomic
 *	S  written under the mutex of the block's shard; read without it by walkers, who
 *	   take a hold and look again
 *	V  fixed while VALID and held, or owned by the thread that took it off the index
 *	P  pool_lock
 *	D  dirty_lock, for clearing a bit; setting is atomic
 *	F  flush_lock
 *	B  background_lock
 * Order: shard, pool_lock | dirty_lock, a wait shard; background_lock and flush_lock are
 * leaves.  None is held across a system call other than the mutex's own, an engine's function, a
 * callback or a wait for something else.
 */
struct bufio_buffer {
	_Atomic uint64_t state;	     /* A */
	_Atomic uint64_t block;	     /* V */
	struct bufio_client *client; /* I */
	void *data;		     /* I pointer */
	_Atomic uint32_t next;	     /* S index + 1 of the next in the bucket */
	uint32_t index;		     /* I */
	uint32_t free_next;	     /* P index + 1 */
	_Atomic uint32_t nr_written; /* A good writes so far */
	_Atomic uint32_t dirty_ms;   /* A when it became dirty */
	_Atomic int error;	     /* A of the read that FAILED */
	_Atomic uint64_t hits;	     /* A statistics; near, not exact */
} __attribute__((aligned(64)));

struct shard {
	pthread_mutex_t lock;
} __attribute__((aligned(64)));

struct wait_shard {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	_Atomic unsigned nr_waiters;
} __attribute__((aligned(64)));

struct client_stats {
	_Atomic uint64_t misses, reads, read_blocks, writes, written_blocks;
	_Atomic uint64_t read_errors, write_errors, flushes, flush_errors;
	_Atomic uint64_t evictions, waits;
};

struct bufio_client {
	struct bufio_engine *engine;	  /* I */
	struct bufio_options options;	  /* I */
	struct bufio_callbacks callbacks; /* I */
	uint64_t nr_blocks;		  /* I of the device */
	uint32_t nr_buffers, nr_cache;	  /* I limit and rest, in buffers */
	struct bufio_buffer *buffers;	  /* I */
	char *arena;			  /* I */
	char *aux;			  /* I */
	size_t aux_stride;		  /* I */
	unsigned block_shift;		  /* I */
	_Atomic uint32_t *buckets;	  /* S index + 1 */
	uint64_t bucket_mask;		  /* I */
	_Atomic uint64_t *dirty_map;	  /* D superset of DIRTY | WRITING */
	_Atomic uint64_t *written_map;	  /* A written since the last flush began */
	_Atomic uint64_t *flushing_map;	  /* A covered by the flush that runs */
	uint32_t nr_words;		  /* I of each map */
	pthread_mutex_t dirty_lock;
	_Atomic uint64_t nr_dirty; /* A */
	_Atomic uint32_t hand;	   /* A of the clock */

	pthread_mutex_t pool_lock;
	uint32_t free_warm, free_cold; /* P stacks: memory kept, memory given back */
	uint32_t nr_used, peak_used;   /* P not cold */

	pthread_mutex_t free_lock; /* with free_wake: an event count */
	pthread_cond_t free_wake;
	_Atomic uint64_t free_seq;
	_Atomic unsigned free_waiters;
	uint64_t nr_prefetch; /* under free_lock: reads nobody waits for */

	pthread_mutex_t flush_lock;
	pthread_cond_t flush_wake;
	bool flush_running;				  /* F */
	uint64_t flush_started, flush_done, flush_failed; /* F numbers */
	int flush_error;				  /* F of flush_failed */
	int lost_error;					  /* F sticky: evicted data may be lost */
	_Atomic bool unflushed; /* A a write completed since a flush began */
	_Atomic uint64_t evicted_written, evicted_flushing; /* A */

	pthread_t background; /* I */
	pthread_mutex_t background_lock;
	pthread_cond_t background_wake;
	bool background_stop, background_kick, background_all; /* B */

	struct client_stats stats;
	struct shard shards[NR_SHARDS];
	struct wait_shard wait_shards[NR_WAIT_SHARDS];
};

/* wait.c: sleep until a buffer's state changes, and the event of a buffer becoming free. */
void wait_wake(struct bufio_buffer *b);
uint64_t wait_while(struct bufio_buffer *b, uint64_t mask);
void wait_while_pinned(struct bufio_buffer *b, uint64_t block);
void wait_write(struct bufio_buffer *b, uint32_t nr_written);
void wait_sole_holder(struct bufio_buffer *b);
void wait_free_event(struct bufio_client *c, uint64_t seq);
void wait_free_wake(struct bufio_client *c);

/* pool.c: memory and free descriptors. */
int pool_create(struct bufio_client *c);
void pool_destroy(struct bufio_client *c);
enum pool_want { POOL_REST, POOL_LIMIT };
struct bufio_buffer *pool_get(struct bufio_client *c, enum pool_want want);
void pool_put(struct bufio_buffer *b);
void pool_put_cold(struct bufio_buffer *b);
bool pool_is_over(struct bufio_client *c);

/* cache.c: the index, holds and eviction. */
struct bufio_buffer *cache_find_fast(struct bufio_client *c, uint64_t block);
struct bufio_buffer *cache_find(struct bufio_client *c, uint64_t block);
struct bufio_buffer *cache_insert(struct bufio_buffer *b, uint64_t block, uint64_t state);
struct bufio_buffer *cache_evict(struct bufio_client *c);
int cache_alloc(struct bufio_client *c, bool wait, struct bufio_buffer **ret_buffer);
bool cache_drop(struct bufio_buffer *b, uint64_t block, uint64_t allowed);
void cache_read_done(struct bufio_buffer *b, int r);
void cache_release(struct bufio_buffer *b);
void cache_mark_dirty(struct bufio_buffer *b);

/* flush.c: the device's flush, shared. */
enum flush_need { FLUSH_IF_WRITTEN, FLUSH_ALWAYS };
int flush_device(struct bufio_client *c, enum flush_need need);

/* writeback.c */
enum write_wait {
	WRITE_WAIT_NOT,	     /* not even for writes of others */
	WRITE_WAIT_UNPINNED, /* for writes of others; what is pinned is left out */
	WRITE_WAIT_ALL,	     /* for pins too */
};
struct write_scope {
	uint64_t first, end; /* blocks */
	uint32_t older_ms;   /* only those dirty since before; 0: all */
	enum write_wait wait;
};
int writeback_scope(struct bufio_client *c, const struct write_scope *scope);

/* background.c */
int background_start(struct bufio_client *c);
void background_finish(struct bufio_client *c);
enum background_what { BACKGROUND_LOOK, BACKGROUND_ALL };
void background_kick(struct bufio_client *c, enum background_what what);
uint32_t background_now_ms(void);

#endif
