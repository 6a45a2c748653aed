// SPDX-License-Identifier: MIT
// The tests' stepper, which sets breakpoints where control can go next: it finds these places, and
// stops at each instruction of a path that is known, and nowhere else.
#include <single_step.hpp>

#include <csignal>
#include <cstring>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <unistd.h>

// A jump of each kind, and a load reserved with its store conditional. No instruction that is
// jumped over may be executed: an undefined one ends the child by SIGILL.
asm(R"(
  .pushsection .text
  .option push
  .option norelax
  .globl stepped_code
  .type stepped_code, %function
stepped_code:
  .option rvc
path_0: c.li a1, 2
path_1: c.addi a1, -1
path_2: c.bnez a1, path_1
path_3: c.beqz a1, path_5
  unimp
  .skip 200, 0
path_5: c.j path_7
  unimp
  .skip 1500, 0
path_6: c.j path_8
  unimp
path_7: c.j path_6
path_8:
  .option norvc
  beq a1, zero, path_10
  unimp
  .skip 3000, 0
path_9: bne a1, zero, path_8
path_11: jal t1, path_13
  unimp
path_10: beq zero, zero, path_9
  .skip 70000, 0
path_13: auipc t0, 0
path_14: jalr t1, 12(t0)
  unimp
path_15: lr.w t2, (a0)
  bne t2, zero, path_16
  addi t3, t2, 1
  sc.w t4, t3, (a0)
path_17: bne t4, zero, path_15
path_18: lr.w t2, (a0)
  beq t2, t3, path_16
  sc.w t4, zero, (a0)
  unimp
path_16: auipc t0, 0
path_19: addi t0, t0, 16
  .option rvc
path_20: c.jalr t0
  unimp
  unimp
path_21: c.mv t0, ra
path_22: c.nop
path_23: c.jr t6
  .size stepped_code, . - stepped_code
  .option pop
  .popsection
)");

// Jumps over nearly every distance that each kind of jump has, forwards and backwards. Each is
// `jumps_KIND` to `jumps_KIND_target`, or from there to `jumps_KIND_end`.
asm(R"(
  .macro jumps kind, count, instruction:vararg
jumps_\kind:
  .rept \count
  \instruction jumps_\kind\()_target
  .endr
jumps_\kind\()_target:
  .rept \count
  \instruction jumps_\kind\()_target
  .endr
jumps_\kind\()_end:
  .endm
  .pushsection .text
  .option push
  .option norelax
  .option rvc
  jumps c_j, 1023, c.j
  jumps c_beqz, 127, c.beqz a1,
  jumps c_bnez, 127, c.bnez a1,
  .option norvc
  jumps beq, 1023, beq a1, a2,
  jumps bgeu, 1023, bgeu a1, a2,
  jumps jal, 262143, jal
  .option pop
  .popsection
)");

extern "C" {
// NOLINTBEGIN(readability-identifier-naming)
extern const char path_0[], path_1[], path_2[], path_3[], path_5[], path_6[], path_7[], path_8[],
    path_9[], path_10[], path_11[], path_13[], path_14[], path_15[], path_16[], path_17[],
    path_18[], path_19[], path_20[], path_21[], path_22[], path_23[];
extern const char jumps_c_j[], jumps_c_j_target[], jumps_c_j_end[], jumps_c_beqz[],
    jumps_c_beqz_target[], jumps_c_beqz_end[], jumps_c_bnez[], jumps_c_bnez_target[],
    jumps_c_bnez_end[], jumps_beq[], jumps_beq_target[], jumps_beq_end[], jumps_bgeu[],
    jumps_bgeu_target[], jumps_bgeu_end[], jumps_jal[], jumps_jal_target[], jumps_jal_end[];
// NOLINTEND(readability-identifier-naming)
}

