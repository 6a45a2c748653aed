/* SPDX-License-Identifier: MIT */
/* Mutex, SharedMutex, Condition and Semaphore. They are written in C, and not in Python around
 * a few C calls, because the interpreter raises KeyboardInterrupt between any two Python
 * instructions: a lock that is acquired by the one and noted by the next would stay locked. */
#include "core.h"

#include <math.h>
#include <string.h>
#include <time.h>

PyTypeObject *mutex_type, *shared_mutex_type, *shared_view_type, *condition_type, *semaphore_type;

/* ---- what differs between the kinds ---- */

struct operations {
  enum deadbolt_lock_status (*try_acquire)(void* place, size_t count);
  enum deadbolt_lock_status (*acquire_interruptible)(void* place, size_t count,
                                                     const struct timespec* time);
  enum deadbolt_unlock_status (*release)(void* place, size_t count);
  bool (*mark_consistent)(void* place);
};

static enum deadbolt_lock_status mutex_try(void* place, size_t Py_UNUSED(count)) {
  return deadbolt_mutex_try_lock(place);
}
static enum deadbolt_lock_status mutex_wait(void* place, size_t Py_UNUSED(count),
                                            const struct timespec* time) {
  return deadbolt_mutex_lock_interruptible(place, CLOCK_MONOTONIC, time, NULL);
}
static enum deadbolt_unlock_status mutex_release(void* place, size_t Py_UNUSED(count)) {
  return deadbolt_mutex_unlock(place);
}
static bool mutex_mark(void* place) {
  return deadbolt_mutex_mark_consistent(place);
}

static enum deadbolt_lock_status writer_try(void* place, size_t Py_UNUSED(count)) {
  return deadbolt_shared_mutex_try_lock(place);
}
static enum deadbolt_lock_status writer_wait(void* place, size_t Py_UNUSED(count),
                                             const struct timespec* time) {
  return deadbolt_shared_mutex_lock_interruptible(place, CLOCK_MONOTONIC, time, NULL);
}
static enum deadbolt_unlock_status writer_release(void* place, size_t Py_UNUSED(count)) {
  return deadbolt_shared_mutex_unlock(place);
}
static enum deadbolt_lock_status reader_try(void* place, size_t Py_UNUSED(count)) {
  return deadbolt_shared_mutex_try_lock_shared(place);
}
static enum deadbolt_lock_status reader_wait(void* place, size_t Py_UNUSED(count),
                                             const struct timespec* time) {
  return deadbolt_shared_mutex_lock_shared_interruptible(place, CLOCK_MONOTONIC, time, NULL);
}
static enum deadbolt_unlock_status reader_release(void* place, size_t Py_UNUSED(count)) {
  return deadbolt_shared_mutex_unlock_shared(place);
}
static bool shared_mutex_mark(void* place) {
  return deadbolt_shared_mutex_mark_consistent(place);
}

static enum deadbolt_lock_status permit_try(void* place, size_t count) {
  return deadbolt_counting_semaphore_try_acquire(place, count);
}
static enum deadbolt_lock_status permit_wait(void* place, size_t count,
                                             const struct timespec* time) {
  return deadbolt_counting_semaphore_acquire_interruptible(place, count, CLOCK_MONOTONIC, time,
                                                           NULL);
}
static enum deadbolt_unlock_status permit_release(void* place, size_t count) {
  return deadbolt_counting_semaphore_release(place, count);
}
static bool permit_mark(void* Py_UNUSED(place)) {
  return false;
}

/* A condition is its mutex where it is acquired and released. */
static const struct operations operations_of_kind[] = {
    [KIND_MUTEX] = {mutex_try, mutex_wait, mutex_release, mutex_mark},
    [KIND_SHARED_MUTEX] = {writer_try, writer_wait, writer_release, shared_mutex_mark},
    [KIND_SHARED_VIEW] = {reader_try, reader_wait, reader_release, shared_mutex_mark},
    [KIND_SEMAPHORE] = {permit_try, permit_wait, permit_release, permit_mark},
};

