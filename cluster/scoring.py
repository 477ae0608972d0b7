"""`python -m app score --ray`: Ray Data spreads the parts of files over a cluster, and `app.scoring.parts` scores them.

A task reads each file and gives its parts to a pool of actors, each with the network of one processor core. Ray repeats
what was running on a node or in an actor that is gone; that does no harm, because a part is written in one step.
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray
from pydantic import ValidationError
from ray.data import ActorPoolStrategy, DataContext
from ray.exceptions import RayError

from app import __version__
from app.errors import ScoringError, ServiceError
from app.scoring.display import Display
from app.scoring.journal import State, check_identity
from app.scoring.parts import Answering, Counts, Part, Plan, count, find_done, read_parts, score_part
from app.scoring.scorer import Model
from app.scoring.sinks import clear_errors
from bundle.errors import BundleError, explain
from tables.errors import TableError
from tables.storage import Storage, Stored

LOCAL = "local"  # instead of an address: Ray is started here, for this job only
JOURNAL = "_scoring.json"

# The processor core of an actor leaves a little for the tasks that read, which wait for storage most of the time.
_SCORER_CPUS, _READER_CPUS = 0.9, 0.1
# A second part waits in an actor while it scores one; more would make the last parts uneven.
_PARTS_IN_FLIGHT = 2
# Of shared memory for each processor core: some parts on their way.
_STORE_BYTES = 100 << 20


class Reader:
    """Reads the files of a plan in parts: a function for Ray."""

    def __init__(self, plan: Plan) -> None:
        """Take the plan."""
        self._plan = plan

    def __call__(self, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the parts of a file."""
        stored = Stored(row["name"], row["size"], 0)
        for part in read_parts(self._plan, row["number"], stored, {*row["done"]}):
            yield part._asdict()


class Scorer:
    """Scores parts: an actor."""

    def __init__(self, plan: Plan, load: Callable[[], Answering]) -> None:
        """Load what answers."""
        self._plan = plan
        self._scorer = load()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Score a part and write it; return what was done."""
        return score_part(self._plan, Part(**row), self._scorer)._asdict()


@contextmanager
def connect(address: str, processors: int) -> Iterator[None]:
    """Connect to a cluster while the block runs.

    Args:
        address: of the cluster, `auto` for the one that runs here, or `LOCAL` to start Ray here.
        processors: cores to use if it is started here.

    Raises:
        ScoringError: there is none.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # else it prints errors that are none
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if address == LOCAL:
        store = (processors + 1) * _STORE_BYTES
        options |= {"num_cpus": processors, "include_dashboard": False, "object_store_memory": store}
    try:
        ray.init(address, **options)
    except (RayError, ConnectionError, ValueError, RuntimeError) as error:
        raise ScoringError(
            f"there is no cluster of Ray at {address} ({error}); start one, or give no address"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def score(plan: Plan, model: Model, load: Callable[[], Answering], display: Display) -> State:
    """Score the files of a plan on the cluster that is connected, or what runs before have left of them.

    Args:
        plan: what to do.
        model: that answers.
        load: makes what answers, on a node.
        display: shows how far the job is.

    Raises:
        ScoringError: it stopped; the message says why, and whether the same command goes on.
        TableError: the files cannot be read.
    """
    output = Storage(plan.output)
    _check_places(plan)
    files = list_files(plan.source)
    state = _begin(plan, model, files, output)
    todo = _list_todo(files, output)
    before = count(plan)
    display.begin(before.scored + before.bad, 0.0)
    if todo:
        _run(plan, load, todo, display, before)
    if missing := _list_todo(files, output):
        raise ScoringError(f"parts of {len(missing):,} files are missing; run the same command again to go on")
    found = count(plan)
    return state.model_copy(update={"scored": found.scored, "bad": found.bad, "is_complete": True})


def list_files(source: str) -> list[Stored]:
    """Return the files of a place.

    Raises:
        ScoringError: there are none.
        TableError: they cannot be listed.
    """
    files = Storage(source).list()
    if not files:
        raise ScoringError(f"there are no files in {source}; name a file, or a folder with files")
    return files


def _check_places(plan: Plan) -> None:
    """Check that nothing would be written among the files to read.

    Raises:
        ScoringError: it would.
    """
    for place in filter(None, (plan.output, plan.bad_rows)):
        if Storage(plan.source).contains(Storage(place)):
            raise ScoringError(f"{place} is in {plan.source}, whose files are the input; name another folder")


def _begin(plan: Plan, model: Model, files: list[Stored], output: Storage) -> State:
    """Note what the output depends on, or compare it with what a run before has noted.

    Raises:
        ScoringError: it differs, or the output has other files.
    """
    identity = {
        "input": hashlib.sha256(json.dumps(files).encode()).hexdigest(),
        "text column": plan.text_column,
        "encoding": plan.encoding,
        "added columns": [column.name for column in plan.columns.added],
        "part rows": plan.part_rows,
        "folder of the bad rows": plan.bad_rows,
        "release": __version__,
        **model.identity,
    }
    found = output.read(JOURNAL)
    if found is not None:
        advice = f"delete {plan.output} to start anew"
        try:
            before = State.model_validate_json(found).identity
        except ValidationError as error:
            raise ScoringError(f"{JOURNAL} in {plan.output} cannot be read ({explain(error)}); {advice}") from error
        if before.get("folder of the bad rows") is None:  # it stopped at the first one
            before["folder of the bad rows"] = plan.bad_rows
        check_identity(before, identity, advice)
    elif output.list():
        raise ScoringError(f"{plan.output} has other files already; name another folder")
    state = State(identity=identity)
    with clear_errors(plan.output):
        output.write(JOURNAL, state.model_dump_json().encode())
    return state


def _list_todo(files: list[Stored], output: Storage) -> list[dict[str, Any]]:
    """Return the files that are not done, with the parts of each that are."""
    found = find_done(output, len(files))
    return [
        {"number": number, "name": stored.name, "size": stored.size, "done": [*done]}
        for number, (stored, (done, is_whole)) in enumerate(zip(files, found, strict=True))
        if not is_whole
    ]


def _run(
    plan: Plan, load: Callable[[], Answering], todo: list[dict[str, Any]], display: Display, before: Counts
) -> None:
    """Score the parts that are left."""
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = 1  # so that each part is a block, and goes to any actor
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    size = max(1, int(ray.cluster_resources().get("CPU", 1)))
    results = (
        ray.data.from_items(todo, override_num_blocks=len(todo))
        .flat_map(Reader(plan).__call__, num_cpus=_READER_CPUS)
        .map(
            Scorer,
            fn_constructor_args=(plan, load),
            compute=ActorPoolStrategy(size=size, max_tasks_in_flight_per_actor=_PARTS_IN_FLIGHT),
            num_cpus=_SCORER_CPUS,
        )
    )
    rows, done, size_of_all = before.scored + before.bad, 0.0, sum(file["size"] for file in todo)
    try:
        for counts in results.iter_rows():
            rows, done = rows + counts["scored"] + counts["bad"], done + counts["size"]
            display.update(rows, done / size_of_all if size_of_all else None)
    except RayError as error:
        raise _explain(error) from error


def _explain(error: RayError) -> Exception:
    """Return the error of this project that ended a task; another error of Ray as one line."""
    cause: BaseException | None = error
    while cause:
        if isinstance(cause, ServiceError | BundleError | TableError) and not isinstance(cause, RayError):
            return cause
        cause = getattr(cause, "cause", None) or cause.__cause__
    return ScoringError(f"Ray stopped the job: {error}; run the same command again to go on")
