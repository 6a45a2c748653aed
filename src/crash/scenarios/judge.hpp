// SPDX-License-Identifier: MIT
// The looks that scenarios share. Each returns what is wrong, or nothing.
#ifndef DEADBOLT_CRASH_SCENARIOS_JUDGE_HPP
#define DEADBOLT_CRASH_SCENARIOS_JUDGE_HPP

#include "crash/helper_process.hpp"

#include <cstddef>
#include <string>
#include <sys/types.h>

namespace deadbolt::crash {

// Memory that was filled with `tid` no longer is.
[[nodiscard]] std::string find_damage(const void* memory, std::size_t length, pid_t tid);

// A lock whose owner has died does not go to the next one with what is `right` to say, or
// is no longer a lock after that.
[[nodiscard]] std::string find_lost(const strings& prober, void* lock, grant right);
// The same where the kernel may instead have released it in the dead one's name; says
// in `told` what the next one is told.
[[nodiscard]] std::string find_lost_or_released(const strings& prober, void* lock, grant& told);

// A released lock is taken, made consistent if need be, and released.
[[nodiscard]] std::string take_and_release(const strings& actor, void* lock);

// `holder` was given the lock with `answer`: after it has made it consistent and
// released it, `next` takes it and releases it as if nothing had been.
[[nodiscard]] std::string release_and_take_again(const strings& holder, const strings& next,
                                                 void* lock, grant answer);

} // namespace deadbolt::crash
#endif
