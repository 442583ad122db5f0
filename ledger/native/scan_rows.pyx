# cython: language_level=3
"""Rows of the log and its indexes for the open entries of a scan, ready for `putmulti`.

Owns nothing: what stands in a row is laid down by `ledger.io.chain_schema`, and tests compare the
two. Rows come in the order of their keys, so that writing them touches each page once; rows of
equal keys come in the order of the log and share one key object.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy

from ledger.native.scan cimport (
    SCAN_ID_BYTES,
    SCAN_OPEN,
    Scan,
    field_number,
    scan_entry,
    scan_row,
    scan_sort,
)

__all__ = ["field_rows", "id_rows", "log_rows", "number_keys"]

cdef enum:
    BATCH_ID_BYTES = 32
    NUMBER_BYTES = 8
    WORD_BYTES = 4
    PLACE_BYTES = BATCH_ID_BYTES + 2 * WORD_BYTES + NUMBER_BYTES


def number_keys(uint64_t first, size_t count):
    """Give the keys of `count` numbers from `first` on."""
    cdef size_t i
    cdef list keys = []
    for i in range(count):
        key = PyBytes_FromStringAndSize(NULL, NUMBER_BYTES)
        _put_number(PyBytes_AS_STRING(key), first + i, NUMBER_BYTES)
        keys.append(key)
    return keys


def log_rows(Scan scan not None, list numbers not None, batch_ids, bytes height not None):
    """Give (number, place) of each open entry: batch id, offset, length and the height's key.

    Args:
        numbers: the key of each open entry's sequence number, in order; so in the others.
        batch_ids: of the batches that were scanned.
    """
    cdef size_t i, taken = 0
    cdef char *out
    cdef scan_entry *entry
    cdef tuple ids = tuple(batch_ids)
    cdef list rows = []
    _require(len(height) == NUMBER_BYTES)
    _require(all(isinstance(id_, bytes) and len(id_) == BATCH_ID_BYTES for id_ in ids))
    _require(len(ids) == len(scan._held) and <size_t>len(numbers) == scan._open_count())
    for i in range(scan._columns.count):
        entry = &scan._columns.entries[i]
        if entry.verdict == SCAN_OPEN:
            place = PyBytes_FromStringAndSize(NULL, PLACE_BYTES)
            out = PyBytes_AS_STRING(place)
            memcpy(out, PyBytes_AS_STRING(<bytes>ids[entry.source]), BATCH_ID_BYTES)
            out += BATCH_ID_BYTES
            _put_number(out, scan._offset(entry), WORD_BYTES)
            _put_number(out + WORD_BYTES, entry.length, WORD_BYTES)
            memcpy(out + 2 * WORD_BYTES, PyBytes_AS_STRING(height), NUMBER_BYTES)
            rows.append((numbers[taken], place))
            taken += 1
    return rows


def id_rows(Scan scan not None, list numbers not None):
    """Give (event id, number) of each open entry, ordered."""
    cdef size_t i, count = 0
    cdef scan_row *rows = _room(scan, numbers)
    try:
        for i in range(scan._columns.count):
            if scan._columns.entries[i].verdict == SCAN_OPEN:
                rows[count].key = scan._columns.entries[i].id
                rows[count].length = SCAN_ID_BYTES
                rows[count].index = count
                count += 1
        return _ordered(rows, count, numbers)
    finally:
        free(rows)


def field_rows(Scan scan not None, name, list numbers not None, uint32_t bytes_max, digest):
    """Give (value, number) of one field of each open entry, ordered by value, then by number.

    Args:
        name: as in `Scan.field`.
        bytes_max: a longer value, and an empty one, is replaced by its digest.
        digest: value -> another key; asked once for each different value.
    """
    cdef int field = field_number(name)
    cdef size_t i, count = 0
    cdef scan_entry *entry
    cdef bytes value, key
    cdef dict digests = {}
    cdef scan_row *rows = _room(scan, numbers)
    try:
        for i in range(scan._columns.count):
            entry = &scan._columns.entries[i]
            if entry.verdict != SCAN_OPEN:
                continue
            rows[count].key = entry.data + entry.fields[field].offset
            rows[count].length = entry.fields[field].length
            rows[count].index = count
            if rows[count].length == 0 or rows[count].length > bytes_max:
                value = PyBytes_FromStringAndSize(<const char *>rows[count].key, rows[count].length)
                key = digests.get(value)
                if key is None:
                    key = digests[value] = bytes(digest(value))
                rows[count].key = <const uint8_t *>PyBytes_AS_STRING(key)
                rows[count].length = PyBytes_GET_SIZE(key)
            count += 1
        return _ordered(rows, count, numbers)
    finally:
        free(rows)


cdef scan_row *_room(Scan scan, list numbers) except NULL:
    """Give room for a row and its scratch for each open entry."""
    _require(<size_t>len(numbers) == scan._open_count())
    cdef scan_row *rows = <scan_row *>malloc((2 * len(numbers) + 1) * sizeof(scan_row))
    if rows == NULL:
        raise MemoryError
    return rows


cdef list _ordered(scan_row *rows, size_t count, list numbers):
    cdef size_t i
    cdef bytes key = b""
    cdef list result = []
    scan_sort(rows, rows + count, count)
    for i in range(count):
        if (i == 0 or rows[i].length != rows[i - 1].length
                or memcmp(rows[i].key, rows[i - 1].key, rows[i].length) != 0):
            key = PyBytes_FromStringAndSize(<const char *>rows[i].key, rows[i].length)
        result.append((key, numbers[rows[i].index]))
    return result


cdef void _put_number(char *out, uint64_t value, size_t size) noexcept:
    """Write the last bytes of a number, the highest first."""
    cdef size_t i
    for i in range(size):
        out[size - 1 - i] = <char>(value >> (8 * i))


cdef int _require(bint condition) except -1:
    if not condition:
        raise ValueError("there is one number for each open entry, and an id for each batch")
    return 0
