"""Processes that answer texts, one for each processor core, each with the network."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from queue import SimpleQueue

from app.engines import load_engine
from app.errors import EngineError, ScoringError
from app.scoring.answers import Answer, Refused
from app.scoring.scorer import EngineScorer, describe_model
from app.settings import Settings
from bundle.errors import BundleError
from bundle.store import Bundle, Store

# So few that their lengths differ little in a batch of any size, and that no process runs much longer than the others.
WINDOW_TEXTS = 256


class Workers:
    """Processes with one model: see `Scorer`."""

    most_texts = WINDOW_TEXTS

    def __init__(self, bundle: Bundle, settings: Settings) -> None:
        """Start the processes, as many as the setting `workers` says, and wait until their networks are loaded.

        Raises:
            ScoringError: one cannot load the network.
        """
        manifest = bundle.manifest
        self.model = describe_model(bundle, settings)
        self.places = settings.workers
        context = get_context("spawn")  # a fork would copy threads of libraries
        connections = [context.Pipe() for _ in range(self.places)]
        self._processes = [
            context.Process(target=work, args=(other, settings, manifest.name, manifest.version), daemon=True)
            for _, other in connections
        ]
        self._idle: SimpleQueue[Connection] = SimpleQueue()
        # Blocked in the processes: a terminal sends it to all of them, and the first one acts. The tracker of
        # `multiprocessing`, which the first one would start, would let it through again.
        resource_tracker.ensure_running()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        for process, (_, other) in zip(self._processes, connections, strict=True):
            process.start()
            other.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        try:
            for mine, _ in connections:
                with _clear_errors():
                    problem = mine.recv()
                if problem:
                    raise ScoringError(problem)
                self._idle.put(mine)
        except BaseException:
            self.close()
            raise

    def score(self, texts: Sequence[str]) -> list[Answer | Refused]:
        """Return the answers to texts from an idle process: see `Scorer`."""
        connection = self._idle.get()
        try:
            with _clear_errors():
                connection.send(texts)
                answers: list[Answer | Refused] = connection.recv()
                return answers
        finally:
            self._idle.put(connection)

    def close(self) -> None:
        """Kill the processes, which have nothing to lose."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join()


def work(connection: Connection, settings: Settings, name: str, version: int) -> None:
    """Load the network in a process of its own, and answer texts until the other end of the connection closes."""
    scorer, problem = _load(settings, name, version)
    with suppress(EOFError, OSError):  # the other end is closed, perhaps because its process was killed
        connection.send(problem)
        while scorer:
            connection.send(scorer.score(connection.recv()))


def _load(settings: Settings, name: str, version: int) -> tuple[EngineScorer | None, str]:
    """Return what scores; or None, and why not."""
    try:
        bundle = Store(settings.models).open(name, version)
        return EngineScorer(bundle, load_engine(bundle, settings), settings.max_text_characters), ""
    except (BundleError, EngineError) as error:
        return None, str(error)
    except Exception as error:  # engines have errors of their own
        return None, f"the network of {name} version {version} cannot be loaded: {error}"


@contextmanager
def _clear_errors() -> Iterator[None]:
    """Convert the errors of a connection whose process has ended.

    Raises:
        ScoringError: there was one.
    """
    try:
        yield
    except (EOFError, OSError) as error:
        raise ScoringError(
            "a process of the scoring ended, perhaps for lack of memory; run the same command again to go on, with "
            "fewer processes (python -m app --workers 1 score ...)"
        ) from error
