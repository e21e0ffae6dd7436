/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse_reply.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#define REPLY_ALIGN 4096u
#define HUGE_PAGE   (2u << 20)

static _Thread_local void *buffer;
static _Thread_local size_t buffer_size;

void *transfer_memory(size_t size)
{
	void *memory;

	size = (size + HUGE_PAGE - 1) & ~(size_t)(HUGE_PAGE - 1);
	memory = aligned_alloc(HUGE_PAGE, size);
	/* without such pages it works as well, but for more requests to the device */
	if (memory)
		madvise(memory, size, MADV_HUGEPAGE);
	return memory;
}

void *reply_buffer(size_t size)
{
	if (size <= buffer_size)
		return buffer;
	reply_buffer_free();
	buffer = aligned_alloc(REPLY_ALIGN, (size + REPLY_ALIGN - 1) & ~(size_t)(REPLY_ALIGN - 1));
	buffer_size = buffer ? size : 0;
	return buffer;
}

void reply_buffer_free(void)
{
	free(buffer);
	buffer = NULL;
	buffer_size = 0;
}

struct fs *fs_of(fuse_req_t req)
{
	return ((struct front *)fuse_req_userdata(req))->fs;
}

/* EUCLEAN is no error programs know; ext4 and xfs give it too, and so do we. */
void reply(fuse_req_t req, int r)
{
	fuse_reply_err(req, -r);
}

void stat_of(const struct fs_attr *a, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = a->ino;
	st->st_mode = a->mode;
	st->st_nlink = a->nlink;
	st->st_uid = a->uid;
	st->st_gid = a->gid;
	st->st_rdev = makedev(a->rdev_major, a->rdev_minor);
	st->st_size = (off_t)a->size;
	st->st_blksize = 4096;
	st->st_blocks = (blkcnt_t)a->blocks;
	st->st_atim = a->atime;
	st->st_mtim = a->mtime;
	st->st_ctim = a->ctime;
}

void entry_of(const struct fs_attr *a, struct fuse_entry_param *e)
{
	memset(e, 0, sizeof(*e));
	e->ino = a->ino;
	e->generation = a->generation;
	e->attr_timeout = FOREVER;
	e->entry_timeout = FOREVER;
	stat_of(a, &e->attr);
}

void reply_entry(fuse_req_t req, int r, const struct fs_attr *a)
{
	struct fs *fs = fs_of(req);
	struct fuse_entry_param e;

	if (r < 0) {
		reply(req, r);
		return;
	}
	entry_of(a, &e);
	if (fuse_reply_entry(req, &e) < 0)
		fs_forget(fs, a->ino, 1);
}

void reply_attr(fuse_req_t req, int r, const struct fs_attr *a)
{
	struct stat st;

	if (r < 0) {
		reply(req, r);
		return;
	}
	stat_of(a, &st);
	fuse_reply_attr(req, &st, FOREVER);
}
