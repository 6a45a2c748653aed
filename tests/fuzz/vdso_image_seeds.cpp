// SPDX-License-Identifier: MIT
// Writes whole images into a directory, for the fuzzer to damage.
#include <vdso_image_builder.hpp>

#include <fstream>

int main(int argc, char** argv) {
  using namespace deadbolt::testing;
  if (argc != 2) return 2;
  int number = 0;
  for (const bool hash : {false, true}) {
    for (const bool gnu_hash : {false, true}) {
      const image_bytes image = make_image(robust_unlock_names(), {hash, gnu_hash, 0x1000});
      std::ofstream file{argv[1] + ("/seed" + std::to_string(number++)), std::ios::binary};
      file.write(reinterpret_cast<const char*>(image.data()),
                 static_cast<std::streamsize>(image.size()));
      if (!file) return 1;
    }
  }
  return 0;
}
