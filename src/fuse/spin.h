/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SPIN_H
#define SPIN_H

/*
 * Waiting for the next request without sleeping.  Where processors idle, the kernel runs the thread that receives on another
 * one than the caller's; to wake it there costs several times what most requests cost, above all in a virtual machine, and
 * the next request mostly comes at once.  Where they are busy, or the caller has other things to do, looking takes the
 * processor from those who have work.  Which of the two it is only shows in whether it pays: each time it does not, a thread
 * lets twice as many chances pass before it tries again.
 *
 * To look is to read a file that does not block, so that what is there has been read already.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* How long to look; what is on its way comes within half of that. */
#define SPIN_NS	      50000u
#define SPIN_MOST_OFF 255u

/* A thread's. */
struct spin {
	unsigned off; /* after the next failure let so many chances pass */
	unsigned nr_to_pass;
};

/* What threads read from. */
struct spin_file {
	int fd;
	bool never;	   /* nobody looks */
	atomic_flag looks; /* a thread does; two would only be in each other's way */
	bool nonblocking;  /* the file is, and stays so as long as looking pays; looks */
};

/* Is this a chance to take? */
bool spin_tries(struct spin *s);

/* It was looked for so long, and a request came or not. */
void spin_learn(struct spin *s, uint64_t looked_ns, bool came);

/* Is there something to read? */
bool is_readable(int fd);

/* Look as long as it pays.  What read(2) says, or -errno; -EAGAIN: it is better to sleep. */
ssize_t spin_look(struct spin *s, struct spin_file *f, void *data, size_t size);

/* Sleep until something comes. */
ssize_t spin_sleep(struct spin_file *f, void *data, size_t size);

/* Look, then sleep until something comes. */
ssize_t spin_read(struct spin *s, struct spin_file *f, void *data, size_t size);

#endif
