"""What a training run leaves for people: the model card and its plots."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from bundle.manifest import Description
from training.evaluate import Evaluation, roc_curve
from training.fit import History
from training.recipes import Recipe

LEARNING_CURVE = "learning-curve.png"
CONFUSION_MATRIX = "confusion-matrix.png"
ROC_CURVE = "roc-curve.png"
CARD = "README.md"

_INTENDED_USE = {
    "next-letter": """\
The network continues a run of consecutive letters: `ABC` gives `D`. It answers any letters A-Z, upper or lower
case, of at most {length}; for letters that are no run within what it was trained on its answer means nothing.""",
    "sentiment": """\
The network tells whether an English film review is positive or negative. Reviews of 5 and 6 stars of 10 are not
among the labelled ones, so it was never told nor asked what a lukewarm one is; texts other than film reviews are
outside what was measured.
Of a review longer than {length} words and marks, the last {length} are read.""",
}


def plot_learning_curve(history: History, path: Path) -> None:
    """Plot loss and accuracy by epoch, of the training and, where there is one, the held-out part."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, metric in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for name, label in ((metric, "training"), (f"val_{metric}", "held out")):
            if name in history:
                epochs = np.arange(1, len(history[name]) + 1)
                axes.plot(epochs, history[name], label=label, marker="o" if len(epochs) <= 20 else None)
        axes.set(xlabel="epoch", ylabel=f"{metric} (nats)" if metric == "loss" else metric)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=100)


def plot_confusion_matrix(evaluation: Evaluation, labels: Sequence[str], path: Path) -> None:
    """Plot how often each true class was given each class."""
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


def write_card(folder: Path, recipe: Recipe, description: Description, parameters: int, seconds: float) -> None:
    """Write the model card of a bundle whose plots are in the folder already."""
    fields = type(recipe.settings).model_fields
    settings = "\n".join(
        f"| `{name}` | {value if value is not None else '-'} | {(fields[name].description or '').replace('|', '/')} |"
        for name, value in recipe.settings.model_dump().items()
    )
    figures = "\n".join(
        f"| {metric} | {value:.4f} | {_published(recipe, metric)} |" for metric, value in description.metrics.items()
    )
    dataset = description.dataset
    plots = [name for name in (LEARNING_CURVE, CONFUSION_MATRIX, ROC_CURVE) if (folder / name).exists()]
    (folder / CARD).write_text(
        f"""\
# {description.name}

{recipe.summary[0].upper()}{recipe.summary[1:]}.

Task `{description.task}`, {parameters:,} parameters, trained in {_duration(seconds)}. Recipe from: {recipe.source}.

## Figures

On {dataset.test_examples:,} examples ({_tested_on(description)}):

| metric | this bundle | published by the source |
|---|---|---|
{figures}

{" ".join(f"![{name.removesuffix('.png').replace('-', ' ')}]({name})" for name in plots)}

Check them with `python -m training evaluate models/{description.name}/<version>`.

## Use and limits

{_INTENDED_USE[description.task].format(length=description.preprocessing.length)}

## Data

{dataset.name}: {dataset.training_examples:,} examples for training; SHA-256 of the contents `{dataset.sha256}`.

## Recipe

`{_command(recipe, description.name)}` makes the bundle again, with these settings:

| setting | value | meaning |
|---|---|---|
{settings}

Made with {", ".join(f"{name} {version}" for name, version in description.frameworks.items())}.
""",
        encoding="utf-8",
    )


def _command(recipe: Recipe, name: str) -> str:
    changed = (f" --set {key}={json.dumps(value)}" for key, value in recipe.changes().items())
    renamed = "" if name == recipe.name else f" --name {name}"
    return f"python -m training train {recipe.name}{''.join(changed)}{renamed}"


def _published(recipe: Recipe, metric: str) -> str:
    """Return the figure of the source, which is one for its own settings."""
    known = metric in recipe.published and not recipe.changes().keys() - {"seed"}
    return f"{recipe.published[metric]:.4f}" if known else "-"


def _tested_on(description: Description) -> str:
    return "the patterns it was trained on" if description.task == "next-letter" else "never trained on"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
