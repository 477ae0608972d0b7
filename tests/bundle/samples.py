"""Descriptions of bundles, a way to publish them, which never looks into the network's file, and random rows."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bundle.letters import ALPHABET, LetterCodec
from bundle.manifest import Dataset, Description, Onnx, OnnxForm
from bundle.reviews import ReviewCodec, ReviewPreprocessing, write_vocabulary
from bundle.rows import Row
from bundle.store import MODEL_FILE, ONNX_FILES, VECTORS_FILE, Bundle, Store
from bundle.tokenisers import WordTokeniser

FRAMEWORKS = {"python": "3.11.7", "keras": "3.15.1"}
WORDS = ("good", "bad", "film")

LETTERS = Description(
    name="letters",
    task="next-letter",
    recipe={"name": "letters", "settings": {"units": 8, "learning_rate": 1e-3, "patience": None, "seed": 7}},
    preprocessing=LetterCodec(length=5, first_code=1),
    labels=tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    metrics={"accuracy": 0.75, "loss": 1.5},
    dataset=Dataset(name="alphabet", sha256="a" * 64, training_examples=26, test_examples=26),
    frameworks=FRAMEWORKS,
)
REVIEWS = Description(
    name="reviews",
    task="sentiment",
    recipe={"name": "reviews", "settings": {"units": 4}},
    preprocessing=ReviewPreprocessing(tokeniser=WordTokeniser(), vocabulary_size=len(WORDS) + 4, length=6),
    labels=("negative", "positive"),
    metrics={"accuracy": 0.5, "loss": 0.7, "auc": 0.5},
    dataset=Dataset(name="films", sha256="b" * 64, training_examples=24, test_examples=24),
    frameworks=FRAMEWORKS,
)
EXPORTED = REVIEWS.model_copy(
    update={
        "name": "exported",
        "onnx": Onnx(
            opset=21,
            every_step=False,
            compared_rows=9,
            forms={
                "float32": OnnxForm(file="model.onnx", batch_rows=4, difference=1e-7, held_out={"accuracy": 0.5}),
                "int8": OnnxForm(file="model.int8.onnx", batch_rows=8, difference=1e-3, held_out={"accuracy": 0.5}),
            },
            default="int8",
        ),
    }
)


def publish(store: Store, description: Description, version: int | None = None, weights: bytes = b"weights") -> Bundle:
    """Publish a bundle with these weights and, where there have to be, a vocabulary and ONNX files."""
    with store.stage(description.name) as folder:
        (folder / MODEL_FILE).write_bytes(weights)
        for form in description.onnx.forms.values() if description.onnx else ():
            (folder / form.file).write_bytes(b"graph")
        if isinstance(description.preprocessing, ReviewPreprocessing):
            write_vocabulary(folder / description.preprocessing.vocabulary_file, WORDS)
        return store.publish(folder, description, version)


def publish_changed(
    store: Store, bundle: Bundle, files: Mapping[str, bytes] | None = None, name: str | None = None
) -> Bundle:
    """Publish the next version of a bundle, with the contents of some files changed, or under another name."""
    fields = {field: getattr(bundle.manifest, field) for field in Description.model_fields}
    fields["name"] = name or bundle.manifest.name
    with store.stage(fields["name"]) as folder:
        for name in bundle.manifest.files:
            shutil.copy(bundle.folder / name, folder)
        for name, contents in (files or {}).items():
            (folder / name).write_bytes(contents)
        return store.publish(folder, Description(**fields))


def publish_without_onnx(store: Store, bundle: Bundle) -> Bundle:
    """Publish the next version of a bundle as if its network could not be exported."""
    fields = {field: getattr(bundle.manifest, field) for field in Description.model_fields}
    with store.stage(bundle.manifest.name) as folder:
        for name in bundle.manifest.files.keys() - {*ONNX_FILES.values(), VECTORS_FILE}:
            shutil.copy(bundle.folder / name, folder)
        return store.publish(folder, Description(**fields | {"onnx": None}))


def random_rows(bundle: Bundle, lengths: Sequence[int], seed: int = 0) -> list[Row]:
    """Return random letters or ids, not padded, in rows of these lengths."""
    random = np.random.default_rng(seed)
    codec = bundle.codec
    if isinstance(codec, LetterCodec):
        texts = ["".join(random.choice(list(ALPHABET), max(1, length))) for length in lengths]
        return [codec.encode(text)[:length] for text, length in zip(texts, lengths, strict=True)]
    assert isinstance(codec, ReviewCodec)
    return [random.integers(1, codec.preprocessing.vocabulary_size, length, np.int32) for length in lengths]


def copy_with_two_versions(small_store: Store, root: Path) -> Store:
    """Return a store of its own with the model next-letter in two versions."""
    shutil.copytree(small_store.root / "next-letter", root / "next-letter")
    store = Store(root)
    publish_changed(store, store.open("next-letter"))
    return store
