"""Keeps TensorFlow's messages about itself off the terminal while it is imported.

TensorFlow writes them from C++, before it has read how much it should log. They go through a process that drops the
ones about the machine and passes everything else on: a process, because TensorFlow ends the whole program if the
processor lacks instructions, and what it says then must still be seen.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Drops lines of the level INFO, and what belongs to them.
_FILTER = r"""
import re, sys
dropped = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog\(\)"
    rb"|I\d{4} \d\d:\d\d:\d\d|I0000 00:00:"
    rb"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: I "
    rb"|To enable the following instructions: "
)
for line in sys.stdin.buffer:
    if not dropped.match(line):
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
"""
_SECONDS = 5  # for the last lines


@contextmanager
def without_chatter() -> Iterator[None]:
    """Drop what the block writes to standard error at the level INFO of TensorFlow's log; pass on the rest."""
    sys.stderr.flush()
    reading, writing = os.pipe()
    before = os.dup(2)
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", _FILTER], stdin=reading, stdout=before) as passing:
        os.close(reading)
        os.dup2(writing, 2)
        os.close(writing)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(before, 2)
            os.close(before)
            passing.wait(_SECONDS)
