"""Training of networks that continue the user's own sequences: from a file to a network, its examples and its card."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from bundle.manifest import Dataset
from bundle.reference import Reference
from bundle.store import Bundle
from bundle.symbols import SymbolCodec, describe_alphabet
from training.data import sequences
from training.data.examples import Examples
from training.data.sequence_batches import SequenceBatches
from training.data.sequences import SequenceFile, Sequences
from training.data.sources import Sources
from training.errors import DataError, RecipeError
from training.evaluation.character_ngrams import Baseline, Positions, find_positions, find_top, measure_baselines
from training.evaluation.evaluate import Evaluation
from training.loops.sequences import fit_sequences
from training.networks import builders
from training.recipes.sequences import SequenceSettings
from training.tasks.trained import BundleData, Trained, take_weights

# Positions that the figures are measured on. The network answers each from a row of its own, as the service does; so
# many take seconds, and the standard error of an accuracy is at most 0.4 %.
MOST_TEST_POSITIONS = 20_000

_RANKED = 3  # characters, of the second accuracy


@dataclass(frozen=True)
class SequenceData:
    """What a card needs.

    Attributes:
        lengths: characters of the rows of the test examples, int64 [examples].
        held_out: characters of all held-out lines that could be tested.
        baselines: measured on the test examples; none if the training lines are not known.
    """

    lengths: NDArray[np.int64]
    held_out: int
    baselines: tuple[Baseline, ...]


@dataclass(frozen=True)
class _Parts:
    """The sequences of a training: to learn from, to decide when to stop, and to be tested on."""

    training: Sequences
    validation: Sequences
    test: Sequences


def train(settings: SequenceSettings, sources: Sources, console: Console, start: Bundle | None) -> Trained:
    """Train a network on the sequences of a file: see `pipeline.fit_recipe`.

    Raises:
        DataError: a file cannot be read, or has too few lines.
        RecipeError: the network of the bundle to start from reads other characters.
        DivergedError: the training diverged.
    """
    path, test_path, skips = sources.reviews, sources.options.test, sources.options.skip_bad_rows
    if path is None:
        raise DataError("letters learns from your own sequences; name a file with one a line: --data FILE")
    if (test_path is None) == (settings.test_share == 0):
        raise RecipeError("test_share is 0 if the test lines are in a file of their own (--test FILE), and only then")
    codec = _choose_codec(settings, path, skips, console)
    file = _read(path, codec, skips, console)
    test_file = _read(test_path, codec, skips, console) if test_path else None
    parts = _split(settings, file, test_file, console)
    test = find_positions(parts.test, MOST_TEST_POSITIONS, settings.seed)
    with console.status("Counting n-grams"):
        baselines = measure_baselines(parts.training, parts.validation, test, len(codec.alphabet), settings.seed)
    for baseline in baselines:
        _say(console, f"{baseline.name}: accuracy {baseline.accuracy:.2%}, {baseline.bits:.3f} bits a character")
    served = builders.build_sequence_network(settings, codec)
    if start:
        _check_alphabet(codec, start)
        take_weights(served, start)
    network = builders.build_every_step_network(settings, codec)
    network.set_weights(served.get_weights())
    training, validation = (
        SequenceBatches(part, settings.length, settings.batch_size, settings.seed)
        for part in (parts.training, parts.validation)
    )
    history = fit_sequences(network, settings, training, validation, console)
    served.set_weights(network.get_weights())
    trained_on = len(parts.training.ids) - len(parts.training)
    dataset = Dataset(
        name=path.name + (f", tested on {test_file.path.name}" if test_file else ""),
        sha256=(test_file or file).sha256,
        training_examples=trained_on,
        test_examples=len(test),
    )
    data = _describe_data(parts.test, test, settings.length, baselines)
    described = _describe_files(codec, file, test_file, parts, settings)
    return Trained(
        served,
        codec,
        history,
        code_positions(test, codec),
        dataset,
        data=data,
        stages=described,
        labels=codec.labels,
    )


def read_data(codec: SymbolCodec, settings: SequenceSettings, source: Path | None, console: Console) -> BundleData:
    """Return the data that a bundle is measured on: the lines of its file that were held out, or of its test file.

    Lines with characters that the network does not read are left out.

    Raises:
        DataError: there is no file, it cannot be read, or it has too few lines.
    """
    if source is None:
        wanted = "that the bundle was trained on" if settings.test_share else "of the test lines"
        raise DataError(
            f"the figures of this bundle are measured on your own sequences; name the file {wanted}: --data"
        )
    file = _read(source, codec, True, console)
    if settings.test_share:
        parts = _split(settings, file, None, console)
    else:
        parts = _Parts(file.sequences, file.sequences, file.sequences)
    test = find_positions(parts.test, MOST_TEST_POSITIONS, settings.seed)
    baselines: tuple[Baseline, ...] = ()
    if settings.test_share:
        baselines = measure_baselines(parts.training, parts.validation, test, len(codec.alphabet), settings.seed)
    data = _describe_data(parts.test, test, settings.length, baselines)
    return BundleData(code_positions(test, codec), None, file.sha256, data)


def code_positions(positions: Positions, codec: SymbolCodec) -> Examples:
    """Return the rows before positions, int32 [positions, length], and the characters there, int32 [positions]."""
    rows = np.zeros((len(positions), codec.length), np.int32)
    for steps in range(1, codec.length + 1):
        rows[:, -steps] = positions.look_back(steps)
    return Examples(rows, positions.targets)


def measure(codec: SymbolCodec, evaluation: Evaluation) -> dict[str, float]:
    """Return the metrics besides those of `evaluate`: bits a character, and how often one of three is right."""
    found = {"bits": evaluation.metrics["loss"] / float(np.log(2))}
    if len(codec.alphabet) > _RANKED:
        found["top_3_accuracy"] = find_top(evaluation.probabilities, evaluation.labels, _RANKED)
    return found


def analyse(codec: SymbolCodec, data: SequenceData, evaluation: Evaluation, folder: Path) -> str:
    """Return the network beside the baselines, Markdown, and write the reference into the folder of a bundle."""
    probabilities = evaluation.probabilities
    compared = probabilities[:, 1] if len(codec.alphabet) == 2 else probabilities.max(axis=1)
    Reference.count("the held-out lines", {"length": data.lengths.astype(np.float64), "probability": compared}).write(
        folder
    )
    intro = (
        f"The examples are characters of the held-out lines, {len(data.lengths):,} of {data.held_out:,}; the first of "
        "a line is not one of them. Each is answered from the characters before it."
    )
    if not data.baselines:
        return intro
    bits = evaluation.metrics["loss"] / float(np.log(2))
    top = find_top(probabilities, evaluation.labels, _RANKED)
    own = Baseline("this network", evaluation.metrics["accuracy"], top, bits)
    rows = "\n".join(
        f"| {each.name} | {each.accuracy:.2%} | {each.top_3_accuracy:.2%} | {each.bits:.3f} |"
        for each in (own, *data.baselines)
    )
    best = data.baselines[-1]
    verdict = (
        f"The network needs {best.bits - bits:.3f} bits a character fewer than the n-gram."
        if bits < best.bits
        else f"**The n-gram is better**: it needs {bits - best.bits:.3f} bits a character fewer than this network. Use "
        "one, or train on more lines."
    )
    return f"""\
{intro}

