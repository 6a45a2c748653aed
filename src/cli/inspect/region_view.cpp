// SPDX-License-Identifier: MIT
#include "cli/inspect/region_view.hpp"

#include "cli/printable_text.hpp"

#include <deadbolt/condition_variable.hpp>
#include <deadbolt/mutex.hpp>
#include <deadbolt/shared_mutex.hpp>
#include <fmt/core.h>
#include <region/format.hpp>
#include <region/region_file.hpp>
#include <region/slots.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <map>
#include <memory>
#include <stdexcept>
#include <sys/stat.h>
#include <unistd.h>

namespace deadbolt::inspect {
namespace {

// A word that names a member may be a number of the user's. More data than this is not
// searched for them.
constexpr std::uint64_t most_searched = std::uint64_t{64} << 20;
// Owners that are shown in all, each with some hundred bytes of JSON. A hostile file could name
// millions of them.
constexpr std::uint64_t most_shown = std::uint64_t{1} << 15;

const char* advice_on_unusable(int descriptor) {
  if (regions::hides_its_users(descriptor))
    return "on overlayfs it cannot be seen whether a process uses it: stop all that may, then "
           "remove it, and put regions on a tmpfs (/dev/shm) or on a volume";
  return regions::is_in_use(descriptor)
             ? "processes use it: stop them first"
             : "no process uses it: region::open_or_replace() makes a new one";
}

std::string advice(region_status status, int descriptor) {
  switch (status) {
  case region_status::not_found:
    return "there is no such file";
  case region_status::not_a_region:
    return "it is not a region";
  case region_status::unknown_version:
    return "another version of deadbolt made it: use that one's";
  case region_status::damaged:
  case region_status::truncated:
    return fmt::format("{}, and {}",
                       status == region_status::damaged ? "its header contradicts itself"
                                                        : "it is shorter than its header says",
                       advice_on_unusable(descriptor));
  case region_status::wrong_page_size:
    return "it was made on a system with smaller pages than this one's";
  case region_status::network_filesystem:
    return "it is on a network filesystem, where regions are refused";
  default:
    return "it cannot be read";
  }
}

// Whether the kernel is writing a core dump of the process, which it does before it marks the
// liveness words.
bool is_dumping_core(std::uint32_t pid) {
  std::ifstream status{fmt::format("/proc/{}/status", pid)};
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("CoreDumping:")) return line.find('1') != std::string::npos;
  }
  return false;
}

std::uint64_t own_pid_namespace() {
  struct stat status {};
  return ::stat("/proc/thread-self/ns/pid", &status) == 0 ? status.st_ino : 0;
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
  return owner.state == member_state::alive || owner.state == member_state::dumping_core;
}

owner owner_of(std::uint64_t word, const std::vector<member>& members) {
  owner by{.slot = regions::slot_of(word), .generation = regions::generation_of(word), .is = {}};
  if (const member* found = find(members, by.slot, by.generation)) by.is = *found;
  return by;
}

// `waiting` is the 32 bits behind the word: under a plain owner they say that a thread sleeps.
// `in_region` is the offset from the start of the region, by which members announce a mutex.
lock read_mutex(std::string name, std::uint64_t offset, std::uint64_t word, std::uint32_t waiting,
                const std::vector<member>& members, std::uint64_t in_region) {
  if (regions::is_biased(word)) {
    const member* to = find(members, regions::slot_of(word), regions::generation_of(word));
    const bool is_held = to != nullptr && to->announced[regions::bias_entry(in_region)] ==
                                              regions::announced_name(in_region);
    // Of a word that biases the mutex, "inconsistent" and "plain" say no more than that.
    word = is_held ? regions::id_of(word) | (word & regions::word_waiters) : 0;
  }
  lock made{.name = std::move(name),
            .kind = "mutex",
            .offset = offset,
            .state = lock_state::free,
            .held_by = std::nullopt,
            .shared_by = {},
            .permits = 0,
            .inconsistent = (word & regions::word_inconsistent) != 0,
            .has_waiters = (word & regions::word_waiters) != 0 ||
                           ((word & regions::word_plain) != 0 &&
                            (waiting == regions::some_wait || waiting == regions::some_wait_long))};
  if (regions::is_free(word)) return made;
  if (regions::is_not_recoverable(word)) {
    made.state = lock_state::not_recoverable;
    return made;
  }
  made.held_by = owner_of(word, members);
  made.state =
      made.held_by->is && holds_on(*made.held_by->is) ? lock_state::held : lock_state::abandoned;
  return made;
}

