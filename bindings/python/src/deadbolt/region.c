/* SPDX-License-Identifier: MIT */
/* Region: a mapping, its buffer, and the objects that it names. */
#include "core.h"

#include <errno.h>
#include <string.h>

PyTypeObject* region_type;

/* ---- keeping it mapped ---- */

bool region_pin(region_object* region) {
  long pins = atomic_load_explicit(&region->pins, memory_order_relaxed);
  while (pins >= 0) {
    if (atomic_compare_exchange_weak_explicit(&region->pins, &pins, pins + 1, memory_order_acquire,
                                              memory_order_relaxed))
      return true;
  }
  PyErr_SetString(PyExc_ValueError, "the region is closed");
  return false;
}

void region_unpin(region_object* region) {
  atomic_fetch_sub_explicit(&region->pins, 1, memory_order_release);
}

/* ---- opening and closing ---- */

/* Sets the exception for a region that is not open. */
static void set_region_error(const struct deadbolt_region* handle, PyObject* path) {
  const enum deadbolt_region_status status = handle->status;
  switch (status) {
  case DEADBOLT_REGION_NOT_FOUND:
    errno = ENOENT;
    PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
    return;
  case DEADBOLT_REGION_EXISTS:
    errno = EEXIST;
    PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
    return;
  case DEADBOLT_REGION_SYSTEM_ERROR:
    errno = handle->error;
    PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
    return;
  case DEADBOLT_REGION_INVALID_OPTIONS:
    PyErr_SetString(PyExc_ValueError, "size, members or mode is out of range");
    return;
  default:
    if (path == NULL) {
      PyErr_SetString(region_error_class, deadbolt_region_status_name(status));
    } else {
      PyErr_Format(region_error_class, "%s: %R", deadbolt_region_status_name(status), path);
    }
  }
}

enum opening { OPEN, CREATE, OPEN_OR_CREATE, ANONYMOUS, DESCRIPTOR };

/* `text` is a path, or an anonymous region's name. Steals nothing. */
static PyObject* make_region(PyTypeObject* type, enum opening how, const char* text, int descriptor,
                             PyObject* path, Py_ssize_t size, unsigned members, unsigned mode) {
  if (size < 0) {
    PyErr_SetString(PyExc_ValueError, "size, members or mode is out of range");
    return NULL;
  }
  region_object* self = (region_object*)PyType_GenericAlloc(type, 0);
  if (self == NULL) return NULL;
  self->handle = (struct deadbolt_region)DEADBOLT_REGION_INIT;
  const struct deadbolt_region_options options = {(size_t)size, members, mode, 0};
  enum deadbolt_region_status status = DEADBOLT_REGION_CLOSED;
  Py_BEGIN_ALLOW_THREADS
    switch (how) {
    case OPEN:
      status = deadbolt_region_open(&self->handle, text);
      break;
    case CREATE:
      status = deadbolt_region_create(&self->handle, text, &options);
      break;
    case OPEN_OR_CREATE:
      status = deadbolt_region_open_or_create(&self->handle, text, &options);
      break;
    case ANONYMOUS:
      status = deadbolt_region_create_anonymous(&self->handle, text, &options);
      break;
    case DESCRIPTOR:
      status = deadbolt_region_open_descriptor(&self->handle, descriptor);
      break;
    }
  Py_END_ALLOW_THREADS
  if (status != DEADBOLT_REGION_OPEN) {
    set_region_error(&self->handle, path);
    atomic_store(&self->pins, -1);
    Py_DECREF(self);
    return NULL;
  }
  self->path = Py_NewRef(path == NULL ? Py_None : path);
  return (PyObject*)self;
}

/* The absolute path, so that it means the same wherever it is pickled to. */
static PyObject* absolute_path(PyObject* path) {
  PyObject* module = PyImport_ImportModule("os.path");
  if (module == NULL) return NULL;
  PyObject* absolute = PyObject_CallMethod(module, "abspath", "O", path);
  Py_DECREF(module);
  return absolute;
}

