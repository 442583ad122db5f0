# cython: language_level=3
"""The two hashes of an RFC 6962 (RFC 9162) Merkle tree, many in one call without the GIL.

Owns the boundary between Python objects and the C kernels; what a tree is belongs to
`ledger.core.merkle`. Every implementation gives the same digests.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t
from libc.stdlib cimport free, malloc

from ledger.native.choice import chosen
from ledger.native.scan cimport SCAN_OPEN, Scan, scan_entry

cdef extern from "c/sha256.h" nogil:
    ctypedef struct sha256_item:
        const uint8_t *data
        size_t length

    ctypedef enum sha256_path:
        SHA256_PORTABLE
        SHA256_SHANI
        SHA256_AVX512

    sha256_path sha256_best_path()
    void sha256_many(
        const sha256_item *items, size_t count, uint8_t prefix, uint8_t *digests,
        sha256_path path)
    void sha256_many_pairs(
        const uint8_t *pairs, size_t count, uint8_t prefix, uint8_t *digests, sha256_path path)

__all__ = [
    "implementation",
    "implementations",
    "leaf_hashes",
    "node_hashes",
    "scanned_leaf_hashes",
    "subtree_root",
]

cdef enum:
    DIGEST_BYTES = 32
    PAIR_BYTES = 64
    LEAF_PREFIX = 0
    NODE_PREFIX = 1

_PATHS = {"portable": SHA256_PORTABLE, "shani": SHA256_SHANI, "avx512ifma": SHA256_AVX512}


def implementations():
    """Name the kernels that this processor runs, slowest first."""
    return _available


def implementation():
    """Name the kernel in use: the best one that CONCORDAT_NATIVE allows."""
    return _default


cdef sha256_path _path(name) except *:
    if name is None:
        return _default_path
    if name not in _available:
        raise ValueError(f"no such implementation here: {name}")
    return _PATHS[name]


def leaf_hashes(entries, *, implementation=None):
    """Give SHA-256(0x00 || entry) of all entries in order, 32 bytes each, as one bytes object."""
    cdef sha256_path path = _path(implementation)
    cdef tuple held = tuple(entries)
    cdef Py_ssize_t i, count = PyTuple_GET_SIZE(held)
    cdef sha256_item *items = _room(count)
    try:
        for i in range(count):
            entry = <object>PyTuple_GET_ITEM(held, i)
            if not isinstance(entry, bytes):
                raise TypeError("entries are bytes")
            items[i].data = <const uint8_t *>PyBytes_AS_STRING(entry)
            items[i].length = PyBytes_GET_SIZE(entry)
        return _leaves(items, count, path)
    finally:
        free(items)


def scanned_leaf_hashes(Scan scan not None, *, implementation=None):
    """Give `leaf_hashes` of the open entries of a scan, which are not copied for it."""
    cdef sha256_path path = _path(implementation)
    cdef sha256_item *items = _room(scan._columns.count)
    cdef scan_entry *entry
    cdef size_t i
    cdef Py_ssize_t count = 0
    try:
        for i in range(scan._columns.count):
            entry = &scan._columns.entries[i]
            if entry.verdict == SCAN_OPEN:
                items[count].data = entry.data
                items[count].length = entry.length
                count += 1
        return _leaves(items, count, path)
    finally:
        free(items)


cdef sha256_item *_room(Py_ssize_t count) except NULL:
    cdef sha256_item *items = <sha256_item *>malloc((count + 1) * sizeof(sha256_item))
    if items == NULL:
        raise MemoryError
    return items


cdef bytes _leaves(const sha256_item *items, Py_ssize_t count, sha256_path path):
    cdef bytes digests = PyBytes_FromStringAndSize(NULL, count * DIGEST_BYTES)
    cdef uint8_t *out = <uint8_t *>PyBytes_AS_STRING(digests)
    with nogil:
        sha256_many(items, count, LEAF_PREFIX, out, path)
    return digests


def node_hashes(bytes pairs not None, *, implementation=None):
    """Give SHA-256(0x01 || left || right) of each 64-byte pair of digests, in order.

    Args:
        pairs: a level of a tree, 32 bytes a hash, an even number of hashes.
        implementation: forces one kernel, for tests.

    Returns:
        The level above, 32 bytes a hash.
    """
    cdef sha256_path path = _path(implementation)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(pairs)
    if size % PAIR_BYTES != 0:
        raise ValueError("pairs are 64 bytes each")
    cdef bytes digests = PyBytes_FromStringAndSize(NULL, size // PAIR_BYTES * DIGEST_BYTES)
    cdef uint8_t *out = <uint8_t *>PyBytes_AS_STRING(digests)
    cdef const uint8_t *source = <const uint8_t *>PyBytes_AS_STRING(pairs)
    with nogil:
        sha256_many_pairs(source, size // PAIR_BYTES, NODE_PREFIX, out, path)
    return digests


def subtree_root(bytes hashes not None, *, implementation=None):
    """Give the root of the complete tree over a power of two of hashes of 32 bytes each.

    Keeps the interpreter: the largest tree of the log, a tile of 256 hashes, takes 20 us.
    """
    cdef sha256_path path = _path(implementation)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(hashes), count = size // DIGEST_BYTES
    if size % DIGEST_BYTES != 0 or count == 0 or count & (count - 1) != 0:
        raise ValueError("not a power of two of hashes")
    if count == 1:
        return hashes
    cdef uint8_t *level = <uint8_t *>malloc(size // 2)
    if level == NULL:
        raise MemoryError
    try:
        sha256_many_pairs(<const uint8_t *>PyBytes_AS_STRING(hashes), count // 2, NODE_PREFIX,
                          level, path)
        count //= 2
        while count > 1:
            # In place: pairs are read before their hashes are written, further down.
            sha256_many_pairs(level, count // 2, NODE_PREFIX, level, path)
            count //= 2
        return PyBytes_FromStringAndSize(<char *>level, DIGEST_BYTES)
    finally:
        free(level)


# Asked once: the question itself may cost more than a hash.
_available = tuple(name for name, path in _PATHS.items() if path <= sha256_best_path())
_default = chosen(_available)
cdef sha256_path _default_path = _PATHS[_default]