lock read_shared_mutex(std::string name, std::uint64_t offset,
                       const detail::shared_mutex_words& words, const std::vector<member>& members,
                       const std::vector<shared_hold>& holds) {
  lock made = read_mutex(std::move(name), offset, words.writer, 0, members, 0);
  made.kind = "shared_mutex";
  made.policy = to_string(detail::policy_of(words));
  // A hold that is announced twice counts once.
  const member* last = nullptr;
  for (const shared_hold& hold : holds) {
    if (hold.offset != offset || &members[hold.member] == last) continue;
    last = &members[hold.member];
    made.shared_by.push_back({.slot = last->slot, .generation = last->generation, .is = *last});
    if (made.state == lock_state::free) made.state = lock_state::shared;
  }
  return made;
}

// Free while a thread can acquire a permit, also one whose holder died.
lock read_semaphore(std::string name, std::uint64_t offset, const std::vector<std::uint64_t>& words,
                    const std::vector<member>& members) {
  lock made = read_mutex(std::move(name), offset, 0, 0, members, 0);
  made.kind = "counting_semaphore";
  bool is_to_be_had = false;
  bool is_anybodys = false;
  for (const std::uint64_t word : words) {
    if (regions::is_not_recoverable(word)) continue; // withheld by its maker
    ++made.permits;
    if ((word & regions::word_waiters) != 0) made.has_waiters = true;
    if (regions::is_free(word)) {
      is_to_be_had = true;
      continue;
    }
    made.shared_by.push_back(owner_of(word, members));
    const owner& by = made.shared_by.back();
    (by.is && holds_on(*by.is) ? is_anybodys : is_to_be_had) = true;
  }
  if (!is_to_be_had && is_anybodys) made.state = lock_state::held;
  return made;
}

} // namespace

region_file::region_file(std::string path)
    : path_{std::move(path)}, shown_path_{cli::printable(path_)},
      descriptor_{::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)} {
  if (descriptor_ < 0) {
    const region_status status =
        errno == ENOENT ? region_status::not_found : region_status::system_error;
    error_ = failure{status, fmt::format("{}: {}", shown_path_, std::strerror(errno))};
    return;
  }
  regions::fixed_header header{};
  int error = 0;
  const region_status status = regions::judge_file(descriptor_, header, error);
  if (status != region_status::open) {
    error_ = failure{status,
                     fmt::format("{}: {}{}{}", shown_path_, advice(status, descriptor_),
                                 error == 0 ? "" : ": ", error == 0 ? "" : std::strerror(error))};
    return;
  }
  slots_ = header.members;
  page_bytes_ = header.page_bytes;
  slots_offset_ = header.slots_offset;
  data_offset_ = header.data_offset;
  least_data_bytes_ = header.data_bytes;
  largest_data_bytes_ = header.largest_data_bytes;
}

region_file::~region_file() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void region_file::read(void* to, std::size_t bytes, std::uint64_t from) const {
  const ssize_t got = ::pread(descriptor_, to, bytes, static_cast<off_t>(from));
  if (got == static_cast<ssize_t>(bytes)) return;
  throw std::runtime_error(
      fmt::format("{}: cannot read {} bytes at {}: {}", shown_path_, bytes, from,
                  got < 0 ? std::strerror(errno) : "the file has been truncated"));
}

// Of the private copy of a slot, whose liveness word has this value.
member_state region_file::state_of(const regions::member_slot& slot,
                                   const std::atomic<std::uint32_t>& word) const {
  const std::uint32_t life = word;
  if (life == regions::liveness_retired) return member_state::retired;
  if (life == regions::liveness_claimed) return member_state::attaching;
  if (!regions::is_alive(life)) return member_state::dead;
  const regions::file_handle file{.descriptor = descriptor_,
                                  .identity = regions::identity_of(descriptor_)};
  return regions::is_gone(file, slot, slot.generation, word, life) ? member_state::gone
                                                                   : member_state::alive;
}

