/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * crash_open BASE LOG DIR NAME COMMAND: build each image that a power cut may leave, out of an image and the log of what was
 * written to it (recorder.c), and see what a program makes of its files.
 *
 * In each image check_fs() must find nothing, before and after the replay.  Then all its files are put into DIR,
 * and COMMAND is run in it: it must succeed and print a number not below the last mark ahead of the cut.
 * Images with the same files need it once.
 */
#include "crash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "format.h"
#include "fs.h"
#include "fsck.h"
#include "record_file.h"

/* What COMMAND said of files with this hash. */
struct verdict {
	uint64_t hash;
	unsigned long long number;
};

struct job {
	const char *dir, *command;
	struct crash *crash;
	struct verdict *verdicts;
	size_t nr_verdicts;
	unsigned long long nr_states;
};

static void fail(const struct job *j, const char *what, int r)
{
	printf("crash: violation: %s%s%s\n", what, r ? ": " : "", r ? strerror(-r) : "");
	fflush(stdout);
	if (j->crash)
		crash_print(j->crash, stderr);
	exit(1);
}

/* Visiting all files */

typedef void visit(void *context, const char *path, const struct fs_attr *a, const void *data);

struct names {
	char (*name)[256];
	unsigned nr;
};

static int take_name(void *context, const struct fs_dirent *d)
{
	struct names *n = context;

	if (!strcmp(d->name, ".") || !strcmp(d->name, ".."))
		return 0;
	n->name = realloc(n->name, (n->nr + 1) * sizeof(*n->name));
	if (!n->name)
		return -ENOMEM;
	snprintf(n->name[n->nr++], sizeof(*n->name), "%s", d->name);
	return 0;
}

static int visit_file(struct fs *fs, const struct fs_attr *a, const char *path, visit *v,
		      void *context)
{
	char *data = malloc(a->size + 1);
	ssize_t n = 0;

	if (!data)
		return -ENOMEM;
	if (S_ISREG(a->mode))
		n = fs_read(fs, a->ino, 0, data, a->size);
	if (n >= 0 && S_ISREG(a->mode) && (uint64_t)n != a->size)
		n = -EIO;
	if (n >= 0)
		v(context, path, a, data);
	free(data);
	return n < 0 ? (int)n : 0;
}

static int visit_dir(struct fs *fs, uint64_t dir, const char *path, visit *v, void *context)
{
	struct names names = {.nr = 0};
	char sub[4096];
	struct fs_attr a;
	int r;

	r = fs_readdir(fs, dir, 0, take_name, &names);
	for (unsigned i = 0; i < names.nr && r == 0; i++) {
		r = fs_lookup(fs, dir, names.name[i], &a);
		if (r < 0)
			break;
		snprintf(sub, sizeof(sub), "%s/%s", path, names.name[i]);
		r = visit_file(fs, &a, sub, v, context);
		if (r == 0 && S_ISDIR(a.mode))
			r = visit_dir(fs, a.ino, sub, v, context);
		fs_forget(fs, a.ino, 1);
	}
	free(names.name);
	return r;
}

static void hash_file(void *context, const char *path, const struct fs_attr *a, const void *data)
{
	XXH3_state_t *state = context;

	XXH3_64bits_update(state, path, strlen(path) + 1);
	XXH3_64bits_update(state, &a->mode, sizeof(a->mode));
	XXH3_64bits_update(state, &a->size, sizeof(a->size));
	if (S_ISREG(a->mode))
		XXH3_64bits_update(state, data, a->size);
}

static void put_file(void *context, const char *path, const struct fs_attr *a, const void *data)
{
	const struct job *j = context;
	char full[8192];
	int fd, r = 0;

	snprintf(full, sizeof(full), "%s%s", j->dir, path);
	if (S_ISDIR(a->mode)) {
		r = mkdir(full, 0755);
	} else if (S_ISREG(a->mode)) {
		fd = open(full, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, a->mode & 07777);
		if (fd < 0 || write(fd, data, a->size) != (ssize_t)a->size)
			r = -1;
		close(fd);
	} else {
		fail(j, "a file of a type that was not made", 0);
	}
	if (r < 0)
		fail(j, full, -errno);
}

/* The program's opinion */

static void empty_dir(const struct job *j)
{
	char command[4200];

	snprintf(command, sizeof(command), "rm -rf -- '%s' && mkdir '%s'", j->dir, j->dir);
	if (system(command) != 0)
		fail(j, "the folder cannot be emptied", 0);
}

