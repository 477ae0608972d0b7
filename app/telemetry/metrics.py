"""Every metric of the service. `docs/metrics.md` lists them for operators.

A metric is written where the decision is taken, by one call. The labels `model` and `version` only have values of
models that are known, `route` is the template of a path, and the others have a few values each.
"""

import math
import os
import platform
import threading
from collections import Counter as Multiset
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Literal

from prometheus_client import CollectorRegistry, disable_created_metrics
from prometheus_client.utils import floatToGoString

from app import __version__
from app.telemetry.buffered import Buffered, Counter, Gauge, Histogram
from app.telemetry.place import Place, Version, find_version
from app.telemetry.sharing import VARIABLE
from app.telemetry.stability import LATEST, LATEST_INPUTS, REFERENCE, Latest
from bundle.reference import BOUNDS, Reference

# Source: OpenTelemetry's semantic conventions, http.server.request.duration.
REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
# Of the parts of a request, the shortest of which take a tenth of a millisecond.
PART_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
LOAD_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128)

Stage = Literal["admission", "encoding", "queue"]
Reason = Literal["queue-full", "too-late"]
ShadowResult = Literal["agrees", "differs", "failed", "skipped"]

# Before the metrics: each takes its place in the files when it is made. Without a supervisor there is no folder, and
# the metrics are those of this process.
PLACE = Place(Path(os.environ[VARIABLE])) if VARIABLE in os.environ else None
REGISTRY = CollectorRegistry()
disable_created_metrics()  # shared files have no times of creation

# The thread that loads models makes and closes their metrics, while the event loop's thread writes.
_LOCK = threading.Lock()

_MODEL = ("model", "version")


def _count(name: str, help_text: str, *labels: str) -> Counter:
    return Counter(f"lstm_serve_{name}", help_text, labels, registry=REGISTRY)


def _gauge(name: str, help_text: str, *labels: str, mode: Literal["livesum", "livemax"] = "livesum") -> Gauge:
    return Gauge(f"lstm_serve_{name}", help_text, labels, registry=REGISTRY, multiprocess_mode=mode)


def _histogram(name: str, help_text: str, bounds: Sequence[float], *labels: str) -> Histogram:
    return Histogram(f"lstm_serve_{name}", help_text, labels, registry=REGISTRY, buckets=bounds)


REQUESTS = _histogram(
    "request_duration_seconds",
    "Seconds from the head of a request to the end of its answer; without a model where no model was found.",
    REQUEST_SECONDS,
    "route",
    *_MODEL,
    "status",
)
ENCODING = _histogram(
    "encoding_seconds", "Seconds in which the inputs of a request became rows.", PART_SECONDS, *_MODEL
)
WAITS = _histogram("queue_wait_seconds", "Seconds that a row waited for its batch.", PART_SECONDS, *_MODEL)
ENGINE = _histogram("engine_seconds", "Seconds in which the engine ran a batch.", PART_SECONDS, *_MODEL)
BATCH_ROWS = _histogram("batch_rows", "Rows in a batch.", ROWS, *_MODEL)
STEPS = _count("steps", "Steps of the batches, with padding.", *_MODEL)
PADDING = _count("padding_steps", "Steps of the batches that were padding.", *_MODEL)

QUEUE_ROWS = _gauge("queue_rows", "Rows that have a place in the queue and have not run.", *_MODEL)
QUEUE_CAPACITY = _gauge("queue_capacity_rows", "Rows that have a place in the queue at most.", *_MODEL)
REJECTIONS = _count("rejections", "Requests that the queue rejected, by reason.", *_MODEL, "reason")
DEADLINES = _count(
    "deadline_misses", "Requests whose deadline passed, by the stage they had reached.", *_MODEL, "stage"
)
DEPARTURES = _count("client_departures", "Requests whose client left before the answer.", "route")
REFUSALS = _count(
    "refusals",
    "Requests that their client may not send, or not now, by the reason and the client; without a client where no key "
    "names one.",
    "reason",
    "client",
)
PROBLEMS = _count("problems", "Answers that were problem documents, by the end of their type.", "kind")

MODELS = _gauge("models", "Processes in which a version of a model has this state.", *_MODEL, "state")
LOADS = _histogram("load_seconds", "Seconds in which a model was loaded or refused.", LOAD_SECONDS, "model", "result")
READY = _gauge("ready_processes", "Processes that answer with all models that readiness needs.")
EXPECTED = _gauge("processes", "Processes that the service should have.", mode="livemax")
BUILD = _gauge(
    "build_info", "Versions of the service and what it runs on.", "version", "python", "onnxruntime", mode="livemax"
)

LENGTHS = _histogram(
    "input_length", "Words or letters of an input, also those that are not read.", BOUNDS["length"], *_MODEL
)
UNKNOWN_SHARES = _histogram(
    "input_unknown_share", "Share of unknown words among those read.", BOUNDS["unknown_share"], *_MODEL
)
PROBABILITIES = _histogram(
    "answer_probability",
    "Probability of the second of two labels, or of the likeliest of several.",
    BOUNDS["probability"],
    *_MODEL,
)
CUT = _count("inputs_cut", "Inputs that were longer than the model reads.", *_MODEL)
UNREADABLE = _count(
    "inputs_unreadable", "Inputs without anything that the model knows, which have no verdict.", *_MODEL
)
SHADOW_INPUTS = _count(
    "shadow_inputs", "Inputs that the candidate of a model answered too, by whether both agree.", *_MODEL, "result"
)
SHADOW_SECONDS = _histogram(
    "shadow_seconds", "Seconds in which the candidate answered a request.", PART_SECONDS, *_MODEL
)
LATEST_COUNTS = _gauge(
    LATEST.removeprefix("lstm_serve_"),
    f"The latest {LATEST_INPUTS} to {2 * LATEST_INPUTS} inputs of each process by bucket, of models with a reference.",
    *_MODEL,
    "measure",
    "le",
)
REFERENCE_SHARES = _gauge(
    REFERENCE.removeprefix("lstm_serve_"),
    "Share of the examples of the bundle's reference by bucket.",
    *_MODEL,
    "measure",
    "le",
    mode="livemax",
)

