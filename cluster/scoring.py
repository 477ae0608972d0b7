"""`python -m app score --ray`: Ray Data spreads the parts of files over a cluster, and `app.scoring.parts` scores them.

A task reads each file and gives its parts to a pool of actors, each with the network of one processor core. Ray repeats
what was running on a node or in an actor that is gone; that does no harm, because a part is written in one step.
"""

import logging
import os
import pickle
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import ray
from ray.data import ActorPoolStrategy, DataContext
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from app.errors import ScoringError, ServiceError
from app.scoring.display import Display
from app.scoring.folder import Progress, begin, finish, show_files
from app.scoring.journal import State
from app.scoring.parts import Answering, Counts, Part, Plan, check_release, read_parts, score_part
from app.scoring.scorer import Model
from bundle.errors import BundleError
from tables.errors import TableError
from tables.storage import Storage, Stored

LOCAL = "local"  # instead of an address: Ray is started here, for this job only
# How often a process may end while it works on the same part or reads the same file. Nodes and actors that are killed
# at random hardly ever meet the same work as often.
MOST_ATTEMPTS = 10

# The processor core of an actor leaves a little for the tasks that read, which wait for storage most of the time.
_SCORER_CPUS, _READER_CPUS = 0.9, 0.1
# A second part waits in an actor while it scores one; more would make the last parts uneven.
_PARTS_IN_FLIGHT = 2
# Of shared memory for each processor core: some parts on their way.
_STORE_BYTES = 100 << 20

logger = logging.getLogger(__name__)

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Attempts:
    """Counts how often work was begun that has not ended: an actor, on the node of the command."""

    def __init__(self) -> None:
        """Begin without any."""
        self._begun: Counter[str] = Counter()

    def begin(self, work: str) -> int:
        """Note that a process begins some work; return how often it was begun."""
        self._begun[work] += 1
        return self._begun[work]

    def end(self, work: str) -> None:
        """Note that the work has ended well."""
        del self._begun[work]