static lock_object* lock_of(PyObject* object) {
  lock_object* self = (lock_object*)object;
  return self->kind == KIND_CONDITION ? (lock_object*)self->other : self;
}

/* ---- waiting ---- */

static const int64_t for_ever = INT64_MAX;
/* A signal handler that runs while the thread sleeps ends the wait at once. One that runs just
 * before that is not seen by the sleep: hence no wait without a look for signals is longer than
 * this, in nanoseconds. */
static const int64_t longest_piece = 1000000000;

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static struct timespec time_of(int64_t nanoseconds) {
  return (struct timespec){nanoseconds / 1000000000, nanoseconds % 1000000000};
}

static int64_t end_of_piece(int64_t deadline) {
  const int64_t end = now() + longest_piece;
  return end < deadline ? end : deadline;
}

/* The one place that waits for a lock, without the GIL. False: a signal handler raised, and the
 * lock is not held. */
static bool wait_for_lock(lock_object* self, int64_t deadline, enum deadbolt_lock_status* status) {
  const struct operations* operations = &operations_of_kind[self->kind];
  for (;;) {
    const int64_t end = end_of_piece(deadline);
    const struct timespec time = time_of(end);
    Py_BEGIN_ALLOW_THREADS
      *status = operations->acquire_interruptible(self->place, self->count, &time);
    Py_END_ALLOW_THREADS
    if (*status != DEADBOLT_TIMED_OUT && *status != DEADBOLT_INTERRUPTED) return true;
    if (PyErr_CheckSignals() != 0) return false;
    if (*status == DEADBOLT_TIMED_OUT && end == deadline) return true;
  }
}

/* ---- results ---- */

static void raise_lock_error(PyObject* class, const char* text, lock_object* self) {
  PyObject* error = PyObject_CallFunction(class, "s", text);
  if (error == NULL) return;
  if (PyObject_SetAttrString(error, "lock", (PyObject*)self) == 0) PyErr_SetObject(class, error);
  Py_DECREF(error);
}

static void release_dead(lock_object* self) {
  operations_of_kind[self->kind].release(self->place, self->count);
}

/* The last owner died, and the caller holds the lock. True when the data was repaired; else
 * an exception is set. */
static bool recover(lock_object* self) {
  if (self->recover == Py_None) {
    raise_lock_error(owner_died_class,
                     "the last owner died with the lock held: repair the data, then call "
                     "mark_consistent() and release()",
                     self);
    return false;
  }
  PyObject* repaired = PyObject_CallNoArgs(self->recover);
  if (repaired == NULL) {
    /* An error of the repair is final. Ctrl-C and exit are not: the lock stays held, and its
     * next owner after this thread is told again. */
    if (PyErr_ExceptionMatches(PyExc_Exception)) release_dead(self);
    return false;
  }
  const bool failed = repaired == Py_False;
  Py_DECREF(repaired);
  if (failed) {
    release_dead(self);
    raise_lock_error(not_recoverable_class, "the data could not be repaired", self);
    return false;
  }
  operations_of_kind[self->kind].mark_consistent(self->place);
  return true;
}

/* 1: held; 0: not, for lack of time; -1 with an exception set. */
static int settle(lock_object* self, enum deadbolt_lock_status status) {
  switch (status) {
  case DEADBOLT_ACQUIRED:
    return 1;
  case DEADBOLT_BUSY:
  case DEADBOLT_TIMED_OUT:
    return 0;
  case DEADBOLT_OWNER_DIED:
    return recover(self) ? 1 : -1;
  case DEADBOLT_NOT_RECOVERABLE:
    raise_lock_error(not_recoverable_class, "a former owner died and the data was not repaired",
                     self);
    return -1;
  case DEADBOLT_DEADLOCK:
    raise_lock_error(deadlock_class, "the calling thread holds this lock already", self);
    return -1;
  case DEADBOLT_CANNOT_ATTACH:
    set_attach_error(deadbolt_last_attach_failure(NULL));
    return -1;
  default:
    raise_lock_error(lock_error_class, deadbolt_lock_status_name(status), self);
    return -1;
  }
}

