// SPDX-License-Identifier: MIT
// libFuzzer's entry: reads any bytes as /proc/ID/status. The kernel writes that file, but it
// contains names that processes choose.
#include <guard/proc_status.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using deadbolt::guard::proc_status;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const proc_status status = proc_status::from_text(text);
  for (const std::string_view key : {"NSpid:", "TracerPid:", "CapEff:", "SigBlk:", ""}) {
    const auto value = status.value(key);
    if (value && value->find('\n') != std::string_view::npos) std::abort();
    if (value && text.find(*value) == std::string_view::npos) std::abort();
    if (!value && (status.last_number(key) || status.mask(key))) std::abort();
    const auto number = status.last_number(key);
    if (number && !value->ends_with(std::to_string(*number).back())) std::abort();
  }
  return 0;
}
