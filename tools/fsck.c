/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fsck.bufs: options, questions and messages around check_fs().  Finds nothing out by itself but
 * whether the image is clean.
 */
#include "common.h"
#include "disk_time.h"
#include "format.h"
#include "fsck.h"
#include "super.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM "fsck.bufs"

/* fsck(8) */
#define EXIT_REPAIRED	 1
#define EXIT_ERRORS_LEFT 4
#define EXIT_OPERATIONAL 8
#define EXIT_USAGE	 16
#define EXIT_CANCELLED	 32

struct fsck {
	const char *path;
	struct check_options options;
	bool force, progress, verbose, quiet, mode_given;
	unsigned last_pass;
};

static const char usage_text[] =
	"usage: " PROGRAM " [-n|-p|-a|-y] [-f] [-C] [-b copy|first] [-v] [-q] [-V] IMAGE\n"
	"  -n  change nothing          -p, -a  repair what is safe, ask nothing\n"
	"  -y  repair everything       -f      check even if the image is clean\n"
	"  -C  show progress           -b      use this superblock\n"
	"  -v  say more                -q      problems only\n"
	"  -V  print the version\n";

static int ask(void *context, const struct check_problem *p)
{
	char line[32];

	fprintf(stderr, "%s\n  mend it? [y/N] ", p->text);
	if (!fgets(line, sizeof(line), stdin)) {
		fprintf(stderr, "\n" PROGRAM ": cancelled\n");
		return 0;
	}
	return line[0] == 'y' || line[0] == 'Y';
}

static void print_problem(void *context, const struct check_problem *p)
{
	const struct fsck *f = context;

	if (f->verbose)
		printf("[%s] ", p->code);
	printf("%s%s\n", p->text,
	       f->options.mode == CHECK_REPORT ? ""
	       : p->repaired		       ? ": mended"
					       : ": NOT MENDED");
}

static void print_progress(void *context, unsigned pass, uint64_t done, uint64_t total)
{
	struct fsck *f = context;

	fprintf(stderr, "\rpass %u: %3u%%", pass, total ? (unsigned)(done * 100 / total) : 100);
	if (pass != f->last_pass)
		fflush(stderr);
	f->last_pass = pass;
}

static int usage(void)
{
	fputs(usage_text, stderr);
	return EXIT_USAGE;
}

static bool set_mode(struct fsck *f, enum check_mode mode)
{
	if (f->mode_given && f->options.mode != mode) {
		fprintf(stderr, PROGRAM ": -n, -p and -y exclude each other\n");
		return false;
	}
	f->options.mode = mode;
	f->mode_given = true;
	return true;
}

static bool set_super(struct fsck *f, const char *which)
{
	if (!strcmp(which, "copy"))
		f->options.super = CHECK_SUPER_COPY;
	else if (!strcmp(which, "first"))
		f->options.super = CHECK_SUPER_FIRST;
	else
		fprintf(stderr, PROGRAM ": -b %s: is neither copy nor first\n", which);
	return f->options.super != CHECK_SUPER_BEST;
}

/* False: usage. */
static bool take_option(struct fsck *f, int option)
{
	switch (option) {
	case 'n':
		return set_mode(f, CHECK_REPORT);
	case 'p':
	case 'a':
		return set_mode(f, CHECK_PREEN);
	case 'y':
		return set_mode(f, CHECK_REPAIR);
	case 'f':
		f->force = true;
		return true;
	case 'C':
		f->progress = true;
		return true;
	case 'b':
		return set_super(f, optarg);
	case 'v':
		f->verbose = true;
		return true;
	case 'q':
		f->quiet = true;
		return true;
	default:
		return false;
	}
}

/* -1: go on; else the exit code. */
static int parse(struct fsck *f, int argc, char **argv)
{
	static const struct option long_options[] = {
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{"force", no_argument, NULL, 'f'},
		{"quiet", no_argument, NULL, 'q'},
		{"verbose", no_argument, NULL, 'v'},
		{"superblock", required_argument, NULL, 'b'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "npayfCb:vqVh", long_options, NULL)) >= 0) {
		if (option == 'V') {
			printf(PROGRAM " " BUFS_VERSION "\n");
			return 0;
		}
		if (option == 'h') {
			fputs(usage_text, stdout);
			return 0;
		}
		if (!take_option(f, option))
			return usage();
	}
	if (optind + 1 != argc)
		return usage();
	f->path = argv[optind];
	return -1;
}

static const char *reason(int r)
{
	switch (r) {
	case -EMEDIUMTYPE:
		return "no bufs superblock found";
	case -EPROTONOSUPPORT:
		return "has features this version does not know, or a log to be replayed";
	case -EFBIG:
		return "the device is smaller than the filesystem, or ulimit -f is";
	case -EBUSY:
		return "is in use (mounted?)";
	case -ENOTBLK:
		return "is neither a file nor a block device";
	case -EROFS:
		return "cannot be written; use -n";
	case -EUCLEAN:
		return "the superblock contradicts itself";
	default:
		return strerror(-r);
	}
}

static int fail(const struct fsck *f, int r)
{
	fprintf(stderr, PROGRAM ": %s: %s\n", f->path, reason(r));
	return EXIT_OPERATIONAL;
}

