// SPDX-License-Identifier: MIT
// Shared memory with a table of its users, whose locks need no guard and no kernel patch.
#ifndef DEADBOLT_REGION_HPP
#define DEADBOLT_REGION_HPP

#include <deadbolt/detail/abi.hpp>
#include <deadbolt/detail/thread_sanitizer.hpp>
#include <deadbolt/region_status.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>

namespace deadbolt::inline DEADBOLT_ABI {

namespace detail {
struct open_region;

// The type of a named object, for tools that read a region's file. A lock type states it as
// its `object_kind`; every other type, such as a struct with locks in it, is `other`.
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

// What a named object is, as the iteration over a region's objects shows it.
using object_kind = detail::object_kind;
struct object_info {
  char name[40];
  std::size_t offset; // from the start of the data
  std::size_t size;
  object_kind kind;
};

struct region_options {
  std::size_t size; // bytes of the caller's data
  // The most threads that can be members at a time, 1 to 16,382. The table takes a page of memory
  // for each slot that was ever used (slots are reused), and at least 8 pages, or
  // `members` if that is less.
  std::uint32_t members = 1024;
  // Permission bits of a new file, whatever the umask. (The kernel gives a memfd 0777: a process
  // that is given a descriptor of it, also one to read, can open it for writing.) A process that
  // may write the file can break its locks and, unless it is a memfd, truncate it.
  unsigned mode = 0600;
  // open_or_create, open_or_replace: accept a file of another user in a directory where
  // everybody may create files (sticky, as /tmp and /dev/shm). Files of root and of the
  // directory's owner are always accepted.
  bool any_owner = false;
  // Bytes of data up to which grow() can go; 0: as `size`. Each process reserves that many
  // addresses, and no memory.
  std::size_t largest = 0;
};

// A handle on a region that is mapped into this process. Opening the same file
// twice gives two handles on one mapping. Threads may share a handle: all that is const may be
// called by several at the same time. What changes the handle itself (moves, assignment, close())
// may not be called together with anything else.
//
// A thread becomes a *member* at its first lock, or by attach(), and stays one until it exits or
// detaches. A member has a *slot*, a page of the region's table. When the thread dies, the kernel
// marks a word in its slot, which it finds by the thread's robust list (the one that the libc
// registers for pthread's robust mutexes); it never writes to the locks. Each process also has a
// *membership lock*: a file lock on the region's file that ends with the process, and by which
// other processes notice a death that the kernel did not mark. To attach needs neither a privilege
// nor /proc once the region is open, and no descriptor on Linux 5.14 or newer.
//
// Needs Linux 4.14. A death is noticed at once on 5.16 or newer, else within 100 ms; if the kernel
// writes a core dump, when the dump is complete. For the exceptions see <deadbolt/mutex.hpp>.
class [[gnu::visibility("default")]] region {
public:
  static constexpr std::uint32_t most_open = 64;
  static constexpr std::uint32_t most_names = 4159;

  // Creates a file, which gets its name only when it is complete: a creator may be killed at
  // any instruction.
  static region create(const char* path, const region_options& options) noexcept;
  // A file from before a reboot, or a copy, keeps its data. If no process has the membership locks
  // of its former members, they are dead, and every lock that they held passes on as owner_died. A
  // member without a membership lock may be alive: if one is left in the table, and no process that
  // has such a lock uses the file, the file is refused (former_boot, copied). Another boot id,
  // device or inode is no proof of its death, because containers that run at the same time can show
  // different ones.
  static region open(const char* path) noexcept;
  static region open_or_create(const char* path, const region_options& options) noexcept;
  // As open_or_create(), but replaces a file with which open() would return damaged, truncated,
  // unknown_version or wrong_page_size by a new region. A file of a format below 4 stays: it has no
  // membership locks, by which a process that uses it could be seen. Returns in_use instead while a
  // process uses the old one, and always where nobody can see that, as on overlayfs. If several
  // processes replace it at the same time, one does, and the others open the new region.
  static region open_or_replace(const char* path, const region_options& options) noexcept;
  // A memfd, sealed against shrinking; hand a descriptor of it to other processes.
  static region create_anonymous(const char* name, const region_options& options) noexcept;
  // The caller keeps `descriptor`. A process that may not open the file by itself (another user, a
  // sandbox) should also receive `own_description`, a second descriptor that no other process keeps
  // and that the region takes over; new_descriptor() makes one to hand over. With it the process
  // can have a membership lock. Without one only processes in the same PID namespace notice a death
  // that the kernel does not mark.
  static region open_descriptor(int descriptor, int own_description = -1) noexcept;

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