std::vector<member> region_file::read_members(std::uint32_t used,
                                              std::vector<shared_hold>& holds) const {
  const std::uint64_t own_namespace = own_pid_namespace();
  std::map<std::uint32_t, bool> dumping;
  std::vector<member> members;
  const auto slot = std::make_unique<regions::member_slot>();
  for (std::uint32_t number = 0; number < std::min(used, slots_); ++number) {
    // In one read, so that a slot's fields mostly belong together.
    read(slot.get(), sizeof *slot,
         slots_offset_ + (std::uint64_t{number} + 1) * page_bytes_ - regions::slot_bytes);
    const std::atomic<std::uint32_t>* word = regions::liveness_word(slot.get(), slot->kind);
    if (word != nullptr && *word == regions::liveness_free) continue;
    member_state state = word == nullptr ? member_state::attaching : state_of(*slot, *word);
    for (std::uint32_t i = 0; i < std::min(slot->holds_bound.load(), regions::most_holds); ++i) {
      const std::uint64_t name = slot->holds[i] & ~regions::hold_awaited;
      if (name >= data_offset_ && holds.size() < most_shown)
        holds.push_back({name - data_offset_, members.size()});
    }
    const bool other_namespace = slot->pid_namespace != 0 && slot->pid_namespace != own_namespace;
    const std::uint32_t pid = slot->pid;
    if (state == member_state::alive && !other_namespace && pid != 0) {
      const auto known = dumping.find(pid);
      const bool dumps = known != dumping.end() ? known->second : is_dumping_core(pid);
      dumping[pid] = dumps;
      if (dumps) state = member_state::dumping_core;
    }
    std::array<std::uint32_t, regions::bias_entries> announced{};
    for (std::uint32_t i = 0; i < regions::bias_entries; ++i) announced[i] = slot->biases[i].lock;
    members.push_back({.slot = number,
                       .generation = slot->generation,
                       .state = state,
                       .pid = pid,
                       .tid = slot->tid,
                       .other_namespace = other_namespace,
                       .since = slot->since,
                       .announced = announced});
  }
  return members;
}

std::vector<regions::named_object>
region_file::read_objects(const regions::region_header& header) const {
  std::vector<regions::named_object> objects(std::begin(header.objects), std::end(header.objects));
  const std::uint32_t used = std::min(header.names_used.load(), regions::named_objects);
  if (used > objects.size()) {
    std::vector<regions::named_object> more(used - objects.size());
    read(more.data(), more.size() * sizeof more[0], data_offset_ - regions::directory_bytes);
    objects.insert(objects.end(), more.begin(), more.end());
  }
  objects.resize(used);
  return objects;
}

