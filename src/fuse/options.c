/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line of bufs and of the helper of mount(8).  Decides nothing, touches no file. */
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION "0.1.0"

static const char usage_text[] =
	"usage: bufs [-fdhV] [-o option,...] IMAGE-or-DEVICE MOUNTPOINT\n"
	"  -f  stay in the foreground   -d  and print every request\n"
	"  -o  ro, noatime, strictatime, noxattr, allow_other, cache=SIZE, commit=SECONDS,\n"
	"      errors=remount-ro|continue|panic,\n"
	"      threads=N, offset=BYTES, sizelimit=BYTES and those of mount(8); see bufs(8)\n"
	"Unmount with umount(8), or fusermount3 -u.\n";

static bool in(const char *const *list, const char *name)
{
	for (; *list; list++)
		if (!strcmp(*list, name))
			return true;
	return false;
}

/* Whole numbers with K, M, G, T. */
static bool number(const char *text, uint64_t *ret)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *end;
	unsigned long long n;
	unsigned shift = 0;

	if (*text < '0' || *text > '9')
		return false;
	n = strtoull(text, &end, 10);
	if (*end) {
		unit = strchr(units, *end & ~32);
		if (!unit || end[1])
			return false;
		shift = 10 * (unsigned)(unit - units + 1);
	}
	if (n > UINT64_MAX >> 1 >> shift)
		return false;
	*ret = (uint64_t)n << shift;
	return true;
}

static bool take_errors(struct options *o, const char *value)
{
	static const char *const names[] = {
		[FS_ERRORS_STOP] = "remount-ro",
		[FS_ERRORS_CONTINUE] = "continue",
		[FS_ERRORS_PANIC] = "panic",
	};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (value && !strcmp(value, names[i])) {
			o->fs.errors = (enum fs_errors)i;
			return true;
		}
	}
	return false;
}

/* -1: name has no such meaning; 0: the value is bad; 1: taken. */
static int take_value(struct options *o, const char *name, const char *value)
{
	uint64_t n = 0;
	bool good = value && number(value, &n);

	if (!strcmp(name, "errors"))
		return take_errors(o, value);
	if (!strcmp(name, "cache"))
		o->fs.cache_bytes = n;
	else if (!strcmp(name, "commit"))
		o->fs.commit_ms = (unsigned)n * 1000;
	else if (!strcmp(name, "threads"))
		o->threads = (unsigned)n;
	else if (!strcmp(name, "offset"))
		o->offset = n;
	else if (!strcmp(name, "sizelimit"))
		o->sizelimit = n;
	else
		return -1;
	if (!strcmp(name, "threads") && (n < 1 || n > 64))
		return 0;
	if (!strcmp(name, "commit") && n > 86400)
		return 0;
	return good && (n >= 1024 * 1024 || strcmp(name, "cache") != 0);
}

/* False: unknown. */
static bool take_flag(struct options *o, const char *name)
{
	static const char *const kernel[] = {"nosuid", "nodev", "noexec", "suid",    "dev",
					     "exec",   "sync",	"async",  "dirsync", NULL};
	static const char *const ignored[] = {"defaults",   "auto",	     "noauto",
					      "user",	    "users",	     "nouser",
					      "owner",	    "group",	     "nofail",
					      "_netdev",    "nodiratime",    "default_permissions",
					      "silent",	    "loud",	     "diratime",
					      "nomand",	    "nolazytime",    "noiversion",
					      "norelatime", "nostrictatime", NULL};

	if (!strcmp(name, "sync") || !strcmp(name, "async"))
		o->fs.sync = *name == 's';
	if (!strcmp(name, "dirsync"))
		o->fs.dirsync = true;
	if (!strcmp(name, "ro"))
		o->fs.read_only = true;
	else if (!strcmp(name, "noatime"))
		o->fs.atime = FS_ATIME_NEVER;
	else if (!strcmp(name, "relatime"))
		o->fs.atime = FS_ATIME_RELATIVE;
	else if (!strcmp(name, "strictatime"))
		o->fs.atime = FS_ATIME_STRICT;
	else if (!strcmp(name, "allow_other"))
		o->allow_other = true;
	else if (!strcmp(name, "noxattr"))
		o->no_xattr = true;
	else if (!strcmp(name, "allow_root"))
		o->allow_root = true;
	else if (in(kernel, name) && strlen(o->kernel) + strlen(name) + 2 < sizeof(o->kernel))
		strcat(strcat(o->kernel, ","), name);
	else if (!strcmp(name, "rw"))
		o->fs.read_only = false;
	else
		return in(ignored, name) || !strncmp(name, "x-", 2);
	return true;
}

static bool take_one(struct options *o, char *name)
{
	static const char *const not_for_us[] = {"fsname", "subtype", "comment", "uhelper",
						 "helper", "user",    NULL};
	char *value = strchr(name, '=');
	int r;

	if (!strncmp(name, "x-", 2) || !strncmp(name, "X-", 2))
		return true;
	if (value)
		*value++ = '\0';
	if (value && in(not_for_us, name))
		return true;
	if (!strcmp(name, "remount")) {
		fprintf(stderr, "bufs: remount is not possible: unmount and mount again\n");
		return false;
	}
	r = take_value(o, name, value);
	if (r == 1 || (r < 0 && !value && take_flag(o, name)))
		return true;
	if (r == 0)
		fprintf(stderr, "bufs: option %s: bad value '%s'\n", name, value ? value : "");
	else
		fprintf(stderr, "bufs: unknown option '%s'\n", name);
	return false;
}

static bool take_list(struct options *o, char *list)
{
	char *save, *name;

	for (name = strtok_r(list, ",", &save); name; name = strtok_r(NULL, ",", &save))
		if (!take_one(o, name))
			return false;
	return true;
}

/* -1: go on. */
static int take_option(struct options *o, int option)
{
	switch (option) {
	case 'o':
		return take_list(o, optarg) ? -1 : 1;
	case 'r':
		o->fs.read_only = true;
		return -1;
	case 'f':
		*(o->helper ? &o->fake : &o->foreground) = true;
		return -1;
	case 'd':
		o->foreground = o->debug = true;
		return -1;
	case 'V':
		printf("bufs " VERSION "\n");
		return 0;
	case 'h':
		fputs(usage_text, stdout);
		return 0;
	case 's':
	case 'n':
	case 'v':
	case 'w':
	case 't':
	case 'N':
		if (o->helper)
			return -1;
		/* fallthrough */
	default:
		fputs(usage_text, stderr);
		return 1;
	}
}

int options_parse(struct options *o, int argc, char **argv)
{
	int option, r;

	fs_options_init(&o->fs);
	o->fs.panic = abort;
	o->threads = 8;
	while ((option = getopt(argc, argv, o->helper ? "o:rfsnvwt:N:" : "o:rfdVh")) >= 0) {
		r = take_option(o, option);
		if (r >= 0)
			return r;
	}
	if (optind + 2 != argc) {
		fputs(usage_text, stderr);
		return 1;
	}
	o->source = argv[optind];
	o->mountpoint = argv[optind + 1];
	return -1;
}
