/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dump.bufs: say what stands in an image, damaged or not.  Reads only. */
#include "arguments.h"
#include "dump_image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROGRAM "dump.bufs"

#define EXIT_USAGE 2

static const char usage_text[] =
	"usage: " PROGRAM " [--json] IMAGE WHAT...\n"
	"  super | groups | group N | inode N | path /A/B | dir N | extents N | xattrs N |\n"
	"  block N | log\n";

struct topic {
	const char *name;
	int (*plain)(struct image *im, struct json_object **ret);
	int (*number)(struct image *im, uint64_t number, struct json_object **ret);
	int (*text)(struct image *im, const char *text, struct json_object **ret);
};

static const struct topic topics[] = {
	{"super", show_super, NULL, NULL}, {"groups", show_groups, NULL, NULL},
	{"log", show_log, NULL, NULL},	   {"group", NULL, show_group, NULL},
	{"inode", NULL, show_inode, NULL}, {"dir", NULL, show_dir, NULL},
	{"block", NULL, show_block, NULL}, {"extents", NULL, show_extents, NULL},
	{"path", NULL, NULL, show_path},   {"xattrs", NULL, show_xattrs, NULL},
};

static const struct topic *find_topic(const char *name)
{
	for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++)
		if (!strcmp(topics[i].name, name))
			return &topics[i];
	return NULL;
}

static bool complain(const char *word, const char *why)
{
	fprintf(stderr, PROGRAM ": %s: %s\n", word, why);
	return false;
}

/* Are all words something to show?  If not, it has said which. */
static bool words_are_good(int nr, char **words)
{
	for (int i = 0; i < nr; i++) {
		const struct topic *t = find_topic(words[i]);
		uint64_t number;

		if (!t)
			return complain(words[i], "is nothing to show");
		if (t->plain)
			continue;
		if (++i >= nr)
			return complain(t->name, t->text ? "of which path?" : "of which number?");
		if (t->number && !number_parse(words[i], &number))
			return complain(words[i], "is no number");
	}
	return true;
}

static int show(struct image *im, const struct topic *t, const char *argument,
		struct json_object **ret)
{
	uint64_t number = 0;

	if (t->plain)
		return t->plain(im, ret);
	if (t->text)
		return t->text(im, argument, ret);
	number_parse(argument, &number);
	return t->number(im, number, ret);
}

static int show_all(struct image *im, int nr, char **words, bool json)
{
	int failed = 0;

	for (int i = 0; i < nr; i++) {
		const struct topic *t = find_topic(words[i]);
		struct json_object *o = NULL;
		int r;

		if (!t->plain)
			i++;
		r = show(im, t, words[i], &o);
		if (r < 0) {
			fprintf(stderr, PROGRAM ": %s%s%s: %s\n", t->name, t->plain ? "" : " ",
				t->plain ? "" : words[i],
				r == -ERANGE ? "there is no such number" : strerror(-r));
			failed = 1;
		} else if (json) {
			puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY));
		} else {
			print_text(o);
		}
		json_object_put(o);
	}
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, PROGRAM ": the output could not be written\n");
		failed = 1;
	}
	return failed;
}

static const char *reason(int r)
{
	switch (r) {
	case -EMEDIUMTYPE:
		return "no bufs superblock found";
	case -ENOTBLK:
		return "is neither a file nor a block device";
	default:
		return strerror(-r);
	}
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0},
	};
	bool json = false;
	struct image *im;
	int option, r;

	while ((option = getopt_long(argc, argv, "jhV", long_options, NULL)) >= 0) {
		if (option == 'j') {
			json = true;
			continue;
		}
		fputs(option == 'V' ? PROGRAM " " BUFS_VERSION "\n" : usage_text,
		      option == '?' ? stderr : stdout);
		return option == '?' ? EXIT_USAGE : 0;
	}
	if (argc - optind < 2 || !words_are_good(argc - optind - 1, argv + optind + 1)) {
		fputs(usage_text, stderr);
		return EXIT_USAGE;
	}
	im = malloc(sizeof(*im));
	r = im ? image_open(argv[optind], im) : -ENOMEM;
	if (r < 0) {
		fprintf(stderr, PROGRAM ": %s: %s\n", argv[optind], reason(r));
		free(im);
		return 1;
	}
	r = show_all(im, argc - optind - 1, argv + optind + 1, json);
	image_close(im);
	free(im);
	return r;
}
