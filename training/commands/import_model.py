"""`python -m training import`."""

from pathlib import Path
from typing import Annotated

import typer

from bundle.imported_tokenisers import Standardisation
from bundle.manifest import check_name
from bundle.reviews import Side
from bundle.store import Store
from training.commands.options import ModelsOption, QuietOption
from training.commands.terminal import clear_errors, clear_usage, open_console, prepare_frameworks, say, warn
from training.errors import ModelImportError
from training.imports.coding import CodingOptions, Id, Kind
from training.reports.serving import describe_serving


def import_model(
    model: Annotated[
        Path,
        typer.Argument(help="The .keras or .h5 file of a model that Keras 2 or 3 saved, or a state dict of PyTorch."),
    ],
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
    logits: Annotated[
        bool,
        typer.Option("--logits", help="Add the sigmoid or softmax that its end lacks; a state dict always lacks it."),
    ] = False,
    packed: Annotated[
        bool,
        typer.Option("--packed", help="The rows of the state dict's network were packed (pack_padded_sequence)."),
    ] = False,
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
    """Publish a model made elsewhere with Keras or PyTorch as a bundle of the task sentiment, with its preprocessing.

    Defaults of the coding: keras-json pads and cuts on the left, as pad_sequences does; text-vectorization on the
    right; this project's tokenisers have padding 0, start 1, unknown 2, words from 4, on the left; whitespace has
    padding 0, unknown 1, words from 2, on the right. Reserved words at the beginning of the list have the ids of their
    lines.

    A state dict is that of an nn.Embedding, nn.LSTM layers, and an nn.Linear over the last state of each direction.
    """
    progress = open_console(quiet)
    with clear_usage():
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
    with clear_errors("; nothing was published"):
        prepare_frameworks()
        from training.imports.publication import Import, publish_import

        names = [label.strip() for label in labels.split(",")]
        wanted = Import(model, coding, names, is_logits=logits, is_packed=packed, examples=examples)
        bundle = publish_import(wanted, published_as, Store(models), progress)
    if examples is None:
        warn(
            "Not compared with your own code: pass --examples, a file of texts with the probabilities that it answers."
        )
    say(describe_serving(bundle), progress)
    say(f"Published {bundle.folder}")


def _read_id(option: str, text: str | None) -> Id:
    if text is None:
        return None
    if text == "none":
        return "none"
    if not (text.isascii() and text.isdecimal()):
        raise ModelImportError(f"{option} is {text!r}; pass a number from 0, or none")
    return int(text)
