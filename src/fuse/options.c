/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line of bufs and of the helper of mount(8).  Decides nothing, touches no file. */
#include "options.h"
#include "arguments.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage_text[] =
	"usage: bufs [-fdrhV] [-o option,...] IMAGE-or-DEVICE MOUNTPOINT\n"
	"  -f  stay in the foreground   -d  and print every request   -r  read-only\n"
	"  -o  ro, noatime, nodiratime, strictatime, lazytime, sync, dirsync, noxattr, strictopen,\n"
	"      writeback, allow_other, allow_root, cache=SIZE, commit=SECONDS, threads=N,\n"
	"      errors=remount-ro|continue|panic, offset=BYTES, sizelimit=BYTES and those of mount(8);\n"
	"      see bufs(8)\n"
	"Unmount with umount(8), or fusermount3 -u.\n";

static const char helper_usage_text[] =
	"usage: mount.fuse.bufs IMAGE-or-DEVICE MOUNTPOINT [-fnrsvw] [-o option,...] [-t type]\n"
	"                       [-N namespace]\n"
	"  -f  mount nothing, look at the arguments only   -r  read-only\n"
	"  -o  those of bufs, those of mount(8), and remount; see mount.fuse.bufs(8)\n";

static const char *usage_of(const struct options *o)
{
	return o->helper ? helper_usage_text : usage_text;
}

static bool in(const char *const *list, const char *name)
{
	for (; *list; list++)
		if (!strcmp(*list, name))
			return true;
	return false;
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
	bool good = value && number_parse(value, &n);

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

/* False: it is none. */
static bool take_switch(struct options *o, const char *name)
{
	static const struct {
		const char *name;
		size_t offset;
		bool value;
	} switches[] = {
		{"ro", offsetof(struct options, fs.read_only), true},
		{"rw", offsetof(struct options, fs.read_only), false},
		{"sync", offsetof(struct options, fs.sync), true},
		{"async", offsetof(struct options, fs.sync), false},
		{"dirsync", offsetof(struct options, fs.dirsync), true},
		{"nodiratime", offsetof(struct options, fs.nodiratime), true},
		{"diratime", offsetof(struct options, fs.nodiratime), false},
		{"lazytime", offsetof(struct options, fs.lazytime), true},
		{"nolazytime", offsetof(struct options, fs.lazytime), false},
		{"allow_other", offsetof(struct options, allow_other), true},
		{"allow_root", offsetof(struct options, allow_root), true},
		{"noxattr", offsetof(struct options, no_xattr), true},
		{"strictopen", offsetof(struct options, strict_open), true},
		{"writeback", offsetof(struct options, write_back), true},
	};

	for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++) {
		if (!strcmp(name, switches[i].name)) {
			*(bool *)((char *)o + switches[i].offset) = switches[i].value;
			return true;
		}
	}
	return false;
}

static bool take_atime(struct options *o, const char *name)
{
	static const struct {
		const char *name;
		enum fs_atime atime;
	} modes[] = {
		{"noatime", FS_ATIME_NEVER},	  {"atime", FS_ATIME_RELATIVE},
		{"relatime", FS_ATIME_RELATIVE},  {"norelatime", FS_ATIME_RELATIVE},
		{"strictatime", FS_ATIME_STRICT}, {"nostrictatime", FS_ATIME_RELATIVE},
	};

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (!strcmp(name, modes[i].name)) {
			o->fs.atime = modes[i].atime;
			return true;
		}
	}
	return false;
}

/* False: unknown. */
static bool take_flag(struct options *o, const char *name)
{
	static const char *const kernel[] = {"nosuid", "nodev", "noexec", "suid",    "dev",
					     "exec",   "sync",	"async",  "dirsync", NULL};
	static const char *const ignored[] = {
		"defaults", "auto",  "noauto", "user",	     "users",
		"nouser",   "owner", "group",  "nofail",     "_netdev",
		"silent",   "loud",  "nomand", "noiversion", "default_permissions",
		NULL};
	bool known = take_switch(o, name) || take_atime(o, name) || in(ignored, name);

	if (!in(kernel, name))
		return known;
	if (strlen(o->kernel) + strlen(name) + 2 >= sizeof(o->kernel))
		return false;
	strcat(strcat(o->kernel, ","), name);
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
	r = take_value(o, name, value);
	if (r == 1 || (r < 0 && !value && take_flag(o, name)))
		return true;
	if (r == 0)
		fprintf(stderr, "bufs: option %s: bad value '%s'\n", name, value ? value : "");
	else
		fprintf(stderr, "bufs: unknown option '%s'\n", name);
	return false;
}

static void keep_list(struct options *o, const char *list)
{
	size_t used = strlen(o->given);

	snprintf(o->given + used, sizeof(o->given) - used, "%s,", list);
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
		keep_list(o, optarg);
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
		printf("bufs " BUFS_VERSION "\n");
		return 0;
	case 'h':
		fputs(usage_of(o), stdout);
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
		fputs(usage_of(o), stderr);
		return 1;
	}
}

int options_parse(struct options *o, int argc, char **argv)
{
	const char *letters = o->helper ? "o:rfsnvwt:N:" : "o:rfdVh";
	int option, r;

	fs_options_init(&o->fs);
	o->fs.panic = abort;
	o->threads = 8;
	while ((option = getopt_long(argc, argv, letters, standard_options, NULL)) >= 0) {
		r = take_option(o, option);
		if (r >= 0)
			return r;
	}
	if (optind + 2 != argc) {
		fputs(usage_of(o), stderr);
		return 1;
	}
	o->source = argv[optind];
	o->mountpoint = argv[optind + 1];
	return -1;
}
