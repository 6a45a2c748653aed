/* SPDX-License-Identifier: MIT */
/* What a region names: objects are found, made, listed and destroyed. */
#include "core.h"

#include <errno.h>
#include <string.h>

/* What a listing calls a kind: the method of Region that gives such an object. */
static const char* kind_name(uint32_t kind) {
  switch (kind) {
  case DEADBOLT_OBJECT_MUTEX:
    return "mutex";
  case DEADBOLT_OBJECT_SHARED_MUTEX:
    return "shared_mutex";
  case DEADBOLT_OBJECT_CONDITION_VARIABLE:
    return "condition";
  case DEADBOLT_OBJECT_COUNTING_SEMAPHORE:
    return "semaphore";
  default:
    return "other";
  }
}

const char* name_text(PyObject* name) {
  Py_ssize_t length;
  const char* text = PyUnicode_AsUTF8AndSize(name, &length);
  if (text == NULL) return NULL;
  if (length == 0 || length > 39 || strlen(text) != (size_t)length) {
    PyErr_SetString(PyExc_ValueError, "a name has 1 to 39 bytes of UTF-8, none of them zero");
    return NULL;
  }
  return text;
}

void set_find_error(enum deadbolt_construct_status status, PyObject* name) {
  switch (status) {
  case DEADBOLT_CONSTRUCT_CANNOT_ATTACH:
    set_attach_error(deadbolt_last_attach_failure(NULL));
    return;
  case DEADBOLT_CONSTRUCT_NOT_FOUND:
    PyErr_SetObject(PyExc_KeyError, name);
    return;
  default:
    PyErr_Format(region_error_class, "%s: %R", deadbolt_construct_status_name(status), name);
  }
}

/* ---- finding and making ---- */

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

void* region_place(region_object* self, PyObject* name, size_t size, size_t alignment,
                   enum deadbolt_object_kind kind, bool create,
                   void (*first)(void* place, size_t size)) {
  if (PyLong_Check(name)) return place_at(self, name, size, alignment);
  const char* text = name_text(name);
  if (text == NULL) return NULL;
  bool fresh = false;
  void* place;
  enum deadbolt_construct_status status;
  /* Waits while another process makes an object. */
  Py_BEGIN_ALLOW_THREADS
    place = create ? deadbolt_region_find_or_begin_construct(&self->handle, text, size, alignment,
                                                             kind, &fresh)
                   : deadbolt_region_find(&self->handle, text, size, alignment, kind);
    status = deadbolt_last_construct_status();
    if (fresh) {
      if (first != NULL) first(place, size);
      deadbolt_region_end_construct(&self->handle, text, true);
    }
  Py_END_ALLOW_THREADS
  if (place == NULL) set_find_error(status, name);
  return place;
}

PyObject* slice_of(PyObject* owner, Py_ssize_t offset, Py_ssize_t size) {
  PyObject* whole = PyMemoryView_FromObject(owner);
  if (whole == NULL) return NULL;
  PyObject* part = PySequence_GetSlice(whole, offset, offset + size);
  Py_DECREF(whole);
  return part;
}

PyObject* region_memory(PyObject* object, PyObject* args, PyObject* keywords) {
  static char* names[] = {"name", "size", "alignment", "create", NULL};
  region_object* self = (region_object*)object;
  PyObject* name;
  Py_ssize_t size, alignment = 8;
  int create = 1;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "Un|n$p:memory", names, &name, &size, &alignment,
                                   &create))
    return NULL;
  if (size <= 0 || alignment <= 0 || alignment > 4096 || (alignment & (alignment - 1)) != 0) {
    PyErr_SetString(PyExc_ValueError,
                    "size must be positive, and alignment a power of two up to 4096");
    return NULL;
  }
  if (!region_pin(self)) return NULL;
  PyObject* part = NULL;
  const char* place = region_place(self, name, (size_t)size, (size_t)alignment,
                                   DEADBOLT_OBJECT_OTHER, create, NULL);
  if (place != NULL)
    part = slice_of(object, place - (char*)deadbolt_region_data(&self->handle), size);
  region_unpin(self);
  return part;
}

/* ---- listing ---- */

PyObject* make_record(const char* class, const char* format, ...) {
  PyObject* module = PyImport_ImportModule("deadbolt._records");
  if (module == NULL) return NULL;
  PyObject* record = NULL;
  PyObject* type = PyObject_GetAttrString(module, class);
  Py_DECREF(module);
  va_list fields;
  va_start(fields, format);
  PyObject* arguments = type == NULL ? NULL : Py_VaBuildValue(format, fields);
  va_end(fields);
  if (arguments != NULL) record = PyObject_CallObject(type, arguments);
  Py_XDECREF(arguments);
  Py_XDECREF(type);
  return record;
}

