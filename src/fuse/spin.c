/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "spin.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

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

static void set_nonblocking(struct spin_file *f, bool on)
{
	int flags;

	if (f->nonblocking == on)
		return;
	flags = fcntl(f->fd, F_GETFL);
	if (fcntl(f->fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) == 0)
		f->nonblocking = on;
}

static ssize_t read_once(const struct spin_file *f, void *data, size_t size)
{
	ssize_t n = read(f->fd, data, size);

	return n < 0 ? -errno : n;
}

/* The file does not block. */
static ssize_t read_again(struct spin *s, const struct spin_file *f, void *data, size_t size)
{
	uint64_t begin_ns, looked_ns;
	ssize_t n = read_once(f, data, size);

	if (n != -EAGAIN)
		return n;
	begin_ns = now_ns();
	do {
		n = read_once(f, data, size);
		looked_ns = now_ns() - begin_ns;
	} while (n == -EAGAIN && looked_ns < SPIN_NS);
	spin_learn(s, looked_ns, n != -EAGAIN);
	return n;
}

ssize_t spin_look(struct spin *s, struct spin_file *f, void *data, size_t size)
{
	ssize_t n = -EAGAIN;

	if (f->never || atomic_flag_test_and_set(&f->looks))
		return n;
	if (spin_tries(s)) {
		set_nonblocking(f, true);
		n = f->nonblocking ? read_again(s, f, data, size) : n;
	}
	if (n == -EAGAIN)
		set_nonblocking(f, false);
	atomic_flag_clear(&f->looks);
	return n;
}

ssize_t spin_sleep(struct spin_file *f, void *data, size_t size)
{
	struct pollfd p = {.fd = f->fd, .events = POLLIN};
	ssize_t n = read_once(f, data, size);

	/* it does not block while another thread looks */
	while (n == -EAGAIN) {
		poll(&p, 1, -1);
		n = read_once(f, data, size);
	}
	return n;
}

ssize_t spin_read(struct spin *s, struct spin_file *f, void *data, size_t size)
{
	ssize_t n = spin_look(s, f, data, size);

	return n == -EAGAIN ? spin_sleep(f, data, size) : n;
}
