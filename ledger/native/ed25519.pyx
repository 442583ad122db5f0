# cython: language_level=3
"""Ed25519 verification under one rule, ZIP-215, over whole lists in one call.

Long lists are verified without the GIL.

Owns the boundary between Python objects and the C kernels: it holds the bytes while C reads them,
draws the seed of a batch from the operating system after the batch is fixed, and chooses the
kernel. It must never be given a secret: the kernels run in variable time.

A check is `(public key, message, signature)`. Invariants: every path gives the same verdict, so
`implementation`, which forces one, changes time only; bytes of any length and content give a
verdict, never an exception: a key that is not 32 bytes or a signature that is not 64 is not valid.
"""

import os

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t
from libc.stdlib cimport free, malloc

from ledger.native.choice import chosen

cdef extern from "c/ed25519.h" nogil:
    ctypedef struct ed25519_item:
        const uint8_t *key
        const uint8_t *signature
        const uint8_t *message
        size_t message_length

    ctypedef enum ed25519_path:
        ED25519_PORTABLE
        ED25519_AVX512IFMA

    ctypedef enum ed25519_result:
        ED25519_NO_MEMORY
        ED25519_INVALID
        ED25519_VALID

    void ed25519_init()
    ed25519_path ed25519_best_path()
    ed25519_result ed25519_verify_batch(
        const ed25519_item *items, size_t count, const uint8_t *seed, ed25519_path path)
    void ed25519_verify_each(
        const ed25519_item *items, size_t count, uint8_t *verdicts, ed25519_path path)
    ed25519_result ed25519_verify_many(
        const ed25519_item *items, size_t count, const uint8_t *seed, uint8_t *verdicts,
        ed25519_path path)
    int ed25519_is_valid_point(const uint8_t *key)
    int ed25519_is_small_order(const uint8_t *key)

__all__ = [
    "implementation",
    "implementations",
    "is_small_order",
    "is_valid_point",
    "verify_batch",
    "verify_each",
    "verify_many",
    "verify_rows",
]

cdef enum:
    KEY_BYTES = 32
    SIGNATURE_BYTES = 64
    SEED_BYTES = 32
    HELD_COUNT_MAX = 8

_PATHS = {"portable": ED25519_PORTABLE, "avx512ifma": ED25519_AVX512IFMA}


cdef class _Items:
    """Pointers into the bytes of a list of checks, which it keeps alive.

    `well_formed[i]` says whether check i has a key and a signature of the right length; only those
    are in `items`, in order.
    """

    cdef tuple held
    cdef Py_ssize_t total
    cdef size_t count
    cdef ed25519_item *items
    cdef uint8_t *well_formed
    cdef uint8_t *verdicts

    def __cinit__(self, checks):
        self.held = tuple(checks)
        self.total = PyTuple_GET_SIZE(self.held)
        self.items = <ed25519_item *>malloc((self.total + 1) * sizeof(ed25519_item))
        self.well_formed = <uint8_t *>malloc(self.total + 1)
        self.verdicts = <uint8_t *>malloc(self.total + 1)
        if self.items == NULL or self.well_formed == NULL or self.verdicts == NULL:
            raise MemoryError
        cdef Py_ssize_t i
        for i in range(self.total):
            self.well_formed[i] = self._take(<object>PyTuple_GET_ITEM(self.held, i))

    cdef bint _take(self, check) except -1:
        if not isinstance(check, tuple) or PyTuple_GET_SIZE(check) != 3:
            raise TypeError("a check is a tuple (public key, message, signature)")
        key = <object>PyTuple_GET_ITEM(check, 0)
        message = <object>PyTuple_GET_ITEM(check, 1)
        signature = <object>PyTuple_GET_ITEM(check, 2)
        if not (isinstance(key, bytes) and isinstance(message, bytes)
                and isinstance(signature, bytes)):
            raise TypeError("public key, message and signature are bytes")
        if PyBytes_GET_SIZE(key) != KEY_BYTES or PyBytes_GET_SIZE(signature) != SIGNATURE_BYTES:
            return False
        cdef ed25519_item *item = &self.items[self.count]
        item.key = <const uint8_t *>PyBytes_AS_STRING(key)
        item.signature = <const uint8_t *>PyBytes_AS_STRING(signature)
        item.message = <const uint8_t *>PyBytes_AS_STRING(message)
        item.message_length = <size_t>PyBytes_GET_SIZE(message)
        self.count += 1
        return True

    def __dealloc__(self):
        free(self.items)
        free(self.well_formed)
        free(self.verdicts)

    cdef list _verdict_list(self):
        cdef Py_ssize_t i
        cdef size_t taken = 0
        cdef list result = [False] * self.total
        for i in range(self.total):
            if self.well_formed[i]:
                if self.verdicts[taken]:
                    result[i] = True
                taken += 1
        return result


def implementations():
    """Name the kernels that this processor runs, slowest first."""
    return tuple(name for name, path in _PATHS.items() if path <= ed25519_best_path())


