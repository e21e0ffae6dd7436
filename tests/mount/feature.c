/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* feature IMAGE incompat|ro_compat: an image of a later version, with a feature nobody knows yet. */
#include "fs.h"
#include "open.h"
#include "super.h"

#include <stdio.h>
#include <string.h>

#define UNKNOWN (UINT64_C(1) << 40)

static void add(le64 *word)
{
	*word = le64_make(le64_get(*word) | UNKNOWN);
}

int main(int argc, char **argv)
{
	const struct bufio_engine_options eo = {.read_only = false};
	struct fs_options o;
	struct bufio_engine *e;
	struct fs *fs;
	int r;

	if (argc != 3)
		return 2;
	fs_options_init(&o);
	r = bufio_engine_open(argv[1], &eo, &e);
	if (r == 0)
		r = fs_open(e, &o, &fs);
	if (r == 0) {
		add(strcmp(argv[2], "incompat") == 0 ? &fs->super.incompat : &fs->super.ro_compat);
		r = super_write(fs);
		fs_close(fs);
		bufio_engine_destroy(e);
	}
	if (r < 0)
		fprintf(stderr, "%s: %s\n", argv[1], strerror(-r));
	return r < 0;
}
