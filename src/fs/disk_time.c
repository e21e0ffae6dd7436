/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Times as the disk has them, FORMAT.md section 1, and the clock. */
#include "disk_time.h"

#define TIME_BIAS	 (INT64_C(1) << 31)
#define TIME_MAX_SECONDS ((INT64_C(1) << 34) - 1)
#define TIME_NS_BITS	 30

struct timespec fs_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now;
}

le64 time_encode(struct timespec t)
{
	if (t.tv_sec < -TIME_BIAS)
		return le64_make(0);
	if (t.tv_sec > TIME_MAX_SECONDS - TIME_BIAS)
		return le64_make((uint64_t)TIME_MAX_SECONDS << TIME_NS_BITS | 999999999);
	return le64_make((uint64_t)(t.tv_sec + TIME_BIAS) << TIME_NS_BITS | (uint64_t)t.tv_nsec);
}

struct timespec time_decode(le64 t)
{
	uint64_t v = le64_get(t);

	return (struct timespec){
		.tv_sec = (time_t)(v >> TIME_NS_BITS) - TIME_BIAS,
		.tv_nsec = (long)(v & ((1u << TIME_NS_BITS) - 1)),
	};
}
