/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The calls that write what is dirty, and make it durable. */
#include "client.h"
#include <errno.h>

int bufio_write_dirty_buffers(struct bufio_client *c)
{
	struct write_scope scope = {.end = UINT64_MAX, .wait = WRITE_WAIT_ALL};
	int r = writeback_scope(c, &scope);
	int r1 = flush_device(c, FLUSH_IF_WRITTEN);

	return r ? r : r1;
}

void bufio_write_dirty_buffers_async(struct bufio_client *c)
{
	wake_background(c, BACKGROUND_ALL);
}

int bufio_write_range(struct bufio_client *c, uint64_t block, uint64_t nr)
{
	struct write_scope scope = {.first = block, .end = block + nr, .wait = WRITE_WAIT_ALL};

	return is_range_bad(c, block, nr) ? -ERANGE : writeback_scope(c, &scope);
}

int bufio_write_unpinned(struct bufio_client *c, uint64_t block, uint64_t nr)
{
	struct write_scope scope = {.first = block, .end = block + nr, .wait = WRITE_WAIT_UNPINNED};

	return is_range_bad(c, block, nr) ? -ERANGE : writeback_scope(c, &scope);
}

int bufio_write_durably(struct bufio_client *c, uint64_t block, uint64_t nr)
{
	struct write_scope scope = {
		.first = block,
		.end = block + nr,
		.wait = WRITE_WAIT_UNPINNED,
		.how = WRITE_DURABLE,
	};

	return is_range_bad(c, block, nr) ? -ERANGE : writeback_scope(c, &scope);
}

int bufio_flush_written(struct bufio_client *c)
{
	return flush_device(c, FLUSH_IF_WRITTEN);
}

int bufio_issue_flush(struct bufio_client *c)
{
	return flush_device(c, FLUSH_ALWAYS);
}
