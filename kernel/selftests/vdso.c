// SPDX-License-Identifier: GPL-2.0
/* The dynamic symbols of the vDSO that this process has. */
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>

#include "tap.h"
#include "vdso.h"

struct vdso vdso;

static const ElfW(Sym) *symbols;
static const char *names;
static size_t symbol_count;

void *vdso_symbol(const char *name, int *binding)
{
	for (size_t i = 0; i < symbol_count; i++) {
		const ElfW(Sym) *sym = &symbols[i];

		if (!sym->st_shndx || strcmp(names + sym->st_name, name))
			continue;
		if (binding)
			*binding = sym->st_info >> 4;
		return (void *)(vdso.begin + sym->st_value);
	}
	return NULL;
}

uintptr_t vdso_mapping_end(uintptr_t begin)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char text[300];
	unsigned long long low, high;
	uintptr_t end = 0;

	while (maps && fgets(text, sizeof(text), maps)) {
		if (sscanf(text, "%llx-%llx", &low, &high) == 2 && low == begin)
			end = high;
	}
	if (maps)
		fclose(maps);
	return end;
}

void vdso_find(void)
{
	uintptr_t base = getauxval(AT_SYSINFO_EHDR);
	const ElfW(Ehdr) *elf = (void *)base;
	const ElfW(Phdr) *segment;
	const ElfW(Dyn) *dyn = NULL;

	memset(&vdso, 0, sizeof(vdso));
	symbols = NULL;
	symbol_count = 0;
	if (!base)
		return;
	vdso.begin = base;
	vdso.end = vdso_mapping_end(base);
	if (vdso.end <= base)
		bail("no mapping begins at AT_SYSINFO_EHDR");
	segment = (void *)(base + elf->e_phoff);
	for (int i = 0; i < elf->e_phnum; i++) {
		if (segment[i].p_type == PT_DYNAMIC)
			dyn = (void *)(base + segment[i].p_offset);
	}
	for (; dyn && dyn->d_tag != DT_NULL; dyn++) {
		void *at = (void *)(base + dyn->d_un.d_ptr);

		if (dyn->d_tag == DT_SYMTAB)
			symbols = at;
		else if (dyn->d_tag == DT_STRTAB)
			names = at;
		else if (dyn->d_tag == DT_HASH)
			symbol_count = ((u32 *)at)[1];
	}
	/* That of User Mode Linux has no DT_HASH. Where it must have one, `symbols` fails. */
	if (!symbols || !names || !symbol_count) {
		symbol_count = 0;
		return;
	}
	vdso.unlock = vdso_symbol("__vdso_robust_futex_unlock", NULL);
	vdso.pi_try_unlock = vdso_symbol("__vdso_robust_pi_futex_try_unlock", NULL);
	vdso.list64 = vdso_symbol("__vdso_futex_robust_list64_try_unlock", NULL);
	vdso.list32 = vdso_symbol("__vdso_futex_robust_list32_try_unlock", NULL);
}
