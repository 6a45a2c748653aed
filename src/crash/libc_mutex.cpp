// SPDX-License-Identifier: MIT
#include "crash/libc_mutex.hpp"

#include "crash/failure.hpp"
#include "crash/locks.hpp"
#include "preload/finder.hpp"
#include "preload/mutex_view.hpp"
#include "robust/engine.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <linux/futex.h>
#include <optional>
#include <pthread.h>
#include <string>
#include <unistd.h>

namespace deadbolt::crash {
namespace {

// The victim's way to release it.
enum class release : std::uint8_t {
  unlock,
  wait, // pthread_cond_wait, in which it then sleeps
  // The release inside pthread_mutex_lock, when that finds the mutex not recoverable. Before it
  // the victim does not hold the mutex.
  refusal,
};
// The libc's functions as they are, or with libdeadbolt-pthread.so in front of them.
enum class libc_kind : std::uint8_t { stock, preloaded };

struct libc_functions {
  decltype(&pthread_mutex_lock) lock = pthread_mutex_lock;
  decltype(&pthread_mutex_trylock) try_lock = pthread_mutex_trylock;
  decltype(&pthread_mutex_unlock) unlock = pthread_mutex_unlock;
  // By its address, so that no victim is stepped through the loader's search for it.
  decltype(&pthread_cond_wait) wait = pthread_cond_wait;
};

template <class Function>
void find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr) throw failure{std::string{"the preload library has no "} + name};
}

// Loads the library into this process. That cannot be undone: from then on pthread_cond_wait runs
// the library's code too, here and in processes that are forked later.
libc_functions load_preload_library() {
  const std::optional<std::string> path = preload::find_library();
  if (!path) throw failure{"libdeadbolt-pthread.so is not beside this command"};
  void* const library = dlopen(path->c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw failure{dlerror()};
  libc_functions found;
  find(library, "pthread_mutex_lock", found.lock);
  find(library, "pthread_mutex_trylock", found.try_lock);
  find(library, "pthread_mutex_unlock", found.unlock);
  return found;
}

// The level interpose is accepted only if DEADBOLT_PRELOAD asks for it. Otherwise the rows of a
// libc that cannot be hooked would look like those of a hooked one.
void require_level(bool only_hook) {
  static const preload::status said = preload::look_at(getpid()).said;
  const char* const asked = std::getenv("DEADBOLT_PRELOAD");
  const bool interpose_will_do = !only_hook && said.level == preload::level::interpose &&
                                 asked != nullptr && std::strstr(asked, "interpose") != nullptr;
  if (said.level != preload::level::hook && !interpose_will_do)
    throw failure{std::string{"the preload library does not hook this libc: "} + said.reason};
}

class libc_mutex final : public subject {
public:
  // protocol: PTHREAD_PRIO_NONE or PTHREAD_PRIO_INHERIT.
  libc_mutex(std::string_view name, std::string_view summary, int protocol, libc_kind libc,
             release way) noexcept
      : subject{facts_of(name, summary, libc, way)}, protocol_{protocol}, libc_{libc}, way_{way} {}

  // The first step of a trial, before it forks: all of its processes get the library. What is
  // looked up here is not stepped through in the victim.
  [[nodiscard]] void* map_memory(std::size_t length) const override {
    static_cast<void>(functions());
    if (libc_ == libc_kind::preloaded) require_level(way_ == release::wait);
    return subject::map_memory(length);
  }
  [[nodiscard]] std::size_t size() const override { return sizeof(pthread_mutex_t); }
  void create(void* lock) const override {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setprotocol(&attributes, protocol_);
    std::memset(lock, 0, sizeof(pthread_mutex_t));
    pthread_mutex_init(at(lock), &attributes);
    pthread_mutexattr_destroy(&attributes);
    if (way_ == release::refusal) {
      at(lock)->__data.__owner = preload::owner_not_recoverable;
      at(lock)->__data.__count = not_refused_yet;
    }
  }
  void destroy(void* lock) const override { pthread_mutex_destroy(at(lock)); }
  grant lock(void* lock) const override {
    // A mutex that is not recoverable has no waiters.
    if (is_before_refusal(lock)) return grant::acquired;
    return grant_of_error(functions().lock(at(lock)));
  }
  grant try_lock(void* lock) const override {
    if (way_ != release::refusal || is_recoverable(lock))
      return grant_of_error(functions().try_lock(at(lock)));
    // glibc's trylock keeps the word of a mutex that is not recoverable. Its lock releases it, but
    // would wait for ever for a word whose owner died without a mark.
    const std::uint32_t word = *static_cast<const std::uint32_t*>(lock);
    const bool is_free = (word & FUTEX_TID_MASK) == 0 || (word & FUTEX_OWNER_DIED) != 0;
    return is_free ? grant_of_error(functions().lock(at(lock))) : grant::busy;
  }
  bool unlock(void* lock) const override {
    if (way_ == release::refusal && !is_recoverable(lock)) return true;
    return functions().unlock(at(lock)) == 0;
  }
  grant victims_lock(void* lock) const override {
    return way_ == release::refusal ? grant::acquired : this->lock(lock);
  }
  bool victims_unlock(void* lock) const override {
    if (way_ == release::unlock) return unlock(lock);
    if (way_ == release::refusal) return functions().lock(at(lock)) == ENOTRECOVERABLE;
    // In the victim's own memory: no other process has a part in it.
    static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    return functions().wait(&condition, at(lock)) == 0;
  }
  void mark_consistent(void* lock) const override { pthread_mutex_consistent(at(lock)); }
  [[nodiscard]] bool held_by(const void* lock, pid_t tid) const override {
    // While the victim is inside lock the mutex must not be destroyed, so it counts as held from
    // the start of the operation. glibc sets __count to 0 just before it releases a mutex that it
    // refuses, which shows that the release has begun.
    if (is_before_refusal(lock)) return true;
    // glibc's lock word is the first of a pthread_mutex_t.
    return is_owned_by(static_cast<const std::uint32_t*>(lock), tid);
  }
  // A thread owns a mutex that is not recoverable only for the few instructions in which its lock
  // looks at it. If the thread dies there, the kernel marks the word, and the next lock returns
  // EOWNERDEAD.
  [[nodiscard]] grant next_owner_is_told(const void* lock) const override {
    const bool is_free = (*static_cast<const std::uint32_t*>(lock) & FUTEX_TID_MASK) == 0;
    return way_ == release::refusal && is_free ? grant::acquired : grant::owner_died;
  }

private:
  static constexpr unsigned not_refused_yet = 7;

  [[nodiscard]] bool is_before_refusal(const void* lock) const noexcept {
    return way_ == release::refusal &&
           static_cast<const pthread_mutex_t*>(lock)->__data.__count == not_refused_yet;
  }
  static bool is_recoverable(const void* lock) noexcept {
    return static_cast<const pthread_mutex_t*>(lock)->__data.__owner !=
           preload::owner_not_recoverable;
  }
  static subject_facts facts_of(std::string_view name, std::string_view summary, libc_kind libc,
                                release way) noexcept {
    const bool preloaded = libc == libc_kind::preloaded;
    const robust::engine& engine = robust::this_engine();
    return {.name = name,
            .summary = summary,
            .engine = preloaded ? engine.name : "libc",
            .ours = preloaded,
            .protected_by_itself = preloaded && engine.protected_by_kernel,
            // Whoever finds that it is not recoverable does not wait.
            .can_have_waiters = way != release::refusal,
            .by_name_only = preloaded || way != release::unlock};
  }
  [[nodiscard]] const libc_functions& functions() const {
    static const libc_functions of_libc;
    if (libc_ == libc_kind::stock) return of_libc;
    static const libc_functions of_library = load_preload_library();
    return of_library;
  }
  static pthread_mutex_t* at(void* lock) noexcept { return static_cast<pthread_mutex_t*>(lock); }
  [[nodiscard]] grant grant_of_error(int error) const noexcept {
    switch (error) {
    case 0:
      return grant::acquired;
    case EOWNERDEAD:
      return grant::owner_died;
    case ENOTRECOVERABLE:
      // The right answer for the subject that is not recoverable.
      return way_ == release::refusal ? grant::acquired : grant::not_recoverable;
    case EBUSY:
      return grant::busy;
    default:
      return grant::failed;
    }
  }

  int protocol_;
  libc_kind libc_;
  release way_;
};

} // namespace

