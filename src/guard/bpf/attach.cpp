// SPDX-License-Identifier: MIT
#include "guard/bpf/attach.hpp"

#include "guard/bpf/pins.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <deadbolt_guard.skel.h>
#include <linux/magic.h>
#include <memory>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace deadbolt::guard {
namespace {

struct destroy_skeleton {
  void operator()(deadbolt_guard_bpf* skeleton) const noexcept {
    deadbolt_guard_bpf::destroy(skeleton);
  }
};
using skeleton = std::unique_ptr<deadbolt_guard_bpf, destroy_skeleton>;

// libbpf prints warnings; the last one goes into the error message.
std::string last_warning;

int keep_warning(libbpf_print_level level, const char* format, va_list arguments) {
  if (level != LIBBPF_WARN) return 0;
  char text[512];
  std::vsnprintf(text, sizeof text, format, arguments);
  last_warning = text;
  while (!last_warning.empty() && last_warning.back() == '\n') last_warning.pop_back();
  return 0;
}

attach_result failed(const std::string& what, int error, bool kernel_refused = false) {
  attach_result result;
  result.error = what + ": " + std::strerror(error);
  if (!last_warning.empty()) result.error += " (" + last_warning + ")";
  result.kernel_refused = kernel_refused;
  return result;
}

// 0 or an errno value.
int fill(int map, const window_set& libcs) {
  for (const auto& [key, window] : libcs.all())
    if (bpf_map_update_elem(map, &key, &window, BPF_ANY) != 0) return errno;
  return 0;
}

// Renamed over the old pin: there is always one.
int pin(int descriptor, const char* path) {
  const std::string unfinished = std::string(path) + "-new";
  ::unlink(unfinished.c_str());
  if (bpf_obj_pin(descriptor, unfinished.c_str()) != 0) return errno;
  if (::rename(unfinished.c_str(), path) == 0) return 0;
  const int error = errno;
  ::unlink(unfinished.c_str());
  return error;
}

} // namespace

bool has_bpf_guard() noexcept {
  return true;
}

attach_result attach_bpf_guard(const window_set& libcs) {
  last_warning.clear();
  libbpf_set_print(keep_warning);
  if (libcs.size() > DEADBOLT_BPF_MOST_WINDOWS) return failed("too many windows", E2BIG);
  const skeleton guard(deadbolt_guard_bpf::open());
  if (!guard) return failed("the BPF program cannot be read", errno);
  if (deadbolt_guard_bpf::load(guard.get()) != 0)
    return failed("the kernel does not take the BPF program", errno, true);
  if (const int error = fill(bpf_map__fd(guard->maps.libc_windows), libcs))
    return failed("the windows cannot be given to the BPF program", error);

  struct statfs about {};
  if (::statfs(bpf_file_system, &about) != 0 ||
      static_cast<unsigned long>(about.f_type) != BPF_FS_MAGIC)
    return failed(std::string("there is no BPF file system at ") + bpf_file_system +
                      ", as root run: mount -t bpf bpf " + bpf_file_system,
                  ENOENT);
  if (::mkdir(bpf_directory, 0700) != 0 && errno != EEXIST) return failed(bpf_directory, errno);
  if (deadbolt_guard_bpf::attach(guard.get()) != 0)
    return failed("the BPF program cannot be attached", errno, true);
  // The counters first: without them nothing shows that a guard is attached.
  if (const int error = pin(bpf_map__fd(guard->maps.counters), bpf_counters_pin))
    return failed(bpf_counters_pin, error);
  if (const int error = pin(bpf_link__fd(guard->links.deadbolt_guard), bpf_link_pin))
    return failed(bpf_link_pin, error);
  return {};
}

} // namespace deadbolt::guard
