"""`python -m training train`."""

import json
import os
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import UnionType
from typing import Annotated

import typer
from rich.console import Console

from bundle.errors import BundleError
from bundle.manifest import check_name
from bundle.store import Bundle, Store
from training import recipes
from training.commands.options import (
    AssignmentsOption,
    DataOption,
    EncodingOption,
    GroupColumnOption,
    LabelColumnOption,
    LabelMapOption,
    LanguageOption,
    ModelsOption,
    NameOption,
    QuietOption,
    SkipBadRowsOption,
    TestOption,
    TestShareOption,
    TextColumnOption,
)
from training.commands.tables import tell_published
from training.commands.terminal import (
    clear_errors,
    clear_usage,
    open_console,
    open_typed_bundle,
    prepare_frameworks,
    say,
)
from training.data.labelled.description import DataDescription, render
from training.data.labelled.languages import ENGLISH
from training.data.labelled.reading import DataOptions
from training.data.labelled.texts import LabelledTexts
from training.data.pairs import FOLDER as PAIRS
from training.data.phrases import divide
from training.data.sources import Sources
from training.errors import RecipeError, ResultsError
from training.labelled.reading import check_options, read_texts
from training.recipes.general import GeneralSettings
from training.recipes.labelled import FIRST, LabelledSettings
from training.recipes.recipe import Recipe
from training.recipes.sequences import SequenceSettings
from training.recipes.settings import RecipeSettings
from training.recipes.staged import RUNS, STAGES, StagedSettings
from training.reports.estimates import describe_plan
from training.reports.results import RESULTS, Results

_FROM_NONE = Path("none")
# Whose options they are, if not those of the recipe for the user's own labelled texts.
_FAMILIES: dict[str, type[RecipeSettings] | UnionType] = {
    "--test": LabelledSettings | SequenceSettings,
    "--test-share": LabelledSettings | SequenceSettings,
    "--skip-bad-rows": LabelledSettings | SequenceSettings,
    "--alphabet": SequenceSettings,
    "--fold-case": SequenceSettings,
    "--phrases": GeneralSettings,
    "--pairs": GeneralSettings,
    "--transformer": GeneralSettings,
}
# A text for the request that is printed at the end.
_SHORT = 100  # characters
_MOST_ASKED = 1000


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
    progress = open_console(quiet)
    given = {
        "--text-column": text_column,
        "--label-column": label_column,
        "--group-column": group_column,
        "--label-map": label_map,
        "--language": language,
        "--encoding": encoding,
        "--test": test,
        "--test-share": test_share,
        "--skip-bad-rows": skip_bad_rows or None,
        "--alphabet": alphabet,
        "--fold-case": fold_case or None,
        "--phrases": phrases,
        "--pairs": pairs,
        "--transformer": transformer,
    }
    with clear_usage():
        _check_family(recipes.find(recipe), [option for option, value in given.items() if value is not None])
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
        if isinstance(chosen.settings, LabelledSettings):
            check_options(chosen.settings, test)
        published_as = check_name(recipe if name is None else name)
    with clear_errors("; nothing was published"):
        if names:
            say(_describe_plan(chosen, runs), progress)
            prepare_frameworks()
            from training import pipeline

            pipeline.run_stages(chosen, names, data, progress, runs)
            say(f"Finished {', '.join(names)} in {runs}; nothing was published")
            return
        options = DataOptions(test=test, skip_bad_rows=skip_bad_rows)
        trees, own_phrases = divide(phrases or [])
        sources = Sources(data, trees, pairs or PAIRS, transformer, options, own_phrases=own_phrases)
        begun = open_typed_bundle(start) if start and start != _FROM_NONE else None
        described = example = None
        if isinstance(chosen.settings, LabelledSettings):
            texts = _read_labelled(chosen.settings, sources, progress)
            described, example = texts.description, _find_example(texts)
            sources = replace(sources, labelled=texts)
            if start is None:
                begun = _find_first(chosen.settings, sources, Store(models), progress)
        say(_describe_plan(chosen, runs, described, begun is not None), progress)
        prepare_frameworks()
        from training import pipeline

        bundle = pipeline.train(chosen, published_as, Store(models), sources, progress, begun, runs)
    tell_published(bundle, chosen, progress, example)


def _check_family(recipe: Recipe, given: Iterable[str]) -> None:
    """Check that a recipe reads the options that were given.

    Raises:
        RecipeError: one of them belongs to other recipes.
    """
    for option in given:
        kinds = _FAMILIES.get(option, LabelledSettings)
        if not isinstance(recipe.settings, kinds):
            names = [other.name for other in recipes.RECIPES.values() if isinstance(other.settings, kinds)]
            raise RecipeError(
                f"{option} belongs to the recipe{'s' if len(names) > 1 else ''} {' and '.join(names)}, and "
                f"{recipe.name} does not read it; leave it out"
            )


def _find_example(texts: LabelledTexts) -> str:
    """Return a short test text on one line, or the beginning of one."""
    lines = [" ".join(text.split()) for text in islice(texts.test.read(), _MOST_ASKED)]
    return next((line for line in lines if len(line) <= _SHORT), lines[0][:_SHORT])


def _read_stages(recipe: Recipe, text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not isinstance(recipe.settings, StagedSettings):
        raise RecipeError(f"{recipe.name} is not trained in stages; leave --stages out")
    if unknown := [name for name in names if name not in STAGES]:
        raise RecipeError(f"{', '.join(unknown)} is not a stage; the stages are: {', '.join(STAGES)}")
    if "second_round" in names and not recipe.settings.second_round:
        raise RecipeError(f"{recipe.name} has no second round; leave second_round out of --stages")
    return names


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
        say(f"The language is {language}, so the training begins with random weights.", progress)
        return None
    versions = store.versions(FIRST)
    if not versions:
        say(f"There is no {FIRST} in {store.root}, so the training begins with random weights.", progress)
        return None
    folder = store.root / FIRST / str(versions[-1])
    say(f"The training begins with the network in {folder}; --from none begins with random weights.", progress)
    try:
        return open_typed_bundle(folder)
    except BundleError as error:
        raise RecipeError(f"{error}; --from names another bundle to begin with, or none") from error


def _describe_plan(recipe: Recipe, runs: Path, data: DataDescription | None = None, has_start: bool = False) -> str:
    """Return the lines to print before a training: see `describe_plan`. The recorded runs may be missing."""
    try:
        results = Results(RESULTS)
    except (ResultsError, OSError):
        results = Results(Path(os.devnull))
    return describe_plan(recipe, results, runs, data, has_start)
