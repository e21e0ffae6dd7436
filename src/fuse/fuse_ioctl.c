/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ioctls.  chattr's come from the kernel, not from the program: it has checked that the caller owns the inode, and has
 * CAP_LINUX_IMMUTABLE where that is needed, before it sends the new flags.
 */
#include "fuse_ioctl.h"

#include "fuse_reply.h"
#include "remount.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* XFS_IOC_GOINGDOWN, EXT4_IOC_SHUTDOWN and so on: one number, which no header has alone */
#define IOC_SHUTDOWN _IOR('X', 125, uint32_t)

struct call {
	struct front *front;
	fuse_req_t req;
	fuse_ino_t ino;
	const void *in;	      /* as much as the command says */
	const void *argument; /* in the caller's memory */
	union {
		uint32_t number;
		struct fsxattr xattr;
		struct fstrim_range range;
		char label[FSLABEL_MAX];
		char options[MOUNT_OPTIONS_MAX];
	} out;
};

/* Flags that have a name in fsx_xflags too. */
static const struct {
	uint32_t flag, xflag;
} xflag_of[] = {
	{FS_IMMUTABLE_FL, FS_XFLAG_IMMUTABLE}, {FS_APPEND_FL, FS_XFLAG_APPEND},
	{FS_SYNC_FL, FS_XFLAG_SYNC},	       {FS_NOATIME_FL, FS_XFLAG_NOATIME},
	{FS_NODUMP_FL, FS_XFLAG_NODUMP},       {FS_PROJINHERIT_FL, FS_XFLAG_PROJINHERIT},
};
#define NR_XFLAGS (sizeof(xflag_of) / sizeof(xflag_of[0]))

/* These return the bytes of out, or a negative errno. */

static int get_flags(struct call *c)
{
	struct fs_attr a;
	int r = fs_getattr(c->front->fs, c->ino, &a);

	c->out.number = a.flags;
	return r < 0 ? r : (int)sizeof(c->out.number);
}

/* ctime has changed, and the kernel does not expect it. */
static int set_both(struct call *c, uint32_t flags, uint32_t projid)
{
	int r = fs_set_flags(c->front->fs, c->ino, flags, projid);

	if (r == 0)
		fuse_lowlevel_notify_inval_inode(c->front->se, c->ino, -1, 0);
	return r;
}

static int set_flags(struct call *c)
{
	struct fs_attr a;
	uint32_t flags;
	int r = fs_getattr(c->front->fs, c->ino, &a);

	memcpy(&flags, c->in, sizeof(flags));
	return r < 0 ? r : set_both(c, flags, a.projid);
}

static int get_xattr(struct call *c)
{
	struct fs_attr a;
	int r = fs_getattr(c->front->fs, c->ino, &a);

	if (r < 0)
		return r;
	c->out.xattr = (struct fsxattr){.fsx_projid = a.projid};
	for (size_t i = 0; i < NR_XFLAGS; i++)
		if (a.flags & xflag_of[i].flag)
			c->out.xattr.fsx_xflags |= xflag_of[i].xflag;
	return sizeof(c->out.xattr);
}

static int set_xattr(struct call *c)
{
	struct fsxattr x;
	struct fs_attr a;
	uint32_t flags;
	int r = fs_getattr(c->front->fs, c->ino, &a);

	if (r < 0)
		return r;
	memcpy(&x, c->in, sizeof(x));
	flags = a.flags & FS_DIRSYNC_FL;
	for (size_t i = 0; i < NR_XFLAGS; i++) {
		if (x.fsx_xflags & xflag_of[i].xflag)
			flags |= xflag_of[i].flag;
		x.fsx_xflags &= ~xflag_of[i].xflag;
	}
	if (x.fsx_xflags || x.fsx_extsize || x.fsx_cowextsize)
		return -EOPNOTSUPP;
	return set_both(c, flags, x.fsx_projid);
}

/* Programs give an int for what is declared a long, so more must not be copied to them. */
static int get_version(struct call *c)
{
	struct fs_attr a;
	int r = fs_getattr(c->front->fs, c->ino, &a);

	c->out.number = a.generation;
	return r < 0 ? r : (int)sizeof(c->out.number);
}

/* Those that concern the whole filesystem are for an administrator, and for whoever mounted it without being one. */

static bool has_sys_admin(pid_t pid)
{
	unsigned long long caps = 0;
	char line[128];
	FILE *f;

	snprintf(line, sizeof(line), "/proc/%d/status", pid);
	f = fopen(line, "re");
	if (!f)
		return false;
	while (fgets(line, sizeof(line), f) && sscanf(line, "CapEff: %llx", &caps) != 1)
		;
	fclose(f);
	return caps >> CAP_SYS_ADMIN & 1;
}

