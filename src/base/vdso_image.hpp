// SPDX-License-Identifier: MIT
// Looking up functions in the image that the kernel maps into every process.
#ifndef DEADBOLT_BASE_VDSO_IMAGE_HPP
#define DEADBOLT_BASE_VDSO_IMAGE_HPP

#include <cstddef>

namespace deadbolt::base {

// An ELF image in memory, of which `size` bytes may be read. It is not trusted:
// every offset in it is checked against the size, and an image that is damaged
// in any way has no symbols.
struct vdso_image {
  const unsigned char* base;
  std::size_t size;

  // The address of the defined global or weak function `name`, else nullptr.
  [[nodiscard]] const void* find_function(const char* name) const noexcept;
};

// The running process's vDSO; a size of 0 when there is none.
[[nodiscard]] vdso_image this_process_vdso() noexcept;

} // namespace deadbolt::base
#endif
