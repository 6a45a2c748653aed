/* SPDX-License-Identifier: MIT */
/*
 * Debian's libstdc++ headers are set up for glibc in this one file, which asks
 * for the version of glibc. It stands before theirs when they are compiled
 * against musl: see toolchain-musl.cmake.
 */
#ifndef _GLIBCXX_OS_DEFINES
#define _GLIBCXX_OS_DEFINES 1

#include <features.h>

/* glibc's name for locale_t; <string> wants it to exist. */
typedef struct __locale_struct* __locale_t;

#define __NO_CTYPE 1
#define _GLIBCXX_NATIVE_THREAD_ID pthread_self()
#define _GLIBCXX_GTHREAD_USE_WEAK 0

#endif
