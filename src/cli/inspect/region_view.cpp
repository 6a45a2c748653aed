// SPDX-License-Identifier: MIT
#include "cli/inspect/region_view.hpp"

#include <deadbolt/mutex.hpp>
#include <fmt/core.h>
#include <region/format.hpp>
#include <region/region_file.hpp>
#include <region/slot_claim.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <stdexcept>
#include <sys/stat.h>
#include <unistd.h>

namespace deadbolt::inspect {
namespace {

// A word that names a member may be a number of the user's. More data than this is not
// searched for them.
constexpr std::uint64_t most_searched = std::uint64_t{64} << 20;

const char* advice(region_status status) {
  switch (status) {
  case region_status::not_found:
    return "there is no such file";
  case region_status::not_a_region:
    return "it is not a region";
  case region_status::unknown_version:
    return "another version of deadbolt made it: use that one's";
  case region_status::damaged:
    return "its header contradicts itself: nobody can use it; remove it";
  case region_status::truncated:
    return "it is shorter than its header says: nobody can use it; remove it";
  case region_status::former_boot:
    return "it was made before this machine started: all its members are gone; remove it";
  case region_status::copied:
    return "it is a copy of a region, or was moved to another filesystem: remove it";
  case region_status::network_filesystem:
    return "it is on a network filesystem, where regions are refused";
  default:
    return "it cannot be read";
  }
}

member_state state_of(const regions::member_slot& slot, std::uint32_t life) {
  if (life == regions::life_retired) return member_state::retired;
  if (life == regions::life_claimed) return member_state::attaching;
  if (!regions::is_alive(life)) return member_state::dead;
  const std::atomic<std::uint32_t>* word =
      regions::life_word(const_cast<regions::member_slot*>(&slot), slot.kind);
  return regions::is_gone(slot, slot.generation, *word, life) ? member_state::gone
                                                              : member_state::alive;
}

std::uint64_t own_pid_namespace() {
  struct stat status {};
  return ::stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
}

const member* find(const std::vector<member>& members, std::uint32_t slot,
                   std::uint64_t generation) {
  const auto found = std::ranges::lower_bound(members, slot, {}, &member::slot);
  if (found == members.end() || found->slot != slot || found->generation != generation) {
    return nullptr;
  }
  return &*found;
}

bool holds_on(const member& owner) {
  return owner.state == member_state::alive;
}

// `waiting` is what stands behind the word: of a plain owner's it says that somebody sleeps.
lock read_mutex(std::string name, std::uint64_t offset, std::uint64_t word, std::uint32_t waiting,
                const std::vector<member>& members) {
  lock made{.name = std::move(name),
            .offset = offset,
            .state = lock_state::free,
            .held_by = std::nullopt,
            .inconsistent = (word & regions::word_inconsistent) != 0,
            .has_waiters = (word & regions::word_waiters) != 0 ||
                           ((word & regions::word_plain) != 0 && waiting == 1)};
  if (regions::is_free(word)) return made;
  if (regions::is_not_recoverable(word)) {
    made.state = lock_state::not_recoverable;
    return made;
  }
  owner by{.slot = regions::slot_of(word), .generation = regions::generation_of(word), .is = {}};
  if (const member* found = find(members, by.slot, by.generation)) by.is = *found;
  made.state = by.is && holds_on(*by.is) ? lock_state::held : lock_state::abandoned;
  made.held_by = by;
  return made;
}

} // namespace

region_file::region_file(std::string path)
    : path_{std::move(path)}, descriptor_{::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY)} {
  if (descriptor_ < 0) {
    const region_status status =
        errno == ENOENT ? region_status::not_found : region_status::system_error;
    error_ = failure{status, fmt::format("{}: {}", path_, std::strerror(errno))};
    return;
  }
  regions::fixed_header header{};
  int error = 0;
  const region_status status = regions::judge_file(descriptor_, header, error);
  if (status != region_status::open) {
    error_ =
        failure{status, fmt::format("{}: {}{}{}", path_, advice(status), error == 0 ? "" : ": ",
                                    error == 0 ? "" : std::strerror(error))};
    return;
  }
  slots_ = header.members;
  slots_offset_ = header.slots_offset;
  data_offset_ = header.data_offset;
  data_bytes_ = header.data_bytes;
}

region_file::~region_file() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void region_file::read(void* to, std::size_t bytes, std::uint64_t from) const {
  const ssize_t got = ::pread(descriptor_, to, bytes, static_cast<off_t>(from));
  if (got == static_cast<ssize_t>(bytes)) return;
  throw std::runtime_error(
      fmt::format("{}: cannot read {} bytes at {}: {}", path_, bytes, from,
                  got < 0 ? std::strerror(errno) : "the file has been truncated"));
}

