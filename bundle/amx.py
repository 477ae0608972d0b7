"""Keeps ONNX Runtime from the matrix units (AMX) of newer Intel processors, which are made for large products.

They make an 8-bit LSTM slower on small batches: one row takes 1.4 times as long, a row in a batch of 4 takes 1.2
times (`sentiment`). ONNX Runtime has no setting to avoid them. But it must ask the kernel for these units when it is
imported, and Linux refuses them while a thread has a signal stack that is too small for their registers.
"""

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

# Enough for the registers of AVX-512, which the kernel demands, and too little for the 8 KiB more of AMX.
_STACK_BYTES = 8192


class _SignalStack(ctypes.Structure):
    """`stack_t` of signal.h."""

    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("bytes", ctypes.c_size_t))


@contextmanager
def without_matrix_units() -> Iterator[None]:
    """Make the kernel refuse requests for the matrix units while the block runs, in this process only."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        yield
        return
    libc = ctypes.CDLL(None)
    memory, before = ctypes.create_string_buffer(_STACK_BYTES), _SignalStack()
    small = _SignalStack(ctypes.addressof(memory), 0, _STACK_BYTES)
    libc.sigaltstack(ctypes.byref(small), ctypes.byref(before))
    try:
        yield
    finally:
        libc.sigaltstack(ctypes.byref(before), None)
