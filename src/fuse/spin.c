/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "spin.h"

#include <poll.h>
#include <time.h>

bool spin_tries(struct spin *s)
{
	if (s->nr_to_pass == 0)
		return true;
	s->nr_to_pass--;
	return false;
}

void spin_learn(struct spin *s, uint64_t looked_ns, bool came)
{
	if (came && looked_ns <= SPIN_NS) {
		s->off = 0;
		return;
	}
	/* so late only somebody else's turn makes it: the processor is wanted */
	s->off = looked_ns > 4 * (uint64_t)SPIN_NS ? SPIN_MOST_OFF : 2 * s->off + 1;
	if (s->off > SPIN_MOST_OFF)
		s->off = SPIN_MOST_OFF;
	s->nr_to_pass = s->off;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

bool is_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) > 0;
}

void spin_until_readable(struct spin *s, int fd)
{
	uint64_t begin_ns, looked_ns = 0;
	bool came;

	if (!spin_tries(s) || is_readable(fd))
		return;
	begin_ns = now_ns();
	do {
		came = is_readable(fd);
		looked_ns = now_ns() - begin_ns;
	} while (!came && looked_ns < SPIN_NS);
	spin_learn(s, looked_ns, came);
}