/* Without a mode: questions on a terminal. */
static int choose_mode(struct fsck *f)
{
	if (f->mode_given)
		return -1;
	if (access(f->path, R_OK) < 0)
		return fail(f, -errno);
	if (!isatty(STDIN_FILENO)) {
		fprintf(stderr, PROGRAM ": %s: no terminal to ask on; use -n, -p or -y\n", f->path);
		return EXIT_OPERATIONAL;
	}
	f->options.mode = CHECK_REPAIR;
	f->options.approve = ask;
	return -1;
}

static bool is_clean(struct bufio_engine *e)
{
	struct disk_super s;
	struct geometry geo;
	bool copy_bad;

	return super_read(e, &s, &copy_bad) == 0 && !copy_bad && super_decode(&s, &geo) == 0 &&
	       le32_get(s.state) == SUPER_CLEAN;
}

static void print_summary(const struct fsck *f, const struct check_result *result)
{
	if (f->quiet)
		return;
	printf("%s: %" PRIu64 " files, %" PRIu64 " directories, %" PRIu64 " symlinks, %" PRIu64
	       " others; %" PRIu64 " blocks in use\n",
	       f->path, result->files, result->dirs, result->symlinks, result->others,
	       result->used_blocks);
	if (f->verbose)
		printf("%s: %" PRIu64 " inodes in use, %" PRIu64 " files in more than one piece\n",
		       f->path, result->used_inodes, result->fragmented_files);
	if (result->problems == 0)
		printf("%s: clean\n", f->path);
	else
		printf("%s: %" PRIu64 " problems, %" PRIu64 " mended\n", f->path, result->problems,
		       result->repaired);
}

static int check(struct fsck *f, struct bufio_engine *e)
{
	struct check_result result;
	int r;

	if (!f->force && f->options.super == CHECK_SUPER_BEST && is_clean(e)) {
		if (!f->quiet)
			printf("%s: clean\n", f->path);
		return 0;
	}
	r = check_fs(e, &f->options, &result);
	if (f->progress)
		fprintf(stderr, "\r%20s\r", "");
	if (r < 0)
		return fail(f, r);
	print_summary(f, &result);
	if (result.problems != result.repaired)
		return EXIT_ERRORS_LEFT;
	return result.repaired ? EXIT_REPAIRED : 0;
}

/* -n looks at a mounted image too; what it says then may be about changes half made. */
static int claim(const struct fsck *f, struct image_lock *ret_lock)
{
	bool write = f->options.mode != CHECK_REPORT;
	int r = image_claim(f->path, write, IMAGE_TOOL, NULL, ret_lock);

	if (r != -EBUSY || write)
		return r;
	fprintf(stderr, PROGRAM ": %s: warning: in use; what is found may be wrong\n", f->path);
	*ret_lock = (struct image_lock){-1, -1, -1};
	return 0;
}

static void print_error(const char *which, const struct disk_error *d)
{
	time_t time = time_decode(d->time).tv_sec;
	char date[40] = "at an unknown time", function[sizeof(d->function) + 1];
	struct tm tm;

	if (gmtime_r(&time, &tm))
		strftime(date, sizeof(date), "%F %T UTC", &tm);
	snprintf(function, sizeof(function), "%.*s", (int)sizeof(d->function),
		 (const char *)d->function);
	/* the image may have anything there */
	for (char *p = function; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	printf("  %s: %s, %s, in %s, inode %" PRIu64 ", block %" PRIu64 "\n", which, date,
	       strerror((int)(le32_get(d->error) & 0xffff)), function, le64_get(d->ino),
	       le64_get(d->block));
}

/* What went wrong while it was mounted; a check that mends all forgets it. */
static void print_recorded(const struct fsck *f, struct bufio_engine *e)
{
	struct disk_super d;
	bool copy_bad;

	if (super_read(e, &d, &copy_bad) < 0 || !le32_get(d.error_count))
		return;
	printf("%s: %" PRIu32 " errors were recorded while it was mounted\n", f->path,
	       le32_get(d.error_count));
	print_error("first", &d.first_error);
	print_error("last", &d.last_error);
}

static int run(struct fsck *f)
{
	struct bufio_engine_options o = {.read_only = f->options.mode == CHECK_REPORT};
	struct image_lock lock;
	struct bufio_engine *e;
	int r;

	r = claim(f, &lock);
	if (r < 0)
		return fail(f, r);
	r = bufio_engine_open(f->path, &o, &e);
	if (r < 0) {
		r = fail(f, r);
	} else {
		print_recorded(f, e);
		r = check(f, e);
		bufio_engine_destroy(e);
	}
	image_release(&lock);
	return r;
}

/* Whatever was written stands, and the image is marked not clean. */
static void cancel(int signal)
{
	_exit(EXIT_CANCELLED);
}

int main(int argc, char **argv)
{
	struct fsck f = {.options.mode = CHECK_REPORT};
	int r = parse(&f, argc, argv);

	if (r >= 0)
		return r;
	r = choose_mode(&f);
	if (r >= 0)
		return r;
	signal(SIGINT, cancel);
	signal(SIGTERM, cancel);
	/* what is beyond ulimit -f fails, and is told */
	signal(SIGXFSZ, SIG_IGN);
	f.options.context = &f;
	f.options.problem = print_problem;
	if (f.progress)
		f.options.progress = print_progress;
	return run(&f);
}
