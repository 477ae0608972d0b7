import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.telemetry import metrics as metrics_module
from app.telemetry.buffered import Buffered
from app.telemetry.metrics import REGISTRY, ModelMetrics, show_defaults, write
from app.telemetry.place import Place
from app.telemetry.stability import INDEX
from bundle.reference import Reference

PAGE = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text(encoding="utf-8")
REFERENCE = Reference.count("texts", {"length": [3] * 30 + [300] * 70, "probability": [0.005] * 10})


@pytest.fixture
def metrics() -> Iterator[ModelMetrics]:
    """The metrics of a version of a model that no other test has."""
    metrics = ModelMetrics("measured", 3, REFERENCE)
    yield metrics
    metrics.close()
    write()


def read(name: str, **labels: str) -> float | None:
    """Return a value of that version, once it is written."""
    write()
    return REGISTRY.get_sample_value(f"lstm_serve_{name}", {"model": "measured", "version": "3", **labels})


def test_a_model_is_ready_from_the_start(metrics: ModelMetrics) -> None:  # noqa: ARG001
    assert read("models", state="ready") == 1
    assert read("queue_rows") == read("engine_seconds_count") == read("inputs_cut_total") == 0


def test_the_version_that_answers_by_default_is_shown(metrics: ModelMetrics) -> None:  # noqa: ARG001
    def show_and_read() -> float | None:
        show_defaults({"measured": 3})
        return read("models", state="default")

    # The server of other tests in this process shows its own defaults twice a second, perhaps in between.
    assert any(show_and_read() == 1 for _ in range(10))
    show_defaults({"measured": 4})
    assert read("models", state="default") == 0
    show_defaults({})
    assert read("models", state="default") == 0


def test_a_batch_has_its_time_its_rows_and_its_padding(metrics: ModelMetrics) -> None:
    metrics.note_batch([10, 4, 7], 0.003)
    metrics.note_batch([5], 0.001)
    assert read("engine_seconds_count") == 2
    assert read("engine_seconds_sum") == pytest.approx(0.004)
    assert read("engine_seconds_bucket", le="0.001") == 1
    assert read("batch_rows_sum") == 4
    assert read("steps_total") == 35
    assert read("padding_steps_total") == 9


def test_an_answer_has_its_measures(metrics: ModelMetrics) -> None:
    metrics.note_answer({"length": 5, "unknown_share": 0.2, "probability": 0.97}, is_cut=False, is_readable=True)
    metrics.note_answer({"length": 900}, is_cut=True, is_readable=False)
    assert read("input_length_bucket", le="8.0") == read("input_unknown_share_count") == 1
    assert read("answer_probability_bucket", le="0.95") == 0
    assert read("answer_probability_bucket", le="0.99") == 1
    assert read("inputs_cut_total") == read("inputs_unreadable_total") == 1


def test_rejections_and_deadlines_have_a_reason(metrics: ModelMetrics) -> None:
    metrics.note_rejection("queue-full")
    metrics.note_deadline("encoding")
    assert read("rejections_total", reason="queue-full") == 1
    assert read("deadline_misses_total", stage="encoding") == 1


def test_the_latest_inputs_are_beside_the_reference(metrics: ModelMetrics) -> None:
    for _ in range(4):
        metrics.note_answer({"length": 4, "unknown_share": 0.5, "probability": 1}, is_cut=False, is_readable=True)
    assert read("latest_inputs", measure="length", le="4.0") == 4
    assert read("latest_inputs", measure="probability", le="+Inf") == 4
    assert read("reference_share", measure="length", le="4.0") == 0.3
    assert read("reference_share", measure="length", le="512.0") == 0.7
    assert read("reference_share", measure="unknown_share", le="0.5") is None


def test_a_model_without_a_reference_is_compared_with_none() -> None:
    metrics = ModelMetrics("measured", 3)
    metrics.note_answer({"length": 4, "unknown_share": 0.5, "probability": 1}, is_cut=False, is_readable=True)
    assert read("latest_inputs", measure="length", le="4.0") is None
    metrics.close()
    write()


def test_a_version_that_is_closed_has_no_metrics() -> None:
    metrics = ModelMetrics("measured", 3)
    again = ModelMetrics("measured", 3)
    again.close()
    assert read("queue_rows") == 0
    metrics.close()
    assert read("queue_rows") is read("models", state="ready") is None
    again = ModelMetrics("measured", 3)
    assert read("models", state="ready") == 1
    again.close()


def test_a_version_that_is_closed_in_a_process_has_no_gauges_in_the_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_module, "PLACE", Place(folder))
    metrics = ModelMetrics("shared", 1)
    write()
    assert len(list(folder.glob("gauge_livesum_0-*.db"))) == 1
    metrics.close()
    write()
    assert not list(folder.glob("gauge_*-*.db"))


@pytest.fixture
def restored() -> Iterator[None]:
    """Make the metrics of this process anew after a test that has put them into a folder."""
    yield
    for metric in vars(metrics_module).values():
        if isinstance(metric, Buffered):
            metric.renew()


def test_in_a_folder_that_was_removed_the_metrics_begin_anew(
    restored: None,  # noqa: ARG001  # first, so that it ends last
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = Place(folder)
    monkeypatch.setattr(metrics_module, "PLACE", place)
    metrics = ModelMetrics("shared", 1)
    write()
    shutil.rmtree(folder)
    metrics.note_rejection("too-late")
    again = ModelMetrics("shared", 2)  # before the folder is there again
    for _ in range(2):
        write()
    again.note_rejection("queue-full")
    write()
    found = {
        (sample.name, sample.labels["version"])
        for metric in place.collect()
        for sample in metric.samples
        if sample.labels.get("model") == "shared" and sample.value
    }
    assert found == {("lstm_serve_models", "1"), ("lstm_serve_models", "2"), ("lstm_serve_rejections_total", "2")}
    metrics.close()
    again.close()
    write()


ROW = re.compile(r"^\| `(lstm_serve_\w+)` \| (\w+) \|", re.MULTILINE)


def test_the_page_has_every_metric_with_its_kind() -> None:
    kinds = {metric.name + "_total" * (metric.type == "counter"): metric.type for metric in REGISTRY.collect()}
    assert dict(ROW.findall(PAGE)) == kinds | {INDEX: "gauge"}
