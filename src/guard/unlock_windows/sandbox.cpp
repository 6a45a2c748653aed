// SPDX-License-Identifier: MIT
#include "guard/unlock_windows/sandbox.hpp"

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sandbox_calls.hpp>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

namespace deadbolt::guard {
namespace {

constexpr unsigned nobody = 65534;

// The system calls of a loader, of the pthread functions and of fork.
constexpr std::array plain_calls{SYS_read,
                                 SYS_pread64,
                                 SYS_write,
                                 SYS_writev,
                                 SYS_close,
                                 SYS_fstat,
                                 SYS_newfstatat,
                                 SYS_lseek,
                                 SYS_mmap,
                                 SYS_mprotect,
                                 SYS_munmap,
                                 SYS_mremap,
                                 SYS_madvise,
                                 SYS_brk,
                                 SYS_readlinkat,
                                 SYS_uname,
                                 SYS_set_tid_address,
                                 SYS_rseq,
                                 SYS_getrandom,
                                 SYS_set_robust_list,
                                 SYS_futex,
                                 SYS_futex_waitv,
                                 SYS_get_robust_list,
                                 SYS_wait4,
                                 SYS_waitid,
                                 SYS_getpid,
                                 SYS_getppid,
                                 SYS_gettid,
                                 SYS_getuid,
                                 SYS_geteuid,
                                 SYS_getgid,
                                 SYS_getegid,
                                 SYS_rt_sigaction,
                                 SYS_rt_sigprocmask,
                                 SYS_rt_sigreturn,
                                 SYS_exit,
                                 SYS_exit_group,
                                 SYS_clock_gettime,
                                 SYS_sched_yield,
                                 SYS_execveat,
                                 SYS_ppoll};

// Calls that are allowed if their argument has none of these bits.
struct masked_call {
  long number;
  unsigned argument;
  unsigned forbidden;
};
constexpr unsigned write_flags = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND;
constexpr unsigned namespace_flags = CLONE_UNTRACED | CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWPID |
                                     CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
constexpr std::array masked_calls{masked_call{SYS_clone, 0, namespace_flags},
                                  // PR_SET_PDEATHSIG, which is 1
                                  masked_call{SYS_prctl, 0, ~1u}};

constexpr unsigned argument_at(unsigned index) {
  return static_cast<unsigned>(offsetof(seccomp_data, args) + index * sizeof(std::uint64_t));
}

std::vector<sock_filter> make_filter() {
  constexpr unsigned allow = SECCOMP_RET_ALLOW;
  std::vector<sock_filter> code{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, sandbox_architecture, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
  };
  const auto permit = [&code](long number) {
    code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(number), 0, 1));
    code.push_back(BPF_STMT(BPF_RET | BPF_K, allow));
  };
  const auto permit_without = [&code](const masked_call& call) {
    code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(call.number), 0, 4));
    code.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument_at(call.argument)));
    code.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, call.forbidden, 1, 0));
    code.push_back(BPF_STMT(BPF_RET | BPF_K, allow));
    code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
  };
  for (const long number : plain_calls) permit(number);
  for (const long number : architecture_calls) permit(number);
  for (const auto& [number, flags] : opening_calls) permit_without({number, flags, write_flags});
  for (const masked_call& call : masked_calls) permit_without(call);
  // ENOSYS makes a libc use an older call instead, of clone3 for example.
  code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
  return code;
}

int limit(__rlimit_resource_t resource, rlim_t value) noexcept {
  const rlimit both{value, value};
  return ::setrlimit(resource, &both) == 0 ? 0 : errno;
}

} // namespace

int become_nobody() noexcept {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
  if (::geteuid() != 0) return 0;
  // In this order each call is still permitted; setresuid from root to another user drops every
  // capability.
  if (::setgroups(0, nullptr) != 0) return errno;
  if (::setresgid(nobody, nobody, nobody) != 0) return errno;
  if (::setresuid(nobody, nobody, nobody) != 0) return errno;
  return ::setuid(0) == 0 ? EPERM : 0;
}

int enter_sandbox() noexcept {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
  std::vector<sock_filter> code = make_filter();
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  if (const int error = limit(RLIMIT_CPU, 10)) return error;
  if (const int error = limit(RLIMIT_FSIZE, 0)) return error;
  if (const int error = limit(RLIMIT_CORE, 0)) return error;
  if (const int error = limit(RLIMIT_AS, rlim_t{1} << 32)) return error;
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0) return errno;
  return 0;
}

} // namespace deadbolt::guard
