/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SEMANTICS_H
#define SEMANTICS_H

#include <check.h>
#include <sys/types.h>

#define USER_A 12345 /* also their groups */
#define USER_B 23456

/* Each test begins in a folder of its own, below $DIR. */
TCase *edges_case(void);
TCase *files_case(void);
TCase *kernel_case(void);
TCase *large_case(void);
TCase *names_case(void);
TCase *space_case(void);
TCase *users_case(void);
TCase *xattr_case(void);

/* Make a file and open it for reading and writing. */
int make_file(const char *name, mode_t mode);

off_t size_of(int fd);

/* A child has ended, with 0. */
void wait_good(void);

/* Call act as a user, in a child; it returns whether all was as expected. */
void as_user(unsigned user, int (*act)(void));

int refused(int result, int error);

#endif
