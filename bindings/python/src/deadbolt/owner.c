/* SPDX-License-Identifier: MIT */
/* Which thread owns a Mutex or a SharedMutex. */
#include "core.h"

/* False, with an exception set, where the region is closed. */
static bool look(PyObject* object, enum deadbolt_owner_state* state, pid_t* pid, pid_t* tid) {
  lock_object* self = (lock_object*)object;
  if (!region_pin(self->region)) return false;
  *state = self->kind == KIND_MUTEX ? deadbolt_mutex_owner(self->place, pid, tid)
                                    : deadbolt_shared_mutex_owner(self->place, pid, tid);
  region_unpin(self->region);
  return true;
}

PyObject* lock_owner(PyObject* object, PyObject* Py_UNUSED(unused)) {
  enum deadbolt_owner_state state;
  pid_t pid, tid;
  if (!look(object, &state, &pid, &tid)) return NULL;
  const char* name = deadbolt_owner_state_name(state);
  if (state != DEADBOLT_OWNER_ALIVE) return make_record("Owner", "(s)", name);
  return make_record("Owner", "(sii)", name, (int)pid, (int)tid);
}

PyObject* lock_locked(PyObject* object, PyObject* Py_UNUSED(unused)) {
  enum deadbolt_owner_state state;
  if (!look(object, &state, NULL, NULL)) return NULL;
  return PyBool_FromLong(state != DEADBOLT_OWNER_NOT_HELD &&
                         state != DEADBOLT_OWNER_NOT_RECOVERABLE);
}