_open: Multiset[Version] = Multiset()  # the versions that this process has
METRICS = [metric for metric in [*vars().values()] if isinstance(metric, Buffered)]

BUILD.labels(__version__, platform.python_version(), metadata.version("onnxruntime")).put(1)


class ModelMetrics:
    """The metrics of one version of a model in this process."""

    def __init__(self, model: str, version: int, reference: Reference | None = None) -> None:
        """Count the model as ready, and compare its inputs with the reference of its bundle if there is one."""
        with _LOCK:
            self._version = (model, str(version))
            _open[self._version] += 1
            # A gauge comes first: `Place` removes the files of a version that has none.
            MODELS.labels(*self._version, "ready").put(1)
            self.queue_rows = QUEUE_ROWS.labels(*self._version)
            self.queue_capacity = QUEUE_CAPACITY.labels(*self._version)
            self.waits = WAITS.labels(*self._version)
            self.encoding = ENCODING.labels(*self._version)
            self._engine = ENGINE.labels(*self._version)
            self._rows = BATCH_ROWS.labels(*self._version)
            self._steps = STEPS.labels(*self._version)
            self._padding = PADDING.labels(*self._version)
            self._cut = CUT.labels(*self._version)
            self._unreadable = UNREADABLE.labels(*self._version)
            self._measures = {
                "length": LENGTHS.labels(*self._version),
                "unknown_share": UNKNOWN_SHARES.labels(*self._version),
                "probability": PROBABILITIES.labels(*self._version),
            }
            self._latest = {name: self._compare(name, reference) for name in reference.counts} if reference else {}

    def note_batch(self, steps: Sequence[int], seconds: float) -> None:
        """Count a batch that took some seconds, by the steps of its rows."""
        run = len(steps) * max(steps)
        self._engine.note(seconds)
        self._rows.note(len(steps))
        self._steps.add(run)
        self._padding.add(run - sum(steps))

    def note_answer(self, measures: Mapping[str, float], *, is_cut: bool, is_readable: bool) -> None:
        """Count an input that was answered, by its measures: see `bundle.reference.BOUNDS`."""
        for name, value in measures.items():
            self._measures[name].note(value)
            if name in self._latest:
                self._latest[name].note(value)
        if is_cut:
            self._cut.add()
        if not is_readable:
            self._unreadable.add()

    def note_rejection(self, reason: Reason) -> None:
        """Count a request that the queue rejected."""
        REJECTIONS.labels(*self._version, reason).add()

    def note_deadline(self, stage: Stage) -> None:
        """Count a request whose deadline passed."""
        DEADLINES.labels(*self._version, stage).add()

    def note_shadow(self, result: ShadowResult, inputs: int) -> None:
        """Count inputs of shadow requests to this version."""
        SHADOW_INPUTS.labels(*self._version, result).add(inputs)

    def note_shadow_seconds(self, seconds: float) -> None:
        """Count a shadow request that this version has answered."""
        SHADOW_SECONDS.labels(*self._version).note(seconds)

    def close(self) -> None:
        """Forget the version with the next `write`; its totals go when every process has closed it."""
        with _LOCK:
            _open[self._version] -= 1
            if not _open[self._version]:
                del _open[self._version]

    def _compare(self, name: str, reference: Reference) -> Latest:
        """Return the counts of the latest values of a measure, and show the reference beside them."""
        bounds = BOUNDS[name]
        labels = [(*self._version, name, floatToGoString(bound)) for bound in (*bounds, math.inf)]
        for values, share in zip(labels, reference.share(name), strict=True):
            REFERENCE_SHARES.labels(*values).put(share)
        return Latest(bounds, [LATEST_COUNTS.labels(*values) for values in labels])


def note_load(model: str, result: Literal["loaded", "refused"], seconds: float) -> None:
    """Count a version that was loaded or refused."""
    with _LOCK:
        LOADS.labels(model, result).note(seconds)


def count_refused(model: str, versions: int) -> None:
    """Show how many versions of a model are refused now."""
    with _LOCK:
        MODELS.labels(model, "", "refused").put(versions)


def show_faults(model: str, has_faults: bool) -> None:
    """Show whether the versions of a model are not as its policy says, or its folder or policy cannot be read."""
    with _LOCK:
        MODELS.labels(model, "", "not-followed").put(has_faults)


def show_defaults(defaults: Mapping[str, int]) -> None:
    """Show which version of each model answers requests that name none."""
    with _LOCK:
        for model, version in _open:
            MODELS.labels(model, version, "default").put(str(defaults.get(model)) == version)


def write() -> None:
    """Write what this process has counted since the last time, and forget the versions that it has closed."""
    with _LOCK:
        if PLACE and PLACE.renew():
            for metric in METRICS:
                metric.renew()
        kept = {None, *_open}
        for metric in METRICS:
            metric.write()
            metric.keep(lambda labels: find_version(labels) in kept)
        if PLACE:
            PLACE.keep(kept)
