/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pread and pwrite: submit() does the transfers one after the other in the calling thread.
 * The fallback where libaio or O_DIRECT are not to be had, and the reference that the aio
 * engine is tested against.  Calls engine_file.c.
 */
#include <errno.h>
#include <stdlib.h>
#include "engine_file.h"

static int sync_transfer(struct bufio_engine *e, struct bufio_io *io)
{
	struct engine_file *f = (struct engine_file *)e;
	int r;

	r = engine_file_check(f, io);
	return r ? r : engine_file_transfer(f, io, 0);
}

static void sync_submit(struct bufio_engine *e, struct bufio_io *const *ios, unsigned nr)
{
	unsigned i;

	for (i = 0; i < nr; i++)
		ios[i]->done(ios[i], sync_transfer(e, ios[i]));
}

static void sync_destroy(struct bufio_engine *e)
{
	engine_file_finish((struct engine_file *)e);
	free(e);
}

static const struct bufio_engine_ops sync_ops = {
	.submit = sync_submit,
	.transfer = sync_transfer,
	.flush = engine_file_flush,
	.discard = engine_file_discard,
	.zero = engine_file_zero,
	.destroy = sync_destroy,
};

int engine_sync_create(const struct engine_file_config *config, struct bufio_engine **ret_engine)
{
	struct engine_file *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	engine_file_init(f, config, &sync_ops, "sync");
	*ret_engine = &f->head;
	return 0;
}
