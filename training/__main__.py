"""The command line: `python -m training list | train RECIPE | evaluate | wild | export BUNDLE | convert | report`."""

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bundle.errors import BundleError
from bundle.manifest import check_name
from bundle.store import Bundle, Store, open_bundle
from bundle.tasks import SENTIMENT
from training import recipes
from training.data.pairs import FOLDER as PAIRS
from training.data.sources import Sources
from training.errors import RecipeError, TrainingError
from training.loops.memory import keep_freed_memory
from training.recipes.recipe import Recipe
from training.recipes.staged import RUNS, STAGES, StagedSettings
from training.reports.results import HELD_OUT, RESULTS, Results, find_missing, find_own_figure

if TYPE_CHECKING:
    from training.evaluation.evaluate import LabelFigures

DataOption = Annotated[
    Path | None,
    typer.Option(help="The IMDB archive, or the folder unpacked from it.  [default: downloaded to the user's cache]"),
]
ResultsOption = Annotated[Path, typer.Option("--results", help="The file of the recorded runs.")]
AssignmentsOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a field of the recipe; repeatable.")
]
NameOption = Annotated[str | None, typer.Option(help="The bundle's name.  [default: the recipe's]")]
ModelsOption = Annotated[Path, typer.Option(help="The folder of the bundles.")]


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

_FIGURES = "{:<26}{:<21}{:>9}{:>10}"  # a line of `list`


@application.command("list")
def list_recipes(models: ModelsOption = Path("models"), recorded: ResultsOption = RESULTS) -> None:
    """List the recipes with two figures: published by the source, and ours (of the recorded runs or latest bundle)."""
    store = Store(models)
    with _clear_errors():
        results = Results(recorded)
        measured = _find_metrics(store)
        _say(_FIGURES.format("recipe", "figure", "published", "here"))
        for recipe in recipes.RECIPES.values():
            metric = next(iter(recipe.published), "accuracy")
            recorded_mean = find_own_figure(results, recipe, metric)
            here = measured.get(recipe.name, {}).get(metric) if recorded_mean is None else recorded_mean
            published = recipe.published.get(metric)
            _say(_FIGURES.format(recipe.name, metric.replace("_", " "), _percent(published), _percent(here)))
            _say(f"    {recipe.task}: {recipe.summary}\n    source: {recipe.source}")


@application.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A name that `list` shows.")],
    assignments: AssignmentsOption = None,
    data: DataOption = None,
    models: ModelsOption = Path("models"),
    name: NameOption = None,
    phrases: Annotated[
        Path | None,
        typer.Option(
            help="The Stanford Sentiment Treebank, for recipes that learn phrases: its archive or its folder."
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
        Path | None, typer.Option("--from", metavar="BUNDLE", help="Start from the weights of this bundle's folder.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The same as --set seed=SEED.")] = None,
    stages: Annotated[
        str | None,
        typer.Option(
            metavar="STAGE,...",
            help=f"For a recipe trained in stages: run only these of {', '.join(STAGES)}, with the stages that they "
            "need, and publish nothing.",
        ),
    ] = None,
    runs: Annotated[Path, typer.Option(help="The folder where stages save their results and continue.")] = RUNS,
) -> None:
    """Train a recipe and publish the model as the next version of its bundle."""
    with _clear_errors("; nothing was published"):
        seeds = [] if seed is None else [f"seed={seed}"]
        chosen = recipes.find(recipe).with_settings([*(assignments or []), *seeds])
        if stages is not None:
            if name is not None or start is not None:
                raise RecipeError("with --stages nothing is published; leave --name and --from out")
            names = _read_stages(chosen, stages)
            _prepare_frameworks()
            from training import pipeline

            pipeline.run_stages(chosen, names, data, console, runs)
            return
        sources = Sources(data, phrases, pairs or PAIRS, transformer)
        published_as = check_name(recipe if name is None else name)
        begun = open_bundle(start) if start else None
        _prepare_frameworks()
        from training import pipeline

        bundle = pipeline.train(chosen, published_as, Store(models), sources, console, begun, runs)
    _tell_published(bundle, chosen)


