"""`python -m benchmarks.overhead`: the time that the service adds to its engine, one review at a time."""

import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import typer

from app.engines.onnx import OnnxEngine
from benchmarks import contenders, machine, results, reviews, wrk
from benchmarks.commands import BUNDLES, OUT, Bundles, Data, Out, Rounds, Seconds, telling_errors
from benchmarks.contenders import OURS
from benchmarks.results import Panel, format_range, render_table
from benchmarks.servers import HOST
from bundle.reviews import ReviewCodec

_WARM_UP_SECONDS = 1


@dataclass(frozen=True)
class Measurement:
    """Medians over real reviews one at a time, in milliseconds: coding a text, the engine, a request over loopback."""

    round: int
    bundle: str
    coding: float
    engine: float
    service: float

    @property
    def added(self) -> float:
        """The time of a request beyond the engine's."""
        return self.service - self.engine


def main(
    data: Data = None,
    bundle: Bundles = BUNDLES,
    seconds: Seconds = 5,
    rounds: Rounds = 5,
    out: Out = OUT,
) -> None:
    """Measure the engine in this process and the service over one connection, alternately, with the same reviews."""
    found: list[Measurement] = []
    with telling_errors(), tempfile.TemporaryDirectory() as folder:
        wrk.find()
        sample = reviews.sample(data)
        constant = machine.describe() | {"plan": {"bundles": bundle, "seconds": seconds, "rounds": rounds}}
        for name in bundle:
            opened, codec = reviews.open_bundle(name)
            texts = reviews.mixed_lengths(codec, sample).texts
            contender, engine = contenders.find(name)[OURS], OnnxEngine(opened)
            bodies = contender.write_bodies(Path(folder) / name, texts)
            with contender.run(opened) as server:
                url = f"http://{HOST}:{server.port}{contender.path}"
                server.settle()
                wrk.run(url, bodies, 1, _WARM_UP_SECONDS)
                for number in range(1, rounds + 1):
                    server.settle()
                    coding, alone = _run_engine(engine, codec, texts, seconds)
                    load = wrk.run(url, bodies, 1, seconds)
                    if load.p50 is None:
                        raise wrk.WrkError(f"{url} answered nothing")
                    found.append(Measurement(number, name, coding, alone, load.p50))
                    print(f"round {number} of {rounds}, {name}: adds {found[-1].added:.2f} ms", flush=True)
                    results.save(out / "overhead.json", constant | {"measurements": [asdict(one) for one in found]})
    _show(bundle, found, out)


def _run_engine(engine: OnnxEngine, codec: ReviewCodec, texts: Iterable[str], seconds: int) -> tuple[float, float]:
    """Return the medians of coding a text and of running the engine on it, in milliseconds."""
    coding, running = [], []
    end = time.perf_counter() + seconds
    for text in texts:
        started = time.perf_counter()
        ids = codec.encode(text).ids
        coded = time.perf_counter()
        engine.run([ids])
        done = time.perf_counter()
        coding.append(1000 * (coded - started))
        running.append(1000 * (done - coded))
        if done > end:
            break
    return median(coding), median(running)


def _show(names: Sequence[str], found: Sequence[Measurement], out: Path) -> None:
    header = ["bundle", "coding ms", "engine ms", "request ms", "service adds ms"]
    rows, panels = [], []
    for name in names:
        those = [one for one in found if one.bundle == name]
        times = {
            "coding": [one.coding for one in those],
            "engine": [one.engine for one in those],
            "request": [one.service for one in those],
            "added": [one.added for one in those],
        }
        rows.append([name, *map(format_range, times.values())])
        panels.append(Panel(name, "ms", {what: median(values) for what, values in times.items()}))
    results.draw_bars(out / "overhead.png", [("One review at a time", panels)], {"added"})
    title = "One review at a time: median of the rounds' medians (least-most)"
    results.report(out / "overhead", [title, render_table(header, rows)])


if __name__ == "__main__":
    typer.run(main)
