"""From a file made elsewhere to a published bundle: read, checked, shown, exported, compared, published."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
from pydantic import JsonValue
from rich.console import Console

from bundle.files import hash_file
from bundle.manifest import Dataset, Description
from bundle.reviews import ReviewCodec, write_vocabulary
from bundle.store import MODEL_FILE, Bundle, Store
from bundle.tasks import MOST_LABELS, SENTIMENT, check_labels
from training.errors import ExportError, ModelImportError
from training.export.exported import Exported, export
from training.files import compress
from training.imports import comparison, summary
from training.imports.coding import CodingOptions, read_codec
from training.imports.examples import Example, read_examples
from training.imports.model_file import ModelFile, read_model_file
from training.imports.outputs import fit_outputs, predict
from training.pipeline import list_frameworks, list_onnx
from training.reports.imported_card import write_imported_card

UNKNOWN_DATA = Dataset(name="unknown", sha256=None, training_examples=0, test_examples=0)


@dataclass(frozen=True)
class Import:
    """What to import.

    Attributes:
        model: the file of the model.
        coding: how texts become its ids.
        labels: of its outputs.
        is_logits: whether the activation at its end is missing.
        is_packed: whether the rows of an nn.LSTM are packed.
        examples: a file of examples to compare, if there is one.
    """

    model: Path
    coding: CodingOptions
    labels: Sequence[str]
    is_logits: bool = False
    is_packed: bool = False
    examples: Path | None = None


def publish_import(wanted: Import, name: str, store: Store, console: Console) -> Bundle:
    """Publish a model made elsewhere as the next version of a name.

    Raises:
        ModelImportError, ConversionError, DataError, MissingPackageError: see `read_model_file`, `read_codec`,
            `fit_outputs`, `read_examples` and `compare`.
        OSError: a file cannot be read, or the store cannot be written.
    """
    _check_labels(wanted.labels)
    examples = read_examples(wanted.examples, wanted.labels) if wanted.examples else []
    file = read_model_file(wanted.model, wanted.is_packed)
    codec = read_codec(wanted.coding, file.steps, file.vectors, console)
    fitted = fit_outputs(file.build(codec), codec, wanted.labels, wanted.is_logits)
    summary.show(wanted.model.name, file, wanted.labels, codec, examples, console)
    with store.stage(name) as folder:
        fitted.save(folder / MODEL_FILE)
        compress(folder / MODEL_FILE)
        network = keras.saving.load_model(folder / MODEL_FILE)
        exported = _export(network, codec, folder, examples, console)
        difference = _compare(network, file, codec, exported, examples, console) if examples else None
        description = _describe(wanted, name, file, codec, exported, len(examples))
        write_vocabulary(folder / codec.preprocessing.vocabulary_file, codec.vocabulary)
        write_imported_card(
            folder,
            description,
            codec,
            network.count_params(),
            summary.describe_examples(examples, difference),
            summary.describe_coding(codec, file.vectors),
        )
        return store.publish(folder, description)


def _check_labels(labels: Sequence[str]) -> None:
    if not 2 <= len(labels) <= MOST_LABELS:
        raise ModelImportError(
            f"--labels has {len(labels)} ({', '.join(labels)}), and a bundle has 2 to {MOST_LABELS}; separate them by "
            "commas, in the order of the outputs"
        )
    try:
        check_labels(labels)
    except ValueError as error:
        raise ModelImportError(str(error)) from error


def _export(
    network: keras.Model, codec: ReviewCodec, folder: Path, examples: Sequence[Example], console: Console
) -> Exported | None:
    """Export a network, or print why it cannot be exported and what that means."""
    rows = [codec.encode(example.text).ids for example in examples if example.text is not None]
    try:
        return export(network, codec, folder, rows, console)
    except ExportError as error:
        console.print(
            f"No model.onnx: {error}. The service runs this network with TensorFlow, which has to be installed there "
            "(make serve ENGINE=tensorflow).",
            markup=False,
            style="yellow",
            soft_wrap=True,
        )
        return None


def _compare(
    network: keras.Model,
    file: ModelFile,
    codec: ReviewCodec,
    exported: Exported | None,
    examples: Sequence[Example],
    console: Console,
) -> float:
    """Return the largest difference between the answers of the form that serves and of the user's code."""
    rows = comparison.encode(examples, codec)
    answers = exported.network.predict(rows) if exported else predict(network, codec.pad(rows))
    most_ids = file.vectors or codec.preprocessing.vocabulary_size
    return comparison.compare(examples, codec, answers, partial(predict, network), most_ids, console)


def _describe(
    wanted: Import, name: str, file: ModelFile, codec: ReviewCodec, exported: Exported | None, compared: int
) -> Description:
    origin: dict[str, JsonValue] = {
        "file": wanted.model.name,
        "sha256": hash_file(wanted.model),
        "written_by": file.writer,
        "logits": wanted.is_logits,
        "compared_examples": compared,
    }
    return Description(
        name=name,
        task=SENTIMENT.name,
        recipe={"imported": origin},
        preprocessing=codec.preprocessing,
        labels=tuple(wanted.labels),
        metrics={},
        dataset=UNKNOWN_DATA,
        frameworks=list_frameworks() | (list_onnx() if exported else {}),
        onnx=exported.onnx if exported else None,
    )
