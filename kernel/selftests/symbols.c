// SPDX-License-Identifier: GPL-2.0
/*
 * symbols vdso|novdso|stock: the vDSO exports the names, with weak aliases and
 * the same address for both, on a kernel with the series; none of them without.
 */
#include <stdio.h>
#include <string.h>

#include "tap.h"
#include "tests.h"
#include "vdso.h"

#define STB_GLOBAL 1
#define STB_WEAK 2

static const char *const names[] = { "robust_futex_unlock", "robust_pi_futex_try_unlock" };

int test_symbols(int argc, char **argv)
{
	bool present, mapped;

	if (argc != 2)
		bail("usage: symbols vdso|novdso|stock");
	present = !strcmp(argv[1], "vdso");
	mapped = strcmp(argv[1], "novdso");
	ok(!!vdso.begin == mapped, "%s vDSO is %smapped (%llx-%llx)", ABI_NAME, mapped ? "" : "not ",
	   (unsigned long long)vdso.begin, (unsigned long long)vdso.end);
	for (int i = 0; i < 2; i++) {
		char full[80];
		int binding = -1, alias_binding = -1;
		void *function, *alias;

		snprintf(full, sizeof(full), "__vdso_%s", names[i]);
		function = vdso_symbol(full, &binding);
		alias = vdso_symbol(names[i], &alias_binding);
		if (present) {
			ok(function && binding == STB_GLOBAL, "%s %s is exported", ABI_NAME, full);
			ok(alias == function && alias && alias_binding == STB_WEAK,
			   "%s %s is its weak alias", ABI_NAME, names[i]);
		} else {
			ok(!function && !alias, "%s %s is not there", ABI_NAME, full);
		}
	}
	/* x32 too, as in mainline: its program may register a list of 64-bit pointers. */
	if (strcmp(ABI_NAME, "32"))
		ok(!!vdso.list64 == present, "%s list64_try_unlock is %sthere", ABI_NAME,
		   present ? "" : "not ");
	ok(!!vdso.list32 == present, "%s list32_try_unlock is %sthere", ABI_NAME,
	   present ? "" : "not ");
	/* The lookup itself: a name that is there, and one that never is. */
	if (mapped) {
		ok(vdso_symbol("__vdso_clock_gettime", NULL), "%s __vdso_clock_gettime is found",
		   ABI_NAME);
		ok(!vdso_symbol("__vdso_robust", NULL), "%s a prefix is not taken for a name",
		   ABI_NAME);
	}
	return tap_done();
}
