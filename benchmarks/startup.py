"""`python -m benchmarks.startup`: from the start of a process to its first answers, and its memory then."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from benchmarks import contenders, machine, results, reviews
from benchmarks.commands import OUT, Out, Rounds, telling_errors
from benchmarks.contenders import OURS
from benchmarks.environments import ROOT
from benchmarks.results import Panel, format_range, render_table
from bundle.store import Bundle, Store

_PEERS = ("tf_function", "predict")
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Start:
    """One start of a server: seconds from the start of its process to each answer, and memory in MiB.

    `alive` is None for a peer: it listens only once its model is loaded. The first process is `ready`, and the others
    are loaded after it: all are at `whole`, when memory is weighed.
    """

    round: int
    server: str
    models: str
    alive: float | None
    ready: float
    whole: float
    memory: float


@dataclass(frozen=True)
class Case:
    """A server and the models it is started with; `models` is a folder for ours, a bundle is what a peer serves."""

    server: str
    name: str
    bundle: Bundle
    models: Path

    @property
    def label(self) -> str:
        """What it is called in a plot."""
        return f"{self.server}: {self.name}"


def main(
    peer_bundle: Annotated[str, typer.Option(help="The sentiment bundle that the peers serve.")] = "sentiment",
    peers: Annotated[bool, typer.Option(help="Whether peers are measured as well.")] = True,
    rounds: Rounds = 5,
    out: Out = OUT,
) -> None:
    """Measure how soon the service answers, with all models of the repository and with each alone, and two peers."""
    with telling_errors(), ExitStack() as stack:
        cases = list(_list_cases(stack, peer_bundle, _PEERS if peers else ()))
        pythons = {case.server: contenders.find("")[case.server].find_python() for case in cases}
        constant = machine.describe(pythons) | {"rounds": rounds}
        starts: list[Start] = []
        for number in range(1, rounds + 1):
            for at in range(len(cases)):
                case = cases[(at + number - 1) % len(cases)]  # nobody is always the first
                starts.append(_start(case, number))
                print(f"round {number} of {rounds}, {case.label}: ready in {starts[-1].ready:.2f} s", flush=True)
                results.save(out / "startup.json", constant | {"starts": [asdict(start) for start in starts]})
        _show(cases, starts, out)


def _list_cases(stack: ExitStack, peer_bundle: str, peers: Sequence[str]) -> Iterator[Case]:
    store = Store(ROOT / "models")
    names = store.names()
    yield Case(OURS, f"all {len(names)} models", store.open(names[0]), store.root)
    for name in names:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / name).symlink_to(store.root / name)
        yield Case(OURS, name, store.open(name), folder)
    for peer in peers:
        yield Case(peer, peer_bundle, reviews.open_bundle(peer_bundle)[0], store.root)


def _start(case: Case, number: int) -> Start:
    contender = contenders.find(case.name)[case.server]
    first = "/livez" if case.server == OURS else contender.ready_path
    variables = {"LSTM_SERVE_MODELS": str(case.models)}
    with contender.run(case.bundle, first, _POLL_SECONDS, variables) as server:
        alive = server.ready_seconds if case.server == OURS else None
        ready = server.wait_for(contender.ready_path, _POLL_SECONDS) if alive is not None else server.ready_seconds
        whole = server.settle()
        return Start(number, case.server, case.name, alive, ready, whole, server.memory())


def _show(cases: Sequence[Case], starts: Sequence[Start], out: Path) -> None:
    rows, ready, memory = [], {}, {}
    for case in cases:
        found = [start for start in starts if (start.server, start.models) == (case.server, case.name)]
        alive = [start.alive for start in found if start.alive is not None]
        ready[case.label] = median(start.ready for start in found)
        memory[case.label] = median(start.memory for start in found)
        columns = [
            [start.ready for start in found],
            [start.whole for start in found],
            [start.memory for start in found],
        ]
        rows.append([case.server, case.name, *map(format_range, (alive, *columns))])
    header = ["server", "models", "`/livez` s", "`/readyz` s", "all processes s", "memory MiB"]
    print(f"\nMedian (least-most)\n\n{render_table(header, rows, 2)}")
    panels = [Panel("From process start to ready", "s", ready), Panel("Resident memory", "MiB", memory)]
    results.draw_bars(out / "startup.png", [("", panels)], {case.label for case in cases if case.server == OURS})
    print(f"\nwritten: {out / 'startup.json'} and startup.png")


if __name__ == "__main__":
    typer.run(main)
