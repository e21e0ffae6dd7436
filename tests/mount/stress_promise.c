/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files that are changed durably, each kind in its own way:
 *	replaced   written anew, synced, renamed over the old one, the folder synced
 *	appended   fdatasync() through a descriptor that can only read
 *	in place   through a descriptor with O_DSYNC, one of some blocks at a time
 *	removed    made and synced, or removed and the folder synced
 */
#include "stress.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE	  1000u /* of an append */
#define BLOCK	  4096u
#define NR_BLOCKS 16u
#define MOST	  (1u << 20)

enum kind { REPLACED, APPENDED, IN_PLACE, REMOVED, NR_KINDS };

static char data[MOST], found[MOST];

static const char *path_of(unsigned file)
{
	static char path[32];

	snprintf(path, sizeof(path), "promise%u", file);
	return path;
}

/* The bytes that version has; of any length. */
static void make_data(unsigned file, uint64_t version, char *p, size_t size)
{
	uint64_t x = (version * PROMISE_FILES + file + 1) * UINT64_C(0x9e3779b97f4a7c15);

	for (size_t i = 0; i < size; i++) {
		if (i % 7 == 0)
			x ^= x >> 29, x *= UINT64_C(0xbf58476d1ce4e5b9);
		p[i] = (char)(x >> i % 7 * 8);
	}
}

static size_t replaced_size(unsigned file, uint64_t version)
{
	return (size_t)((version * 7919 + file * 131) % 40000 + 1);
}

/* What is written when the daemon dies may be short, without an error yet. */
static int write_all(int fd, const char *p, size_t size)
{
	ssize_t n;

	for (; size; size -= (size_t)n, p += n) {
		n = write(fd, p, size);
		if (n < 0)
			return -1;
	}
	return 0;
}

static int write_file(const char *path, int flags, uint64_t at, const char *p, size_t size)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0600), r = 0;

	if (fd < 0)
		return -1;
	if (lseek(fd, (off_t)at, SEEK_SET) < 0 || write_all(fd, p, size) < 0)
		r = -1;
	if (r == 0 && !(flags & O_DSYNC))
		r = fsync(fd);
	close(fd);
	return r;
}

static int sync_path(const char *path, bool only_data)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), r;

	if (fd < 0)
		return -1;
	r = only_data ? fdatasync(fd) : fsync(fd);
	close(fd);
	return r;
}

static int replace(unsigned file, uint64_t version)
{
	size_t size = replaced_size(file, version);
	char temporary[40];

	snprintf(temporary, sizeof(temporary), "%s.new", path_of(file));
	make_data(file, version, data, size);
	if (write_file(temporary, O_CREAT | O_TRUNC, 0, data, size) < 0 ||
	    rename(temporary, path_of(file)) < 0)
		return -1;
	return sync_path(".", false);
}

static int append(unsigned file, uint64_t version)
{
	int fd, r;

	make_data(file, version, data, PIECE);
	fd = open(path_of(file), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	r = write_all(fd, data, PIECE);
	close(fd);
	if (r < 0)
		return r;
	/* its name too, the first time */
	return sync_path(path_of(file), version > 1);
}

static int overwrite(unsigned file, uint64_t version)
{
	if (version == 1) {
		memset(data, 0, NR_BLOCKS * BLOCK);
		return write_file(path_of(file), O_CREAT, 0, data, NR_BLOCKS * BLOCK);
	}
	make_data(file, version, data, BLOCK);
	return write_file(path_of(file), O_DSYNC, version % NR_BLOCKS * BLOCK, data, BLOCK);
}

/* Odd versions are there. */
static int remove_or_make(unsigned file, uint64_t version)
{
	if (version % 2 == 0)
		return unlink(path_of(file)) < 0 ? -1 : sync_path(".", false);
	make_data(file, version, data, PIECE);
	return write_file(path_of(file), O_CREAT | O_EXCL, 0, data, PIECE);
}

void promises_make(struct promise *table, uint64_t seed)
{
	static int (*const change[NR_KINDS])(unsigned file, uint64_t version) = {
		replace, append, overwrite, remove_or_make};

	for (;;) {
		unsigned file = stress_draw(&seed, PROMISE_FILES);
		uint64_t version = table[file].begun + 1;

		if (file % NR_KINDS == APPENDED && version > MOST / PIECE)
			continue;
		table[file].begun = version;
		if (change[file % NR_KINDS](file, version) < 0) {
			if (is_dead("a promise"))
				return;
			fprintf(stderr, "promise%u, version %llu: %m\n", file,
				(unsigned long long)version);
			exit(1);
		}
		table[file].done = version;
	}
}

/* Afterwards */

/* The size, -1 if it is not there. */
static ssize_t read_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0 && errno == ENOENT)
		return -1;
	if (fd < 0 || (n = read(fd, found, sizeof(found))) < 0) {
		fprintf(stderr, "%s: %m\n", path);
		exit(1);
	}
	close(fd);
	return n;
}