static PyObject* make_from_path(PyTypeObject* type, enum opening how, PyObject* path,
                                Py_ssize_t size, unsigned members, unsigned mode) {
  PyObject* absolute = absolute_path(path);
  if (absolute == NULL) return NULL;
  PyObject* made = NULL;
  PyObject* bytes = NULL;
  if (PyUnicode_FSConverter(absolute, &bytes)) {
    made = make_region(type, how, PyBytes_AsString(bytes), -1, absolute, size, members, mode);
    Py_DECREF(bytes);
  }
  Py_DECREF(absolute);
  return made;
}

/* None: absent. */
static bool size_of(PyObject* object, Py_ssize_t* size) {
  *size = 0;
  if (object == NULL || object == Py_None) return true;
  *size = PyNumber_AsSsize_t(object, PyExc_OverflowError);
  return *size != -1 || !PyErr_Occurred();
}

static PyObject* region_new(PyTypeObject* type, PyObject* args, PyObject* keywords) {
  static char* names[] = {"path", "size", "members", "mode", NULL};
  PyObject *path, *size_object = Py_None;
  unsigned members = 0, mode = 0600;
  Py_ssize_t size;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|O$II:Region", names, &path, &size_object,
                                   &members, &mode) ||
      !size_of(size_object, &size))
    return NULL;
  return make_from_path(type, size_object == Py_None ? OPEN : OPEN_OR_CREATE, path, size, members,
                        mode);
}

static PyObject* region_create(PyObject* type, PyObject* args, PyObject* keywords) {
  static char* names[] = {"path", "size", "members", "mode", NULL};
  PyObject* path;
  unsigned members = 0, mode = 0600;
  Py_ssize_t size;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "On|$II:create", names, &path, &size, &members,
                                   &mode))
    return NULL;
  return make_from_path((PyTypeObject*)type, CREATE, path, size, members, mode);
}

static PyObject* region_anonymous(PyObject* type, PyObject* args, PyObject* keywords) {
  static char* names[] = {"size", "name", "members", NULL};
  const char* name = "deadbolt";
  unsigned members = 0;
  Py_ssize_t size;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "n|s$I:anonymous", names, &size, &name,
                                   &members))
    return NULL;
  return make_region((PyTypeObject*)type, ANONYMOUS, name, -1, NULL, size, members, 0);
}

static PyObject* region_from_descriptor(PyObject* type, PyObject* argument) {
  const int descriptor = PyObject_AsFileDescriptor(argument);
  if (descriptor < 0) return NULL;
  return make_region((PyTypeObject*)type, DESCRIPTOR, NULL, descriptor, NULL, 0, 0, 0);
}

static PyObject* region_close(PyObject* object, PyObject* Py_UNUSED(unused)) {
  region_object* self = (region_object*)object;
  long pins = 0;
  if (!atomic_compare_exchange_strong(&self->pins, &pins, -1)) {
    if (pins < 0) Py_RETURN_NONE;
    PyErr_Format(PyExc_BufferError,
                 "cannot close the region: %ld memoryviews or waiting threads use it", pins);
    return NULL;
  }
  bool unmapped;
  Py_BEGIN_ALLOW_THREADS
    unmapped = deadbolt_region_close(&self->handle);
  Py_END_ALLOW_THREADS
  if (!unmapped &&
      PyErr_WarnEx(PyExc_ResourceWarning,
                   "a thread was in an unlock for a second: the region stays mapped", 1) < 0)
    return NULL;
  Py_RETURN_NONE;
}

/* No lock and no memoryview is left: each has a reference. */
static void region_dealloc(PyObject* object) {
  region_object* self = (region_object*)object;
  PyTypeObject* type = Py_TYPE(object);
  if (atomic_load(&self->pins) >= 0) deadbolt_region_close(&self->handle);
  Py_XDECREF(self->path);
  ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
  Py_DECREF(type);
}

static PyObject* region_enter(PyObject* object, PyObject* Py_UNUSED(unused)) {
  return Py_NewRef(object);
}

