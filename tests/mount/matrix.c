/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * matrix FOLDER: every call on every kind of thing, by root and by others, and what came of it: the error, and of all that is
 * there what appeared, went and changed, times too.  One line each; matrix.sh compares them with those of a filesystem of the
 * kernel.  Run as root.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define NR(array) (sizeof(array) / sizeof((array)[0]))
#define USER	  12345 /* also a group */
#define MEMBER	  12346 /* another of the user's groups */
#define FOREIGN	  12347 /* a user and group that he is not */

enum kind { NONE, FILE_, DIR_, FULL, LINK, FIFO, CHR, BLK, SOCK, DANGLING, LOOP, SETID, NR_KINDS };

#define SOME_KINDS 5

static const char *const kinds[NR_KINDS] = {"none", "file", "dir",  "full",	"link", "fifo",
					    "chr",  "blk",  "sock", "dangling", "loop", "setid"};

/* What a call is about: x and, if it takes two, y. */
static char x[5000], y[5000];
static unsigned flags;

static void must(int r, const char *what)
{
	if (r < 0) {
		perror(what);
		exit(2);
	}
}

static void make_file(const char *path)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0644);

	must(fd, path);
	must((int)write(fd, "12345", 5), path);
	close(fd);
}

static void make_full(const char *path)
{
	char inside[200];

	must(mkdir(path, 0755), path);
	snprintf(inside, sizeof(inside), "%s/inside", path);
	make_file(inside);
}

static void make(enum kind kind, const char *path)
{
	switch (kind) {
	case FILE_:
		make_file(path);
		break;
	case DIR_:
		must(mkdir(path, 0755), path);
		break;
	case FULL:
		make_full(path);
		break;
	case FIFO:
		must(mkfifo(path, 0644), path);
		break;
	case CHR:
		must(mknod(path, S_IFCHR | 0644, makedev(1, 3)), path);
		break;
	case BLK:
		must(mknod(path, S_IFBLK | 0644, makedev(4000, 700000)), path);
		break;
	case SOCK:
		must(mknod(path, S_IFSOCK | 0644, 0), path);
		break;
	case LINK:
		must(symlink("../target", path), path);
		break;
	case DANGLING:
		must(symlink("../nowhere", path), path);
		break;
	case SETID:
		make_file(path);
		break;
	case LOOP:
		must(symlink(strrchr(path, '/') + 1, path), path);
		break;
	default:
		break;
	}
}

/* The calls; each returns as it does. */

static int do_open(void)
{
	int fd = open(x, (int)flags | O_NONBLOCK, 0640);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? -1 : 0;
}

static int do_mkdir(void)
{
	return mkdir(x, 0750);
}

static int do_rmdir(void)
{
	return rmdir(x);
}

static int do_unlink(void)
{
	return unlink(x);
}

static int do_mknod(void)
{
	return mknod(x, flags | 0604, makedev(11, 12));
}

static int do_symlink(void)
{
	return symlink("somewhere", x);
}

static int do_readlink(void)
{
	char target[100];

	return readlink(x, target, sizeof(target)) < 0 ? -1 : 0;
}

static int do_truncate(void)
{
	return truncate(x, (off_t)flags);
}

static int do_chmod(void)
{
	return chmod(x, flags);
}

static int do_chown(void)
{
	return chown(x, USER, USER);
}

/* flags: the user in the upper half, the group in the lower; all ones: as it is. */
static int do_chown_to(void)
{
	unsigned uid = flags >> 16, gid = flags & 0xffff;

	return chown(x, uid == 0xffff ? (uid_t)-1 : uid, gid == 0xffff ? (gid_t)-1 : gid);
}

static int do_lchown(void)
{
	return lchown(x, USER, (gid_t)-1);
}

static int do_write(void)
{
	int fd = open(x, O_WRONLY | O_NONBLOCK | (int)flags), r = -1;

	if (fd >= 0) {
		r = write(fd, "x", 1) == 1 ? 0 : -1;
		close(fd);
	}
	return r;
}

