"""From a Keras file made elsewhere to a published bundle: read, checked, shown, exported, compared, published."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray
from pydantic import JsonValue
from rich.console import Console
from rich.table import Table

from bundle.files import hash_file
from bundle.manifest import Dataset, Description
from bundle.reviews import ReviewCodec, WordCoding, write_vocabulary
from bundle.rows import Row
from bundle.store import MODEL_FILE, Bundle, Store
from bundle.tasks import SENTIMENT, check_labels
from training.errors import ModelImportError
from training.export.exported import Exported, describe, export
from training.files import compress
from training.imports import examples as own
from training.imports.coding import CodingOptions, read_codec
from training.imports.keras_file import KerasFile, read_keras_file
from training.imports.outputs import fit_outputs
from training.pipeline import list_frameworks, list_onnx
from training.reports.imported_card import write_imported_card
from training.served import remove_onnx

UNKNOWN_DATA = Dataset(name="unknown", sha256=None, training_examples=0, test_examples=0)

_SHOWN_EXAMPLES = 5
_SHOWN_CHARACTERS = 200


@dataclass(frozen=True)
class Import:
    """What to import.

    Attributes:
        model: the file of the model.
        coding: how texts become its ids.
        labels: of its outputs.
        is_logits: whether the activation at its end is missing.
        examples: a file of examples to compare, if there is one.
    """

    model: Path
    coding: CodingOptions
    labels: Sequence[str]
    is_logits: bool = False
    examples: Path | None = None


def publish_import(wanted: Import, name: str, store: Store, console: Console) -> Bundle:
    """Publish a Keras model made elsewhere as the next version of a name.

    Raises:
        ModelImportError, DataError: see `read_keras_file`, `read_codec`, `fit_outputs`, `read_examples` and `compare`.
        OSError: a file cannot be read, or the store cannot be written.
    """
    try:
        check_labels(wanted.labels)
    except ValueError as error:
        raise ModelImportError(str(error)) from error
    examples = own.read_examples(wanted.examples, wanted.labels) if wanted.examples else []
    file = read_keras_file(wanted.model)
    rows, steps = _count_vectors(file.network), file.network.inputs[0].shape[1]
    codec = read_codec(wanted.coding, steps, rows)
    network = fit_outputs(file.network, codec, wanted.labels, wanted.is_logits)
    _show(wanted, file, codec, rows, examples, console)
    with store.stage(name) as folder:
        network.save(folder / MODEL_FILE)
        compress(folder / MODEL_FILE)
        network = keras.saving.load_model(folder / MODEL_FILE)
        exported = _export(network, codec, folder, examples, console)

        def answer(other: ReviewCodec, rows: Sequence[Row]) -> NDArray[np.float32]:
            if exported and other is codec:
                return exported.network.predict(rows)
            answers: NDArray[np.float32] = network.predict(other.pad(rows), verbose=0)
            return answers

        difference = own.compare(examples, codec, answer) if examples else None
        origin: dict[str, JsonValue] = {
            "file": wanted.model.name,
            "sha256": hash_file(wanted.model),
            "keras": file.version,
            "logits": wanted.is_logits,
            "compared_examples": len(examples),
        }
        description = Description(
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
        write_vocabulary(folder / codec.preprocessing.vocabulary_file, codec.vocabulary)
        write_imported_card(
            folder,
            description,
            codec,
            network.count_params(),
            _describe_examples(examples, difference),
            _as_markdown(_list_coding(codec, rows)),
        )
        return store.publish(folder, description)


def _count_vectors(network: keras.Model) -> int | None:
    """Return the number of word vectors; None if the network has no layer of them."""
    found = [layer.input_dim for layer in network.layers if isinstance(layer, layers.Embedding)]
    return min(found) if found else None


def _export(
    network: keras.Model, codec: ReviewCodec, folder: Path, examples: Sequence[own.Example], console: Console
) -> Exported | None:
    """Export a network, or print why it cannot be exported and what that means."""
    rows = [codec.encode(example.text).ids for example in examples if example.text is not None]
    try:
        return export(network, codec, folder, rows, console)
    except Exception as error:  # any error of ONNX: Keras can still run the network
        remove_onnx(folder)
        console.print(
            f"No model.onnx: {describe(error)}. The service runs this network with TensorFlow, which has to be "
            "installed there (make serve ENGINE=tensorflow).",
            markup=False,
            style="yellow",
            soft_wrap=True,
        )
        return None


def _show(
    wanted: Import,
    file: KerasFile,
    codec: ReviewCodec,
    rows: int | None,
    examples: Sequence[own.Example],
    console: Console,
) -> None:
    """Print the coding, so that a wrong one is seen before anything is published."""
    table = Table("coding", "value")
    table.add_row("model", f"{wanted.model.name}, written by Keras {file.version or 'of an unknown release'}")
    table.add_row("labels", ", ".join(wanted.labels))
    for name, value in _list_coding(codec, rows).items():
        table.add_row(name, value)
    given = next((example.text for example in examples if example.text), None)
    text = " ".join(codec.vocabulary[:5]) if given is None else given[:_SHOWN_CHARACTERS]
    table.add_row("a text", text)
    table.add_row("its words", " | ".join(codec.preprocessing.tokeniser.split(text)))
    table.add_row("its ids", " ".join(map(str, codec.encode(text).ids)))
    console.print(table, markup=False)
    if not examples:
        console.print(
            "Not compared with your own code: pass --examples, a file of texts with the probabilities that it answers.",
            style="yellow",
            soft_wrap=True,
        )


def _list_coding(codec: ReviewCodec, rows: int | None) -> dict[str, str]:
    """Return the coding by name, for people."""
    coding = codec.preprocessing
    assert isinstance(coding, WordCoding)
    settings = coding.tokeniser.model_dump(exclude={"kind", "rules", "pattern"})
    words = f"{coding.words:,}, {codec.vocabulary[0]!r} to {codec.vocabulary[-1]!r}"
    ids = f"{coding.word_ids[0]} to {coding.word_ids[-1]} (line of vocabulary.txt {coding.rank_offset:+d})"
    return {
        "tokeniser": ", ".join([coding.tokeniser.kind, *(f"{name}={value!r}" for name, value in settings.items())]),
        "words": words,
        "ids of words": ids,
        "word vectors": "unknown" if rows is None else f"{rows:,}",
        "padding": f"id {coding.padding_id}, on the {coding.padding_side}",
        "start": "none" if coding.start_id is None else f"id {coding.start_id}",
        "unknown words": "left out" if coding.unknown_id is None else f"id {coding.unknown_id}",
        "length": f"{coding.length} ids; longer texts are cut on the {coding.truncation_side}",
    }


def _as_markdown(values: dict[str, str]) -> str:
    lines = [f"| {name} | {value.replace('|', '&#124;')} |" for name, value in values.items()]
    return "\n".join(["| coding | value |", "|---|---|", *lines])


def _describe_examples(examples: Sequence[own.Example], difference: float | None) -> str:
    if difference is None:
        return "It was not compared: no examples were given."
    lines = [f"Its answers to {len(examples):,} examples of its own code differ by at most {difference:.1e}.", ""]
    for example in examples[:_SHOWN_EXAMPLES]:
        given = " ".join((example.text or "").split())
        if example.ids is not None and example.text is None:
            given = f"ids {' '.join(map(str, example.ids))}"
        shown = given if len(given) <= _SHOWN_CHARACTERS else f"{given[:_SHOWN_CHARACTERS]} ..."
        lines.append(f"- {' '.join(f'{value:.4f}' for value in example.outputs)}: {shown}")
    return "\n".join(lines)