static PyObject* region_exit(PyObject* object, PyObject* Py_UNUSED(arguments)) {
  return region_close(object, NULL);
}

/* ---- membership ---- */

void set_attach_error(enum deadbolt_attach_status status) {
  PyErr_Format(attach_error_class, "the thread cannot become a member of the region: %s",
               deadbolt_attach_status_name(status));
}

static PyObject* region_attach_method(PyObject* object, PyObject* Py_UNUSED(unused)) {
  region_object* self = (region_object*)object;
  if (!region_pin(self)) return NULL;
  const enum deadbolt_attach_status status = deadbolt_region_attach(&self->handle);
  region_unpin(self);
  if (status == DEADBOLT_ATTACHED) Py_RETURN_NONE;
  set_attach_error(status);
  return NULL;
}

static PyObject* region_detach_method(PyObject* object, PyObject* Py_UNUSED(unused)) {
  region_object* self = (region_object*)object;
  if (!region_pin(self)) return NULL;
  const bool detached = deadbolt_region_detach(&self->handle);
  region_unpin(self);
  return PyBool_FromLong(detached);
}

/* ---- what is in it ---- */

static void* place_at(region_object* self, PyObject* name, size_t size, size_t alignment) {
  const size_t offset = PyLong_AsSize_t(name);
  if (offset == (size_t)-1 && PyErr_Occurred()) return NULL;
  const size_t whole = deadbolt_region_size(&self->handle);
  if (offset > whole || size > whole - offset || offset % alignment != 0) {
    PyErr_Format(PyExc_ValueError, "no place for %zu bytes, aligned to %zu, at offset %zu", size,
                 alignment, offset);
    return NULL;
  }
  return (char*)deadbolt_region_data(&self->handle) + offset;
}

static void set_construct_error(enum deadbolt_construct_status status, const char* name) {
  if (status == DEADBOLT_CONSTRUCT_CANNOT_ATTACH) {
    set_attach_error(deadbolt_last_attach_failure(NULL));
  } else {
    PyErr_Format(region_error_class, "%s: '%s'", deadbolt_construct_status_name(status), name);
  }
}

void* region_place(region_object* self, PyObject* name, size_t size, size_t alignment,
                   enum deadbolt_object_kind kind, void (*first)(void* place, size_t size)) {
  if (PyLong_Check(name)) return place_at(self, name, size, alignment);
  Py_ssize_t length;
  const char* text = PyUnicode_AsUTF8AndSize(name, &length);
  if (text == NULL) return NULL;
  if (length == 0 || length > 39 || strlen(text) != (size_t)length) {
    PyErr_SetString(PyExc_ValueError, "a name has 1 to 39 bytes of UTF-8, none of them zero");
    return NULL;
  }
  bool fresh = false;
  void* place;
  enum deadbolt_construct_status status;
  /* Waits while another process makes an object. */
  Py_BEGIN_ALLOW_THREADS
    place =
        deadbolt_region_find_or_begin_construct(&self->handle, text, size, alignment, kind, &fresh);
    status = deadbolt_last_construct_status();
    if (fresh) {
      if (first != NULL) first(place, size);
      deadbolt_region_end_construct(&self->handle, text, true);
    }
  Py_END_ALLOW_THREADS
  if (place == NULL) set_construct_error(status, text);
  return place;
}

static int region_get_buffer(PyObject* object, Py_buffer* view, int flags) {
  region_object* self = (region_object*)object;
  if (!region_pin(self)) {
    view->obj = NULL;
    return -1;
  }
  const int result = PyBuffer_FillInfo(view, object, deadbolt_region_data(&self->handle),
                                       (Py_ssize_t)deadbolt_region_size(&self->handle), 0, flags);
  if (result != 0) region_unpin(self);
  return result;
}

static void region_release_buffer(PyObject* object, Py_buffer* Py_UNUSED(view)) {
  region_unpin((region_object*)object);
}

