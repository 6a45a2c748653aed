// SPDX-License-Identifier: MIT
// A database library from Debian whose locks are the libc's robust mutexes in shared memory.
#ifndef DEADBOLT_TESTS_REAL_PROGRAMS_DATABASE_HPP
#define DEADBOLT_TESTS_REAL_PROGRAMS_DATABASE_HPP

#include <memory>
#include <string>
#include <string_view>

namespace real_programs {

// Each process opens the database for itself. All calls return a description of what is wrong, or
// an empty string.
class database {
public:
  database() = default;
  database(const database&) = delete;
  database& operator=(const database&) = delete;
  virtual ~database() = default;

  // Takes the writer's lock and changes one of a few records.
  [[nodiscard]] virtual std::string change(unsigned which) = 0;
  // Runs the database's own check, and checks that no record is torn.
  [[nodiscard]] virtual std::string check() = 0;
};

inline constexpr unsigned records = 8;

// Opens a database of this kind ("lmdb" or "tdb") in a directory that is empty at first; the first
// process that opens it creates the records. Throws std::runtime_error.
[[nodiscard]] std::unique_ptr<database> open_database(std::string_view kind,
                                                      const std::string& directory);

// One record: two equal halves.
struct record {
  unsigned long first = 0;
  unsigned long second = 0;
};

} // namespace real_programs
#endif