/* A program of another language may have a name that is not UTF-8: it is shown, not lost. */
static PyObject* info_record(const struct deadbolt_object_info* info) {
  PyObject* name =
      PyUnicode_DecodeUTF8(info->name, (Py_ssize_t)strlen(info->name), "backslashreplace");
  if (name == NULL) return NULL;
  return make_record("ObjectInfo", "(Nnns)", name, (Py_ssize_t)info->offset, (Py_ssize_t)info->size,
                     kind_name(info->kind));
}

PyObject* list_objects(const void* handle,
                       bool (*next)(const void*, uint32_t*, struct deadbolt_object_info*)) {
  PyObject* list = PyList_New(0);
  uint32_t position = 0;
  struct deadbolt_object_info info;
  while (list != NULL && next(handle, &position, &info)) {
    PyObject* record = info_record(&info);
    if (record == NULL || PyList_Append(list, record) != 0) Py_CLEAR(list);
    Py_XDECREF(record);
  }
  return list;
}

static bool next_object(const void* handle, uint32_t* position, struct deadbolt_object_info* info) {
  return deadbolt_region_next_object(handle, position, info);
}

PyObject* region_objects(PyObject* object, PyObject* Py_UNUSED(unused)) {
  region_object* self = (region_object*)object;
  if (!region_pin(self)) return NULL;
  PyObject* list = list_objects(&self->handle, next_object);
  region_unpin(self);
  return list;
}

/* ---- destroying and growing ---- */

/* Whatever its kind and size: the directory has both. */
static enum deadbolt_destroy_status destroy(const struct deadbolt_region* handle,
                                            const char* name) {
  enum deadbolt_destroy_status status = DEADBOLT_DESTROY_NOT_FOUND;
  do {
    uint32_t position = 0;
    struct deadbolt_object_info info;
    do {
      if (!deadbolt_region_next_object(handle, &position, &info)) return DEADBOLT_DESTROY_NOT_FOUND;
    } while (strcmp(info.name, name) != 0);
    status = deadbolt_region_destroy(handle, name, info.size, 1, info.kind);
    /* Another thread destroyed it meanwhile, and gave the name to an object of another kind. */
  } while (status == DEADBOLT_DESTROY_OTHER_KIND);
  return status;
}

PyObject* region_destroy(PyObject* object, PyObject* name) {
  region_object* self = (region_object*)object;
  if (!PyUnicode_Check(name)) {
    PyErr_SetString(PyExc_TypeError, "name must be a str");
    return NULL;
  }
  const char* text = name_text(name);
  if (text == NULL || !region_pin(self)) return NULL;
  enum deadbolt_destroy_status status;
  Py_BEGIN_ALLOW_THREADS
    status = destroy(&self->handle, text);
  Py_END_ALLOW_THREADS
  region_unpin(self);
  switch (status) {
  case DEADBOLT_DESTROYED:
    Py_RETURN_NONE;
  case DEADBOLT_DESTROY_NOT_FOUND:
    PyErr_SetObject(PyExc_KeyError, name);
    return NULL;
  case DEADBOLT_DESTROY_CANNOT_ATTACH:
    set_attach_error(deadbolt_last_attach_failure(NULL));
    return NULL;
  default:
    PyErr_Format(region_error_class, "%s: %R", deadbolt_destroy_status_name(status), name);
    return NULL;
  }
}

PyObject* region_grow(PyObject* object, PyObject* argument) {
  region_object* self = (region_object*)object;
  const size_t size = PyLong_AsSize_t(argument);
  if (size == (size_t)-1 && PyErr_Occurred()) return NULL;
  if (!region_pin(self)) return NULL;
  enum deadbolt_grow_status status;
  int error;
  Py_BEGIN_ALLOW_THREADS
    errno = 0;
    status = deadbolt_region_grow(&self->handle, size);
    error = errno;
  Py_END_ALLOW_THREADS
  const size_t largest = deadbolt_region_largest_size(&self->handle);
  region_unpin(self);
  switch (status) {
  case DEADBOLT_GROWN:
    Py_RETURN_NONE;
  case DEADBOLT_GROW_TOO_LARGE:
    PyErr_Format(PyExc_ValueError, "the region can have %zu bytes of data at most", largest);
    return NULL;
  case DEADBOLT_GROW_CANNOT_ATTACH:
    set_attach_error(deadbolt_last_attach_failure(NULL));
    return NULL;
  case DEADBOLT_GROW_SYSTEM_ERROR:
    errno = error;
    return PyErr_SetFromErrno(PyExc_OSError);
  default:
    PyErr_SetString(region_error_class, deadbolt_grow_status_name(status));
    return NULL;
  }
}
