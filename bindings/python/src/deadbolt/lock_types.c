/* SPDX-License-Identifier: MIT */
/* Mutex, SharedMutex and Semaphore: how a Region finds or makes them, and their types. */
#include "locks.h"

#include <string.h>

PyTypeObject *mutex_type, *shared_mutex_type, *shared_view_type, *semaphore_type;

static PyObject* lock_make(PyTypeObject* type, enum lock_kind kind, region_object* region,
                           void* place, size_t count, PyObject* name, PyObject* recover,
                           PyObject* other) {
  lock_object* self = (lock_object*)PyType_GenericAlloc(type, 0);
  if (self == NULL) return NULL;
  self->kind = kind;
  self->region = (region_object*)Py_NewRef((PyObject*)region);
  self->place = place;
  self->count = count;
  self->name = Py_NewRef(name);
  self->recover = Py_NewRef(recover);
  self->other = Py_XNewRef(other);
  return (PyObject*)self;
}

PyObject* lock_find(PyTypeObject* type, enum lock_kind kind, PyObject* region,
                    enum deadbolt_object_kind object_kind, size_t size, size_t alignment,
                    size_t count, PyObject* name, PyObject* recover, PyObject* other, bool create,
                    void (*first)(void*, size_t)) {
  if (recover != Py_None && !PyCallable_Check(recover)) {
    PyErr_SetString(PyExc_TypeError, "recover must be callable or None");
    return NULL;
  }
  if (!PyUnicode_Check(name) && !PyLong_Check(name)) {
    PyErr_SetString(PyExc_TypeError, "name must be a str, or an offset as int");
    return NULL;
  }
  region_object* in = (region_object*)region;
  if (!region_pin(in)) return NULL;
  void* place = region_place(in, name, size, alignment, object_kind, create, first);
  region_unpin(in);
  if (place == NULL) return NULL;
  return lock_make(type, kind, in, place, count, name, recover, other);
}

/* A lock, and behind it as many bytes of data: what C has as a struct of the two. */
static PyObject* find_with_data(PyTypeObject* type, enum lock_kind kind,
                                enum deadbolt_object_kind object_kind, size_t lock_size,
                                PyObject* region, Py_ssize_t data, PyObject* name,
                                PyObject* recover, bool create, void (*first)(void*, size_t)) {
  if (data < 0) {
    PyErr_SetString(PyExc_ValueError, "data is a number of bytes");
    return NULL;
  }
  return lock_find(type, kind, region, data > 0 ? DEADBOLT_OBJECT_OTHER : object_kind,
                   lock_size + (size_t)data, 8, (size_t)data, name, recover, NULL, create, first);
}

PyObject* make_mutex(PyObject* region, PyObject* args, PyObject* keywords) {
  static char* names[] = {"name", "recover", "data", "create", NULL};
  PyObject *name, *recover = Py_None;
  Py_ssize_t data = 0;
  int create = 1;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|On$p:mutex", names, &name, &recover, &data,
                                   &create))
    return NULL;
  return find_with_data(mutex_type, KIND_MUTEX, DEADBOLT_OBJECT_MUTEX,
                        sizeof(struct deadbolt_mutex), region, data, name, recover, create, NULL);
}

/* With the region pinned: any Python code may have closed it since the lock was found. */
static bool read_policy(lock_object* self, enum deadbolt_shared_mutex_policy* policy) {
  if (!region_pin(self->region)) return false;
  *policy = deadbolt_shared_mutex_get_policy(self->place);
  region_unpin(self->region);
  return true;
}

static void init_readers_first(void* place, size_t Py_UNUSED(size)) {
  deadbolt_shared_mutex_init(place, DEADBOLT_READERS_FIRST);
}
static void init_fair(void* place, size_t Py_UNUSED(size)) {
  deadbolt_shared_mutex_init(place, DEADBOLT_FAIR);
}

PyObject* make_shared_mutex(PyObject* region, PyObject* args, PyObject* keywords) {
  static char* names[] = {"name", "recover", "data", "create", "policy", NULL};
  /* What initialises zeroed memory, for each policy. */
  static void (*const first[])(void*, size_t) = {NULL, init_readers_first, init_fair};
  enum { policies = sizeof first / sizeof *first };
  PyObject *name, *recover = Py_None;
  Py_ssize_t data = 0;
  int create = 1;
  const char* policy = NULL;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|On$pz:shared_mutex", names, &name, &recover,
                                   &data, &create, &policy))
    return NULL;
  unsigned wanted = 0;
  while (policy != NULL && wanted < policies &&
         strcmp(policy, deadbolt_shared_mutex_policy_name(wanted)) != 0)
    ++wanted;
  if (wanted == policies) {
    PyErr_SetString(PyExc_ValueError,
                    "policy must be \"writers_first\", \"readers_first\" or \"fair\"");
    return NULL;
  }
  PyObject* made = find_with_data(
      shared_mutex_type, KIND_SHARED_MUTEX, DEADBOLT_OBJECT_SHARED_MUTEX,
      sizeof(struct deadbolt_shared_mutex), region, data, name, recover, create, first[wanted]);
  if (made == NULL || policy == NULL) return made;
  enum deadbolt_shared_mutex_policy found;
  if (!read_policy((lock_object*)made, &found)) {
    Py_CLEAR(made);
  } else if (found != wanted) {
    set_find_error(DEADBOLT_CONSTRUCT_OTHER_POLICY, name);
    Py_CLEAR(made);
  }
  return made;
}

