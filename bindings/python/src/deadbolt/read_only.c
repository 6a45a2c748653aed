/* SPDX-License-Identifier: MIT */
/* ReadOnlyRegion: a mapping without write permission. Its objects are memoryviews. */
#include "core.h"

PyTypeObject* read_only_region_type;

/* As region_object; the C interface has another handle for it. */
typedef struct {
  PyObject_HEAD struct deadbolt_read_only_region handle;
  PyObject* path;
  atomic_long pins;
} read_only_object;

static bool pin(read_only_object* self) {
  return pin_mapping(&self->pins);
}
static void unpin(read_only_object* self) {
  unpin_mapping(&self->pins);
}

/* ---- opening and closing ---- */

/* `path`: NULL, or an absolute one. */
static PyObject* make(PyTypeObject* type, const char* text, int descriptor, PyObject* path) {
  read_only_object* self = (read_only_object*)PyType_GenericAlloc(type, 0);
  if (self == NULL) return NULL;
  self->handle = (struct deadbolt_read_only_region)DEADBOLT_READ_ONLY_REGION_INIT;
  enum deadbolt_region_status status;
  Py_BEGIN_ALLOW_THREADS
    status = text != NULL ? deadbolt_read_only_region_open(&self->handle, text)
                          : deadbolt_read_only_region_open_descriptor(&self->handle, descriptor);
  Py_END_ALLOW_THREADS
  if (status != DEADBOLT_REGION_OPEN) {
    set_region_error(status, self->handle.error, path);
    atomic_store(&self->pins, -1);
    Py_DECREF(self);
    return NULL;
  }
  self->path = Py_NewRef(path == NULL ? Py_None : path);
  return (PyObject*)self;
}

static PyObject* read_only_new(PyTypeObject* type, PyObject* args, PyObject* keywords) {
  static char* names[] = {"path", NULL};
  PyObject *path, *bytes = NULL, *made = NULL;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "O:ReadOnlyRegion", names, &path)) return NULL;
  PyObject* absolute = absolute_path(path);
  if (absolute == NULL) return NULL;
  if (PyUnicode_FSConverter(absolute, &bytes)) {
    made = make(type, PyBytes_AsString(bytes), -1, absolute);
    Py_DECREF(bytes);
  }
  Py_DECREF(absolute);
  return made;
}

static PyObject* read_only_from_descriptor(PyObject* type, PyObject* argument) {
  const int descriptor = PyObject_AsFileDescriptor(argument);
  return descriptor < 0 ? NULL : make((PyTypeObject*)type, NULL, descriptor, NULL);
}

static PyObject* read_only_close(PyObject* object, PyObject* Py_UNUSED(unused)) {
  read_only_object* self = (read_only_object*)object;
  long pins = 0;
  if (!atomic_compare_exchange_strong(&self->pins, &pins, -1)) {
    if (pins < 0) Py_RETURN_NONE;
    PyErr_Format(PyExc_BufferError, "cannot close the region: %ld memoryviews use it", pins);
    return NULL;
  }
  Py_BEGIN_ALLOW_THREADS
    deadbolt_read_only_region_close(&self->handle);
  Py_END_ALLOW_THREADS
  Py_RETURN_NONE;
}

static void read_only_dealloc(PyObject* object) {
  read_only_object* self = (read_only_object*)object;
  PyTypeObject* type = Py_TYPE(object);
  if (atomic_load(&self->pins) >= 0) deadbolt_read_only_region_close(&self->handle);
  Py_XDECREF(self->path);
  ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
  Py_DECREF(type);
}

static PyObject* read_only_enter(PyObject* object, PyObject* Py_UNUSED(unused)) {
  return Py_NewRef(object);
}
static PyObject* read_only_exit(PyObject* object, PyObject* Py_UNUSED(arguments)) {
  return read_only_close(object, NULL);
}

/* ---- what is in it ---- */

static int read_only_get_buffer(PyObject* object, Py_buffer* view, int flags) {
  read_only_object* self = (read_only_object*)object;
  if (!pin(self)) {
    view->obj = NULL;
    return -1;
  }
  /* The buffer is marked read-only: the interpreter writes nothing through it. */
  void* data = (void*)(uintptr_t)deadbolt_read_only_region_data(&self->handle);
  const int result = PyBuffer_FillInfo(
      view, object, data, (Py_ssize_t)deadbolt_read_only_region_size(&self->handle), 1, flags);
  if (result != 0) unpin(self);
  return result;
}

static void read_only_release_buffer(PyObject* object, Py_buffer* Py_UNUSED(view)) {
  unpin((read_only_object*)object);
}

static bool next_object(const void* handle, uint32_t* position, struct deadbolt_object_info* info) {
  return deadbolt_read_only_region_next_object(handle, position, info);
}

static PyObject* read_only_objects(PyObject* object, PyObject* Py_UNUSED(unused)) {
  read_only_object* self = (read_only_object*)object;
  if (!pin(self)) return NULL;
  PyObject* list = list_objects(&self->handle, next_object);
  unpin(self);
  return list;
}

