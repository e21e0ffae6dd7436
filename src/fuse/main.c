/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bufs: claim the image, mount the core on it, mount it through FUSE, serve.  As mount.fuse.bufs it is
 * the helper of mount(8), as umount.fuse.bufs that of umount(8).
 */
#include "daemon.h"
#include "fsck.h"
#include "lead.h"
#include "options.h"
#include "remount.h"
#include "session.h"
#include "arguments.h"
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

/* mount(8) */
#define EXIT_USER   1
#define EXIT_SYSTEM 2
#define EXIT_MOUNT  32

#define READAHEAD_KIB 4096

struct mount {
	struct options o;
	char source[PATH_MAX], dir[PATH_MAX];
	bool block_device;
	int ready_fd;
	struct image_lock lock;
	struct bufio_engine *engine;
	struct front front;
};

static const char *reason(int r)
{
	switch (r) {
	case -EMEDIUMTYPE:
		return "holds no bufs filesystem";
	case -EPROTONOSUPPORT:
		return "has a version or features this bufs does not know";
	case -EUCLEAN:
		return "is damaged: run fsck.bufs";
	case -EBUSY:
		return "is in use";
	case -EFBIG:
		return "is smaller than the filesystem in it, or ulimit -f is";
	case -EROFS:
		return "can only be mounted read-only (-o ro)";
	case -ENOTBLK:
		return "is neither a file nor a block device";
	case -EINVAL:
		return "has no such part: see offset= and sizelimit=";
	default:
		return strerror(-r);
	}
}

static int complain(const char *what, int r)
{
	fprintf(stderr, "bufs: %s: %s\n", what, reason(r));
	return EXIT_MOUNT;
}

static void ready(void *context)
{
	struct mount *m = context;

	daemon_ready(m->ready_fd);
	m->ready_fd = -1;
}

/* fuse_opt's escape, for commas in a path. */
static void escape(const char *in, char *out, size_t size)
{
	char *end = out + size - 2;

	for (; *in && out < end; in++) {
		if (*in == ',' || *in == '\\')
			*out++ = '\\';
		*out++ = *in;
	}
	*out = '\0';
}

static int preen(struct mount *m)
{
	struct check_options o = {.mode = CHECK_PREEN};
	struct check_result result;
	int r;

	syslog(LOG_NOTICE, "%s was not cleanly unmounted: checking", m->source);
	r = check_fs(m->engine, &o, &result);
	if (r < 0)
		return r;
	if (result.problems)
		syslog(LOG_NOTICE, "%s: %llu problems, %llu mended", m->source,
		       (unsigned long long)result.problems, (unsigned long long)result.repaired);
	return result.problems == result.repaired ? 0 : -EUCLEAN;
}

static int open_fs(struct mount *m)
{
	const struct bufio_engine_options eo = {.read_only = m->o.fs.read_only,
						.offset_bytes = m->o.offset,
						.size_bytes = m->o.sizelimit};
	struct bufio_engine *device;
	int r = bufio_engine_open(m->source, &eo, &device);

	if (r < 0)
		return r;
	r = lead_engine_create(device, &m->engine);
	if (r < 0) {
		bufio_engine_destroy(device);
		return r;
	}
	m->o.fs.mounted_at = m->dir;
	m->o.fs.waits = lead_give;
	r = fs_mount(m->engine, &m->o.fs, &m->front.fs);
	if (r == -ESTALE) {
		r = preen(m);
		if (r == 0)
			r = fs_mount(m->engine, &m->o.fs, &m->front.fs);
	}
	if (r < 0)
		bufio_engine_destroy(m->engine);
	return r;
}

static struct fuse_session *new_session(struct mount *m)
{
	char name[2 * PATH_MAX], list[2 * PATH_MAX + 1024];
	char program[] = "bufs", minus_o[] = "-o", debug[] = "-d";
	char *argv[] = {program, minus_o, list, debug, NULL};
	struct fuse_args args = {.argc = m->o.debug ? 4 : 3, .argv = argv};
	struct fuse_session *se;
	struct fs_statfs s;
	bool all = m->o.allow_other || (geteuid() == 0 && !m->o.allow_root);

