// SPDX-License-Identifier: MIT
// An overlay file system for a test's child process.
#ifndef DEADBOLT_TESTS_OVERLAY_MOUNT_HPP
#define DEADBOLT_TESTS_OVERLAY_MOUNT_HPP

#include <child_process.hpp>

#include <cerrno>
#include <cstdio>
#include <sched.h>
#include <string>
#include <sys/mount.h>
#include <sys/stat.h>

namespace deadbolt::testing {

// In a mount namespace of the calling process: an overlay file system, whose name is returned.
inline std::string mount_overlay(const std::string& directory) {
  CHILD_EXPECT(unshare(CLONE_NEWNS) == 0);
  CHILD_EXPECT(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
  CHILD_EXPECT(mount("none", directory.c_str(), "tmpfs", 0, "size=4m") == 0);
  for (const char* part : {"/lower", "/upper", "/work", "/merged"}) {
    CHILD_EXPECT(mkdir((directory + part).c_str(), 0755) == 0);
  }
  const std::string options = "lowerdir=" + directory + "/lower,upperdir=" + directory +
                              "/upper,workdir=" + directory + "/work";
  std::string merged = directory + "/merged";
  if (mount("none", merged.c_str(), "overlay", 0, options.c_str()) != 0) {
    std::printf("no overlayfs (errno %d): tried on tmpfs\n", errno);
  }
  return merged;
}

} // namespace deadbolt::testing
#endif
