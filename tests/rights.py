"""The rights of the superuser, which read a file whatever its mode, are given up for a moment."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

# Of capset(2) and capabilities(7).
_VERSION = 0x20080522
_IGNORE_MODES = (1 << 1) | (1 << 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


@contextmanager
def modes_hold() -> Iterator[None]:
    """Let the modes of files hold for this thread also if the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_VERSION, 0)
    before = (ctypes.c_uint32 * 6)()  # effective, permitted and inheritable, twice
    assert libc.capget(header, before) == 0
    without = (ctypes.c_uint32 * 6)(*before)
    without[0] &= ~_IGNORE_MODES
    assert libc.capset(header, without) == 0
    try:
        yield
    finally:
        assert libc.capset(header, before) == 0
