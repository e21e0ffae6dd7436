/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TEST_STEPS_H
#define TEST_STEPS_H

/* Operations by path, through fs.h; results are the filesystem's. */
#include "fs.h"

uint64_t path_ino(struct fs *fs, const char *path); /* 0: not there */
uint64_t path_get(struct fs *fs, const char *path); /* ... and it stays looked up */
int do_make(struct fs *fs, const char *path, uint32_t mode, const char *target);
int do_write(struct fs *fs, const char *path, uint64_t offset, size_t size, char fill);
int do_truncate(struct fs *fs, const char *path, uint64_t size);
int do_chmod(struct fs *fs, const char *path, uint32_t mode);
int do_chown(struct fs *fs, const char *path, uint32_t uid, uint32_t gid);
int do_rename(struct fs *fs, const char *from, const char *to, unsigned flags);
int do_link(struct fs *fs, const char *from, const char *to);
int do_unlink(struct fs *fs, const char *path);
int do_rmdir(struct fs *fs, const char *path);
int do_setxattr(struct fs *fs, const char *path, const char *name, const void *value, size_t size);
int do_removexattr(struct fs *fs, const char *path, const char *name);
int do_fsync(struct fs *fs, const char *path, bool datasync);

/* A number for all names and values of an inode's extended attributes; 0: none. */
int xattr_digest(struct fs *fs, uint64_t ino, uint64_t *ret);

#endif