	fs_statfs(m->front.fs, &s);
	escape(m->source, name, sizeof(name));
	snprintf(list, sizeof(list), "fsname=%s,subtype=bufs,default_permissions%s%s%s%s%s%s", name,
		 geteuid() == 0 ? ",suid,dev" : "", m->o.fs.read_only ? ",ro" : "",
		 m->o.fs.atime == FS_ATIME_NEVER ? ",noatime" : "", all ? ",allow_other" : "",
		 m->o.allow_root ? ",allow_root" : "", m->o.kernel);
	if (m->block_device && geteuid() == 0)
		snprintf(list + strlen(list), sizeof(list) - strlen(list), ",blkdev,blksize=%u",
			 s.block_bytes < 4096 ? s.block_bytes : 4096);
	se = fuse_session_new(&args, &front_ops, sizeof(front_ops), &m->front);
	fuse_opt_free_args(&args);
	m->front.se = se;
	return se;
}

/* Returns the exit code; the filesystem is unmounted then. */
static int serve(struct mount *m)
{
	struct fuse_session *se = new_session(m);
	int r;

	if (!se) {
		fs_unmount(m->front.fs);
		return EXIT_SYSTEM;
	}
	if (fuse_session_mount(se, m->dir) != 0) {
		/* libfuse or fusermount3 has said why, but not always of what */
		fprintf(stderr, "bufs: %s: cannot be mounted on %s\n", m->source, m->dir);
		fs_unmount(m->front.fs);
		fuse_session_destroy(se);
		return EXIT_MOUNT;
	}
	r = session_hook(se);
	if (r == 0) {
		daemon_harden();
		r = session_run(se, &m->front, m->o.threads, m->dir);
	}
	fuse_session_unmount(se);
	fuse_session_destroy(se);
	if (r == 0)
		return 0;
	syslog(LOG_ERR, "%s: data was lost at unmount: %s", m->source, strerror(-r));
	return complain(m->source, r);
}

/* Of a file; a device the kernel claims as a whole. */
static bool is_part(const struct mount *m)
{
	return !m->block_device && (m->o.offset || m->o.sizelimit);
}

static int mount_image(struct mount *m)
{
	const struct image_range part = {m->o.offset, m->o.sizelimit};
	int r = image_claim(m->source, !m->o.fs.read_only, IMAGE_MOUNT, is_part(m) ? &part : NULL,
			    &m->lock);

	if (r < 0)
		return complain(m->source, r);
	r = open_fs(m);
	if (r < 0)
		return complain(m->source, r);
	r = serve(m);
	bufio_engine_destroy(m->engine);
	return r;
}

/* All that can be known before anything is touched. */
static int examine(struct mount *m)
{
	struct stat st;

	if (!realpath(m->o.source, m->source))
		return complain(m->o.source, -errno);
	if (!realpath(m->o.mountpoint, m->dir))
		return complain(m->o.mountpoint, -errno);
	if (stat(m->dir, &st) == 0 && !S_ISDIR(st.st_mode))
		return complain(m->dir, -ENOTDIR);
	/* nobody would see it, and to unmount it by that name would take away the root itself */
	if (!strcmp(m->dir, "/"))
		return complain(m->dir, -EBUSY);
	if (stat(m->source, &st) < 0)
		return complain(m->source, -errno);
	m->block_device = S_ISBLK(st.st_mode);
	return -1;
}

static int refuse_mounted(const struct mount *m)
{
	char other[PATH_MAX];

	if (!is_part(m) && mounted_at(m->source, other, sizeof(other))) {
		fprintf(stderr, "bufs: %s is already mounted on %s\n", m->source, other);
		return EXIT_MOUNT;
	}
	/* root may mount over a mount; fusermount3 may not even look there, and says so only */
	if (geteuid() != 0 && mounted_source(m->dir, other, sizeof(other))) {
		fprintf(stderr, "bufs: %s: %s is mounted there\n", m->dir, other);
		return EXIT_MOUNT;
	}
	return -1;
}

static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	/* a limit of the caller's shell (ulimit -f) is an error of the device, no reason to die */
	signal(SIGXFSZ, SIG_IGN);
}

/*
 * umount(8) looks for umount.fuse.bufs only if it knows more of the mount than statfs(2) tells: leave it the
 * helper's name where it keeps such options, /run/mount/utab.  Where that cannot be written
 * umount(8) does not wait, and the next program that opens the image does.
 */
static void name_umount_helper(const struct mount *m)
{
	pid_t pid;

	if (geteuid() != 0 || m->block_device)
		return;
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, STDERR_FILENO);
		execlp("mount", "mount", "-f", "-i", "--no-canonicalize", "-t", "fuse.bufs", "-o",
		       "uhelper=fuse.bufs", "--", m->source, m->dir, (char *)NULL);
		_exit(1);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* The kernel reads 128 KiB ahead; root may set more, so that more than one request of 1 MiB is under way. */
