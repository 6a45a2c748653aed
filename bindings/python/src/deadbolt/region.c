/* SPDX-License-Identifier: MIT */
/* Region: a mapping and its buffer. names.c has the objects in it. */
#include "core.h"

#include <errno.h>

PyTypeObject* region_type;

/* ---- keeping it mapped ---- */

bool pin_mapping(atomic_long* all_pins) {
  long pins = atomic_load_explicit(all_pins, memory_order_relaxed);
  while (pins >= 0) {
    if (atomic_compare_exchange_weak_explicit(all_pins, &pins, pins + 1, memory_order_acquire,
                                              memory_order_relaxed))
      return true;
  }
  PyErr_SetString(PyExc_ValueError, "the region is closed");
  return false;
}

void unpin_mapping(atomic_long* all_pins) {
  atomic_fetch_sub_explicit(all_pins, 1, memory_order_release);
}

bool region_pin(region_object* region) {
  return pin_mapping(&region->pins);
}

void region_unpin(region_object* region) {
  unpin_mapping(&region->pins);
}

/* ---- opening and closing ---- */

static const char out_of_range[] = "size, largest, members or mode is out of range";

void set_region_error(enum deadbolt_region_status status, int error, PyObject* path) {
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
    errno = error;
    PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
    return;
  case DEADBOLT_REGION_INVALID_OPTIONS:
    PyErr_SetString(PyExc_ValueError, out_of_range);
    return;
  default:
    if (path == NULL) {
      PyErr_SetString(region_error_class, deadbolt_region_status_name(status));
    } else {
      PyErr_Format(region_error_class, "%s: %R", deadbolt_region_status_name(status), path);
    }
  }
}

enum opening { OPEN, CREATE, OPEN_OR_CREATE, OPEN_OR_REPLACE, ANONYMOUS, DESCRIPTOR };

/* As the arguments of a call have them. */
struct wanted {
  Py_ssize_t size, largest;
  unsigned members, mode;
};

/* `text` is a path, or an anonymous region's name. Steals nothing. */
static PyObject* make_region(PyTypeObject* type, enum opening how, const char* text, int descriptor,
                             PyObject* path, const struct wanted* wanted) {
  if (wanted->size < 0 || wanted->largest < 0) {
    PyErr_SetString(PyExc_ValueError, out_of_range);
    return NULL;
  }
  region_object* self = (region_object*)PyType_GenericAlloc(type, 0);
  if (self == NULL) return NULL;
  self->handle = (struct deadbolt_region)DEADBOLT_REGION_INIT;
  const struct deadbolt_region_options options = {(size_t)wanted->size, wanted->members,
                                                  wanted->mode, (size_t)wanted->largest};
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
    case OPEN_OR_REPLACE:
      status = deadbolt_region_open_or_replace(&self->handle, text, &options);
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
    set_region_error(status, self->handle.error, path);
    atomic_store(&self->pins, -1);
    Py_DECREF(self);
    return NULL;
  }
  self->path = Py_NewRef(path == NULL ? Py_None : path);
  return (PyObject*)self;
}

/* A str, also of a path that is bytes. */
PyObject* absolute_path(PyObject* path) {
  PyObject* decoded = NULL;
  if (!PyUnicode_FSDecoder(path, &decoded)) return NULL;
  PyObject* module = PyImport_ImportModule("os.path");
  PyObject* absolute = module == NULL ? NULL : PyObject_CallMethod(module, "abspath", "O", decoded);
  Py_XDECREF(module);
  Py_DECREF(decoded);
  return absolute;
}

static PyObject* make_from_path(PyTypeObject* type, enum opening how, PyObject* path,
                                const struct wanted* wanted) {
  PyObject* absolute = absolute_path(path);
  if (absolute == NULL) return NULL;
  PyObject* made = NULL;
  PyObject* bytes = NULL;
  if (PyUnicode_FSConverter(absolute, &bytes)) {
    made = make_region(type, how, PyBytes_AsString(bytes), -1, absolute, wanted);
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
  static char* names[] = {"path", "size", "members", "mode", "largest", NULL};
  PyObject *path, *size_object = Py_None;
  struct wanted wanted = {.mode = 0600};
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|O$IIn:Region", names, &path, &size_object,
                                   &wanted.members, &wanted.mode, &wanted.largest) ||
      !size_of(size_object, &wanted.size))
    return NULL;
  return make_from_path(type, size_object == Py_None ? OPEN : OPEN_OR_CREATE, path, &wanted);
}

