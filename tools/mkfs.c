/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mkfs.bufs: options, refusals and messages around mkfs_format(). */
#include "arguments.h"
#include "common.h"
#include "mkfs.h"

#include <blkid/blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uuid/uuid.h>

#define PROGRAM "mkfs.bufs"

struct mkfs {
	const char *path;
	struct mkfs_options options;
	uint64_t size; /* 0: that of the file */
	bool force, quiet, discard;
	bool created; /* the file is new: take it away again if this fails */
};

static const char usage_text[] =
	"usage: " PROGRAM " [-fnqV] [-L label] [-U uuid] [-b block-size] [-N inodes]\n"
	"                 [-E log_size=,root_owner=uid:gid,discard,nodiscard,hash_seed=] IMAGE [size]\n"
	"  -f  also over a filesystem or partition table    -n  only say what would be made\n"
	"  size with K, M, G or T: the file is made, or grown to it; sparse\n";

static int fail(const char *what, const char *why)
{
	fprintf(stderr, PROGRAM ": %s: %s\n", what, why);
	return 1;
}

/* An all-ones uid or gid means none to the kernel. */
static bool take_id(const char *text, uint32_t *ret)
{
	uint64_t n;

	if (!number_parse(text, &n) || n >= UINT32_MAX)
		return false;
	*ret = (uint32_t)n;
	return true;
}

static bool take_owner(struct mkfs *m, char *value)
{
	char *gid = strchr(value, ':');
	bool good;

	if (!gid)
		return false;
	*gid = '\0';
	good = take_id(value, &m->options.root_uid) && take_id(gid + 1, &m->options.root_gid);
	*gid = ':';
	return good;
}

/* value: NULL if there is none. */
static bool take_extended(struct mkfs *m, const char *name, char *value)
{
	if (!strcmp(name, "discard") || !strcmp(name, "nodiscard")) {
		m->discard = *name == 'd';
		return !value;
	}
	if (!value)
		return false;
	if (!strcmp(name, "log_size"))
		return number_parse(value, &m->options.log_bytes);
	if (!strcmp(name, "hash_seed"))
		return number_parse(value, &m->options.hash_seed);
	return !strcmp(name, "root_owner") && take_owner(m, value);
}

static bool take_list(struct mkfs *m, char *list)
{
	char *save, *name, *value;

	for (name = strtok_r(list, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
		value = strchr(name, '=');
		if (value)
			*value = '\0';
		if (!take_extended(m, name, value ? value + 1 : NULL)) {
			fprintf(stderr, PROGRAM ": -E %s%s%s: is unknown, or its value is bad\n",
				name, value ? "=" : "", value ? value + 1 : "");
			return false;
		}
	}
	return true;
}

/* NULL, or why text is no block size. */
static const char *take_block_size(struct mkfs *m, const char *text)
{
	uint64_t n;

	if (!number_parse(text, &n) || n < 1024 || n > 65536 || n & (n - 1))
		return "a block size is 1024, 2048, 4096, 8192, 16384, 32768 or 65536";
	m->options.block_bytes = (unsigned)n;
	return NULL;
}

/* NULL, or what is wrong with the option's argument. */
static const char *take_value(struct mkfs *m, int option, const char *text)
{
	switch (option) {
	case 'L':
		m->options.label = text;
		return strlen(text) <= LABEL_MAX ? NULL : "a label has at most 63 bytes";
	case 'U':
		return uuid_parse(text, m->options.uuid) == 0 ? NULL : "is no UUID";
	case 'b':
		return take_block_size(m, text);
	default:
		return number_parse(text, &m->options.nr_inodes) && m->options.nr_inodes
			       ? NULL
			       : "is no number of inodes";
	}
}

/* False: wrong, and said so. */
static bool take_option(struct mkfs *m, int option)
{
	const char *why;

	switch (option) {
	case '?':
		fputs(usage_text, stderr);
		return false;
	case 'f':
		m->force = true;
		return true;
	case 'n':
		m->options.dry_run = true;
		return true;
	case 'q':
		m->quiet = true;
		return true;
	case 'E':
		return take_list(m, optarg);
	default:
		why = take_value(m, option, optarg);
		if (why)
			fprintf(stderr, PROGRAM ": -%c %s: %s\n", option, optarg, why);
		return !why;
	}
}

/* -1: go on. */
static int parse(struct mkfs *m, int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "L:U:b:N:E:fnqVh", standard_options, NULL)) >= 0) {
		if (option == 'V' || option == 'h') {
			fputs(option == 'V' ? PROGRAM " " BUFS_VERSION "\n" : usage_text, stdout);
			return 0;
		}
		if (!take_option(m, option))
			return 1;
	}
	if (optind >= argc || optind + 2 < argc) {
		fputs(usage_text, stderr);
		return 1;
	}
	m->path = argv[optind];
	if (optind + 1 < argc && (!number_parse(argv[optind + 1], &m->size) || m->size == 0))
		return fail(argv[optind + 1], "is no size");
	return -1;
}

