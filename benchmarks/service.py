"""`python -m benchmarks.service`: the service against its last release and peers, with the same models and texts."""

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from app.engines.onnx import OnnxEngine
from benchmarks import bars, contenders, machine, results, reviews, wrk
from benchmarks.commands import BUNDLES, OUT, Bundles, Data, Out, Release, Rounds, Seconds, telling_errors
from benchmarks.comparison import Comparison, Measurement
from benchmarks.contenders import DEFAULT, OURS, RELEASE, Contender
from benchmarks.reviews import Texts
from benchmarks.servers import HOST, Server, ServerError
from bundle.reviews import ReviewCodec
from bundle.store import Bundle, Store

_WARM_UP_SECONDS = 1
_CHECKED_OF_A_SET = 12  # answers compared with the expected ones, including the shortest and the longest text
_TOLERANCE = 1e-4
_START_SECONDS = 15  # guess for start and check of a server, used in the first estimate of the time left


@dataclass(frozen=True)
class Subject:
    """A bundle, its texts, and the expected answers to some of them.

    `expected` has the answers of Keras; and, by a server's name, the expected answers of a server that runs another
    network: the service if 8 bits are the default, and the release, whose bundle may differ.
    """

    bundle: Bundle
    sets: tuple[Texts, ...]
    expected: Mapping[str, Mapping[str, float]]

    @property
    def name(self) -> str:
        """The bundle's name."""
        return self.bundle.manifest.name

    def expected_of(self, server: str) -> Mapping[str, float]:
        """Return the expected answers of a server, by text."""
        return self.expected.get(server, self.expected["keras"])

    def differences(self) -> dict[str, float]:
        """Return, by server, the largest difference of its expected answers from Keras."""
        keras = self.expected["keras"]
        return {
            name: max(abs(answers[text] - keras[text]) for text in keras)
            for name, answers in self.expected.items()
            if answers is not keras
        }


@dataclass(frozen=True)
class Plan:
    """The amount of measurement; `seconds` is the time of one run."""

    concurrency: tuple[int, ...]
    seconds: int
    rounds: int


class Record:
    """All results so far, written after every server so that an interrupted run loses nothing."""

    def __init__(
        self, path: Path, plan: Plan, subjects: Sequence[Subject], names: Sequence[str], release: Path | None
    ) -> None:
        """Take the path of the results and the data that do not change during the run."""
        self._path = path
        known = contenders.find("", release)
        self._constant = machine.describe({name: known[name].find_python() for name in names})
        self._constant["release"] = machine.find_commit(release) if release else None
        self._constant["plan"] = asdict(plan)
        self._constant["texts"] = {
            subject.name: {texts.name: texts.describe() for texts in subject.sets} for subject in subjects
        }
        self._constant["differences_from_keras"] = {subject.name: subject.differences() for subject in subjects}
        self.measurements: list[Measurement] = []
        self.failures: list[dict[str, Any]] = []

    def comparisons(self) -> list[Comparison]:
        """Return the measurements of each bundle that has any."""
        return [Comparison(self.measurements, name) for name in dict.fromkeys(one.bundle for one in self.measurements)]

    def save(self) -> None:
        """Write the JSON."""
        results.save(
            self._path.with_suffix(".json"),
            self._constant
            | {
                "bars": [asdict(bar) for bar in bars.list_bars(self.measurements)],
                "cost_of_mixed": {found.bundle: found.cost_of_mixed() for found in self.comparisons()},
                "measurements": [asdict(measurement) for measurement in self.measurements],
                "failures": self.failures,
            },
        )

    def show(self) -> None:
        """Print the tables, and write them and the PNG."""
        comparisons = self.comparisons()
        failures = [
            f"failed: {failure['server']} with {failure['bundle']} in round {failure['round']}"
            for failure in self.failures
        ]
        if comparisons:
            columns = [(f"{found.bundle}, reviews of mixed lengths", found.panels()) for found in comparisons]
            results.draw_bars(self._path.with_suffix(".png"), columns, {OURS})
            tables = [f"**{title}**\n\n{table}" for found in comparisons for title, table in found.tables()]
            ratios = bars.list_bars(self.measurements)
            title = "**Ratios within a round, median**"
            results.report(self._path, [*([title, bars.render_bars(ratios)] if ratios else []), *tables, *failures])
        else:
            print(*failures, sep="\n")


def main(
    data: Data = None,
    bundle: Bundles = BUNDLES,
    server: Annotated[
        list[str] | None,
        typer.Option(
            help=f"{', '.join(contenders.find('', Path()))}; repeatable.  [default: {', '.join(DEFAULT)}; {RELEASE} "
            "only with --release]"
        ),
    ] = None,
    release: Release = None,
    concurrency: Annotated[list[int], typer.Option(min=1, max=256, help="Connections; repeatable.")] = [1, 8, 64],  # noqa: B006
    one_length: Annotated[bool, typer.Option(help="Whether to send texts of one length too.")] = False,
    seconds: Seconds = 4,
    rounds: Rounds = 3,
    out: Out = OUT,
) -> None:
    """Measure the service against its last release and peers, each in its own environment."""
    plan = Plan(tuple(sorted(set(concurrency))), seconds, rounds)
    known = contenders.find("", release)
    names = server or [name for name in DEFAULT if name in known]
    if unknown := set(names) - known.keys():
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: the servers are {', '.join(known)}; see --release")
    with telling_errors():
        wrk.find()
        for name in names:
            known[name].find_python()
        sample = reviews.sample(data)
        subjects = [_prepare(name, sample, one_length, release) for name in bundle]
    record = Record(out / "service", plan, subjects, names, release)
    status = 0
    try:
        _measure(record, plan, subjects, names, release)
    except KeyboardInterrupt:
        print("\nstopped; the results so far:")
        status = 130
    record.save()
    record.show()
    raise typer.Exit(status)


