/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One problem: counted, judged by the mode and the owner of the check, told.  The only place that
 * knows the modes.
 */
#include "check_priv.h"

#include <stdarg.h>
#include <stdio.h>

#define TEXT_BYTES 512

bool check_writes(const struct check *c)
{
	return c->o.mode != CHECK_REPORT;
}

bool check_all_mended(const struct check *c)
{
	return c->result.problems == c->result.repaired;
}

static bool may_mend(struct check *c, enum fix fix, const struct check_problem *p)
{
	if (fix == FIX_NEVER || (fix == FIX_DERIVED && !check_all_mended(c)))
		return false;
	switch (c->o.mode) {
	case CHECK_PREEN:
		return fix != FIX_LOSSY && !c->stopped;
	case CHECK_REPAIR:
		return !c->o.approve || c->o.approve(c->o.context, p) > 0;
	default:
		return false;
	}
}

bool problem(struct check *c, enum fix fix, const char *code, struct at at, const char *format, ...)
{
	struct check_problem p = {.code = code, .ino = at.ino, .block = at.block};
	char text[TEXT_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	p.text = text;
	p.repaired = may_mend(c, fix, &p);
	c->result.problems++;
	c->result.repaired += p.repaired;
	if (c->o.mode == CHECK_PREEN && !p.repaired)
		c->stopped = true;
	if (c->o.problem)
		c->o.problem(c->o.context, &p);
	return p.repaired;
}

void check_progress(const struct check *c, unsigned pass, uint64_t done, uint64_t total)
{
	if (c->o.progress)
		c->o.progress(c->o.context, pass, done, total);
}