  // The data: zero at first, aligned to a page. nullptr when closed.
  [[nodiscard]] std::byte* data() const noexcept;
  // Bytes of data now: another process may make it grow.
  [[nodiscard]] std::size_t size() const noexcept;
  [[nodiscard]] std::size_t largest_size() const noexcept;
  // Makes the data at least this large, with zeros, for all processes. No address changes, and the
  // data never gets smaller. Attaches the thread. If the process is killed during the call, the
  // data has the old size or the new one, and the region stays usable. If the file system is full,
  // the file keeps what it has got until then, and the next grow() uses that.
  [[nodiscard]] grow_status grow(std::size_t size) const noexcept;
  // The most threads that can be members: region_options::members of the region's maker.
  [[nodiscard]] std::uint32_t members() const noexcept;
  // The region's own descriptor; to hand over, use new_descriptor().
  [[nodiscard]] int descriptor() const noexcept;
  // A descriptor of a new open file description of the file, for the caller to hand to another
  // process and close; negative: -errno.
  [[nodiscard]] int new_descriptor() const noexcept;
  // Whether this name leads to the region's file: false when a process has removed or replaced
  // the file, so that processes that open the name now are in another region.
  [[nodiscard]] bool is_at(const char* path) const noexcept;

  // The longest time that a waiting thread of this process sleeps before it looks at the lock
  // again. A death that does not wake the thread (<deadbolt/mutex.hpp>,
  // <deadbolt/condition_variable.hpp>) is noticed this late at most. A longer time saves wake-ups
  // of idle waiters. Default: 1 s, or 100 ms in a process that can have no membership lock
  // (docs/region.md). Applies to all handles of this process on the region, for waits that begin
  // later. Returns false, and changes nothing, unless the time is from 1 ms to 1 h.
  bool set_longest_sleep(std::chrono::nanoseconds time) noexcept;
  [[nodiscard]] std::chrono::nanoseconds longest_sleep() const noexcept;

  // Makes the calling thread a member ahead of its first lock. Blocks signals for its duration.
  [[nodiscard]] attach_status attach() const noexcept;
  // Ends the calling thread's membership. Locks that the thread still holds pass on as owner_died.
  // False if the thread was no member. Also false if it stays a member: because
  // a signal handler, which must not detach, called it in the middle of the thread's operation on a
  // robust mutex (other calls from handlers are not noticed), or because another thread was stopped
  // (SIGSTOP, a debugger) while it examined the caller's slot. Then call it again later; the
  // membership also ends with the thread.
  bool detach() const noexcept;

  // A T at this offset of the data, or nullptr if it would not fit or is misaligned.
  template <class T>
  [[nodiscard]] T* at(std::size_t offset) const noexcept {
    static_assert(std::is_standard_layout_v<T>, "other processes must agree on its layout");
    if (offset > size() || sizeof(T) > size() - offset || offset % alignof(T) != 0) return nullptr;
    return std::launder(reinterpret_cast<T*>(data() + offset));
  }

