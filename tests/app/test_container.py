import os
from pathlib import Path

import pytest

from app import container
from app.container import count_memory_kills, count_processors, read_memory_limit

CORES = len(os.sched_getaffinity(0))


@pytest.mark.usefixtures("memory")
def test_a_container_has_a_limit_of_memory_and_counts_kills() -> None:
    assert read_memory_limit() == 300 << 20
    assert count_memory_kills() == 1


@pytest.mark.parametrize("text", ["max\n", "9223372036854771712\n"])
def test_a_container_may_have_no_limit_of_memory(memory: Path, text: str) -> None:
    (memory / "limit").write_text(text)
    assert read_memory_limit() is None


def test_a_kernel_may_count_no_kills(memory: Path) -> None:
    (memory / "events").write_text("under_oom 0\n")
    assert count_memory_kills() == 0


def test_without_a_container_there_is_no_limit_of_memory(memory: Path) -> None:
    (memory / "limit").unlink()
    (memory / "events").unlink()
    assert read_memory_limit() is None
    assert count_memory_kills() == 0


@pytest.mark.parametrize(
    ("texts", "cores"),
    [
        (["200000 100000\n"], 2),
        (["150000 100000\n"], 2),
        (["20000 100000\n"], 1),
        (["640000000 100000\n"], CORES),
        (["max 100000\n"], CORES),
        (["300000\n", "100000\n"], 3),
        (["-1\n", "100000\n"], CORES),
        ([], CORES),
    ],
)
def test_processor_cores_are_limited_by_the_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, texts: list[str], cores: int
) -> None:
    files = tuple(tmp_path / str(number) for number in range(max(1, len(texts))))
    for file, text in zip(files, texts, strict=False):
        file.write_text(text)
    monkeypatch.setattr(container, "PROCESSOR_FILES", ((tmp_path / "none",), files))
    assert count_processors() == min(cores, CORES)