/* ---- acquire and release ---- */

/* As settle(). */
static int acquire(lock_object* self, bool blocking, int64_t deadline) {
  if (!region_pin(self->region)) return -1;
  int result = -1;
  enum deadbolt_lock_status status =
      operations_of_kind[self->kind].try_acquire(self->place, self->count);
  if (status != DEADBOLT_BUSY || !blocking || wait_for_lock(self, deadline, &status))
    result = settle(self, status);
  region_unpin(self->region);
  return result;
}

static bool release(lock_object* self) {
  if (!region_pin(self->region)) return false;
  const enum deadbolt_unlock_status status =
      operations_of_kind[self->kind].release(self->place, self->count);
  region_unpin(self->region);
  if (status == DEADBOLT_RELEASED) return true;
  raise_lock_error(not_owner_class, "the calling thread does not hold this lock", self);
  return false;
}

/* None and -1: no deadline. */
static bool deadline_of(PyObject* timeout, int64_t* deadline) {
  *deadline = for_ever;
  if (timeout == NULL || timeout == Py_None) return true;
  const double seconds = PyFloat_AsDouble(timeout);
  if (seconds == -1.0) return !PyErr_Occurred();
  if (isnan(seconds)) {
    PyErr_SetString(PyExc_ValueError, "timeout is not a number");
    return false;
  }
  /* As multiprocessing: what is below 0 counts as 0. */
  if (seconds < 4e9) *deadline = now() + (seconds < 0 ? 0 : (int64_t)(seconds * 1e9));
  return true;
}

static PyObject* lock_acquire(PyObject* object, PyObject* args, PyObject* keywords) {
  static char* names[] = {"blocking", "timeout", NULL};
  int blocking = 1;
  PyObject* timeout = NULL;
  int64_t deadline;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "|pO:acquire", names, &blocking, &timeout) ||
      !deadline_of(timeout, &deadline))
    return NULL;
  if (!blocking && deadline != for_ever) {
    PyErr_SetString(PyExc_ValueError, "can't specify a timeout for a non-blocking call");
    return NULL;
  }
  const int held = acquire(lock_of(object), blocking, deadline);
  return held < 0 ? NULL : PyBool_FromLong(held);
}

static PyObject* lock_release(PyObject* object, PyObject* Py_UNUSED(unused)) {
  return release(lock_of(object)) ? Py_NewRef(Py_None) : NULL;
}

static PyObject* lock_enter(PyObject* object, PyObject* Py_UNUSED(unused)) {
  return acquire(lock_of(object), true, for_ever) < 0 ? NULL : Py_NewRef(object);
}

/* A wait that was told "not recoverable" has ended without the lock: that exception goes on. */
static PyObject* lock_exit(PyObject* object, PyObject* const* args, Py_ssize_t count) {
  PyObject* type = count > 0 ? args[0] : Py_None;
  if (release(lock_of(object))) return Py_NewRef(Py_False);
  if (type != Py_None && PyErr_ExceptionMatches(not_owner_class) &&
      PyObject_IsSubclass(type, not_recoverable_class) == 1) {
    PyErr_Clear();
    return Py_NewRef(Py_False);
  }
  return NULL;
}

static PyObject* lock_mark_consistent(PyObject* object, PyObject* Py_UNUSED(unused)) {
  lock_object* self = lock_of(object);
  if (!region_pin(self->region)) return NULL;
  const bool marked = operations_of_kind[self->kind].mark_consistent(self->place);
  region_unpin(self->region);
  return PyBool_FromLong(marked);
}

/* ---- conditions ---- */

/* One sleep and the mutex again. 1: look at the data; 0: the time is over; -1 with an
 * exception set, and the mutex held unless that is NotRecoverable or NotOwner. */