static void init_permits(void* place, size_t size) {
  const size_t count = size / sizeof(struct deadbolt_permit);
  deadbolt_counting_semaphore_init(place, count, count);
}

PyObject* make_semaphore(PyObject* region, PyObject* args, PyObject* keywords) {
  static char* names[] = {"name", "value", "create", NULL};
  PyObject* name;
  Py_ssize_t count;
  int create = 1;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "On|$p:semaphore", names, &name, &count,
                                   &create))
    return NULL;
  if (count < 1 || count > 1000000) {
    PyErr_SetString(PyExc_ValueError, "a semaphore has 1 to 1,000,000 permits");
    return NULL;
  }
  return lock_find(semaphore_type, KIND_SEMAPHORE, region, DEADBOLT_OBJECT_COUNTING_SEMAPHORE,
                   (size_t)count * sizeof(struct deadbolt_permit), 8, (size_t)count, name, Py_None,
                   NULL, create, init_permits);
}

static PyObject* shared_mutex_policy(PyObject* object, void* Py_UNUSED(closure)) {
  enum deadbolt_shared_mutex_policy policy;
  if (!read_policy((lock_object*)object, &policy)) return NULL;
  return PyUnicode_FromString(deadbolt_shared_mutex_policy_name(policy));
}

static PyObject* shared_mutex_shared(PyObject* object, void* Py_UNUSED(closure)) {
  lock_object* self = (lock_object*)object;
  return lock_make(shared_view_type, KIND_SHARED_VIEW, self->region, self->place, self->count,
                   self->name, self->recover, object);
}
static PyObject* lock_data(PyObject* object, void* Py_UNUSED(closure)) {
  lock_object* self = (lock_object*)object;
  _Static_assert(sizeof(struct deadbolt_mutex) == sizeof(struct deadbolt_shared_mutex), "");
  if (!region_pin(self->region)) return NULL;
  const Py_ssize_t offset = (char*)self->place -
                            (char*)deadbolt_region_data(&self->region->handle) +
                            (Py_ssize_t)sizeof(struct deadbolt_mutex);
  PyObject* data = slice_of((PyObject*)self->region, offset, (Py_ssize_t)self->count);
  region_unpin(self->region);
  return data;
}

static PyObject* semaphore_value(PyObject* object, void* Py_UNUSED(closure)) {
  return PyLong_FromSize_t(((lock_object*)object)->count);
}

/* ---- the types ---- */

#define LOCKED                                                                                     \
  {                                                                                                \
    "locked", lock_locked, METH_NOARGS,                                                            \
        "locked()\n--\n\nWhether a thread holds it (a SharedMutex: to write), dead or alive."      \
  }
#define OWNER                                                                                      \
  {                                                                                                \
    "owner", lock_owner, METH_NOARGS,                                                              \
        "owner()\n--\n\n"                                                                          \
        "The Owner (of a SharedMutex: the writer), a tuple of state, pid and tid. It returns at\n" \
        "once; the lock may have passed on since."                                                 \
  }

static PyMethodDef mutex_methods[] = {
    ACQUIRE, RELEASE, MARK_CONSISTENT, LOCKED, OWNER, CONTEXT_AND_PICKLE, END};
static PyMethodDef shared_view_methods[] = {ACQUIRE, RELEASE, MARK_CONSISTENT, CONTEXT_AND_PICKLE,
                                            END};
static PyMethodDef semaphore_methods[] = {ACQUIRE, RELEASE, CONTEXT_AND_PICKLE, END};
#define DATA                                                                                       \
  { "data", lock_data, NULL, "A memoryview of the bytes behind the lock (argument `data`).", NULL }
static PyGetSetDef mutex_getset[] = {COMMON_ATTRIBUTES, DATA, LAST};
static PyGetSetDef shared_mutex_getset[] = {
    COMMON_ATTRIBUTES,
    DATA,
    {"policy", shared_mutex_policy, NULL,
     "Who comes first: \"writers_first\", \"readers_first\" or \"fair\".", NULL},
    {"shared", shared_mutex_shared, NULL,
     "The same lock for readers: `with lock.shared:`. A reader that is told OwnerDied has the "
     "lock alone.",
     NULL},
    LAST};
static PyGetSetDef shared_view_getset[] = {COMMON_ATTRIBUTES, DATA, LAST};
static PyGetSetDef semaphore_getset[] = {
    COMMON_ATTRIBUTES, {"value", semaphore_value, NULL, "Permits, held or not.", NULL}, LAST};

TYPE(mutex, "deadbolt.Mutex",
     "A mutex in a region, from region.mutex(name). Shaped as threading.Lock; its owner is a\n"
     "thread, which alone can release it. When an owner died with it held, the next one runs\n"
     "`recover()`, or gets OwnerDied with the lock held.",
     mutex_methods, mutex_getset);
TYPE(shared_mutex, "deadbolt.SharedMutex",
     "One writer or any number of readers, from region.shared_mutex(name). As it stands it is the\n"
     "writer's lock; `lock.shared` is the readers'.",
     mutex_methods, shared_mutex_getset);
TYPE(shared_view, "deadbolt.SharedView", "What `SharedMutex.shared` is: the lock for a reader.",
     shared_view_methods, shared_view_getset);
TYPE(semaphore, "deadbolt.Semaphore",
     "A semaphore in a region, from region.semaphore(name, value). A permit is held by a thread,\n"
     "which alone can release it, and comes back when that dies.",
     semaphore_methods, semaphore_getset);
