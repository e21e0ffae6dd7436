/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * matrix FOLDER: every call on every kind of thing, by root and by others, and what came of it: the error, and of all that is
 * there what appeared, went and changed, times too.  One line each; matrix.sh compares them with those of a filesystem of the
 * kernel.  matrix -r FOLDER: the same on a filesystem that is read-only, where matrix FOLDER left things for it.  Run as root.
 */
#include "matrix.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

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
static int things_mode = -1;	    /* less than 0: as it was made */

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
static void set_mode(enum kind kind, const char *path)
{
	if (kind == SETID)
		must(chmod(path, 06777), path);
	else if (things_mode >= 0 && kind != NONE && kind != LINK)
		must(chmod(path, (mode_t)things_mode), path);
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
static void prepare(const struct who *who, enum kind from, enum kind to)
{
	must(mkdir("a", 0755) | mkdir("b", 0755), "a and b");
	make_file("target");
	make(from, "a/x");
	make(to, "b/y");
	give("a/x", who->owner, who->group);
	give("b/y", who->owner, who->group);
	set_mode(from, "a/x");
	set_mode(to, "b/y");
	give("a", who->dir_owner, who->dir_owner);
	give("b", who->dir_owner, who->dir_owner);
	must(chmod("a", who->mode) | chmod("b", who->mode), "chmod");
	make_old();
}

static void call_and_print(const struct call *call, unsigned user, enum kind from, enum kind to)
{
	struct seen before[NR_WATCHED], after[NR_WATCHED];
	int r;

	look(before);
	r = run(call, user);
	look(after);
	printf("%s %s %s: %s:", call->name, kinds[from], kinds[to],
	       r ? strerrorname_np(r) : "done");
	print_changes(before, after);
}

static void run_case(const struct call *call, const struct who *who, enum kind from, enum kind to)
{
	must(chdir("case"), "case");
	prepare(who, from, to);
	set_chattr(1);
	call_and_print(call, who->user, from, to);
	set_chattr(0);
	must(chdir(".."), "..");
	clear();
}

static void set_paths(const char *from, const char *to)
{
	snprintf(x, sizeof(x), "%s", from);
	snprintf(y, sizeof(y), "%s", to);
}

/* nr_kinds: NR_KINDS, or the first few. */
static void run_calls(const struct calls *calls, const char *path, const struct who *who,
		      int nr_kinds)
{
	set_paths(path, "b/y");
	for (size_t c = 0; c < calls->nr; c++)
		for (int k = 0; k < nr_kinds; k++) {
			if (things_mode >= 0)
				printf("mode %o, ", (unsigned)things_mode);
			printf("%s, %.40s: ", who->name, path);
			run_case(&calls->call[c], who, (enum kind)k, NONE);
		}
}

static void run_one(const char *path, const struct who *who, int nr_kinds)
{
	run_calls(&one, path, who, nr_kinds);
}

static void run_two(const char *from, const char *to, const struct who *who, int nr_kinds)
{
	set_paths(from, to);
	for (size_t c = 0; c < two.nr; c++)
		for (int k = 0; k < nr_kinds; k++)
			for (int l = 0; l < nr_kinds; l++) {
				printf("%s, %.40s to %.40s: ", who->name, from, to);
				run_case(&two.call[c], who, (enum kind)k, (enum kind)l);
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

/* Each set of rights for one class of users, the opposite one for the others. */
static void run_rights(void)
{
	static const struct {
		struct who who;
		int shift;
	} classes[] = {
		{{"owner", USER, 0777, 0, USER, FOREIGN}, 6},
		{{"member", USER, 0777, 0, FOREIGN, MEMBER}, 3},
		{{"stranger", USER, 0777, 0, FOREIGN, FOREIGN}, 0},
		{{"root", 0, 0777, 0, FOREIGN, FOREIGN}, 0},
	};

	for (size_t n = 0; n < NR(classes); n++)
		for (int bits = 0; bits < 8; bits++) {
			things_mode = bits << classes[n].shift;
			if (classes[n].who.user)
				things_mode |= (7 - bits) * 0111 & ~(7 << classes[n].shift);
			run_calls(&rights, "a/x", &classes[n].who, FIFO + 1);
		}
	things_mode = -1;
}

static void run_makers(void)
{
	static const struct who who[] = {
		{"root", 0, 0755, 0, 0, 0},
		{"owner", USER, 0755, USER, 0, 0},
		{"in a setgid folder", USER, 02777, FOREIGN, 0, 0},
		{"in a setgid folder of a group of his", USER, 02777, MEMBER, 0, 0},
	};

	for (size_t n = 0; n < NR(who); n++)
		run_calls(&makers, "a/x", &who[n], NONE + 1);
}

/* Of a filesystem that is read-only now; what is there stays, so each pair of kinds has one folder. */

static const struct who readers[] = {{"read-only, root", 0, 0755, 0, USER, USER},
				     {"read-only, owner", USER, 0755, USER, USER, USER},
				     {"read-only, stranger", FOREIGN, 0755, USER, USER, USER}};

static void for_read_only(void (*act)(enum kind from, enum kind to))
{
	char folder[30];

	for (int k = 0; k < NR_KINDS; k++)
		for (int l = 0; l <= FULL; l++) {
			snprintf(folder, sizeof(folder), "read-only-%d-%d", k, l);
			must(mkdir(folder, 0755) < 0 && errno != EEXIST && errno != EROFS ? -1 : 0,
			     folder);
			must(chdir(folder), folder);
			act((enum kind)k, (enum kind)l);
			must(chdir(".."), "..");
		}
}

static void prepare_read_only(enum kind from, enum kind to)
{
	prepare(&readers[1], from, to);
}

static void call_all(const struct calls *calls, const struct who *who, enum kind from, enum kind to)
{
	for (size_t c = 0; c < calls->nr; c++) {
		printf("%s: ", who->name);
		call_and_print(&calls->call[c], who->user, from, to);
	}
}

static void run_read_only(enum kind from, enum kind to)
{
	set_paths("a/x", "b/y");
	for (size_t n = 0; n < NR(readers); n++) {
		call_all(&two, &readers[n], from, to);
		if (to == NONE) {
			call_all(&one, &readers[n], from, to);
			call_all(&rights, &readers[n], from, to);
		}
	}
}

static void run_all(void)
{
	static const char *const paths[] = {"a/x/",  "a/x/.",	    "a/x/..", "a/x/in",
					    "a/./x", "a/none/../x", ""};
	static const char *const pairs[][2] = {
		{"a/x", "b/y"},	   {"a/x", "a/x"},    {"a/x/", "b/y/"}, {"a/x", "a/x/in"},
		{"a/x/", "b/new"}, {"a/x", "b/new/"}, {"a/x", "a"},	{"a", "a/x"},
		{"a/x/.", "b/y"},  {"a/x", "b/.."}};

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
	chattr = NULL;
	run_rights();
	run_makers();
	set_paths("a/x", "a/x.twin");
	for (size_t c = 0; c < two.nr; c++)
		run_case(&two.call[c], &root, TWICE, NONE);
	for_read_only(prepare_read_only);
}

int main(int argc, char **argv)
{
	must(argc > 1 ? chdir(argv[argc - 1]) : -1, "matrix [-r] FOLDER");
	umask(022);
	if (argc > 2)
		for_read_only(run_read_only);
	else
		run_all();
	return 0;
}
