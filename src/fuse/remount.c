/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mount -o remount.  The kernel does not tell a FUSE daemon of it, so only what the kernel does by itself can change: ro
 * and rw, nosuid, nodev, noexec and their opposites.  Whatever else is asked for must be as it is already, or
 * is refused.
 */
#include "remount.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <linux/fs.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#define EXIT_USER  1
#define EXIT_MOUNT 32
#define LIST_MAX   4096

struct remount {
	char list[LIST_MAX]; /* as asked */
	const char *mountpoint;
	bool fake;
	char dir[PATH_MAX];
	char kernel[LIST_MAX];		/* of the mount as the kernel has it */
	char daemon[MOUNT_OPTIONS_MAX]; /* ... and as the daemon was started */
	int fd;				/* of dir */
	unsigned long flags;		/* MS_*, to be */
};

static const struct {
	const char *name;
	unsigned long set, clear;
} changes[] = {
	{"ro", MS_RDONLY, 0},	{"rw", 0, MS_RDONLY},	  {"nosuid", MS_NOSUID, 0},
	{"suid", 0, MS_NOSUID}, {"nodev", MS_NODEV, 0},	  {"dev", 0, MS_NODEV},
	{"exec", 0, MS_NOEXEC}, {"noexec", MS_NOEXEC, 0},
};

/* What the kernel would drop if it were not given again. */
static const struct {
	const char *name;
	unsigned long flag;
} kept[] = {
	{"noatime", MS_NOATIME},  {"nodiratime", MS_NODIRATIME}, {"relatime", MS_RELATIME},
	{"sync", MS_SYNCHRONOUS}, {"dirsync", MS_DIRSYNC},
};

static int fail(const struct remount *m, const char *why)
{
	fprintf(stderr, "bufs: %s: remount: %s\n", m->mountpoint, why);
	return EXIT_MOUNT;
}

static bool has(const char *list, const char *option)
{
	size_t length = strlen(option);

	for (const char *at = list; (at = strstr(at, option)); at++)
		if ((at == list || at[-1] == ',') && (at[length] == ',' || !at[length]))
			return true;
	return false;
}

/* Words for mount(8), fstab and systemd. */
static bool is_for_others(const char *option)
{
	static const char *const words[] = {"remount", "defaults", "auto",  "noauto",	 "user",
					    "users",   "nouser",   "owner", "group",	 "nofail",
					    "_netdev", "silent",   "loud",  "nolazytime"};
	static const char *const begin[] = {"x-", "X-", "user=", "uhelper=", "helper=", "comment="};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(option, words[i]))
			return true;
	for (size_t i = 0; i < sizeof(begin) / sizeof(begin[0]); i++)
		if (!strncmp(option, begin[i], strlen(begin[i])))
			return true;
	return false;
}

static bool take(struct remount *m, const char *option)
{
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		if (!strcmp(option, changes[i].name)) {
			m->flags = (m->flags | changes[i].set) & ~changes[i].clear;
			return true;
		}
	}
	if (!strcmp(option, "async") && !has(m->kernel, "sync"))
		return true;
	return is_for_others(option) || has(m->kernel, option) || has(m->daemon, option);
}

static int take_all(struct remount *m)
{
	char why[LIST_MAX + 64], *save;

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (has(m->kernel, kept[i].name))
			m->flags |= kept[i].flag;
	for (char *o = strtok_r(m->list, ",", &save); o; o = strtok_r(NULL, ",", &save)) {
		if (take(m, o))
			continue;
		snprintf(why, sizeof(why), "'%s' cannot be changed: unmount and mount again", o);
		return fail(m, why);
	}
	return 0;
}

