"""`python -m benchmarks.explain`: whether explanations name the words that matter, their cost and their errors.

The texts are the pairs that no model is trained on: see `training/data/pairs/README.md`.
"""

import json
import os
import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Annotated, Any

import typer

from benchmarks import environments, machine, results
from benchmarks.commands import OUT, Out, telling_errors
from benchmarks.results import LinePanel, render_table
from benchmarks.servers import Server, find_free_port, serve
from training.data import pairs

ORDERS = {
    "most": "those for the verdict first",
    "random": "in random order",
    "least": "those against it first",
}
SHARES = tuple(tenth / 10 for tenth in range(10))  # without words there is no verdict
_TIMED_WORDS = 60
_TIMED_REQUESTS = 5  # of one text, of which the median counts


@dataclass(frozen=True)
class Deleted:
    """One text with some of its words deleted in one order: the probability of its verdict at each of `SHARES`."""

    order: str
    words: int
    probabilities: list[float]


@dataclass(frozen=True)
class Timed:
    """One text of about 60 words: milliseconds of a prediction and of an explanation, and its standard errors."""

    words: int
    prediction: float
    explanation: float
    evaluations: int
    mean_error: float
    largest_error: float


def main(
    models: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder of the bundles.")] = Path("models"),
    model: Annotated[str, typer.Option(help="A sentiment model in it.")] = "sentiment",
    texts: Annotated[int, typer.Option(min=10, max=2000, help="Texts to explain.")] = 300,
    timed: Annotated[int, typer.Option(min=2, max=200, help="Texts of 60 words to time.")] = 20,
    seed: Annotated[int, typer.Option(help="Draws the texts, and the words that are deleted in random order.")] = 0,
    out: Out = OUT,
) -> None:
    """Explain texts with the service, delete words by what they contribute, and time it beside predictions."""
    with telling_errors():
        groups = [*pairs.load("development"), *pairs.load("report")]
        drawn = [text for group in groups for text in (group.positive, group.negative) if text]
        randomly = random.Random(seed)
        randomly.shuffle(drawn)
        constant = machine.describe() | {"plan": {"model": model, "texts": texts, "timed": timed, "seed": seed}}
        with _run_service(models) as server:
            deleted = [one for text in drawn[:texts] for one in _delete(server, model, text, randomly)]
            times = [_time(server, model, text) for text in _join(drawn, timed)]
    results.save(
        out / "explain.json",
        constant | {"deleted": [asdict(one) for one in deleted], "timed": [asdict(one) for one in times]},
    )
    _show(deleted, times, out)


@contextmanager
def _run_service(models: Path) -> Iterator[Server]:
    port = find_free_port()
    settings = {"MODELS": str(models.resolve()), "PORT": str(port), "WORKERS": "1", "LOG_LEVEL": "WARNING"}
    settings |= {"DEADLINE_MS": "60000", "MAX_BATCH": "128", "READY_MODELS": "sentiment"}
    environment = {**os.environ, **{f"LSTM_SERVE_{name}": value for name, value in settings.items()}}
    environment["PYTHONPATH"] = str(environments.ROOT)
    with serve([sys.executable, "-m", "app"], environment, port, "/readyz") as server:
        server.settle()
        yield server


def delete(text: str, places: Sequence[tuple[int, int]]) -> str:
    """Return a text without the words at some places; a space stands for each."""
    for start, end in sorted(places, reverse=True):
        text = f"{text[:start]} {text[end:]}"
    return text


def _delete(server: Server, model: str, text: str, randomly: random.Random) -> Iterator[Deleted]:
    """Explain a text and delete its words in each order; nothing for a text without a verdict."""
    explained = server.post("/sentiment/explain", json.dumps({"text": text, "model": model}))
    if explained["sentiment"] is None:
        return
    sign = 1 if explained["sentiment"] == "positive" else -1
    tokens = explained["tokens"]
    most = sorted(tokens, key=lambda token: -sign * token["contribution"])
    for order, words in {"most": most, "random": randomly.sample(tokens, len(tokens)), "least": most[::-1]}.items():
        counts = [round(share * len(words)) for share in SHARES]
        left = [delete(text, [(word["start"], word["end"]) for word in words[:count]]) for count in counts]
        answers = server.post("/sentiment/batch", json.dumps({"texts": left, "model": model}))["answers"]
        yield Deleted(order, len(words), [round(_find_probability(answer, sign), 4) for answer in answers])


