"""What a training run leaves for people: the model card and its plots."""

import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from bundle.manifest import Description
from bundle.reviews import ReviewPreprocessing
from training.evaluate import Evaluation, roc_curve
from training.fit import History
from training.recipes import Recipe
from training.settings import StackSettings, TrainingSettings, flatten

LEARNING_CURVE = "learning-curve.png"
CONFUSION_MATRIX = "confusion-matrix.png"
ROC_CURVE = "roc-curve.png"
CARD = "README.md"

_INTENDED_USE = {
    "next-letter": """\
The network continues a run of consecutive letters: `ABC` gives `D`. It answers any letters A-Z, upper or lower
case, of at most {length}; for letters that are no run within what it was trained on its answer means nothing.""",
    "sentiment": """\
The network tells whether an English film review is positive or negative. Reviews of 5 and 6 stars of 10 have no
label of their own in the dataset, so what it answers to a lukewarm one was not measured; texts other than film reviews
are outside what was measured.
Of a review longer than {length} words and marks, the last {length} are read.""",
}


def plot_learning_curve(history: History, path: Path, per_epoch: int = 1) -> None:
    """Plot loss and, where it was measured, accuracy, of the training and the held-out part; so often in an epoch."""
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


def write_card(
    folder: Path,
    recipe: Recipe,
    description: Description,
    parameters: int,
    seconds: float,
    stages: str = "",
    analysis: str = "",
) -> None:
    """Write the model card of a bundle whose plots are in the folder already.

    `stages` tells how it was trained, where that is more than its recipe, and `analysis` where it is right; both are
    Markdown or empty.
    """
    is_converted = "converted" in description.recipe
    figures = _describe_figures(folder, recipe, description, analysis)
    settings = "\n".join(
        f"| `{name}` | {value if value is not None else '-'} | {meaning.replace('|', '/')} |"
        for name, (value, meaning) in flatten(recipe.settings).items()
        if not (is_converted and name in TrainingSettings.model_fields.keys() - StackSettings.model_fields)
    )
    dataset = description.dataset
    (folder / CARD).write_text(
        f"""\
# {description.name}

{recipe.summary[0].upper()}{recipe.summary[1:]}.

Task `{description.task}`, {parameters:,} parameters, {_made(description, seconds)}. Recipe from: {recipe.source}.

{figures}{_describe_onnx(description)}## Use and limits

{_INTENDED_USE[description.task].format(length=description.preprocessing.length)}

## Data

{dataset.name}: {dataset.training_examples:,} examples for training; SHA-256 of the contents `{dataset.sha256}`.

{stages}
## Recipe

`{_command(recipe, description)}` makes the bundle again, with these settings:

| setting | value | meaning |
|---|---|---|
{settings}

{_describe_frameworks(description)}
""",
        encoding="utf-8",
    )


def renew_card(folder: Path, recipe: Recipe, description: Description, analysis: str) -> None:
    """Replace what the card in a folder says of figures and of ONNX, and leave the rest as it was."""
    path = folder / CARD
    head, *sections = re.split(r"^(?=## )", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    kept = [section for section in sections if not section.startswith(("## Figures", "## As ONNX"))]
    new = [_describe_figures(folder, recipe, description, analysis), _describe_onnx(description)]
    text = "".join([head, *new, *kept])
    # Cards of earlier releases begin this line with another verb.
    frameworks = re.compile(r"^(?:Made|Published) with .*$", re.MULTILINE)
    path.write_text(frameworks.sub(_describe_frameworks(description), text), "utf-8")


def _describe_figures(folder: Path, recipe: Recipe, description: Description, analysis: str) -> str:
    figures = "\n".join(
        f"| {metric} | {value:.4f} | {_published(recipe, metric)} |" for metric, value in description.metrics.items()
    )
    plots = [name for name in (LEARNING_CURVE, CONFUSION_MATRIX, ROC_CURVE) if (folder / name).exists()]
    return f"""\
## Figures

On {description.dataset.test_examples:,} examples ({_tested_on(recipe, description)}):

| metric | this bundle | published by the source |
|---|---|---|
{figures}

{" ".join(f"![{name.removesuffix('.png').replace('-', ' ')}]({name})" for name in plots)}

Check them with `python -m training evaluate models/{description.name}/<version>`.

""" + (f"{analysis}\n" if analysis else "")


def _describe_onnx(description: Description) -> str:
    """Return the section on the ONNX files, "" where there are none."""
    found = description.onnx
    if not found:
        return ""
    names = list(next(iter(found.forms.values())).held_out)
    rows = [
        [f"`{form.file}`", precision, f"{form.difference:.1e}", str(form.batch_rows)]
        + [f"{form.held_out[name]:.4f}" for name in names]
        for precision, form in found.forms.items()
    ]
    header = ["file", "weights of the LSTMs", "largest difference from Keras", "rows of a batch"]
    header += [f"held-out {name.replace('_', ' ')}" for name in names]
    table = "\n".join(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows))
    choice = (
        f"The service answers with `{found.forms[found.default].file}`, and all figures of this card are measured on "
        "it; `LSTM_SERVE_PRECISION=float32` chooses the other."
        if len(found.forms) > 1
        else "All figures of this card are measured on this file."
    )
    steps = "all its steps for every row" if found.every_step else "as many steps as a row has"
    return f"""\
## As ONNX

Opset {found.opset}; compared with Keras on {found.compared_rows:,} rows. It takes {steps}.

{table}

{choice}

"""


def _describe_frameworks(description: Description) -> str:
    return f"Published with {', '.join(f'{name} {version}' for name, version in description.frameworks.items())}."


def _made(description: Description, seconds: float) -> str:
    converted = description.recipe.get("converted")
    if isinstance(converted, dict):
        return f"weights converted from PyTorch (`{converted['file']}`, SHA-256 `{converted['sha256']}`)"
    return f"trained in {_duration(seconds)}"


def _command(recipe: Recipe, description: Description) -> str:
    """Return the command for a shell."""
    if isinstance(converted := description.recipe.get("converted"), dict):
        words = ["convert", "from-torch", str(converted["file"]), recipe.name]
        if isinstance(description.preprocessing, ReviewPreprocessing):
            words += [
                "--vocabulary",
                f"models/{description.name}/<version>/{description.preprocessing.vocabulary_file}",
            ]
    else:
        words = ["train", recipe.name]
    for key, value in recipe.changes().items():
        words += ["--set", f"{key}={value if isinstance(value, str) else json.dumps(value, separators=(',', ':'))}"]
    if description.name != recipe.name:
        words += ["--name", description.name]
    if isinstance(start := description.recipe.get("start"), dict):
        words += ["--from", f"models/{start['name']}/{start['version']}"]
    return shlex.join(["python", "-m", "training", *words])


def _published(recipe: Recipe, metric: str) -> str:
    published = recipe.find_published(metric)
    return "-" if published is None else f"{published:.4f}"


def _tested_on(recipe: Recipe, description: Description) -> str:
    if description.task == "sentiment":
        return "of the test files, which are not trained on"
    if "converted" in description.recipe:
        return "the patterns of the recipe"
    return "the patterns it was trained on" + " and those held out" * (recipe.settings.validation_share > 0)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
