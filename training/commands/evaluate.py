"""`python -m training evaluate`."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from bundle.tasks import SENTIMENT
from training.commands.options import DataOption, QuietOption
from training.commands.tables import format_figures, print_labels, print_metrics
from training.commands.terminal import clear_errors, complain, open_console, open_typed_bundle, prepare_frameworks, say
from training.reports.results import HELD_OUT


class EngineName(Enum):
    """The engines that can run a network."""

    ONNX = "onnx"
    TENSORFLOW = "tensorflow"


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
    progress = open_console(quiet)
    with clear_errors():
        bundle = open_typed_bundle(folder)
        prepare_frameworks()
        from training import pipeline
        from training.evaluation.evaluate import by_label

        evaluation, sha256 = pipeline.evaluate_bundle(bundle, data, progress, engine.value)
    recorded = {name: value for name, value in bundle.manifest.metrics.items() if name != HELD_OUT}
    # A bundle of an older release may have fewer metrics.
    measured = {name: value for name, value in evaluation.metrics.items() if name in recorded}
    print_metrics(evaluation.metrics, recorded, "manifest", progress)
    say(f"{len(evaluation.labels):,} examples", progress)
    if bundle.manifest.task == SENTIMENT.name:
        print_labels(by_label(evaluation, bundle.manifest.labels), progress)
    if engine is EngineName.ONNX and not bundle.manifest.onnx:
        say("There is no model.onnx, so Keras ran the network; the service must do the same.", progress)
    if sha256 != bundle.manifest.dataset.sha256:
        say("These are not the data of the manifest, so the figures may differ from it.")
    elif engine is EngineName.TENSORFLOW and bundle.manifest.onnx and bundle.manifest.onnx.default != "float32":
        say(f"The figures of the manifest were measured on the {bundle.manifest.onnx.default} form, which serves.")
    elif format_figures(measured) != format_figures(recorded):
        complain("The figures differ from the manifest, although the data are the same.")
        raise typer.Exit(1)
    else:
        say("The figures are those of the manifest.")
