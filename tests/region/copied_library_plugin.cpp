// SPDX-License-Identifier: MIT
// A plugin with a copy of the library of its own; see copied_library_test.cpp.
#include <deadbolt/mutex.hpp>
#include <deadbolt/region.hpp>
#include <deadbolt/shared_mutex.hpp>

#include <cstring>

using namespace std::chrono_literals;

namespace {

struct board {
  deadbolt::mutex lock;
  deadbolt::mutex other;
  deadbolt::shared_mutex table;
};

deadbolt::region shared;
board* data = nullptr;

} // namespace

extern "C" {

[[gnu::visibility("default")]] const char* plugin_open(const char* path) {
  shared = deadbolt::region::open_or_create(path, {.size = 4096, .members = 16});
  if (shared) data = shared.find_or_construct<board>("board");
  return to_string(shared.status());
}

// "lock", "try_lock", "unlock", "mark_consistent" of the first mutex; "lock_other" of the second;
// "read" and "end_read" of the shared_mutex; "detach", "close".
[[gnu::visibility("default")]] const char* plugin_call(const char* what) {
  const auto is = [&](const char* name) { return std::strcmp(what, name) == 0; };
  if (is("lock")) return to_string(data->lock.try_lock_for(10s).status());
  if (is("try_lock")) return to_string(data->lock.try_lock().status());
  if (is("unlock")) return to_string(data->lock.unlock());
  if (is("mark_consistent")) return data->lock.mark_consistent() ? "true" : "false";
  if (is("lock_other")) return to_string(data->other.try_lock_for(10s).status());
  if (is("unlock_other")) return to_string(data->other.unlock());
  if (is("read")) return to_string(data->table.try_lock_shared_for(10s).status());
  if (is("end_read")) return to_string(data->table.unlock_shared());
  if (is("write")) return to_string(data->table.try_lock_for(10s).status());
  if (is("end_write")) return to_string(data->table.unlock());
  if (is("detach")) return shared.detach() ? "true" : "false";
  if (is("close")) return shared.close() ? "true" : "false";
  return "unknown call";
}

// Something whose address tells the copies apart.
[[gnu::visibility("default")]] const void* plugin_copy() {
  return reinterpret_cast<const void*>(
      static_cast<deadbolt::region (*)(const char*)>(&deadbolt::region::open));
}
}
