// SPDX-License-Identifier: MIT
// Makes a critical section all or nothing: if its owner dies half-way, the next owner puts
// back what the section had changed.
//
//   struct bank {
//     deadbolt::mutex mutex;
//     long checking = 1000, savings = 0;
//     deadbolt::undo_log<64> log;
//   };
//
//   deadbolt::with_recovery lock{shared->mutex, [&] { return shared->log.roll_back(); }};
//   std::scoped_lock hold{lock};
//   deadbolt::transaction transfer{shared->log};
//   transfer.edit(shared->checking) -= 100;
//   transfer.edit(shared->savings) += 100;
//   transfer.commit();
#ifndef DEADBOLT_UNDO_LOG_HPP
#define DEADBOLT_UNDO_LOG_HPP

#include <deadbolt/detail/abi.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <type_traits>

namespace deadbolt::inline DEADBOLT_ABI {

// The log of one lock. It lies in the same mapping as the data, because it records an object as
// its distance from the log, which is the same wherever a process maps both. Zeroed memory is
// an empty log. Each edit() takes the object's size and 16 bytes of `Bytes` until the section
// commits.
//
// death order: (a comment with these words says what is in memory if the thread is killed at that
// line; docs/protocol.md) a killed thread leaves in memory every store before the instruction at
// which it was killed, and none after. The stores are in order if the compiler keeps them so, for
// which signal fences are enough. The next owner sees them, because it acquires the lock after the
// kernel marked the death.
//
//                 first                  then                     killed in between
//   edit()        the record is whole    used_ includes it        the object is unchanged
//                 used_ includes it      the section writes       rolled back, written or not
//   commit()      the section wrote      used_ is 0               all of it is rolled back
//   roll_back()   an object is restored  used_ drops its record   restored again, to the same
//
// roll_back() goes from the last record to the first, so that an object that was edited
// twice ends as it was before the first edit.
template <std::size_t Bytes>
class undo_log {
public:
  // Puts back what a section changed and did not commit. False if the log is damaged: then the data
  // cannot be trusted. Only the lock's holder may call it.
  bool roll_back() noexcept {
    std::uint32_t left = used();
    while (left != 0) {
      record saved;
      if (left > Bytes || left < sizeof saved) return false;
      std::memcpy(&saved, records_ + left - sizeof saved, sizeof saved);
      if (saved.size > left - sizeof saved) return false;
      left -= static_cast<std::uint32_t>(sizeof saved + saved.size);
      std::memcpy(reinterpret_cast<char*>(this) + saved.distance, records_ + left, saved.size);
      use(left);
    }
    return true;
  }

  // Whether there is nothing to put back.
  [[nodiscard]] bool empty() const noexcept { return used() == 0; }

private:
  template <std::size_t>
  friend class transaction;

  // Follows the saved bytes of an object.
  struct record {
    std::int64_t distance; // from the log to the object
    std::uint64_t size;
  };

  void save(const void* object, std::size_t size) {
    const std::uint32_t begin = used();
    const record saved{reinterpret_cast<const char*>(object) - reinterpret_cast<const char*>(this),
                       size};
    if (size > Bytes || begin + size + sizeof saved > Bytes) {
      throw std::length_error{"deadbolt: an undo_log is full: give it more bytes"};
    }
    std::memcpy(records_ + begin, object, size);
    std::memcpy(records_ + begin + size, &saved, sizeof saved);
    use(static_cast<std::uint32_t>(begin + size + sizeof saved));
  }

  [[nodiscard]] std::uint32_t used() const noexcept {
    return __atomic_load_n(&used_, __ATOMIC_RELAXED);
  }
  void use(std::uint32_t bytes) noexcept {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    __atomic_store_n(&used_, bytes, __ATOMIC_RELAXED);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }

  alignas(8) std::uint32_t used_ = 0; // bytes of records_ in use
  unsigned char records_[Bytes] = {};
};

// One critical section's changes. Construct it after the lock is acquired; its destructor
// rolls back unless commit() was called. One at a time for a log.
template <std::size_t Bytes>
class transaction {
public:
  // Throws std::logic_error if the log has something to put back.
  explicit transaction(undo_log<Bytes>& log) : log_{log} {
    if (!log.empty()) {
      throw std::logic_error{"deadbolt: an undo_log holds another transaction's changes: call "
                             "roll_back() when the lock returns owner_died"};
    }
  }
  transaction(const transaction&) = delete;
  transaction& operator=(const transaction&) = delete;
  ~transaction() { log_.roll_back(); }

  // Saves the object, which is then the caller's to change. Throws std::length_error when
  // the log is full.
  template <class T>
  T& edit(T& object) {
    static_assert(std::is_trivially_copyable_v<T>, "the log saves and restores bytes");
    log_.save(&object, sizeof object);
    return object;
  }

  // Keeps the changes: roll_back() has nothing to put back any more.
  void commit() noexcept { log_.use(0); }

private:
  undo_log<Bytes>& log_;
};

} // namespace deadbolt::inline DEADBOLT_ABI
#endif