class Reader:
    """Reads the files of a plan in parts: a function for Ray."""

    def __init__(self, plan: Plan, attempts: Any) -> None:
        """Take the plan, and the actor that counts the attempts."""
        self._plan = plan
        self._attempts = attempts

    def __call__(self, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the parts of a file, or why there are none."""
        stored = Stored(row["name"], row["size"], row["modified_ns"])
        try:
            with _attempt(self._attempts, Storage(self._plan.source).show(stored.name)):
                for part in read_parts(self._plan, row["number"], stored, {*row["done"]}):
                    yield {"part": pickle.dumps(part), "problem": b""}
        except Exception as error:
            yield {"part": b"", "problem": _pack(error)}


class Scorer:
    """Scores parts: an actor."""

    def __init__(self, plan: Plan, load: Callable[[], Answering], attempts: Any) -> None:
        """Load what answers."""
        self._plan = plan
        self._attempts = attempts
        self._problem = b""
        try:
            check_release(plan)
            self._scorer = load()
        except Exception as error:
            self._problem = _pack(error)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Score a part and write it; return what was done, or why it was not."""
        problem, counts = row["problem"] or self._problem, Counts(0, 0)
        if not problem:
            part: Part = pickle.loads(row["part"])
            try:
                with _attempt(self._attempts, part.where):
                    counts = score_part(self._plan, part, self._scorer)
            except Exception as error:
                problem = _pack(error)
        return {**counts._asdict(), "problem": problem}


@contextmanager
def connect(address: str, processors: int) -> Iterator[None]:
    """Connect to a cluster while the block runs.

    Args:
        address: of the cluster, `auto` for the one that runs here, or `LOCAL` to start Ray here.
        processors: cores to use if it is started here.

    Raises:
        ScoringError: there is none, or it cannot be used.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # else it prints errors that are none
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if address == LOCAL:
        store = (processors + 1) * _STORE_BYTES
        options |= {"num_cpus": processors, "include_dashboard": False, "object_store_memory": store}
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ray.init(address, **options)
    except (RayError, OSError, ValueError, RuntimeError) as error:
        raise _explain_start(address, error) from error
    finally:
        for number, handler in handlers.items():  # Ray replaces them
            signal.signal(number, handler)
    try:
        yield
    finally:
        ray.shutdown()


def score(
    plan: Plan,
    files: Sequence[Stored],
    model: Model,
    load: Callable[[], Answering],
    display: Display,
    connection: AbstractContextManager[None] | None = None,
) -> State:
    """Score the files of a plan on a cluster, or what runs before have left of them.

    Args:
        plan: what to do.
        files: of its source: see `list_files`.
        model: that answers.
        load: makes what answers, on a node.
        display: shows how far the job is.
        connection: to the cluster, which is opened if there is something to do; by default there is one already.

    Raises:
        ScoringError: it stopped; the message says why, and whether the same command goes on.
        TableError: the files cannot be read.
    """
    progress = begin(plan, model, files)
    if progress.removed:
        display.say(f"files changed or are gone, so their parts were removed: {show_files(progress.removed)}")
    display.begin(progress.counts.scored, 0.0)
    if progress.remaining:
        with connection or nullcontext():
            _run(plan, load, progress, display)
    counts = finish(plan, progress)
    return State(identity={}, scored=counts.scored, bad=counts.bad, is_complete=True)


def _run(plan: Plan, load: Callable[[], Answering], progress: Progress, display: Display) -> None:
    """Score the parts that are left."""
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = 1  # so that each part is a block, and goes to any actor
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what ends the job is raised, too
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    attempts = ray.remote(num_cpus=0, scheduling_strategy=here)(Attempts).remote()
    rows = [{"number": number, **stored._asdict(), "done": [*done]} for number, stored, done in progress.remaining]
    size = max(1, int(ray.cluster_resources().get("CPU", 1)))
    results = (
        ray.data.from_items(rows, override_num_blocks=len(rows))
        .flat_map(Reader(plan, attempts).__call__, num_cpus=_READER_CPUS)
        .map(
            Scorer,
            fn_constructor_args=(plan, load, attempts),
            compute=ActorPoolStrategy(size=size, max_tasks_in_flight_per_actor=_PARTS_IN_FLIGHT),
            num_cpus=_SCORER_CPUS,
        )
    )
    scored, done, size_of_all = progress.counts.scored, 0.0, sum(one.stored.size for one in progress.remaining)
    try:
        for counts in results.iter_rows():
            if counts["problem"]:
                raise pickle.loads(counts["problem"])
            scored, done = scored + counts["scored"], done + counts["size"]
            display.update(scored, done / size_of_all)
    except RayError as error:
        raise ScoringError(
            f"Ray stopped the job ({_find_last_line(error)}); run the same command again to go on"
        ) from error


@contextmanager
def _attempt(attempts: Any, work: str) -> Iterator[None]:
    """Do some work, unless too many processes have ended while they did it.

    Raises:
        ScoringError: as many have.
    """
    if ray.get(attempts.begin.remote(work)) > MOST_ATTEMPTS:
        raise ScoringError(
            f"{work}: {MOST_ATTEMPTS} processes ended here one after the other, perhaps for lack of memory; give the "
            "nodes more of it, or correct the file"
        )
    yield
    attempts.end.remote(work)


def _explain_start(address: str, error: Exception) -> ScoringError:
    """Return why there is no connection to a cluster."""
    why = " ".join(_COLOURS.sub("", str(error)).split())
    if address == LOCAL:
        return ScoringError(f"Ray cannot be started here ({why}); make room for it, or give the address of a cluster")
    if isinstance(error, ConnectionError | ValueError):
        return ScoringError(f"there is no cluster of Ray at {address} ({why}); start one, or give no address")
    return ScoringError(f"the cluster of Ray at {address} cannot be used ({why})")


def _pack(error: Exception) -> bytes:
    """Return an error of a task for the command. If it were raised, Ray would bury it in one of its own."""
    if not isinstance(error, ServiceError | BundleError | TableError):
        logger.error("a task failed", exc_info=error)  # in a file of Ray
        error = ScoringError(f"a task on a node failed ({type(error).__name__}: {error}); the logs of Ray have more")
    return pickle.dumps(error)


def _find_last_line(error: Exception) -> str:
    """Return the last line of a message, which has the reason if there is a traceback, without colours."""
    lines = [line.strip() for line in _COLOURS.sub("", str(error)).splitlines()]
    return next((line for line in reversed(lines) if line), type(error).__name__)
