"""Memory that a training frees is kept by the process, which needs as much again for the next step.

The C library gives large blocks back to the system, which has to fill them with zeros before it lends them again, page
by page. On PyTorch, which asks for every tensor anew, that is a third of a language model's step.
"""

import ctypes
import os
import sys

# Of glibc's malloc.h.
_TRIM_THRESHOLD = -1
_MMAP_MAX = -4


def keep_freed_memory() -> None:
    """Give nothing back to the system from now on, where the C library is glibc, and have PyTorch use large pages.

    PyTorch is not to be imported before.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if mallopt := getattr(libc, "mallopt", None):
        mallopt(_TRIM_THRESHOLD, -1)  # blocks at the end of the heap stay
        mallopt(_MMAP_MAX, 0)  # and all are of the heap
