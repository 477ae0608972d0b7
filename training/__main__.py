"""The command line `python -m training`: list, check, train, import, evaluate, wild, export, convert, report.

The exit status is 0, or 2 for what was typed wrongly, 1 for everything else that failed, and 130 after Ctrl-C.
"""

import errno
import importlib
import json
import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bundle.errors import BundleError, BundleNotFoundError
from bundle.imported_tokenisers import Standardisation
from bundle.manifest import MANIFEST_FILE, check_name
from bundle.reviews import Side
from bundle.store import Bundle, Store, open_bundle
from bundle.tasks import SENTIMENT
from training import recipes
from training.data.labelled.description import render
from training.data.labelled.languages import ENGLISH
from training.data.labelled.reading import DataOptions, read
from training.data.labelled.source import Columns
from training.data.labelled.texts import LabelledTexts
from training.data.pairs import FOLDER as PAIRS
from training.data.phrases import divide
from training.data.sources import Sources
from training.data_options import (
    EncodingOption,
    GroupColumnOption,
    LabelColumnOption,
    LabelMapOption,
    LanguageOption,
    SkipBadRowsOption,
    TestOption,
    TestShareOption,
    TextColumnOption,
)
from training.errors import ModelImportError, RecipeError, ResultsError, TrainingError
from training.imports.coding import CodingOptions, Id, Kind
from training.loops.memory import keep_freed_memory
from training.loops.messages import without_chatter
from training.recipes.labelled import FIRST, LabelledSettings, read_texts
from training.recipes.recipe import Recipe
from training.recipes.staged import RUNS, STAGES, StagedSettings
from training.reports.estimates import describe_plan
from training.reports.figures import COLUMNS, Figures, find_figures, list_measured, show_minutes
from training.reports.results import HELD_OUT, RESULTS, Results, find_missing
from training.reports.serving import describe_serving

if TYPE_CHECKING:
    from training.evaluation.evaluate import LabelFigures

DataOption = Annotated[
    Path | None,
    typer.Option(
        help="The IMDB archive, or the folder unpacked from it (default: downloaded to the user's cache); for the "
        "recipe reviews, your labelled texts as for `check`; for the recipe letters, a text file with one sequence a "
        "line, also as .gz."
    ),
]
ResultsOption = Annotated[Path, typer.Option("--results", help="The file of the recorded runs.")]
AssignmentsOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a field of the recipe; repeatable.")
]
NameOption = Annotated[str | None, typer.Option(help="The bundle's name.  [default: the recipe's]")]
ModelsOption = Annotated[Path, typer.Option(help="The folder of the bundles.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Print only errors and the last line.")]


class EngineName(Enum):
    """The engines that can run a network."""

    ONNX = "onnx"
    TENSORFLOW = "tensorflow"


