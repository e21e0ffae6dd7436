/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CLIENT_H
#define CLIENT_H

/*
 * What the parts of the cache share.  Calls go down only:
 *	client, zero -> background, bytes, extent, forget, move, write_behind -> behind, prefetch,
 *	read, sync -> alloc, buffer, flush, writeback -> cache, write_run -> dirty, pool -> stats,
 *	wait -> fence, hold
 */
#include <assert.h>
#include <bufio.h>
#include <pthread.h>
#include <stdatomic.h>

/* The state word: pins and flags.  Who holds the buffer is not in it: see hold.c. */
#define ST_PIN	     (UINT64_C(1) << 20)
#define ST_PINS	     (UINT64_C(0x3ff) << 20)
#define ST_VALID     (UINT64_C(1) << 30) /* in the index; without it nobody may take a hold */
#define ST_READING   (UINT64_C(1) << 31) /* contents on their way; holders wait */
#define ST_WRITING   (UINT64_C(1) << 32) /* one write in flight; not evictable */
#define ST_DIRTY     (UINT64_C(1) << 33)
#define ST_NEW	     (UINT64_C(1) << 34) /* never read and never marked dirty */
#define ST_REF	     (UINT64_C(1) << 35) /* hit since the clock's hand passed; see hold.c */
#define ST_FLUSHWAIT (UINT64_C(1) << 36) /* a flush waits for pins or holds: no first one now */
#define ST_FAILED    (UINT64_C(1) << 37) /* the read failed; error is set, not VALID */
#define ST_MOVE	     (UINT64_C(1) << 38) /* the target of a release_move: releases wake */
#define ST_PARTIAL   (UINT64_C(1) << 39) /* DIRTY only in dirty_range */
#define ST_DOUBT     (UINT64_C(1) << 40) /* written, but the flush failed: DIRTY again */

#define ST_BUSY (ST_PINS | ST_READING | ST_WRITING | ST_DIRTY | ST_MOVE)

#define NR_HOLDERS     32
#define NR_WAIT_SHARDS 64
#define NR_SHARDS      64
#define MOST_LEAVING   32u /* off the index together: they share a barrier */
#define CACHE_LINE     64

/*
 * What keeps each field safe:
 *	I  set at creation, then never changed
 *	A  atomic
 *	S  written under the mutex of the block's shard; read without it by walkers, who
 *	   take a hold and look again
 *	V  fixed while VALID and held, or owned by the thread that took it off the index
 *	P  pool_lock
 *	W  written_lock
 *	F  flush_lock
 *	B  background_lock
 *	R  free_lock
 *	E  leave_lock
 *	T  its thread; of shared: A
 * Order: leave_lock, then shard, then pool_lock | written_lock | fence_lock | background_lock.
 * free_lock, flush_lock, holders_lock, move_lock and the wait shards are leaves.  None of these is
 * held across an engine's function, a callback or a wait for something else; spare_lock and
 * behind_lock, which come before them all, are.
 */
struct bufio_buffer {
	_Atomic uint64_t state;	     /* A */
	_Atomic uint64_t block;	     /* V */
	struct bufio_client *client; /* I */
	void *data;		     /* I pointer */
	_Atomic(void *) caller;	     /* A return address of who held it last */
	_Atomic uint32_t next;	     /* S index + 1 of the next in the bucket, P in the free list */
	uint32_t index;		     /* I */
	_Atomic uint32_t nr_written; /* A good writes so far */
	union {
		_Atomic uint32_t dirty_ms; /* A when it became dirty */
		_Atomic int error;	   /* A of the read that FAILED; 0: read it yourself */
	};
} __attribute__((aligned(CACHE_LINE)));

/* A thread, or all those for which there was no holder. */
struct holder {
	_Atomic int32_t *holds; /* I before a thread has it; T by buffer */
	_Atomic uint64_t hits;	/* T */
	pid_t tid;		/* holders_lock; of the thread that has it, or had it last */
	bool is_plain;		/* I before a thread has it; counts without atomic operations */
} __attribute__((aligned(CACHE_LINE)));

struct shard {
	pthread_mutex_t lock;
	_Atomic uint32_t seq; /* S odd while a chain changes */
} __attribute__((aligned(CACHE_LINE)));

struct wait_shard {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	_Atomic unsigned nr_waiters;
	_Atomic uint64_t nr_wakes; /* written under the lock */
} __attribute__((aligned(CACHE_LINE)));

struct histogram {
	_Atomic uint64_t count, total_ns;
	_Atomic uint64_t buckets[BUFIO_HISTOGRAM_BUCKETS];
};

struct client_stats {
	_Atomic uint64_t misses, reads, read_blocks, writes, written_blocks, written_bytes;
	_Atomic uint64_t read_errors, write_errors, flushes, flush_errors;
	_Atomic uint64_t evictions, waits;
	struct histogram latency[BUFIO_NR_LATENCIES];
};

