/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of the inodes in memory.  A shard's hash doubles when it holds more inodes than
 * buckets; if there is no memory for that, its chains grow longer instead.  Calls only libc,
 * known.c, and dir.c to free what it hung on a directory.
 */
#include "itable.h"
#include "dir.h"

#include <errno.h>
#include <stdlib.h>

#define SHARD_FIRST_BUCKETS 16

struct inode *inode_create(struct fs *fs, uint64_t ino)
{
	struct inode *inode = calloc(1, sizeof(*inode));

	if (!inode)
		return NULL;
	inode->fs = fs;
	inode->ino = ino;
	inode->references = 1;
	pthread_rwlock_init(&inode->lock, NULL);
	pthread_mutex_init(&inode->time_lock, NULL);
	pthread_mutex_init(&inode->sync_lock, NULL);
	return inode;
}

void inode_destroy(struct inode *inode)
{
	inode_wait_reads(inode);
	if (inode->dir_cache)
		dir_cache_free(inode);
	pthread_mutex_destroy(&inode->time_lock);
	pthread_mutex_destroy(&inode->sync_lock);
	pthread_rwlock_destroy(&inode->lock);
	free(inode);
}

static uint64_t ino_hash(uint64_t ino)
{
	return ino * UINT64_C(0x9e3779b97f4a7c15);
}

/* The same one for numbers that share a slot of known ones. */
struct inode_shard *inode_shard(struct fs *fs, uint64_t ino)
{
	return &fs->inodes->shards[(ino_hash(ino / KNOWN_PER_SLOT) >> 59) % INODE_NR_SHARDS];
}

static struct inode **shard_bucket(const struct inode_shard *s, uint64_t ino)
{
	return &s->buckets[(ino_hash(ino) >> 16) & (s->nr_buckets - 1)];
}

struct inode *shard_find_locked(const struct inode_shard *s, uint64_t ino)
{
	struct inode *inode = *shard_bucket(s, ino);

	while (inode && inode->ino != ino)
		inode = inode->next;
	return inode;
}

struct inode *shard_any_locked(const struct inode_shard *s)
{
	for (size_t i = 0; i < s->nr_buckets; i++)
		if (s->buckets[i])
			return s->buckets[i];
	return NULL;
}

static void shard_link(struct inode_shard *s, struct inode *inode)
{
	struct inode **bucket = shard_bucket(s, inode->ino);

	inode->next = *bucket;
	*bucket = inode;
}

static void shard_grow(struct inode_shard *s)
{
	struct inode **old = s->buckets, **buckets;
	size_t nr_old = s->nr_buckets;
	struct inode *inode;

	buckets = calloc(nr_old * 2, sizeof(*buckets));
	if (!buckets)
		return;
	s->buckets = buckets;
	s->nr_buckets = nr_old * 2;
	for (size_t i = 0; i < nr_old; i++) {
		while ((inode = old[i])) {
			old[i] = inode->next;
			shard_link(s, inode);
		}
	}
	free(old);
}

void shard_add_locked(struct inode_shard *s, struct inode *inode)
{
	if (s->nr_inodes >= s->nr_buckets)
		shard_grow(s);
	shard_link(s, inode);
	s->nr_inodes++;
}

static void shard_drop_times(struct inode_shard *s, struct inode *inode)
{
	if (!inode->times_link)
		return;
	*inode->times_link = inode->times_next;
	if (inode->times_next)
		inode->times_next->times_link = inode->times_link;
	else
		s->times_end = inode->times_link;
	inode->times_link = NULL;
	s->nr_times--;
	inode->fs->inodes->nr_times--;
}

void shard_unidle_locked(struct inode_shard *s, struct inode *inode)
{
	if (!inode->is_idle)
		return;
	TAILQ_REMOVE(&s->idle, inode, idle);
	inode->is_idle = false;
	s->nr_idle--;
}

void shard_remove_locked(struct inode_shard *s, struct inode *inode)
{
	struct inode **link = shard_bucket(s, inode->ino);

	while (*link != inode)
		link = &(*link)->next;
	*link = inode->next;
	s->nr_inodes--;
	shard_drop_times(s, inode);
	shard_unidle_locked(s, inode);
}

struct inode *shard_idle_locked(struct inode_shard *s, struct inode *inode)
{
	struct inode *oldest;

	TAILQ_INSERT_TAIL(&s->idle, inode, idle);
	inode->is_idle = true;
	if (++s->nr_idle <= inode->fs->inodes->max_idle)
		return NULL;
	oldest = TAILQ_FIRST(&s->idle);
	if (oldest->lookups > KNOWN_MAX ||
	    known_add(&s->known, oldest->ino, (uint32_t)oldest->lookups, !oldest->nlink) < 0)
		return NULL;
	shard_remove_locked(s, oldest);
	return oldest;
}

void shard_add_times_locked(struct inode_shard *s, struct inode *inode)
{
	if (inode->times_link)
		return;
	inode->times_next = NULL;
	inode->times_link = s->times_end;
	*s->times_end = inode;
	s->times_end = &inode->times_next;
	s->nr_times++;
	inode->fs->inodes->nr_times++;
}

struct inode *shard_pop_times_locked(struct inode_shard *s)
{
	struct inode *inode = s->times;

	if (inode)
		shard_drop_times(s, inode);
	return inode;
}

static int shard_init(struct inode_shard *s)
{
	s->buckets = calloc(SHARD_FIRST_BUCKETS, sizeof(*s->buckets));
	if (!s->buckets)
		return -ENOMEM;
	s->nr_buckets = SHARD_FIRST_BUCKETS;
	s->times_end = &s->times;
	TAILQ_INIT(&s->idle);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	return 0;
}

static void table_free(struct inode_table *table, unsigned nr_shards)
{
	while (nr_shards--) {
		struct inode_shard *s = &table->shards[nr_shards];

		pthread_cond_destroy(&s->changed);
		pthread_mutex_destroy(&s->lock);
		known_finish(&s->known);
		free(s->buckets);
	}
	free(table);
}

int inode_table_create(struct fs *fs)
{
	struct inode_table *table;
	int r;

	table = aligned_alloc(64, sizeof(*table));
	if (!table)
		return -ENOMEM;
	*table = (struct inode_table){.max_idle = INODE_MAX_IDLE / INODE_NR_SHARDS};
	for (unsigned i = 0; i < INODE_NR_SHARDS; i++) {
		r = shard_init(&table->shards[i]);
		if (r < 0) {
			table_free(table, i);
			return r;
		}
	}
	freeing_init(&table->freeing);
	reads_init(&table->reads);
	fs->inodes = table;
	return 0;
}

void inode_table_destroy(struct fs *fs)
{
	struct inode *inode;

	if (!fs->inodes)
		return;
	for (unsigned i = 0; i < INODE_NR_SHARDS; i++) {
		struct inode_shard *s = &fs->inodes->shards[i];

		while ((inode = shard_any_locked(s))) {
			shard_remove_locked(s, inode);
			inode_destroy(inode);
		}
	}
	reads_finish(&fs->inodes->reads);
	freeing_finish(&fs->inodes->freeing);
	table_free(fs->inodes, INODE_NR_SHARDS);
	fs->inodes = NULL;
}