application = typer.Typer(
    help="Train the models that the service answers with.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
converting = typer.Typer(help="Convert networks from and to PyTorch.", no_args_is_help=True)
application.add_typer(converting, name="convert")
console = Console()

_REMEDIES = {
    errno.EACCES: "make it readable and writable for this user, or name another place",
    errno.EISDIR: "name a file",
    errno.EROFS: "name a place that can be written",
    errno.ENOENT: "check the path",
    errno.ENOSPC: "free some space, or name another place",
    errno.ENOTDIR: "name a folder",
}
_FROM_NONE = Path("none")
_FIGURES = "{:<25} {:<23}  {:<33}  {:<33}  {}"  # a line of `list`


@application.command("list")
def list_recipes(models: ModelsOption = Path("models"), recorded: ResultsOption = RESULTS) -> None:
    """List the recipes with their figures, a column each, and the measured minutes.

    The columns: the figure that the source published; the mean of the recorded runs with the published settings, with
    the lowest and the highest figure and the number of runs; the same of the fast variant; and the latest bundle's.
    """
    with _clear_errors():
        results = Results(recorded)
        measured, problems = list_measured(Store(models))
        _say(_FIGURES.format("recipe", *COLUMNS))
        for recipe in recipes.RECIPES.values():
            figures = find_figures(results, measured, recipe)
            _say(_FIGURES.format(recipe.name, *figures.cells))
            _say(f"    {recipe.task}, {figures.metric.replace('_', ' ')}: {recipe.summary}")
            if minutes := _describe_minutes(figures):
                _say(f"    minutes: {minutes}")
            _say(f"    source: {recipe.source}")
        if problems:
            raise ResultsError("; ".join(problems))


@application.command()
def check(
    data: Annotated[Path, typer.Argument(help="A CSV, TSV, JSON Lines or Parquet file, or a folder.")],
    text_column: TextColumnOption = None,
    label_column: LabelColumnOption = None,
    group_column: GroupColumnOption = None,
    label_map: LabelMapOption = None,
    test: TestOption = None,
    test_share: TestShareOption = 0.2,
    encoding: EncodingOption = None,
    skip_bad_rows: SkipBadRowsOption = False,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the split.")] = 1,
) -> None:
    """Read your own labelled texts as a training would, and show what is in them and what is odd."""
    columns = Columns(text_column, label_column, group_column)
    with _clear_errors(), console.status(f"Reading {escape(str(data))}"):
        found = read(data, DataOptions(columns, test, test_share, label_map, encoding, skip_bad_rows), seed)
    console.print(render(found.description))


@application.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A name that `list` shows.")],
    assignments: AssignmentsOption = None,
    data: DataOption = None,
    models: ModelsOption = Path("models"),
    name: NameOption = None,
    phrases: Annotated[
        list[Path] | None,
        typer.Option(
            help="For the recipe sentiment-general: the Stanford Sentiment Treebank, its archive or its folder; and "
            "besides it, files of your own of lines text<TAB>label, with a label of 0 (very negative) to 4 (very "
            "positive) or a probability with a decimal point; repeatable."
        ),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            help="The folder of the pairs of opinions, for the same recipes.  [default: those of the package]"
        ),
    ] = None,
    transformer: Annotated[
        Path | None,
        typer.Option(help="The folder of a pretrained transformer that labels sentences for the same recipes."),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="BUNDLE|none",
            help="Start from the weights of this bundle's folder.  [default: random weights; for the recipe reviews "
            f"with English texts, the latest version of {FIRST} in the folder of the bundles]",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The same as --set seed=SEED.")] = None,
    alphabet: Annotated[
        str | None,
        typer.Option(help="For the recipe letters: the characters of the sequences.  [default: those in the file]"),
    ] = None,
    fold_case: Annotated[
        bool, typer.Option("--fold-case", help="For the recipe letters: read upper and lower case as one.")
    ] = False,
    text_column: TextColumnOption = None,
    label_column: LabelColumnOption = None,
    group_column: GroupColumnOption = None,
    label_map: LabelMapOption = None,
    language: LanguageOption = None,
    test: TestOption = None,
    test_share: TestShareOption | None = None,
    encoding: EncodingOption = None,
    skip_bad_rows: SkipBadRowsOption = False,
    stages: Annotated[
        str | None,
        typer.Option(
            metavar="STAGE,...",
            help=f"For a recipe trained in stages: run only these of {', '.join(STAGES)}, with the stages that they "
            "need, and publish nothing.",
        ),
    ] = None,
    runs: Annotated[Path, typer.Option(help="The folder where stages save their results and continue.")] = RUNS,
    quiet: QuietOption = False,
) -> None:
    """Train a recipe and publish the model as the next version of its bundle.

    It first says how long that takes; it asks nothing.
    """
    progress = _open_console(quiet)
    with _clear_usage():
        changes = [] if seed is None else [f"seed={seed}"]
        changes += [] if alphabet is None else [f"alphabet={json.dumps(alphabet)}"]
        changes += ["fold_case=true"] * fold_case + ["test_share=0"] * (test is not None)
        named = {
            "text_column": text_column,
            "label_column": label_column,
            "group_column": group_column,
            "label_map": label_map,
            "language": language,
            "test_share": test_share,
            "encoding": encoding,
        }
        changes += [f"{field}={json.dumps(value)}" for field, value in named.items() if value is not None]
        if skip_bad_rows and isinstance(recipes.find(recipe).settings, LabelledSettings):
            changes.append("skip_bad_rows=true")
        chosen = recipes.find(recipe).with_settings([*(assignments or []), *changes])
        if stages is not None and (name is not None or start is not None):
            raise RecipeError("with --stages nothing is published; leave --name and --from out")
        names = [] if stages is None else _read_stages(chosen, stages)
        published_as = check_name(recipe if name is None else name)
    with _clear_errors("; nothing was published"):
        if names:
            _say(_describe_plan(chosen, runs), progress)
            _prepare_frameworks()
            from training import pipeline

            pipeline.run_stages(chosen, names, data, progress, runs)
            _say(f"Finished {', '.join(names)} in {runs}; nothing was published")
            return
        options = DataOptions(test=test, skip_bad_rows=skip_bad_rows)
        trees, own_phrases = divide(phrases or [])
        sources = Sources(data, trees, pairs or PAIRS, transformer, options, own_phrases=own_phrases)
        begun = _open_bundle(start) if start and start != _FROM_NONE else None
        if isinstance(chosen.settings, LabelledSettings):
            sources = replace(sources, labelled=_read_labelled(chosen.settings, sources, progress))
            if start is None:
                begun = _find_first(chosen.settings, sources, Store(models), progress)
        _say(_describe_plan(chosen, runs), progress)
        _prepare_frameworks()
        from training import pipeline

        bundle = pipeline.train(chosen, published_as, Store(models), sources, progress, begun, runs)
    _tell_published(bundle, chosen, progress)