static int do_utimens(void)
{
	struct timespec times[2] = {{.tv_nsec = flags & 1 ? UTIME_OMIT : UTIME_NOW},
				    {.tv_nsec = flags & 2 ? UTIME_OMIT : UTIME_NOW}};

	if (flags & 4)
		times[0] = times[1] = (struct timespec){12345, 6789};
	return utimensat(AT_FDCWD, x, times, flags & 8 ? AT_SYMLINK_NOFOLLOW : 0);
}

static int do_stat(void)
{
	struct stat st;

	return flags ? lstat(x, &st) : stat(x, &st);
}

static int do_access(void)
{
	return faccessat(AT_FDCWD, x, (int)flags, AT_EACCESS);
}

static int do_link(void)
{
	return linkat(AT_FDCWD, x, AT_FDCWD, y, (int)flags);
}

static int do_rename(void)
{
	return renameat2(AT_FDCWD, x, AT_FDCWD, y, flags);
}

static int do_chdir(void)
{
	return chdir(x);
}

#define OWNER(user, group) ((unsigned)(user) << 16 | (group))

struct call {
	const char *name;
	int (*run)(void);
	unsigned flags;
};

static const struct call one[] = {
	{"open r", do_open, O_RDONLY},
	{"open w", do_open, O_WRONLY},
	{"open creat", do_open, O_RDWR | O_CREAT},
	{"open creat excl", do_open, O_RDWR | O_CREAT | O_EXCL},
	{"open trunc", do_open, O_WRONLY | O_TRUNC},
	{"open directory", do_open, O_RDONLY | O_DIRECTORY},
	{"open creat directory", do_open, O_RDONLY | O_CREAT | O_DIRECTORY},
	{"open nofollow", do_open, O_RDONLY | O_NOFOLLOW},
	{"open creat nofollow", do_open, O_RDWR | O_CREAT | O_NOFOLLOW},
	{"open tmpfile", do_open, O_RDWR | O_TMPFILE},
	{"mkdir", do_mkdir, 0},
	{"rmdir", do_rmdir, 0},
	{"unlink", do_unlink, 0},
	{"mknod fifo", do_mknod, S_IFIFO},
	{"mknod chr", do_mknod, S_IFCHR},
	{"mknod sock", do_mknod, S_IFSOCK},
	{"mknod reg", do_mknod, S_IFREG},
	{"mknod dir", do_mknod, S_IFDIR},
	{"symlink", do_symlink, 0},
	{"readlink", do_readlink, 0},
	{"truncate 0", do_truncate, 0},
	{"truncate 5", do_truncate, 5},
	{"truncate 9000", do_truncate, 9000},
	{"truncate -1", do_truncate, -1u},
	{"chmod 0600", do_chmod, 0600},
	{"chmod 6711", do_chmod, 06711},
	{"chmod 1777", do_chmod, 01777},
	{"chmod 2755", do_chmod, 02755},
	{"chmod 2644", do_chmod, 02644},
	{"chown", do_chown, 0},
	{"chown nothing", do_chown_to, OWNER(0xffff, 0xffff)},
	{"chown to root", do_chown_to, OWNER(0, 0xffff)},
	{"chown to another", do_chown_to, OWNER(FOREIGN, 0xffff)},
	{"chown to oneself", do_chown_to, OWNER(USER, 0xffff)},
	{"chgrp to an own group", do_chown_to, OWNER(0xffff, MEMBER)},
	{"chgrp to a foreign group", do_chown_to, OWNER(0xffff, FOREIGN)},
	{"chown to oneself and an own group", do_chown_to, OWNER(USER, MEMBER)},
	{"lchown", do_lchown, 0},
	{"write", do_write, 0},
	{"write append", do_write, O_APPEND},
	{"write trunc", do_write, O_TRUNC},
	{"utimens now", do_utimens, 0},
	{"utimens atime", do_utimens, 2},
	{"utimens mtime", do_utimens, 1},
	{"utimens nothing", do_utimens, 3},
	{"utimens set", do_utimens, 4},
	{"utimens nofollow", do_utimens, 12},
	{"stat", do_stat, 0},
	{"lstat", do_stat, 1},
	{"access r", do_access, R_OK},
	{"access wx", do_access, W_OK | X_OK},
	{"chdir", do_chdir, 0},
};