| | accuracy | one of the first three is right | bits a character |
|---|---|---|---|
{rows}

{verdict} The n-gram learnt from the training lines as well; the number of its characters was chosen on other lines.
"""


def describe_use(codec: SymbolCodec) -> str:
    """Return a card's description of what a network is for, Markdown."""
    case = "Upper and lower case are the same." if codec.fold_case else "Upper and lower case differ."
    return f"""\
The network answers which character comes next. It accepts 1 to {codec.length} characters of the alphabet below, after
normalisation to Unicode's form NFC; of a longer sequence send the last {codec.length}. {case} It was trained on lines
like those of its file; for other sequences, its answer means nothing. It never answers that a line ends."""


def _choose_codec(settings: SequenceSettings, path: Path, skips: bool, console: Console) -> SymbolCodec:
    alphabet = settings.alphabet
    if alphabet is None:
        found = sequences.find_alphabet(path, settings.fold_case, skips)
        alphabet = found.characters
        _say(console, f"{path.name}: {len(alphabet)} characters found: {describe_alphabet(alphabet)}")
        if found.rare:
            _warn(console, f"rare characters, each under {sequences.RARE:.2%} of the text: {found.describe_rare()}")
    return sequences.make_codec(alphabet, settings.fold_case, settings.length)


def _read(path: Path, codec: SymbolCodec, skips: bool, console: Console) -> SequenceFile:
    with console.status(f"Reading {path.name}"):
        file = sequences.read(path, codec, skips)
    _say(console, f"{path.name}: {file.describe()}")
    return file


