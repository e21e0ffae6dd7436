/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Check a filesystem: the order of the passes.  Each one's decisions rest on those before, and a
 * repair never makes work for an earlier pass, so one run mends all.
 */
#include "check_priv.h"

#include <errno.h>
#include <stdlib.h>

typedef int check_pass(struct check *c);

static int run(struct check *c)
{
	static check_pass *const passes[] = {
		check_replay, check_super_open, check_groups_open, check_log,
		check_inodes, check_remaps,	check_dirs,	   check_connect,
		check_links,  check_bitmaps,	check_super_close,
	};
	int r = 0;

	for (size_t i = 0; i < sizeof(passes) / sizeof(passes[0]) && r == 0; i++)
		r = passes[i](c);
	return r;
}

static void groups_destroy(struct check *c)
{
	for (uint32_t i = 0; c->groups && i < c->fs.geo.nr_groups; i++) {
		free(c->groups[i].blocks);
		free(c->groups[i].notes);
	}
	free(c->groups);
}

static int check_destroy(struct check *c)
{
	int r = 0;

	if (c->fs.bufio) {
		r = bufio_destroy(c->fs.bufio);
		if (r < 0) {
			bufio_abandon(c->fs.bufio);
			bufio_destroy(c->fs.bufio);
		}
	}
	bufio_engine_destroy(c->overlay);
	groups_destroy(c);
	vec_free(&c->dirs);
	vec_free(&c->remaps);
	vec_free(&c->dups);
	vec_free(&c->freed);
	vec_free(&c->keys);
	vec_free(&c->lost);
	vec_free(&c->ahead);
	free(c);
	return r;
}

int check_fs(struct bufio_engine *e, const struct check_options *o, struct check_result *ret_result)
{
	struct check_result result;
	struct check *c;
	int r, closed;

	if (o->mode != CHECK_REPORT && e->read_only)
		return -EROFS;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->engine = e;
	c->o = *o;
	r = run(c);
	result = c->result;
	closed = check_destroy(c);
	if (r == 0)
		r = closed;
	if (r == 0)
		*ret_result = result;
	return r;
}
