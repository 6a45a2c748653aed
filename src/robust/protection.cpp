// SPDX-License-Identifier: MIT
#include <deadbolt/protection.hpp>

#include <base/file.hpp>
#include <deadbolt/critical_section.h>
#include <robust/engine.hpp>
#include <string.h>

namespace deadbolt {
namespace {

// Reads a small file of /proc; the number of bytes, 0 when it cannot be read.
std::size_t read_file(const char* path, char* buffer, std::size_t size) noexcept {
  const base::descriptor file{base::open_file(path, O_RDONLY)};
  if (!file) return 0;
  const long count = arch::raw_syscall(SYS_read, file.get(), buffer, size - 1);
  const std::size_t length = count > 0 ? static_cast<std::size_t>(count) : 0;
  buffer[length] = '\0';
  return length;
}

// The PID of the process that traces this thread, as digits; empty when there is none.
const char* tracer(char* status) noexcept {
  static constexpr char key[] = "\nTracerPid:\t";
  char* field = strstr(status, key);
  if (field == nullptr) return "";
  field += sizeof key - 1;
  field[strspn(field, "0123456789")] = '\0';
  return strcmp(field, "0") == 0 ? "" : field;
}

bool traced_by_guard() noexcept {
  char status[4096];
  if (read_file("/proc/thread-self/status", status, sizeof status) == 0) return false;
  const char* pid = tracer(status);
  if (*pid == '\0') return false;
  char path[64] = "/proc/";
  strcat(path, pid); // digits of a pid_t
  strcat(path, "/comm");
  char name[64];
  if (read_file(path, name, sizeof name) == 0) return false;
  name[strcspn(name, "\n")] = '\0';
  return strcmp(name, DEADBOLT_PTRACE_GUARD_COMM) == 0;
}

} // namespace

protection_kind DEADBOLT_ABI::protection() noexcept {
  if (robust::this_engine().protected_by_kernel) return protection_kind::kernel;
  return traced_by_guard() ? protection_kind::guard : protection_kind::none;
}

const char* DEADBOLT_ABI::to_string(protection_kind protection) noexcept {
  switch (protection) {
  case protection_kind::none:
    return "none";
  case protection_kind::guard:
    return "guard";
  case protection_kind::kernel:
    return "kernel";
  }
  return "not a protection_kind";
}

} // namespace deadbolt
