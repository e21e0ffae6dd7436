/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See snapshot.h. */
#include "snapshot.h"
#include "steps.h"

#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "format.h"

static struct snapshot_file *add_file(struct snapshot *s)
{
	if (s->nr == s->max) {
		s->max = s->max ? s->max * 2 : 16;
		s->files = reallocarray(s->files, s->max, sizeof(*s->files));
		if (!s->files)
			ck_abort_msg("no memory");
	}
	s->files[s->nr] = (struct snapshot_file){0};
	return &s->files[s->nr++];
}

void snapshot_free(struct snapshot *s)
{
	for (size_t i = 0; i < s->nr; i++) {
		free(s->files[i].path);
		free(s->files[i].line);
		free(s->files[i].data);
	}
	free(s->files);
	free(s);
}

struct names {
	char name[64][256];
	unsigned nr;
};

static int take_name(void *context, const struct fs_dirent *d)
{
	struct names *n = context;

	if (strcmp(d->name, ".") != 0 && strcmp(d->name, "..") != 0) {
		if (n->nr == 64)
			return -E2BIG;
		snprintf(n->name[n->nr++], sizeof(n->name[0]), "%s", d->name);
	}
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* f has a place in the tree already. */
static int walk_file(struct fs *fs, const struct fs_attr *a, struct snapshot_file *f)
{
	char target[4096] = "";
	uint64_t xattrs;
	ssize_t n;
	int r;

	f->ino = a->ino;
	f->size = S_ISREG(a->mode) ? a->size : 0;
	f->blocks = a->blocks;
	if (S_ISLNK(a->mode)) {
		n = fs_readlink(fs, a->ino, target, sizeof(target));
		if (n < 0)
			return (int)n;
		target[n < 40 ? n : 40] = '\0';
	}
	r = xattr_digest(fs, a->ino, &xattrs);
	if (r < 0)
		return r;
	if (asprintf(&f->line, "%o links %u of %u:%u flags %x %s xattrs %016" PRIx64, a->mode,
		     a->nlink, a->uid, a->gid, a->flags, target, xattrs) < 0)
		return -ENOMEM;
	if (!f->size)
		return 0;
	f->data = malloc(f->size);
	n = fs_read(fs, a->ino, 0, f->data, f->size);
	return n < 0 ? (int)n : (uint64_t)n == f->size ? 0 : -EIO;
}

static int walk_dir(struct fs *fs, uint64_t dir, const char *path, struct snapshot *s)
{
	struct names names = {.nr = 0};
	struct fs_attr a;
	struct snapshot_file *f;
	char sub[1024];
	int r;

	r = fs_readdir(fs, dir, 0, take_name, &names);
	if (r < 0)
		return r;
	qsort(names.name, names.nr, sizeof(names.name[0]), compare_names);
	for (unsigned i = 0; i < names.nr && r == 0; i++) {
		r = fs_lookup(fs, dir, names.name[i], &a);
		if (r < 0)
			return r;
		snprintf(sub, sizeof(sub), "%s/%s", path, names.name[i]);
		f = add_file(s);
		f->path = strdup(sub);
		f->name = strrchr(f->path, '/') + 1;
		f->parent = dir;
		r = walk_file(fs, &a, f);
		if (r == 0 && S_ISDIR(a.mode))
			r = walk_dir(fs, a.ino, sub, s);
		fs_forget(fs, a.ino, 1);
	}
	return r;
}

int snapshot_take(struct fs *fs, struct snapshot **ret)
{
	struct snapshot *s = calloc(1, sizeof(*s));
	int r = walk_dir(fs, INODE_ROOT, "", s);

	*ret = s;
	return r;
}

const struct snapshot_file *snapshot_find(const struct snapshot *s, uint64_t ino)
{
	for (size_t i = 0; i < s->nr; i++)
		if (s->files[i].ino == ino)
			return &s->files[i];
	return NULL;
}

void snapshot_print(const struct snapshot *s, const char *title)
{
	fprintf(stderr, "%s:\n", title);
	for (size_t i = 0; i < s->nr; i++) {
		const struct snapshot_file *f = &s->files[i];

		fprintf(stderr, "  %s (%llu): %s size %llu, %llu blocks", f->path,
			(unsigned long long)f->ino, f->line, (unsigned long long)f->size,
			(unsigned long long)f->blocks);
		for (uint64_t at = 0; at < f->size; at += SNAPSHOT_SECTOR)
			fprintf(stderr, " %02x", (unsigned char)f->data[at]);
		fprintf(stderr, "\n");
	}
}
