/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse_privs.h"

#include "fuse_reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static uint64_t effective(pid_t pid)
{
	unsigned long long mask = UINT64_MAX;
	char path[32], line[256];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return mask;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "CapEff: %llx", &mask) == 1)
			break;
	fclose(f);
	return mask;
}

bool caller_has(fuse_req_t req, unsigned capability)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	/* capabilities of another user are those of a namespace of his own */
	return ctx->uid == 0 && (ctx->pid == 0 || effective(ctx->pid) >> capability & 1);
}

static bool is_in_group(fuse_req_t req, gid_t gid)
{
	int nr = fuse_req_getgroups(req, 0, NULL);
	gid_t *list = nr > 0 ? calloc((size_t)nr, sizeof(*list)) : NULL;
	bool found = fuse_req_ctx(req)->gid == gid;

	if (list) {
		int got = fuse_req_getgroups(req, nr, list);

		for (int i = 0; i < got && i < nr; i++)
			found |= list[i] == gid;
	}
	free(list);
	return found;
}

int privs_mask(fuse_req_t req, fuse_ino_t ino, unsigned *ret_mask)
{
	struct fs_attr a;
	int r = fs_getattr(fs_of(req), ino, &a);

	*ret_mask = 0;
	if (r < 0)
		return r;
	if (!S_ISDIR(a.mode) && a.mode & (S_ISUID | S_ISGID))
		*ret_mask = FS_SET_KILL_PRIVS;
	/* without execution by the group it meant mandatory locks once: that stays for the members */
	if (*ret_mask && (a.mode & (S_ISGID | S_IXGRP)) == S_ISGID && !is_in_group(req, a.gid) &&
	    !caller_has(req, CAP_FSETID))
		*ret_mask |= FS_SET_KILL_SGID;
	return 0;
}

static int kill_mask(fuse_req_t req, fuse_ino_t ino, unsigned mask)
{
	const struct front *f = fuse_req_userdata(req);
	struct fs_attr a = {.mode = 0};
	int r = fs_setattr(f->fs, ino, &a, mask, &a);

	/* the kernel has the old mode, and would run the file with it */
	if (r == 0)
		fuse_lowlevel_notify_inval_inode(f->se, ino, -1, 0);
	return r;
}

int privs_kill(fuse_req_t req, fuse_ino_t ino)
{
	unsigned mask;
	int r = privs_mask(req, ino, &mask);

	return r < 0 || !mask ? r : kill_mask(req, ino, mask);
}

int privs_kill_unless_trusted(fuse_req_t req, fuse_ino_t ino)
{
	unsigned mask;
	int r = privs_mask(req, ino, &mask);

	return r < 0 || !mask || caller_has(req, CAP_FSETID) ? r : kill_mask(req, ino, mask);
}