/* A range of blocks that a write past the buffers is replacing: nobody may read it in. */
struct fence {
	struct fence *next; /* fence_lock */
	uint64_t number;    /* fence_lock */
	uint64_t block, nr;
	bool is_behind; /* set before it stands: of a struct behind */
	int error;	/* fence_lock; of that: it failed, and the data waits to be taken over */
};

/* Blocks on their way from the caller's memory, whose call has returned: behind.c. */
struct behind_run {
	struct bufio_io io;
	struct iovec iov;
	struct behind *behind;
	struct behind_run *next; /* of all; of those that failed: fence_lock */
	uint64_t block, nr, since_ns;
	int result;
};

struct behind {
	struct fence fence;
	struct bufio_client *client;
	const char *data;
	struct behind_run *runs;   /* until they are submitted */
	struct behind_run *failed; /* fence_lock; behind_lock when all have ended */
	_Atomic unsigned nr_pending;
	void (*done)(void *context);
	void *context;
};

/* A release_move that has its target. */
struct move {
	struct move *next; /* move_lock */
	struct bufio_buffer *target;
};

/* A thread that waits for a free buffer. */
struct free_waiter {
	struct free_waiter *next;     /* R */
	const _Atomic int32_t *holds; /* I of its thread */
};

struct bufio_client {
	struct bufio_engine *engine;	  /* I */
	struct bufio_options options;	  /* I */
	struct bufio_callbacks callbacks; /* I */
	uint64_t nr_blocks;		  /* I of the device */
	struct bufio_buffer *buffers;	  /* I */
	_Atomic uint32_t *buckets;	  /* S index + 1 */
	uint64_t bucket_mask;		  /* I */
	uint64_t no_hold;		  /* I flags that keep a first hold away: stable_writes */
	unsigned block_shift;		  /* I */
	uint32_t nr_buffers;		  /* I descriptors: the most that limit may become */
	uint32_t nr_words;		  /* I of each map */
	char *arena;			  /* I */
	char *aux;			  /* I */
	size_t aux_stride;		  /* I */
	_Atomic uint64_t *dirty_range;	  /* A start << 32 | end of a PARTIAL buffer */
	_Atomic uint64_t *dirty_map;	  /* A set; W cleared; superset of DIRTY | WRITING */
	_Atomic uint64_t *written_map;	  /* A set; W cleared; written since the last flush began */
	_Atomic uint64_t *flushing_map;	  /* W covered by the flush that runs */
	struct write_job *spare_job;	  /* I one write-back needs no memory */
	pthread_mutex_t spare_lock;	  /* held while spare_job is in use; before all others */

	pthread_key_t holder_key; /* I */
	bool are_holders_plain;	  /* I */

	struct holder holders[NR_HOLDERS]; /* nr_holds - 1 of them are in use */
	struct holder shared;
	_Atomic int32_t *all_holds[NR_HOLDERS + 1]; /* I below nr_holds; shared's is the first */
	_Atomic uint32_t nr_holds;		    /* written under holders_lock */
	pthread_mutex_t holders_lock;

	/* What misses and dirtying write to lies apart from what hits read. */
	pthread_mutex_t leave_lock __attribute__((aligned(CACHE_LINE)));
	uint32_t hand;		   /* E of the clock */
	_Atomic int64_t nr_dirty;  /* A may be off, also negative, for a moment */
	_Atomic uint64_t nr_doubt; /* A buffers in DOUBT */
	_Atomic bool unflushed;	   /* A a write completed since a flush began */

	pthread_mutex_t pool_lock __attribute__((aligned(CACHE_LINE)));
	uint32_t free_warm, free_cold; /* P stacks: memory kept, memory given back */
	_Atomic uint32_t nr_touched;   /* P written; descriptors ever used */
	uint32_t nr_used, peak_used;   /* P not cold */
	_Atomic uint32_t nr_cache, nr_limit,
		nr_minimum; /* P written; rest, most and least, in buffers */

	pthread_mutex_t written_lock __attribute__((aligned(CACHE_LINE)));
	uint64_t evicted_written, evicted_flushing; /* W cannot be written again */

	pthread_mutex_t behind_lock; /* held while failed writes behind end; before all others */
	pthread_mutex_t fence_lock;
	pthread_cond_t fence_wake;
	struct fence *fences; /* fence_lock */
	uint64_t last_fence;  /* fence_lock; its number */
	uint64_t
		nr_refused; /* fence_lock; times that a failed write behind could not be taken over */
	_Atomic unsigned nr_fences; /* A */

	pthread_mutex_t move_lock; /* a leaf */
	struct move *moves;	   /* move_lock */