  // The object of this name (at most 39 bytes), constructed from `arguments` by the first caller;
  // an object whose constructing process died half-way is constructed anew. nullptr:
  // last_construct_status() has the reason. Attaches the thread. Each object gets the lowest bytes
  // of the data that no other named object has. So a program that has named objects and also uses
  // bytes by at() or data() must reserve those bytes: by a named object, such as an array, within
  // which it then uses them.
  template <class T, class... Arguments>
  [[nodiscard]] T* find_or_construct(const char* name, Arguments&&... arguments) const {
    static_assert(std::is_standard_layout_v<T>, "other processes must agree on its layout");
    if constexpr (detail::kind_of<T>() == detail::object_kind::shared_mutex) {
      if (!(is_valid_policy<T>(arguments) && ...)) {
        set_status(construct_status::invalid_policy);
        return nullptr;
      }
    }
    bool fresh = false;
    void* const place = [&] {
      [[maybe_unused]] const detail::thread_sanitizer_ignores names;
      return begin_construct(name, sizeof(T), alignof(T), detail::kind_of<T>(), fresh);
    }();
    if (place == nullptr) return nullptr;
    if (!fresh) {
      detail::thread_sanitizer_acquires(place);
      T* const found = std::launder(static_cast<T*>(place));
      if constexpr (detail::kind_of<T>() == detail::object_kind::shared_mutex) {
        if (!(has_policy(*found, arguments) && ...)) {
          set_status(construct_status::other_policy);
          return nullptr;
        }
      }
      return found;
    }
    // Its bytes may have been an object that another thread destroyed.
    detail::thread_sanitizer_acquires(mapping_);
    construction maker{*this, name};
    T* object = ::new (place) T(std::forward<Arguments>(arguments)...);
    maker.made = true;
    detail::thread_sanitizer_unlocks(place);
    return object;
  }

  // The object of this name, nullptr if there is none that is complete: last_construct_status() has
  // the reason. Does not wait, and does not attach the thread.
  template <class T>
  [[nodiscard]] T* find(const char* name) const noexcept {
    static_assert(std::is_standard_layout_v<T>, "other processes must agree on its layout");
    void* const place = look_up(name, sizeof(T), alignof(T), detail::kind_of<T>());
    if (place == nullptr) return nullptr;
    detail::thread_sanitizer_acquires(place);
    return std::launder(static_cast<T*>(place));
  }

  // Runs the destructor of the object of this name, and frees its name and its bytes. The caller
  // makes sure that no thread of any process uses the object or waits for it, during the call or
  // later. If the object itself is a lock of this library and is held, it stays (in_use); locks
  // inside structs are not examined. If the process dies in the destructor, the object is
  // incomplete: find() does not return it, the next find_or_construct() constructs it anew, and the
  // next destroy() frees name and bytes without running the destructor. Attaches the thread.
  template <class T>
  destroy_status destroy(const char* name) const {
    static_assert(std::is_standard_layout_v<T>, "other processes must agree on its layout");
    destroy_status status{};
    void* const place = [&] {
      [[maybe_unused]] const detail::thread_sanitizer_ignores names;
      return begin_destroy(name, sizeof(T), alignof(T), detail::kind_of<T>(), status);
    }();
    if (place == nullptr) return status;
    detail::thread_sanitizer_acquires(place);
    destruction ending{*this, name};
    std::launder(static_cast<T*>(place))->~T();
    ending.is_over = true;
    return status;
  }

  // The complete named objects: `for (const object_info& object : shared.objects())`. One that is
  // made or destroyed meanwhile may be shown or not. Does not wait, and does not attach the thread.
  class object_iterator;
  struct object_range {
    const region& of;
    [[nodiscard]] object_iterator begin() const noexcept { return object_iterator{of}; }
    [[nodiscard]] std::nullptr_t end() const noexcept { return nullptr; }
  };
  [[nodiscard]] object_range objects() const noexcept {
    return {*this};
  }
  // One step of it, from position 0 on; false when there are no more.
  bool next_object(std::uint32_t & position, object_info & info) const noexcept;

  class object_iterator {
  public:
    explicit object_iterator(const region& of) noexcept : of_{&of} { ++*this; }
    object_iterator& operator++() noexcept {
      if (!of_->next_object(position_, info_)) of_ = nullptr;
      return *this;
    }
    const object_info& operator*() const noexcept { return info_; }
    const object_info* operator->() const noexcept { return &info_; }
    friend bool operator==(const object_iterator& one, std::nullptr_t) noexcept {
      return one.of_ == nullptr;
    }

  private:
    const region* of_;
    std::uint32_t position_ = 0;
    object_info info_{};
  };

  // Closes this handle. If it was the region's last in the process, detaches the calling thread and
  // unmaps the region; the caller makes sure that no thread of the process then starts an operation
  // on the region's locks, or waits for one. The other threads of the process stay members until
  // they exit; only then do locks that they hold pass on. False when another thread was still in an
  // unlock() after a second: the handle is closed nevertheless; the memory stays mapped for good.
  bool close() noexcept;

private:
  region(detail::open_region * mapping, region_status status, int error) noexcept
      : mapping_{mapping}, status_{status}, error_{error} {}
  friend struct region_access;

