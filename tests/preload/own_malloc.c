/* SPDX-License-Identifier: MIT */
/*
 * A malloc that locks mutexes, a plain one and a robust one: the loader calls it before any
 * constructor has run, and the preload library must neither call it nor wait for what it holds.
 */
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t plain = PTHREAD_MUTEX_INITIALIZER, robust;
static int is_ready, is_inside;
static _Alignas(16) char memory[64 << 20];
static size_t used;

static void must(int holds) {
  if (holds) return;
  static const char text[] = "own_malloc: called by its own lock, or a lock fails\n";
  if (write(2, text, sizeof text - 1) < 0) _exit(98);
  _exit(99);
}

void* malloc(size_t size) {
  must(!__atomic_load_n(&is_inside, __ATOMIC_RELAXED));
  must(pthread_mutex_lock(&plain) == 0);
  is_inside = 1;
  if (!is_ready) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    must(pthread_mutex_init(&robust, &attributes) == 0);
    is_ready = 1;
  }
  must(pthread_mutex_lock(&robust) == 0);
  size = (size + 15) / 16 * 16 + 16;
  must(used + size <= sizeof memory);
  char* const block = memory + used + 16;
  memcpy(block - 16, &size, sizeof size);
  used += size;
  must(pthread_mutex_unlock(&robust) == 0);
  is_inside = 0;
  must(pthread_mutex_unlock(&plain) == 0);
  return block;
}

void free(void* block) {
  (void)block;
}

void* calloc(size_t count, size_t size) {
  return malloc(count * size); /* of memory that was never used */
}

void* realloc(void* block, size_t size) {
  void* const result = malloc(size);
  if (block == NULL) return result;
  size_t before;
  memcpy(&before, (char*)block - 16, sizeof before);
  return memcpy(result, block, before - 16 < size ? before - 16 : size);
}