static PyObject* read_only_memory(PyObject* object, PyObject* args, PyObject* keywords) {
  static char* names[] = {"name", "size", NULL};
  read_only_object* self = (read_only_object*)object;
  PyObject* name;
  Py_ssize_t size;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "Un:memory", names, &name, &size)) return NULL;
  if (size <= 0) {
    PyErr_SetString(PyExc_ValueError, "size must be positive");
    return NULL;
  }
  const char* text = name_text(name);
  if (text == NULL || !pin(self)) return NULL;
  PyObject* part = NULL;
  const char* place =
      deadbolt_read_only_region_find(&self->handle, text, (size_t)size, 1, DEADBOLT_OBJECT_OTHER);
  if (place != NULL) {
    const char* data = deadbolt_read_only_region_data(&self->handle);
    part = slice_of(object, place - data, size);
  } else {
    set_find_error(deadbolt_last_construct_status(), name);
  }
  unpin(self);
  return part;
}

static PyObject* read_only_is_at(PyObject* object, PyObject* path) {
  read_only_object* self = (read_only_object*)object;
  PyObject* bytes = NULL;
  if (!PyUnicode_FSConverter(path, &bytes)) return NULL;
  PyObject* result = NULL;
  if (pin(self)) {
    result =
        PyBool_FromLong(deadbolt_read_only_region_is_at(&self->handle, PyBytes_AsString(bytes)));
    unpin(self);
  }
  Py_DECREF(bytes);
  return result;
}

static PyObject* read_only_data(PyObject* object, void* Py_UNUSED(closure)) {
  return PyMemoryView_FromObject(object);
}
static PyObject* read_only_size(PyObject* object, void* Py_UNUSED(closure)) {
  read_only_object* self = (read_only_object*)object;
  if (!pin(self)) return NULL;
  const size_t size = deadbolt_read_only_region_size(&self->handle);
  unpin(self);
  return PyLong_FromSize_t(size);
}
static PyObject* read_only_path(PyObject* object, void* Py_UNUSED(closure)) {
  return Py_NewRef(((read_only_object*)object)->path);
}
static PyObject* read_only_closed(PyObject* object, void* Py_UNUSED(closure)) {
  return PyBool_FromLong(atomic_load(&((read_only_object*)object)->pins) < 0);
}

static PyObject* read_only_repr(PyObject* object) {
  const read_only_object* self = (read_only_object*)object;
  const char* state = atomic_load(&self->pins) < 0 ? "closed " : "";
  if (self->path == Py_None)
    return PyUnicode_FromFormat("<%sdeadbolt.ReadOnlyRegion of a descriptor>", state);
  return PyUnicode_FromFormat("<%sdeadbolt.ReadOnlyRegion %R>", state, self->path);
}

static PyObject* read_only_reduce(PyObject* object, PyObject* Py_UNUSED(unused)) {
  const read_only_object* self = (read_only_object*)object;
  if (self->path != Py_None)
    return Py_BuildValue("(O(O))", (PyObject*)read_only_region_type, self->path);
  PyErr_SetString(PyExc_TypeError, "cannot pickle a ReadOnlyRegion that has no path");
  return NULL;
}

/* ---- the type ---- */

static PyMethodDef read_only_methods[] = {
    {"from_descriptor", read_only_from_descriptor, METH_O | METH_CLASS,
     "from_descriptor(descriptor)\n--\n\n"
     "The region behind a file descriptor that is open for reading, which stays the caller's."},
    {"close", read_only_close, METH_NOARGS,
     "close()\n--\n\nUnmaps the region. BufferError while a memoryview of it is left."},
    {"memory", (PyCFunction)(void (*)(void))read_only_memory, METH_VARARGS | METH_KEYWORDS,
     "memory(name, size)\n--\n\n"
     "A read-only memoryview of the memory of this name and size, as Region.memory() made it.\n"
     "KeyError where there is none."},
    {"objects", read_only_objects, METH_NOARGS,
     "objects()\n--\n\nAn ObjectInfo for each named object, as Region.objects()."},
    {"is_at", read_only_is_at, METH_O,
     "is_at(path)\n--\n\n"
     "Whether this path leads to the region's file: False when the file was removed or replaced."},
    {"__enter__", read_only_enter, METH_NOARGS, NULL},
    {"__exit__", read_only_exit, METH_VARARGS, NULL},
    {"__reduce__", read_only_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef read_only_getset[] = {
    {"data", read_only_data, NULL, "A read-only memoryview of all the data.", NULL},
    {"size", read_only_size, NULL, "Bytes of data now: another process may make it grow.", NULL},
    {"path", read_only_path, NULL, "The absolute path; None if a descriptor was opened.", NULL},
    {"closed", read_only_closed, NULL, "Whether close() has been called.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot read_only_slots[] = {
    {Py_tp_doc,
     "ReadOnlyRegion(path)\n--\n\n"
     "A region that is mapped to be read: by a process that may not write the file, or that must\n"
     "not change the data. It takes no lock: what is read while another process writes it may be\n"
     "half old and half new."},
    {Py_tp_new, read_only_new},
    {Py_tp_dealloc, read_only_dealloc},
    {Py_tp_repr, read_only_repr},
    {Py_tp_methods, read_only_methods},
    {Py_tp_getset, read_only_getset},
    {Py_bf_getbuffer, read_only_get_buffer},
    {Py_bf_releasebuffer, read_only_release_buffer},
    {0, NULL},
};

PyType_Spec read_only_region_spec = {"deadbolt.ReadOnlyRegion", sizeof(read_only_object), 0,
                                     Py_TPFLAGS_DEFAULT, read_only_slots};
