"""`python -m training export`."""

from pathlib import Path
from typing import Annotated

import typer

from training.commands.options import DataOption, QuietOption
from training.commands.tables import print_metrics
from training.commands.terminal import clear_errors, open_console, open_typed_bundle, prepare_frameworks, say


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
    progress = open_console(quiet)
    with clear_errors("; nothing was published"):
        old = open_typed_bundle(folder.resolve())
        prepare_frameworks()
        from training import pipeline

        bundle = pipeline.publish_as_onnx(old, data, progress, quantise)
    print_metrics(bundle.manifest.metrics, old.manifest.metrics, "before", progress)
    exported = bundle.manifest.onnx
    assert exported is not None, "This is a bug: a bundle was exported and has no ONNX"
    for precision, form in exported.forms.items():
        say(
            f"{form.file}: {precision}, differs from Keras by {form.difference:.1e}, {form.batch_rows} rows a batch",
            progress,
        )
    say(f"Published {bundle.folder}")