static bool has(size_t at, unsigned file, uint64_t version, size_t size)
{
	make_data(file, version, data, size);
	return !memcmp(found + at, data, size);
}

static bool replaced_is(unsigned file, uint64_t version, ssize_t n)
{
	if (version == 0)
		return n < 0;
	return n == (ssize_t)replaced_size(file, version) && has(0, file, version, (size_t)n);
}

static bool appended_is_good(unsigned file, uint64_t done, uint64_t begun, ssize_t n)
{
	size_t size = n < 0 ? 0 : (size_t)n;

	if (size < done * PIECE || size > begun * PIECE)
		return false;
	for (size_t at = 0; at < size; at += PIECE)
		if (!has(at, file, at / PIECE + 1, size - at < PIECE ? size - at : PIECE))
			return false;
	return true;
}

/* The last version up to last that wrote this block; 0: zeroes */
static bool block_is(unsigned file, unsigned block, uint64_t last, size_t at, size_t size)
{
	uint64_t version = last - (last + NR_BLOCKS - block) % NR_BLOCKS;

	memset(data, 0, BLOCK);
	if (last >= 2 && version >= 2 && version <= last)
		make_data(file, version, data, BLOCK);
	return !memcmp(found + block * BLOCK + at, data + at, size);
}

static bool in_place_is_good(unsigned file, uint64_t done, uint64_t begun, ssize_t n)
{
	if (!done)
		return n <= (ssize_t)(NR_BLOCKS * BLOCK);
	if (n != NR_BLOCKS * BLOCK)
		return false;
	for (unsigned block = 0; block < NR_BLOCKS; block++)
		for (size_t at = 0; at < BLOCK; at += 512)
			if (!block_is(file, block, done, at, 512) &&
			    !block_is(file, block, begun, at, 512))
				return false;
	return true;
}

/* A name is made before its contents are; the promise comes after both. */
static bool removed_is_good(unsigned file, uint64_t done, uint64_t begun, ssize_t n)
{
	uint64_t there = begun % 2 ? begun : done;
	bool whole = n == PIECE && has(0, file, there, PIECE);

	if (done == begun)
		return done % 2 ? whole : n < 0;
	return n < 0 || whole || (begun % 2 && n == 0);
}

static bool is_kept(unsigned file, uint64_t done, uint64_t begun)
{
	ssize_t n = read_file(path_of(file));

	switch ((enum kind)(file % NR_KINDS)) {
	case REPLACED:
		return replaced_is(file, done, n) || replaced_is(file, begun, n);
	case APPENDED:
		return appended_is_good(file, done, begun, n);
	case IN_PLACE:
		return in_place_is_good(file, done, begun, n);
	default:
		return removed_is_good(file, done, begun, n);
	}
}

bool promises_kept(const struct promise *table)
{
	bool kept = true;

	for (unsigned file = 0; file < PROMISE_FILES; file++) {
		uint64_t done = table[file].done, begun = table[file].begun;

		if (is_kept(file, done, begun))
			continue;
		fprintf(stderr, "promise%u: version %llu is durable, %llu was begun: not found\n",
			file, (unsigned long long)done, (unsigned long long)begun);
		kept = false;
	}
	return kept;
}