	pthread_mutex_t free_lock; /* with free_wake: an event count */
	pthread_cond_t free_wake;
	_Atomic uint64_t free_seq;
	_Atomic unsigned free_waiters;
	struct free_waiter *waiters;	 /* R */
	uint64_t nr_async;		 /* R transfers nobody waits for */
	_Atomic uint64_t rounds_failed;	 /* A of the background writer, ever */
	_Atomic unsigned rounds_failing; /* A since a write succeeded */

	pthread_mutex_t flush_lock;
	pthread_cond_t flush_wake;
	bool flush_running;				  /* F */
	uint64_t flush_started, flush_done, flush_failed; /* F numbers */
	int flush_error;				  /* F of flush_failed */
	int lost_error;					  /* F sticky: evicted data may be lost */

	pthread_t background; /* I */
	pthread_mutex_t background_lock;
	pthread_cond_t background_wake;
	bool background_stop, background_kicked, background_all; /* B */
	_Atomic bool background_idle;				 /* A sleeps without a timeout */

	struct client_stats stats;
	struct shard shards[NR_SHARDS];
	struct wait_shard wait_shards[NR_WAIT_SHARDS];
};

/* hold.c: who holds what. */
int hold_create(struct bufio_client *c);
void hold_destroy(struct bufio_client *c);
bool hold_barrier(struct bufio_client *c);
struct holder *hold_new_mine(struct bufio_client *c);
int64_t hold_count(const struct bufio_buffer *b);
uint64_t hold_hits(const struct bufio_client *c);

/* The calling thread's holder, or shared. */
static inline struct holder *hold_mine(struct bufio_client *c)
{
	struct holder *h = pthread_getspecific(c->holder_key);

	return h ? h : hold_new_mine(c);
}

