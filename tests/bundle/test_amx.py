import ctypes
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from bundle.amx import without_matrix_units

# Prints whether the kernel has given the process the matrix units (arch_prctl, ARCH_GET_XCOMP_PERM, bit 18).
PROGRAM = """
import ctypes
{imports}
permitted = ctypes.c_ulong()
ctypes.CDLL(None).syscall(158, 0x1022, ctypes.byref(permitted))
print(permitted.value >> 18 & 1)
"""


def has_matrix_units() -> bool:
    path = Path("/proc/cpuinfo")
    return path.exists() and "amx_tile" in path.read_text()


def run(imports: str) -> str:
    command = [sys.executable, "-c", PROGRAM.format(imports=imports)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.skipif(not has_matrix_units(), reason="the processor has no matrix units (AMX)")
def test_the_engine_has_no_matrix_units_where_there_are_some() -> None:
    assert run("import onnxruntime") == "1"
    assert run("import bundle.onnx_session") == "0"


@pytest.mark.skipif(not has_matrix_units(), reason="the processor has no matrix units (AMX)")
@pytest.mark.parametrize("first", ["app.engines.tensorflow", "training", "benchmarks.engine"])
def test_it_has_none_beside_tensorflow_either(first: str) -> None:
    # TensorFlow, which takes them when it first multiplies, is imported behind ONNX Runtime.
    program = f"import sys, {first}; names = list(sys.modules); print(names.index('bundle.onnx_session'))"
    code = f"{program}; print(names.index('tensorflow') if 'tensorflow' in names else len(names))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours, tensorflow = map(int, result.stdout.split())
    assert ours < tensorflow


@pytest.mark.skipif(platform.system() != "Linux" or platform.machine() != "x86_64", reason="of x86-64 and Linux")
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_signal_stack_is_small_for_the_import_alone(machine: str) -> None:
    # In a process of its own: nothing there may have the matrix units already.
    code = f"""
import ctypes, platform
from bundle.amx import without_matrix_units
def read():
    stack = (ctypes.c_size_t * 3)()  # start, flags and size
    ctypes.CDLL(None).sigaltstack(None, stack)
    return list(stack)
platform.machine = lambda: {machine!r}
before = read()
with without_matrix_units():
    within = read()
print(within[2] == 8192, read() == before)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == [str(machine == "x86_64"), "True"]


def test_other_processors_are_left_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    before, within = (ctypes.create_string_buffer(64) for _ in range(2))
    libc = ctypes.CDLL(None)
    libc.sigaltstack(None, before)
    with without_matrix_units():
        libc.sigaltstack(None, within)
    assert within.raw == before.raw
