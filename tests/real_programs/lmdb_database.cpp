// SPDX-License-Identifier: MIT
#include "kinds.hpp"

#include <cstring>
#include <lmdb.h>
#include <stdexcept>

namespace real_programs {
namespace {

void must(int error, const char* what) {
  if (error != 0) throw std::runtime_error(std::string(what) + ": " + mdb_strerror(error));
}

class lmdb final : public database {
public:
  explicit lmdb(const std::string& directory) {
    must(mdb_env_create(&environment_), "mdb_env_create");
    // No sync: this tests locks, not durability, and a disk would be the bottleneck.
    must(mdb_env_open(environment_, directory.c_str(), MDB_NOSYNC, 0600), "mdb_env_open");
    int dead = 0;
    // Removes the entries of readers that were killed.
    must(mdb_reader_check(environment_, &dead), "mdb_reader_check");
    MDB_txn* transaction = nullptr;
    must(mdb_txn_begin(environment_, nullptr, 0, &transaction), "mdb_txn_begin");
    must(mdb_dbi_open(transaction, nullptr, 0, &table_), "mdb_dbi_open");
    for (unsigned which = 0; which < records; ++which) {
      record none;
      MDB_val key{sizeof which, &which};
      MDB_val value{sizeof none, &none};
      const int error = mdb_put(transaction, table_, &key, &value, MDB_NOOVERWRITE);
      if (error != MDB_KEYEXIST) must(error, "mdb_put");
    }
    must(mdb_txn_commit(transaction), "mdb_txn_commit");
  }
  ~lmdb() override { mdb_env_close(environment_); }

  std::string change(unsigned which) override {
    MDB_txn* transaction = nullptr;
    if (const int error = mdb_txn_begin(environment_, nullptr, 0, &transaction))
      return std::string("mdb_txn_begin: ") + mdb_strerror(error);
    record now{};
    std::string trouble = read(transaction, which, now);
    ++now.first;
    ++now.second;
    MDB_val key{sizeof which, &which};
    MDB_val value{sizeof now, &now};
    if (const int error = mdb_put(transaction, table_, &key, &value, 0); error && trouble.empty())
      trouble = std::string("mdb_put: ") + mdb_strerror(error);
    if (!trouble.empty()) {
      mdb_txn_abort(transaction);
      return trouble;
    }
    const int error = mdb_txn_commit(transaction);
    return error == 0 ? "" : std::string("mdb_txn_commit: ") + mdb_strerror(error);
  }

  std::string check() override {
    MDB_txn* transaction = nullptr;
    if (const int error = mdb_txn_begin(environment_, nullptr, MDB_RDONLY, &transaction))
      return std::string("mdb_txn_begin: ") + mdb_strerror(error);
    std::string trouble;
    for (unsigned which = 0; which < records && trouble.empty(); ++which) {
      record now{};
      trouble = read(transaction, which, now);
    }
    MDB_stat statistics{};
    if (trouble.empty() &&
        (mdb_stat(transaction, table_, &statistics) != 0 || statistics.ms_entries != records))
      trouble = "it has " + std::to_string(statistics.ms_entries) + " records";
    mdb_txn_abort(transaction);
    return trouble;
  }

private:
  std::string read(MDB_txn* transaction, unsigned which, record& out) const {
    MDB_val key{sizeof which, &which};
    MDB_val value{};
    if (const int error = mdb_get(transaction, table_, &key, &value))
      return std::string("mdb_get: ") + mdb_strerror(error);
    if (value.mv_size != sizeof out) return "a record has another size";
    std::memcpy(&out, value.mv_data, sizeof out);
    return out.first == out.second ? "" : "a record is torn";
  }

  MDB_env* environment_ = nullptr;
  MDB_dbi table_ = 0;
};

} // namespace

std::unique_ptr<database> open_lmdb(const std::string& directory) {
  return std::make_unique<lmdb>(directory);
}

} // namespace real_programs