static int condition_wait_once(lock_object* self, int64_t deadline) {
  lock_object* mutex = (lock_object*)self->other;
  const int64_t end = end_of_piece(deadline);
  const struct timespec time = time_of(end);
  enum deadbolt_wait_status status;
  Py_BEGIN_ALLOW_THREADS
    status = deadbolt_condition_variable_wait_interruptible(self->place, mutex->place,
                                                            CLOCK_MONOTONIC, &time, NULL);
  Py_END_ALLOW_THREADS
  switch (status) {
  case DEADBOLT_AWAKE:
  case DEADBOLT_WAIT_INTERRUPTED:
    return PyErr_CheckSignals() != 0 ? -1 : 1;
  case DEADBOLT_WAIT_TIMED_OUT:
    return PyErr_CheckSignals() != 0 ? -1 : end != deadline;
  case DEADBOLT_WAIT_OWNER_DIED:
    return recover(mutex) ? 1 : -1;
  case DEADBOLT_WAIT_NOT_RECOVERABLE:
    return settle(mutex, DEADBOLT_NOT_RECOVERABLE);
  case DEADBOLT_WAIT_NOT_OWNER:
    raise_lock_error(not_owner_class, "the calling thread does not hold the condition's lock",
                     mutex);
    return -1;
  default:
    raise_lock_error(lock_error_class, deadbolt_wait_status_name(status), mutex);
    return -1;
  }
}

static PyObject* condition_wait(PyObject* object, PyObject* args, PyObject* keywords) {
  static char* names[] = {"timeout", NULL};
  lock_object* self = (lock_object*)object;
  PyObject* timeout = NULL;
  int64_t deadline;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "|O:wait", names, &timeout) ||
      !deadline_of(timeout, &deadline) || !region_pin(self->region))
    return NULL;
  const int awake = condition_wait_once(self, deadline);
  region_unpin(self->region);
  return awake < 0 ? NULL : PyBool_FromLong(awake);
}

static PyObject* condition_wait_for(PyObject* object, PyObject* args, PyObject* keywords) {
  static char* names[] = {"predicate", "timeout", NULL};
  lock_object* self = (lock_object*)object;
  PyObject *predicate, *timeout = NULL, *result = NULL;
  int64_t deadline;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|O:wait_for", names, &predicate, &timeout) ||
      !deadline_of(timeout, &deadline) || !region_pin(self->region))
    return NULL;
  for (;;) {
    Py_XDECREF(result);
    result = PyObject_CallNoArgs(predicate);
    if (result == NULL) break;
    const int truth = PyObject_IsTrue(result);
    if (truth > 0) break;
    const int awake = truth < 0 ? -1 : condition_wait_once(self, deadline);
    if (awake > 0) continue;
    Py_CLEAR(result);
    /* Once more when the time is over, as threading.Condition does. */
    if (awake == 0) result = PyObject_CallNoArgs(predicate);
    break;
  }
  region_unpin(self->region);
  return result;
}

static PyObject* notify(lock_object* self, Py_ssize_t n) {
  if (!region_pin(self->region)) return NULL;
  if (n < 0) {
    deadbolt_condition_variable_notify_all(self->place);
  } else {
    while (n-- > 0) deadbolt_condition_variable_notify_one(self->place);
  }
  region_unpin(self->region);
  Py_RETURN_NONE;
}

static PyObject* condition_notify(PyObject* object, PyObject* args, PyObject* keywords) {
  static char* names[] = {"n", NULL};
  Py_ssize_t n = 1;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "|n:notify", names, &n)) return NULL;
  return notify((lock_object*)object, n < 0 ? 0 : n);
}

static PyObject* condition_notify_all(PyObject* object, PyObject* Py_UNUSED(unused)) {
  return notify((lock_object*)object, -1);
}

/* ---- making them ---- */

