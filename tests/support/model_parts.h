/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TEST_MODEL_PARTS_H
#define TEST_MODEL_PARTS_H

/* What the files of the model share. */
#include "model.h"

struct model_rename {
	unsigned from_dir, from, to_dir, to, flags;
};

unsigned model_draw(uint64_t *seed, unsigned limit);
unsigned model_draw_node(const struct model *m, uint64_t *seed);
unsigned model_draw_dir(const struct model *m, uint64_t *seed); /* mostly */
unsigned model_unused_node(const struct model *m);		/* 0: there is none */

/* Results as the filesystem has to give them. */
int model_rule_dir(const struct model_node *dir);
int model_rule_is_file(const struct model_node *n);
int model_rule_rename(struct model *m, const struct model_rename *r); /* and does it */

/* One random operation each: model_space.c. */
void model_step_nameless(struct model *m, uint64_t *seed);
void model_step_whiteout(struct model *m, uint64_t *seed);
void model_step_fallocate(struct model *m, uint64_t *seed);
void model_step_copy(struct model *m, uint64_t *seed);

#endif
