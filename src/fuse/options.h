/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "fs.h"

#include <stdint.h>

struct options {
	const char *source, *mountpoint;
	struct fs_options fs;
	unsigned threads;
	uint64_t offset, sizelimit;
	bool foreground, debug, fake, allow_root, allow_other, helper, no_xattr, strict_open,
		write_back;
	char kernel[512]; /* for the mount: ",nosuid,nodev" */
	char given[1024]; /* all of them, as far as they fit, with a comma behind each list */
};

/*
 * Read the command line of bufs, or of mount.fuse.bufs if helper is set in o.  -1: go on; else
 * the exit code, and what is wrong has been said.
 */
int options_parse(struct options *o, int argc, char **argv);

#endif
