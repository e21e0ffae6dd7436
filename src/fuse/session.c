/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The receive loop.  Our own, because libfuse 3.14 does not know some requests (fuse_raw.c), forgets flags in its
 * INIT reply, and because a DESTROY must be answered only when all is on the disk: umount(8)
 * of a fuseblk mount waits for it.
 */
#include "session.h"

#include "fuse_raw.h"
#include "fuse_read.h"
#include "fuse_write.h"
#include "lead.h"
#include "spin.h"

#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

struct loop {
	struct fuse_session *se;
	struct front *front;
	struct request_memory *memory;
	pthread_rwlock_t gate; /* shared: a request runs; exclusive: the end of front->fs */
	int result;	       /* of fs_unmount(); gate */
	const char *mountpoint;
	struct lead lead;
	unsigned nr_processors;
	struct spin_file requests;
};

#if FUSE_VERSION < FUSE_MAKE_VERSION(3, 17)
#define JOINED_MAX 256u /* bytes of all replies but contents and listings */

/* The kernel pins each piece of memory by itself, which takes longer than to copy so little. */
static ssize_t write_joined(int fd, const struct iovec *iov)
{
	char all[sizeof(struct fuse_out_header) + JOINED_MAX];

	memcpy(all, iov[0].iov_base, iov[0].iov_len);
	memcpy(all + iov[0].iov_len, iov[1].iov_base, iov[1].iov_len);
	return write(fd, all, iov[0].iov_len + iov[1].iov_len);
}

static ssize_t hook_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	const struct front *f = userdata;
	const struct fuse_out_header *out = iov[0].iov_base;

	/* among them: the core locks directories itself, so the kernel need not serialise lookups in one */
	if (count > 1 && out->unique == f->init_unique && out->error == 0) {
		struct fuse_init_out *init = iov[1].iov_base;

		init->flags |= f->added;
	}
	return count == 2 && iov[1].iov_len <= JOINED_MAX ? write_joined(fd, iov)
							  : writev(fd, iov, count);
}

/* worker() reads. */
static ssize_t hook_read(int fd, void *data, size_t size, void *userdata)
{
	return read(fd, data, size);
}

int session_hook(struct fuse_session *se)
{
	static const struct fuse_custom_io io = {.writev = hook_writev, .read = hook_read};

	return fuse_session_custom_io(se, &io, fuse_session_fd(se));
}
#else
/* It asks for all by itself (op_init), and may be built without the means to help it. */
int session_hook(struct fuse_session *se)
{
	return 0;
}
#endif

static void end_fs(struct loop *l)
{
	pthread_rwlock_wrlock(&l->gate);
	if (l->front->fs)
		l->result = fs_unmount(l->front->fs);
	l->front->fs = NULL;
	pthread_rwlock_unlock(&l->gate);
}

static void begin_init(struct front *f, const struct fuse_in_header *in)
{
	f->init_unique = in->unique;
	f->added = ((const struct fuse_init_in *)(in + 1))->flags & RAW_INIT_FLAGS;
}

static void process(struct loop *l, const struct fuse_buf *buf)
{
	const struct fuse_in_header *in = buf->mem;

	pthread_rwlock_rdlock(&l->gate);
	if (!l->front->fs) {
		/* a FORGET that DESTROY overtook; nothing else comes this late */
		if (in->opcode != FUSE_FORGET && in->opcode != FUSE_BATCH_FORGET)
			raw_answer(fuse_session_fd(l->se), in->unique, -ENODEV);
	} else if (!raw_request(l->front, fuse_session_fd(l->se), in)) {
		if (in->opcode == FUSE_INIT)
			begin_init(l->front, in);
		fuse_session_process_buf(l->se, buf);
	}
	pthread_rwlock_unlock(&l->gate);
}

/* Should another thread receive while this request is worked on?  What only reads the device perhaps finds that out then. */
static bool should_give_lead(const struct loop *l, uint32_t opcode)
{
	switch (opcode) {
	case FUSE_SYNCFS:
	case FUSE_DESTROY:
		return true;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
		/* who asks for free space next must find that their freeing has begun */
		return false;
	default:
		/* clients and more than one of our threads can run at once */
		return l->nr_processors > 2 && is_readable(fuse_session_fd(l->se));
	}
}

/* Take the lead, with memory to receive in. */
static void *take_lead(struct loop *l)
{
	void *memory;

	lead_take(&l->lead);
	memory = request_memory_get(l->memory);
	while (!memory) {
		lead_give();
		memory = request_memory_wait(l->memory);
		lead_take(&l->lead);
	}
	return memory;
}

