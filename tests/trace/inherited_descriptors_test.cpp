// SPDX-License-Identifier: MIT
// A child gets rid of what it inherited, with close_range and on a kernel that has none.
#include "trace/inherited_descriptors.hpp"

#include <child_process.hpp>
#include <seccomp_filter.hpp>

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace deadbolt::trace {
namespace {

using namespace deadbolt::testing;

constexpr int lowest = 3;
constexpr int highest = 40;

bool is_open(int descriptor) {
  return fcntl(descriptor, F_GETFD) >= 0;
}

class inherited_descriptors : public ::testing::TestWithParam<bool> {
protected:
  // In the child: every descriptor up to `highest` is open, none is closed by execve.
  static void fill() {
    for (int descriptor = lowest; descriptor <= highest; ++descriptor)
      CHILD_EXPECT(dup2(STDERR_FILENO, descriptor) == descriptor);
    if (GetParam()) CHILD_EXPECT(refuse_system_call(SYS_close_range, SECCOMP_RET_ERRNO | ENOSYS));
  }
};

TEST_P(inherited_descriptors, all_but_one_are_closed) {
  for (const int kept : {-1, lowest, lowest + 10, highest}) {
    EXPECT_EQ(run_in_child([kept] {
                fill();
                CHILD_EXPECT(close_descriptors_from(lowest, kept));
                for (int descriptor = 0; descriptor <= highest; ++descriptor)
                  CHILD_EXPECT(is_open(descriptor) == (descriptor < lowest || descriptor == kept));
              }),
              exited(0))
        << kept;
  }
}

TEST_P(inherited_descriptors, execve_closes_all_from_one_on) {
  EXPECT_EQ(run_in_child([] {
              fill();
              CHILD_EXPECT(close_on_execve_from(lowest + 1));
              for (int descriptor = 0; descriptor <= highest; ++descriptor)
                CHILD_EXPECT(fcntl(descriptor, F_GETFD) == (descriptor <= lowest ? 0 : FD_CLOEXEC));
            }),
            exited(0));
}

INSTANTIATE_TEST_SUITE_P(in, inherited_descriptors, ::testing::Bool(),
                         [](const auto& of) { return of.param ? "one_by_one" : "close_range"; });

} // namespace
} // namespace deadbolt::trace
