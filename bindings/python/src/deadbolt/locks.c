/* SPDX-License-Identifier: MIT */
/* What the locks have in common: acquire, release, recover, and what Python asks of an object.
 * It is written in C, and not in Python around a few C calls, because the interpreter raises
 * KeyboardInterrupt between any two Python instructions: a lock that is acquired by the one and
 * noted by the next would stay locked. */
#include "locks.h"

#include <math.h>

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

/* A signal handler that runs while the thread sleeps ends the wait at once. One that runs just
 * before that is not seen by the sleep: hence no wait without a look for signals is longer than
 * this, in nanoseconds. */
static const int64_t longest_piece = 1000000000;

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

struct timespec time_of(int64_t nanoseconds) {
  return (struct timespec){nanoseconds / 1000000000, nanoseconds % 1000000000};
}

int64_t end_of_piece(int64_t deadline) {
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

void raise_lock_error(PyObject* class, const char* text, lock_object* self) {
  PyObject* error = PyObject_CallFunction(class, "s", text);
  if (error == NULL) return;
  if (PyObject_SetAttrString(error, "lock", (PyObject*)self) == 0) PyErr_SetObject(class, error);
  Py_DECREF(error);
}

static void release_dead(lock_object* self) {
  operations_of_kind[self->kind].release(self->place, self->count);
}

bool lock_recover(lock_object* self) {
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

int lock_settle(lock_object* self, enum deadbolt_lock_status status) {
  switch (status) {
  case DEADBOLT_ACQUIRED:
    return 1;
  case DEADBOLT_BUSY:
  case DEADBOLT_TIMED_OUT:
    return 0;
  case DEADBOLT_OWNER_DIED:
    return lock_recover(self) ? 1 : -1;
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

/* As lock_settle(). */
static int acquire(lock_object* self, bool blocking, int64_t deadline) {
  if (!region_pin(self->region)) return -1;
  int result = -1;
  enum deadbolt_lock_status status =
      operations_of_kind[self->kind].try_acquire(self->place, self->count);
  if (status != DEADBOLT_BUSY || !blocking || wait_for_lock(self, deadline, &status))
    result = lock_settle(self, status);
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

bool deadline_of(PyObject* timeout, int64_t* deadline) {
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

PyObject* lock_acquire(PyObject* object, PyObject* args, PyObject* keywords) {
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

PyObject* lock_release(PyObject* object, PyObject* Py_UNUSED(unused)) {
  return release(lock_of(object)) ? Py_NewRef(Py_None) : NULL;
}

PyObject* lock_enter(PyObject* object, PyObject* Py_UNUSED(unused)) {
  return acquire(lock_of(object), true, for_ever) < 0 ? NULL : Py_NewRef(object);
}

/* A wait that was told "not recoverable" has ended without the lock: that exception goes on. */
PyObject* lock_exit(PyObject* object, PyObject* const* args, Py_ssize_t count) {
  PyObject* type = count > 0 ? args[0] : Py_None;
  if (release(lock_of(object))) return Py_NewRef(Py_False);
  if (type != Py_None && PyErr_ExceptionMatches(not_owner_class) &&
      PyObject_IsSubclass(type, not_recoverable_class) == 1) {
    PyErr_Clear();
    return Py_NewRef(Py_False);
  }
  return NULL;
}

PyObject* lock_mark_consistent(PyObject* object, PyObject* Py_UNUSED(unused)) {
  lock_object* self = lock_of(object);
  if (!region_pin(self->region)) return NULL;
  const bool marked = operations_of_kind[self->kind].mark_consistent(self->place);
  region_unpin(self->region);
  return PyBool_FromLong(marked);
}
/* ---- what every object has ---- */

int lock_traverse(PyObject* object, visitproc visit, void* arg) {
  lock_object* self = (lock_object*)object;
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(self->recover);
  Py_VISIT(self->other);
  return 0;
}

int lock_clear(PyObject* object) {
  lock_object* self = (lock_object*)object;
  Py_CLEAR(self->recover);
  Py_CLEAR(self->other);
  return 0;
}

void lock_dealloc(PyObject* object) {
  lock_object* self = (lock_object*)object;
  PyTypeObject* type = Py_TYPE(object);
  PyObject_GC_UnTrack(object);
  lock_clear(object);
  Py_XDECREF(self->name);
  Py_XDECREF((PyObject*)self->region);
  ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
  Py_DECREF(type);
}

PyObject* lock_repr(PyObject* object) {
  static const char* const names[] = {"Mutex", "SharedMutex", "SharedMutex.shared", "Condition",
                                      "Semaphore"};
  const lock_object* self = (lock_object*)object;
  return PyUnicode_FromFormat("<deadbolt.%s %R of %R>", names[self->kind], self->name,
                              (PyObject*)self->region);
}

PyObject* lock_reduce(PyObject* object, PyObject* Py_UNUSED(unused)) {
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

PyObject* lock_region(PyObject* object, void* Py_UNUSED(closure)) {
  return Py_NewRef((PyObject*)((lock_object*)object)->region);
}
PyObject* lock_name(PyObject* object, void* Py_UNUSED(closure)) {
  return Py_NewRef(((lock_object*)object)->name);
}
