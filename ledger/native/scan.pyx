# cython: language_level=3
"""Scans lists, arrays or batches of signed events in one call without the GIL.

Owns the boundary between Python objects and the C scanner (c/scan.h): it holds the bytes while C
looks at them, and gives columns instead of an object for each event. What it accepts and what it
extracts equals `ledger.core.event.open_entry` and `ledger.core.block.decode_batch`, which are the
reference; an array is the last field of a batch. Who may publish what is not its business: it
groups entries of equal rights for whoever judges them, and combines those judgements.

Invariants: any bytes give a verdict, never an exception; no result depends on the kernel or on
chance. A `Scan` may be read by many threads, but changed by one only.
"""

import os

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy

from ledger.native.choice import chosen

__all__ = [
    "MALFORMED",
    "OPEN",
    "TOO_LARGE",
    "Scan",
    "Scanner",
    "implementation",
    "implementations",
]

OPEN = SCAN_OPEN
TOO_LARGE = SCAN_TOO_LARGE
MALFORMED = SCAN_MALFORMED

cdef enum:
    SEED_BYTES = 16
    LENGTH_MAX = 65_535
    HELD_COUNT_MAX = 8
    TIME_BYTES = 8

_PATHS = {"portable": BLAKE3_PORTABLE, "avx2": BLAKE3_AVX2, "avx512ifma": BLAKE3_AVX512}
_FIELDS = {
    "chain_id": SCAN_CHAIN_ID,
    "topic": SCAN_TOPIC,
    "publisher": SCAN_PUBLISHER,
    "type": SCAN_TYPE,
    "subject": SCAN_SUBJECT,
}


def implementations():
    """Name the kernels that this processor runs, slowest first."""
    return tuple(name for name, path in _PATHS.items() if path <= blake3_best_path())


def implementation():
    """Name the kernel in use: the best one that CONCORDAT_NATIVE allows."""
    return _default


