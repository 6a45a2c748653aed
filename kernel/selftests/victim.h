/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The process that is attacked: what it sets up before its first breakpoint,
 * its signal handlers, and the sibling thread that some trials need.
 */
#ifndef SELFTESTS_VICTIM_H
#define SELFTESTS_VICTIM_H

#include "trial.h"

void victim_setup(void);		/* once, in the parent */
void victim_run(const struct trial *trial);	/* in the child; does not return */
bool has_sibling(enum how how);
bool narrow_too(const struct trial *trial);
uintptr_t handler_address(enum how how);

#endif
