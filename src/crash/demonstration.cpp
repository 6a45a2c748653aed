// SPDX-License-Identifier: MIT
#include "crash/demonstration.hpp"

#include "crash/campaign.hpp"
#include "crash/failure.hpp"
#include "crash/guards.hpp"
#include "crash/scenarios.hpp"
#include "crash/victim.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace deadbolt::crash {
namespace {

// A file without a name, as long as the lock's pages.
base::descriptor make_file(std::size_t length) {
  const char* const directory = std::getenv("TMPDIR");
  std::string path = std::string{directory != nullptr ? directory : "/tmp"} + "/deadbolt-XXXXXX";
  base::descriptor file{mkostemp(path.data(), O_CLOEXEC)};
  if (file) unlink(path.c_str());
  if (!file || ftruncate(file.get(), static_cast<off_t>(length)) != 0)
    fail_with_errno("a temporary file");
  return file;
}

// A number and a text that repeats it.
shown_bytes make_record(pid_t tid) {
  shown_bytes record{};
  const std::string text = fmt::format("order {}      ", tid);
  std::memcpy(record.data(), &tid, sizeof tid);
  std::memcpy(record.data() + sizeof tid, text.data(),
              std::min(text.size(), record.size() - sizeof tid));
  return record;
}

shown_bytes read_record(const base::descriptor& file) {
  shown_bytes record{};
  if (pread(file.get(), record.data(), record.size(), 0) != ssize_t{record.size()})
    fail_with_errno("read of the file");
  return record;
}

} // namespace

demonstration demonstrate(std::string title, const subject& target) {
  static const no_guard none;
  const trial_memory memory{target};
  target.create(memory.lock());
  for (std::size_t i = 0; i < trial_memory::companions; ++i) target.create(memory.companion(i));
  const base::descriptor file = make_file(memory.lock_length());
  victim dying{
      target, none, memory, {.operation = stepped_operation::unlock, .second_thread = true}};
  while (target.held_by(memory.lock(), dying.tid()))
    if (dying.advance(1, nullptr, nullptr) == 0)
      throw failure{"the operation ended with the lock still held"};

  demonstration shown{.title = std::move(title),
                      .place = name_place(dying.instruction_pointer()),
                      .before = make_record(dying.tid()),
                      .after = {}};
  if (const std::string trouble = take_and_release(dying.second_thread(), memory.lock());
      !trouble.empty())
    throw failure{"a released lock cannot be taken: " + trouble};
  if (pwrite(file.get(), shown.before.data(), shown.before.size(), 0) !=
      ssize_t{shown.before.size()})
    fail_with_errno("write to the file");
  dying.second_thread().send({action::map_over, memory.lock(), memory.lock_length(), file.get()});
  // No reply: a protection blocks the mmap until the unlock has ended, and the file is not mapped.
  if (dying.second_thread().reply(std::chrono::milliseconds{500}) == grant::failed)
    throw failure{"the file could not be mapped"};
  shown.before = read_record(file);
  dying.kill();
  shown.after = read_record(file);
  return shown;
}

} // namespace deadbolt::crash
