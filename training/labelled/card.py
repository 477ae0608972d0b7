"""The parts of a card that are about the user's own data: the files, the split, and the network beside the baseline."""

from collections.abc import Sequence

from bundle.manifest import Description
from training.data.labelled.description import DataDescription
from training.evaluation import verdicts
from training.evaluation.analysis import escape
from training.evaluation.evaluate import Evaluation
from training.labelled.baseline import Baseline


def describe_baseline(baseline: Baseline) -> str:
    """Return a line on the baseline, for the console."""
    return (
        f"Baseline, TF-IDF with logistic regression on {baseline.rows:,} training rows: accuracy "
        f"{baseline.accuracy:.2%}, macro F1 {baseline.macro_f1:.4f} on the test rows"
    )


def compare(evaluation: Evaluation, macro_f1: float, baseline: Baseline | None) -> str:
    """Return the table of a network beside the baseline, Markdown; "" without a baseline."""
    if baseline is None:
        return ""
    accuracy = evaluation.metrics["accuracy"]
    verdict = verdicts.compare(accuracy, baseline.accuracy)
    if baseline.accuracy > accuracy:
        verdict = f"**{verdict}**"
    return f"""\
Beside the baseline, TF-IDF of words and pairs of words with logistic regression, trained on {baseline.rows:,} of the
same training rows:

| | accuracy | macro F1 |
|---|---|---|
| this network | {accuracy:.2%} | {macro_f1:.4f} |
| TF-IDF with logistic regression | {baseline.accuracy:.2%} | {baseline.macro_f1:.4f} |

{verdict}
"""


def describe_confusions(evaluation: Evaluation, labels: Sequence[str]) -> str:
    """Return the confusion matrix as a table, Markdown."""
    rows = []
    for number, label in enumerate(labels):
        answers = evaluation.answers[evaluation.labels == number]
        counts = " | ".join(f"{int((answers == other).sum()):,}" for other in range(len(labels)))
        rows.append(f"| {escape(label)} | {counts} |")
    return f"""\
Answers by label; a row has the examples with a label, a column the answers:

| | {" | ".join(map(escape, labels))} |
|---|{"---|" * len(labels)}
{chr(10).join(rows)}
"""


def describe_data(description: DataDescription, training: int, facts: Sequence[str], warnings: Sequence[str]) -> str:
    """Return the part of a card's section on the data that is about files, Markdown.

    Args:
        description: of the data.
        training: rows that the network learnt from.
        facts: sentences about the training.
        warnings: sentences about what may be wrong.
    """
    files = "\n".join(
        f"| `{file.name}` | {file.format} | `{file.sha256}` | {file.bytes:,} | {file.rows:,} |"
        for file in (description.data, description.test)
        if file
    )
    labels = "\n".join(f"| {escape(label.label)} | {label.train:,} | {label.test:,} |" for label in description.labels)
    notes = "\n".join(f"- {escape(note)}" for note in (*description.notes, *warnings))
    return f"""\
| file | format | SHA-256 | bytes | rows |
|---|---|---|---|---|
{files}

| label | training rows | test rows |
|---|---|---|
{labels}

Language: {description.language}, {description.script} script. Split: {description.split}. Without a label:
{description.unlabelled:,} rows. The network learnt from {training:,} labelled rows. {" ".join(facts)}

{notes}
"""


def describe_use(description: Description) -> str:
    """Return a card's description of what a network is for, and what it is not good for, Markdown."""
    labels = ", ".join(map(escape, description.labels))
    rarest = min(description.dataset.labels, key=lambda label: label.train, default=None)
    rare = (
        f" It has seen {escape(rarest.label)} least, in {rarest.train:,} rows; look at its figures above."
        if rarest
        else ""
    )
    return f"""\
The network answers which of the labels {labels} fits a text, for texts like those of {description.dataset.name}. It was
not measured on texts of another kind, language or time, and it answers with one of its labels even if none fits: set
`min_confidence` to leave such texts to a person.{rare} It reads the last {description.preprocessing.length} words and
marks of a longer text."""