@application.command()
def evaluate(
    folder: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle's folder, as in models/sentiment/6.")],
    data: DataOption = None,
    engine: Annotated[
        EngineName,
        typer.Option(help="The engine: onnx runs the form that the service runs, tensorflow runs Keras."),
    ] = EngineName.ONNX,
) -> None:
    """Measure a bundle again and compare with its manifest; exit with 1 if a figure differs within four digits."""
    with _clear_errors():
        bundle = open_bundle(folder)
        _prepare_frameworks()
        from training import pipeline
        from training.evaluation.evaluate import by_label

        evaluation, sha256 = pipeline.evaluate_bundle(bundle, data, console, engine.value)
    recorded = {name: value for name, value in bundle.manifest.metrics.items() if name != HELD_OUT}
    # A bundle of an older release may have fewer metrics.
    measured = {name: value for name, value in evaluation.metrics.items() if name in recorded}
    _print_metrics(evaluation.metrics, recorded, "manifest")
    console.print(f"{len(evaluation.labels):,} examples")
    if bundle.manifest.task == SENTIMENT.name:
        _print_labels(by_label(evaluation, bundle.manifest.labels))
    if engine is EngineName.ONNX and not bundle.manifest.onnx:
        console.print("There is no model.onnx, so Keras ran the network; the service must do the same.")
    if sha256 != bundle.manifest.dataset.sha256:
        console.print("These are not the data of the manifest, so the figures may differ from it.")
    elif engine is EngineName.TENSORFLOW and bundle.manifest.onnx and bundle.manifest.onnx.default != "float32":
        console.print(
            f"The figures of the manifest were measured on the {bundle.manifest.onnx.default} form, which serves."
        )
    elif _format(measured) != _format(recorded):
        console.print("The figures differ from the manifest, although the data are the same.", style="red")
        raise typer.Exit(1)
    else:
        console.print("The figures are those of the manifest.")


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
) -> None:
    """Measure a sentiment bundle on short, negated and other texts; exit with 1 if a recorded figure differs."""
    with _clear_errors():
        bundle = open_bundle(folder)
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

        found = comparison.compare(bundle, Sources(data, phrases), texts or [], tfidf, vader, console)
        if out:
            report.write(found.figures, out)
    own, recorded = next(iter(found.figures.values())), found.recorded
    _say(report.describe(found.figures))
    differing = [name for name in recorded.keys() & own.keys() if f"{recorded[name]:.4f}" != f"{own[name]:.4f}"]
    if not recorded:
        _say("The bundle has no recorded figures.")
    elif differing:
        console.print(f"These figures differ from those of the bundle: {'; '.join(sorted(differing))}", style="red")
        raise typer.Exit(1)
    else:
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
) -> None:
    """Publish the next version of a bundle: the same network, also as ONNX, with figures measured on the ONNX form."""
    with _clear_errors("; nothing was published"):
        old = open_bundle(folder.resolve())
        _prepare_frameworks()
        from training import pipeline

        bundle = pipeline.publish_as_onnx(old, data, console, quantise)
    _print_metrics(bundle.manifest.metrics, old.manifest.metrics, "before")
    exported = bundle.manifest.onnx
    assert exported is not None, "This is a bug: a bundle was exported and has no ONNX"
    for precision, form in exported.forms.items():
        _say(f"{form.file}: {precision}, differs from Keras by {form.difference:.1e}, {form.batch_rows} rows a batch")
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
) -> None:
    """Publish a PyTorch network of nn.Embedding, nn.LSTM and nn.Linear as a bundle, evaluated on the recipe's data."""
    with _clear_errors("; nothing was published"):
        chosen = recipes.find(recipe).with_settings(assignments or [])
        published_as = check_name(recipe if name is None else name)
        _prepare_frameworks()
        from training import exchange

        bundle = exchange.import_bundle(file, chosen, published_as, Store(models), data, console, vocabulary)
    _tell_published(bundle, chosen)


@converting.command("to-torch")
def convert_to_torch(
    folder: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle's folder, as in models/imdb-500/3.")],
    file: Annotated[Path, typer.Argument(help="The state dict to write, for `training.convert.torch_network`.")],
) -> None:
    """Write the weights of a bundle as a PyTorch state dict."""
    with _clear_errors("; nothing was written"):
        _prepare_frameworks()
        from training import exchange

        exchange.export_bundle(open_bundle(folder), file)
    _say(f"Wrote {file}")