static PyObject* make_with_size(PyObject* type, enum opening how, const char* format,
                                PyObject* args, PyObject* keywords) {
  static char* names[] = {"path", "size", "members", "mode", "largest", NULL};
  PyObject* path;
  struct wanted wanted = {.mode = 0600};
  if (!PyArg_ParseTupleAndKeywords(args, keywords, format, names, &path, &wanted.size,
                                   &wanted.members, &wanted.mode, &wanted.largest))
    return NULL;
  return make_from_path((PyTypeObject*)type, how, path, &wanted);
}

static PyObject* region_create(PyObject* type, PyObject* args, PyObject* keywords) {
  return make_with_size(type, CREATE, "On|$IIn:create", args, keywords);
}

static PyObject* region_open_or_replace(PyObject* type, PyObject* args, PyObject* keywords) {
  return make_with_size(type, OPEN_OR_REPLACE, "On|$IIn:open_or_replace", args, keywords);
}

static PyObject* region_anonymous(PyObject* type, PyObject* args, PyObject* keywords) {
  static char* names[] = {"size", "name", "members", "largest", NULL};
  const char* name = "deadbolt";
  struct wanted wanted = {0};
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "n|s$In:anonymous", names, &wanted.size, &name,
                                   &wanted.members, &wanted.largest))
    return NULL;
  return make_region((PyTypeObject*)type, ANONYMOUS, name, -1, NULL, &wanted);
}

