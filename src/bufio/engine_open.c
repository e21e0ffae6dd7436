/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opening a file or block device: what it is, how big, how aligned, which part of it is
 * wanted, and which engine can serve it.  Calls the engines' constructors.
 *
 * aio needs O_DIRECT: through the page cache io_submit() does the transfer itself, and
 * the sync engine does that with less ado.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "engine_file.h"

#define MIN_SECTOR_BYTES    512u
#define MAX_SECTOR_BYTES    4096u /* that is looked for by trying */
#define DEFAULT_QUEUE_DEPTH 128u
#define MAX_QUEUE_DEPTH	    4096u

static bool power_of_two(unsigned value)
{
	return value && (value & (value - 1)) == 0;
}

/* Alignment. */

/* What the kernel says of O_DIRECT.  Returns false if it does not say. */
static bool direct_ask(int fd, struct engine_file_config *config)
{
#ifdef STATX_DIOALIGN
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) || !(stx.stx_mask & STATX_DIOALIGN))
		return false;
	if (!power_of_two(stx.stx_dio_mem_align) || !power_of_two(stx.stx_dio_offset_align)) {
		config->direct = false;
		return true;
	}
	config->memory_align = stx.stx_dio_mem_align;
	if (config->sector_bytes < stx.stx_dio_offset_align)
		config->sector_bytes = stx.stx_dio_offset_align;
	return true;
#else
	return false;
#endif
}

/* Find the smallest read that is not refused. */
static void direct_try(int fd, struct engine_file_config *config)
{
	_Alignas(MAX_SECTOR_BYTES) char data[MAX_SECTOR_BYTES];
	unsigned bytes = config->sector_bytes;

	while (bytes <= MAX_SECTOR_BYTES && pread(fd, data, bytes, 0) < 0 && errno == EINVAL)
		bytes *= 2;
	if (bytes > MAX_SECTOR_BYTES) {
		config->direct = false;
		return;
	}
	config->sector_bytes = bytes;
	config->memory_align = bytes;
}

static void probe_alignment(int fd, struct engine_file_config *config)
{
	config->memory_align = 1;
	if (!config->direct)
		return;
	if (!direct_ask(fd, config))
		direct_try(fd, config);
	/* Any whole number of sectors into a transfer must be aligned memory again. */
	if (config->sector_bytes < config->memory_align)
		config->sector_bytes = config->memory_align;
}

/* Pieces of memory in a request. */

static unsigned read_number(const char *format, dev_t device)
{
	char path[128];
	unsigned value = 0;
	FILE *f;

	snprintf(path, sizeof(path), format, major(device), minor(device));
	f = fopen(path, "re");
	if (f && fscanf(f, "%u", &value) != 1)
		value = 0;
	if (f)
		fclose(f);
	return value;
}

/*
 * A transfer of more pieces is cut in two by the kernel, and a small rest costs the device as much
 * as a large part (virtio: 254, so 256 pages would be two requests).  A partition has the
 * queue of its disk; where nothing is told, nothing is known.
 */
static void probe_pieces(dev_t device, struct engine_file_config *config)
{
	config->max_pieces = read_number("/sys/dev/block/%u:%u/queue/max_segments", device);
	if (!config->max_pieces)
		config->max_pieces =
			read_number("/sys/dev/block/%u:%u/../queue/max_segments", device);
}

/* Kind and size. */

static int probe_block(int fd, struct engine_file_config *config)
{
	int sector_bytes = 0;

	if (ioctl(fd, BLKGETSIZE64, &config->size_bytes) || ioctl(fd, BLKSSZGET, &sector_bytes))
		return -errno;
	if (sector_bytes > (int)MIN_SECTOR_BYTES)
		config->sector_bytes = (unsigned)sector_bytes;
	config->is_block = true;
	return power_of_two(config->sector_bytes) ? 0 : -EINVAL;
}

static int probe_kind(int fd, struct engine_file_config *config)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	config->sector_bytes = MIN_SECTOR_BYTES;
	probe_pieces(S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev, config);
	if (S_ISBLK(st.st_mode))
		return probe_block(fd, config);
	if (!S_ISREG(st.st_mode))
		return -ENOTBLK;
	config->size_bytes = (uint64_t)st.st_size;
	return 0;
}

