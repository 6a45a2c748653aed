// SPDX-License-Identifier: MIT
// The mutex of a region's directory of named objects, which also makes growth one at a time.
#ifndef DEADBOLT_REGION_DIRECTORY_LOCK_HPP
#define DEADBOLT_REGION_DIRECTORY_LOCK_HPP

#include <deadbolt/mutex.hpp>
#include <deadbolt/region.hpp>
#include <region/open_region.hpp>

namespace deadbolt::regions {

// Holds the mutex until the end of its scope, or beyond it: see keep(). What it protects is valid
// after the death of its owner at any instruction, so owner_died is acquired.
class directory_lock {
public:
  explicit directory_lock(open_region& region) noexcept;
  directory_lock(const directory_lock&) = delete;
  directory_lock& operator=(const directory_lock&) = delete;
  ~directory_lock() {
    if (status_ == construct_status::found && !kept_) release(region_);
  }

  // `found`: it is held. Else why not.
  [[nodiscard]] construct_status status() const noexcept { return status_; }
  // Leaves the mutex locked; the caller calls release() later.
  void keep() noexcept { kept_ = true; }
  static void release(open_region& region) noexcept;

private:
  open_region& region_;
  construct_status status_;
  bool kept_ = false;
};

} // namespace deadbolt::regions
#endif
