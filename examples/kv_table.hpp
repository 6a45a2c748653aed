// SPDX-License-Identifier: MIT
// A key-value table in shared memory that survives kill -9 of any of its users at any
// instruction: a change is either made or not.
//
// One mutex, and a journal of one entry: before an entry changes, what it was is put there,
// and whoever is told that an owner died puts it back. Killed processes leave memory as
// their instructions did, in order, so that keeping the compiler in order is enough.
#ifndef DEADBOLT_EXAMPLES_KV_TABLE_HPP
#define DEADBOLT_EXAMPLES_KV_TABLE_HPP

#include <deadbolt/mutex.hpp>
#include <deadbolt/with_recovery.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <string_view>

namespace kv {

struct entry {
  char key[32];
  char value[96];
};

// Lies in a region; zeroed memory is an empty one.
class table {
public:
  static constexpr std::size_t capacity = 256;

  // Calls change(value) on the value of this key, a new one being all zeros, with the
  // table locked. False if the table is full or the key too long.
  template <class Change>
  bool update(std::string_view key, Change&& change) {
    deadbolt::with_recovery lock{mutex_, [this] { return undo(); }};
    const std::scoped_lock hold{lock};
    if (key.empty() || key.size() >= sizeof(entry::key)) return false;
    const std::size_t index = find(key);
    if (index == capacity) return false;
    entry& changed = entries_[index];
    begin_change(index);
    if (index == used_) {
      std::memcpy(changed.key, key.data(), key.size());
      changed.key[key.size()] = 0;
      ++used_;
    }
    change(changed.value);
    end_change();
    return true;
  }

  // Calls visit(key, value) for each entry, with the table locked.
  template <class Visit>
  void for_each(Visit&& visit) {
    deadbolt::with_recovery lock{mutex_, [this] { return undo(); }};
    const std::scoped_lock hold{lock};
    for (std::size_t i = 0; i < used_; ++i) visit(entries_[i].key, entries_[i].value);
  }

  [[nodiscard]] std::uint64_t recoveries() const { return recoveries_; }

private:
  std::size_t find(std::string_view key) const {
    std::size_t index = 0;
    while (index < used_ && key != entries_[index].key) ++index;
    return index;
  }
  void begin_change(std::size_t index) {
    journal_.was = entries_[index];
    journal_.index = index;
    journal_.used = used_;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    journal_.open = true;
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  void end_change() {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    journal_.open = false;
  }
  // May itself be killed, and is then done again.
  bool undo() {
    ++recoveries_;
    if (journal_.open) {
      entries_[journal_.index] = journal_.was;
      used_ = journal_.used;
      end_change();
    }
    return true;
  }

  struct journal {
    entry was;
    std::uint64_t index;
    std::uint64_t used;
    bool open;
  };

  deadbolt::mutex mutex_;
  std::uint64_t used_ = 0;
  std::uint64_t recoveries_ = 0;
  journal journal_{};
  entry entries_[capacity]{};
};

} // namespace kv
#endif
