/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mount, sync, unmount, and the thread that commits now and then.  The policy: the superblock says before the
 * first change that there is a log to replay, and no more after all is in its place.
 */
#include "held.h"
#include "inode.h"
#include "open.h"
#include "super.h"

#include <errno.h>
#include <string.h>

#define NS_PER_SEC 1000000000
#define DAY	   (24 * 60 * 60)

/* So long, and so many times, the timer waits for files that were just emptied. */
#define MOMENT_MS 1000u
#define MOST_LATE 5u

void fs_options_init(struct fs_options *o)
{
	*o = (struct fs_options){.cache_bytes = (size_t)64 << 20, .commit_ms = 5000};
}

struct bufio_client *fs_bufio(struct fs *fs)
{
	return fs->bufio;
}

void fs_statfs(struct fs *fs, struct fs_statfs *ret)
{
	uint64_t free_blocks;

	inode_wait_freeing(fs);
	free_blocks = atomic_load(&fs->free_blocks);
	*ret = (struct fs_statfs){
		.block_bytes = fs->geo.block_bytes,
		.blocks = fs->geo.nr_blocks,
		.free_blocks = free_blocks,
		.usable_blocks = free_blocks > fs->kept_blocks ? free_blocks - fs->kept_blocks : 0,
		.inodes = geo_nr_inodes(&fs->geo),
		.free_inodes = atomic_load(&fs->free_inodes),
		.read_only = fs->read_only,
	};
	pthread_mutex_lock(&fs->super_lock);
	memcpy(ret->uuid, fs->super.uuid, sizeof(ret->uuid));
	memcpy(ret->label, fs->super.label, LABEL_MAX);
	pthread_mutex_unlock(&fs->super_lock);
}

int fs_set_label(struct fs *fs, const char *label)
{
	struct disk_super *d = &fs->super;
	uint8_t before[sizeof(d->label)];
	int r;

	if (strlen(label) > LABEL_MAX)
		return -EINVAL;
	if (atomic_load(&fs->shut))
		return -EIO;
	if (fs->read_only || log_error(fs->log))
		return -EROFS;
	pthread_mutex_lock(&fs->super_lock);
	memcpy(before, d->label, sizeof(before));
	memset(d->label, 0, sizeof(d->label));
	memcpy(d->label, label, strlen(label));
	r = super_store(bufio_engine_of(fs->bufio), &fs->geo, d);
	if (r < 0)
		memcpy(d->label, before, sizeof(before));
	pthread_mutex_unlock(&fs->super_lock);
	return r;
}

static struct timespec after_ms(unsigned ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	if (t.tv_nsec >= NS_PER_SEC) {
		t.tv_nsec -= NS_PER_SEC;
		t.tv_sec++;
	}
	return t;
}

/* False: it is time to end. */
static bool wait_for_turn(struct fs *fs, unsigned ms)
{
	struct timespec until = after_ms(ms);
	bool stop;

	pthread_mutex_lock(&fs->commit_lock);
	while (!fs->commit_stop &&
	       pthread_cond_timedwait(&fs->commit_wake, &fs->commit_lock, &until) == 0)
		;
	stop = fs->commit_stop;
	pthread_mutex_unlock(&fs->commit_lock);
	return !stop;
}

bool fs_timed_commit(struct fs *fs, unsigned nr_late)
{
	if (log_take_emptied(fs->log) && nr_late < MOST_LATE)
		return false;
	log_commit_open(fs->log);
	if (log_wants_checkpoint(fs->log))
		log_checkpoint(fs->log);
	held_release(fs);
	return true;
}

/* An error stops the filesystem, or is found again by the next turn, fsync or unmount. */
static void *commit_main(void *context)
{
	time_t stored = fs_now().tv_sec;
	struct fs *fs = context;
	unsigned turn_ms = fs->options.commit_ms;
	unsigned moment_ms = turn_ms < MOMENT_MS ? turn_ms : MOMENT_MS;

	while (wait_for_turn(fs, turn_ms)) {
		if (!fs->options.lazytime || fs_now().tv_sec - stored >= DAY) {
			stored = fs_now().tv_sec;
			inode_store_times(fs);
		}
		for (unsigned late = 0; !fs_timed_commit(fs, late); late++)
			if (!wait_for_turn(fs, moment_ms))
				return NULL;
	}
	return NULL;
}

static int commit_start(struct fs *fs)
{
	int r;

	if (!fs->options.commit_ms)
		return 0;
	r = -pthread_create(&fs->commit_thread, NULL, commit_main, fs);
	fs->commit_running = r == 0;
	return r;
}

