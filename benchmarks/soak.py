"""`python -m benchmarks.soak`: whether memory or throughput change with the number of requests."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from benchmarks import contenders, machine, results, reviews, wrk
from benchmarks.commands import OUT, Data, Out, telling_errors
from benchmarks.contenders import OURS, PREDICT, Contender
from benchmarks.results import LinePanel, format_figure, render_table
from benchmarks.servers import HOST, Server, ServerError
from bundle.store import Bundle

_BUNDLES = ("sentiment", "imdb-500")
_TEXTS = 10_000
_PEER = PREDICT
_MOST_SLICES = 1000
# This peer answers about 30 requests a second: with more connections or shorter slices, wrk ends before most answers.
_PEER_CONCURRENCY, _PEER_SECONDS = 8, 8


@dataclass(frozen=True)
class Slice:
    """One run of wrk: total answers and memory in MiB at its end, answers a second and errors during it."""

    server: str
    requests: int
    memory: float
    throughput: float
    errors: dict[str, int]


class Soak:
    """The slices of one server; the first is its warm-up, and only its memory counts."""

    def __init__(self, server: str, slices: Sequence[Slice]) -> None:
        """Take the slices in order."""
        self.server = server
        self._slices = [one for one in slices if one.server == server]

    @property
    def measured(self) -> Sequence[Slice]:
        """The slices after the warm-up."""
        return self._slices[1:]

    @property
    def memories(self) -> tuple[float, float, float]:
        """Memory after the warm-up, when half of the requests were answered, and at the end, in MiB."""
        half = (self._slices[0].requests + self._slices[-1].requests) / 2
        middle = min(self._slices, key=lambda one: abs(one.requests - half))
        return self._slices[0].memory, middle.memory, self._slices[-1].memory

    def describe(self) -> dict[str, Any]:
        """Return a summary of the slices, as values for JSON."""
        first, middle, end = self.memories
        thousands = (self._slices[-1].requests - self._slices[0].requests) / 1000
        return {
            "server": self.server,
            "requests": self._slices[-1].requests - self._slices[0].requests,
            "memory_warm": first,
            "memory_middle": middle,
            "memory_end": end,
            "end_over_middle": round(end / middle, 4),
            "mib_per_1000": round((end - first) / thousands, 3),
            "throughput_first_half": median(one.throughput for one in self.measured[: (len(self.measured) + 1) // 2]),
            "throughput_second_half": median(one.throughput for one in self.measured[len(self.measured) // 2 :]),
            "errors": sum(sum(one.errors.values()) for one in self._slices),
        }

    def panels(self) -> list[LinePanel]:
        """Return the panels of the plot: memory and throughput over the requests answered."""
        memory = [(one.requests, one.memory) for one in self._slices]
        throughput = [(one.requests, one.throughput) for one in self.measured]
        axis = "requests answered"
        return [
            LinePanel("Resident memory", axis, "MiB", {self.server: memory}),
            LinePanel("Throughput", axis, "requests/s", {self.server: throughput}),
        ]


def main(
    data: Data = None,
    requests: Annotated[int, typer.Option(min=1000, max=5_000_000, help="Requests to the service.")] = 200_000,
    predict_requests: Annotated[
        int, typer.Option(min=0, max=100_000, help="Requests to FastAPI with model.predict.")
    ] = 2000,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Connections.")] = 64,
    seconds: Annotated[int, typer.Option(min=1, max=60, help="Seconds of one slice.")] = 4,
    out: Out = OUT,
) -> None:
    """Send many requests to the service, alternately for both sentiment bundles, and measure its memory."""
    with telling_errors(), tempfile.TemporaryDirectory() as folder:
        wrk.find()
        bundles = [reviews.open_bundle(name)[0] for name in _BUNDLES]
        plan = {OURS: requests} | ({_PEER: predict_requests} if predict_requests else {})
        pythons = {name: contenders.find("")[name].find_python() for name in plan}
        constant = machine.describe(pythons) | {
            "plan": {"bundles": _BUNDLES, "concurrency": concurrency, "seconds": seconds, "requests": plan}
        }
        texts = reviews.sample(data, _TEXTS)
        slices: list[Slice] = []
        for name, wanted in plan.items():
            asked = [contenders.find(bundle)[name] for bundle in (_BUNDLES if name == OURS else _BUNDLES[:1])]
            bodies = _write_bodies(asked, texts, Path(folder) / name)
            load = (concurrency, seconds) if name == OURS else (_PEER_CONCURRENCY, max(seconds, _PEER_SECONDS))
            for one in _soak(asked[0], bundles[0], bodies, *load, wanted):
                slices.append(one)
                print(
                    f"{name}: {one.requests:9,} of {wanted:,} requests, {one.throughput:8,.1f}/s, "
                    f"{one.memory:,.1f} MiB, {sum(one.errors.values())} errors",
                    flush=True,
                )
                results.save(out / "soak.json", constant | {"slices": [asdict(one) for one in slices]})
        soaks = [Soak(name, slices) for name in plan]
        constant["summary"] = [soak.describe() for soak in soaks]
        results.save(out / "soak.json", constant | {"slices": [asdict(one) for one in slices]})
        _show(soaks, out)


def _write_bodies(asked: Sequence[Contender], texts: Sequence[str], path: Path) -> Path:
    """Write the requests for the texts, alternately for each of the contenders."""
    parts = [
        contender.write_bodies(path, texts[at :: len(asked)]).read_text(encoding="utf-8").split("\n")
        for at, contender in enumerate(asked)
    ]
    path.write_text("\n".join(body for bodies in zip(*parts, strict=True) for body in bodies), encoding="utf-8")
    return path


def _soak(
    contender: Contender, bundle: Bundle, bodies: Path, concurrency: int, seconds: int, wanted: int
) -> Iterator[Slice]:
    """Send slice after slice until `wanted` requests are answered, not counting the first slice, the warm-up.

    Raises:
        ServerError: a slice ends without an answer.
    """
    with contender.run(bundle) as server:
        server.settle()
        url = f"http://{HOST}:{server.port}{contender.path}"
        warm_up = _run_slice(contender, server, url, bodies, concurrency, seconds, 0)
        yield warm_up
        answered = warm_up.requests
        for _ in range(_MOST_SLICES):
            if answered >= wanted + warm_up.requests:
                return
            found = _run_slice(contender, server, url, bodies, concurrency, seconds, answered)
            answered = found.requests
            yield found
        print(f"stopped after {_MOST_SLICES} slices", flush=True)


def _run_slice(
    contender: Contender, server: Server, url: str, bodies: Path, concurrency: int, seconds: int, before: int
) -> Slice:
    load = wrk.run(url, bodies, concurrency, seconds)
    if not load.requests:
        raise ServerError(f"{contender.name} answered nothing in {seconds} s\n{server.read_log()}")
    server.settle()
    memory = round(server.memory(), 2)
    return Slice(contender.name, before + load.requests, memory, round(load.throughput, 2), load.errors)


def _show(soaks: Sequence[Soak], out: Path) -> None:
    header = [
        "server",
        "requests",
        "MiB warm",
        "MiB middle",
        "MiB end",
        "end / middle",
        "MiB per 1,000",
        "req/s, first half",
        "req/s, second half",
        "errors",
    ]
    rows = []
    for soak in soaks:
        found = soak.describe()
        memories = [f"{found[name]:,.1f}" for name in ("memory_warm", "memory_middle", "memory_end")]
        growth = [f"{found['end_over_middle']:.4f}", f"{found['mib_per_1000']:.2f}"]
        rates = [format_figure(found[f"throughput_{half}_half"]) for half in ("first", "second")]
        rows.append([soak.server, f"{found['requests']:,}", *memories, *growth, *rates, f"{found['errors']:,}"])
    results.draw_lines(out / "soak.png", [(soak.server, soak.panels()) for soak in soaks])
    results.report(out / "soak", [render_table(header, rows)])


if __name__ == "__main__":
    typer.run(main)