cdef class Scanner:
    """A scanner of one format.

    Args:
        context: what an event id is derived for; see the BLAKE3 specification.
        message_prefix: what stands before the id in the signed message.
        limits: name -> limit, all of the names of `scan_limits`.
        implementation: forces one kernel, for tests.
    """

    def __init__(self, *, context, bytes message_prefix not None, limits, implementation=None):
        name = _default if implementation is None else implementation
        if name not in implementations():
            raise ValueError(f"no such implementation here: {name}")
        self._path = _PATHS[name]
        self._prefix = message_prefix
        # The struct is made of the mapping: a missing name is an error.
        self._limits = limits
        if self._limits.entry_bytes > LENGTH_MAX:
            raise ValueError(f"entries of more than {LENGTH_MAX} bytes have lengths of other forms")
        cdef bytes label = context.encode()
        if not blake3_context_key(
                self._context_key, <const uint8_t *>PyBytes_AS_STRING(label), len(label)):
            raise MemoryError
        cdef bytes seed = os.urandom(SEED_BYTES)
        memcpy(self._seed, PyBytes_AS_STRING(seed), SEED_BYTES)

    def scan_entries(self, entries):
        """Scan a sequence of bytes objects, each taken for an entry."""
        cdef Scan scan = Scan.__new__(Scan, self, tuple(entries))
        cdef Py_ssize_t i, count = PyTuple_GET_SIZE(scan._held)
        scan._make_room(count)
        for i in range(count):
            scan._columns.entries[i].data = _bytes_at(scan._held, i)
            scan._columns.entries[i].length = _size_at(scan._held, i)
            scan._columns.entries[i].source = i
        scan._columns.count = count
        return scan._judged(self)

    def scan_batches(self, batches):
        """Scan the entries of encoded batches, in order; what is no batch has none."""
        cdef Scan scan = Scan.__new__(Scan, self, tuple(batches))
        cdef Py_ssize_t i, room = 0, count = PyTuple_GET_SIZE(scan._held)
        for i in range(count):
            _bytes_at(scan._held, i)
            room += min(_size_at(scan._held, i) // 3, <Py_ssize_t>self._limits.batch_entries)
        scan._make_room(room)
        for i in range(count):
            scan._columns.count += scan_split(
                scan._columns.entries + scan._columns.count, _bytes_at(scan._held, i),
                _size_at(scan._held, i), i, &self._limits)
        scan._leave_room()
        return scan._judged(self)

    def array_count(self, bytes array not None):
        """Give how many entries an encoded array of them has; 0: it is none that can be scanned.

        It is one of 1 to `batch_entries` byte strings of 1 to `entry_bytes`, canonical.
        """
        return scan_split_array(
            NULL, <const uint8_t *>PyBytes_AS_STRING(array), PyBytes_GET_SIZE(array), &self._limits)

    def scan_array(self, bytes array not None):
        """Scan the entries of an encoded array; if `array_count` says 0 there are none."""
        cdef Scan scan = Scan.__new__(Scan, self, (array,))
        cdef size_t count = self.array_count(array)
        scan._make_room(count)
        if count:  # else it would write what it finds before the fault
            scan._columns.count = scan_split_array(
                scan._columns.entries, <const uint8_t *>PyBytes_AS_STRING(array),
                PyBytes_GET_SIZE(array), &self._limits)
        return scan._judged(self)

    def batch_head(self, bytes batch not None):
        """Give the origin of an encoded batch and how many entries it has; None: it is none."""
        cdef uint64_t origin = 0
        cdef size_t count = scan_count(
            <const uint8_t *>PyBytes_AS_STRING(batch), PyBytes_GET_SIZE(batch), &self._limits,
            &origin)
        return (origin, count) if count else None

    def join(self, scans):
        """Give what `scan_batches` gives of the batches of several scans, each of one batch.

        None of their entries may have been refused since. They stay as they are.
        """
        cdef tuple parts = tuple(scans)
        cdef Py_ssize_t i, count = PyTuple_GET_SIZE(parts)
        if not all(isinstance(part, Scan) and len((<Scan>part)._held) == 1 for part in parts):
            raise ValueError("what is joined are scans of one batch each")
        cdef Scan scan = Scan.__new__(Scan, self, tuple([(<Scan>part)._held[0] for part in parts]))
        cdef const scan_columns **columns = <const scan_columns **>calloc(
            count + 1, sizeof(scan_columns *))
        if columns == NULL:
            raise MemoryError
        for i in range(count):
            columns[i] = &(<Scan>parts[i])._columns
        cdef int done = scan_join(&scan._columns, columns, count, self._seed)
        free(columns)
        if not done:
            raise MemoryError
        return scan


cdef class Scan:
    """What was found about entries. Get one from a `Scanner`.

    Each entry has a verdict: OPEN, or a number that says why it is refused. The `refuse_...`
    methods refuse open entries; they leave those that are refused already.
    """

    def __cinit__(self, Scanner scanner not None, tuple held not None):
        self._scanner = scanner
        self._held = held

    def __dealloc__(self):
        scan_free(&self._columns)

    def __len__(self):
        return self._columns.count

    @property
    def bytes_held(self):
        """Memory that it keeps: what was scanned, and some hundred bytes an entry."""
        return (sum(map(len, self._held))
                + self._columns.count * (sizeof(scan_entry) + SCAN_ID_BYTES + sizeof(uint32_t)))

    cdef int _make_room(self, size_t count) except -1:
        self._columns.entries = <scan_entry *>calloc(count + 1, sizeof(scan_entry))
        if self._columns.entries == NULL:
            raise MemoryError
        return 0

    cdef void _leave_room(self):
        """Give back what was not needed: a scan may be kept for long."""
        entries = realloc(self._columns.entries, (self._columns.count + 1) * sizeof(scan_entry))
        if entries != NULL:
            self._columns.entries = <scan_entry *>entries

    cdef Scan _judged(self, Scanner scanner):
        cdef int done
        if self._columns.count <= HELD_COUNT_MAX:
            # Giving the interpreter up costs more than this: another thread may keep it for long.
            done = scan_judge(&self._columns, &scanner._limits, scanner._context_key,
                              scanner._path, scanner._seed)
        else:
            with nogil:
                done = scan_judge(&self._columns, &scanner._limits, scanner._context_key,
                                  scanner._path, scanner._seed)
        if not done:
            raise MemoryError
        return self

    # --- verdicts -------------------------------------------------------------------------

    def verdicts(self):
        """Give the verdict of each entry, one byte each."""
        cdef size_t i
        cdef bytes result = PyBytes_FromStringAndSize(NULL, self._columns.count)
        cdef uint8_t *out = <uint8_t *>PyBytes_AS_STRING(result)
        for i in range(self._columns.count):
            out[i] = self._columns.entries[i].verdict
        return result

    def groups(self):
        """Give (chain id, topic, publisher, key) of each group, in order of first appearance.

        A group is all well-formed entries in which these four are equal.
        """
        cdef size_t i
        cdef scan_entry *entry
        cdef list result = []
        for i in range(self._columns.group_count):
            entry = &self._columns.entries[self._columns.group_first[i]]
            result.append((
                _field(entry, SCAN_CHAIN_ID).decode(),
                _field(entry, SCAN_TOPIC).decode(),
                _field(entry, SCAN_PUBLISHER).decode(),
                _slice(entry.data + entry.key, SCAN_KEY_BYTES),
            ))
        return result

    def refuse_groups(self, bytes verdicts not None):
        """Give every open entry the verdict of its group, one byte for each group."""
        if <size_t>PyBytes_GET_SIZE(verdicts) != self._columns.group_count:
            raise ValueError("there is one verdict for each group")
        cdef const uint8_t *of_group = <const uint8_t *>PyBytes_AS_STRING(verdicts)
        cdef size_t i
        cdef scan_entry *entry
        for i in range(self._columns.count):
            entry = &self._columns.entries[i]
            if entry.verdict == SCAN_OPEN:
                entry.verdict = of_group[entry.group]

    def refuse_before(self, uint64_t time_ms, uint8_t verdict):
        """Refuse open entries that are older than `time_ms`."""
        cdef size_t i
        for i in range(self._columns.count):
            if (self._columns.entries[i].verdict == SCAN_OPEN
                    and self._columns.entries[i].time_ms < time_ms):
                self._columns.entries[i].verdict = verdict

    def refuse_after(self, uint64_t time_ms, uint8_t verdict):
        """Refuse open entries that are newer than `time_ms`."""
        cdef size_t i
        for i in range(self._columns.count):
            if (self._columns.entries[i].verdict == SCAN_OPEN
                    and self._columns.entries[i].time_ms > time_ms):
                self._columns.entries[i].verdict = verdict

    def refuse_known(self, known, uint8_t verdict):
        """Refuse open entries whose id is in the set `known`."""
        cdef size_t i
        cdef scan_entry *entry
        if not known:
            return
        for i in range(self._columns.count):
            entry = &self._columns.entries[i]
            if entry.verdict == SCAN_OPEN and _slice(entry.id, SCAN_ID_BYTES) in known:
                entry.verdict = verdict

    def refuse_forged(self, verify, uint8_t verdict, bytes trusted not None=b""):
        """Refuse open entries whose signature is not valid, all in one call of `verify`.

        Args:
            verify: (rows, bytes of a message) -> one byte for each row, 0 when it is not valid.
                A row is key, signature and message.
            trusted: a byte for each batch; entries of those with a 1 are not looked at. None of
                them is when this is shorter.
        """
        cdef size_t i, row = 0
        cdef bytes valid
        cdef bytes rows = self._signed_rows(trusted)
        if not rows:
            return
        cdef Py_ssize_t message_bytes = PyBytes_GET_SIZE(self._scanner._prefix) + SCAN_ID_BYTES
        valid = verify(rows, message_bytes) or b""
        if (PyBytes_GET_SIZE(valid) * (SCAN_KEY_BYTES + SCAN_SIGNATURE_BYTES + message_bytes)
                != PyBytes_GET_SIZE(rows)):
            raise ValueError("there is one verdict for each row")
        cdef const uint8_t *is_valid = <const uint8_t *>PyBytes_AS_STRING(valid)
        for i in range(self._columns.count):
            if _is_to_verify(&self._columns.entries[i], trusted):
                if not is_valid[row]:
                    self._columns.entries[i].verdict = verdict
                row += 1

    cdef bytes _signed_rows(self, bytes trusted):
        cdef Py_ssize_t prefix_bytes = PyBytes_GET_SIZE(self._scanner._prefix)
        cdef Py_ssize_t row_bytes = (
            SCAN_KEY_BYTES + SCAN_SIGNATURE_BYTES + prefix_bytes + SCAN_ID_BYTES)
        cdef size_t i
        cdef Py_ssize_t count = 0
        cdef scan_entry *entry
        for i in range(self._columns.count):
            count += _is_to_verify(&self._columns.entries[i], trusted)
        cdef bytes rows = PyBytes_FromStringAndSize(NULL, count * row_bytes)
        cdef char *out = PyBytes_AS_STRING(rows)
        for i in range(self._columns.count):
            entry = &self._columns.entries[i]
            if _is_to_verify(entry, trusted):
                memcpy(out, entry.data + entry.key, SCAN_KEY_BYTES)
                out += SCAN_KEY_BYTES
                memcpy(out, entry.data + entry.length - SCAN_SIGNATURE_BYTES, SCAN_SIGNATURE_BYTES)
                out += SCAN_SIGNATURE_BYTES
                memcpy(out, PyBytes_AS_STRING(self._scanner._prefix), prefix_bytes)
                out += prefix_bytes
                memcpy(out, entry.id, SCAN_ID_BYTES)
                out += SCAN_ID_BYTES
        return rows

    def refuse_repeats(self, uint8_t verdict):
        """Refuse open entries whose id an earlier open entry has."""
        if not scan_refuse_repeats(&self._columns, verdict, self._scanner._seed):
            raise MemoryError

    # --- columns --------------------------------------------------------------------------

    def field(self, name):
        """Give one field (chain_id, topic, publisher, type, subject) of each open entry: UTF-8."""
        cdef int field = field_number(name)
        cdef size_t i
        return [_field(&self._columns.entries[i], field)
                for i in range(self._columns.count)
                if self._columns.entries[i].verdict == SCAN_OPEN]

    def times_ms(self):
        """Give the time of each open entry."""
        cdef size_t i
        return [self._columns.entries[i].time_ms for i in range(self._columns.count)
                if self._columns.entries[i].verdict == SCAN_OPEN]

    def ids(self):
        """Give the id of each open entry."""
        cdef size_t i
        return [_slice(self._columns.entries[i].id, SCAN_ID_BYTES)
                for i in range(self._columns.count)
                if self._columns.entries[i].verdict == SCAN_OPEN]

    def event_keys(self):
        """Give what names each open entry in the order of time: 8 bytes of time, then the id."""
        cdef size_t i
        return [_event_key(&self._columns.entries[i]) for i in range(self._columns.count)
                if self._columns.entries[i].verdict == SCAN_OPEN]

    def entries(self):
        """Give the bytes of each open entry."""
        cdef size_t i
        return [self._entry(&self._columns.entries[i])
                for i in range(self._columns.count)
                if self._columns.entries[i].verdict == SCAN_OPEN]

    def open_count(self):
        """Give how many entries are open."""
        return self._open_count()

    def last_entry(self):
        """Give the bytes of the last open entry, or None."""
        cdef size_t i
        for i in range(self._columns.count, 0, -1):
            if self._columns.entries[i - 1].verdict == SCAN_OPEN:
                return self._entry(&self._columns.entries[i - 1])
        return None

    def places(self):
        """Give, for each open entry, the index of its batch and where it begins there."""
        cdef size_t i
        return [(self._columns.entries[i].source, self._offset(&self._columns.entries[i]))
                for i in range(self._columns.count)
                if self._columns.entries[i].verdict == SCAN_OPEN]

    def refused(self):
        """Give (event key, verdict) of each refused entry; the key is None when it is no entry."""
        cdef size_t i
        cdef uint8_t verdict
        cdef list result = []
        for i in range(self._columns.count):
            verdict = self._columns.entries[i].verdict
            if verdict != SCAN_OPEN:
                is_entry = verdict > SCAN_MALFORMED
                key = _event_key(&self._columns.entries[i]) if is_entry else None
                result.append((key, verdict))
        return result

    cdef size_t _open_count(self):
        cdef size_t i, count = 0
        for i in range(self._columns.count):
            count += self._columns.entries[i].verdict == SCAN_OPEN
        return count

    cdef bytes _entry(self, scan_entry *entry):
        held = <object>PyTuple_GET_ITEM(self._held, entry.source)
        if <size_t>PyBytes_GET_SIZE(held) == entry.length:
            return held
        return _slice(entry.data, entry.length)

    cdef size_t _offset(self, scan_entry *entry):
        held = <object>PyTuple_GET_ITEM(self._held, entry.source)
        return entry.data - <const uint8_t *>PyBytes_AS_STRING(held)


cdef int field_number(name) except -1:
    """Give the index of a field. Raises KeyError when there is none of that name."""
    return _FIELDS[name]


cdef bint _is_to_verify(const scan_entry *entry, bytes trusted):
    return entry.verdict == SCAN_OPEN and not (
        entry.source < <size_t>PyBytes_GET_SIZE(trusted)
        and PyBytes_AS_STRING(trusted)[entry.source])


cdef bytes _slice(const uint8_t *data, size_t length):
    return PyBytes_FromStringAndSize(<const char *>data, length)


cdef bytes _event_key(const scan_entry *entry):
    cdef size_t i
    cdef bytes key = PyBytes_FromStringAndSize(NULL, TIME_BYTES + SCAN_ID_BYTES)
    cdef uint8_t *out = <uint8_t *>PyBytes_AS_STRING(key)
    for i in range(TIME_BYTES):
        out[TIME_BYTES - 1 - i] = <uint8_t>(entry.time_ms >> (8 * i))
    memcpy(out + TIME_BYTES, entry.id, SCAN_ID_BYTES)
    return key


cdef bytes _field(const scan_entry *entry, int field):
    return _slice(entry.data + entry.fields[field].offset, entry.fields[field].length)


cdef const uint8_t *_bytes_at(tuple held, Py_ssize_t i) except NULL:
    item = <object>PyTuple_GET_ITEM(held, i)
    if not isinstance(item, bytes):
        raise TypeError("what is scanned is bytes")
    return <const uint8_t *>PyBytes_AS_STRING(item)


cdef Py_ssize_t _size_at(tuple held, Py_ssize_t i):
    return PyBytes_GET_SIZE(<object>PyTuple_GET_ITEM(held, i))


_default = chosen(implementations())