std::vector<member> region_file::read_members() const {
  const std::uint64_t own_namespace = own_pid_namespace();
  std::vector<member> members;
  const auto slot = std::make_unique<regions::member_slot>();
  for (std::uint32_t number = 0; number < slots_; ++number) {
    // In one read, so that a slot's fields mostly belong together.
    read(slot.get(), sizeof *slot, slots_offset_ + std::uint64_t{number} * sizeof *slot);
    const std::atomic<std::uint32_t>* word = regions::life_word(slot.get(), slot->kind);
    const std::uint32_t life = word == nullptr ? regions::life_claimed : word->load();
    if (life == regions::life_free) continue;
    const member_state state = word == nullptr ? member_state::attaching : state_of(*slot, life);
    members.push_back(
        {.slot = number,
         .generation = slot->generation,
         .state = state,
         .pid = slot->pid,
         .tid = slot->tid,
         .other_namespace = slot->pid_namespace != 0 && slot->pid_namespace != own_namespace,
         .since = slot->since});
  }
  return members;
}

view region_file::look(const std::vector<std::uint64_t>& offsets) const {
  view seen{.data_bytes = data_bytes_,
            .slots = slots_,
            .members = {},
            .objects = {},
            .locks = {},
            .whole_data_searched = data_bytes_ <= most_searched};
  // Words before members: an owner that attached after its word was read cannot be missed.
  const std::uint64_t searched = std::min(data_bytes_, most_searched) / sizeof(std::uint64_t);
  std::vector<std::uint64_t> words(searched);
  if (searched != 0) read(words.data(), searched * sizeof(std::uint64_t), data_offset_);
  const auto header = std::make_unique<regions::region_header>();
  read(header.get(), sizeof *header, 0);
  seen.members = read_members();

  std::vector<std::uint64_t> shown;
  const auto show = [&](std::string name, std::uint64_t offset) {
    std::uint64_t word = 0;
    if (offset % sizeof word != 0 || data_bytes_ < sizeof word ||
        offset > data_bytes_ - sizeof word) {
      throw std::runtime_error(
          fmt::format("{}: no lock can be at offset {}: it must be a multiple of 8 below {}", path_,
                      offset, data_bytes_));
    }
    read(&word, sizeof word, data_offset_ + offset);
    std::uint32_t waiting = 0;
    if (offset + sizeof word + sizeof waiting <= data_bytes_)
      read(&waiting, sizeof waiting, data_offset_ + offset + sizeof word);
    seen.locks.push_back(read_mutex(std::move(name), offset, word, waiting, seen.members));
    shown.push_back(offset);
  };
  for (const regions::named_object& entry : header->objects) {
    if (entry.state == static_cast<std::uint32_t>(regions::object_state::unused)) continue;
    std::string name(entry.name, strnlen(entry.name, sizeof entry.name));
    const bool in_data = entry.offset <= data_bytes_ && entry.size <= data_bytes_ - entry.offset;
    if (entry.kind == static_cast<std::uint32_t>(detail::object_kind::mutex) && in_data &&
        entry.size == sizeof(mutex) && entry.offset % sizeof(std::uint64_t) == 0) {
      show(std::move(name), entry.offset);
      continue;
    }
    seen.objects.push_back(
        {.name = std::move(name),
         .offset = entry.offset,
         .size = entry.size,
         .complete = entry.state == static_cast<std::uint32_t>(regions::object_state::complete)});
  }
  for (const std::uint64_t offset : offsets) show({}, offset);
  for (std::uint64_t i = 0; i < searched; ++i) {
    const std::uint64_t word = words[i];
    const std::uint64_t offset = i * sizeof word;
    if (regions::is_free(word) || regions::is_not_recoverable(word) ||
        std::ranges::find(shown, offset) != shown.end() ||
        find(seen.members, regions::slot_of(word), regions::generation_of(word)) == nullptr) {
      continue;
    }
    show({}, offset);
    if (seen.locks.back().state == lock_state::free) seen.locks.pop_back();
  }
  return seen;
}

const char* to_string(member_state state) noexcept {
  switch (state) {
  case member_state::alive:
    return "alive";
  case member_state::dead:
    return "dead";
  case member_state::gone:
    return "gone";
  case member_state::attaching:
    return "attaching";
  case member_state::retired:
    return "retired";
  }
  return "unknown";
}

const char* to_string(lock_state state) noexcept {
  switch (state) {
  case lock_state::free:
    return "free";
  case lock_state::held:
    return "held";
  case lock_state::abandoned:
    return "abandoned";
  case lock_state::not_recoverable:
    return "not_recoverable";
  }
  return "unknown";
}

} // namespace deadbolt::inspect
