// SPDX-License-Identifier: GPL-2.0
/* One static program an ABI: the initramfs stays small. `guest TEST ARGS...` */
#include <stdio.h>
#include <string.h>

#include "tap.h"
#include "tests.h"
#include "vdso.h"

static int test_nothing(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} tests[] = {
	{ "attack", test_attack },
	{ "cost", test_cost },
	{ "faulting", test_faulting },
	{ "fuzz", test_fuzz },
	{ "hostile", test_hostile },
	{ "moved", test_moved },
	{ "nothing", test_nothing },
	{ "replay", test_replay },
	{ "results", test_results },
	{ "seccomp", test_seccomp },
	{ "ring", test_ring },
	{ "sgx", test_sgx },
	{ "soak", test_soak },
	{ "symbols", test_symbols },
	{ "syscall", test_syscall },
	{ "threads", test_threads },
	{ "urgent", test_urgent },
};

int main(int argc, char **argv)
{
	if (argc < 2)
		bail("usage: %s TEST [ARGS]", argv[0]);
	for (unsigned int i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		if (strcmp(tests[i].name, argv[1]))
			continue;
		watchdog(120);
		vdso_find();
		return tests[i].run(argc - 1, argv + 1);
	}
	bail("no such test: %s", argv[1]);
}
