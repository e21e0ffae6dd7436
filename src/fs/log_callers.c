/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who wants what committed.  One thread at a time is busy with a commit or a checkpoint; those who come meanwhile
 * find their transaction durable when it ends, or are served by the next one.
 *
 * There are two kinds of callers.  log_commit() waits, and commits if nobody else does.  log_commit_start() leaves what
 * is to be told when it is durable, and the first who does so stays to commit for all of them until none is
 * left: so that many who sync need two threads, one that commits and one that receives, and no switch from one to
 * the other for each of them.
 *
 * A checkpoint comes before the next commit: those who sync all the time would keep it away.
 */
#include "log.h"

#include <errno.h>
#include <time.h>

#define NSEC 1000000000u

/* Others are not waited for longer than this. */
#define MOST_AWAIT_NS 1000000u

/* So many commits in a row wait for nobody, at most. */
#define MOST_OFF 63u

static void count_caller_locked(struct log *l, uint64_t seq)
{
	if (seq <= l->closed_seq) {
		l->nr_served++;
		return;
	}
	l->nr_next++;
	if (l->nr_next == l->nr_expected)
		pthread_cond_signal(&l->come);
}

/* A caller whose transaction was not closed: there was nothing to commit, or it could not be. */
static void discount_caller_locked(struct log *l, uint64_t seq)
{
	if (seq > l->closed_seq)
		l->nr_next--;
}

/* May they still come? */
static bool awaits_callers_locked(struct log *l)
{
	if (l->nr_next >= l->nr_expected)
		return false;
	if (l->nr_to_pass == 0)
		return true;
	l->nr_to_pass--;
	return false;
}

/*
 * Who synced a moment ago most likely does so again as soon as it is answered, and what is committed together is
 * one write of the device.  So as many are waited for as the last commit served and left over, for half the
 * time such a write takes.  Who syncs alone never waits.  Where they do not come in time, because they do more
 * than sync, more and more commits do not wait for them.
 */
static void await_callers_locked(struct log *l)
{
	uint64_t most = l->write_ns / 2, end;
	struct timespec until;
	int r = 0;

	if (!awaits_callers_locked(l))
		return;
	fs_waits(l->fs);
	end = log_now_ns() + (most < MOST_AWAIT_NS ? most : MOST_AWAIT_NS);
	until = (struct timespec){.tv_sec = (time_t)(end / NSEC), .tv_nsec = (long)(end % NSEC)};
	while (l->nr_next < l->nr_expected && r == 0)
		r = pthread_cond_timedwait(&l->come, &l->lock, &until);
	l->off = r == 0 ? 0 : l->off < MOST_OFF ? 2 * l->off + 1 : MOST_OFF;
	l->nr_to_pass = l->off;
}

static bool is_taken_locked(const struct log *l)
{
	return l->busy || l->nr_checkpoints;
}

static void wait_turn_locked(struct log *l)
{
	fs_waits(l->fs);
	pthread_cond_wait(&l->done, &l->lock);
}

static void begin_commit_locked(struct log *l)
{
	l->busy = true;
	await_callers_locked(l);
}

static void end_busy_locked(struct log *l)
{
	l->nr_expected = l->nr_served + l->nr_next;
	l->nr_served = 0;
	l->busy = false;
	pthread_cond_broadcast(&l->done);
}

static bool is_durable(const struct log *l, uint64_t seq)
{
	return atomic_load(&l->durable_seq) >= seq;
}

/* Be the only one, to commit seq; false if it became durable meanwhile. */
static bool begin_commit(struct log *l, uint64_t seq)
{
	bool mine;

	pthread_mutex_lock(&l->lock);
	count_caller_locked(l, seq);
	while (is_taken_locked(l) && !is_durable(l, seq))
		wait_turn_locked(l);
	mine = !is_durable(l, seq);
	if (mine)
		begin_commit_locked(l);
	pthread_mutex_unlock(&l->lock);
	return mine;
}

static int commit(struct log *l)
{
	int r = log_error(l);

	return r < 0 ? r : commit_busy(l);
}

int log_commit(struct log *l, uint64_t seq)
{
	int r;

	if (is_durable(l, seq) || !begin_commit(l, seq))
		return 0;
	r = commit(l);
	pthread_mutex_lock(&l->lock);
	discount_caller_locked(l, seq);
	end_busy_locked(l);
	pthread_mutex_unlock(&l->lock);
	return r;
}

int log_commit_open(struct log *l)
{
	return log_commit(l, log_last_seq(l));
}

/* Those that are durable, or all, off the list. */
static struct fs_syncing *take_locked(struct log *l, bool all)
{
	struct fs_syncing **at = &l->syncing, *taken = NULL, *s;

	while ((s = *at)) {
		if (all || is_durable(l, s->seq)) {
			*at = s->next;
			s->next = taken;
			taken = s;
		} else {
			at = &s->next;
		}
	}
	return taken;
}

/*
 * Those to be served next; NULL: there are none, and nobody stays.  Those that are durable already, or all,
 * for a commit that is the caller's then.  What came for it is in the transaction that it closes.
 */
static struct fs_syncing *next_to_serve(struct log *l, bool *ret_commits)
{
	struct fs_syncing *list;

	*ret_commits = false;
	pthread_mutex_lock(&l->lock);
	while (!(list = take_locked(l, false)) && l->syncing && is_taken_locked(l))
		wait_turn_locked(l);
	if (!list && l->syncing) {
		*ret_commits = true;
		begin_commit_locked(l);
		list = take_locked(l, true);
	}
	l->served = list != NULL;
	pthread_mutex_unlock(&l->lock);
	return list;
}

static int commit_for(struct log *l, const struct fs_syncing *list)
{
	int r = commit(l);

	pthread_mutex_lock(&l->lock);
	for (const struct fs_syncing *s = list; s; s = s->next)
		discount_caller_locked(l, s->seq);
	end_busy_locked(l);
	pthread_mutex_unlock(&l->lock);
	return r;
}

static void serve(struct log *l)
{
	struct fs_syncing *list, *next;
	bool commits;
	int r;

	while ((list = next_to_serve(l, &commits))) {
		r = commits ? commit_for(l, list) : 0;
		for (; list; list = next) {
			next = list->next;
			list->done(list, r);
		}
	}
}

int log_commit_start(struct log *l, struct fs_syncing *s)
{
	bool stays;

	if (is_durable(l, s->seq))
		return 0;
	pthread_mutex_lock(&l->lock);
	count_caller_locked(l, s->seq);
	s->next = l->syncing;
	l->syncing = s;
	stays = !l->served;
	l->served = true;
	pthread_mutex_unlock(&l->lock);
	if (stays)
		serve(l);
	return -EINPROGRESS;
}

static void begin_checkpoint(struct log *l)
{
	pthread_mutex_lock(&l->lock);
	l->nr_checkpoints++;
	while (l->busy)
		wait_turn_locked(l);
	l->nr_checkpoints--;
	l->busy = true;
	pthread_mutex_unlock(&l->lock);
}

int log_checkpoint(struct log *l)
{
	int r;

	begin_checkpoint(l);
	r = log_error(l);
	if (r == 0)
		r = checkpoint_busy(l);
	pthread_mutex_lock(&l->lock);
	end_busy_locked(l);
	pthread_mutex_unlock(&l->lock);
	return r;
}
