/* SPDX-License-Identifier: MIT */
/* What the extension's files share: the objects, the exceptions, and the wait. */
#ifndef DEADBOLT_PYTHON_CORE_H
#define DEADBOLT_PYTHON_CORE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <deadbolt/region.h>

#include <stdarg.h>
#include <stdatomic.h>

/* A region and what keeps it mapped. */
typedef struct {
  PyObject_HEAD struct deadbolt_region handle;
  PyObject* path;   /* absolute; None: anonymous */
  atomic_long pins; /* buffers and calls that need the mapping; -1: closed */
} region_object;

enum lock_kind { KIND_MUTEX, KIND_SHARED_MUTEX, KIND_SHARED_VIEW, KIND_CONDITION, KIND_SEMAPHORE };

/* A lock of any kind: a place in a region. Nothing of it changes once it is made. */
typedef struct {
  PyObject_HEAD region_object* region;
  void* place;
  PyObject* name;    /* str, or the offset in the data as int */
  PyObject* recover; /* callable or None */
  PyObject* other;   /* KIND_CONDITION: its mutex; KIND_SHARED_VIEW: its lock; else NULL */
  size_t count;      /* KIND_SEMAPHORE: permits; of a mutex: bytes of its data */
  enum lock_kind kind;
} lock_object;

/* Each is made by PyInit__deadbolt() and never goes. */
extern PyTypeObject *region_type, *mutex_type, *shared_mutex_type, *shared_view_type,
    *condition_type, *semaphore_type, *read_only_region_type;
extern PyObject *error_class, *region_error_class, *lock_error_class, *owner_died_class,
    *not_recoverable_class, *deadlock_class, *not_owner_class, *attach_error_class;

extern PyType_Spec region_spec, mutex_spec, shared_mutex_spec, shared_view_spec, condition_spec,
    semaphore_spec, read_only_region_spec;

/* Keeps the region mapped until region_unpin(). False, with ValueError set, when closed. */
bool region_pin(region_object* region);
void region_unpin(region_object* region);
/* The same, for any object with such a count. */
bool pin_mapping(atomic_long* all_pins);
void unpin_mapping(atomic_long* all_pins);

/* Sets the exception for a region that is not open; `path` may be NULL. */
void set_region_error(enum deadbolt_region_status status, int error, PyObject* path);
/* Sets AttachError: why the calling thread could not become a member. */
void set_attach_error(enum deadbolt_attach_status status);
/* Sets the exception for an object that was not found or made. */
void set_find_error(enum deadbolt_construct_status status, PyObject* name);

/* The absolute path, so that it means the same wherever it is pickled to. */
PyObject* absolute_path(PyObject* path);
/* An object's name (str) as UTF-8; NULL with an exception set. */
const char* name_text(PyObject* name);
/* A memoryview of a part of the object's buffer. */
PyObject* slice_of(PyObject* owner, Py_ssize_t offset, Py_ssize_t size);
/* An object of this class in _records.py, from arguments that Py_BuildValue() makes a tuple of. */
PyObject* make_record(const char* class, const char* format, ...);
/* A list of ObjectInfo. */
PyObject* list_objects(const void* handle,
                       bool (*next)(const void*, uint32_t*, struct deadbolt_object_info*));

/* The place of a lock of this name (str) or at this offset (int). Without `create` KeyError where
 * there is none. `first` initialises it where it is new, and may be NULL. NULL with an exception
 * set. */
void* region_place(region_object* region, PyObject* name, size_t size, size_t alignment,
                   enum deadbolt_object_kind kind, bool create,
                   void (*first)(void* place, size_t size));

/* Methods of Region, in names.c. */
PyObject* region_memory(PyObject* object, PyObject* args, PyObject* keywords);
PyObject* region_objects(PyObject* object, PyObject* unused);
PyObject* region_destroy(PyObject* object, PyObject* name);
PyObject* region_grow(PyObject* object, PyObject* size);
/* Of Mutex and SharedMutex. */
PyObject* lock_owner(PyObject* object, PyObject* unused);
PyObject* lock_locked(PyObject* object, PyObject* unused);

/* region.mutex(...) and the others. */
PyObject* make_mutex(PyObject* self, PyObject* args, PyObject* keywords);
PyObject* make_shared_mutex(PyObject* self, PyObject* args, PyObject* keywords);
PyObject* make_condition(PyObject* self, PyObject* args, PyObject* keywords);
PyObject* make_semaphore(PyObject* self, PyObject* args, PyObject* keywords);

#endif