static PyObject* region_from_descriptor(PyObject* type, PyObject* argument) {
  const int descriptor = PyObject_AsFileDescriptor(argument);
  if (descriptor < 0) return NULL;
  const struct wanted nothing = {0};
  return make_region((PyTypeObject*)type, DESCRIPTOR, NULL, descriptor, NULL, &nothing);
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

static PyObject* region_largest_size(PyObject* object, void* Py_UNUSED(closure)) {
  region_object* self = (region_object*)object;
  if (!region_pin(self)) return NULL;
  const size_t size = deadbolt_region_largest_size(&self->handle);
  region_unpin(self);
  return PyLong_FromSize_t(size);
}

static PyObject* region_is_at(PyObject* object, PyObject* path) {
  region_object* self = (region_object*)object;
  PyObject* bytes = NULL;
  if (!PyUnicode_FSConverter(path, &bytes)) return NULL;
  PyObject* result = NULL;
  if (region_pin(self)) {
    result = PyBool_FromLong(deadbolt_region_is_at(&self->handle, PyBytes_AsString(bytes)));
    region_unpin(self);
  }
  Py_DECREF(bytes);
  return result;
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
     "create(path, size, *, members=0, mode=0o600, largest=0)\n--\n\n"
     "A region in a new file. FileExistsError when there is one of that name."},
    {"open_or_replace", WITH_KEYWORDS(region_open_or_replace),
     METH_VARARGS | METH_KEYWORDS | METH_CLASS,
     "open_or_replace(path, size, *, members=0, mode=0o600, largest=0)\n--\n\n"
     "As Region(path, size), but a region that is damaged or truncated, or was made by a library\n"
     "with another format of files or on a system with smaller pages of memory, is replaced by a\n"
     "new one. RegionError while a process uses the old one, or if its format is so old (below 4)\n"
     "that nobody can see whether one does."},
    {"anonymous", WITH_KEYWORDS(region_anonymous), METH_VARARGS | METH_KEYWORDS | METH_CLASS,
     "anonymous(size, name='deadbolt', *, members=0, largest=0)\n--\n\n"
     "A region that has no file name. Children get it by fork, as an argument of a\n"
     "multiprocessing.Process, or by its descriptor."},
    {"from_descriptor", region_from_descriptor, METH_O | METH_CLASS,
     "from_descriptor(descriptor)\n--\n\n"
     "The region behind a file descriptor, which stays the caller's."},
    {"close", region_close, METH_NOARGS,
     "close()\n--\n\n"
     "Closes this Region. The last one of its file in the process unmaps the file; locks that the\n"
     "calling thread holds then pass on as if it had died. BufferError while a memoryview of it,\n"
     "or a thread that waits for one of its locks, is left."},
    {"attach", region_attach_method, METH_NOARGS,
     "attach()\n--\n\n"
     "Makes the calling thread a member ahead of its first lock. AttachError when it cannot."},
    {"detach", region_detach_method, METH_NOARGS,
     "detach()\n--\n\n"
     "Ends the calling thread's membership. Locks that it still holds pass on as if it had died.\n"
     "False when there is none, or when it cannot end now: call it again later."},
    {"fileno", region_fileno, METH_NOARGS, "fileno()\n--\n\nThe region's file descriptor."},
    {"memory", WITH_KEYWORDS(region_memory), METH_VARARGS | METH_KEYWORDS,
     "memory(name, size, alignment=8, *, create=True)\n--\n\n"
     "A memoryview of `size` bytes that have this name in every process; zero at first. Another\n"
     "language knows them as the object of this name, size and alignment. With create=False,\n"
     "here and in the four methods for locks, KeyError where there is no object of that name."},
    {"mutex", WITH_KEYWORDS(make_mutex), METH_VARARGS | METH_KEYWORDS,
     "mutex(name, recover=None, data=0, *, create=True)\n--\n\n"
     "The Mutex of this name, made where there is none. An int is an offset in the region's\n"
     "data. With `data` it has as many bytes behind it, mutex.data: what C and C++ have as a\n"
     "struct of a mutex and that, and Rust as Mutex<T>."},
    {"shared_mutex", WITH_KEYWORDS(make_shared_mutex), METH_VARARGS | METH_KEYWORDS,
     "shared_mutex(name, recover=None, data=0, *, create=True, policy=None)\n--\n\n"
     "The SharedMutex of this name, made where there is none; arguments as for mutex(). `policy`\n"
     "says who comes first: \"writers_first\", which is that of a new one without it,\n"
     "\"readers_first\" or \"fair\". RegionError if there is one of another policy."},
    {"condition", WITH_KEYWORDS(make_condition), METH_VARARGS | METH_KEYWORDS,
     "condition(name, lock, *, create=True)\n--\n\n"
     "The Condition of this name, made where there is none. `lock` is a Mutex of this region."},
    {"semaphore", WITH_KEYWORDS(make_semaphore), METH_VARARGS | METH_KEYWORDS,
     "semaphore(name, value, *, create=True)\n--\n\n"
     "The Semaphore of this name, of `value` permits, made where there is none."},
    {"objects", region_objects, METH_NOARGS,
     "objects()\n--\n\n"
     "A list of an ObjectInfo for each named object. It waits for no other process: an object "
     "that\n"
     "is made or destroyed meanwhile may be in it or not."},
    {"destroy", region_destroy, METH_O,
     "destroy(name)\n--\n\n"
     "Gives the name and the bytes of an object back, for other objects. No process may use it "
     "any\n"
     "more, by a lock object or a memoryview that it has. KeyError where there is none;\n"
     "RegionError if it is a lock that is held, or whose next owner is to be told OwnerDied; a\n"
     "lock with data is not examined."},
    {"grow", region_grow, METH_O,
     "grow(size)\n--\n\n"
     "Makes the data at least this large, for all processes; `largest_size` is the limit. No\n"
     "address changes: memoryviews stay valid, and keep their length."},
    {"is_at", region_is_at, METH_O,
     "is_at(path)\n--\n\n"
     "Whether this path leads to the region's file: False when the file was removed or replaced."},
    {"__enter__", region_enter, METH_NOARGS, NULL},
    {"__exit__", region_exit, METH_VARARGS, NULL},
    {"__reduce__", region_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef region_getset[] = {
    {"data", region_data, NULL,
     "A memoryview of all the data, which the named objects are a part of.", NULL},
    {"size", region_size, NULL, "Bytes of data now: another process may make it grow.", NULL},
    {"largest_size", region_largest_size, NULL, "Bytes of data up to which grow() can go.", NULL},
    {"members", region_members, NULL, "How many threads can be members at the same time.", NULL},
    {"path", region_path, NULL,
     "The absolute path; None without a file name or if a descriptor was opened.", NULL},
    {"closed", region_closed, NULL, "Whether close() has been called.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot region_slots[] = {
    {Py_tp_doc,
     "Region(path, size=None, *, members=0, mode=0o600, largest=0)\n--\n\n"
     "Shared memory with locks that survive the death of their owner.\n\n"
     "With a size (bytes of data) the file is made where there is none; without one it must be\n"
     "there. `members` is how many threads may use it at the same time (0: 1024), `mode` the\n"
     "permission bits of a new file, `largest` the bytes of data up to which it can grow."},
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
