/* SPDX-License-Identifier: MIT */
/*
 * refuse WHAT... -- PROGRAM [ARGUMENT...]: runs PROGRAM where it is refused
 *   proc   to write to /proc/self/mem, as where /proc is read-only or not mounted (pwrite64)
 *   code   to write to code that may be executed, as SELinux does (execmod, by mprotect)
 *   mdwe   the same, by the kernel's own PR_SET_MDWE (Linux 6.3)
 * Exits 77 where the kernel does not know that.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define SET_MDWE 65
#define REFUSE_EXEC_GAIN 1

/* Answers `error` to a system call if the bits of its third argument are all set. */
static int refuse(unsigned number, unsigned bits, unsigned error) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 4),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, bits),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, bits, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const struct sock_fprog program = {.len = COUNT(code), .filter = code};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0;
}

int main(int argc, char** argv) {
  int i = 1;
  for (; i < argc && strcmp(argv[i], "--") != 0; ++i) {
    int failed = 1;
    errno = EINVAL;
    if (strcmp(argv[i], "proc") == 0) failed = refuse(SYS_pwrite64, 0, EPERM);
    if (strcmp(argv[i], "code") == 0) failed = refuse(SYS_mprotect, PROT_WRITE | PROT_EXEC, EACCES);
    if (strcmp(argv[i], "mdwe") == 0) failed = prctl(SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0) != 0;
    if (failed) {
      perror(argv[i]);
      return 77;
    }
  }
  if (i + 1 >= argc) return 2;
  execv(argv[i + 1], argv + i + 1);
  perror(argv[i + 1]);
  return 1;
}