static void serve(struct loop *l, const struct fuse_buf *buf)
{
	const struct fuse_in_header *in = buf->mem;

	if (in->opcode != FUSE_READ)
		lead_submit(&l->lead);
	if (should_give_lead(l, in->opcode))
		lead_give();
	if (in->opcode == FUSE_DESTROY) {
		end_fs(l);
		raw_answer(fuse_session_fd(l->se), in->unique, l->result);
	} else {
		process(l, buf);
	}
}

/*
 * Reads go to the device together while more requests are there.  After that their callers wait for the device, so it is
 * no use looking whether they ask for more.
 */
static ssize_t next_request(struct loop *l, struct spin *s, void *data)
{
	if (!lead_holds(&l->lead) || is_readable(l->requests.fd))
		return spin_read(s, &l->requests, data, REQUEST_BYTES);
	lead_submit(&l->lead);
	return spin_sleep(&l->requests, data, REQUEST_BYTES);
}

/* One request.  Returns whether there may be more. */
static bool receive(struct loop *l, struct spin *s)
{
	struct fuse_buf buf = {.mem = take_lead(l)};
	ssize_t n = next_request(l, s, buf.mem);

	if (n >= (ssize_t)sizeof(struct fuse_in_header)) {
		buf.size = (size_t)n;
		serve(l, &buf);
	}
	request_memory_put();
	if (n == -ENODEV)
		fuse_session_exit(l->se);
	/* ENOENT: its caller has given it up */
	return n > 0 || n == -EINTR || n == -ENOENT;
}

static void *worker(void *context)
{
	struct loop *l = context;
	struct spin s = {0};

	while (!fuse_session_exited(l->se) && receive(l, &s))
		;
	lead_give();
	reply_buffer_free();
	request_memory_end();
	return NULL;
}

/* Positive: it could not, and has said why. */
static int run_fusermount(const char *mountpoint, bool lazy)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		execlp("fusermount3", "fusermount3", lazy ? "-uz" : "-u", "--", mountpoint,
		       (char *)NULL);
		perror("bufs: fusermount3");
		_exit(1);
	}
	if (pid < 0)
		return -errno;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return status == 0 ? 0 : 1;
}

int session_unmount(const char *mountpoint, int flags)
{
	if (geteuid() != 0)
		return run_fusermount(mountpoint, flags & MNT_DETACH);
	return umount2(mountpoint, flags | UMOUNT_NOFOLLOW) < 0 ? -errno : 0;
}

/* The signals come here and nowhere else. */
static void *signals(void *context)
{
	struct loop *l = context;
	sigset_t set;
	int signal;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	while (sigwait(&set, &signal) == 0) {
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
		session_unmount(l->mountpoint, MNT_DETACH);
		pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	}
	return NULL;
}

static unsigned processors(void)
{
	cpu_set_t set;

	/* fails on machines with more of them than the set holds */
	return sched_getaffinity(0, sizeof(set), &set) < 0 ? CPU_SETSIZE
							   : (unsigned)CPU_COUNT(&set);
}

int session_run(struct fuse_session *se, struct front *f, unsigned nr_threads,
		const char *mountpoint)
{
	struct loop l = {.se = se, .front = f, .mountpoint = mountpoint};
	pthread_t signal_thread, *threads = calloc(nr_threads, sizeof(*threads));
	unsigned n = 0;
	int r;

	f->reads = read_pool_create();
	l.memory = request_memory_create(nr_threads);
	r = -ENOMEM;
	if (!threads || !f->reads || !l.memory)
		goto free_memory;
	pthread_rwlock_init(&l.gate, NULL);
	lead_init(&l.lead, fuse_session_fd(se));
	l.nr_processors = processors();
	/* alone on one processor it would keep the caller from asking */
	l.requests = (struct spin_file){.fd = fuse_session_fd(se),
					.never = l.nr_processors == 1,
					.looks = ATOMIC_FLAG_INIT};
	r = -pthread_create(&signal_thread, NULL, signals, &l);
	if (r < 0)
		goto free_threads;
	/* with fewer threads than asked for it still works */
	while (n + 1 < nr_threads && pthread_create(&threads[n], NULL, worker, &l) == 0)
		n++;
	worker(&l);
	while (n > 0)
		pthread_join(threads[--n], NULL);
	pthread_cancel(signal_thread);
	pthread_join(signal_thread, NULL);
	end_fs(&l);
	r = l.result;
free_threads:
	lead_finish(&l.lead);
	pthread_rwlock_destroy(&l.gate);
free_memory:
	request_memory_destroy(l.memory);
	read_pool_destroy(f->reads);
	free(threads);
	return r;
}
