"""`GET /metrics` of a service of one process, which shares them with no other."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client import values
from prometheus_client.parser import text_string_to_metric_families as parse

from app.settings import Settings
from app.telemetry import exposition
from app.telemetry.place import Place
from tests.app.conftest import Log
from tests.conftest import serve

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def served() -> Iterator[httpx.Client]:
    """A client of a service with the models of the repository, and without a supervisor."""
    with serve(Settings(models=ROOT / "models", workers=1)) as client:
        yield client


def count(served: httpx.Client, name: str, **labels: str) -> float:
    """Return the sum of the samples that have these labels."""
    return sum(
        sample.value
        for family in parse(served.get("/metrics").text)
        for sample in family.samples
        if sample.name == f"lstm_serve_{name}" and labels.items() <= sample.labels.items()
    )


def test_the_format_depends_on_what_the_client_accepts(served: httpx.Client) -> None:
    assert served.get("/metrics").headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    answer = served.get("/metrics", headers={"accept": "application/openmetrics-text; version=x"})
    assert answer.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert answer.text.endswith("# EOF\n")


def test_an_answer_is_counted_at_once(served: httpx.Client) -> None:
    labels = {"route": "/sentiment/batch", "model": "sentiment", "status": "200"}
    names = ("request_duration_seconds_count", "input_length_count", "inputs_cut_total", "inputs_unreadable_total")
    before = [count(served, name, **(labels if "duration" in name else {"model": "sentiment"})) for name in names]
    texts = ["A tender, wonderful film.", "zxqv", "a " * 3000]
    assert served.post("/sentiment/batch", json={"texts": texts}).status_code == 200
    after = [count(served, name, **(labels if "duration" in name else {"model": "sentiment"})) for name in names]
    assert [now - then for now, then in zip(after, before, strict=True)] == [1, 3, 1, 1]


def test_a_client_of_head_is_counted_under_its_route(served: httpx.Client) -> None:
    before = count(served, "request_duration_seconds_count", route="/models/{name}")
    assert served.head("/models/sentiment").status_code == 200
    assert count(served, "request_duration_seconds_count", route="/models/{name}") == before + 1


def test_files_that_cannot_be_read_are_a_problem(
    served: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    monkeypatch.setattr(exposition, "PLACE", Place(tmp_path / "file"))
    answer = served.get("/metrics")
    assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "tag:lstm-serve,2026:metrics-missing"
    assert "cannot read the files of their metrics: Not a directory" in answer.json()["detail"]
    monkeypatch.undo()
    assert served.get("/metrics").status_code == 200


def test_a_scrape_is_no_line_of_the_log(served: httpx.Client, log: Log) -> None:
    served.get("/metrics")
    served.get("/nothing")
    assert log.wait_for(message="answered")["path"] == "/nothing"
