/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "told.h"

#include <errno.h>

static void note(struct fs_syncing *s, int r)
{
	struct told *t = (struct told *)s;

	t->result = r;
	t->nr++;
	sem_post(&t->told);
}

int told_start(struct told *t, struct fs *fs, uint64_t ino, bool datasync)
{
	int r;

	t->head = (struct fs_syncing){.ino = ino, .datasync = datasync, .done = note};
	t->nr = 0;
	sem_init(&t->told, 0, 0);
	r = fs_fsync_start(fs, &t->head);
	if (r != -EINPROGRESS)
		sem_destroy(&t->told);
	return r;
}

int told_wait(struct told *t)
{
	while (sem_wait(&t->told) < 0)
		;
	sem_destroy(&t->told);
	return t->result;
}

int told_fsync(struct fs *fs, uint64_t ino, bool datasync)
{
	struct told t;
	int r = told_start(&t, fs, ino, datasync);

	return r == -EINPROGRESS ? told_wait(&t) : r;
}
