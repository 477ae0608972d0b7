"""The suites: texts with labels, from the repository and from files that a user names."""

from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np

from training.data import composed, pairs, treebank
from training.data.labelled_lines import read_labelled_lines
from training.wild.measured import Kind, hash_rows

LENGTH = "words: "  # begins the name of a group of texts of similar length

_COMPOSED_PAIRS = 1000
_SEED = 23
_LABELS = {"0": False, "neg": False, "negative": False, "1": True, "pos": True, "positive": True}


@dataclass(frozen=True)
class Example:
    """A text, whether it is positive, and the groups that it belongs to, such as `kind: negation`."""

    text: str
    is_positive: bool
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Suite:
    """Texts that are measured together; `pairs` has the numbers of the positive and the negative text of each pair.

    The name is the kind, and that of a file its absolute path.
    """

    kind: Kind
    name: str
    examples: tuple[Example, ...]
    pairs: tuple[tuple[int, int], ...] = ()

    @property
    def texts(self) -> list[str]:
        """The texts."""
        return [example.text for example in self.examples]

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the texts and labels."""
        return hash_rows([[example.text, example.is_positive] for example in self.examples])


def make_pairs(part: pairs.Part, folder: Path = pairs.FOLDER) -> Suite:
    """Return the opinions by the authors of one part; a text without its partner counts alone."""
    examples: list[Example] = []
    couples = []
    for group in pairs.load(part, folder):
        groups = (f"kind: {group.kind}", f"domain: {group.domain}")
        if group.is_pair:
            couples.append((len(examples), len(examples) + 1))
        for text, is_positive in ((group.positive, True), (group.negative, False)):
            if text is not None:
                examples.append(Example(text, is_positive, (*groups, _name_length(text))))
    return Suite("pairs", "pairs", tuple(examples), tuple(couples))


def make_composed() -> Suite:
    """Return composed sentences of the frames and words that nothing is trained on, the plain ones left out."""
    found = composed.compose("report", np.random.default_rng(_SEED))
    couples = islice((couple for couple in found if _is_judged(couple)), _COMPOSED_PAIRS)
    examples = [
        Example(sentence.text, sentence.target > 0.5, (f"kind: {sentence.kind}",))
        for couple in couples
        for sentence in couple
    ]
    return Suite("frames", "frames", tuple(examples), tuple((k, k + 1) for k in range(0, len(examples), 2)))


def _is_judged(couple: tuple[composed.Sentence, composed.Sentence]) -> bool:
    return couple[0].kind != "plain" and all(sentence.target != 0.5 for sentence in couple)


def make_treebank(bank: treebank.Treebank) -> Suite:
    """Return the treebank's sentences for development, without the neutral ones."""
    sentences = [phrases[-1] for phrases in bank.development]
    return Suite(
        "treebank",
        "treebank",
        tuple(
            Example(sentence.text, sentence.label > treebank.NEUTRAL, (_name_length(sentence.text),))
            for sentence in sentences
            if sentence.label != treebank.NEUTRAL
        ),
    )


def read_suite(path: Path) -> Suite:
    """Return the texts of a file of lines `text<TAB>label`; a label is 0 or 1, neg or pos, negative or positive.

    Raises:
        DataError: the file cannot be read, is empty, or has another line.
    """
    form = f"write text<TAB>label, with a label of {', '.join(_LABELS)}"
    rows = read_labelled_lines(path, lambda _, label: label.lower() in _LABELS, form)
    examples = tuple(Example(text, _LABELS[label.lower()], (_name_length(text),)) for text, label in rows)
    return Suite("file", str(path.absolute()), examples)


def _name_length(text: str) -> str:
    count = len(text.split())
    return LENGTH + ("1 to 5" if count <= 5 else "6 to 20" if count <= 20 else "over 20")