static const struct call two[] = {
	{"link", do_link, 0},
	{"link follow", do_link, AT_SYMLINK_FOLLOW},
	{"rename", do_rename, 0},
	{"rename noreplace", do_rename, RENAME_NOREPLACE},
	{"rename exchange", do_rename, RENAME_EXCHANGE},
	{"rename whiteout", do_rename, RENAME_WHITEOUT},
	{"rename odd", do_rename, 8 | RENAME_EXCHANGE},
};

/* What is watched, from the folder of one case. */
static const char *const watched[] = {"a", "a/x", "a/x/inside", "b", "b/y", "b/y/inside", "target"};

/* A clock may not have ticked since they were made; with ctime it is the kernel's affair. */
static void make_old(void)
{
	static const struct timespec old[2] = {{1000, 0}, {1000, 0}};

	for (size_t n = 0; n < NR(watched); n++)
		if (utimensat(AT_FDCWD, watched[n], old, AT_SYMLINK_NOFOLLOW) < 0 &&
		    errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
			must(-1, watched[n]);
}

struct seen {
	int error;
	struct stat st;
};

static void look(struct seen *seen)
{
	for (size_t n = 0; n < NR(watched); n++)
		seen[n].error = lstat(watched[n], &seen[n].st) < 0 ? errno : 0;
}

static int differ(struct timespec a, struct timespec b)
{
	return a.tv_sec != b.tv_sec || a.tv_nsec != b.tv_nsec;
}

static void print_change(const char *name, const struct stat *a, const struct stat *b)
{
	if (a->st_mode != b->st_mode)
		printf(" %s.mode=%o", name, b->st_mode);
	if (a->st_nlink != b->st_nlink)
		printf(" %s.nlink=%ju", name, (uintmax_t)b->st_nlink);
	if (a->st_uid != b->st_uid || a->st_gid != b->st_gid)
		printf(" %s.owner=%u:%u", name, b->st_uid, b->st_gid);
	if (S_ISREG(b->st_mode) && a->st_size != b->st_size)
		printf(" %s.size=%jd", name, (intmax_t)b->st_size);
	if (differ(a->st_mtim, b->st_mtim))
		printf(" %s.mtime", name);
	if (differ(a->st_ctim, b->st_ctim))
		printf(" %s.ctime", name);
}

/* What is there now under a name was something before, or is new. */
static void print_now(const struct seen *before, const char *name, const struct stat *now)
{
	for (size_t n = 0; n < NR(watched); n++) {
		if (before[n].error || before[n].st.st_ino != now->st_ino)
			continue;
		if (strcmp(watched[n], name) != 0)
			printf(" %s=%s", name, watched[n]);
		print_change(name, &before[n].st, now);
		return;
	}
	printf(" +%s(%o %ju %u:%u %jx)", name, now->st_mode, (uintmax_t)now->st_nlink, now->st_uid,
	       now->st_gid, (uintmax_t)now->st_rdev);
}

static void print_changes(const struct seen *before, const struct seen *after)
{
	for (size_t n = 0; n < NR(watched); n++) {
		if (!before[n].error && after[n].error)
			printf(" -%s", watched[n]);
		else if (!after[n].error)
			print_now(before, watched[n], &after[n].st);
	}
	printf("\n");
}

static void become(unsigned user)
{
	static const gid_t groups[] = {MEMBER};

	if (!user)
		return;
	if (setgroups(NR(groups), groups) < 0 || setgid(user) < 0 || setuid(user) < 0)
		_exit(255);
}

/* In a child: it may be another's, and must not change this one's folder. */
static int run(const struct call *call, unsigned user)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	must(pid, "fork");
	if (pid == 0) {
		become(user);
		flags = call->flags;
		_exit(call->run() < 0 ? errno : 0);
	}
	must(waitpid(pid, &status, 0), "waitpid");
	if (!WIFEXITED(status) || WEXITSTATUS(status) == 255) {
		fprintf(stderr, "%s: the child failed\n", call->name);
		exit(2);
	}
	return WEXITSTATUS(status);
}

