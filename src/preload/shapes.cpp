// SPDX-License-Identifier: MIT
#include "preload/shapes.hpp"

#include <string.h>

namespace deadbolt::preload {
namespace {

// How a function begins, up to the conditional branch that robust kinds take. Compilers have
// arranged glibc's test of the kind in these ways; tests/preload runs the libcs of Debian's suites
// to see that theirs is among them.
struct beginning {
  const char* bytes;
  std::size_t length;
};
template <std::size_t Size>
consteval beginning make_beginning(const char (&bytes)[Size]) {
  return {bytes, Size - 1};
}

// kind = [rdi+16]; edx = kind & 0x17f; kind & 0x7c ?            glibc 2.31; 2.36, 2.41: lock
constexpr beginning masks_both = make_beginning("\x8b\x47\x10\x89\xc2\x81\xe2\x7f\x01\x00\x00\x83"
                                                "\xe0\x7c");
// the same with a test that keeps eax                           2.36, 2.41: unlock
constexpr beginning masks_and_tests =
    make_beginning("\x8b\x47\x10\x89\xc2\x81\xe2\x7f\x01\x00\x00\xa8\x7c");
// kind = [rdi+16]; kind & 0x7c ?                                2.43, 2.44: unlock
constexpr beginning tests = make_beginning("\x8b\x47\x10\xa8\x7c");
// edx = [rdi+16]; a probe's nop; edx & 0x7c ?                   2.43, 2.44: lock
constexpr beginning probes = make_beginning("\x8b\x57\x10\x90\x89\xd0\x83\xe0\x7c");

constexpr beginning unlock_beginnings[] = {masks_both, masks_and_tests, tests};
constexpr beginning lock_beginnings[] = {masks_both, probes};

bool matches(const code_range& code, const unsigned char* at, const void* bytes,
             std::size_t length) noexcept {
  return code.contains(at, length) && memcmp(at, bytes, length) == 0;
}

const unsigned char* skip_endbr(const code_range& code, const unsigned char* at) noexcept {
  return matches(code, at, "\xf3\x0f\x1e\xfa", 4) ? at + 4 : at;
}

// Where the branch whose displacement of 4 bytes ends at `end` goes; nullptr: out of the code.
const unsigned char* target_of(const code_range& code, const unsigned char* end) noexcept {
  std::int32_t displacement;
  memcpy(&displacement, end - sizeof displacement, sizeof displacement);
  const auto target = reinterpret_cast<std::uintptr_t>(end) +
                      static_cast<std::uintptr_t>(std::intptr_t{displacement});
  const auto* const address = reinterpret_cast<const unsigned char*>(target);
  return code.contains(address, 16) ? address : nullptr;
}

constexpr std::size_t jump_length = 5;

bool is_jump(const code_range& code, const unsigned char* at) noexcept {
  return code.contains(at, jump_length) && *at == 0xe9;
}

// In a function that begins at `entry`: follows the branch of the robust kinds to the jmp behind
// it.
template <std::size_t Count>
bool find_jump(const code_range& code, const unsigned char* entry,
               const beginning (&beginnings)[Count], jump_site& site) noexcept {
  const unsigned char* const begin = skip_endbr(code, entry);
  for (const beginning& known : beginnings) {
    if (!matches(code, begin, known.bytes, known.length)) continue;
    const unsigned char* const branch = begin + known.length; // jne, short or near
    const unsigned char* at = nullptr;
    if (code.contains(branch, 2) && branch[0] == 0x75) {
      at = branch + 2 + static_cast<signed char>(branch[1]);
    } else if (code.contains(branch, 6) && branch[0] == 0x0f && branch[1] == 0x85) {
      at = target_of(code, branch + 6);
    }
    if (at == nullptr || !is_jump(code, at)) return false;
    const unsigned char* const target = target_of(code, at + jump_length);
    if (target == nullptr) return false;
    site = {.address = const_cast<unsigned char*>(at), .target = target};
    return true;
  }
  return false;
}

// Finds the internal function by which pthread_cond_wait takes its mutex back: a call or a jump in
// `of`, with a displacement of 4 bytes, leads to it, and it begins like pthread_mutex_lock but is
// another function. Data that looks like a branch leads to no such beginning. Two different targets
// are an error.
bool find_cond_lock(const code_range& code, const function& of, const libc_sites& others,
                    jump_site& site) noexcept {
  if (!code.contains(of.address, of.size)) return false;
  for (std::size_t i = 0; i + jump_length <= of.size; ++i) {
    const unsigned char* const at = of.address + i;
    if (*at != 0xe8 && *at != 0xe9) continue;
    const unsigned char* const target = target_of(code, at + jump_length);
    jump_site found;
    if (target == nullptr || !find_jump(code, target, lock_beginnings, found)) continue;
    // glibc 2.31's release begins like a lock too.
    if (found.target == others.lock.target || found.target == others.unlock.target ||
        found.target == site.target)
      continue;
    if (site.address != nullptr) return false;
    site = found;
  }
  return site.address != nullptr;
}

} // namespace

const char* find_sites(const code_range& code, const libc_entries& entries,
                       libc_sites& sites) noexcept {
  // pthread_mutex_unlock(mutex) is unlock_usercnt(mutex, 1): mov $1, %esi; jmp.
  const unsigned char* const unlock = skip_endbr(code, entries.mutex_unlock.address);
  constexpr std::size_t move_length = 5;
  if (!matches(code, unlock, "\xbe\x01\x00\x00\x00", move_length) ||
      !is_jump(code, unlock + move_length))
    return "unknown glibc: the code at the start of pthread_mutex_unlock";
  const unsigned char* const usercnt = target_of(code, unlock + move_length + jump_length);
  if (usercnt == nullptr || !find_jump(code, usercnt, unlock_beginnings, sites.unlock))
    return "unknown glibc: the code that releases a mutex";
  if (!find_jump(code, entries.mutex_lock.address, lock_beginnings, sites.lock))
    return "unknown glibc: the code at the start of pthread_mutex_lock";
  if (!find_cond_lock(code, entries.cond_wait, sites, sites.cond_lock))
    return "unknown glibc: the code by which pthread_cond_wait locks its mutex again";
  return nullptr;
}

} // namespace deadbolt::preload