/* What is mounted there last. */
static int find_mount(struct remount *m)
{
	struct mntent *e;
	bool found = false;
	FILE *f;

	if (!realpath(m->mountpoint, m->dir))
		return fail(m, strerror(errno));
	f = setmntent("/proc/self/mounts", "re");
	if (!f)
		return fail(m, strerror(errno));
	while ((e = getmntent(f))) {
		if (strcmp(e->mnt_dir, m->dir) != 0)
			continue;
		found = !strcmp(e->mnt_type, "fuse.bufs") || !strcmp(e->mnt_type, "fuseblk.bufs");
		snprintf(m->kernel, sizeof(m->kernel), "%s", e->mnt_opts);
	}
	endmntent(f);
	return found ? 0 : fail(m, "no bufs filesystem is mounted there");
}

static int ask_daemon(struct remount *m)
{
	m->fd = open(m->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->fd < 0 || ioctl(m->fd, BUFS_IOC_OPTIONS, m->daemon) < 0)
		return fail(m, strerror(errno));
	m->daemon[sizeof(m->daemon) - 1] = '\0';
	return 0;
}

/*
 * To trim nothing makes everything durable, and is refused: with EROFS if the daemon itself changes nothing, being mounted
 * with ro, or after an error.
 */
static int flush(struct remount *m)
{
	struct fstrim_range none = {.len = 0};

	if (m->flags & MS_RDONLY && has(m->kernel, "ro"))
		return 0;
	if (ioctl(m->fd, FITRIM, &none) == 0 || errno == EINVAL)
		return 0;
	if (errno != EROFS)
		return fail(m, strerror(errno));
	return m->flags & MS_RDONLY ? 0
				    : fail(m, "it was mounted read-only: unmount and mount again");
}

static int set_access_times(struct remount *m, uint32_t on)
{
	return ioctl(m->fd, BUFS_IOC_ACCESS_TIMES, &on) < 0 ? fail(m, strerror(errno)) : 0;
}

/* Nothing may change the image once it is read-only, so reading stops to change times before that. */
static int apply(struct remount *m)
{
	bool writable = !has(m->kernel, "ro"), ro = m->flags & MS_RDONLY;
	int r = ro ? set_access_times(m, false) : 0;

	if (r == 0)
		r = flush(m);
	if (r == 0 && mount("none", m->dir, NULL, MS_REMOUNT | m->flags, NULL) < 0)
		r = fail(m, errno == EBUSY ? "files are open for writing" : strerror(errno));
	if (r == 0 ? !ro : writable)
		r = set_access_times(m, true) ? EXIT_MOUNT : r;
	return r;
}

static bool take_arguments(struct remount *m, int argc, char **argv)
{
	int option;

	optind = 1;
	while ((option = getopt(argc, argv, "o:rfsnvwt:N:d")) >= 0) {
		const char *more = option == 'o' ? optarg : option == 'r' ? "ro" : "";
		size_t used = strlen(m->list);

		if (option == '?' || used + strlen(more) + 2 > sizeof(m->list))
			return false;
		m->fake |= option == 'f';
		snprintf(m->list + used, sizeof(m->list) - used, "%s,", more);
	}
	if (optind + 2 != argc)
		return false;
	m->mountpoint = argv[optind + 1];
	return true;
}

bool remount_asked(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *list = argv[i];

		if (!strcmp(list, "-o") && i + 1 < argc)
			list = argv[++i];
		else if (!strncmp(list, "-o", 2))
			list += 2;
		else
			continue;
		if (has(list, "remount"))
			return true;
	}
	return false;
}

int remount(int argc, char **argv)
{
	struct remount m = {.fd = -1};
	int r;

	if (!take_arguments(&m, argc, argv)) {
		fprintf(stderr, "usage: mount.fuse.bufs -o remount,... IMAGE MOUNTPOINT\n");
		return EXIT_USER;
	}
	r = find_mount(&m);
	if (r == 0)
		r = ask_daemon(&m);
	if (r == 0)
		r = take_all(&m);
	if (r != 0 || m.fake)
		return r;
	r = apply(&m);
	close(m.fd);
	return r;
}
