"""`python -m training wild`."""

from pathlib import Path
from typing import Annotated

import typer

from bundle.tasks import SENTIMENT
from training.commands.options import QuietOption
from training.commands.terminal import (
    clear_errors,
    clear_usage,
    complain,
    open_console,
    open_typed_bundle,
    prepare_frameworks,
    say,
)
from training.data.sources import Sources
from training.errors import RecipeError


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
    progress = open_console(quiet)
    with clear_usage():
        if tfidf and not data:
            raise RecipeError("--tfidf trains on reviews; name them with --data, or leave it out")
    with clear_errors():
        bundle = open_typed_bundle(folder)
        if bundle.manifest.task != SENTIMENT.name:
            raise RecipeError(f"{folder} is of the task {bundle.manifest.task}; name a bundle of the task sentiment")
        if bundle.manifest.labels != SENTIMENT.labels:
            raise RecipeError(
                f"{folder} has the labels {', '.join(bundle.manifest.labels)}; the other texts are labelled "
                f"{' or '.join(SENTIMENT.labels)}, so name a bundle with these labels in this order"
            )
        prepare_frameworks()
        from training import comparison
        from training.wild import report

        found = comparison.compare(bundle, Sources(data, phrases), texts or [], tfidf, vader, progress)
        if out:
            report.write(found.figures, out)
    say(report.describe(found.figures), progress)
    others = next(iter(found.figures.values())).list_sections().keys() - found.compared
    if not found.compared:
        say("The bundle has no recorded figures of these texts.")
    elif found.differing:
        complain(f"These figures differ from those of the bundle: {'; '.join(found.differing)}")
        raise typer.Exit(1)
    else:
        if others:
            say(f"The bundle has no recorded figures of these texts: {', '.join(sorted(others))}")
        say("The figures are those of the bundle.")
