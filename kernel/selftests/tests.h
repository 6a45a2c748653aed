/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SELFTESTS_TESTS_H
#define SELFTESTS_TESTS_H

/* One a file; argv[0] is the test's name. Each ends with tap_done(). */
int test_attack(int argc, char **argv);
int test_symbols(int argc, char **argv);
int test_results(int argc, char **argv);
int test_threads(int argc, char **argv);
int test_soak(int argc, char **argv);
int test_cost(int argc, char **argv);
int test_faulting(int argc, char **argv);
int test_sgx(int argc, char **argv);
int test_moved(int argc, char **argv);
int test_fuzz(int argc, char **argv);
int test_hostile(int argc, char **argv);
int test_syscall(int argc, char **argv);
int test_seccomp(int argc, char **argv);
int test_ring(int argc, char **argv);
int test_replay(int argc, char **argv);

int test_urgent(int argc, char **argv);

#endif
