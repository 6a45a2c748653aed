// SPDX-License-Identifier: MIT
#include "crash/libc_functions.hpp"

#include "crash/failure.hpp"
#include "preload/finder.hpp"

#include <dlfcn.h>
#include <string>
#include <unistd.h>

namespace deadbolt::crash {
namespace {

template <class Function>
void find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr) throw failure{std::string{"the preload library has no "} + name};
}

libc_functions load() {
  const std::optional<std::string> path = preload::find_library();
  if (!path) throw failure{"libdeadbolt-pthread.so is not beside this command"};
  void* const library = dlopen(path->c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw failure{dlerror()};
  const preload::process_look look = preload::look_at(getpid());
  if (look.said.level != preload::level::hook)
    throw failure{std::string{"the preload library does not hook this libc: "} + look.said.reason};
  libc_functions found{};
  find(library, "pthread_mutex_lock", found.lock);
  find(library, "pthread_mutex_trylock", found.try_lock);
  find(library, "pthread_mutex_unlock", found.unlock);
  return found;
}

} // namespace

const libc_functions& stock_libc() {
  static const libc_functions functions{.lock = pthread_mutex_lock,
                                        .try_lock = pthread_mutex_trylock,
                                        .unlock = pthread_mutex_unlock};
  return functions;
}

const libc_functions& preloaded_libc() {
  static const libc_functions functions = load();
  return functions;
}

} // namespace deadbolt::crash
