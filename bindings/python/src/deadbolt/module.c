/* SPDX-License-Identifier: MIT */
/* The module: its exceptions, and its types by name. */
#include "core.h"

PyObject *error_class, *region_error_class, *lock_error_class, *owner_died_class,
    *not_recoverable_class, *deadlock_class, *not_owner_class, *attach_error_class;

static const struct {
  PyObject** class;
  const char* name;
  PyObject** base;
  const char* doc;
} exceptions[] = {
    {&error_class, "deadbolt.Error", &PyExc_RuntimeError,
     "The base of all exceptions of this package."},
    {&region_error_class, "deadbolt.RegionError", &error_class,
     "The file or the object in it cannot be used; the text has the library's word for the "
     "reason."},
    {&attach_error_class, "deadbolt.AttachError", &error_class,
     "The thread cannot become a member of the region, so it cannot lock."},
    {&lock_error_class, "deadbolt.LockError", &error_class,
     "A lock's refusal. The lock is in the attribute `lock`."},
    {&owner_died_class, "deadbolt.OwnerDied", &lock_error_class,
     "The lock IS held; its last owner died and the data may be half-written. Repair it, then\n"
     "call lock.mark_consistent() and lock.release()."},
    {&not_recoverable_class, "deadbolt.NotRecoverable", &lock_error_class,
     "Not held: an owner that was told OwnerDied released the lock without repair."},
    {&deadlock_class, "deadbolt.Deadlock", &lock_error_class,
     "The calling thread holds the lock already; it does so as before."},
    {&not_owner_class, "deadbolt.NotOwner", &lock_error_class,
     "Not released: the calling thread does not hold the lock."},
};

static const struct {
  PyTypeObject** type;
  PyType_Spec* spec;
  const char* name;
} types[] = {
    {&region_type, &region_spec, "Region"},
    {&mutex_type, &mutex_spec, "Mutex"},
    {&shared_mutex_type, &shared_mutex_spec, "SharedMutex"},
    {&shared_view_type, &shared_view_spec, "SharedView"},
    {&condition_type, &condition_spec, "Condition"},
    {&semaphore_type, &semaphore_spec, "Semaphore"},
    {&read_only_region_type, &read_only_region_spec, "ReadOnlyRegion"},
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "deadbolt._deadbolt",
    .m_doc = "The C part of deadbolt.",
    .m_size = -1, /* one interpreter a process: the library's state is the process's */
};

PyMODINIT_FUNC PyInit__deadbolt(void) {
  PyObject* module = PyModule_Create(&definition);
  if (module == NULL) return NULL;
#ifdef Py_GIL_DISABLED
  PyUnstable_Module_SetGIL(module, Py_MOD_GIL_NOT_USED);
#endif
  for (size_t i = 0; i < sizeof exceptions / sizeof exceptions[0]; ++i) {
    *exceptions[i].class =
        PyErr_NewExceptionWithDoc(exceptions[i].name, exceptions[i].doc, *exceptions[i].base, NULL);
    const char* name = exceptions[i].name + sizeof "deadbolt." - 1;
    if (*exceptions[i].class == NULL ||
        PyModule_AddObjectRef(module, name, *exceptions[i].class) != 0)
      goto failed;
  }
  for (size_t i = 0; i < sizeof types / sizeof types[0]; ++i) {
    *types[i].type = (PyTypeObject*)PyType_FromSpec(types[i].spec);
    if (*types[i].type == NULL ||
        PyModule_AddObjectRef(module, types[i].name, (PyObject*)*types[i].type) != 0)
      goto failed;
  }
  return module;
failed:
  Py_DECREF(module);
  return NULL;
}