view region_file::look(const std::vector<std::uint64_t>& offsets) const {
  const auto header = std::make_unique<regions::region_header>();
  read(header.get(), sizeof *header, 0);
  // Every user of the file can write what the header says of the size: it can be any number.
  const std::uint64_t file_bytes = regions::length_of(descriptor_);
  const std::uint64_t in_file = file_bytes < data_offset_ ? 0 : file_bytes - data_offset_;
  const std::uint64_t data_bytes = std::max(
      least_data_bytes_, std::min({header->data_bytes.load(), largest_data_bytes_, in_file}));
  view seen{.data_bytes = data_bytes,
            .largest_data_bytes = largest_data_bytes_,
            .slots = slots_,
            .members = {},
            .objects = {},
            .locks = {},
            .whole_data_searched = data_bytes <= most_searched};
  // Words before members: a word names a member that attached before the word was read, so that
  // member is among those that are read afterwards.
  const std::uint64_t searched = std::min(data_bytes, most_searched) / sizeof(std::uint64_t);
  std::vector<std::uint64_t> words(searched);
  if (searched != 0) read(words.data(), searched * sizeof(std::uint64_t), data_offset_);
  read(header.get(), sizeof *header, 0);
  std::vector<shared_hold> holds;
  seen.members = read_members(header->slots_used, holds);
  std::uint64_t left = most_shown;

  // Bytes of the data that belong to what is shown already.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> shown;
  const auto is_shown = [&](std::uint64_t offset) {
    return std::ranges::any_of(shown,
                               [&](const auto& part) { return offset - part.first < part.second; });
  };
  const auto word_at = [&](std::uint64_t offset) {
    std::uint64_t word = 0;
    read(&word, sizeof word, data_offset_ + offset);
    return word;
  };
  const auto show_mutex = [&](std::string name, std::uint64_t offset) {
    if (offset % sizeof(std::uint64_t) != 0 || data_bytes < sizeof(std::uint64_t) ||
        offset > data_bytes - sizeof(std::uint64_t)) {
      throw std::runtime_error(
          fmt::format("{}: no lock can be at offset {}: it must be a multiple of 8 below {}",
                      shown_path_, offset, data_bytes));
    }
    const std::uint64_t word = word_at(offset);
    std::uint32_t waiting = 0;
    if (offset + sizeof(mutex) <= data_bytes)
      read(&waiting, sizeof waiting, data_offset_ + offset + sizeof word);
    seen.locks.push_back(
        read_mutex(std::move(name), offset, word, waiting, seen.members, data_offset_ + offset));
  };
  for (const regions::named_object& entry : read_objects(*header)) {
    const regions::object_state state = regions::state_of(entry.state);
    if (state == regions::object_state::unused) continue;
    std::string name(entry.name, strnlen(entry.name, sizeof entry.name));
    const bool in_data = entry.offset <= data_bytes && entry.size <= data_bytes - entry.offset;
    const bool has_words = in_data && entry.offset % sizeof(std::uint64_t) == 0;
    const auto kind = static_cast<detail::object_kind>(entry.kind);
    if (kind == detail::object_kind::mutex && has_words && entry.size == sizeof(mutex)) {
      show_mutex(std::move(name), entry.offset);
      shown.emplace_back(entry.offset, sizeof(std::uint64_t));
      continue;
    }
    if (kind == detail::object_kind::shared_mutex && has_words &&
        entry.size == sizeof(shared_mutex)) {
      detail::shared_mutex_words its;
      read(&its, sizeof its, data_offset_ + entry.offset);
      seen.locks.push_back(
          read_shared_mutex(std::move(name), entry.offset, its, seen.members, holds));
      // The same holds can be of many names, which a hostile file gives to one offset.
      if (const std::size_t readers = seen.locks.back().shared_by.size(); readers <= left) {
        left -= readers;
      } else {
        seen.locks.back().shared_by.resize(left);
        left = 0;
        seen.whole_data_searched = false;
      }
      shown.emplace_back(entry.offset, entry.size);
      continue;
    }
    if (kind == detail::object_kind::counting_semaphore && has_words && entry.size != 0 &&
        entry.size / sizeof(std::uint64_t) <= left && entry.size % sizeof(std::uint64_t) == 0) {
      std::vector<std::uint64_t> permits(entry.size / sizeof(std::uint64_t));
      left -= permits.size();
      read(permits.data(), entry.size, data_offset_ + entry.offset);
      seen.locks.push_back(read_semaphore(std::move(name), entry.offset, permits, seen.members));
      shown.emplace_back(entry.offset, entry.size);
      continue;
    }
    const bool is_condition = kind == detail::object_kind::condition_variable && in_data &&
                              entry.size == sizeof(condition_variable);
    std::uint32_t condition = 0;
    if (is_condition) read(&condition, sizeof condition, data_offset_ + entry.offset);
    seen.objects.push_back({.name = std::move(name),
                            .kind = is_condition ? "condition_variable" : "other",
                            .offset = entry.offset,
                            .size = entry.size,
                            .complete = state == regions::object_state::complete,
                            .has_waiters = (condition & 1) != 0});
  }
  for (const std::uint64_t offset : offsets) {
    show_mutex({}, offset);
    shown.emplace_back(offset, sizeof(std::uint64_t));
  }
  for (std::uint64_t i = 0; i < searched; ++i) {
    const std::uint64_t word = words[i];
    const std::uint64_t offset = i * sizeof word;
    if (regions::is_free(word) || regions::is_not_recoverable(word) || is_shown(offset) ||
        find(seen.members, regions::slot_of(word), regions::generation_of(word)) == nullptr) {
      continue;
    }
    if (left == 0) {
      seen.whole_data_searched = false;
      break;
    }
    --left;
    show_mutex({}, offset);
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
  case member_state::dumping_core:
    return "dumping core";
  }
  return "unknown";
}

const char* to_string(lock_state state) noexcept {
  switch (state) {
  case lock_state::free:
    return "free";
  case lock_state::held:
    return "held";
  case lock_state::shared:
    return "shared";
  case lock_state::abandoned:
    return "abandoned";
  case lock_state::not_recoverable:
    return "not_recoverable";
  }
  return "unknown";
}

} // namespace deadbolt::inspect