static PyObject* region_data(PyObject* object, void* Py_UNUSED(closure)) {
  return PyMemoryView_FromObject(object);
}

static PyObject* region_memory(PyObject* object, PyObject* args, PyObject* keywords) {
  static char* names[] = {"name", "size", "alignment", NULL};
  region_object* self = (region_object*)object;
  PyObject* name;
  Py_ssize_t size, alignment = 8;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "Un|n:memory", names, &name, &size, &alignment))
    return NULL;
  if (size <= 0 || alignment <= 0 || alignment > 4096 || (alignment & (alignment - 1)) != 0) {
    PyErr_SetString(PyExc_ValueError,
                    "size must be positive, and alignment a power of two up to 4096");
    return NULL;
  }
  if (!region_pin(self)) return NULL;
  PyObject* part = NULL;
  const char* place =
      region_place(self, name, (size_t)size, (size_t)alignment, DEADBOLT_OBJECT_OTHER, NULL);
  if (place != NULL) {
    const Py_ssize_t offset = place - (char*)deadbolt_region_data(&self->handle);
    PyObject* whole = PyMemoryView_FromObject(object);
    if (whole != NULL) part = PySequence_GetSlice(whole, offset, offset + size);
    Py_XDECREF(whole);
  }
  region_unpin(self);
  return part;
}

static PyObject* region_fileno(PyObject* object, PyObject* Py_UNUSED(unused)) {
  region_object* self = (region_object*)object;
  if (!region_pin(self)) return NULL;
  const int descriptor = deadbolt_region_descriptor(&self->handle);
  region_unpin(self);
  return PyLong_FromLong(descriptor);
}

static PyObject* region_members(PyObject* object, void* Py_UNUSED(closure)) {
  region_object* self = (region_object*)object;
  if (!region_pin(self)) return NULL;
  const uint32_t members = deadbolt_region_members(&self->handle);
  region_unpin(self);
  return PyLong_FromUnsignedLong(members);
}

static PyObject* region_size(PyObject* object, void* Py_UNUSED(closure)) {
  region_object* self = (region_object*)object;
  if (!region_pin(self)) return NULL;
  const size_t size = deadbolt_region_size(&self->handle);
  region_unpin(self);
  return PyLong_FromSize_t(size);
}

static PyObject* region_path(PyObject* object, void* Py_UNUSED(closure)) {
  return Py_NewRef(((region_object*)object)->path);
}

static PyObject* region_closed(PyObject* object, void* Py_UNUSED(closure)) {
  return PyBool_FromLong(atomic_load(&((region_object*)object)->pins) < 0);
}

static PyObject* region_repr(PyObject* object) {
  const region_object* self = (region_object*)object;
  const char* state = atomic_load(&self->pins) < 0 ? "closed " : "";
  if (self->path == Py_None) return PyUnicode_FromFormat("<%sdeadbolt.Region, anonymous>", state);
  return PyUnicode_FromFormat("<%sdeadbolt.Region %R>", state, self->path);
}

static PyObject* region_reduce(PyObject* object, PyObject* Py_UNUSED(unused)) {
  PyObject* module = PyImport_ImportModule("deadbolt._pickling");
  if (module == NULL) return NULL;
  PyObject* reduced = PyObject_CallMethod(module, "reduce_region", "O", object);
  Py_DECREF(module);
  return reduced;
}

/* ---- the type ---- */