  // Ends a construction, also if T's constructor throws: the object is then not made.
  struct construction {
    const region& in;
    const char* name;
    bool made = false;
    ~construction() { in.end_construct(name, made); }
  };

  // Ends a destruction. If T's destructor throws, the object stays incomplete: see destroy().
  struct destruction {
    const region& in;
    const char* name;
    bool is_over = false;
    ~destruction() {
      detail::thread_sanitizer_unlocks(in.mapping_);
      is_over ? in.end_destroy(name) : in.end_construct(name, false);
    }
  };

  template <class T, class Argument>
  static constexpr bool is_policy =
      std::is_same_v<decltype(std::declval<const T&>().policy()), std::remove_cvref_t<Argument>>;
  // These two return true for an argument that is no policy: the constructor of a lock that
  // is derived from shared_mutex may have others.
  template <class T, class Argument>
  static bool is_valid_policy(const Argument& argument) noexcept {
    if constexpr (is_policy<T, Argument>) return T::is_valid(argument);
    return true;
  }
  template <class T, class Argument>
  static bool has_policy(const T& found, const Argument& argument) noexcept {
    if constexpr (is_policy<T, Argument>) return found.policy() == argument;
    return true;
  }

  static void set_status(construct_status status) noexcept; // what last_construct_status() returns
  // With `fresh` set the directory is locked until end_construct().
  void* begin_construct(const char* name, std::size_t size, std::size_t alignment,
                        detail::object_kind kind, bool& fresh) const noexcept;
  void end_construct(const char* name, bool made) const noexcept;
  void* look_up(const char* name, std::size_t size, std::size_t alignment, detail::object_kind kind)
      const noexcept;
  // If it does not return nullptr the directory is locked until end_destroy().
  void* begin_destroy(const char* name, std::size_t size, std::size_t alignment,
                      detail::object_kind kind, destroy_status& status) const noexcept;
  void end_destroy(const char* name) const noexcept;

  detail::open_region* mapping_ = nullptr;
  region_status status_ = region_status::closed;
  int error_ = 0;
};

// A region that is mapped to be read: for a process that may look at the data but not change it, or
// that may not write the file. Its objects are const, so that a call of lock() does not compile. A
// lock that a cast or a C function reaches returns cannot_attach, with attach_status::read_only.
// Use atomic operations to read what other processes change. A read_only_region is no user of the
// region: it has no membership lock and does not keep the file from being replaced.
class [[gnu::visibility("default")]] read_only_region {
public:
  static read_only_region open(const char* path) noexcept;
  // The caller keeps `descriptor`.
  static read_only_region open_descriptor(int descriptor) noexcept;

  constexpr read_only_region() noexcept = default;

  explicit operator bool() const noexcept {
    return static_cast<bool>(region_);
  }
  // The rest is as in region.
  [[nodiscard]] region_status status() const noexcept {
    return region_.status();
  }
  [[nodiscard]] int error() const noexcept {
    return region_.error();
  }
  [[nodiscard]] const std::byte* data() const noexcept {
    return region_.data();
  }
  [[nodiscard]] std::size_t size() const noexcept {
    return region_.size();
  }
  [[nodiscard]] bool is_at(const char* path) const noexcept {
    return region_.is_at(path);
  }
  template <class T>
  [[nodiscard]] const T* at(std::size_t offset) const noexcept {
    return region_.at<T>(offset);
  }
  template <class T>
  [[nodiscard]] const T* find(const char* name) const noexcept {
    return region_.find<T>(name);
  }
  [[nodiscard]] region::object_range objects() const noexcept {
    return region_.objects();
  }
  bool next_object(std::uint32_t & position, object_info & info) const noexcept {
    return region_.next_object(position, info);
  }
  bool close() noexcept {
    return region_.close();
  }

private:
  explicit read_only_region(region && opened) noexcept : region_{std::move(opened)} {}

  region region_;
};

} // namespace deadbolt::inline DEADBOLT_ABI
#endif
