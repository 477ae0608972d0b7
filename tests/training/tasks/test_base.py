"""A new task is a module: the whole of one, from its codec to its card, and how far it gets."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal, Self

import keras
import numpy as np
import pytest
from keras import layers, ops
from numpy.typing import NDArray
from pydantic import JsonValue
from rich.console import Console

from bundle.codec import Preprocessing
from bundle.manifest import Dataset, Description
from bundle.rows import Row
from bundle.store import Bundle, Store
from bundle.tasks import TASKS, Task
from training import pipeline, recipes
from training.bundle_data import read_settings
from training.convert.state import State
from training.data.examples import Examples
from training.data.sources import Sources
from training.loops.fit import fit
from training.recipes.recipe import Recipe
from training.recipes.stack import PLAIN_STACK, TrainingSettings
from training.reports import card
from training.tasks import TRAINED
from training.tasks.base import TrainedTask
from training.tasks.trained import BundleData, Trained

QUIET = Console(quiet=True)
BITS = ("1", "01", "11", "001", "101", "011", "111")


class BitCodec(Preprocessing):
    """Codes zeros as 1 and ones as 2, as 0 is the padding."""

    kind: Literal["bits"] = "bits"
    length: int

    @property
    def preprocessing(self) -> Self:
        return self

    @property
    def padding(self) -> np.float32:
        return np.float32(0)

    def open_codec(self, folder: Path) -> Self:  # noqa: ARG002
        return self

    def encode(self, bits: str) -> NDArray[np.float32]:
        return np.array([int(bit) + 1 for bit in bits], np.float32)

    def make_longest_row(self) -> Row:
        return self.encode("1" * self.length)

    def make_row(self, steps: int, random: np.random.Generator, /) -> Row:
        return random.integers(1, 3, steps).astype(np.float32)

    def pad(self, rows: list[Row], /) -> NDArray[np.float32]:
        padded = [np.pad(row, (self.length - len(row), 0)) for row in rows]
        return np.array(padded, np.float32).reshape(len(rows), self.length, 1)


PARITY = Task("parity", ("even", "odd"), BitCodec)


class BitSettings(TrainingSettings):
    task: ClassVar[Task] = PARITY

    length: int = 3


def code(codec: BitCodec) -> Examples:
    labels = np.array([bits.count("1") % 2 for bits in BITS], np.int32)
    return Examples(codec.pad([codec.encode(bits) for bits in BITS]), labels)


class Parity(TrainedTask[BitCodec, BitSettings]):
    task: ClassVar[Task] = PARITY
    plain: ClassVar[Mapping[str, object]] = PLAIN_STACK

    def train(
        self,
        recipe: Recipe,
        sources: Sources,  # noqa: ARG002
        console: Console,  # noqa: ARG002
        start: Bundle | None,  # noqa: ARG002
        runs: Path,  # noqa: ARG002
    ) -> Trained:
        settings = recipe.settings
        assert isinstance(settings, BitSettings)
        codec = BitCodec(length=settings.length)
        inputs = keras.Input((settings.length, 1))
        state = layers.LSTM(settings.units)(inputs, mask=ops.any(ops.not_equal(inputs, 0), axis=-1))
        network = keras.Model(inputs, layers.Dense(1, "sigmoid")(state))
        examples = code(codec)
        dataset = Dataset(name="bits", sha256="b" * 64, training_examples=len(BITS), test_examples=len(BITS))
        return Trained(network, codec, fit(network, settings, examples), examples, dataset)

    def convert(
        self, state: State, settings: BitSettings, vocabulary: Path | None, source: Path | None, console: Console
    ) -> Trained:
        raise NotImplementedError

    def read_settings(self, fields: Mapping[str, JsonValue]) -> BitSettings:
        return BitSettings.model_validate(fields)

    def read_data(
        self,
        codec: BitCodec,
        settings: BitSettings,  # noqa: ARG002
        share: float,  # noqa: ARG002
        source: Path | None,  # noqa: ARG002
        console: Console,  # noqa: ARG002
        labels: tuple[str, ...],  # noqa: ARG002
    ) -> BundleData:
        return BundleData(code(codec), None, "b" * 64)

    def describe_use(self, recipe: Recipe, description: Description) -> str:  # noqa: ARG002
        return f"The network says whether the ones among {description.preprocessing.length} bits are odd in number."

    def describe_examples(self, recipe: Recipe, description: Description) -> str:  # noqa: ARG002
        return "all there are"


RECIPE = Recipe("bits", "bits to their parity", "this test", {}, BitSettings(units=2, batch_size=7, epochs=1))


def register(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(TASKS, PARITY.name, PARITY)
    patch.setitem(TRAINED, PARITY.name, Parity())
    patch.setitem(recipes.RECIPES, RECIPE.name, RECIPE)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle of a task that was registered for a moment."""
    with pytest.MonkeyPatch.context() as patch:
        register(patch)
        return pipeline.train(RECIPE, "bits", Store(tmp_path_factory.mktemp("models")), Sources(), QUIET)


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """The recipe of a task that is registered while a test runs."""
    register(monkeypatch)
    return RECIPE


def test_a_new_task_is_published_with_its_network_as_onnx(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert (manifest.task, manifest.labels) == ("parity", ("even", "odd"))
    assert set(manifest.metrics) == {"accuracy", "loss", "auc", "calibration_error"}
    assert set(manifest.files) == {"model.keras", "model.onnx", "README.md", "learning-curve.png"}
    assert manifest.onnx is not None and not manifest.onnx.every_step


def test_the_card_of_a_new_task_has_its_words(bundle: Bundle) -> None:
    text = (bundle.folder / card.CARD).read_text("utf-8")
    assert "The network says whether the ones among 3 bits are odd in number." in text
    assert "On 7 examples (all there are):" in text
    assert "| `length` | 3 |" in text


def test_a_bundle_of_a_new_task_is_evaluated_again(bundle: Bundle, recipe: Recipe) -> None:
    evaluation, sha256 = pipeline.evaluate_bundle(bundle, None, QUIET)
    assert evaluation.metrics == pytest.approx(bundle.manifest.metrics, abs=5e-5)
    assert sha256 == bundle.manifest.dataset.sha256
    assert read_settings(bundle) == recipe.settings


def test_a_recipe_of_a_new_task_is_found_and_changed_like_others(recipe: Recipe) -> None:
    assert recipes.find("bits").task == "parity"
    assert recipes.find_changes(recipe.with_settings(["length=2", "seed=3"])) == {"seed": 3, "length": 2}


def test_every_task_can_be_trained_for() -> None:
    assert TRAINED.keys() == TASKS.keys()
    assert {recipe.task for recipe in recipes.RECIPES.values()} == TASKS.keys()
