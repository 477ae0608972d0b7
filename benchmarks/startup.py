"""`python -m benchmarks.startup`: the time from the start of a process to ready, and the memory at that time."""

import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from benchmarks import contenders, machine, results, reviews
from benchmarks.commands import OUT, Out, Release, Rounds, telling_errors
from benchmarks.contenders import HANDLER, OURS, PREDICT, RELEASE
from benchmarks.environments import ROOT
from benchmarks.results import Panel, format_figure, format_range, render_table
from benchmarks.servers import find_free_port, serve
from bundle.store import Bundle

_BUNDLE = "sentiment"
_POLL_SECONDS = 0.01
_INSTALL_SECONDS = 900
_TEXT = "A tender, wonderful film."
_BLOCK = 512  # bytes, whatever the file system: stat(2)


@dataclass(frozen=True)
class Start:
    """One start of a server.

    `ready` is in seconds from the start of its first process; `whole` is the time until all its processes are loaded,
    to a few tenths. Memory is measured then, in MiB: of all processes, with shared pages counted once, and of each
    process.
    """

    round: int
    case: str
    ready: float
    whole: float
    memory: float
    processes: list[float]


@dataclass(frozen=True)
class Case:
    """A server, the name of its configuration, and its environment variables."""

    server: str
    name: str
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Its name in tables and plots."""
        return f"{self.server}: {self.name}"


def main(
    release: Release = None,
    clone: Annotated[
        bool, typer.Option(help="Whether to time `make serve` in a fresh clone, including the installation.")
    ] = False,
    rounds: Rounds = 5,
    out: Out = OUT,
) -> None:
    """Measure the time to ready and the memory of the service, its last release and two peers."""
    with telling_errors(), ExitStack() as stack:
        known = contenders.find(_BUNDLE, release)
        cases = list(_list_cases(stack, release))
        bundle, _ = reviews.open_bundle(_BUNDLE)
        pythons = {case.server: known[case.server].find_python() for case in cases}
        constant: dict[str, Any] = machine.describe(pythons) | {"rounds": rounds}
        constant["release"] = machine.find_commit(release) if release else None
        starts: list[Start] = []
        for number in range(1, rounds + 1):
            for at in range(len(cases)):
                case = cases[(at + number - 1) % len(cases)]  # each round starts with another case
                with known[case.server].run(bundle, _POLL_SECONDS, case.variables) as server:
                    whole, processes = server.settle(), server.memory_by_process()
                    start = Start(number, case.label, server.ready_seconds, whole, server.memory(), processes)
                starts.append(start)
                print(f"round {number} of {rounds}, {case.label}: ready in {start.ready:.2f} s", flush=True)
                results.save(out / "startup.json", constant | {"starts": [asdict(start) for start in starts]})
        if clone:
            constant["clone"] = _time_clone(bundle)
            results.save(out / "startup.json", constant | {"starts": [asdict(start) for start in starts]})
        _show(cases, starts, constant.get("clone"), out)


def _list_cases(stack: ExitStack, release: Path | None) -> Iterator[Case]:
    models = ROOT / "models"
    alone = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    (alone / _BUNDLE).symlink_to(models / _BUNDLE)
    yield Case(OURS, "all models, 2 processes", {"LSTM_SERVE_WORKERS": "2"})
    yield Case(OURS, "all models, 1 process", {"LSTM_SERVE_WORKERS": "1"})
    yield Case(OURS, f"{_BUNDLE}, 2 processes", {"LSTM_SERVE_WORKERS": "2", "LSTM_SERVE_MODELS": str(alone)})
    if release:
        yield Case(RELEASE, "all models, 2 processes", {"LSTM_SERVE_WORKERS": "2"})
    yield Case(HANDLER, f"{_BUNDLE}, 2 processes")
    yield Case(PREDICT, f"{_BUNDLE}, 1 process")


def _time_clone(bundle: Bundle) -> dict[str, float]:
    """Return the times of a fresh clone.

    They are the seconds to clone, from `make serve` to ready, and to the first answer; and the MiB on disk at the end.
    """
    contender, port = contenders.find(bundle.manifest.name)[OURS], find_free_port()
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        machine.run_git(ROOT, "clone", "--quiet", "--no-hardlinks", str(ROOT), folder)
        cloned = time.monotonic()
        command = ["make", "-C", folder, "serve", f"LSTM_SERVE_PORT={port}"]
        with serve(command, {**os.environ}, port, contender.ready_path, _POLL_SECONDS, _INSTALL_SECONDS) as server:
            server.post(contender.path, f'{{"text": "{_TEXT}"}}')
            seconds = {"clone": cloned - started, "first_answer": time.monotonic() - cloned}
            used = sum(path.lstat().st_blocks * _BLOCK for path in Path(folder).rglob("*")) / 2**20
            return seconds | {"ready": server.ready_seconds, "disk": used}


def _show(cases: Sequence[Case], starts: Sequence[Start], clone: Mapping[str, float] | None, out: Path) -> None:
    rows, ready, memory = [], {}, {}
    for case in cases:
        found = [start for start in starts if start.case == case.label]
        ready[case.label] = median(start.ready for start in found)
        memory[case.label] = median(start.memory for start in found)
        columns = [[start.ready for start in found], [start.whole for start in found], [one.memory for one in found]]
        rows.append([case.server, case.name, *map(format_range, columns), _format_processes(found)])
    header = ["server", "models", "ready, s", "all processes, s", "memory, MiB", "of each process, MiB"]
    blocks = ["From the start of the first process, and resident memory: median (least-most)"]
    blocks.append(render_table(header, rows, 2))
    if clone:
        blocks.append(
            f"Cloning took {clone['clone']:.1f} s. `make serve` in the clone, including the installation, took "
            f"{clone['ready']:.1f} s to ready and {clone['first_answer']:.1f} s to the first answer; then "
            f"{clone['disk']:,.0f} MiB were on disk."
        )
    panels = [Panel("From process start to ready", "s", ready), Panel("Resident memory", "MiB", memory)]
    results.draw_bars(out / "startup.png", [("", panels)], {case.label for case in cases if case.server == OURS})
    results.report(out / "startup", blocks)


def _format_processes(starts: Sequence[Start]) -> str:
    """Return the medians of the largest process, the second, and so on."""
    columns = zip(*(start.processes for start in starts), strict=False)
    return " + ".join(format_figure(median(column)) for column in columns)


if __name__ == "__main__":
    typer.run(main)
