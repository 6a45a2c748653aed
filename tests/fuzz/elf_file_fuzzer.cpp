// SPDX-License-Identifier: MIT
// libFuzzer's entry: reads any bytes as the file of a libc. The sanitizers check the reads; the
// fuzzer checks that the results are as elf_file.hpp declares.
#include <guard/unlock_windows/elf_file.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace {

void require(bool fine) {
  if (!fine) std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const deadbolt::guard::elf_file file{std::string(reinterpret_cast<const char*>(data), size)};
  const std::string id = file.build_id();
  require(id.size() % 2 == 0 && id.size() <= 128);
  require(id.find_first_not_of("0123456789abcdef") == std::string::npos);
  const std::string interpreter = file.interpreter();
  require(interpreter.size() < size || size == 0);
  require(interpreter.find('\0') == std::string::npos);
  if (file.is_native_object()) require(size >= 64);
  // A symbol that is found for an offset must be a defined symbol.
  for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{0x1008}, ~std::uint64_t{0}}) {
    const std::string name = file.name_of(offset);
    const std::size_t plus = name.rfind("+0x");
    require(plus != std::string::npos);
    require(plus == 0 || file.defines_function(name.substr(0, plus)));
  }
  require(!file.defines_function(std::string(size + 1, 'x')));
  return 0;
}
