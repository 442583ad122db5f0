# cython: language_level=3
"""Rows of the hash index: making, merging and searching packed runs of them.

Owns the form of a row: a hash and a number, 8 bytes big-endian each, so that the order of rows is
that of their bytes. `ledger.io.hash_index` says what they are for. An event has two rows: the
first bytes of its id are a hash already, and its subject is hashed with a key that only this store
knows, so that no publisher can choose subjects with one hash.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport free, malloc

from ledger.native.scan cimport SCAN_OPEN, SCAN_SUBJECT, Scan, scan_entry

__all__ = ["ROW_BYTES", "event_hash_rows", "keyed_hash", "merge_rows", "number_at"]

cdef extern from "c/siphash.h" nogil:
    uint64_t siphash(const uint8_t *data, size_t length, const uint8_t *key)

cdef extern from "c/hash_rows.h" nogil:
    enum:
        HASH_ROW_BYTES
        HASH_SOURCES_MAX

    ctypedef struct hash_row:
        uint64_t hash
        uint64_t number

    ctypedef struct hash_source:
        const uint8_t *at
        const uint8_t *end

    hash_row hash_row_load(const uint8_t *at)
    void hash_row_store(uint8_t *at, hash_row row)
    int hash_rows_sort(hash_row *rows, size_t count)
    size_t hash_rows_unique(hash_row *rows, size_t count)
    size_t hash_rows_below(const uint8_t *rows, size_t count, hash_row limit)
    size_t hash_rows_merge(hash_source *sources, size_t count, uint8_t *out, size_t room)

cdef enum:
    KEY_BYTES = 16

ROW_BYTES = HASH_ROW_BYTES


def keyed_hash(bytes value not None, bytes key not None):
    """Give the 64-bit hash of a value under a key of 16 bytes (SipHash-2-4)."""
    _require(len(key) == KEY_BYTES)
    return siphash(<const uint8_t *>PyBytes_AS_STRING(value), len(value),
                   <const uint8_t *>PyBytes_AS_STRING(key))


def event_hash_rows(Scan scan not None, uint64_t first, bytes key not None, uint64_t mask):
    """Give the ordered rows of the ids and the subjects of the open entries of a scan, each once.

    Args:
        first: number of the first open entry.
        key: of the hash of subjects.
        mask: bits of a hash that count; tests have few of them, and so collisions.
    """
    cdef size_t i, count = 0
    cdef uint64_t number = first
    cdef scan_entry *entry
    cdef hash_row *rows
    _require(len(key) == KEY_BYTES)
    rows = <hash_row *>malloc((2 * scan._open_count() + 1) * sizeof(hash_row))
    if rows == NULL:
        raise MemoryError
    try:
        for i in range(scan._columns.count):
            entry = &scan._columns.entries[i]
            if entry.verdict != SCAN_OPEN:
                continue
            rows[count] = hash_row_load(entry.id)
            rows[count].hash &= mask
            rows[count].number = number
            rows[count + 1].hash = mask & siphash(
                entry.data + entry.fields[SCAN_SUBJECT].offset, entry.fields[SCAN_SUBJECT].length,
                <const uint8_t *>PyBytes_AS_STRING(key))
            rows[count + 1].number = number
            count += 2
            number += 1
        if not hash_rows_sort(rows, count):
            raise MemoryError
        count = hash_rows_unique(rows, count)
        result = PyBytes_FromStringAndSize(NULL, count * HASH_ROW_BYTES)
        for i in range(count):
            hash_row_store(<uint8_t *>PyBytes_AS_STRING(result) + i * HASH_ROW_BYTES, rows[i])
        return result
    finally:
        free(rows)


def merge_rows(sources, bytes after not None, size_t rows_max, size_t chunk_rows):
    """Merge ordered runs into one; give its first `rows_max` rows in chunks of `chunk_rows`.

    Args:
        sources: an iterator for each run, which gives its rows in pieces, never empty: bytes, or a
            memoryview of what does not change until this returns.
        after: rows up to this one are passed over in the first piece of each; b"" passes none.
    """
    cdef hash_source heads[HASH_SOURCES_MAX]
    cdef size_t made = 0, held = 0, i
    cdef list live = [], pieces = [], chunks = []  # live[i] gives what heads[i] walks: pieces[i]
    cdef bytes chunk = b""
    _require(len(sources) <= HASH_SOURCES_MAX and chunk_rows > 0)
    _require(len(after) in (0, HASH_ROW_BYTES))
    for source in sources:
        i = len(live)
        live.append(iter(source))
        pieces.append(b"")
        if not _pull(&heads[i], live, pieces, i, after):
            live.pop()
            pieces.pop()
    while live and made < rows_max:
        if held == 0:
            chunk = PyBytes_FromStringAndSize(NULL, chunk_rows * HASH_ROW_BYTES)
        i = hash_rows_merge(
            heads, len(live), <uint8_t *>PyBytes_AS_STRING(chunk) + held * HASH_ROW_BYTES,
            min(chunk_rows - held, rows_max - made))
        held += i
        made += i
        if held == chunk_rows:
            chunks.append(chunk)
            held = 0
        for i in range(len(live)):
            if heads[i].at == heads[i].end:
                if not _pull(&heads[i], live, pieces, i, b""):
                    heads[i] = heads[len(live) - 1]
                    live[i], pieces[i] = live[-1], pieces[-1]
                    live.pop()
                    pieces.pop()
                break
    if held:
        chunks.append(chunk[:held * HASH_ROW_BYTES])
    return chunks


cdef bint _pull(hash_source *head, list live, list pieces, size_t i, bytes after) except -1:
    """Take the next piece of a source that has rows left; say whether there is one."""
    cdef size_t count
    cdef hash_row limit
    for piece in live[i]:
        head.at = _rows_of(piece, &count)
        _require(count > 0)
        head.end = head.at + count * HASH_ROW_BYTES
        if after:
            limit = hash_row_load(<const uint8_t *>PyBytes_AS_STRING(after))
            limit.number += 1
            head.at += hash_rows_below(head.at, count, limit) * HASH_ROW_BYTES
        if head.at < head.end:
            pieces[i] = piece
            return True
    return False


cdef const uint8_t *_rows_of(rows, size_t *count) except NULL:
    """Give the address of rows, and how many there are: valid as long as their owner is held."""
    cdef Py_buffer buffer
    PyObject_GetBuffer(rows, &buffer, PyBUF_SIMPLE)
    cdef const uint8_t *data = <const uint8_t *>buffer.buf
    cdef size_t length = buffer.len
    PyBuffer_Release(&buffer)
    _require(length % HASH_ROW_BYTES == 0)
    count[0] = length // HASH_ROW_BYTES
    return data


def number_at(rows not None, uint64_t hash_, uint64_t at_least):
    """Give the lowest number from `at_least` on in a row with this hash; -1 when there is none."""
    cdef hash_row wanted, found
    cdef size_t count
    cdef const uint8_t *data = _rows_of(rows, &count)
    wanted.hash = hash_
    wanted.number = at_least
    cdef size_t place = hash_rows_below(data, count, wanted)
    if place == count:
        return -1
    found = hash_row_load(data + place * HASH_ROW_BYTES)
    return found.number if found.hash == hash_ else -1


cdef int _require(bint condition) except -1:
    if not condition:
        raise ValueError("keys, rows and pieces have their sizes, and sources are few")
    return 0