@application.command()
def report(
    fast: Annotated[bool, typer.Option("--fast", help="Train only the fast variants.")] = False,
    data: DataOption = None,
    recorded: ResultsOption = RESULTS,
    out: Annotated[Path, typer.Option(help="The report, Markdown; its plots go into a folder beside it.")] = Path(
        "docs/results.md"
    ),
) -> None:
    """Train the missing runs of the reference systems, and write the report of all runs."""
    with _clear_errors("; the runs recorded so far are kept"):
        results = Results(recorded)
        missing = list(find_missing(results, fast))
        failed = 0
        _prepare_frameworks()
        from training import pipeline
        from training.reports.report import write_report

        try:
            for number, recipe in enumerate(missing, 1):
                _say(f"{number} of {len(missing)}: {recipe.name}, seed {recipe.settings.seed}")
                try:
                    run = pipeline.record(recipe, data, console)
                except TrainingError as error:  # the other runs may still succeed
                    _complain(f"error: {error}")
                    failed += 1
                    continue
                results.add(run)
                figures = ", ".join(f"{name} {value}" for name, value in _format(run.metrics).items())
                _say(f"  {figures}, {run.seconds:.0f} s")
        finally:  # the report covers all recorded runs, also after an error
            write_report(results, out)
    _say(f"Wrote {out}")
    if failed:
        _complain(f"{failed} of {len(missing)} runs failed; `report` runs them again")
        raise typer.Exit(1)


def _find_metrics(store: Store) -> dict[str, dict[str, float]]:
    """Return, by recipe, the metrics of its latest bundle; a bundle that has the recipe's name comes before others."""
    manifests = [store.open(name, version).manifest for name in store.names() for version in store.versions(name)]
    manifests.sort(key=lambda manifest: manifest.name == manifest.recipe.get("name"))
    return {str(manifest.recipe.get("name")): manifest.metrics for manifest in manifests}


def _read_stages(recipe: Recipe, text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not isinstance(recipe.settings, StagedSettings):
        raise RecipeError(f"{recipe.name} is not trained in stages; leave --stages out")
    if unknown := [name for name in names if name not in STAGES]:
        raise RecipeError(f"{', '.join(unknown)} is not a stage; the stages are: {', '.join(STAGES)}")
    if "second_round" in names and not recipe.settings.second_round:
        raise RecipeError(f"{recipe.name} has no second round; leave second_round out of --stages")
    return names


def _prepare_frameworks() -> None:
    """Set the variables that Keras and TensorFlow read when they are imported.

    Importing them takes seconds, so a command first checks its arguments.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")  # not the backend in the user's keras.json
    keep_freed_memory()


def _tell_published(bundle: Bundle, recipe: Recipe) -> None:
    found = bundle.manifest.metrics
    known = {name: figure for name in found if (figure := recipes.find_published(recipe, name)) is not None}
    _print_metrics(found, known, "source")
    _say(f"Published {bundle.folder}")


def _print_metrics(found: dict[str, float], others: dict[str, float], whose: str) -> None:
    """Print figures beside other figures of the same names; `whose` is the heading of the others."""
    table = Table("metric", "measured", whose)
    for name, value in _format(found).items():
        table.add_row(name, value, _format(others).get(name, "-"))
    console.print(table)


def _print_labels(figures: Sequence["LabelFigures"]) -> None:
    table = Table("label", "examples", "precision", "recall", "F1")
    for label, examples, *shares in figures:
        table.add_row(escape(label), f"{examples:,}", *("-" if math.isnan(each) else f"{each:.4f}" for each in shares))
    console.print(table)


def _format(metrics: dict[str, float]) -> dict[str, str]:
    return {name: f"{value:.4f}" for name, value in metrics.items()}


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"


@contextmanager
def _clear_errors(consequence: str = "") -> Iterator[None]:
    """Convert the expected errors to one sentence and exit status 1, and an interruption to status 130."""
    try:
        yield
    except (TrainingError, BundleError) as error:
        _complain(f"error: {error}")
        raise typer.Exit(1) from error
    except OSError as error:
        _complain(f"error: {error}{consequence}")
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        _complain(f"stopped{consequence}")
        # Not by an exception: TensorFlow's threads may be in the middle of a step, and a normal shutdown of the
        # interpreter then sometimes crashes.
        os._exit(130)


def _say(message: str) -> None:
    console.print(message, markup=False, highlight=False, soft_wrap=True)


def _complain(message: str) -> None:
    Console(stderr=True).print(message, style="red", markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    application()
