# cython: language_level=3
"""Rows of the log and its indexes for the open entries of a scan, ready for `putmulti`.

Owns nothing: what stands in a row is laid down by `ledger.io.chain_schema`, and tests compare the
two. Rows come in the order of their keys, so that writing them touches each page once. One row
holds as much as it can: a row costs Python objects and a search of the table, a number two bytes.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy

from ledger.native.scan cimport (
    SCAN_OPEN,
    SCAN_PUBLISHER,
    SCAN_TOPIC,
    Scan,
    field_number,
    scan_entry,
    scan_row,
    scan_sort_alike,
)

__all__ = ["log_rows", "posting_rows"]

cdef enum:
    BATCH_ID_BYTES = 32
    NUMBER_BYTES = 8
    OFFSET_BYTES = 4
    LENGTH_BYTES = 2
    PLACE_BYTES = OFFSET_BYTES + LENGTH_BYTES
    PLACES_START = NUMBER_BYTES + BATCH_ID_BYTES
    BACK_BYTES = 2
    BACK_MAX = 65_535


def log_rows(
        Scan scan not None, uint64_t first, batch_ids, bytes height not None, size_t places_max):
    """Give (key of the last event's number, places) for runs of open entries of one batch.

    Args:
        first: number of the first open entry; so in the others.
        batch_ids: of the batches that were scanned.
        height: the key of the height of the block that took them.
        places_max: how many one row may hold.
    """
    cdef size_t i, taken = 0, held = 0
    cdef char *out = NULL
    cdef scan_entry *entry
    cdef uint32_t source = 0
    cdef tuple ids = tuple(batch_ids)
    cdef list rows = []
    cdef bytes row = b""
    _require(len(height) == NUMBER_BYTES and places_max > 0)
    _require(all(isinstance(id_, bytes) and len(id_) == BATCH_ID_BYTES for id_ in ids))
    _require(len(ids) == len(scan._held))
    for i in range(scan._columns.count):
        entry = &scan._columns.entries[i]
        if entry.verdict != SCAN_OPEN:
            continue
        if held == places_max or (held and entry.source != source):
            rows.append((_number(first + taken - 1), row[:PLACES_START + held * PLACE_BYTES]))
            held = 0
        if held == 0:
            source = entry.source
            row = PyBytes_FromStringAndSize(NULL, PLACES_START + places_max * PLACE_BYTES)
            out = PyBytes_AS_STRING(row)
            memcpy(out, PyBytes_AS_STRING(height), NUMBER_BYTES)
            memcpy(out + NUMBER_BYTES, PyBytes_AS_STRING(<bytes>ids[source]), BATCH_ID_BYTES)
            out += PLACES_START
        _put_number(out, scan._offset(entry), OFFSET_BYTES)
        _put_number(out + OFFSET_BYTES, entry.length, LENGTH_BYTES)
        out += PLACE_BYTES
        held += 1
        taken += 1
    if held:
        rows.append((_number(first + taken - 1), row[:PLACES_START + held * PLACE_BYTES]))
    return rows


def posting_rows(
        Scan scan not None, name, uint64_t first, size_t numbers_max, uint32_t bytes_max, digest):
    """Give (value, numbers) of one field of the open entries, ordered by value, then by number.

    Numbers are the highest one, then how far each of the others is below it, lowest first.

    Args:
        name: as in `Scan.field`.
        numbers_max: how many one row may hold.
        bytes_max: a longer value, and an empty one, is replaced by its digest.
        digest: value -> another key; asked once for each different value.
    """
    cdef int field = field_number(name)
    cdef size_t i, count = 0
    cdef scan_entry *entry
    cdef bytes value, key
    cdef dict digests = {}
    cdef scan_row *rows = _room(scan)
    _require(numbers_max > 0)
    try:
        for i in range(scan._columns.count):
            entry = &scan._columns.entries[i]
            if entry.verdict != SCAN_OPEN:
                continue
            if field == SCAN_TOPIC or field == SCAN_PUBLISHER:
                # Equal in the whole group: its first entry's, so that no other is looked at.
                entry = &scan._columns.entries[scan._columns.group_first[entry.group]]
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
        if not scan_sort_alike(rows, rows + count, count, scan._scanner._seed):
            raise MemoryError
        return _postings(rows, count, first, numbers_max)
    finally:
        free(rows)


cdef list _postings(const scan_row *rows, size_t count, uint64_t first, size_t numbers_max):
    cdef size_t i, begin = 0, end
    cdef char *out
    cdef bytes key = b""
    cdef list result = []
    while begin < count:
        if begin == 0 or not _is_same(&rows[begin], &rows[begin - 1]):
            key = PyBytes_FromStringAndSize(<const char *>rows[begin].key, rows[begin].length)
        end = begin + 1
        while (end < count and end - begin < numbers_max and _is_same(&rows[end], &rows[begin])
                and rows[end].index - rows[begin].index <= BACK_MAX):
            end += 1
        row = PyBytes_FromStringAndSize(NULL, NUMBER_BYTES + (end - begin - 1) * BACK_BYTES)
        out = PyBytes_AS_STRING(row)
        _put_number(out, first + rows[end - 1].index, NUMBER_BYTES)
        out += NUMBER_BYTES
        for i in range(begin, end - 1):
            _put_number(out, rows[end - 1].index - rows[i].index, BACK_BYTES)
            out += BACK_BYTES
        result.append((key, row))
        begin = end
    return result


cdef bint _is_same(const scan_row *a, const scan_row *b) noexcept:
    return a.length == b.length and (a.key == b.key or memcmp(a.key, b.key, a.length) == 0)


cdef scan_row *_room(Scan scan) except NULL:
    """Give room for a row and its scratch for each open entry."""
    cdef scan_row *rows = <scan_row *>malloc((2 * scan._open_count() + 1) * sizeof(scan_row))
    if rows == NULL:
        raise MemoryError
    return rows


cdef bytes _number(uint64_t value):
    key = PyBytes_FromStringAndSize(NULL, NUMBER_BYTES)
    _put_number(PyBytes_AS_STRING(key), value, NUMBER_BYTES)
    return key


cdef void _put_number(char *out, uint64_t value, size_t size) noexcept:
    """Write the last bytes of a number, the highest first."""
    cdef size_t i
    for i in range(size):
        out[size - 1 - i] = <char>(value >> (8 * i))


cdef int _require(bint condition) except -1:
    if not condition:
        raise ValueError("there is an id for each batch, and room for one number in a row")
    return 0
