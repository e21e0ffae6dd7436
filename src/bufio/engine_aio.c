/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include "engine_file.h"

int engine_aio_create(const struct engine_file_config *config, unsigned queue_depth,
		      struct bufio_engine **ret_engine)
{
	return -ENOSYS;
}
