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
    """Plot the count of each pair of true class and answer."""
    counts = np.zeros((len(labels), len(labels)), int)
    np.add.at(counts, (evaluation.labels, evaluation.answers), 1)
    figure = Figure(figsize=(4.2, 3.8), layout="constrained")
    axes = figure.subplots()
    axes.imshow(counts, cmap="Blues", vmin=0)
    for (truth, answer), count in np.ndenumerate(counts):
        shade = "white" if count > counts.max() / 2 else "black"
        share = count / counts[truth].sum()
        axes.text(answer, truth, f"{count:,}\n{share:.1%}", ha="center", va="center", color=shade)
    axes.set(xlabel="answer", ylabel="truth")
    axes.set_xticks(range(len(labels)), labels)
    axes.set_yticks(range(len(labels)), labels, rotation=90, va="center")
    figure.savefig(path, dpi=100)


def plot_roc_curve(evaluation: Evaluation, path: Path) -> None:
    """Plot true against false positives over all thresholds, with the threshold in use marked."""
    scores = evaluation.probabilities[:, 1]
    figure = Figure(figsize=(4.2, 3.8), layout="constrained")
    axes = figure.subplots()
    axes.plot(*roc_curve(evaluation.labels, scores), label=f"area {evaluation.metrics['auc']:.4f}")
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="chance")
    rates = [evaluation.answers[evaluation.labels == label].mean() for label in (0, 1)]
    axes.plot(*rates, marker="o", linestyle="", label="threshold 0.5")
    axes.set(xlabel="negative reviews called positive", ylabel="positive reviews called positive")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=100)