def implementation():
    """Name the kernel in use: the best one that CONCORDAT_NATIVE allows."""
    return next(name for name, path in _PATHS.items() if path == _default_path)


cdef ed25519_path _path(name) except *:
    if name is None:
        return _default_path
    if name not in implementations():
        raise ValueError(f"no such implementation here: {name}")
    return _PATHS[name]


def verify_batch(items, *, implementation=None):
    """Say whether all are valid, by one random linear combination for each 4096.

    A list with an invalid signature passes with probability below 2**-120.
    """
    cdef ed25519_path path = _path(implementation)
    cdef _Items checks = _Items(items)
    if checks.count != <size_t>checks.total:
        return False
    cdef bytes seed = os.urandom(SEED_BYTES)
    cdef const uint8_t *seed_bytes = <const uint8_t *>PyBytes_AS_STRING(seed)
    cdef ed25519_result result
    with nogil:
        result = ed25519_verify_batch(checks.items, checks.count, seed_bytes, path)
    if result == ED25519_NO_MEMORY:
        raise MemoryError
    return result == ED25519_VALID


def verify_each(items, *, implementation=None):
    """Judge each signature by itself, without randomness."""
    cdef ed25519_path path = _path(implementation)
    cdef _Items checks = _Items(items)
    with nogil:
        ed25519_verify_each(checks.items, checks.count, checks.verdicts, path)
    return checks._verdict_list()


def verify_many(items, *, implementation=None):
    """Judge each signature: all at once, and one by one where that fails. The one to call."""
    cdef ed25519_path path = _path(implementation)
    cdef _Items checks = _Items(items)
    cdef bytes seed = os.urandom(SEED_BYTES)
    cdef const uint8_t *seed_bytes = <const uint8_t *>PyBytes_AS_STRING(seed)
    cdef ed25519_result result
    if checks.count <= HELD_COUNT_MAX:
        # Giving the interpreter up costs more than this: another thread may keep it for long.
        result = ed25519_verify_many(
            checks.items, checks.count, seed_bytes, checks.verdicts, path)
    else:
        with nogil:
            result = ed25519_verify_many(
                checks.items, checks.count, seed_bytes, checks.verdicts, path)
    if result == ED25519_NO_MEMORY:
        raise MemoryError
    return checks._verdict_list()


def verify_rows(bytes rows not None, Py_ssize_t message_bytes, *, implementation=None):
    """Judge signatures that lie in one buffer as `verify_many` judges those of a list.

    Args:
        rows: key, signature and message of each, side by side.
        message_bytes: length of every message.

    Returns:
        A byte for each row: 1 when it is valid, else 0.
    """
    cdef ed25519_path path = _path(implementation)
    cdef Py_ssize_t row_bytes = KEY_BYTES + SIGNATURE_BYTES + message_bytes
    if message_bytes < 0 or PyBytes_GET_SIZE(rows) % row_bytes != 0:
        raise ValueError("rows are a key, a signature and a message each")
    cdef Py_ssize_t i, count = PyBytes_GET_SIZE(rows) // row_bytes
    cdef const uint8_t *row = <const uint8_t *>PyBytes_AS_STRING(rows)
    cdef bytes verdicts = PyBytes_FromStringAndSize(NULL, count)
    cdef uint8_t *out = <uint8_t *>PyBytes_AS_STRING(verdicts)
    cdef bytes seed = os.urandom(SEED_BYTES)
    cdef const uint8_t *seed_bytes = <const uint8_t *>PyBytes_AS_STRING(seed)
    cdef ed25519_item *items = <ed25519_item *>malloc((count + 1) * sizeof(ed25519_item))
    cdef ed25519_result result
    if items == NULL:
        raise MemoryError
    for i in range(count):
        items[i].key = row
        items[i].signature = row + KEY_BYTES
        items[i].message = row + KEY_BYTES + SIGNATURE_BYTES
        items[i].message_length = message_bytes
        row += row_bytes
    if count <= HELD_COUNT_MAX:
        result = ed25519_verify_many(items, count, seed_bytes, out, path)
    else:
        with nogil:
            result = ed25519_verify_many(items, count, seed_bytes, out, path)
    free(items)
    if result == ED25519_NO_MEMORY:
        raise MemoryError
    return verdicts


def is_valid_point(bytes public_key not None):
    """Say whether the key is the encoding of a curve point, canonical or not."""
    if PyBytes_GET_SIZE(public_key) != KEY_BYTES:
        return False
    return bool(ed25519_is_valid_point(<const uint8_t *>PyBytes_AS_STRING(public_key)))


def is_small_order(bytes public_key not None):
    """Say whether the key is a point whose order divides 8; False for what is no point."""
    if PyBytes_GET_SIZE(public_key) != KEY_BYTES:
        return False
    return bool(ed25519_is_small_order(<const uint8_t *>PyBytes_AS_STRING(public_key)))


ed25519_init()
cdef ed25519_path _default_path = _PATHS[chosen(implementations())]
