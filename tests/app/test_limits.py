from pathlib import Path

import pytest

from app import limits
from app.limits import count_processors, read_memory


@pytest.mark.usefixtures("memory")
def test_a_containers_limit_of_memory_is_told_and_how_often_it_was_too_little() -> None:
    assert read_memory() == ("300 MiB", 1)


@pytest.mark.parametrize("text", ["max\n", "9223372036854771712\n"])
def test_without_a_limit_memory_is_that_of_the_machine(memory: Path, text: str) -> None:
    (memory / "limit").write_text(text)
    assert read_memory() == ("that of the machine", 1)


def test_without_a_container_memory_is_that_of_the_machine(memory: Path) -> None:
    (memory / "limit").unlink()
    assert read_memory() == ("that of the machine", 0)


@pytest.mark.parametrize(
    ("texts", "cores"),
    [
        (["200000 100000\n"], 2),
        (["150000 100000\n"], 2),
        (["20000 100000\n"], 1),
        (["6400000 100000\n"], 8),
        (["max 100000\n"], 8),
        (["300000\n", "100000\n"], 3),
        (["-1\n", "100000\n"], 8),
        ([], 8),
    ],
)
def test_cores_are_those_of_the_machine_that_the_container_may_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, texts: list[str], cores: int
) -> None:
    files = tuple(tmp_path / str(number) for number in range(max(1, len(texts))))
    for file, text in zip(files, texts, strict=False):
        file.write_text(text)
    monkeypatch.setattr(limits, "PROCESSOR_FILES", ((tmp_path / "none",), files))
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    assert count_processors() == cores
