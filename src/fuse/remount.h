/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef REMOUNT_H
#define REMOUNT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>

/* What a daemon was mounted with, as text: "ro,commit=1". */
#define MOUNT_OPTIONS_MAX 1024
#define BUFS_IOC_OPTIONS  _IOR('B', 1, char[MOUNT_OPTIONS_MAX])

/* Whether access times change when files are read: not while the mount is read-only. */
#define BUFS_IOC_ACCESS_TIMES _IOW('B', 2, uint32_t)

/* Is "remount" among the options of this command line? */
bool remount_asked(int argc, char **argv);

/* Do what of it can be done, all or nothing.  The exit code; what is wrong has been said. */
int remount(int argc, char **argv);

#endif
