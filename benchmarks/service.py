"""`python -m benchmarks.service`: the project against peers that serve the same Keras models with the same texts."""

import json
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import contenders, machine, results, reviews, wrk
from benchmarks.commands import BUNDLES, OUT, Bundles, Data, Out, Rounds, Seconds, telling_errors
from benchmarks.comparison import Comparison, Measurement
from benchmarks.contenders import OURS, Contender
from benchmarks.reviews import Texts
from benchmarks.servers import HOST, Server, ServerError
from bundle.store import Bundle

_WARM_UP_SECONDS = 1
_CHECKED_OF_A_SET = 12  # answers compared with Keras's own, shortest and longest text among them
_TOLERANCE = 1e-4
_START_SECONDS = 30  # start, check and rest of a server, guessed for the first estimate of the time left


@dataclass(frozen=True)
class Subject:
    """A bundle, the texts it is asked with, and what Keras answers to some of them."""

    bundle: Bundle
    sets: tuple[Texts, ...]
    expected: dict[str, float]

    @property
    def name(self) -> str:
        """The bundle's name."""
        return self.bundle.manifest.name


@dataclass(frozen=True)
class Plan:
    """How much is measured; seconds of one run."""

    concurrency: tuple[int, ...]
    seconds: int
    rounds: int


class Record:
    """Everything found so far, on disk after every server so that an interrupted run loses nothing."""

    def __init__(self, path: Path, plan: Plan, subjects: Sequence[Subject], servers: Sequence[str]) -> None:
        """Take where to write and what does not change during the run."""
        self._path = path
        self._constant = machine.describe({name: contenders.find("")[name].find_python() for name in servers})
        self._constant["plan"] = asdict(plan)
        self._constant["texts"] = {
            subject.name: {texts.name: texts.describe() for texts in subject.sets} for subject in subjects
        }
        self._bundles = [subject.name for subject in subjects]
        self._servers = servers
        self.measurements: list[Measurement] = []
        self.failures: list[dict[str, Any]] = []

    def comparisons(self) -> list[Comparison]:
        """Return what the measurements say of each bundle that has any."""
        measured = {found.bundle for found in self.measurements}
        return [Comparison(self.measurements, name, self._servers) for name in self._bundles if name in measured]

    def save(self) -> None:
        """Write the JSON."""
        found = {comparison.bundle: comparison for comparison in self.comparisons()}
        results.save(
            self._path.with_suffix(".json"),
            self._constant
            | {
                "ratios": [{"bundle": name} | asdict(ratio) for name in found for ratio in found[name].ratios()],
                "cost_of_mixed": {name: found[name].cost_of_mixed() for name in found},
                "measurements": [asdict(measurement) for measurement in self.measurements],
                "failures": self.failures,
            },
        )

    def show(self) -> None:
        """Print the tables and write the PNG."""
        comparisons = self.comparisons()
        for comparison in comparisons:
            for title, table in comparison.tables():
                print(f"\n{title}\n\n{table}")
        for failure in self.failures:
            print(f"\nfailed: {failure['server']} with {failure['bundle']} in round {failure['round']}")
        if comparisons:
            columns = [(f"{found.bundle}, reviews of mixed lengths", found.panels()) for found in comparisons]
            results.draw_bars(self._path.with_suffix(".png"), columns, {OURS})
            print(f"\nwritten: {self._path.with_suffix('.json')} and {self._path.with_suffix('.png').name}")


def main(
    data: Data = None,
    bundle: Bundles = BUNDLES,
    server: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(contenders.find(''))}; repeatable.  [default: all]")
    ] = None,
    concurrency: Annotated[list[int], typer.Option(min=1, max=256, help="Connections; repeatable.")] = [1, 8, 64],  # noqa: B006
    seconds: Seconds = 8,
    rounds: Rounds = 3,
    out: Out = OUT,
) -> None:
    """Measure the project against its peers, each in its own environment and with its own dynamic batching."""
    plan = Plan(tuple(sorted(set(concurrency))), seconds, rounds)
    names = server or list(contenders.find(""))
    if unknown := set(names) - contenders.find("").keys():
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: the servers are {', '.join(contenders.find(''))}")
    with telling_errors():
        wrk.find()
        for name in names:
            contenders.find("")[name].find_python()
        sample = reviews.sample(data)
        subjects = [_prepare(name, sample) for name in bundle]
    record = Record(out / "service", plan, subjects, names)
    status = 0
    try:
        _measure(record, plan, subjects, names)
    except KeyboardInterrupt:
        print("\nstopped; what was measured so far:")
        status = 130
    record.save()
    record.show()
    raise typer.Exit(status)