static PyObject* make_lock(PyTypeObject* type, enum lock_kind kind, region_object* region,
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

/* A lock that is named or at an offset. Pins the region while it looks. */
static PyObject* find_lock(PyTypeObject* type, enum lock_kind kind, PyObject* region,
                           enum deadbolt_object_kind object_kind, size_t size, size_t alignment,
                           size_t count, PyObject* name, PyObject* recover, PyObject* other,
                           bool create, void (*first)(void*, size_t)) {
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
  return make_lock(type, kind, in, place, count, name, recover, other);
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
  return find_lock(type, kind, region, data > 0 ? DEADBOLT_OBJECT_OTHER : object_kind,
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

PyObject* make_condition(PyObject* region, PyObject* args, PyObject* keywords) {
  static char* names[] = {"name", "lock", "create", NULL};
  PyObject *name, *mutex;
  int create = 1;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "OO!|$p:condition", names, &name, mutex_type,
                                   &mutex, &create))
    return NULL;
  if ((PyObject*)((lock_object*)mutex)->region != region) {
    PyErr_SetString(PyExc_ValueError, "the lock is of another Region object");
    return NULL;
  }
  return find_lock(condition_type, KIND_CONDITION, region, DEADBOLT_OBJECT_CONDITION_VARIABLE,
                   sizeof(struct deadbolt_condition_variable), 4, 0, name, Py_None, mutex, create,
                   NULL);
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
  return find_lock(semaphore_type, KIND_SEMAPHORE, region, DEADBOLT_OBJECT_COUNTING_SEMAPHORE,
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
  return make_lock(shared_view_type, KIND_SHARED_VIEW, self->region, self->place, self->count,
                   self->name, self->recover, object);
}

/* ---- what every object has ---- */

static int lock_traverse(PyObject* object, visitproc visit, void* arg) {
  lock_object* self = (lock_object*)object;
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(self->recover);
  Py_VISIT(self->other);
  return 0;
}

static int lock_clear(PyObject* object) {
  lock_object* self = (lock_object*)object;
  Py_CLEAR(self->recover);
  Py_CLEAR(self->other);
  return 0;
}

static void lock_dealloc(PyObject* object) {
  lock_object* self = (lock_object*)object;
  PyTypeObject* type = Py_TYPE(object);
  PyObject_GC_UnTrack(object);
  lock_clear(object);
  Py_XDECREF(self->name);
  Py_XDECREF((PyObject*)self->region);
  ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
  Py_DECREF(type);
}

static PyObject* lock_repr(PyObject* object) {
  static const char* const names[] = {"Mutex", "SharedMutex", "SharedMutex.shared", "Condition",
                                      "Semaphore"};
  const lock_object* self = (lock_object*)object;
  return PyUnicode_FromFormat("<deadbolt.%s %R of %R>", names[self->kind], self->name,
                              (PyObject*)self->region);
}

static PyObject* lock_reduce(PyObject* object, PyObject* Py_UNUSED(unused)) {
  lock_object* self = (lock_object*)object;
  PyObject* module = PyImport_ImportModule("deadbolt._pickling");
  if (module == NULL) return NULL;
  PyObject* reduced = NULL;
  switch (self->kind) {
  case KIND_MUTEX:
  case KIND_SHARED_MUTEX:
    reduced = PyObject_CallMethod(module, "reduce_lock", "OsOOn", (PyObject*)self->region,
                                  self->kind == KIND_MUTEX ? "mutex" : "shared_mutex", self->name,
                                  self->recover, (Py_ssize_t)self->count);
    break;
  case KIND_SHARED_VIEW:
    reduced = PyObject_CallMethod(module, "reduce_shared", "O", self->other);
    break;
  case KIND_CONDITION:
    reduced = PyObject_CallMethod(module, "reduce_condition", "OO", self->name, self->other);
    break;
  case KIND_SEMAPHORE:
    reduced = PyObject_CallMethod(module, "reduce_lock", "OsOn", (PyObject*)self->region,
                                  "semaphore", self->name, (Py_ssize_t)self->count);
    break;
  }
  Py_DECREF(module);
  return reduced;
}

static PyObject* lock_region(PyObject* object, void* Py_UNUSED(closure)) {
  return Py_NewRef((PyObject*)((lock_object*)object)->region);
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
static PyObject* lock_name(PyObject* object, void* Py_UNUSED(closure)) {
  return Py_NewRef(((lock_object*)object)->name);
}
static PyObject* condition_lock(PyObject* object, void* Py_UNUSED(closure)) {
  return Py_NewRef(((lock_object*)object)->other);
}
static PyObject* semaphore_value(PyObject* object, void* Py_UNUSED(closure)) {
  return PyLong_FromSize_t(((lock_object*)object)->count);
}

/* ---- the types ---- */

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
#define END                                                                                        \
  { NULL, NULL, 0, NULL }

static PyMethodDef mutex_methods[] = {
    ACQUIRE, RELEASE, MARK_CONSISTENT, LOCKED, OWNER, CONTEXT_AND_PICKLE, END};
static PyMethodDef shared_view_methods[] = {ACQUIRE, RELEASE, MARK_CONSISTENT, CONTEXT_AND_PICKLE,
                                            END};
static PyMethodDef semaphore_methods[] = {ACQUIRE, RELEASE, CONTEXT_AND_PICKLE, END};
static PyMethodDef condition_methods[] = {
    ACQUIRE,
    RELEASE,
    MARK_CONSISTENT,
    {"wait", WITH_KEYWORDS(condition_wait), METH_VARARGS | METH_KEYWORDS,
     "wait(timeout=None)\n--\n\n"
     "Releases the lock, sleeps, and takes the lock again. False when the time was over. It also\n"
     "returns, with True, at most a second after it fell asleep, so that it ends even if the\n"
     "notifier died: look at the data in a loop, or use wait_for()."},
    {"wait_for", WITH_KEYWORDS(condition_wait_for), METH_VARARGS | METH_KEYWORDS,
     "wait_for(predicate, timeout=None)\n--\n\n"
     "Waits until predicate(), called with the lock held, is true; returns its last value. If an\n"
     "owner died, its data is recovered before predicate() is called."},
    {"notify", WITH_KEYWORDS(condition_notify), METH_VARARGS | METH_KEYWORDS,
     "notify(n=1)\n--\n\nWakes at most n waiters."},
    {"notify_all", condition_notify_all, METH_NOARGS, "notify_all()\n--\n\nWakes all waiters."},
    CONTEXT_AND_PICKLE,
    END};

#define COMMON_ATTRIBUTES                                                                          \
  {"region", lock_region, NULL, "The Region.", NULL}, {                                            \
    "name", lock_name, NULL, "The name, or the offset.", NULL                                      \
  }
#define LAST                                                                                       \
  { NULL, NULL, NULL, NULL, NULL }
#define DATA                                                                                       \
  { "data", lock_data, NULL, "A memoryview of the bytes that it was asked for with.", NULL }
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
static PyGetSetDef condition_getset[] = {
    COMMON_ATTRIBUTES, {"lock", condition_lock, NULL, "The Mutex.", NULL}, LAST};
static PyGetSetDef semaphore_getset[] = {
    COMMON_ATTRIBUTES, {"value", semaphore_value, NULL, "Permits, held or not.", NULL}, LAST};

#define TYPE(name, text, doc, methods, getset)                                                     \
  static PyType_Slot name##_slots[] = {                                                            \
      {Py_tp_doc, (void*)(doc)},       {Py_tp_dealloc, lock_dealloc},                              \
      {Py_tp_traverse, lock_traverse}, {Py_tp_clear, lock_clear},                                  \
      {Py_tp_repr, lock_repr},         {Py_tp_methods, methods},                                   \
      {Py_tp_getset, getset},          {0, NULL}};                                                 \
  PyType_Spec name##_spec = {                                                                      \
      text, sizeof(lock_object), 0,                                                                \
      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION, name##_slots}

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
TYPE(condition, "deadbolt.Condition",
     "A condition variable in a region, from region.condition(name, lock). Shaped as\n"
     "threading.Condition.",
     condition_methods, condition_getset);
TYPE(semaphore, "deadbolt.Semaphore",
     "A semaphore in a region, from region.semaphore(name, value). A permit is held by a thread,\n"
     "which alone can release it, and comes back when that dies.",
     semaphore_methods, semaphore_getset);