std::span<const subject* const> libc_subjects() {
  using enum libc_kind;
  using enum release;
  constexpr int plain = PTHREAD_PRIO_NONE;
  constexpr int inherit = PTHREAD_PRIO_INHERIT;
  static const std::array subjects{
      libc_mutex{"glibc", "the libc's pthread_mutex_t, robust and process-shared", plain, stock,
                 unlock},
      libc_mutex{"glibc_pi",
                 "the libc's pthread_mutex_t, robust, process-shared, with priority inheritance",
                 inherit, stock, unlock},
      libc_mutex{"glibc_cond", "glibc's; the victim releases it in pthread_cond_wait", plain, stock,
                 wait},
      libc_mutex{"glibc_refused", "glibc's, not recoverable; the victim's lock releases it again",
                 plain, stock, refusal},
      libc_mutex{"glibc_refused_pi", "the same, with priority inheritance", inherit, stock,
                 refusal},
      libc_mutex{"glibc_preload", "glibc's, in programs that have libdeadbolt-pthread.so", plain,
                 preloaded, unlock},
      libc_mutex{"glibc_preload_pi", "the same, with priority inheritance", inherit, preloaded,
                 unlock},
      libc_mutex{"glibc_preload_cond", "glibc_cond, in programs that have the library", plain,
                 preloaded, wait},
      libc_mutex{"glibc_preload_pi_cond", "the same, with priority inheritance", inherit, preloaded,
                 wait},
      libc_mutex{"glibc_preload_refused", "glibc_refused, in programs that have the library", plain,
                 preloaded, refusal},
      libc_mutex{"glibc_preload_refused_pi", "the same, with priority inheritance", inherit,
                 preloaded, refusal}};
  static const auto all = [] {
    std::array<const subject*, subjects.size()> found{};
    std::ranges::transform(subjects, found.begin(), [](const subject& each) { return &each; });
    return found;
  }();
  return all;
}

} // namespace deadbolt::crash
