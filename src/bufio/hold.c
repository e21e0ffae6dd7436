/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who holds what.  Calls nothing of the cache.
 *
 * Each thread counts the holds it takes and gives back in memory that it alone writes, so a hit
 * costs no atomic operation and moves no cache line between processors.  The holds of a buffer
 * are the sum over all threads; where one thread gave back what another took, the count of each
 * is off, even below zero, but the sum is right.
 *
 * 1. Who takes a hold counts it and then looks at the state: VALID and REF, and he has it.  If
 *    REF is not there he sets it first, atomically.
 * 2. Who is to take a buffer off the index clears REF, passes hold_barrier(), sums up, and then
 *    changes the state in one step that fails if REF is there: each hold is in the sum or left
 *    its REF.  One at a time (leave_lock), for else REF could have come and gone meanwhile.
 * 3. Who gives a hold back counts that and then looks whether somebody waits for it; who waits
 *    says so, passes hold_barrier(), and then looks at the sum.
 *
 * The order of a count and of the look that follows is the barrier's work: membarrier(2) makes
 * every thread of the process pass one.  Where the kernel has none, for threads that come while
 * NR_HOLDERS others live and share one holder, and for stable_writes, which would need it at
 * each write, the counts are atomic instead, and the same rules hold.
 */
#include "client.h"
#include <errno.h>
#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static size_t holds_bytes(const struct bufio_client *c)
{
	return c->nr_buffers * sizeof(*c->shared.holds);
}

/* Mapped: zero, and memory only for what was held. */
static _Atomic int32_t *map_holds(const struct bufio_client *c)
{
	void *p = mmap(NULL, holds_bytes(c), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

int hold_create(struct bufio_client *c)
{
	/* No destructor: it could run when the client is gone. */
	int r = pthread_key_create(&c->holder_key, NULL);

	if (r)
		return -r;
	c->shared.holds = map_holds(c);
	if (!c->shared.holds) {
		pthread_key_delete(c->holder_key);
		return -ENOMEM;
	}
	c->all_holds[0] = c->shared.holds;
	c->nr_holds = 1;
	c->are_holders_plain =
		!c->options.stable_writes &&
		!syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
	return 0;
}

void hold_destroy(struct bufio_client *c)
{
	for (uint32_t i = 0; i < c->nr_holds; i++)
		munmap(c->all_holds[i], holds_bytes(c));
	pthread_key_delete(c->holder_key);
}

/*
 * Returns whether whatever any thread counted before, it sees and shows.  If not (the process
 * was forbidden the call since), nothing can be told of the holds.
 */
bool hold_barrier(struct bufio_client *c)
{
	return !c->are_holders_plain ||
	       !syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

/*
 * Has its thread ended?  If another thread has got the number since, we learn it when that one
 * has ended, too.  The barrier lets who has the holder next see what was counted last.
 */
static bool is_left_locked(struct bufio_client *c, const struct holder *h)
{
	return syscall(SYS_tgkill, getpid(), h->tid, 0) && errno == ESRCH && hold_barrier(c);
}

/*
 * Who gets the holder of a thread that ended goes on counting where it stopped: what it still
 * held, or gave back for another one, remains in the sums.
 */
static struct holder *find_left_locked(struct bufio_client *c)
{
	uint32_t nr = atomic_load(&c->nr_holds) - 1;

	for (uint32_t i = 0; i < nr; i++)
		if (is_left_locked(c, &c->holders[i]))
			return &c->holders[i];
	return NULL;
}

static struct holder *add_locked(struct bufio_client *c)
{
	uint32_t nr = atomic_load(&c->nr_holds) - 1;
	struct holder *h = &c->holders[nr];

	if (nr == NR_HOLDERS)
		return NULL;
	h->holds = map_holds(c);
	if (!h->holds)
		return NULL;
	h->is_plain = c->are_holders_plain;
	c->all_holds[nr + 1] = h->holds;
	atomic_store(&c->nr_holds, nr + 2);
	return h;
}

/* The first call of a thread: which holder it has until it ends. */
struct holder *hold_new_mine(struct bufio_client *c)
{
	struct holder *h;

	/* No memory to note it: then no holder either, or each call would take one. */
	if (pthread_setspecific(c->holder_key, &c->shared))
		return &c->shared;
	pthread_mutex_lock(&c->holders_lock);
	h = find_left_locked(c);
	if (!h)
		h = add_locked(c);
	if (h) {
		h->tid = (pid_t)syscall(SYS_gettid);
		pthread_setspecific(c->holder_key, h);
	} else {
		h = &c->shared;
	}
	pthread_mutex_unlock(&c->holders_lock);
	return h;
}

/* The sum; exact only in the cases that rules 2 and 3 make. */
int64_t hold_count(const struct bufio_buffer *b)
{
	const struct bufio_client *c = b->client;
	uint32_t nr = atomic_load(&c->nr_holds);
	int64_t n = 0;

	for (uint32_t i = 0; i < nr; i++)
		n += atomic_load_explicit(&c->all_holds[i][b->index], memory_order_acquire);
	return n;
}

uint64_t hold_hits(const struct bufio_client *c)
{
	uint64_t n = atomic_load(&c->shared.hits);

	for (unsigned i = 0; i < NR_HOLDERS; i++)
		n += atomic_load_explicit(&c->holders[i].hits, memory_order_relaxed);
	return n;
}