/* Who does it, where: the folders' mode and owner, the things' owner. */
struct who {
	const char *name;
	unsigned user, mode, dir_owner, owner, group;
};

static const struct who root = {"root", 0, 0755, 0, 0, 0};

static const struct who others[] = {
	{"owner", USER, 0755, USER, USER, USER},
	{"owner in another group", USER, 0755, USER, USER, FOREIGN},
	{"owner in a setgid folder", USER, 02777, FOREIGN, USER, FOREIGN},
	{"stranger", USER, 0755, 0, 0, 0},
	{"stranger in a group of his", USER, 0777, 0, FOREIGN, MEMBER},
	{"in an open folder", USER, 0777, 0, 0, 0},
	{"in a sticky folder", USER, 01777, 0, 0, 0},
	{"in a sticky folder of another", USER, 01777, FOREIGN, 0, 0},
	{"own in a sticky folder", USER, 01777, 0, USER, USER},
	{"own in a sticky folder of another", USER, 01777, FOREIGN, USER, USER},
	{"in an own sticky folder", USER, 01777, USER, 0, 0},
	{"without search", USER, 0666, 0, USER, USER},
	{"without write", USER, 0555, USER, USER, USER},
};

/* chattr's flags of x and y, and of the folder of x, while a call is made. */
struct chattr {
	struct who who;
	unsigned things, dir;
};

static const struct chattr flagged[] = {
	{{"root, immutable", 0, 0755, 0, 0, 0}, FS_IMMUTABLE_FL, 0},
	{{"owner, immutable", USER, 0755, USER, USER, USER}, FS_IMMUTABLE_FL, 0},
	{{"root, append-only", 0, 0755, 0, 0, 0}, FS_APPEND_FL, 0},
	{{"owner, append-only", USER, 0755, USER, USER, USER}, FS_APPEND_FL, 0},
	{{"root in an immutable folder", 0, 0755, 0, 0, 0}, 0, FS_IMMUTABLE_FL},
	{{"root in an append-only folder", 0, 0755, 0, 0, 0}, 0, FS_APPEND_FL},
	{{"owner in an append-only folder", USER, 0755, USER, USER, USER}, 0, FS_APPEND_FL},
};

