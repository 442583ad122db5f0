# cython: language_level=3
"""Rows of the table of events: making, joining and searching them.

Owns the form of a row, which `ledger.io.chain_schema` describes: some events, ordered by time and
id. The key is the time and the id of the last of them; the value has the others' keys and numbers,
then the last one's number. So a row of one event is a key and a number, as each was once.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy

from ledger.native.scan cimport SCAN_ID_BYTES, SCAN_OPEN, Scan, scan_row, scan_sort

__all__ = ["EVENT_BYTES", "EventRows", "EventSearch"]

cdef extern from "c/bytes.h" nogil:
    uint64_t load64_be(const uint8_t *p)
    void store64_be(uint8_t *p, uint64_t x)

cdef enum:
    NUMBER_BYTES = 8
    KEY_BYTES = NUMBER_BYTES + SCAN_ID_BYTES
    PLACED_BYTES = KEY_BYTES + NUMBER_BYTES

EVENT_BYTES = PLACED_BYTES


cdef class EventRows:
    """The open entries of a scan on their way into the table, in the order of their keys."""

    cdef uint8_t *_events  # keys with their numbers
    cdef size_t _count
    cdef size_t _taken

    def __cinit__(self, Scan scan not None, uint64_t first):
        """Take the events, of which the first one has the number `first`.

        Raises:
            KeyError: one of them stands there twice.
        """
        cdef size_t i, count = scan._open_count()
        cdef uint8_t *out
        cdef uint8_t *unordered = NULL
        cdef scan_row *rows = NULL
        try:
            unordered = <uint8_t *>malloc(count * PLACED_BYTES + 1)
            rows = <scan_row *>malloc((2 * count + 1) * sizeof(scan_row))
            self._events = <uint8_t *>malloc(count * PLACED_BYTES + 1)
            if unordered == NULL or rows == NULL or self._events == NULL:
                raise MemoryError
            for i in range(scan._columns.count):
                if scan._columns.entries[i].verdict == SCAN_OPEN:
                    out = unordered + self._count * PLACED_BYTES
                    store64_be(out, scan._columns.entries[i].time_ms)
                    memcpy(out + NUMBER_BYTES, scan._columns.entries[i].id, SCAN_ID_BYTES)
                    store64_be(out + KEY_BYTES, first + self._count)
                    rows[self._count].key = out
                    rows[self._count].length = KEY_BYTES
                    self._count += 1
            scan_sort(rows, rows + count, count)
            for i in range(count):
                if i and memcmp(rows[i - 1].key, rows[i].key, KEY_BYTES) == 0:
                    raise KeyError("an event stands in the scan twice")
                memcpy(self._events + i * PLACED_BYTES, rows[i].key, PLACED_BYTES)
        finally:
            free(rows)
            free(unordered)

    def __dealloc__(self):
        free(self._events)

    @property
    def key(self):
        """The key of the next event, None behind the last one."""
        if self._taken == self._count:
            return None
        return _slice(self._events + self._taken * PLACED_BYTES, KEY_BYTES)

    def join(self, const uint8_t[::1] key not None, const uint8_t[::1] value not None,
             size_t events_max):
        """Put events into the row that stands where they belong; give the rows that it becomes.

        They are about equally long, the last one has its key.

        Raises:
            ValueError: the row is damaged.
            KeyError: it has one of the events.
        """
        cdef size_t end = self._taken
        _require_row(key, value)
        while end < self._count and memcmp(self._at(end), &key[0], KEY_BYTES) <= 0:
            end += 1
        return self._rows(key, value, end, events_max, True)

    def append(self, key, value, size_t events_max):
        """Give all events that are left in rows, as full as can be, behind the row of the table.

        Args:
            key, value: the last row of the table, which the first one replaces; both empty when
                there is none.

        Raises:
            ValueError: the row is damaged.
            KeyError: it has one of the events.
        """
        if len(key):
            _require_row(key, value)
        return self._rows(key, value, self._count, events_max, False)

    cdef const uint8_t *_at(self, size_t number) noexcept:
        return self._events + number * PLACED_BYTES

    cdef list _rows(self, const uint8_t[::1] key, const uint8_t[::1] value, size_t end,
                    size_t events_max, bint is_even):
        """Merge a row with the events up to `end`, and cut what comes of it."""
        cdef size_t old = 0, old_count = 0, made = 0, total, cut, count
        cdef int order
        cdef const uint8_t *event
        cdef uint8_t *out
        cdef uint8_t[PLACED_BYTES] last
        cdef list rows = []
        if events_max == 0:
            raise ValueError("a row has an event")
        if len(key):
            old_count = 1 + len(value) // PLACED_BYTES
            memcpy(last, &key[0], KEY_BYTES)
            memcpy(last + KEY_BYTES, &value[len(value) - NUMBER_BYTES], NUMBER_BYTES)
        total = old_count + end - self._taken
        if total == 0:
            return rows
        cut = (total + events_max - 1) // events_max
        while made < total:
            # The rows that are left share what is left, or all but the last are full.
            count = events_max
            if is_even:
                count = (total - made + cut - 1) // cut
                cut -= 1
            elif total - made < count:
                count = total - made
            stored = PyBytes_FromStringAndSize(NULL, count * PLACED_BYTES - KEY_BYTES)
            out = <uint8_t *>PyBytes_AS_STRING(stored)
            made += count
            while count:
                if old == old_count:
                    event = NULL
                elif old + 1 == old_count:
                    event = last
                else:
                    event = &value[old * PLACED_BYTES]
                if event == NULL:
                    order = 1
                elif self._taken == end:
                    order = -1
                else:
                    order = memcmp(event, self._at(self._taken), KEY_BYTES)
                if order == 0:
                    raise KeyError("an event stands in the table")
                if order < 0:
                    old += 1
                else:
                    event = self._at(self._taken)
                    self._taken += 1
                count -= 1
                if count:
                    memcpy(out, event, PLACED_BYTES)
                    out += PLACED_BYTES
                else:
                    memcpy(out, event + KEY_BYTES, NUMBER_BYTES)
                    rows.append((_slice(event, KEY_BYTES), stored))
        return rows


cdef class EventSearch:
    """Looks for events in the table, from row to row."""

    cdef list _keys
    cdef scan_row *_wanted  # in the order of the keys
    cdef uint64_t *_numbers  # one more than was found, for each key as it was given
    cdef size_t _count
    cdef size_t _passed

    def __cinit__(self, keys):
        """Look for keys in any order."""
        cdef size_t i
        self._keys = list(keys)
        self._count = len(self._keys)
        self._wanted = <scan_row *>malloc((2 * self._count + 1) * sizeof(scan_row))
        self._numbers = <uint64_t *>calloc(self._count + 1, sizeof(uint64_t))
        if self._wanted == NULL or self._numbers == NULL:
            raise MemoryError
        for i in range(self._count):
            key = <object>PyList_GET_ITEM(self._keys, i)
            if not isinstance(key, bytes) or PyBytes_GET_SIZE(key) != KEY_BYTES:
                raise ValueError("a key is a time and an id")
            self._wanted[i].key = <const uint8_t *>PyBytes_AS_STRING(key)
            self._wanted[i].length = KEY_BYTES
            self._wanted[i].index = i
        scan_sort(self._wanted, self._wanted + self._count, self._count)

    def __dealloc__(self):
        free(self._wanted)
        free(self._numbers)

    @property
    def key(self):
        """The next key to look for: the row wanted is the first that is not before it."""
        if self._passed == self._count:
            return None
        return <object>PyList_GET_ITEM(self._keys, self._wanted[self._passed].index)

    def look(self, const uint8_t[::1] key not None, const uint8_t[::1] value not None):
        """Look at a row, and pass all keys up to its own.

        Raises:
            ValueError: the row is damaged.
        """
        cdef size_t low = 0, high, middle, others
        cdef const uint8_t *wanted
        _require_row(key, value)
        others = len(value) // PLACED_BYTES
        while self._passed < self._count:
            wanted = self._wanted[self._passed].key
            if memcmp(wanted, &key[0], KEY_BYTES) > 0:
                break
            high = others
            while low < high:  # the first event that is not before the wanted one
                middle = (low + high) // 2
                if memcmp(&value[middle * PLACED_BYTES], wanted, KEY_BYTES) < 0:
                    low = middle + 1
                else:
                    high = middle
            if low == others:
                if memcmp(&key[0], wanted, KEY_BYTES) == 0:
                    self._find(&value[others * PLACED_BYTES])
            elif memcmp(&value[low * PLACED_BYTES], wanted, KEY_BYTES) == 0:
                self._find(&value[low * PLACED_BYTES + KEY_BYTES])
            self._passed += 1

    cdef void _find(self, const uint8_t *number) noexcept:
        self._numbers[self._wanted[self._passed].index] = 1 + load64_be(number)

    def numbers(self):
        """Give what was found for each key, in the order in which they were given, or None."""
        cdef size_t i
        return [self._numbers[i] - 1 if self._numbers[i] else None for i in range(self._count)]

    def known(self):
        """Give the keys that were found."""
        cdef size_t i
        return {self._keys[i] for i in range(self._count) if self._numbers[i]}


cdef bytes _slice(const uint8_t *data, size_t length):
    return PyBytes_FromStringAndSize(<const char *>data, length)


cdef int _require_row(const uint8_t[::1] key, const uint8_t[::1] value) except -1:
    if len(key) != KEY_BYTES or len(value) % PLACED_BYTES != NUMBER_BYTES:
        raise ValueError("a row of events is cut")
    return 0
