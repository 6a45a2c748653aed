// SPDX-License-Identifier: MIT
// A database of Debian's whose locks are the libc's robust mutexes in shared memory.
#ifndef DEADBOLT_TESTS_REAL_PROGRAMS_DATABASE_HPP
#define DEADBOLT_TESTS_REAL_PROGRAMS_DATABASE_HPP

#include <memory>
#include <string>
#include <string_view>

namespace real_programs {

// Opened by each process for itself. All calls return what is wrong, or nothing.
class database {
public:
  database() = default;
  database(const database&) = delete;
  database& operator=(const database&) = delete;
  virtual ~database() = default;

  // Takes the writer's lock and changes one of a few records.
  [[nodiscard]] virtual std::string change(unsigned which) = 0;
  // Everything that the database's own check looks at, and that no record is torn.
  [[nodiscard]] virtual std::string check() = 0;
};

inline constexpr unsigned records = 8;

// "lmdb" or "tdb", in an empty directory; the first to open it makes the records. Throws
// std::runtime_error.
[[nodiscard]] std::unique_ptr<database> open_database(std::string_view kind,
                                                      const std::string& directory);

// One record: two equal halves.
struct record {
  unsigned long first = 0;
  unsigned long second = 0;
};

} // namespace real_programs
#endif
