// SPDX-License-Identifier: MIT
// guard_unlocker FD: locks and unlocks the words of an array, one after another, with the library's
// unlock, until it is killed.
#include "unlock_field.hpp"
#include "victim_memory.hpp"

#include <cstdlib>
#include <deadbolt/robust_futex.h>
#include <unistd.h>

using namespace guard_test;

int main(int argc, char** argv) {
  if (argc != 2) return 97;
  ::alarm(50);
  void* shared = map_shared(std::atoi(argv[1]), sizeof(unlock_field));
  robust_list_head* head = this_threads_robust_head();
  if (shared == MAP_FAILED || head == nullptr) return 96;
  auto& field = *static_cast<unlock_field*>(shared);
  const auto tid = static_cast<std::uint32_t>(::gettid());
  field.tid = tid;
  for (std::uint32_t round = 0;; ++round) {
    std::atomic<std::uint32_t>& word = field.word(round);
    *const_cast<robust_list* volatile*>(&head->list_op_pending) = entry_of(word, *head);
    word.store(tid, std::memory_order_relaxed);
    field.locked.store(round + 1, std::memory_order_relaxed);
    robust_futex_unlock(reinterpret_cast<std::uint32_t*>(&word), head);
  }
}
