/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOLS_ARGUMENTS_H
#define TOOLS_ARGUMENTS_H

/* What the command lines of all programs have in common. */
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

/* For getopt_long(), of programs with no other long options: --help is h, --version V. */
extern const struct option standard_options[];

/* A whole number below 2^63, decimal or 0x and hexadecimal; K, M, G or T may follow. */
bool number_parse(const char *text, uint64_t *ret);

#endif
