/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The structures of an image in memory, without the policy of a mount, which is in mount.c.
 * Calls inode, held, group, super and bufio.
 */
#include "held.h"
#include "inode.h"
#include "group.h"
#include "meta.h"
#include "open.h"
#include "super.h"

#include <errno.h>
#include <stdlib.h>

static int init_locks(struct fs *fs)
{
	pthread_rwlockattr_t attr;
	pthread_condattr_t clock;

	pthread_mutex_init(&fs->super_lock, NULL);
	pthread_mutex_init(&fs->rename_lock, NULL);
	pthread_mutex_init(&fs->stray_lock, NULL);
	pthread_mutex_init(&fs->commit_lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&fs->commit_wake, &clock);
	pthread_condattr_destroy(&clock);
	/* Else a sync could wait for ever behind a stream of operations. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&fs->txn_lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	return 0;
}

static void finish_locks(struct fs *fs)
{
	pthread_mutex_destroy(&fs->super_lock);
	pthread_mutex_destroy(&fs->rename_lock);
	pthread_mutex_destroy(&fs->stray_lock);
	pthread_mutex_destroy(&fs->commit_lock);
	pthread_cond_destroy(&fs->commit_wake);
	pthread_rwlock_destroy(&fs->txn_lock);
}

static int open_cache(struct fs *fs, struct bufio_engine *e)
{
	size_t least = (size_t)FS_MIN_BUFFERS * fs->geo.block_bytes;
	struct bufio_options o;

	bufio_options_init(&o);
	o.block_bytes = fs->geo.block_bytes;
	o.cache_bytes = fs->options.cache_bytes < least ? least : fs->options.cache_bytes;
	o.limit_bytes = o.cache_bytes;
	o.aux_bytes = META_AUX_BYTES;
	/* what must not be written yet is pinned by the log */
	o.dirty_age_ms = fs->options.commit_ms;
	o.callbacks = &meta_callbacks;
	o.callback_context = fs;
	return bufio_create(e, &o, &fs->bufio);
}

static int open_all(struct fs *fs, struct bufio_engine *e)
{
	int r;

	r = super_open(e, fs);
	if (r == 0)
		r = open_cache(fs, e);
	if (r == 0)
		r = groups_load(fs);
	if (r == 0)
		r = inode_table_create(fs);
	return r;
}

int fs_open(struct bufio_engine *e, const struct fs_options *o, struct fs **ret_fs)
{
	struct fs *fs = calloc(1, sizeof(*fs));
	int r;

	if (!fs)
		return -ENOMEM;
	fs->options = *o;
	fs->options.mounted_at = NULL;
	fs->read_only = o->read_only;
	init_locks(fs);
	fs->held = held_create();
	r = fs->held ? open_all(fs, e) : -ENOMEM;
	if (r < 0) {
		fs_close(fs);
		return r;
	}
	*ret_fs = fs;
	return 0;
}

void fs_close(struct fs *fs)
{
	if (!fs)
		return;
	inode_table_destroy(fs);
	log_destroy(fs->log);
	if (fs->bufio) {
		bufio_abandon(fs->bufio);
		bufio_destroy(fs->bufio);
	}
	groups_free(fs);
	held_destroy(fs->held);
	bufio_engine_destroy(fs->overlay);
	finish_locks(fs);
	free(fs);
}
