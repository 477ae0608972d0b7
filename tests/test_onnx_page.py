"""The programs of docs/onnx.md run as they stand, without this project, and agree."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "onnx.md").read_text(encoding="utf-8")
NODE_PACKAGE = "onnxruntime-node@1.30.0"


def find_program(language: str) -> str:
    (program,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(program)


@pytest.fixture(scope="module")
def from_python() -> list[float]:
    # Isolated: nothing of this project can be imported.
    command = [sys.executable, "-I", "-c", find_program("python")]
    printed: list[float] = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    return printed


@pytest.fixture(scope="module")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ONNX Runtime for Node.js."""
    if not shutil.which("npm"):
        pytest.skip("Node.js with npm is not installed; apt-get install npm")
    folder = tmp_path_factory.mktemp("node")
    # Its scripts would download parts for graphics cards.
    command = ["npm", "install", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund", NODE_PACKAGE]
    installed = subprocess.run(command, capture_output=True, text=True)
    if installed.returncode:
        pytest.skip(f"{NODE_PACKAGE} cannot be installed: {installed.stderr.strip()[-200:]}")
    return folder


def test_the_program_in_python_prints_probabilities(from_python: list[float]) -> None:
    assert len(from_python) == 2 and all(0 < probability < 1 for probability in from_python)


def test_the_program_in_javascript_prints_the_same(node_modules: Path, from_python: list[float]) -> None:
    program = node_modules / "ask.mjs"
    program.write_text(find_program("js").replace("models/", f"{ROOT}/models/"))
    result = subprocess.run(["node", program], capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == pytest.approx(from_python, abs=1e-6)