/* What is missing is made, if a size is given. */
static int create_file(struct mkfs *m)
{
	int fd;

	if (access(m->path, F_OK) == 0)
		return 0;
	if (errno != ENOENT)
		return fail(m->path, strerror(errno));
	if (m->size == 0)
		return fail(m->path, "does not exist, and no size is given to make it");
	fd = open(m->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return fail(m->path,
			    errno == EEXIST ? "is a link to what does not exist" : strerror(errno));
	close(fd);
	m->created = true;
	return 0;
}

/* Only once it is certain that this file is meant. */
static int grow_file(const struct mkfs *m, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return fail(m->path, strerror(errno));
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size >= m->size)
		return 0;
	return ftruncate(fd, (off_t)m->size) < 0 ? fail(m->path, strerror(errno)) : 0;
}

/* What libblkid sees there, ours included. */
static int refuse_foreign(const struct mkfs *m)
{
	blkid_probe probe = blkid_new_probe_from_filename(m->path);
	const char *type = NULL;
	int r = 0;

	if (!probe)
		return 0;
	blkid_probe_enable_superblocks(probe, 1);
	blkid_probe_enable_partitions(probe, 1);
	if (blkid_do_safeprobe(probe) != 1) {
		if (blkid_probe_lookup_value(probe, "TYPE", &type, NULL) < 0 &&
		    blkid_probe_lookup_value(probe, "PTTYPE", &type, NULL) < 0)
			type = "something";
		fprintf(stderr, PROGRAM ": %s contains %s; use -f to overwrite it\n", m->path,
			type);
		r = 1;
	}
	blkid_free_probe(probe);
	return r;
}

static int refuse_mounted(const struct mkfs *m)
{
	char source[PATH_MAX], dir[PATH_MAX];

	if (!realpath(m->path, source) || !mounted_at(source, dir, sizeof(dir)))
		return 0;
	fprintf(stderr, PROGRAM ": %s is mounted on %s\n", m->path, dir);
	return 1;
}

/* libblkid does not know us. */
static bool has_bufs(const struct mkfs *m)
{
	int fd = open(m->path, O_RDONLY | O_CLOEXEC);
	le32 magic;
	bool found;

	if (fd < 0)
		return false;
	found = pread(fd, &magic, sizeof(magic), 0) == (ssize_t)sizeof(magic) &&
		le32_get(magic) == MAGIC_SUPER;
	close(fd);
	return found;
}

static void print(const struct mkfs *m, const struct geometry *g)
{
	char uuid[37];

	if (m->quiet)
		return;
	uuid_unparse(m->options.uuid, uuid);
	printf("%s: %s%" PRIu64 " blocks of %u bytes, %" PRIu64 " inodes, %u groups\n", m->path,
	       m->options.dry_run ? "would make " : "", g->nr_blocks, g->block_bytes,
	       geo_nr_inodes(g), g->nr_groups);
	printf("%s: log of %u blocks at %" PRIu64 ", uuid %s%s%s\n", m->path, g->log_blocks,
	       g->log_start, uuid, m->options.label ? ", label " : "",
	       m->options.label ? m->options.label : "");
}

