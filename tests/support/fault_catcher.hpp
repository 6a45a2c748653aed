// SPDX-License-Identifier: MIT
// Ends a child with what its fault says: where, and by which signal.
#ifndef DEADBOLT_TESTS_FAULT_CATCHER_HPP
#define DEADBOLT_TESTS_FAULT_CATCHER_HPP

#include <csignal>
#include <cstdio>
#include <unistd.h>

namespace deadbolt::testing {

// The child that calls this exits with 0 when it next takes `signal` with si_addr
// `address` and `unharmed()` holds, and with 90, 91 or 92 when one of these is not so.
template <class Unharmed>
void expect_fault_at(int signal, const void* address, Unharmed unharmed) {
  static int wanted_signal;
  static const void* wanted_address;
  static Unharmed* check;
  wanted_signal = signal;
  wanted_address = address;
  check = new Unharmed{unharmed};
  struct sigaction action {};
  action.sa_flags = SA_SIGINFO;
  action.sa_sigaction = [](int number, siginfo_t* info, void*) {
    if (number != wanted_signal) _exit(90);
    if (info->si_addr != wanted_address) _exit(91);
    _exit((*check)() ? 0 : 92);
  };
  sigaction(SIGSEGV, &action, nullptr);
  sigaction(SIGBUS, &action, nullptr);
}

} // namespace deadbolt::testing
#endif