static const struct chattr *chattr; /* NULL: none */
static void set_flags(const char *path, unsigned set)
{
	struct stat st;
	int fd, now;

	if (lstat(path, &st) < 0 || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
		return;
	fd = open(path, O_RDONLY);
	must(fd, path);
	must(ioctl(fd, FS_IOC_GETFLAGS, &now), path);
	now = (now & ~(FS_IMMUTABLE_FL | FS_APPEND_FL)) | (int)set;
	must(ioctl(fd, FS_IOC_SETFLAGS, &now), path);
	close(fd);
}

/* What has them cannot have moved. */
static void set_chattr(int on)
{
	if (!chattr)
		return;
	set_flags("a", on ? chattr->dir : 0);
	set_flags("a/x", on ? chattr->things : 0);
	set_flags("b/y", on ? chattr->things : 0);
}

static void give(const char *path, unsigned owner, unsigned group)
{
	struct stat st;

	if ((owner || group) && lstat(path, &st) == 0)
		must(lchown(path, owner, group), path);
}

/* After it has its owner: that would take it away again. */
static void set_id(enum kind kind, const char *path)
{
	if (kind == SETID)
		must(chmod(path, 06777), path);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	return remove(path);
}

static void clear(void)
{
	must(nftw("case", remove_one, 16, FTW_DEPTH | FTW_PHYS) < 0 && errno != ENOENT ? -1 : 0,
	     "remove");
	must(mkdir("case", 0755), "case");
}

/* In a folder that is new: a/x and b/y of some kind. */
static void run_case(const struct call *call, const struct who *who, enum kind from, enum kind to)
{
	struct seen before[NR(watched)], after[NR(watched)];
	int r;

	must(chdir("case"), "case");
	must(mkdir("a", 0755) | mkdir("b", 0755), "a and b");
	make_file("target");
	make(from, "a/x");
	make(to, "b/y");
	give("a/x", who->owner, who->group);
	give("b/y", who->owner, who->group);
	set_id(from, "a/x");
	set_id(to, "b/y");
	give("a", who->dir_owner, who->dir_owner);
	give("b", who->dir_owner, who->dir_owner);
	must(chmod("a", who->mode) | chmod("b", who->mode), "chmod");
	make_old();
	set_chattr(1);
	look(before);
	r = run(call, who->user);
	look(after);
	set_chattr(0);
	printf("%s %s %s: %s:", call->name, kinds[from], kinds[to],
	       r ? strerrorname_np(r) : "done");
	print_changes(before, after);
	must(chdir(".."), "..");
	clear();
}

static void set_paths(const char *from, const char *to)
{
	snprintf(x, sizeof(x), "%s", from);
	snprintf(y, sizeof(y), "%s", to);
}

/* nr_kinds: NR_KINDS, or the first few. */
static void run_one(const char *path, const struct who *who, int nr_kinds)
{
	set_paths(path, "b/y");
	for (size_t c = 0; c < NR(one); c++)
		for (int k = 0; k < nr_kinds; k++) {
			printf("%s, %.40s: ", who->name, path);
			run_case(&one[c], who, (enum kind)k, NONE);
		}
}

static void run_two(const char *from, const char *to, const struct who *who, int nr_kinds)
{
	set_paths(from, to);
	for (size_t c = 0; c < NR(two); c++)
		for (int k = 0; k < nr_kinds; k++)
			for (int l = 0; l < nr_kinds; l++) {
				printf("%s, %.40s to %.40s: ", who->name, from, to);
				run_case(&two[c], who, (enum kind)k, (enum kind)l);
			}
}

static void run_long(size_t name, size_t path)
{
	char text[5000] = "a/";

	memset(text + 2, 'n', name);
	if (path) {
		for (size_t n = 2; n < path; n++)
			text[n] = n % 2 ? '/' : '.';
		text[path] = '\0';
	}
	printf("%zu %zu\n", name, path);
	run_one(text, &root, SOME_KINDS);
}

int main(int argc, char **argv)
{
	static const char *const paths[] = {"a/x/",  "a/x/.",	    "a/x/..", "a/x/in",
					    "a/./x", "a/none/../x", ""};
	static const char *const pairs[][2] = {
		{"a/x", "b/y"},	   {"a/x", "a/x"},    {"a/x/", "b/y/"}, {"a/x", "a/x/in"},
		{"a/x/", "b/new"}, {"a/x", "b/new/"}, {"a/x", "a"},	{"a", "a/x"},
		{"a/x/.", "b/y"},  {"a/x", "b/.."}};

	must(argc == 2 ? chdir(argv[1]) : -1, "matrix FOLDER");
	umask(022);
	clear();
	run_one("a/x", &root, NR_KINDS);
	run_two("a/x", "b/y", &root, NR_KINDS);
	for (size_t n = 0; n < NR(paths); n++)
		run_one(paths[n], &root, SOME_KINDS);
	for (size_t n = 0; n < NR(pairs); n++)
		run_two(pairs[n][0], pairs[n][1], &root, SOME_KINDS);
	for (size_t n = 0; n < NR(others); n++) {
		run_one("a/x", &others[n], NR_KINDS);
		run_two("a/x", "b/y", &others[n], SOME_KINDS);
	}
	run_long(255, 0);
	run_long(256, 0);
	run_long(0, 4095);
	run_long(0, 4096);
	for (size_t n = 0; n < NR(flagged); n++) {
		chattr = &flagged[n];
		run_one("a/x", &chattr->who, SOME_KINDS);
		run_two("a/x", "b/y", &chattr->who, SOME_KINDS);
	}
	return 0;
}
