/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOLS_MEASURE_H
#define TOOLS_MEASURE_H

/* What all that measure need. */
#include <stdint.h>

#define NS_PER_S 1e9

uint64_t now_ns(void);
uint64_t cpu_ns(void); /* of this process */
uint64_t next_random(uint64_t *state);
double median(double *values, unsigned nr); /* sorts them */

#endif
