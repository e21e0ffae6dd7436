/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The peers: fio for the device, libext2fs's unix_io for the cache. */
#include "bench.h"

#include <errno.h>
#include <json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef HAVE_EXT2FS
#include <ext2fs/ext2fs.h>
#endif

static double number(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) ? json_object_get_double(v) : 0;
}

/* The part of a job that did something. */
static struct json_object *active_part(struct json_object *job)
{
	struct json_object *read, *write;

	if (!json_object_object_get_ex(job, "read", &read) ||
	    !json_object_object_get_ex(job, "write", &write))
		return NULL;
	return number(read, "total_ios") > 0 ? read : write;
}

static int parse(const char *text, struct fio_result *ret)
{
	struct json_object *all = json_tokener_parse(text), *jobs, *job, *part = NULL;
	double cpu_percent;

	if (all && json_object_object_get_ex(all, "jobs", &jobs) &&
	    (job = json_object_array_get_idx(jobs, 0)))
		part = active_part(job);
	if (part && number(part, "total_ios") > 0) {
		cpu_percent = number(job, "usr_cpu") + number(job, "sys_cpu");
		ret->ios_per_s = number(part, "iops");
		ret->bytes_per_s = number(part, "bw_bytes");
		ret->cpu_ns_per_io = cpu_percent / 100 * number(part, "runtime") * 1e6 /
				     number(part, "total_ios");
	} else {
		part = NULL;
	}
	json_object_put(all);
	return part ? 0 : -EPROTO;
}

int peer_fio(const char *path, const char *options, struct fio_result *ret)
{
	char command[1024], text[65536];
	size_t nr = 0, n;
	FILE *f;

	if (system("command -v fio >/dev/null"))
		return -ENOENT;
	snprintf(command, sizeof(command),
		 "fio --name=peer --filename='%s' --ioengine=libaio --direct=1 --overwrite=1 "
		 "--size=%llu --output-format=json %s",
		 path, (unsigned long long)BENCH_BYTES, options);
	f = popen(command, "re");
	bench_must(f ? 0 : -errno, "fio");
	while (nr < sizeof(text) - 1 && (n = fread(text + nr, 1, sizeof(text) - 1 - nr, f)) > 0)
		nr += n;
	text[nr] = 0;
	pclose(f);
	bench_must(strchr(text, '{') ? parse(strchr(text, '{'), ret) : -EPROTO, "fio's answer");
	return 0;
}

#ifdef HAVE_EXT2FS

#define NR_OPS	   1000000u
#define NR_CACHED  8u
#define NR_REPEATS 7u

int peer_unix_io(const char *path, bool threads, double *ret_hit_ns)
{
	double best = 0, ns;
	char data[BENCH_BLOCK];
	io_channel ch;

	bench_must(unix_io_manager->open(path, threads ? IO_FLAG_THREADS : 0, &ch) ? -EIO : 0,
		   "unix_io");
	bench_must(io_channel_set_blksize(ch, BENCH_BLOCK) ? -EIO : 0, "unix_io");
	for (unsigned k = 0; k < NR_REPEATS; k++) {
		uint64_t t = now_ns();

		for (unsigned i = 0; i < NR_OPS; i++)
			if (io_channel_read_blk64(ch, i % NR_CACHED, 1, data))
				bench_must(-EIO, "unix_io");
		ns = (double)(now_ns() - t) / NR_OPS;
		best = !k || ns < best ? ns : best;
	}
	io_channel_close(ch);
	*ret_hit_ns = best;
	return 0;
}

#else

int peer_unix_io(const char *path, bool threads, double *ret_hit_ns)
{
	return -ENOENT;
}

#endif