static void deepen_readahead(const struct mount *m)
{
	char path[128];
	struct stat st;
	FILE *f;

	if (geteuid() != 0 || stat(m->dir, &st) < 0)
		return;
	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u%s/read_ahead_kb", major(st.st_dev),
		 minor(st.st_dev), m->block_device ? "-fuseblk" : "");
	f = fopen(path, "we");
	if (!f)
		return;
	fprintf(f, "%u", READAHEAD_KIB);
	/* where /sys is read-only it stays as it is */
	fclose(f);
}

/* The daemon ends when it has written all: wait for that, unless there are more mounts of the image. */
static int wait_for_daemon(const char *source)
{
	struct image_lock lock;
	char dir[PATH_MAX];
	int r = image_claim(source, false, IMAGE_MOUNT, NULL, &lock);

	if (r != -EBUSY || mounted_at(source, dir, sizeof(dir)))
		return 0;
	fprintf(stderr, "bufs: %s: unmounted, but still being written\n", source);
	return EXIT_MOUNT;
}

/* -1: go on, to what optind says; else the exit code. */
static int parse_unmount(int argc, char **argv, int *ret_flags)
{
	static const char usage[] =
		"usage: umount.fuse.bufs [-flnrv] [-t type] [-N namespace] MOUNTPOINT\n"
		"  -f  force it   -l  detach now, do not wait\n";
	bool good = true;
	int option;

	while ((option = getopt_long(argc, argv, "nlfvrt:N:", standard_options, NULL)) >= 0) {
		*ret_flags |= option == 'l' ? MNT_DETACH : option == 'f' ? MNT_FORCE : 0;
		if (option == 'h' || option == 'V') {
			fputs(option == 'h' ? usage : "umount.fuse.bufs " BUFS_VERSION "\n",
			      stdout);
			return 0;
		}
		good &= option != '?';
	}
	if (good && optind + 1 == argc)
		return -1;
	fputs(usage, stderr);
	return EXIT_USER;
}

/*
 * umount(8) leaves it to us, for a plain FUSE mount: the unmount of an image file returns before the daemon
 * has written its data.
 */
static int unmount(int argc, char **argv)
{
	char source[PATH_MAX], dir[PATH_MAX];
	int flags = 0, r = parse_unmount(argc, argv, &flags);

	if (r >= 0)
		return r;
	if (!realpath(argv[optind], dir))
		return complain(argv[optind], -errno);
	if (!mounted_source(dir, source, sizeof(source))) {
		fprintf(stderr, "bufs: %s: no bufs filesystem is mounted there\n", argv[optind]);
		return EXIT_MOUNT;
	}
	r = session_unmount(dir, flags);
	if (r != 0)
		return r < 0 ? complain(dir, r) : EXIT_MOUNT;
	return flags & MNT_DETACH ? 0 : wait_for_daemon(source);
}

int main(int argc, char **argv)
{
	struct mount m = {.ready_fd = -1};
	const char *slash = strrchr(argv[0], '/'), *program = slash ? slash + 1 : argv[0];
	int r, code;

	if (!strncmp(program, "umount.", 7))
		return unmount(argc, argv);
	if (remount_asked(argc, argv))
		return remount(argc, argv);
	m.o.helper = !strncmp(program, "mount.", 6);
	r = options_parse(&m.o, argc, argv);
	if (r < 0)
		r = examine(&m);
	if (r < 0)
		r = refuse_mounted(&m);
	if (r >= 0)
		return r;
	if (m.o.fake)
		return 0;
	m.front.ready = ready;
	m.front.no_xattr = m.o.no_xattr;
	m.front.write_back = m.o.write_back;
	/* what the kernel collects it does not ask about any more */
	m.front.strict_open = m.o.strict_open || m.o.write_back;
	m.front.strict_atime = m.o.fs.atime == FS_ATIME_STRICT;
	m.front.options = m.o.given;
	m.front.ready_context = &m;
	openlog("bufs", LOG_PID, LOG_DAEMON);
	if (!m.o.foreground) {
		r = daemon_fork(&code, &m.ready_fd);
		if (r < 0) {
			complain("fork", r);
			return EXIT_SYSTEM;
		}
		if (r == 0) {
			if (code == 0) {
				deepen_readahead(&m);
				name_umount_helper(&m);
			}
			return code;
		}
	}
	/* one thread frees what another has allocated: each would keep what it needed at most */
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	block_signals();
	return mount_image(&m);
}
