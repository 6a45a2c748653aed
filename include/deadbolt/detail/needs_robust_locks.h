/* SPDX-License-Identifier: MIT */
/* Included by the headers of what is there only where the unlock code is: robust_mutex,
 * robust_pi_mutex, robust_futex, protection and quiescence. */
#ifndef DEADBOLT_DETAIL_NEEDS_ROBUST_LOCKS_H
#define DEADBOLT_DETAIL_NEEDS_ROBUST_LOCKS_H

#include <deadbolt/detail/robust_architectures.h>

#if !DEADBOLT_HAS_ROBUST_LOCKS
#error "deadbolt's robust_mutex, robust_pi_mutex, protection and quiescence are not there \
on this architecture: their unlock code is written for x86-64 and aarch64 only. \
Use the locks in regions: deadbolt/mutex.hpp, or deadbolt/region.h for C"
#endif

#endif
