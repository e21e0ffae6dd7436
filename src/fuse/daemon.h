/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DAEMON_H
#define DAEMON_H

/*
 * Fork; the parent returns the child's exit code, or 0 when the child is ready: see *ret_code and
 * leave.  The child returns 1 and goes on; its messages still reach the terminal.
 */
int daemon_fork(int *ret_code, int *ret_ready_fd);

/* In the child: the parent may go.  ready_fd < 0: in the foreground, does nothing. */
void daemon_ready(int ready_fd);

/* What a process that serves a filesystem owes the kernel: not to wait for itself. */
void daemon_harden(void);

#endif
