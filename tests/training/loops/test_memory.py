import platform
import subprocess
import sys

import pytest

CODE = """
import resource, sys
import numpy as np
from training.loops.memory import keep_freed_memory

def count_pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        np.ones(10_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

fresh = count_pages()
keep_freed_memory()
count_pages()  # from which memory is kept
print(fresh, count_pages())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_the_system_is_asked_for_memory_once() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    fresh, again = map(int, done.stdout.split())
    assert again < fresh / 100
