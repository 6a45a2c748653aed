// SPDX-License-Identifier: MIT
// Turns a child's fault into an exit status: whether signal and address are the expected ones.
#ifndef DEADBOLT_TESTS_FAULT_CATCHER_HPP
#define DEADBOLT_TESTS_FAULT_CATCHER_HPP

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <unistd.h>

namespace deadbolt::testing {

// Makes the calling child exit at its next SIGSEGV or SIGBUS: with 0 if that is `signal`, si_addr
// lies in the `size` bytes at `address` and `unharmed()` holds; with 90 for the wrong signal, 91
// for the wrong address, 92 if `unharmed()` does not hold.
template <class Unharmed>
void expect_fault_in(int signal, const void* address, std::size_t size, Unharmed unharmed) {
  static int wanted_signal;
  static std::uintptr_t first;
  static std::size_t length;
  static Unharmed* check;
  wanted_signal = signal;
  first = reinterpret_cast<std::uintptr_t>(address);
  length = size;
  check = new Unharmed{unharmed};
  struct sigaction action {};
  action.sa_flags = SA_SIGINFO;
  action.sa_sigaction = [](int number, siginfo_t* info, void*) {
    if (number != wanted_signal) _exit(90);
    if (reinterpret_cast<std::uintptr_t>(info->si_addr) - first >= length) _exit(91);
    _exit((*check)() ? 0 : 92);
  };
  sigaction(SIGSEGV, &action, nullptr);
  sigaction(SIGBUS, &action, nullptr);
}

template <class Unharmed>
void expect_fault_at(int signal, const void* address, Unharmed unharmed) {
  expect_fault_in(signal, address, 1, unharmed);
}

} // namespace deadbolt::testing
#endif
