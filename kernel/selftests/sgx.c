// SPDX-License-Identifier: GPL-2.0
/*
 * sgx: the fix-up of the old kind, in the same table as our ranges. This CPU
 * has no enclaves, so ENCLU faults with #UD, and the vDSO must report that
 * instead of letting the task die.
 */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi.h"
#include "tap.h"
#include "tests.h"
#include "vdso.h"

#define EENTER 2
#define VECTOR_UD 6

struct enclave_run {
	u64 tcs;
	u32 function;
	uint16_t vector;
	uint16_t error;
	u64 address;
	u64 handler;
	u64 data;
	unsigned char reserved[216];
};

typedef int enter_fn(unsigned long, unsigned long, unsigned long, unsigned int,
		     unsigned long, unsigned long, struct enclave_run *);

int test_sgx(int argc, char **argv)
{
	enter_fn *enter = (enter_fn *)vdso_symbol("__vdso_sgx_enter_enclave", NULL);
	struct enclave_run run;
	int result, status;
	pid_t pid;

	(void)argc;
	(void)argv;
	if (sizeof(long) != 8 || !enter)
		bail("usage: sgx, 64 bits, with CONFIG_X86_SGX");
	memset(&run, 0, sizeof(run));
	result = enter(0, 0, 0, EENTER, 0, 0, &run);
	ok(result == 0 && run.vector == VECTOR_UD && run.function == EENTER,
	   "%s #UD at ENCLU is fixed up: returned %d, vector %d, leaf %u", ABI_NAME, result,
	   run.vector, run.function);
	run.reserved[5] = 1;
	result = enter(0, 0, 0, EENTER, 0, 0, &run);
	ok(result == -22, "%s and refuses a reserved field that is not zero: %d", ABI_NAME, result);
	/* The same instruction elsewhere is not fixed up. */
	pid = fork();
	if (!pid) {
		__asm__ volatile("enclu" :: "a"(EENTER), "b"(0), "c"(0) : "memory");
		_exit(0);
	}
	waitpid(pid, &status, 0);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == 4, "%s outside of the vDSO it is SIGILL",
	   ABI_NAME);
	return tap_done();
}
