import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bundle.onnx_session import OnnxSession
from bundle.rows import Row
from bundle.store import ONNX_FILES, VECTORS_FILE, Store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = Store(Path("models")).open("sentiment").folder
    return Path(shutil.copytree(found, tmp_path / "sentiment"))


@pytest.fixture(scope="module")
def row() -> Row:
    return np.arange(1, 40, dtype=np.int32)


def test_files_that_change_later_change_no_answer(folder: Path, row: Row) -> None:
    session = OnnxSession(folder / ONNX_FILES["float32"])
    before = session.run([row])
    for name in (VECTORS_FILE, ONNX_FILES["float32"]):
        path = folder / name
        with path.open("r+b") as file:  # in its place, as a copy over it does
            file.write(b"\xff" * path.stat().st_size)
            file.truncate(1000)
    assert np.array_equal(session.run([row]), before)


def test_the_forms_of_a_bundle_read_the_same_vectors(folder: Path, row: Row) -> None:
    exact, short = (OnnxSession(folder / name).run([row]) for name in ONNX_FILES.values())
    assert exact == pytest.approx(short, abs=0.05)


def test_a_network_without_its_word_vectors_does_not_load(folder: Path) -> None:
    (folder / VECTORS_FILE).unlink()
    with pytest.raises(Exception, match=VECTORS_FILE):
        OnnxSession(folder / ONNX_FILES["float32"])


def test_a_network_that_reads_another_file_does_not_load(folder: Path) -> None:
    """The manifest would not vouch for it."""
    path = folder / ONNX_FILES["float32"]
    other = VECTORS_FILE.replace("word", "wort")
    path.write_bytes(path.read_bytes().replace(VECTORS_FILE.encode(), other.encode()))
    (folder / VECTORS_FILE).rename(folder / other)
    with pytest.raises(Exception, match=other):
        OnnxSession(path)


def test_nothing_is_written_to_the_home_folder(folder: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    # In a CI, ONNX Runtime collects nothing of its own accord.
    variables = {name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")}
    model = folder / ONNX_FILES["float32"]
    code = f"from pathlib import Path; from bundle.onnx_session import OnnxSession; OnnxSession(Path({str(model)!r}))"
    subprocess.run([sys.executable, "-c", code], env=variables | {"HOME": str(home)}, check=True)
    assert list(home.rglob("*")) == []
