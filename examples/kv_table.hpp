// SPDX-License-Identifier: MIT
// A key-value table in shared memory that survives kill -9 of any of its users at any
// instruction: a change is either made or not. One mutex, and an undo log for one entry.
#ifndef DEADBOLT_EXAMPLES_KV_TABLE_HPP
#define DEADBOLT_EXAMPLES_KV_TABLE_HPP

#include <deadbolt/mutex.hpp>
#include <deadbolt/undo_log.hpp>
#include <deadbolt/with_recovery.hpp>

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

// A table lies in a region; zeroed memory is an empty table.
class table {
public:
  static constexpr std::size_t capacity = 256;

  // Calls change(value) on the value of this key, with the table locked; a new key's value
  // is all zeros. False if the table is full or the key too long.
  template <class Change>
  bool update(std::string_view key, Change&& change) {
    deadbolt::with_recovery lock{mutex_, [this] { return recover(); }};
    const std::scoped_lock hold{lock};
    if (key.empty() || key.size() >= sizeof(entry::key)) return false;
    const std::size_t index = find(key);
    if (index == capacity) return false;
    deadbolt::transaction transaction{log_};
    entry& changed = transaction.edit(entries_[index]);
    if (index == used_) {
      std::memcpy(changed.key, key.data(), key.size());
      changed.key[key.size()] = 0;
      ++transaction.edit(used_);
    }
    change(changed.value);
    transaction.commit();
    return true;
  }

  // Calls visit(key, value) for each entry, with the table locked.
  template <class Visit>
  void for_each(Visit&& visit) {
    deadbolt::with_recovery lock{mutex_, [this] { return recover(); }};
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
  bool recover() {
    ++recoveries_;
    return log_.roll_back();
  }

  deadbolt::mutex mutex_;
  std::uint64_t used_ = 0;
  std::uint64_t recoveries_ = 0;
  deadbolt::undo_log<256> log_;
  entry entries_[capacity]{};
};

} // namespace kv
#endif
