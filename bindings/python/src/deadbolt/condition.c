/* SPDX-License-Identifier: MIT */
/* Condition: a condition variable and the Mutex that it waits with. */
#include "locks.h"

PyTypeObject* condition_type;

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
    return lock_recover(mutex) ? 1 : -1;
  case DEADBOLT_WAIT_NOT_RECOVERABLE:
    return lock_settle(mutex, DEADBOLT_NOT_RECOVERABLE);
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
  return lock_find(condition_type, KIND_CONDITION, region, DEADBOLT_OBJECT_CONDITION_VARIABLE,
                   sizeof(struct deadbolt_condition_variable), 4, 0, name, Py_None, mutex, create,
                   NULL);
}

static PyObject* condition_lock(PyObject* object, void* Py_UNUSED(closure)) {
  return Py_NewRef(((lock_object*)object)->other);
}

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
     "owner died, the mutex's recover() is called before predicate(); without one OwnerDied is\n"
     "raised, with the lock held."},
    {"notify", WITH_KEYWORDS(condition_notify), METH_VARARGS | METH_KEYWORDS,
     "notify(n=1)\n--\n\nWakes at most n waiters."},
    {"notify_all", condition_notify_all, METH_NOARGS, "notify_all()\n--\n\nWakes all waiters."},
    CONTEXT_AND_PICKLE,
    END};

static PyGetSetDef condition_getset[] = {
    COMMON_ATTRIBUTES, {"lock", condition_lock, NULL, "The Mutex.", NULL}, LAST};

TYPE(condition, "deadbolt.Condition",
     "A condition variable in a region, from region.condition(name, lock). Shaped as\n"
     "threading.Condition.",
     condition_methods, condition_getset);
