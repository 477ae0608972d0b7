"""The form of 8 bits on a processor without instructions for products of 8 bits, which QEMU emulates."""

import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app.engines.onnx import OnnxEngine
from bundle.store import Store
from tests.bundle.samples import random_rows

ROOT = Path(__file__).parent.parent
BUNDLE = Store(ROOT / "models").open("sentiment")
QEMU = shutil.which("qemu-x86_64")
PROGRAM = """
import json, sys
import numpy as np
import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options)
answers = []
for row in json.loads(sys.argv[2]):
    ids, lengths = np.array([row], np.int32), np.array([len(row)], np.int32)
    answers.append(float(session.run(None, {"ids": ids, "lengths": lengths})[0][0, 0]))
print(json.dumps(answers))
"""


@pytest.mark.skipif(QEMU is None, reason="qemu-x86_64 is not installed; apt-get install qemu-user")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="it emulates one x86-64 processor on another")
@pytest.mark.parametrize("processor", ["Haswell", "Skylake-Server"])
def test_answers_of_8_bits_are_right_without_instructions_for_them(processor: str) -> None:
    assert QEMU
    rows = random_rows(BUNDLE, [1, 5, 40])
    arguments = [str(BUNDLE.onnx_path("int8")), json.dumps([row.tolist() for row in rows])]
    command = [QEMU, "-cpu", processor, sys.executable, "-c", PROGRAM, *arguments]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    expected = [float(OnnxEngine(BUNDLE, "int8").run([row])[0, 0]) for row in rows]
    assert found == pytest.approx(expected, abs=1e-6)  # products that overflow change them by 0.01
