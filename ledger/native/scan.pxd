# cython: language_level=3
"""What other kernels may use of scan.pyx, and the C scanner behind it."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef extern from "c/blake3.h" nogil:
    ctypedef enum blake3_path:
        BLAKE3_PORTABLE
        BLAKE3_AVX2
        BLAKE3_AVX512

    blake3_path blake3_best_path()
    int blake3_context_key(uint32_t *key, const uint8_t *context, size_t length)

cdef extern from "c/scan.h" nogil:
    ctypedef struct scan_limits:
        uint64_t int_max
        uint32_t entry_bytes
        uint32_t data_bytes
        uint32_t chain_id_chars
        uint32_t topic_chars
        uint32_t topic_tokens
        uint32_t did_chars
        uint32_t type_chars
        uint32_t subject_chars
        uint32_t location_chars
        uint32_t content_type_chars
        uint32_t tags
        uint32_t tag_chars
        uint32_t origins
        uint32_t batch_entries
        uint32_t batch_bytes

    enum:
        SCAN_OPEN
        SCAN_TOO_LARGE
        SCAN_MALFORMED
        SCAN_KEY_BYTES
        SCAN_SIGNATURE_BYTES
        SCAN_ID_BYTES
        SCAN_CHAIN_ID
        SCAN_TOPIC
        SCAN_PUBLISHER
        SCAN_TYPE
        SCAN_SUBJECT
        SCAN_FIELDS

    ctypedef struct scan_span:
        uint32_t offset
        uint32_t length

    ctypedef struct scan_entry:
        const uint8_t *data
        size_t length
        uint32_t source
        uint32_t group
        const uint8_t *id
        uint64_t time_ms
        scan_span *fields
        uint32_t key
        uint8_t verdict

    ctypedef struct scan_columns:
        scan_entry *entries
        size_t count
        uint8_t *ids
        uint32_t *group_first
        size_t group_count

    ctypedef struct scan_row:
        const uint8_t *key
        uint32_t length
        uint32_t index

    size_t scan_split(
        scan_entry *entries, const uint8_t *batch, size_t length, uint32_t source,
        const scan_limits *limits)
    size_t scan_count(
        const uint8_t *batch, size_t length, const scan_limits *limits, uint64_t *origin)
    size_t scan_split_array(
        scan_entry *entries, const uint8_t *array, size_t length, const scan_limits *limits)
    int scan_judge(
        scan_columns *columns, const scan_limits *limits, const uint32_t *context_key,
        blake3_path path, const uint64_t *seed)
    int scan_join(
        scan_columns *columns, const scan_columns *const *parts, size_t parts_count,
        const uint64_t *seed)
    int scan_refuse_repeats(scan_columns *columns, uint8_t verdict, const uint64_t *seed)
    void scan_free(scan_columns *columns)
    void scan_sort(scan_row *rows, scan_row *scratch, size_t count)
    int scan_sort_alike(
        scan_row *rows, scan_row *scratch, size_t count, const uint64_t *seed)


cdef class Scanner:
    cdef scan_limits _limits
    cdef uint32_t[8] _context_key
    cdef uint64_t[2] _seed
    cdef blake3_path _path
    cdef bytes _prefix


cdef class Scan:
    cdef tuple _held
    cdef Scanner _scanner
    cdef scan_columns _columns

    cdef int _make_room(self, size_t count) except -1
    cdef void _leave_room(self)
    cdef Scan _judged(self, Scanner scanner)
    cdef bytes _signed_rows(self, bytes trusted)
    cdef size_t _open_count(self)
    cdef bytes _entry(self, scan_entry *entry)
    cdef size_t _offset(self, scan_entry *entry)


cdef int field_number(name) except -1