static void commit_end(struct fs *fs)
{
	if (!fs->commit_running)
		return;
	pthread_mutex_lock(&fs->commit_lock);
	fs->commit_stop = true;
	pthread_cond_signal(&fs->commit_wake);
	pthread_mutex_unlock(&fs->commit_lock);
	pthread_join(fs->commit_thread, NULL);
	fs->commit_running = false;
}

/* May it be mounted like this? */
static int check_policy(const struct fs *fs, const struct bufio_engine *e)
{
	uint32_t state = le32_get(fs->super.state);

	if (fs->read_only)
		return 0;
	if (e->read_only || le64_get(fs->super.ro_compat) & ~RO_COMPAT_KNOWN)
		return -EROFS;
	return state & SUPER_CLEAN && !(state & SUPER_ERRORS) ? 0 : -ESTALE;
}

static int mark_mounted(struct fs *fs, const char *mounted_at)
{
	struct disk_super *d = &fs->super;

	d->state = le32_make(le32_get(d->state) & ~SUPER_CLEAN);
	d->incompat = le64_make(le64_get(d->incompat) | INCOMPAT_LOG);
	d->mount_time = time_encode(fs_now());
	d->mount_count = le32_make(le32_get(d->mount_count) + 1);
	memset(d->mounted_at, 0, sizeof(d->mounted_at));
	if (mounted_at)
		memcpy(d->mounted_at, mounted_at, strnlen(mounted_at, sizeof(d->mounted_at) - 1));
	return super_write(fs);
}

static int mark_clean(struct fs *fs)
{
	struct disk_super *d = &fs->super;

	d->state = le32_make((le32_get(d->state) | SUPER_CLEAN) & ~SUPER_REPLAYED);
	d->incompat = le64_make(le64_get(d->incompat) & ~INCOMPAT_LOG);
	return super_write(fs);
}

/* No change has been made before mark_mounted(); an error after it leaves the image not clean. */
static int begin(struct fs *fs, const char *mounted_at)
{
	int r;

	if (fs->read_only)
		return 0;
	r = log_start(fs);
	if (r == 0)
		r = mark_mounted(fs, mounted_at);
	if (r == 0)
		r = inode_recover_orphans(fs);
	if (r == 0)
		r = commit_start(fs);
	return r;
}

/* Open the image as it is after a replay. */
static int open_replayed(struct bufio_engine *engine, const struct fs_options *o,
			 struct fs **ret_fs)
{
	struct bufio_engine *overlay = NULL;
	int r;

	r = o->read_only ? log_overlay_create(engine, &overlay) : log_recover(engine);
	if (r == 0)
		r = fs_open(overlay ? overlay : engine, o, ret_fs);
	if (r < 0)
		bufio_engine_destroy(overlay);
	else
		(*ret_fs)->overlay = overlay;
	return r;
}

int fs_mount(struct bufio_engine *engine, const struct fs_options *o, struct fs **ret_fs)
{
	struct fs *fs;
	int r;

	r = open_replayed(engine, o, &fs);
	if (r < 0)
		return r;
	r = check_policy(fs, engine);
	if (r == 0)
		r = begin(fs, o->mounted_at);
	if (r < 0) {
		fs_close(fs);
		return r;
	}
	*ret_fs = fs;
	return 0;
}

/* All committed, all in its place. */
static int write_all(struct fs *fs)
{
	int r;

	r = log_commit_open(fs->log);
	if (r == 0)
		r = log_checkpoint(fs->log);
	if (r == 0)
		r = bufio_write_dirty_buffers(fs->bufio);
	return r < 0 ? r : log_error(fs->log);
}

/* As much as can be written is, also after an error; but only what is whole is called clean. */
static int end(struct fs *fs)
{
	int r, first = inode_store_times(fs);

	inode_drop_all(fs);
	/* what could not be freed when its last reference went: nobody has heard of that yet */
	r = inode_recover_orphans(fs);
	if (first == 0)
		first = r;
	r = write_all(fs);
	if (first == 0)
		first = r;
	return first < 0 ? first : mark_clean(fs);
}

int fs_unmount(struct fs *fs)
{
	int r = 0;

	commit_end(fs);
	if (atomic_load(&fs->shut))
		inode_drop_all(fs);
	else if (!fs->read_only)
		r = end(fs);
	fs_close(fs);
	return r;
}