/* A root without CAP_SYS_ADMIN is that of a container.  The caller waits for our answer, so the pid is still his. */
static bool may_administer(const struct call *c)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(c->req);

	if (ctx->uid == 0)
		return has_sys_admin(ctx->pid);
	return ctx->uid == geteuid();
}

static int get_label(struct call *c)
{
	struct fs_statfs s;

	fs_statfs(c->front->fs, &s);
	memset(c->out.label, 0, sizeof(c->out.label));
	memcpy(c->out.label, s.label, sizeof(s.label));
	return sizeof(c->out.label);
}

static int set_label(struct call *c)
{
	char label[FSLABEL_MAX + 1] = {0};

	if (!may_administer(c))
		return -EPERM;
	memcpy(label, c->in, FSLABEL_MAX);
	return fs_set_label(c->front->fs, label);
}

static int get_options(struct call *c)
{
	memset(c->out.options, 0, sizeof(c->out.options));
	strncpy(c->out.options, c->front->options, sizeof(c->out.options) - 1);
	return sizeof(c->out.options);
}

static int set_access_times(struct call *c)
{
	uint32_t on;

	if (!may_administer(c))
		return -EPERM;
	memcpy(&on, c->in, sizeof(on));
	fs_set_access_times(c->front->fs, on);
	return 0;
}

static bool is_interrupted(void *context)
{
	return fuse_req_interrupted(context);
}

static int trim(struct call *c)
{
	struct fs_trim what = {.interrupted = is_interrupted, .context = c->req};
	uint64_t bytes;
	int r;

	if (!may_administer(c))
		return -EPERM;
	memcpy(&c->out.range, c->in, sizeof(c->out.range));
	what.start_bytes = c->out.range.start;
	what.size_bytes = c->out.range.len;
	what.min_bytes = c->out.range.minlen;
	/* who removes files and then trims means those */
	r = fs_sync(c->front->fs);
	if (r == 0)
		r = fs_trim(c->front->fs, &what, &bytes);
	if (r < 0)
		return r;
	c->out.range.len = bytes;
	return sizeof(c->out.range);
}

/*
 * The number of this command says that its argument is written, not read, so the kernel does not send us what is in it.
 * The caller's memory has it.
 */
static int shut_down(struct call *c)
{
	static const enum fs_shutdown how[] = {FS_SHUTDOWN_SYNC, FS_SHUTDOWN_LOG, FS_SHUTDOWN_NOW};
	uint32_t mode;
	struct iovec here = {&mode, sizeof(mode)}, there = {(void *)c->argument, sizeof(mode)};

	if (!may_administer(c))
		return -EPERM;
	if (process_vm_readv(fuse_req_ctx(c->req)->pid, &here, 1, &there, 1, 0) != sizeof(mode))
		return errno == EFAULT ? -EFAULT : -EPERM;
	return mode < 3 ? fs_shutdown(c->front->fs, how[mode]) : -EINVAL;
}

static const struct {
	unsigned cmd;
	size_t in_bytes;
	int (*run)(struct call *c);
} calls[] = {
	{FS_IOC_GETFLAGS, 0, get_flags},
	{FS_IOC_SETFLAGS, sizeof(uint32_t), set_flags},
	{FS_IOC_FSGETXATTR, 0, get_xattr},
	{FS_IOC_FSSETXATTR, sizeof(struct fsxattr), set_xattr},
	{FS_IOC_GETVERSION, 0, get_version},
	{FS_IOC_GETFSLABEL, 0, get_label},
	{FS_IOC_SETFSLABEL, FSLABEL_MAX, set_label},
	{FITRIM, sizeof(struct fstrim_range), trim},
	{IOC_SHUTDOWN, 0, shut_down},
	{BUFS_IOC_OPTIONS, 0, get_options},
	{BUFS_IOC_ACCESS_TIMES, sizeof(uint32_t), set_access_times},
};

void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg, struct fuse_file_info *fi,
	      unsigned flags, const void *in, size_t in_bytes, size_t out_bytes)
{
	struct call c = {
		.front = fuse_req_userdata(req), .req = req, .ino = ino, .in = in, .argument = arg};
	int r = -ENOTTY;

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (calls[i].cmd == cmd)
			r = in_bytes < calls[i].in_bytes ? -EINVAL : calls[i].run(&c);
	if (r < 0)
		reply(req, r);
	else if ((size_t)r > out_bytes)
		reply(req, -EINVAL);
	else
		fuse_reply_ioctl(req, 0, &c.out, (size_t)r);
}