/* What the caller looks at next he must see as it is when others see the count, or later. */
static inline void hold_add(struct holder *h, uint32_t index, int n)
{
	_Atomic int32_t *count = &h->holds[index];

	if (!h->is_plain) {
		atomic_fetch_add(count, n);
		return;
	}
	/* acquire: the thread that had the holder before has ended, but has told us in no other way */
	atomic_store_explicit(count, atomic_load_explicit(count, memory_order_acquire) + n,
			      memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
}

static inline void hold_count_hit(struct holder *h)
{
	if (!h->is_plain)
		atomic_fetch_add_explicit(&h->hits, 1, memory_order_relaxed);
	else
		atomic_store_explicit(&h->hits,
				      atomic_load_explicit(&h->hits, memory_order_relaxed) + 1,
				      memory_order_relaxed);
}

/* wait.c: sleep until a buffer's state changes, the event of a buffer becoming free; wake who writes in the background. */
void wait_wake(struct bufio_buffer *b);
uint64_t wait_while(struct bufio_buffer *b, uint64_t mask);
void wait_while_kept(struct bufio_buffer *b, uint64_t block);
void wait_write(struct bufio_buffer *b, uint32_t nr_written);
uint64_t wait_enter(struct bufio_buffer *b);
uint64_t wait_sleep(struct bufio_buffer *b, uint64_t seq);
void wait_leave(struct bufio_buffer *b);
void wait_free_event(struct bufio_client *c, uint64_t seq);
void wait_free_wake(struct bufio_client *c);
void wait_async_begin(struct bufio_client *c);
void wait_async_end(struct bufio_client *c);
void wait_async_all(struct bufio_client *c);
enum background_what { BACKGROUND_LOOK, BACKGROUND_ALL };
void wake_background(struct bufio_client *c, enum background_what what);

/* stats.c */
uint64_t stats_now_ns(void);
uint32_t stats_now_ms(void); /* coarse */
void stats_latency(struct bufio_client *c, enum bufio_latency what, uint64_t since_ns);
void stats_trace(struct bufio_client *c, enum bufio_trace_kind kind, uint64_t block, uint64_t nr,
		 int result);

/* fence.c: writes past the buffers against reads into them. */
void fence_begin(struct bufio_client *c, struct fence *f);
void fence_end(struct bufio_client *c, struct fence *f);
bool fence_covers(struct bufio_client *c, uint64_t block);
int fence_wait(struct bufio_client *c, uint64_t block);
int fence_wait_behind(struct bufio_client *c, uint64_t first, uint64_t end);
int fence_begin_behind(struct bufio_client *c, struct fence *f);

/* behind.c: writes behind that failed. */
void behind_destroy(struct behind *x);
int behind_take_over(struct bufio_client *c);
uint64_t behind_abandon(struct bufio_client *c);

/* pool.c: memory and free descriptors. */
int pool_create(struct bufio_client *c);
void pool_destroy(struct bufio_client *c);
enum pool_want { POOL_REST, POOL_LIMIT };
struct bufio_buffer *pool_get(struct bufio_client *c, enum pool_want want);
void pool_put(struct bufio_buffer *b);
void pool_put_cold(struct bufio_buffer *b);
struct bufio_buffer *pool_get_excess(struct bufio_client *c);
bool pool_is_over(struct bufio_client *c, uint32_t nr);
void pool_set_limits(struct bufio_client *c, uint32_t nr_cache, uint32_t nr_limit);
void pool_set_minimum(struct bufio_client *c, uint32_t nr);

/* cache.c: the index, holds and eviction. */
struct bufio_buffer *cache_find_fast(struct bufio_client *c, struct holder *h, uint64_t block);
struct bufio_buffer *cache_look(struct bufio_client *c, uint64_t block,
				struct bufio_buffer **ret_busy);
struct bufio_buffer *cache_find(struct bufio_client *c, uint64_t block);
struct bufio_buffer *cache_glance(struct bufio_client *c, uint64_t block);
bool cache_is_absent(struct bufio_client *c, uint64_t block);
enum cache_hold { CACHE_HOLD, CACHE_NO_HOLD };
struct bufio_buffer *cache_insert(struct bufio_buffer *b, uint64_t block, uint64_t state,
				  enum cache_hold hold);
void cache_insert_behind(struct bufio_buffer *b, uint64_t block);
struct bufio_buffer *cache_evict(struct bufio_client *c);
bool cache_drop(struct bufio_buffer *b, uint64_t block, uint64_t allowed);
struct leaver {
	struct bufio_buffer *buffer;
	uint64_t block;
};
unsigned cache_drop_together(struct bufio_client *c, struct leaver *list, unsigned n,
			     uint64_t allowed);
bool cache_drop_held(struct bufio_buffer *b, uint64_t block);
void cache_read_done(struct bufio_buffer *b, int r);
void cache_release(struct bufio_buffer *b);
void cache_redirty(struct bufio_client *c, uint32_t index);

/* dirty.c: becoming dirty and clean. */
static inline uint64_t dirty_count(const struct bufio_client *c)
{
	int64_t n = atomic_load(&c->nr_dirty);

	return n > 0 ? (uint64_t)n : 0;
}

void dirty_mark(struct bufio_buffer *b);
void dirty_mark_in_doubt(struct bufio_buffer *b);
void dirty_mark_range(struct bufio_buffer *b, size_t start, size_t end);
uint64_t dirty_take_range(struct bufio_buffer *b, uint64_t state);
void dirty_written(struct bufio_buffer *b);
void dirty_written_durably(struct bufio_buffer *b);
void dirty_write_failed(struct bufio_buffer *b);
enum evict_why { EVICT_WRITTEN, EVICT_THROWN_AWAY };
void dirty_evicted(struct bufio_buffer *b, enum evict_why why);
void dirty_written_past(struct bufio_client *c);

/* alloc.c: a buffer for a block that is to enter the cache. */
enum alloc_wait { ALLOC_TRY, ALLOC_WAIT };
int alloc_buffer(struct bufio_client *c, enum alloc_wait wait, struct bufio_buffer **ret_buffer);

/* flush.c: the device's flush, shared. */
enum flush_need { FLUSH_IF_WRITTEN, FLUSH_ALWAYS };
int flush_device(struct bufio_client *c, enum flush_need need);

/* writeback.c */
enum write_wait {
	WRITE_WAIT_NOT,	     /* not even for writes of others */
	WRITE_WAIT_UNPINNED, /* for writes of others; what is pinned is left out */
	WRITE_WAIT_ALL,	     /* for pins too */
};
enum write_how {
	WRITE_PLAIN,
	WRITE_DURABLE, /* if it is one transfer, and nothing else needs a flush */
};
struct write_scope {
	uint64_t first, end; /* blocks */
	uint32_t older_ms;   /* only those dirty since before; 0: all */
	enum write_wait wait;
	enum write_how how;
};
int writeback_scope(struct bufio_client *c, const struct write_scope *scope);
int writeback_create(struct bufio_client *c);
void writeback_destroy(struct bufio_client *c);

/* background.c */
int background_start(struct bufio_client *c);
void background_finish(struct bufio_client *c);

/* read.c */
#define READ_AGAIN 1 /* the block was part of a read ahead that failed */
int read_wait(struct bufio_buffer *b);
int read_new(struct bufio_client *c, uint64_t block, enum alloc_wait wait,
	     struct bufio_buffer **ret_buffer);

/* forget.c: visit what is cached of a range; it may be another block's by then. */
typedef void cache_visit(struct bufio_buffer *b, uint64_t block, void *context);
void each_cached(struct bufio_client *c, uint64_t block, uint64_t nr, cache_visit *visit,
		 void *context);

static inline bool is_range_bad(const struct bufio_client *c, uint64_t block, uint64_t nr)
{
	return block > c->nr_blocks || nr > c->nr_blocks - block;
}

#endif
