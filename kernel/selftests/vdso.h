/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SELFTESTS_VDSO_H
#define SELFTESTS_VDSO_H

#include "abi.h"

struct vdso {
	uintptr_t begin, end;		/* 0, 0: none is mapped */
	unlock_fn *unlock;
	pi_try_unlock_fn *pi_try_unlock;
	list64_fn *list64;
	list32_fn *list32;
};

extern struct vdso vdso;

/* Reads AT_SYSINFO_EHDR and fills `vdso`. */
void vdso_find(void);
/* Address and binding (STB_*) of a dynamic symbol, NULL if there is none. */
void *vdso_symbol(const char *name, int *binding);
/* Ends the mapping that contains `vdso.begin`. */
uintptr_t vdso_mapping_end(uintptr_t begin);
static inline bool in_vdso(uintptr_t ip)
{
	return ip >= vdso.begin && ip < vdso.end;
}

#endif
