"""Keeps freed memory in the process, because the next step needs the same amount again.

The C library returns large blocks to the system; the system fills them with zeros, page by page, before it hands them
out again. PyTorch allocates every tensor anew, so this takes a third of a language model's step.
"""

import ctypes
import os
import sys

# Of glibc's malloc.h.
_TRIM_THRESHOLD = -1
_MMAP_MAX = -4


def keep_freed_memory() -> None:
    """Return no memory to the system from now on, if the C library is glibc, and make PyTorch use large pages.

    Call it before PyTorch is imported.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if mallopt := getattr(libc, "mallopt", None):
        mallopt(_TRIM_THRESHOLD, -1)  # keep free blocks at the end of the heap
        mallopt(_MMAP_MAX, 0)  # allocate all blocks on the heap