static unsigned long long ask(struct job *j, struct fs *fs)
{
	unsigned long long number = 0;
	FILE *f;
	int r;

	empty_dir(j);
	r = visit_dir(fs, INODE_ROOT, "", put_file, j);
	if (r < 0)
		fail(j, "the files cannot be read", r);
	if (chdir(j->dir) < 0)
		fail(j, j->dir, -errno);
	f = popen(j->command, "re");
	if (!f || fscanf(f, "%llu", &number) != 1 || pclose(f) != 0)
		fail(j, "the command found fault with it", 0);
	return number;
}

static unsigned long long judge(struct job *j, struct fs *fs)
{
	XXH3_state_t *state = XXH3_createState();
	uint64_t hash;
	int r;

	XXH3_64bits_reset(state);
	r = visit_dir(fs, INODE_ROOT, "", hash_file, state);
	if (r < 0)
		fail(j, "the files cannot be read", r);
	hash = XXH3_64bits_digest(state);
	XXH3_freeState(state);
	for (size_t i = 0; i < j->nr_verdicts; i++)
		if (j->verdicts[i].hash == hash)
			return j->verdicts[i].number;
	j->verdicts = realloc(j->verdicts, (j->nr_verdicts + 1) * sizeof(*j->verdicts));
	if (!j->verdicts)
		fail(j, "no memory", 0);
	j->verdicts[j->nr_verdicts] = (struct verdict){hash, ask(j, fs)};
	return j->verdicts[j->nr_verdicts++].number;
}

/* One image */

static void check(const struct job *j, const char *when)
{
	const struct check_options o = {.mode = CHECK_REPORT, .cache_bytes = 4 << 20};
	struct check_result result;
	int r = check_fs(crash_image(j->crash), &o, &result);

	if (r < 0 || result.problems)
		fail(j, when, r);
}

static void try_image(struct job *j)
{
	struct fs_options o;
	struct fs *fs;
	int r;

	fs_options_init(&o);
	o.commit_ms = 0;
	o.cache_bytes = 4 << 20;
	check(j, "the check before the replay found something");
	r = fs_mount(crash_image(j->crash), &o, &fs);
	if (r < 0)
		fail(j, "it cannot be mounted", r);
	if (judge(j, fs) < crash_mark(j->crash))
		fail(j, "something that was acknowledged is gone", 0);
	r = fs_unmount(fs);
	if (r < 0)
		fail(j, "it cannot be unmounted", r);
	check(j, "the check at the end found something");
	j->nr_states++;
}

/* What there was before */

static struct bufio_engine *load_image(const char *path)
{
	static char data[1 << 16];
	struct bufio_engine *mem;
	uint64_t at = 0;
	struct stat st;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		return NULL;
	if (bufio_engine_mem_create((uint64_t)st.st_size, 512, &mem) < 0)
		return NULL;
	while ((n = read(fd, data, sizeof(data))) > 0) {
		if (bufio_engine_mem_poke(mem, at, data, (size_t)n) < 0)
			return NULL;
		at += (uint64_t)n;
	}
	close(fd);
	return n == 0 && at == (uint64_t)st.st_size ? mem : NULL;
}

static void try_all(struct job *j, const struct record_log *log, struct bufio_engine *base)
{
	struct crash_options o;

	crash_options_init(&o);
	if (!getenv("CRASH_LONG")) {
		o.most_exhaustive = 4;
		o.nr_random = 4;
	}
	crash_create_from((const struct bufio_record_entry *const *)log->entries, log->nr, base, &o,
			  &j->crash);
	while (crash_next_point(j->crash))
		while (crash_next_image(j->crash))
			try_image(j);
	crash_destroy(j->crash);
}

int main(int argc, char **argv)
{
	struct bufio_engine *base;
	struct record_log log;
	struct job j = {0};
	FILE *f;
	int r;

	if (argc != 6) {
		fprintf(stderr, "usage: crash_open BASE LOG DIR NAME COMMAND\n");
		return 2;
	}
	base = load_image(argv[1]);
	f = fopen(argv[2], "re");
	if (!base || !f) {
		perror(base ? argv[2] : argv[1]);
		return 2;
	}
	r = record_load(f, &log);
	fclose(f);
	if (r < 0)
		fail(&j, argv[2], r);
	j.dir = argv[3];
	j.command = argv[5];
	try_all(&j, &log, base);
	printf("crash: %llu states of 1 programs, with %zu different trees: %s\n", j.nr_states,
	       j.nr_verdicts, argv[4]);
	record_log_finish(&log);
	free(j.verdicts);
	return 0;
}
