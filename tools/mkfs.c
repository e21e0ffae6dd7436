/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mkfs.bufs: options, refusals and messages around mkfs_format(). */
#include "common.h"
#include "mkfs.h"

#include <blkid/blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uuid/uuid.h>

#define PROGRAM "mkfs.bufs"
#define VERSION "0.1.0"

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

static bool number(const char *text, uint64_t *ret)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *end;
	unsigned long long n;
	unsigned shift = 0;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoull(text, &end, 0);
	if (*end) {
		unit = strchr(units, *end & ~32);
		if (!unit || end[1])
			return false;
		shift = 10 * (unsigned)(unit - units + 1);
	}
	if (errno || n > (UINT64_MAX >> 1) >> shift)
		return false;
	*ret = (uint64_t)n << shift;
	return true;
}

static int fail(const char *what, const char *why)
{
	fprintf(stderr, PROGRAM ": %s: %s\n", what, why);
	return 1;
}

static bool take_extended(struct mkfs *m, char *name)
{
	char *value = strchr(name, '=');

	if (value)
		*value++ = '\0';
	if (!strcmp(name, "discard") || !strcmp(name, "nodiscard")) {
		m->discard = *name == 'd';
		return !value;
	}
	if (!value)
		return false;
	if (!strcmp(name, "log_size"))
		return number(value, &m->options.log_bytes);
	if (!strcmp(name, "hash_seed"))
		return number(value, &m->options.hash_seed);
	return !strcmp(name, "root_owner") &&
	       sscanf(value, "%u:%u", &m->options.root_uid, &m->options.root_gid) == 2;
}

static bool take_list(struct mkfs *m, char *list)
{
	char *save, *name;

	for (name = strtok_r(list, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
		if (!take_extended(m, name)) {
			fprintf(stderr, PROGRAM ": bad option -E %s\n", name);
			return false;
		}
	}
	return true;
}

static bool take_label(struct mkfs *m, const char *label)
{
	m->options.label = label;
	return strlen(label) < 64;
}

static bool take_option(struct mkfs *m, int option)
{
	uint64_t n = 0;

	switch (option) {
	case 'L':
		return take_label(m, optarg);
	case 'U':
		return uuid_parse(optarg, m->options.uuid) == 0;
	case 'b':
		if (!number(optarg, &n) || n < 1024 || n > 65536 || n & (n - 1))
			return false;
		m->options.block_bytes = (unsigned)n;
		return true;
	case 'N':
		return number(optarg, &m->options.nr_inodes) && m->options.nr_inodes > 0;
	case 'E':
		return take_list(m, optarg);
	case 'f':
		m->force = true;
		return true;
	case 'n':
		m->options.dry_run = true;
		return true;
	case 'q':
		m->quiet = true;
		return true;
	default:
		return false;
	}
}

/* -1: go on. */
static int parse(struct mkfs *m, int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "L:U:b:N:E:fnqVh")) >= 0) {
		if (option == 'V' || option == 'h') {
			fputs(option == 'V' ? PROGRAM " " VERSION "\n" : usage_text, stdout);
			return 0;
		}
		if (!take_option(m, option)) {
			if (option != '?')
				fprintf(stderr, PROGRAM ": bad value for -%c\n", option);
			fputs(usage_text, stderr);
			return 1;
		}
	}
	if (optind >= argc || optind + 2 < argc) {
		fputs(usage_text, stderr);
		return 1;
	}
	m->path = argv[optind];
	if (optind + 1 < argc && (!number(argv[optind + 1], &m->size) || m->size == 0))
		return fail(argv[optind + 1], "is no size");
	return -1;
}

/* Make or grow the file to the size asked for. */
static int prepare_file(struct mkfs *m)
{
	struct stat st;
	int fd, r = 0;

	if (stat(m->path, &st) < 0) {
		if (errno != ENOENT || m->size == 0)
			return -errno;
		m->created = true;
	} else if (!S_ISREG(st.st_mode) || m->options.dry_run) {
		return 0;
	}
	if (m->size == 0)
		return 0;
	fd = open(m->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0)
		return -errno;
	if ((m->created || (uint64_t)st.st_size < m->size) && ftruncate(fd, (off_t)m->size) < 0)
		r = -errno;
	close(fd);
	return r;
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

static int format(struct mkfs *m)
{
	struct bufio_engine_options eo = {.read_only = m->options.dry_run};
	struct bufio_engine *e;
	struct geometry geo;
	int r = bufio_engine_open(m->path, &eo, &e);

	if (r < 0)
		return fail(m->path, strerror(-r));
	if (m->size > e->size_bytes) {
		bufio_engine_destroy(e);
		return fail(m->path, "is smaller than the size given");
	}
	m->options.size_bytes = m->size;
	/* a hint: what stood there need not be kept by the device */
	if (m->discard && !m->options.dry_run)
		e->ops->discard(e, 0, e->size_bytes & ~(uint64_t)(e->sector_bytes - 1));
	r = mkfs_format(e, &m->options, &geo);
	bufio_engine_destroy(e);
	if (r == -ENOSPC)
		return fail(m->path, "is too small");
	if (r < 0)
		return fail(m->path, strerror(-r));
	print(m, &geo);
	return 0;
}

static int run(struct mkfs *m)
{
	int fd, r;

	if (!m->options.dry_run && refuse_mounted(m))
		return 1;
	r = prepare_file(m);
	if (r < 0)
		return fail(m->path, strerror(-r));
	r = image_claim(m->path, !m->options.dry_run, &fd);
	if (r < 0)
		return fail(m->path, r == -EBUSY ? "is in use" : strerror(-r));
	if (m->force || m->created || m->options.dry_run)
		r = 0;
	else if (has_bufs(m))
		r = fail(m->path, "contains bufs; use -f to overwrite it");
	else
		r = refuse_foreign(m);
	if (r == 0)
		r = format(m);
	close(fd);
	if (m->created && (r || m->options.dry_run))
		unlink(m->path);
	return r;
}

int main(int argc, char **argv)
{
	struct mkfs m = {.discard = false};
	int r;

	uuid_generate(m.options.uuid);
	if (getrandom(&m.options.hash_seed, sizeof(m.options.hash_seed), 0) < 0)
		return fail("getrandom", strerror(errno));
	r = parse(&m, argc, argv);
	return r >= 0 ? r : run(&m);
}
