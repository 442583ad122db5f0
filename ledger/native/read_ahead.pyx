# cython: language_level=3
"""Asking the kernel for pages of a map before they are touched.

Owns a guess: whoever met two values on neighbouring pages will want those behind them. A store's map
is otherwise read page by page, as most reads of it are random; a walk over pages that the kernel
has dropped would wait for the disk at each. It is a hint: nothing fails, and nothing is read here.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stddef cimport size_t

__all__ = ["AHEAD_BYTES", "ReadAhead"]

cdef extern from "<sys/mman.h>" nogil:
    enum:
        MADV_WILLNEED
    int madvise(void *address, size_t length, int advice)

cdef enum:
    PAGE = 4096
    AHEAD = 64 * PAGE

AHEAD_BYTES = AHEAD


cdef class ReadAhead:
    """One walk over values in a map, each of which begins on a page of its own.

    A new one has met nothing.
    """

    cdef size_t _last, _end

    def meet(self, value not None):
        """Say which value comes next; tell whether pages behind it were asked for."""
        cdef Py_buffer view
        cdef size_t page
        cdef bint is_walk
        PyObject_GetBuffer(value, &view, PyBUF_SIMPLE)
        page = <size_t>view.buf // PAGE * PAGE
        PyBuffer_Release(&view)
        is_walk = page == self._last + PAGE and page >= self._end
        self._last = page
        if is_walk:
            self._end = page + AHEAD
            with nogil:
                madvise(<void *>page, AHEAD, MADV_WILLNEED)
        return is_walk