namespace deadbolt::testing {
namespace {

struct jumps {
  const char* name;
  const char* begin;
  const char* target;
  const char* end;
  unsigned size; // of an instruction
  bool goes_on;  // or jumps always
};

TEST(riscv64_stepping, finds_the_target_of_a_jump_over_any_distance) {
  const jumps all[] = {
      {"c.j", jumps_c_j, jumps_c_j_target, jumps_c_j_end, 2, false},
      {"c.beqz", jumps_c_beqz, jumps_c_beqz_target, jumps_c_beqz_end, 2, true},
      {"c.bnez", jumps_c_bnez, jumps_c_bnez_target, jumps_c_bnez_end, 2, true},
      {"beq", jumps_beq, jumps_beq_target, jumps_beq_end, 4, true},
      {"bgeu", jumps_bgeu, jumps_bgeu_target, jumps_bgeu_end, 4, true},
      {"jal", jumps_jal, jumps_jal_target, jumps_jal_end, 4, false},
  };
  const auto read = [](std::uint64_t place) {
    std::uint32_t code;
    std::memcpy(&code, reinterpret_cast<const void*>(place), sizeof code);
    return code;
  };
  for (const jumps& kind : all) {
    const auto target = reinterpret_cast<std::uint64_t>(kind.target);
    unsigned count = 0;
    for (const char* at = kind.begin; at < kind.end; at += kind.size, ++count) {
      const auto place = reinterpret_cast<std::uint64_t>(at);
      const auto found =
          arch::places_after(place, read, [](unsigned) { return std::uint64_t{0}; }).places;
      std::vector<std::uint64_t> expected{target};
      if (kind.goes_on) expected.insert(expected.begin(), place + kind.size);
      ASSERT_EQ(found, expected) << kind.name << " over "
                                 << static_cast<std::int64_t>(target - place);
    }
    EXPECT_GT(count, 250U) << kind.name;
  }
}

TEST(riscv64_stepping, stops_at_each_instruction_of_a_known_path) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(60);
    ptrace(PTRACE_TRACEME);
    std::uint32_t word = 0;
    raise(SIGSTOP);
    asm volatile("mv a0, %[word]\n\t"
                 "la t6, 1f\n\t"
                 "la t0, path_0\n\t"
                 "jr t0\n\t"
                 "1:"
                 :
                 : [word] "r"(&word)
                 : "a0", "a1", "ra", "t0", "t1", "t2", "t3", "t4", "t6", "memory");
    raise(SIGSTOP);
    _exit(word == 1 ? 0 : 1);
  }
  ASSERT_EQ(next_stop(child), SIGSTOP);

  const auto at = [](const char* label) { return reinterpret_cast<std::uint64_t>(label); };
  const std::vector<std::uint64_t> path{
      at(path_0),  at(path_1),  at(path_2),  at(path_1),  at(path_2),  at(path_3),
      at(path_5),  at(path_7),  at(path_6),  at(path_8),  at(path_10), at(path_9),
      at(path_11), at(path_13), at(path_14), at(path_15), at(path_17), at(path_18),
      at(path_16), at(path_19), at(path_20), at(path_22), at(path_23)};
  int steps = 0;
  while (arch::instruction_pointer(child) != path[0]) {
    ASSERT_EQ(single_step(child), SIGTRAP);
    ASSERT_LT(++steps, 100'000) << "the code was not reached";
  }
  for (const std::uint64_t place : path) {
    ASSERT_EQ(arch::instruction_pointer(child) - path[0], place - path[0]);
    ASSERT_EQ(single_step(child), SIGTRAP);
  }
  // And to the end: through the libc, a system call among it.
  int signal = SIGTRAP;
  bool was_call = false;
  for (steps = 0; signal == SIGTRAP && steps < 100'000; ++steps) {
    was_call = arch::is_system_call(peek(child, arch::instruction_pointer(child)));
    signal = single_step(child);
  }
  EXPECT_EQ(signal, SIGSTOP);
  EXPECT_TRUE(was_call) << "the child was stopped by a step that lost it";
  ptrace(PTRACE_CONT, child, nullptr, nullptr);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

} // namespace
} // namespace deadbolt::testing
