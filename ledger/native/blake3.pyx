# cython: language_level=3
"""BLAKE3-256, in derive-key or plain mode, of many inputs in one call, without the GIL.

Owns the boundary between Python objects and the C kernels. Inputs may differ in length: chunks of
all of them fill the lanes of the vector units. For one large input the `blake3` package is the
better choice. Every implementation gives the same digests.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free, malloc

from ledger.native.choice import chosen

cdef extern from "c/blake3.h" nogil:
    ctypedef struct blake3_item:
        const uint8_t *data
        size_t length

    ctypedef enum blake3_path:
        BLAKE3_PORTABLE
        BLAKE3_AVX2
        BLAKE3_AVX512

    blake3_path blake3_best_path()
    int blake3_context_key(uint32_t *key, const uint8_t *context, size_t length)
    int blake3_many(
        const blake3_item *items, size_t count, const uint32_t *key, uint8_t *digests,
        blake3_path path)
    int blake3_records(
        const uint8_t *records, size_t size, size_t count, const uint32_t *key, uint8_t *digests,
        blake3_path path)

__all__ = ["hash_many", "hash_records", "implementation", "implementations"]

cdef enum:
    DIGEST_BYTES = 32

_PATHS = {"portable": BLAKE3_PORTABLE, "avx2": BLAKE3_AVX2, "avx512ifma": BLAKE3_AVX512}


def implementations():
    """Name the kernels that this processor runs, slowest first."""
    return _available


def implementation():
    """Name the kernel in use: the best one that CONCORDAT_NATIVE allows."""
    return _default


cdef blake3_path _path(name) except *:
    if name is None:
        return _default_path
    if name not in _available:
        raise ValueError(f"no such implementation here: {name}")
    return _PATHS[name]


cdef class _Mode:
    """The key of a context; plain mode without one."""

    cdef uint32_t words[8]
    cdef const uint32_t *key

    def __cinit__(self, context):
        cdef bytes label
        if context is not None:
            label = context.encode()
            self.key = self.words
            if not blake3_context_key(self.words, <const uint8_t *>PyBytes_AS_STRING(label),
                                      PyBytes_GET_SIZE(label)):
                raise MemoryError


def hash_many(items, context, *, implementation=None):
    """Give the digests of all items in order, 32 bytes each, as one bytes object.

    Args:
        items: any number of bytes objects of any lengths; fastest when neighbours are equally long.
        context: what the digests are for, see the BLAKE3 specification; None for plain mode.
        implementation: forces one kernel, for tests.
    """
    cdef blake3_path path = _path(implementation)
    cdef _Mode mode = _Mode(context)
    cdef tuple held = tuple(items)
    cdef Py_ssize_t count = PyTuple_GET_SIZE(held)
    cdef bytes digests = PyBytes_FromStringAndSize(NULL, count * DIGEST_BYTES)
    cdef uint8_t *out = <uint8_t *>PyBytes_AS_STRING(digests)
    cdef int done
    cdef blake3_item *pointers = <blake3_item *>malloc((count + 1) * sizeof(blake3_item))
    if pointers == NULL:
        raise MemoryError
    try:
        _point(pointers, held)
        with nogil:
            done = blake3_many(pointers, count, mode.key, out, path)
    finally:
        free(pointers)
    if not done:
        raise MemoryError
    return digests


def hash_records(bytes records not None, Py_ssize_t size, context, *, implementation=None):
    """Give the digests of records that follow each other, 32 bytes each, as one bytes object.

    Args:
        records: a whole number of records; no object is made of any.
        size: bytes of a record, 1 or more.
        context: what the digests are for, see the BLAKE3 specification; None for plain mode.
        implementation: forces one kernel, for tests.
    """
    cdef blake3_path path = _path(implementation)
    if size < 1 or PyBytes_GET_SIZE(records) % size != 0:
        raise ValueError("not a whole number of records")
    cdef _Mode mode = _Mode(context)
    cdef Py_ssize_t count = PyBytes_GET_SIZE(records) // size
    cdef bytes digests = PyBytes_FromStringAndSize(NULL, count * DIGEST_BYTES)
    cdef uint8_t *out = <uint8_t *>PyBytes_AS_STRING(digests)
    cdef const uint8_t *source = <const uint8_t *>PyBytes_AS_STRING(records)
    cdef int done
    with nogil:
        done = blake3_records(source, size, count, mode.key, out, path)
    if not done:
        raise MemoryError
    return digests


cdef int _point(blake3_item *pointers, tuple held) except -1:
    cdef Py_ssize_t i
    for i in range(PyTuple_GET_SIZE(held)):
        item = <object>PyTuple_GET_ITEM(held, i)
        if not isinstance(item, bytes):
            raise TypeError("items are bytes")
        pointers[i].data = <const uint8_t *>PyBytes_AS_STRING(item)
        pointers[i].length = PyBytes_GET_SIZE(item)
    return 0


_available = tuple(name for name, path in _PATHS.items() if path <= blake3_best_path())
_default = chosen(_available)
cdef blake3_path _default_path = _PATHS[_default]
