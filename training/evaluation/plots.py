"""The plots of a model card."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from training.evaluation.evaluate import Evaluation, roc_curve
from training.loops.fit import History

LEARNING_CURVE = "learning-curve.png"
CONFUSION_MATRIX = "confusion-matrix.png"
ROC_CURVE = "roc-curve.png"

_NAME_CHARACTERS = 24
_LEVEL_CHARACTERS = 12  # of the longer of two labels, which stand side by side below the matrix
_LARGE_LABELS = 6  # a matrix of more has small counts and no shares


def plot_learning_curve(history: History, path: Path, per_epoch: int = 1) -> None:
    """Plot loss and, if measured, accuracy of the training and the held-out part; `per_epoch` values per epoch."""
    metrics = [metric for metric in ("loss", "accuracy") if {metric, f"val_{metric}"} & history.keys()]
    figure = Figure(figsize=(4.5 * len(metrics), 3.6), layout="constrained")
    for axes, metric in zip(figure.subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True):
        for name, label in ((metric, "training"), (f"val_{metric}", "held out")):
            if name in history:
                epochs = np.arange(1, len(history[name]) + 1) / per_epoch
                axes.plot(epochs, history[name], label=label, marker="o" if len(epochs) <= 20 else None)
        axes.set(xlabel="epoch", ylabel=f"{metric} (nats)" if metric == "loss" else metric)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=100)


def plot_confusion_matrix(evaluation: Evaluation, labels: Sequence[str], path: Path) -> None:
    """Plot the count of each pair of true class and answer and, for few classes, its share of the true class.

    Long labels are shortened.
    """
    counts = np.zeros((len(labels), len(labels)), int)
    np.add.at(counts, (evaluation.labels, evaluation.answers), 1)
    names = [shorten(label) for label in labels]
    is_level = len(labels) == 2 and max(map(len, names)) <= _LEVEL_CHARACTERS
    is_large = len(labels) > _LARGE_LABELS
    side = max(3.8, (0.3 if is_large else 0.7) * len(labels)) + (0 if is_level else 0.07 * max(map(len, names)))
    figure = Figure(figsize=(side + 0.4, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(counts, cmap="Blues", vmin=0)
    for (truth, answer), count in np.ndenumerate(counts):
        shade = "white" if count > counts.max() / 2 else "black"
        share = count / max(counts[truth].sum(), 1)
        text = f"{count or ''}" if is_large else f"{count:,}\n{share:.1%}"
        axes.text(answer, truth, text, ha="center", va="center", color=shade, fontsize=6 if is_large else None)
    axes.set(xlabel="answer", ylabel="truth")
    axes.set_xticks(range(len(labels)), names, rotation=0 if is_level else 90, parse_math=False)
    axes.set_yticks(range(len(labels)), names, rotation=90 if is_level else 0, va="center", parse_math=False)
    figure.savefig(path, dpi=100)


def shorten(label: str) -> str:
    """Return a label that a plot has space for."""
    return label if len(label) <= _NAME_CHARACTERS else f"{label[: _NAME_CHARACTERS - 1]}\N{HORIZONTAL ELLIPSIS}"


def plot_roc_curve(evaluation: Evaluation, labels: Sequence[str], path: Path) -> None:
    """Plot true against false answers of the second label over all thresholds, with the threshold in use marked."""
    scores = evaluation.probabilities[:, 1]
    figure = Figure(figsize=(4.2, 3.8), layout="constrained")
    axes = figure.subplots()
    axes.plot(*roc_curve(evaluation.labels, scores), label=f"area {evaluation.metrics['auc']:.4f}")
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="chance")
    rates = [evaluation.answers[evaluation.labels == label].mean() for label in (0, 1)]
    axes.plot(*rates, marker="o", linestyle="", label="threshold 0.5")
    first, second = map(shorten, labels)
    for set_label, truth in ((axes.set_xlabel, first), (axes.set_ylabel, second)):
        set_label(f"{truth} texts called {second}", parse_math=False)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=100)
