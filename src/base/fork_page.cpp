// SPDX-License-Identifier: MIT
#include <base/fork_page.hpp>

#include <sys/mman.h>

namespace deadbolt::base {

void* fork_page(void*& slot, bool& made) noexcept {
  made = false;
  // order: acquire, pairs with the release of the compare-exchange below.
  void* page = __atomic_load_n(&slot, __ATOMIC_ACQUIRE);
  if (page != nullptr) return page;
  void* mapped =
      mmap(nullptr, fork_page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  if (madvise(mapped, fork_page_size, MADV_WIPEONFORK) != 0) {
    munmap(mapped, fork_page_size);
    return nullptr;
  }
  // order: release for the page's mapping, acquire for another thread's page.
  made =
      __atomic_compare_exchange_n(&slot, &page, mapped, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
  if (made) return mapped;
  munmap(mapped, fork_page_size);
  return page;
}

} // namespace deadbolt::base
