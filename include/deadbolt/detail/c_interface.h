/* SPDX-License-Identifier: MIT */
/* What the headers for C have in common. */
#ifndef DEADBOLT_DETAIL_C_INTERFACE_H
#define DEADBOLT_DETAIL_C_INTERFACE_H

#ifdef __cplusplus
#define DEADBOLT_BEGIN_C                                                                           \
  extern "C" {                                                                                     \
  _Pragma("GCC visibility push(default)")
#define DEADBOLT_END_C                                                                             \
  _Pragma("GCC visibility pop")                                                                    \
  }
#else
#define DEADBOLT_BEGIN_C _Pragma("GCC visibility push(default)")
#define DEADBOLT_END_C _Pragma("GCC visibility pop")
#endif

#define DEADBOLT_RESULT __attribute__((warn_unused_result))

/* Whether functions that tell ThreadSanitizer what a lock orders take the place of the plain
 * ones. Not in C++: the C++ classes tell the sanitizer themselves. */
#ifndef __cplusplus
#if defined(__SANITIZE_THREAD__)
#define DEADBOLT_TELLS_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define DEADBOLT_TELLS_THREAD_SANITIZER 1
#endif
#endif
#endif

#endif