static int probe_flags(int fd, struct engine_file_config *config)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	if ((flags & O_ACCMODE) == O_WRONLY)
		return -EBADF;
	/* pwrite(2) would ignore the offset. */
	if (flags & O_APPEND)
		return -EINVAL;
	config->read_only = (flags & O_ACCMODE) == O_RDONLY;
	config->direct = flags & O_DIRECT;
	return 0;
}

static int probe(int fd, struct engine_file_config *config)
{
	int r;

	r = probe_flags(fd, config);
	if (r)
		return r;
	r = probe_kind(fd, config);
	if (r)
		return r;
	probe_alignment(fd, config);
	return 0;
}

/* The part that is wanted. */

static int choose_part(struct engine_file_config *config, const struct bufio_engine_options *o)
{
	uint64_t mask = config->sector_bytes - 1, room;

	if ((o->offset_bytes | o->size_bytes) & mask)
		return -EINVAL;
	if (o->offset_bytes > config->size_bytes)
		return -EINVAL;
	room = config->size_bytes - o->offset_bytes;
	if (o->size_bytes > room)
		return -EINVAL;
	config->start_bytes = o->offset_bytes;
	config->size_bytes = o->size_bytes ? o->size_bytes : room & ~mask;
	return 0;
}

/* O_DIRECT was taken by open(2), but transfers are not.  A caller's descriptor is left alone. */
static void direct_clear(const struct engine_file_config *config)
{
	int flags = fcntl(config->fd, F_GETFL);

	if (config->owns_fd && !config->direct && flags >= 0 && (flags & O_DIRECT))
		(void)fcntl(config->fd, F_SETFL, flags & ~O_DIRECT);
}

static unsigned queue_depth(const struct bufio_engine_options *o)
{
	if (o->queue_depth == 0)
		return DEFAULT_QUEUE_DEPTH;
	return o->queue_depth < MAX_QUEUE_DEPTH ? o->queue_depth : MAX_QUEUE_DEPTH;
}

int engine_open_fd(const struct engine_open_source *source, const struct bufio_engine_options *o,
		   struct bufio_engine **ret_engine)
{
	struct engine_file_config config = {
		.sys = source->sys,
		.fd = source->fd,
		.owns_fd = source->owns_fd,
	};
	int r;

	r = probe(source->fd, &config);
	if (r)
		return r;
	r = choose_part(&config, o);
	if (r)
		return r;
	config.read_only |= o->read_only;
	direct_clear(&config);
	/* An old write-back error of this file is not for whoever flushes us first. */
	if (!config.read_only)
		(void)config.sys->fdatasync(config.fd);
	if (config.direct && !o->synchronous &&
	    engine_aio_create(&config, queue_depth(o), ret_engine) == 0)
		return 0;
	return engine_sync_create(&config, ret_engine);
}

static int open_path(const char *path, const struct bufio_engine_options *o)
{
	int flags = (o->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC, fd;
	struct stat st;

	/* Opening a FIFO would wait for its other end. */
	if (stat(path, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return -ENOTBLK;
	if (!o->buffered) {
		fd = open(path, flags | O_DIRECT);
		if (fd >= 0 || errno != EINVAL)
			return fd < 0 ? -errno : fd;
	}
	fd = open(path, flags);
	return fd < 0 ? -errno : fd;
}

static const struct bufio_engine_options no_options;

int bufio_engine_open(const char *path, const struct bufio_engine_options *options,
		      struct bufio_engine **ret_engine)
{
	const struct bufio_engine_options *o = options ? options : &no_options;
	struct engine_open_source source = {.sys = &engine_sys_kernel, .owns_fd = true};
	int r;

	source.fd = open_path(path, o);
	if (source.fd < 0)
		return source.fd;
	r = engine_open_fd(&source, o, ret_engine);
	if (r)
		close(source.fd);
	return r;
}

int bufio_engine_open_fd(int fd, const struct bufio_engine_options *options,
			 struct bufio_engine **ret_engine)
{
	struct engine_open_source source = {.sys = &engine_sys_kernel, .fd = fd};

	return engine_open_fd(&source, options ? options : &no_options, ret_engine);
}