def _prepare(name: str, sample: Sequence[str]) -> Subject:
    import keras

    bundle, codec = reviews.open_bundle(name)
    mixed = reviews.mixed_lengths(codec, sample)
    sets = (mixed, reviews.one_length(codec, mixed))
    checked = [text for texts in sets for text in _pick(texts)]
    network = keras.saving.load_model(bundle.model_path, compile=False)
    answers = network.predict(codec.pad([codec.encode(text).ids for text in checked]), verbose=0)[:, 0]
    return Subject(bundle, sets, dict(zip(checked, map(float, answers), strict=True)))


def _pick(texts: Texts) -> list[str]:
    by_length = [text for _, text in sorted(zip(texts.lengths, texts.texts, strict=True))]
    return by_length[:: len(by_length) // (_CHECKED_OF_A_SET - 1)] + by_length[-1:]


def _measure(record: Record, plan: Plan, subjects: Sequence[Subject], names: Sequence[str]) -> None:
    """Measure every server in every round; rounds are outermost, so that a drift of the machine favours none."""
    started, done, total = time.monotonic(), 0, plan.rounds * len(subjects) * len(names)
    guessed = _START_SECONDS + 2 * len(plan.concurrency) * (plan.seconds + _WARM_UP_SECONDS + 1)
    for number in range(1, plan.rounds + 1):
        for subject in subjects:
            for name in (*names[(number - 1) % len(names) :], *names[: (number - 1) % len(names)]):
                mean = (time.monotonic() - started) / done if done else guessed
                left = f"{mean * (total - done) / 60:.0f} min left"
                print(f"[{done + 1}/{total}, {left}] round {number}, {subject.name}, {name}", flush=True)
                try:
                    record.measurements += _visit(contenders.find(subject.name)[name], subject, plan, number)
                except (ServerError, wrk.WrkError) as error:
                    print(f"  failed: {error}", flush=True)
                    failure = {"round": number, "bundle": subject.name, "server": name, "error": str(error)}
                    record.failures.append(failure)
                record.save()
                done += 1


def _visit(contender: Contender, subject: Subject, plan: Plan, number: int) -> list[Measurement]:
    """Start a server, check its answers and measure it."""
    measurements = []
    with tempfile.TemporaryDirectory() as folder, contender.run(subject.bundle) as server:
        url = f"http://{HOST}:{server.port}{contender.path}"
        server.settle()
        _check(contender, server, subject.expected)
        bodies = {texts.name: contender.write_bodies(Path(folder) / texts.name, texts.texts) for texts in subject.sets}
        # Rising, and warmed up at each: BentoML goes on for seconds as the load before has taught it.
        for concurrency in plan.concurrency:
            for texts in subject.sets:
                wrk.run(url, bodies[texts.name], concurrency, _WARM_UP_SECONDS)
                server.settle()
                load = wrk.run(url, bodies[texts.name], concurrency, plan.seconds)
                server.settle()
                found = Measurement(
                    round=number,
                    bundle=subject.name,
                    server=contender.name,
                    texts=texts.name,
                    concurrency=concurrency,
                    throughput=round(load.throughput, 2),
                    memory=round(server.memory(), 1),
                    **asdict(load),
                )
                measurements.append(found)
                print(f"  {_describe(found)}", flush=True)
    return measurements


def _check(contender: Contender, server: Server, expected: dict[str, float]) -> None:
    """Ask eight texts at a time, so that batches are among what is checked.

    Raises:
        ServerError: an answer is not Keras's own, on the padded input, to 1e-4.
    """
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda text: server.post(contender.path, json.dumps(contender.ask(text))), expected)
        for answer, probability in zip(answers, expected.values(), strict=True):
            if not abs(contender.read(answer) - probability) < _TOLERANCE:
                raise ServerError(f"wrong answer: {answer}, where Keras itself has {probability:.6f}")


def _describe(found: Measurement) -> str:
    p50, p99 = results.format_figure(found.p50), results.format_figure(found.p99)
    return (
        f"{found.texts:>10} at {found.concurrency:>2}: {found.throughput:9,.1f} req/s, p50 {p50} ms, p99 {p99} ms, "
        f"{sum(found.errors.values())} errors, {found.memory:,.0f} MiB"
    )


if __name__ == "__main__":
    typer.run(main)