def _split(settings: SequenceSettings, file: SequenceFile, test_file: SequenceFile | None, console: Console) -> _Parts:
    """Return the parts; no sequence is in two of them.

    Raises:
        DataError: a part has no sequence.
    """
    if test_file:
        test = test_file.sequences
        is_test = np.isin(file.sequences.hashes, test.hashes)
        if is_test.any():
            _warn(console, f"{is_test.sum():,} lines are also in {test_file.path.name}; they are not trained on")
    else:
        is_test = sequences.hold_out(file.sequences, settings.test_share)
        test = file.sequences.take(is_test)
    is_validation = sequences.hold_out(file.sequences, settings.validation_share, bits=1) & ~is_test
    training, validation = (file.sequences.take(chosen) for chosen in (~is_test & ~is_validation, is_validation))
    parts = _Parts(training, validation, test)
    for name, part in vars(parts).items():
        if not len(part):
            raise DataError(
                f"{file.path} has {len(file.sequences):,} lines, and none is left for {name}; lines are split "
                "by their contents: take more lines, break long ones (fold -w 1000 FILE), or name test lines with "
                "--test"
            )
    counts = ", ".join(f"{len(part):,} for {name}" for name, part in vars(parts).items())
    _say(console, f"lines: {counts}")
    return parts


def _describe_data(test: Sequences, positions: Positions, length: int, baselines: tuple[Baseline, ...]) -> SequenceData:
    lengths = np.minimum(positions.places - positions.begins, length)
    return SequenceData(lengths, len(test.ids) - len(test), baselines)


def _describe_files(
    codec: SymbolCodec,
    file: SequenceFile,
    test_file: SequenceFile | None,
    parts: _Parts,
    settings: SequenceSettings,
) -> str:
    """Return the part of a card's section on the data that is about files, Markdown."""
    rows = "\n".join(
        f"| `{each.path.name}` | `{each.sha256}` | {each.path.stat().st_size:,} | {each.describe()} |"
        for each in (file, test_file)
        if each
    )
    how = (
        f"The test lines are those of `{test_file.path.name}`."
        if test_file
        else f"About {settings.test_share:.0%} of the lines were held out for the test."
    )
    return f"""\
| file | SHA-256 | bytes | lines |
|---|---|---|---|
{rows}

Alphabet, {len(codec.alphabet)} characters as JSON:

```json
{json.dumps(codec.alphabet, ensure_ascii=False)}
```

{how} {len(parts.training):,} lines were trained on, {len(parts.validation):,} decided when to stop, and
{len(parts.test):,} are the test. Lines are chosen by their contents, so equal lines are in the same part.
"""


def _check_alphabet(codec: SymbolCodec, start: Bundle) -> None:
    """Check that a bundle has the same alphabet.

    Raises:
        RecipeError: it has not.
    """
    found = start.codec
    if not isinstance(found, SymbolCodec) or (found.alphabet, found.fold_case) != (codec.alphabet, codec.fold_case):
        raise RecipeError(
            f"{start.folder} reads other characters than {describe_alphabet(codec.alphabet)}; start from a bundle of "
            "the recipe letters, with its --alphabet and --fold-case"
        )


def _say(console: Console, message: str) -> None:
    console.print(message, markup=False, highlight=False, soft_wrap=True)


def _warn(console: Console, message: str) -> None:
    console.print(message, markup=False, highlight=False, soft_wrap=True, style="yellow")