@application.command()
def evaluate(
    folder: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle's folder, as in models/sentiment/6.")],
    data: DataOption = None,
    engine: Annotated[
        EngineName,
        typer.Option(help="The engine: onnx runs the form that the service runs, tensorflow runs Keras."),
    ] = EngineName.ONNX,
    quiet: QuietOption = False,
) -> None:
    """Measure a bundle again and compare with its manifest; exit with 1 if a figure differs within four digits."""
    progress = _open_console(quiet)
    with _clear_errors():
        bundle = _open_bundle(folder)
        _prepare_frameworks()
        from training import pipeline
        from training.evaluation.evaluate import by_label

        evaluation, sha256 = pipeline.evaluate_bundle(bundle, data, progress, engine.value)
    recorded = {name: value for name, value in bundle.manifest.metrics.items() if name != HELD_OUT}
    # A bundle of an older release may have fewer metrics.
    measured = {name: value for name, value in evaluation.metrics.items() if name in recorded}
    _print_metrics(evaluation.metrics, recorded, "manifest", progress)
    _say(f"{len(evaluation.labels):,} examples", progress)
    if bundle.manifest.task == SENTIMENT.name:
        _print_labels(by_label(evaluation, bundle.manifest.labels), progress)
    if engine is EngineName.ONNX and not bundle.manifest.onnx:
        _say("There is no model.onnx, so Keras ran the network; the service must do the same.", progress)
    if sha256 != bundle.manifest.dataset.sha256:
        _say("These are not the data of the manifest, so the figures may differ from it.")
    elif engine is EngineName.TENSORFLOW and bundle.manifest.onnx and bundle.manifest.onnx.default != "float32":
        _say(f"The figures of the manifest were measured on the {bundle.manifest.onnx.default} form, which serves.")
    elif _format(measured) != _format(recorded):
        _complain("The figures differ from the manifest, although the data are the same.")
        raise typer.Exit(1)
    else:
        _say("The figures are those of the manifest.")


