// SPDX-License-Identifier: MIT
#include "guard/unlock_windows/measure.hpp"

#include "guard/unlock_windows/elf_file.hpp"
#include "guard/unlock_windows/probe_run.hpp"
#include "guard/unlock_windows/sandbox.hpp"
#include "trace/inherited_descriptors.hpp"
#include "trace/process.hpp"

#include <base/descriptor.hpp>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <libc_paths.hpp>
#include <poll.h>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>

// The probe's executable file (probe_image.S). It is part of this program: nothing has to be
// installed, and no process can exchange it.
extern "C" {
extern const char deadbolt_libc_probe_begin[];
extern const char deadbolt_libc_probe_end[];
}

namespace deadbolt::guard {
namespace {

constexpr std::size_t most_libc_bytes = std::size_t{64} << 20;
constexpr std::chrono::seconds patience{60};
constexpr int lowest_descriptor = 3;

bool write_all(int descriptor, std::string_view bytes) noexcept {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

// execve does not close it: the loader opens it by its number. The seals keep the libc, which gets
// the descriptor too, from changing what the next scenarios execute.
base::descriptor copy_to_memory(const char* name, std::string_view bytes) {
  base::descriptor copy(::memfd_create(name, MFD_ALLOW_SEALING));
  if (copy && (!write_all(copy.get(), bytes) ||
               ::fcntl(copy.get(), F_ADD_SEALS,
                       F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0))
    copy.reset();
  return copy;
}

// The loader in the libc's own directory, or else the one that the libc names.
std::string find_loader(const std::string& libc, const std::string& interpreter) {
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(libc, error);
  const std::filesystem::path asked(interpreter);
  if (!error && std::filesystem::exists(real.parent_path() / asked.filename(), error))
    return real.parent_path() / asked.filename();
  return interpreter;
}

struct copies {
  base::descriptor probe;
  base::descriptor libc;
  base::descriptor loader;
};

constexpr const char* no_copy = ": cannot be copied to a sealed memory file: ";

std::optional<copies> make_copies(const std::string& path, const elf_file& libc,
                                  std::string& error) {
  copies made;
  made.probe = copy_to_memory(
      "deadbolt-probe",
      {deadbolt_libc_probe_begin,
       static_cast<std::size_t>(deadbolt_libc_probe_end - deadbolt_libc_probe_begin)});
  made.libc = copy_to_memory(libc_copy_name, libc.bytes());
  if (const std::string interpreter = libc.interpreter(); !interpreter.empty()) {
    const std::string loader_path = find_loader(path, interpreter);
    std::optional<std::string> bytes = read_whole_file(loader_path, most_libc_bytes, error);
    if (!bytes) return std::nullopt;
    const elf_file loader(std::move(*bytes));
    if (!loader.is_native_object()) {
      error = loader_path + ": not a loader for " + architecture_name;
      return std::nullopt;
    }
    made.loader = copy_to_memory("deadbolt-loader", loader.bytes());
    if (!made.loader) error = loader_path + no_copy + std::strerror(errno);
  }
  if (!made.probe || !made.libc) error = path + no_copy + std::strerror(errno);
  return error.empty() ? std::optional(std::move(made)) : std::nullopt;
}

// Writes the table, with the notes as comments, or "error: ...".
[[noreturn]] void be_the_worker(pid_t parent, int out, const copies& files, const elf_file& libc) {
  ::signal(SIGPIPE, SIG_DFL);
  ::signal(SIGCHLD, SIG_DFL); // if it were ignored, the children's statuses would be lost
  // The libc must not inherit descriptors that this process can read.
  const bool keeps_its_own = trace::close_on_execve_from(lowest_descriptor);
  for (const int kept : {files.probe.get(), files.libc.get(), files.loader.get()})
    if (kept >= 0) ::fcntl(kept, F_SETFD, 0);
  std::string text;
  const int error = become_nobody();
  trace::end_with(parent);
  if (!keeps_its_own) {
    text = "error: the libc would inherit open files: mount /proc, or use Linux 5.11 or newer\n";
  } else if (error != 0) {
    text = std::string("error: cannot give up root: ") + std::strerror(error) + '\n';
  } else {
    const stepped found = step_through_libc(
        {.probe = files.probe.get(), .libc = files.libc.get(), .loader = files.loader.get()}, libc);
    if (found.error.empty()) {
      text = format_window_table(found.table);
      for (const std::string& note : found.notes) text += "# " + note + '\n';
    } else {
      text = "error: " + found.error + '\n';
    }
  }
  ::_exit(write_all(out, text) ? 0 : 1);
}

// Reads until the end of file; nothing if that takes too long.
std::optional<std::string> read_to_the_end(int descriptor) {
  using clock = std::chrono::steady_clock;
  const clock::time_point end = clock::now() + patience;
  std::string text;
  char buffer[4096];
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - clock::now()).count();
    pollfd ready{.fd = descriptor, .events = POLLIN, .revents = 0};
    if (left <= 0 || ::poll(&ready, 1, static_cast<int>(left)) == 0) return std::nullopt;
    const ssize_t count = ::read(descriptor, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(count));
    if (text.size() > 2 * max_table_bytes) return std::nullopt;
  }
}

std::vector<std::string> comments_of(std::string_view text) {
  std::vector<std::string> found;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (text.starts_with("# ")) found.emplace_back(text.substr(2, end - 2));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return found;
}

} // namespace

std::optional<measurement> measure_windows(const std::string& path, std::string& error) {
  error.clear();
  std::optional<std::string> bytes = read_whole_file(path, most_libc_bytes, error);
  if (!bytes) return std::nullopt;
  const elf_file libc(std::move(*bytes));
  const auto refuse = [&](const char* why) {
    error = path + ": " + why;
    return std::nullopt;
  };
  if (!libc.is_native_object())
    return refuse((std::string("not a shared object for ") + architecture_name).c_str());
  if (!is_build_id(libc.build_id())) return refuse("it has no build-id");
  if (!libc.defines_function("pthread_mutex_unlock"))
    return refuse("no libc with pthread_mutex_unlock (glibc has it from 2.34 on)");
  const std::optional<copies> files = make_copies(path, libc, error);
  if (!files) return std::nullopt;

  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return refuse(std::strerror(errno));
  const base::descriptor ours(ends[0]);
  base::descriptor theirs(ends[1]);
  trace::child_process worker(trace::launch(
      [&, parent = ::getpid()] { be_the_worker(parent, theirs.get(), *files, libc); }));
  if (worker.pid() < 0) return refuse(std::strerror(errno));
  theirs.reset();
  const std::optional<std::string> text = read_to_the_end(ours.get());
  worker.kill();
  if (!text) return refuse("the measurement did not end");
  if (text->starts_with("error: ")) return refuse(text->c_str() + std::strlen("error: "));
  std::optional<window_table> table = parse_window_table(*text, error);
  if (!table) return refuse(("the measurement failed: " + error).c_str());
  if (table->build_id != libc.build_id()) return refuse("the measurement is of another libc");
  return measurement{std::move(*table), comments_of(*text)};
}

} // namespace deadbolt::guard
