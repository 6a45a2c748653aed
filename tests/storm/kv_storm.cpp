// SPDX-License-Identifier: MIT
// The table of examples/kv_table.hpp under load. Its users are killed one after the other. After
// each kill the test examines the table: every value is whole, no version decreases, and no key is
// lost.
// Usage: kv_storm [KILLS [SEED [mutant]]]: the mutant's users write without the undo log. Exit
// status 0, 1 for a violation, 2 for bad usage.
#include "../../examples/kv_table.hpp"

#include <deadbolt/region.hpp>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace {

constexpr int users = 4;
constexpr std::uint64_t keys = 32;

using value = char[sizeof(kv::entry::value)];

// A version, then a letter that depends on the version up to the end, which shows torn values.
void write_version(value& to, std::uint64_t version) {
  std::memcpy(to, &version, sizeof version);
  std::memset(to + sizeof version, static_cast<int>('a' + version % 26),
              sizeof to - sizeof version);
}
bool read_version(const char* from, std::uint64_t& version) {
  std::memcpy(&version, from, sizeof version);
  value whole;
  write_version(whole, version);
  return std::memcmp(whole, from, sizeof whole) == 0;
}

void next_version(value& changed) {
  std::uint64_t version = 0;
  std::memcpy(&version, changed, sizeof version);
  write_version(changed, version + 1);
}

[[noreturn]] void use(kv::table& table, std::uint64_t seed, bool without_undo_log) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::minstd_rand random{static_cast<std::minstd_rand::result_type>(seed)};
  for (;;) {
    char key[sizeof(kv::entry::key)];
    std::snprintf(key, sizeof key, "key%u", static_cast<unsigned>(random() % keys));
    if (!table.update(key, next_version)) _exit(3);
    if (!without_undo_log) continue;
    table.for_each([](const char*, const char* at) {
      next_version(*reinterpret_cast<value*>(const_cast<char*>(at)));
    });
  }
}

// Seconds. No process holds the table for more than a moment: one that waits this long is stranded.
constexpr unsigned patience = 20;

} // namespace

// NOLINTNEXTLINE(bugprone-exception-escape): without random numbers the storm cannot run
int main(int count, char** arguments) {
  const long kills = count > 1 ? std::strtol(arguments[1], nullptr, 10) : 10'000;
  const std::uint64_t seed =
      count > 2 ? std::strtoull(arguments[2], nullptr, 10) : std::random_device{}();
  const bool mutant = count > 3 && std::strcmp(arguments[3], "mutant") == 0;
  if (kills <= 0) return 2;
  std::printf("kv_storm: seed %llu (given after the number of kills, it replays them)\n",
              static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  std::mt19937_64 random{seed};
  deadbolt::region region =
      deadbolt::region::create_anonymous("kv_storm", {.size = sizeof(kv::table), .members = 64});
  if (!region) return 2;
  auto& table = *region.find_or_construct<kv::table>("table");

  pid_t pids[users];
  const auto start = [&](pid_t& pid) {
    const std::uint64_t its_seed = random();
    pid = fork();
    if (pid == 0) use(table, its_seed, mutant);
    return pid > 0;
  };
  for (pid_t& pid : pids) {
    if (!start(pid)) return 2;
  }

  std::uint64_t seen[keys] = {};
  std::uint64_t known = 0; // keys that were ever there
  std::uint64_t checked = 0;
  bool whole = true;
  for (long kill_number = 0; kill_number < kills && whole; ++kill_number) {
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 1000));
    pid_t& victim = pids[random() % users];
    kill(victim, SIGKILL);
    int status = 0;
    waitpid(victim, &status, 0);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
      std::printf("a user ended by itself, status %d\n", status);
      return 1;
    }
    alarm(patience);
    std::uint64_t entries = 0;
    table.for_each([&](const char* key, const char* at) {
      ++entries;
      const auto number = std::strtoull(key + 3, nullptr, 10);
      std::uint64_t version = 0;
      const bool fine = std::strncmp(key, "key", 3) == 0 && number < keys &&
                        read_version(at, version) && version >= seen[number] && version > 0;
      if (!fine) {
        std::printf("after kill %ld: %s is torn, or older than it was\n", kill_number, key);
        whole = false;
        return;
      }
      seen[number] = version;
      ++checked;
    });
    alarm(0);
    if (entries < known) {
      std::printf("after kill %ld: %llu keys are there of %llu\n", kill_number,
                  static_cast<unsigned long long>(entries), static_cast<unsigned long long>(known));
      whole = false;
    }
    known = entries;
    if (!start(victim)) return 2;
  }
  for (const pid_t pid : pids) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
  std::printf("kv_storm: %ld kills, %llu recoveries, %llu values checked: %s\n", kills,
              static_cast<unsigned long long>(table.recoveries()),
              static_cast<unsigned long long>(checked), whole ? "whole" : "NOT WHOLE");
  return whole && table.recoveries() > 0 ? 0 : 1;
}