#define WITH_KEYWORDS(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef region_methods[] = {
    {"create", WITH_KEYWORDS(region_create), METH_VARARGS | METH_KEYWORDS | METH_CLASS,
     "create(path, size, *, members=0, mode=0o600)\n--\n\n"
     "A region in a new file. FileExistsError when there is one of that name."},
    {"anonymous", WITH_KEYWORDS(region_anonymous), METH_VARARGS | METH_KEYWORDS | METH_CLASS,
     "anonymous(size, name='deadbolt', *, members=0)\n--\n\n"
     "A region that has no file name. Children get it by fork, as an argument of a\n"
     "multiprocessing.Process, or by its descriptor."},
    {"from_descriptor", region_from_descriptor, METH_O | METH_CLASS,
     "from_descriptor(descriptor)\n--\n\n"
     "The region behind a file descriptor, which stays the caller's."},
    {"close", region_close, METH_NOARGS,
     "close()\n--\n\n"
     "Unmaps the region. BufferError while a memoryview of it, or a thread that waits for one\n"
     "of its locks, is left. Locks that the calling thread holds pass on as if it had died."},
    {"attach", region_attach_method, METH_NOARGS,
     "attach()\n--\n\n"
     "Makes the calling thread a member ahead of its first lock. AttachError when it cannot."},
    {"detach", region_detach_method, METH_NOARGS,
     "detach()\n--\n\n"
     "Ends the calling thread's membership; False when there is none. Locks that it still\n"
     "holds pass on as if it had died."},
    {"fileno", region_fileno, METH_NOARGS, "fileno()\n--\n\nThe region's file descriptor."},
    {"memory", WITH_KEYWORDS(region_memory), METH_VARARGS | METH_KEYWORDS,
     "memory(name, size, alignment=8)\n--\n\n"
     "A memoryview of `size` bytes that have this name in every process; zero at first. Another\n"
     "language knows them as the object of this name, size and alignment."},
    {"mutex", WITH_KEYWORDS(make_mutex), METH_VARARGS | METH_KEYWORDS,
     "mutex(name, recover=None, data=0)\n--\n\n"
     "The Mutex of this name, made where there is none. An int is an offset in the region's\n"
     "data. With `data` it has as many bytes behind it, mutex.data: what C and C++ have as a\n"
     "struct of a mutex and that, and Rust as Mutex<T>."},
    {"shared_mutex", WITH_KEYWORDS(make_shared_mutex), METH_VARARGS | METH_KEYWORDS,
     "shared_mutex(name, recover=None, data=0)\n--\n\n"
     "The SharedMutex of this name, made where there is none; arguments as for mutex()."},
    {"condition", WITH_KEYWORDS(make_condition), METH_VARARGS | METH_KEYWORDS,
     "condition(name, lock)\n--\n\n"
     "The Condition of this name, made where there is none. `lock` is a Mutex of this region."},
    {"semaphore", WITH_KEYWORDS(make_semaphore), METH_VARARGS | METH_KEYWORDS,
     "semaphore(name, value)\n--\n\n"
     "The Semaphore of this name, of `value` permits, made where there is none."},
    {"__enter__", region_enter, METH_NOARGS, NULL},
    {"__exit__", region_exit, METH_VARARGS, NULL},
    {"__reduce__", region_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef region_getset[] = {
    {"data", region_data, NULL,
     "A memoryview of all the data, which the named objects are a part of.", NULL},
    {"size", region_size, NULL, "Bytes of data.", NULL},
    {"members", region_members, NULL, "How many threads can be members at the same time.", NULL},
    {"path", region_path, NULL, "The absolute path; None for an anonymous region.", NULL},
    {"closed", region_closed, NULL, "Whether close() has been called.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot region_slots[] = {
    {Py_tp_doc,
     "Region(path, size=None, *, members=0, mode=0o600)\n--\n\n"
     "Shared memory with locks that survive the death of their owner.\n\n"
     "With a size (bytes of data) the file is made where there is none; without one it must be\n"
     "there. `members` is how many threads may use it at the same time (0: 1024), `mode` the\n"
     "permission bits of a new file."},
    {Py_tp_new, region_new},
    {Py_tp_dealloc, region_dealloc},
    {Py_tp_repr, region_repr},
    {Py_tp_methods, region_methods},
    {Py_tp_getset, region_getset},
    {Py_bf_getbuffer, region_get_buffer},
    {Py_bf_releasebuffer, region_release_buffer},
    {0, NULL},
};

PyType_Spec region_spec = {"deadbolt.Region", sizeof(region_object), 0, Py_TPFLAGS_DEFAULT,
                           region_slots};