static const char *reason(int r)
{
	switch (r) {
	case -ENOSPC:
		return "is too small";
	case -EFBIG:
		return "is too large for this block size";
	case -EINVAL:
		return "so many inodes, or such a log, do not fit";
	case -EBUSY:
		return "is in use";
	case -ENOTBLK:
		return "is neither a file nor a block device";
	case -EROFS:
		return "cannot be written";
	default:
		return strerror(-r);
	}
}

/* First find out whether it can be made at all, so that what fails then is the device. */
static int format_engine(struct mkfs *m, struct bufio_engine *e)
{
	struct mkfs_options plan = m->options;
	struct geometry geo;
	int r;

	m->size -= m->size % e->sector_bytes;
	if (m->size > e->size_bytes)
		return fail(m->path, "is smaller than the size given");
	plan.size_bytes = m->options.size_bytes = m->size;
	plan.dry_run = true;
	r = mkfs_format(e, &plan, &geo);
	if (r < 0)
		return fail(m->path, reason(r));
	/* a hint: what stood there need not be kept by the device */
	if (m->discard && !m->options.dry_run)
		e->ops->discard(e, 0, e->size_bytes & ~(uint64_t)(e->sector_bytes - 1));
	r = mkfs_format(e, &m->options, &geo);
	if (r < 0)
		return fail(m->path, strerror(-r));
	print(m, &geo);
	return 0;
}

static int format(struct mkfs *m, const char *path)
{
	struct bufio_engine_options eo = {.read_only = m->options.dry_run};
	struct bufio_engine *e;
	int r = bufio_engine_open(path, &eo, &e);

	if (r < 0)
		return fail(m->path, reason(r));
	r = format_engine(m, e);
	bufio_engine_destroy(e);
	return r;
}

/* What would be made does not depend on what is there, but for the size of a device. */
static int dry_run(struct mkfs *m)
{
	char path[64];
	struct stat st;
	int fd, r;

	if (m->size == 0 || (stat(m->path, &st) == 0 && S_ISBLK(st.st_mode)))
		return format(m, m->path);
	fd = memfd_create(PROGRAM, MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)m->size) < 0)
		return fail(m->path, strerror(errno));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = format(m, path);
	close(fd);
	return r;
}

static int refuse_contents(const struct mkfs *m)
{
	if (m->force || m->created)
		return 0;
	if (has_bufs(m))
		return fail(m->path, "contains bufs; use -f to overwrite it");
	return refuse_foreign(m);
}

static int run(struct mkfs *m)
{
	struct image_lock lock;
	int r;

	if (m->options.dry_run)
		return dry_run(m);
	if (refuse_mounted(m) || create_file(m))
		return 1;
	r = image_claim(m->path, true, IMAGE_TOOL, NULL, &lock);
	if (r < 0) {
		r = fail(m->path, reason(r));
	} else {
		r = refuse_contents(m);
		if (r == 0)
			r = grow_file(m, lock.fd);
		if (r == 0)
			r = format(m, m->path);
		image_release(&lock);
	}
	if (m->created && r)
		unlink(m->path);
	return r;
}

int main(int argc, char **argv)
{
	/* who makes it can use it: an ordinary user could not even change the root's owner */
	struct mkfs m = {.options = {.root_uid = geteuid(), .root_gid = getegid()}};
	int r;

	/* what is beyond ulimit -f fails, and is told */
	signal(SIGXFSZ, SIG_IGN);
	uuid_generate(m.options.uuid);
	if (getrandom(&m.options.hash_seed, sizeof(m.options.hash_seed), 0) < 0)
		return fail("getrandom", strerror(errno));
	r = parse(&m, argc, argv);
	return r >= 0 ? r : run(&m);
}