@application.command()
def wild(
    folder: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The folder of a bundle of the task sentiment.")],
    data: Annotated[
        Path | None,
        typer.Option(help="The IMDB archive or folder: adds narration behind its test reviews."),
    ] = None,
    phrases: Annotated[
        Path | None, typer.Option(help="The Stanford Sentiment Treebank: adds its sentences for development.")
    ] = None,
    texts: Annotated[
        list[Path] | None,
        typer.Option(help="A file of lines text<TAB>label, with a label of 0 or 1, neg or pos; repeatable."),
    ] = None,
    tfidf: Annotated[
        bool, typer.Option("--tfidf", help="Add a logistic regression of n-grams, trained on the reviews of --data.")
    ] = False,
    vader: Annotated[bool, typer.Option("--vader", help="Add VADER, a lexicon with rules.")] = False,
    out: Annotated[Path | None, typer.Option(help="A folder for the tables (wild.md) and the plot (wild.png).")] = None,
    quiet: QuietOption = False,
) -> None:
    """Measure a sentiment bundle on short, negated and other texts; exit with 1 if a recorded figure differs."""
    progress = _open_console(quiet)
    with _clear_usage():
        if tfidf and not data:
            raise RecipeError("--tfidf trains on reviews; name them with --data, or leave it out")
    with _clear_errors():
        bundle = _open_bundle(folder)
        if bundle.manifest.task != SENTIMENT.name:
            raise RecipeError(f"{folder} is of the task {bundle.manifest.task}; name a bundle of the task sentiment")
        if bundle.manifest.labels != SENTIMENT.labels:
            raise RecipeError(
                f"{folder} has the labels {', '.join(bundle.manifest.labels)}; the other texts are labelled "
                f"{' or '.join(SENTIMENT.labels)}, so name a bundle with these labels in this order"
            )
        _prepare_frameworks()
        from training import comparison
        from training.wild import report

        found = comparison.compare(bundle, Sources(data, phrases), texts or [], tfidf, vader, progress)
        if out:
            report.write(found.figures, out)
    _say(report.describe(found.figures), progress)
    others = next(iter(found.figures.values())).list_sections().keys() - found.compared
    if not found.compared:
        _say("The bundle has no recorded figures of these texts.")
    elif found.differing:
        _complain(f"These figures differ from those of the bundle: {'; '.join(found.differing)}")
        raise typer.Exit(1)
    else:
        if others:
            _say(f"The bundle has no recorded figures of these texts: {', '.join(sorted(others))}")
        _say("The figures are those of the bundle.")


