/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse_raw.h"

#include <unistd.h>

/* libfuse would answer ENOSYS, which the kernel takes for success, and never asks again */
#define OPCODE_SYNCFS 50u

void raw_answer(int fd, uint64_t unique, int r)
{
	struct fuse_out_header out = {.len = sizeof(out), .error = r, .unique = unique};
	/* fails only when the request or the mount is gone */
	ssize_t n = write(fd, &out, sizeof(out));

	(void)n;
}

bool raw_request(struct front *f, int fd, const struct fuse_in_header *in)
{
	switch (in->opcode) {
	case OPCODE_SYNCFS:
		raw_answer(fd, in->unique, fs_sync(f->fs));
		return true;
	default:
		return false;
	}
}