def _find_probability(answer: Mapping[str, Any], sign: int) -> float:
    """Return the probability of a verdict; a text without known words has none, which counts as half."""
    positive = answer["probability_positive"]
    if positive is None:
        return 0.5
    return float(positive if sign > 0 else 1 - positive)


def _join(texts: Sequence[str], count: int) -> list[str]:
    """Return texts of about 60 words, made of short ones."""
    joined: list[str] = []
    left = iter(texts)
    while len(joined) < count:
        parts: list[str] = []
        while len(" ".join(parts).split()) < _TIMED_WORDS:
            parts.append(next(left))
        joined.append(" ".join(" ".join(parts).split()[:_TIMED_WORDS]))
    return joined


def _time(server: Server, model: str, text: str) -> Timed:
    body = json.dumps({"text": text, "model": model})
    predictions, explanations = [], []
    for _ in range(_TIMED_REQUESTS):
        started = time.perf_counter()
        server.post("/sentiment", body)
        predicted = time.perf_counter()
        explained = server.post("/sentiment/explain", body)
        explanations.append(1000 * (time.perf_counter() - predicted))
        predictions.append(1000 * (predicted - started))
    errors = [token["standard_error"] for token in explained["tokens"] if token["standard_error"] is not None]
    return Timed(
        len(explained["tokens"]),
        median(predictions),
        median(explanations),
        explained["evaluations"],
        fmean(errors),
        max(errors),
    )


def summarise(deleted: Sequence[Deleted]) -> dict[str, tuple[list[float], list[float]]]:
    """Return, by order, the mean probability of the verdict at each of `SHARES`, and the share of other verdicts."""
    found = {}
    for order in ORDERS:
        curves = [one.probabilities for one in deleted if one.order == order]
        columns = list(zip(*curves, strict=True))
        found[order] = ([fmean(column) for column in columns], [fmean(p < 0.5 for p in column) for column in columns])
    return found


def _show(deleted: Sequence[Deleted], times: Sequence[Timed], out: Path) -> None:
    curves = summarise(deleted)
    percent = [100 * share for share in SHARES]
    axis = "% of the words deleted"
    panels = [
        LinePanel(
            title, axis, unit, {ORDERS[order]: list(zip(percent, curves[order][at], strict=True)) for order in ORDERS}
        )
        for at, (title, unit) in enumerate(
            (("Probability of the first verdict", "mean"), ("Texts with another verdict", "share"))
        )
    ]
    results.draw_lines(out / "explain.png", [("Words are deleted", panels)])
    texts = len(deleted) // len(ORDERS)
    table = render_table(
        ["deleted words", *(f"{share:.0%}" for share in SHARES[1:])],
        [[meaning, *(f"{value:.0%}" for value in curves[order][1][1:])] for order, meaning in ORDERS.items()],
    )
    timing = render_table(
        ["of texts of about 60 words", "median", "least", "most"],
        [
            [what, *(f"{pick(values):,.{digits}f}" for pick in (median, min, max))]
            for what, digits, values in (
                ("words and marks", 0, [float(one.words) for one in times]),
                ("texts judged", 0, [float(one.evaluations) for one in times]),
                ("a prediction, ms", 1, [one.prediction for one in times]),
                ("an explanation, ms", 0, [one.explanation for one in times]),
                ("ratio", 0, [one.explanation / one.prediction for one in times]),
                ("two standard errors, mean of the words", 3, [2 * one.mean_error for one in times]),
                ("two standard errors, largest of the words", 3, [2 * one.largest_error for one in times]),
            )
        ],
    )
    results.report(
        out / "explain", [f"Verdicts that differ, of {texts} texts, by the share of deleted words", table, timing]
    )


if __name__ == "__main__":
    typer.run(main)