@application.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle's folder, as in models/sentiment/6.")],
    data: DataOption = None,
    quantise: Annotated[
        bool | None,
        typer.Option(
            help="Whether to require an 8-bit form; it is refused if it costs accuracy.  [default: add it if the word "
            "vectors have 8 bits and it costs no accuracy]",
            show_default=False,
        ),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Publish the next version of a bundle: the same network, also as ONNX, with figures measured on the ONNX form."""
    progress = _open_console(quiet)
    with _clear_errors("; nothing was published"):
        old = _open_bundle(folder.resolve())
        _prepare_frameworks()
        from training import pipeline

        bundle = pipeline.publish_as_onnx(old, data, progress, quantise)
    _print_metrics(bundle.manifest.metrics, old.manifest.metrics, "before", progress)
    exported = bundle.manifest.onnx
    assert exported is not None, "This is a bug: a bundle was exported and has no ONNX"
    for precision, form in exported.forms.items():
        _say(
            f"{form.file}: {precision}, differs from Keras by {form.difference:.1e}, {form.batch_rows} rows a batch",
            progress,
        )
    _say(f"Published {bundle.folder}")


@application.command("import")
def import_model(
    model: Annotated[Path, typer.Argument(help="The .keras or .h5 file of a model that Keras 2 or 3 saved.")],
    vocabulary: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Its words in the order of their ids, one a line or a JSON list (.json); or for keras-json what "
            "tokenizer.to_json() returns.",
        ),
    ],
    tokeniser: Annotated[
        Kind,
        typer.Option(
            help="How it splits texts: Keras' Tokenizer, the layer TextVectorization, Python's text.split(), or one of "
            "this project's."
        ),
    ],
    labels: Annotated[str, typer.Option(metavar="A,B,...", help="The labels of its outputs, in their order.")],
    name: Annotated[str, typer.Option(help="The bundle's name.")],
    standardise: Annotated[
        Standardisation | None,
        typer.Option(help="What text-vectorization does first.  [default: lower-strip-punctuation]"),
    ] = None,
    lower: Annotated[
        bool | None, typer.Option("--lower/--no-lower", help="Whether whitespace makes lower case.  [default: no]")
    ] = None,
    length: Annotated[int | None, typer.Option(min=1, help="Ids of a padded row.  [default: the network's]")] = None,
    padding_id: Annotated[int | None, typer.Option(min=0, help="The id of padding.")] = None,
    start_id: Annotated[
        str | None, typer.Option(metavar="ID|none", help="The id that rows begin with, or none.")
    ] = None,
    unknown_id: Annotated[
        str | None, typer.Option(metavar="ID|none", help="The id of other words, or none: they are left out.")
    ] = None,
    offset: Annotated[
        int | None, typer.Option(min=-1, help="Add this to a word's place in the list, from 1, for its id.")
    ] = None,
    padding: Annotated[Side | None, typer.Option(help="The side on which short texts are padded.")] = None,
    truncation: Annotated[Side | None, typer.Option(help="The side on which long texts are cut.")] = None,
    logits: Annotated[bool, typer.Option("--logits", help="Add the sigmoid or softmax that its end lacks.")] = False,
    examples: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV or JSON lines: text or ids, and the probability that your own code answers (or probabilities). "
            "The bundle is published only if it answers them to 1e-4.",
        ),
    ] = None,
    models: ModelsOption = Path("models"),
    quiet: QuietOption = False,
) -> None:
    """Publish a Keras model made elsewhere as a bundle of the task sentiment, with its preprocessing.

    Defaults of the coding: keras-json pads and cuts on the left, as pad_sequences does; text-vectorization on the
    right; this project's tokenisers have padding 0, start 1, unknown 2, words from 4, on the left; whitespace has
    padding 0, unknown 1, words from 2, on the right. Reserved words at the beginning of the list have the ids of their
    lines.
    """
    progress = _open_console(quiet)
    with _clear_usage():
        published_as = check_name(name)
        coding = CodingOptions(
            tokeniser,
            vocabulary,
            standardise,
            lower,
            padding_id,
            _read_id("--start-id", start_id),
            _read_id("--unknown-id", unknown_id),
            offset,
            padding,
            truncation,
            length,
        )
    with _clear_errors("; nothing was published"):
        _prepare_frameworks()
        from training.imports.publication import Import, publish_import

        wanted = Import(model, coding, [label.strip() for label in labels.split(",")], logits, examples)
        bundle = publish_import(wanted, published_as, Store(models), progress)
    _say(describe_serving(bundle), progress)
    _say(f"Published {bundle.folder}")


@converting.command("from-torch")
def convert_from_torch(
    file: Annotated[Path, typer.Argument(help="A state dict: torch.save(network.state_dict(), FILE).")],
    recipe: Annotated[str, typer.Argument(help="The recipe of the network and its input: a name that `list` shows.")],
    assignments: AssignmentsOption = None,
    vocabulary: Annotated[
        Path | None,
        typer.Option(help="Words of a review network by their ids, one a line.  [default: the words of Keras]"),
    ] = None,
    data: DataOption = None,
    models: ModelsOption = Path("models"),
    name: NameOption = None,
    quiet: QuietOption = False,
) -> None:
    """Publish a PyTorch network of nn.Embedding, nn.LSTM and nn.Linear as a bundle, evaluated on the recipe's data."""
    progress = _open_console(quiet)
    with _clear_usage():
        chosen = recipes.find(recipe).with_settings(assignments or [])
        published_as = check_name(recipe if name is None else name)
    with _clear_errors("; nothing was published"):
        _prepare_frameworks()
        from training import exchange

        bundle = exchange.import_bundle(file, chosen, published_as, Store(models), data, progress, vocabulary)
    _tell_published(bundle, chosen, progress)


@converting.command("to-torch")
def convert_to_torch(
    folder: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle's folder, as in models/imdb-500/3.")],
    file: Annotated[Path, typer.Argument(help="The state dict to write, for `training.convert.torch_network`.")],
    quiet: QuietOption = False,  # noqa: ARG001  # there is no other line than the last
) -> None:
    """Write the weights of a bundle as a PyTorch state dict."""
    with _clear_errors("; nothing was written"):
        bundle = _open_bundle(folder)
        _prepare_frameworks()
        from training import exchange

        exchange.export_bundle(bundle, file)
    _say(f"Wrote {file}")


@application.command()
def report(
    fast: Annotated[bool, typer.Option("--fast", help="Train only the fast variants.")] = False,
    data: DataOption = None,
    recorded: ResultsOption = RESULTS,
    out: Annotated[Path, typer.Option(help="The report, Markdown; its plots go into a folder beside it.")] = Path(
        "docs/results.md"
    ),
    models: ModelsOption = Path("models"),
    quiet: QuietOption = False,
) -> None:
    """Train the missing runs of the reference systems, and write the report of all runs and of the bundles."""
    progress = _open_console(quiet)
    with _clear_errors("; the runs recorded so far are kept"):
        results = Results(recorded)
        measured, problems = list_measured(Store(models))
        if problems:
            raise ResultsError("; ".join(problems))
        missing = list(find_missing(results, fast))
        failed = 0
        _prepare_frameworks()
        from training import pipeline
        from training.reports.report import write_report

        try:
            for number, recipe in enumerate(missing, 1):
                _say(f"{number} of {len(missing)}: {recipe.name}, seed {recipe.settings.seed}", progress)
                try:
                    run = pipeline.record(recipe, data, progress)
                except TrainingError as error:  # the other runs may still succeed
                    _complain(f"error: {error}")
                    failed += 1
                    continue
                results.add(run)
                figures = ", ".join(f"{name} {value}" for name, value in _format(run.metrics).items())
                _say(f"  {figures}, {run.seconds:.0f} s", progress)
        finally:  # the report covers all recorded runs, also after an error
            write_report(results, out, measured)
    _say(f"Wrote {out}")
    if failed:
        _complain(f"{failed} of {len(missing)} runs failed; `report` runs them again")
        raise typer.Exit(1)


def _describe_minutes(figures: Figures) -> str:
    """Return the mean minutes of the recorded runs by variant; "" if there are none."""
    _, published, fast, _ = COLUMNS
    found = {published: figures.published, fast: figures.fast}
    return ", ".join(f"{show_minutes(runs.seconds)} {name}" for name, runs in found.items() if runs)


def _read_stages(recipe: Recipe, text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not isinstance(recipe.settings, StagedSettings):
        raise RecipeError(f"{recipe.name} is not trained in stages; leave --stages out")
    if unknown := [name for name in names if name not in STAGES]:
        raise RecipeError(f"{', '.join(unknown)} is not a stage; the stages are: {', '.join(STAGES)}")
    if "second_round" in names and not recipe.settings.second_round:
        raise RecipeError(f"{recipe.name} has no second round; leave second_round out of --stages")
    return names


def _read_id(option: str, text: str | None) -> Id:
    if text is None:
        return None
    if text == "none":
        return "none"
    if not (text.isascii() and text.isdecimal()):
        raise ModelImportError(f"{option} is {text!r}; pass a number from 0, or none")
    return int(text)


def _read_labelled(settings: LabelledSettings, sources: Sources, progress: Console) -> LabelledTexts:
    """Read the user's data, and print what `check` prints."""
    with progress.status("Reading the data"):
        found = read_texts(settings, sources)
    progress.print(render(found.description))
    return found


def _find_first(settings: LabelledSettings, sources: Sources, store: Store, progress: Console) -> Bundle | None:
    """Return the bundle that a training on these texts begins with by default, None for random weights."""
    assert sources.labelled
    language = settings.language or sources.labelled.description.language
    if language.casefold() != ENGLISH.casefold():
        _say(f"The language is {language}, so the training begins with random weights.", progress)
        return None
    versions = store.versions(FIRST)
    if not versions:
        _say(f"There is no {FIRST} in {store.root}, so the training begins with random weights.", progress)
        return None
    folder = store.root / FIRST / str(versions[-1])
    _say(f"The training begins with the network in {folder}; --from none begins with random weights.", progress)
    try:
        return _open_bundle(folder)
    except BundleError as error:
        raise RecipeError(f"{error}; --from names another bundle to begin with, or none") from error


def _describe_plan(recipe: Recipe, runs: Path) -> str:
    """Return what is said before a training: see `describe_plan`; without the recorded runs if they are not here."""
    try:
        results = Results(RESULTS)
    except (ResultsError, OSError):
        results = Results(Path(os.devnull))
    return describe_plan(recipe, results, runs)


def _open_bundle(folder: Path) -> Bundle:
    """Open the bundle in a folder that was typed.

    Raises:
        BundleError: it cannot be opened; also if there is no such folder, or it is not the one of a version.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise BundleNotFoundError(f"{folder} {what}; name the folder of a bundle, as in models/NAME/VERSION")
    if versions := Store(folder.parent).versions(folder.name):
        latest = folder / str(versions[-1])
        raise BundleNotFoundError(
            f"{folder} has the versions {', '.join(map(str, versions))}; name one, as in {latest}"
        )
    if not (folder / MANIFEST_FILE).exists():
        raise BundleNotFoundError(
            f"{folder} holds no bundle, as it has no {MANIFEST_FILE}; name the folder of one, as in models/NAME/VERSION"
        )
    return open_bundle(folder)


def _prepare_frameworks() -> None:
    """Set the variables that Keras and TensorFlow read when they are imported, and import them.

    That takes seconds, so a command first checks its arguments.
    """
    # Only what ends the program: some lines of the level ERROR are none, and real errors are raised as exceptions.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")  # not the backend in the user's keras.json
    keep_freed_memory()
    if "keras" not in sys.modules:
        with without_chatter():
            importlib.import_module("keras")


def _tell_published(bundle: Bundle, recipe: Recipe, progress: Console) -> None:
    found = bundle.manifest.metrics
    known = {name: figure for name in found if (figure := recipes.find_published(recipe, name)) is not None}
    _print_metrics(found, known, COLUMNS[0], progress)
    _say(describe_serving(bundle), progress)
    _say(f"Published {bundle.folder}")


def _print_metrics(found: dict[str, float], others: dict[str, float], whose: str, progress: Console) -> None:
    """Print figures beside other figures of the same names; `whose` is the heading of the others."""
    table = Table("metric", "measured", whose)
    for name, value in _format(found).items():
        table.add_row(name, value, _format(others).get(name, "-"))
    progress.print(table)


def _print_labels(figures: Sequence["LabelFigures"], progress: Console) -> None:
    table = Table("label", "examples", "precision", "recall", "F1")
    for label, examples, *shares in figures:
        table.add_row(escape(label), f"{examples:,}", *("-" if math.isnan(each) else f"{each:.4f}" for each in shares))
    progress.print(table)


def _format(metrics: dict[str, float]) -> dict[str, str]:
    return {name: f"{value:.4f}" for name, value in metrics.items()}


@contextmanager
def _clear_usage() -> Iterator[None]:
    """Convert the errors of what was typed to one sentence and exit status 2, as for an unknown option."""
    try:
        yield
    except (TrainingError, BundleError) as error:
        _complain(f"error: {error}")
        raise typer.Exit(2) from error


@contextmanager
def _clear_errors(consequence: str = "") -> Iterator[None]:
    """Convert the expected errors to one sentence and exit status 1, and an interruption to status 130."""
    try:
        yield
    except (TrainingError, BundleError) as error:
        _complain(f"error: {error}")
        raise typer.Exit(1) from error
    except OSError as error:
        place = f": '{error.filename}'" if error.filename else ""
        remedy = f"; {_REMEDIES[error.errno]}" if error.errno in _REMEDIES else ""
        _complain(f"error: {error.strerror or error}{place}{consequence}{remedy}")
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        _complain(f"stopped{consequence}")
        # Not by an exception: TensorFlow's threads may be in the middle of a step, and a normal shutdown of the
        # interpreter then sometimes crashes.
        os._exit(130)


def _open_console(quiet: bool) -> Console:
    """Return the console for everything but errors and the last line."""
    return Console(quiet=quiet)


def _say(message: str, to: Console = console) -> None:
    to.print(message, markup=False, highlight=False, soft_wrap=True)


def _complain(message: str) -> None:
    Console(stderr=True).print(message, style="red", markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    application()
