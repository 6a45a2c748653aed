// SPDX-License-Identifier: MIT
#include "kinds.hpp"

#include <cstring>
#include <fcntl.h>
#include <signal.h>
#include <stdexcept>
#include <sys/stat.h>
#include <sys/types.h>

extern "C" {
#include <tdb.h>
}

namespace real_programs {
namespace {

class tdb final : public database {
public:
  explicit tdb(const std::string& directory) {
    // tdb's own check whether TDB_MUTEX_LOCKING works; it forks a child for that.
    if (!tdb_runtime_check_for_robust_mutexes())
      throw std::runtime_error("tdb finds no robust mutexes here");
    context_ = tdb_open((directory + "/records.tdb").c_str(), 0,
                        TDB_MUTEX_LOCKING | TDB_CLEAR_IF_FIRST | TDB_INCOMPATIBLE_HASH | TDB_NOSYNC,
                        O_RDWR | O_CREAT, 0600);
    if (context_ == nullptr) throw std::runtime_error("tdb_open: " + std::string(strerror(errno)));
    for (unsigned which = 0; which < records; ++which) {
      record none;
      const int result =
          tdb_store(context_, key_of(which), {reinterpret_cast<unsigned char*>(&none), sizeof none},
                    TDB_INSERT);
      if (result != 0 && tdb_error(context_) != TDB_ERR_EXISTS)
        throw std::runtime_error(trouble("tdb_store"));
    }
  }
  ~tdb() override { tdb_close(context_); }

  // The new value has the old one's size, so tdb overwrites it in place: a kill cannot damage the
  // database's structure, and tears the two halves only if it comes between their bytes.
  std::string change(unsigned which) override {
    const TDB_DATA key = key_of(which);
    if (tdb_chainlock(context_, key) != 0) return trouble("tdb_chainlock");
    record now{};
    std::string wrong = read(which, now);
    ++now.first;
    now.second = now.first;
    if (wrong.empty() &&
        tdb_store(context_, key, {reinterpret_cast<unsigned char*>(&now), sizeof now},
                  TDB_MODIFY) != 0)
      wrong = trouble("tdb_store");
    if (tdb_chainunlock(context_, key) != 0 && wrong.empty()) wrong = trouble("tdb_chainunlock");
    return wrong;
  }

  std::string check() override {
    if (tdb_check(context_, nullptr, nullptr) != 0) return trouble("tdb_check");
    for (unsigned which = 0; which < records; ++which) {
      record now{};
      if (tdb_chainlock(context_, key_of(which)) != 0) return trouble("tdb_chainlock");
      std::string wrong = read(which, now);
      if (tdb_chainunlock(context_, key_of(which)) != 0) return trouble("tdb_chainunlock");
      if (!wrong.empty()) return wrong;
    }
    return {};
  }

private:
  std::string trouble(const char* what) {
    return std::string(what) + ": " + tdb_errorstr(context_);
  }

  // Points to static memory of this process, which has one thread.
  static TDB_DATA key_of(unsigned which) {
    static unsigned key;
    key = which;
    return {reinterpret_cast<unsigned char*>(&key), sizeof key};
  }

  std::string read(unsigned which, record& out) {
    const TDB_DATA value = tdb_fetch(context_, key_of(which));
    if (value.dptr == nullptr) return trouble("tdb_fetch");
    const bool fits = value.dsize == sizeof out;
    if (fits) std::memcpy(&out, value.dptr, sizeof out);
    free(value.dptr);
    return fits ? "" : "a record has another size";
  }

  tdb_context* context_ = nullptr;
};

} // namespace

std::unique_ptr<database> open_tdb(const std::string& directory) {
  return std::make_unique<tdb>(directory);
}

} // namespace real_programs