def _prepare(name: str, sample: Sequence[str], with_one_length: bool, release: Path | None) -> Subject:
    bundle, codec = reviews.open_bundle(name)
    mixed = reviews.mixed_lengths(codec, sample)
    sets = (mixed, reviews.one_length(codec, mixed)) if with_one_length else (mixed,)
    checked = [text for texts in sets for text in _pick(texts)]
    expected = {"keras": _ask_keras(bundle, checked)}
    if bundle.manifest.onnx and bundle.manifest.onnx.default != "float32":
        engine = OnnxEngine(bundle)
        expected[OURS] = {text: float(engine.run([codec.encode(text).ids])[0, 0]) for text in checked}
    if release:
        expected[RELEASE] = _ask_keras(Store(release / "models").open(name), checked)
    return Subject(bundle, sets, expected)


def _ask_keras(bundle: Bundle, texts: Sequence[str]) -> dict[str, float]:
    import keras

    codec = bundle.codec
    assert isinstance(codec, ReviewCodec)
    network = keras.saving.load_model(bundle.model_path, compile=False)
    answers = network.predict(codec.pad([codec.encode(text).ids for text in texts]), verbose=0)[:, 0]
    return dict(zip(texts, map(float, answers), strict=True))


def _pick(texts: Texts) -> list[str]:
    by_length = [text for _, text in sorted(zip(texts.lengths, texts.texts, strict=True))]
    return by_length[:: len(by_length) // (_CHECKED_OF_A_SET - 1)] + by_length[-1:]


def _measure(
    record: Record, plan: Plan, subjects: Sequence[Subject], names: Sequence[str], release: Path | None
) -> None:
    """Measure every server in every round; rounds are the outer loop, so that a drift of the machine favours none."""
    started, done, total = time.monotonic(), 0, plan.rounds * len(subjects) * len(names)
    sets = len(subjects[0].sets)
    guessed = _START_SECONDS + sets * len(plan.concurrency) * (plan.seconds + _WARM_UP_SECONDS + 1.5)
    for number in range(1, plan.rounds + 1):
        for subject in subjects:
            for name in (*names[(number - 1) % len(names) :], *names[: (number - 1) % len(names)]):
                mean = (time.monotonic() - started) / done if done else guessed
                left = f"{mean * (total - done) / 60:.0f} min left"
                print(f"[{done + 1}/{total}, {left}] round {number}, {subject.name}, {name}", flush=True)
                try:
                    contender = contenders.find(subject.name, release)[name]
                    record.measurements += _visit(contender, subject, plan, number)
                except (ServerError, wrk.WrkError) as error:
                    print(f"  failed: {error}", flush=True)
                    reason = str(error).partition("\n")[0]  # the lines after it are the server's log
                    failure = {"round": number, "bundle": subject.name, "server": name, "error": reason}
                    record.failures.append(failure)
                record.save()
                done += 1


def _visit(contender: Contender, subject: Subject, plan: Plan, number: int) -> list[Measurement]:
    """Start a server, check its answers and measure it."""
    measurements = []
    with tempfile.TemporaryDirectory() as folder, contender.run(subject.bundle) as server:
        url = f"http://{HOST}:{server.port}{contender.path}"
        server.settle()
        _check(contender, server, subject.expected_of(contender.name))
        bodies = {texts.name: contender.write_bodies(Path(folder) / texts.name, texts.texts) for texts in subject.sets}
        # In rising order, with a warm-up each: BentoML needs seconds to adapt to a new load.
        for concurrency in plan.concurrency:
            if concurrency > contender.most_connections:
                break
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


def _check(contender: Contender, server: Server, expected: Mapping[str, float]) -> None:
    """Check the answers, with eight requests at a time so that batches are checked too.

    Raises:
        ServerError: an answer differs from the expected one by 1e-4 or more.
    """
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda text: server.post(contender.path, json.dumps(contender.ask(text))), expected)
        for answer, probability in zip(answers, expected.values(), strict=True):
            if not abs(contender.read(answer) - probability) < _TOLERANCE:
                raise ServerError(f"wrong answer: {answer}; {probability:.6f} is expected")


def _describe(found: Measurement) -> str:
    p50, p99 = results.format_figure(found.p50), results.format_figure(found.p99)
    return (
        f"{found.texts:>10} at {found.concurrency:>2}: {found.throughput:9,.1f} req/s, p50 {p50} ms, p99 {p99} ms, "
        f"{sum(found.errors.values())} errors, {found.memory:,.0f} MiB"
    )


if __name__ == "__main__":
    typer.run(main)
