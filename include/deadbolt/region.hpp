// SPDX-License-Identifier: MIT
// Shared memory with a table of its users, in which locks need nobody's protection.
#ifndef DEADBOLT_REGION_HPP
#define DEADBOLT_REGION_HPP

#include <deadbolt/detail/abi.hpp>
#include <deadbolt/detail/thread_sanitizer.hpp>

#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>

namespace deadbolt::inline DEADBOLT_ABI {

enum class region_status : std::uint32_t {
  open,               // usable
  closed,             // default-constructed, moved from or closed
  exists,             // create: there is a file of that name
  not_found,          // open: there is none
  not_a_region,       // another kind of file, or an empty one
  unknown_version,    // made by a newer or older format
  damaged,            // the header contradicts itself
  truncated,          // shorter than its header says
  former_boot,        // its members died with an earlier boot: remove the file
  copied,             // a copy of, or moved between filesystems from, the file it says it is
  network_filesystem, // other machines' members could not be seen
  too_many,           // more than region::most_open regions in this process
  invalid_options,    // a size of 0 or too large, or members out of range
  system_error,       // see error(): the errno value of the call that failed
};
[[nodiscard, gnu::visibility("default")]] const char* to_string(region_status status) noexcept;

enum class attach_status : std::uint32_t {
  attached,         // the calling thread is a member, now or already
  table_full,       // every slot belongs to a live thread
  interrupted_libc, // called in a signal handler that interrupted a pthread robust mutex operation
  descriptor_lost,  // the program closed the region's descriptor
  no_robust_list,   // the thread's libc has registered none, or one of a foreign layout
  not_open,         // the region is closed
  system_error,     // out of memory, or /proc is missing
};
[[nodiscard, gnu::visibility("default")]] const char* to_string(attach_status status) noexcept;

namespace detail {
struct open_region;

// What a named object is, for tools that look at a region from outside. A lock says so in
// its own `object_kind`; what holds locks among other things is `other`.
enum class object_kind : std::uint32_t {
  other = 0,
  mutex = 1,
  shared_mutex = 2,
  condition_variable = 3,
  counting_semaphore = 4,
};

template <class T>
constexpr object_kind kind_of() noexcept {
  if constexpr (requires { T::object_kind; }) {
    return static_cast<object_kind>(T::object_kind);
  } else {
    return object_kind::other;
  }
}
} // namespace detail

struct region_options {
  std::size_t size;             // bytes of the caller's data
  std::uint32_t members = 1024; // threads at most, 1 to 16,382; a page of memory each
  unsigned mode = 0600; // permission bits of a new file: who may open it may break its locks
};

// A handle on a region that is mapped into this process. Opening the same file
// twice gives two handles on one mapping. Handles are for one thread at a time;
// the region is for all.
//
// A thread becomes a member at its first lock, or by attach(); it stays one until
// it exits. Linux 4.14 or newer, /proc mounted; a death is noticed at once on 5.16
// or newer, else within 100 ms.
class [[gnu::visibility("default")]] region {
public:
  static constexpr std::uint32_t most_open = 64;

  // A new file; nothing has its name until it is complete, so that a creator
  // may be killed at any instruction.
  static region create(const char* path, const region_options& options) noexcept;
  static region open(const char* path) noexcept;
  static region open_or_create(const char* path, const region_options& options) noexcept;
  // A memfd, sealed against shrinking; hand descriptor() to other processes.
  static region create_anonymous(const char* name, const region_options& options) noexcept;
  // The caller keeps its descriptor.
  static region open_descriptor(int descriptor) noexcept;

  constexpr region() noexcept = default;
  region(region && other) noexcept
      : mapping_{std::exchange(other.mapping_, nullptr)},
        status_{std::exchange(other.status_, region_status::closed)},
        error_{std::exchange(other.error_, 0)} {}
  region& operator=(region&& other) noexcept {
    if (this != &other) {
      close();
      mapping_ = std::exchange(other.mapping_, nullptr);
      status_ = std::exchange(other.status_, region_status::closed);
      error_ = std::exchange(other.error_, 0);
    }
    return *this;
  }
  ~region() {
    close();
  }

  explicit operator bool() const noexcept {
    return mapping_ != nullptr;
  }
  [[nodiscard]] region_status status() const noexcept {
    return status_;
  }
  [[nodiscard]] int error() const noexcept {
    return error_;
  }

  // The caller's memory, zero at first, aligned to a page. nullptr when closed.
  [[nodiscard]] std::byte* data() const noexcept;
  [[nodiscard]] std::size_t size() const noexcept;
  [[nodiscard]] std::uint32_t members() const noexcept;
  [[nodiscard]] int descriptor() const noexcept;

  // Makes the calling thread a member ahead of its first lock, which would end
  // the process where this returns an error. Blocks signals for its duration.
  [[nodiscard]] attach_status attach() noexcept;
  // Ends the calling thread's membership; false when it was none, or when it cannot
  // be ended now. Locks that it still holds pass on as owner_died.
  bool detach() noexcept;

  // A T at this offset of the data, or nullptr if it would not fit or is misaligned.
  template <class T>
  [[nodiscard]] T* at(std::size_t offset) const noexcept {
    static_assert(std::is_standard_layout_v<T>, "other processes must agree on its layout");
    if (offset > size() || sizeof(T) > size() - offset || offset % alignof(T) != 0) return nullptr;
    return std::launder(reinterpret_cast<T*>(data() + offset));
  }

  // The object of this name (at most 39 bytes), made from `arguments` by whoever asks
  // first; an object whose maker died half-way is made anew. nullptr when there is
  // no room for it, or an object of that name has another size. Attaches the thread.
  // Named objects fill the data from its start.
  template <class T, class... Arguments>
  [[nodiscard]] T* find_or_construct(const char* name, Arguments&&... arguments) {
    static_assert(std::is_standard_layout_v<T>, "other processes must agree on its layout");
    bool fresh = false;
    void* const place = [&] {
      [[maybe_unused]] const detail::thread_sanitizer_ignores names;
      return begin_construct(name, sizeof(T), alignof(T), detail::kind_of<T>(), fresh);
    }();
    if (place == nullptr) return nullptr;
    if (!fresh) {
      detail::thread_sanitizer_acquires(place);
      return std::launder(static_cast<T*>(place));
    }
    construction maker{*this, name};
    T* object = ::new (place) T(std::forward<Arguments>(arguments)...);
    maker.made = true;
    detail::thread_sanitizer_unlocks(place);
    return object;
  }

  // Unmaps the region when this was its last handle. No thread may start an operation on
  // its locks, or wait for one; the calling thread is detached first. False when another
  // thread was still in an unlock() after a second: the memory stays mapped then.
  bool close() noexcept;

private:
  region(detail::open_region * mapping, region_status status, int error) noexcept
      : mapping_{mapping}, status_{status}, error_{error} {}
  friend struct region_access;

  // Ends a construction, as undone when T's constructor throws.
  struct construction {
    region& in;
    const char* name;
    bool made = false;
    ~construction() { in.end_construct(name, made); }
  };

  // With `fresh` set the directory is locked until end_construct().
  void* begin_construct(const char* name, std::size_t size, std::size_t alignment,
                        detail::object_kind kind, bool& fresh) noexcept;
  void end_construct(const char* name, bool made) noexcept;

  detail::open_region* mapping_ = nullptr;
  region_status status_ = region_status::closed;
  int error_ = 0;
};

} // namespace deadbolt::inline DEADBOLT_ABI
#endif
