/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FS_DISK_TIME_H
#define FS_DISK_TIME_H

#include "format.h"

#include <time.h>

struct timespec fs_now(void);
le64 time_encode(struct timespec t); /* what lies outside the range becomes its nearer end */
struct timespec time_decode(le64 t);

#endif
