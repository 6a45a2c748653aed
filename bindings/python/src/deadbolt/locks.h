/* SPDX-License-Identifier: MIT */
/* What a lock's type is made of: functions that all locks have in common, and the rows of the
 * tables that Python takes. */
#ifndef DEADBOLT_PYTHON_LOCKS_H
#define DEADBOLT_PYTHON_LOCKS_H

#include "core.h"

#include <time.h>

/* ---- deadlines: CLOCK_MONOTONIC, nanoseconds ---- */

static const int64_t for_ever = INT64_MAX;

/* From a `timeout` argument; None and -1: for_ever. False with an exception set. */
bool deadline_of(PyObject* timeout, int64_t* deadline);
/* When a wait ends in order to look for signals, at the deadline or before. */
int64_t end_of_piece(int64_t deadline);
struct timespec time_of(int64_t nanoseconds);

/* ---- results ---- */

void raise_lock_error(PyObject* class, const char* text, lock_object* self);
/* The last owner died, and the caller holds the lock. True when the data was repaired; else
 * an exception is set. */
bool lock_recover(lock_object* self);
/* 1: held; 0: not, for lack of time; -1 with an exception set. */
int lock_settle(lock_object* self, enum deadbolt_lock_status status);

/* ---- making them ---- */

/* A lock that is named or at an offset. Pins the region while it looks. */
PyObject* lock_find(PyTypeObject* type, enum lock_kind kind, PyObject* region,
                    enum deadbolt_object_kind object_kind, size_t size, size_t alignment,
                    size_t count, PyObject* name, PyObject* recover, PyObject* other, bool create,
                    void (*first)(void*, size_t));

/* ---- methods and attributes ---- */

PyObject* lock_acquire(PyObject* object, PyObject* args, PyObject* keywords);
PyObject* lock_release(PyObject* object, PyObject* unused);
PyObject* lock_enter(PyObject* object, PyObject* unused);
PyObject* lock_exit(PyObject* object, PyObject* const* args, Py_ssize_t count);
PyObject* lock_mark_consistent(PyObject* object, PyObject* unused);
PyObject* lock_reduce(PyObject* object, PyObject* unused);
PyObject* lock_repr(PyObject* object);
PyObject* lock_region(PyObject* object, void* closure);
PyObject* lock_name(PyObject* object, void* closure);
int lock_traverse(PyObject* object, visitproc visit, void* arg);
int lock_clear(PyObject* object);
void lock_dealloc(PyObject* object);

/* ---- rows of the tables ---- */

#define WITH_KEYWORDS(function) ((PyCFunction)(void (*)(void))(function))
#define ACQUIRE                                                                                    \
  {                                                                                                \
    "acquire", WITH_KEYWORDS(lock_acquire), METH_VARARGS | METH_KEYWORDS,                          \
        "acquire(blocking=True, timeout=-1)\n--\n\n"                                               \
        "True when acquired, False when the time (seconds; -1 or None: no limit) came first."      \
  }
#define RELEASE                                                                                    \
  {                                                                                                \
    "release", lock_release, METH_NOARGS,                                                          \
        "release()\n--\n\nNotOwner unless the calling thread holds it."                            \
  }
#define CONTEXT_AND_PICKLE                                                                         \
  {"__enter__", lock_enter, METH_NOARGS, NULL},                                                    \
      {"__exit__", (PyCFunction)(void (*)(void))lock_exit, METH_FASTCALL, NULL}, {                 \
    "__reduce__", lock_reduce, METH_NOARGS, NULL                                                   \
  }
#define MARK_CONSISTENT                                                                            \
  {                                                                                                \
    "mark_consistent", lock_mark_consistent, METH_NOARGS,                                          \
        "mark_consistent()\n--\n\n"                                                                \
        "Says that the data is whole again after OwnerDied. False, and nothing done, unless the\n" \
        "calling thread holds the lock and was told. A release() without it makes the lock\n"      \
        "unusable: NotRecoverable from then on."                                                   \
  }
#define END                                                                                        \
  { NULL, NULL, 0, NULL }

#define COMMON_ATTRIBUTES                                                                          \
  {"region", lock_region, NULL, "The Region.", NULL}, {                                            \
    "name", lock_name, NULL, "The name, or the offset.", NULL                                      \
  }
#define LAST                                                                                       \
  { NULL, NULL, NULL, NULL, NULL }
#define TYPE(name, text, doc, methods, getset)                                                     \
  static PyType_Slot name##_slots[] = {                                                            \
      {Py_tp_doc, (void*)(doc)},       {Py_tp_dealloc, lock_dealloc},                              \
      {Py_tp_traverse, lock_traverse}, {Py_tp_clear, lock_clear},                                  \
      {Py_tp_repr, lock_repr},         {Py_tp_methods, methods},                                   \
      {Py_tp_getset, getset},          {0, NULL}};                                                 \
  PyType_Spec name##_spec = {                                                                      \
      text, sizeof(lock_object), 0,                                                                \
      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION, name##_slots}

#endif
