/* SPDX-License-Identifier: MIT */
/* What libstdc++ was told about glibc when it was built and musl 1.2.3 lacks. */
#ifndef DEADBOLT_MUSL_CXXCONFIG_H
#define DEADBOLT_MUSL_CXXCONFIG_H

#include_next <bits/c++config.h>

#undef _GLIBCXX_USE_PTHREAD_COND_CLOCKWAIT
#undef _GLIBCXX_USE_PTHREAD_MUTEX_CLOCKLOCK
#undef _GLIBCXX_USE_PTHREAD_RWLOCK_CLOCKLOCK

#endif
