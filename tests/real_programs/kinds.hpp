// SPDX-License-Identifier: MIT
// Each kind of database has a file of its own.
#ifndef DEADBOLT_TESTS_REAL_PROGRAMS_KINDS_HPP
#define DEADBOLT_TESTS_REAL_PROGRAMS_KINDS_HPP

#include "database.hpp"

namespace real_programs {
[[nodiscard]] std::unique_ptr<database> open_lmdb(const std::string& directory);
[[nodiscard]] std::unique_ptr<database> open_tdb(const std::string& directory);
} // namespace real_programs
#endif
