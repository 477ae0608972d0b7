"""Whatever runs a network agrees with the equations of the LSTM: see `tests/cell.py`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as options
from hypothesis import strategies as st
from numpy.typing import NDArray
from rich.console import Console

from app.engines.base import Engine
from app.engines.onnx import OnnxEngine
from app.engines.tensorflow import TensorFlowEngine
from bundle.letters import ALPHABET, LetterCodec
from bundle.reviews import ReviewCodec, ReviewPreprocessing, write_vocabulary
from bundle.rows import Row
from bundle.store import MODEL_FILE, Bundle, Store
from bundle.tokenisers import WordTokeniser
from tests import cell
from tests.app.engines.exactness import check_exactness
from tests.bundle.samples import LETTERS, REVIEWS
from training.convert import conversion
from training.data.letter_coding import make_letter_codec
from training.export.exported import export
from training.networks import builders
from training.recipes import RECIPES
from training.recipes.general import GeneralSettings
from training.recipes.labelled import LabelledSettings
from training.recipes.letters import PLAIN_LETTERS, LetterSettings
from training.recipes.recipe import Recipe
from training.recipes.reviews import ReviewSettings
from training.recipes.settings import RecipeSettings
from training.recipes.stack import PLAIN_STACK, TrainingSettings
from training.recipes.staged import StagedSettings

TOLERANCE = 1e-5
ROWS = 4  # of every batch: for another number Keras traces a network again, which takes a second
WORDS = ("good", "bad", "film", "a", "the")

Answer = Callable[[Sequence[Row]], NDArray[np.float32]]


def letters(**changes: object) -> LetterSettings:
    """Return settings of a letter network, unmasked and of 26 steps where not said otherwise."""
    values = {"patterns": "all", "length": 26, "units": 6, "mask_padding": False, "batch_size": 1, "epochs": 1}
    return LetterSettings.model_validate(values | changes)


def reviews(**changes: object) -> ReviewSettings:
    """Return settings of a review network, unmasked and of 500 steps where not said otherwise."""
    values = {"tokeniser": "words", "vocabulary_size": len(WORDS) + 4, "length": 500, "embedding": 4, "units": 5}
    return ReviewSettings.model_validate(values | {"batch_size": 1, "epochs": 1} | changes)


STACKED = {"further_units": (4,)}
BIDIRECTIONAL = {"bidirectional": True}
MASKED = {"mask_padding": True}
POOLED = MASKED | {"pooling": "mean-max"}
KINDS: dict[str, LetterSettings | ReviewSettings] = {
    "letters": letters(),
    "letters, stacked, bidirectional": letters(further_units=(4, 3), **BIDIRECTIONAL),
    "letters, all in one step": letters(layout="features"),
    "letters, linear, no bias": letters(activation="linear", use_bias=False),
    "letters, masked, features": letters(**MASKED, features=4),
    "letters, masked by -1, stacked, bidirectional, softsign": letters(
        **MASKED, first_code=0, **STACKED, **BIDIRECTIONAL, activation="softsign", recurrent_activation="tanh"
    ),
    "letters, pooled, batch normalisation, sigmoid": letters(
        **POOLED, normalisation="batch", activation="sigmoid", recurrent_activation="hard_sigmoid"
    ),
    "letters, pooled, bidirectional, layer normalisation": letters(**POOLED, **BIDIRECTIONAL, normalisation="layer"),
    "letters, masked, stacked": letters(**MASKED, **STACKED),
    "letters, masked by -1": letters(**MASKED, first_code=0),
    "500 letters, masked, stacked, features": letters(**MASKED, length=500, features=4, **STACKED),
    "reviews": reviews(),
    "reviews, stacked": reviews(**STACKED),
    "reviews, bidirectional": reviews(**BIDIRECTIONAL),
    "reviews, masked": reviews(**MASKED),
    "reviews, masked, no bias": reviews(**MASKED, use_bias=False),
    "reviews, masked, stacked, bidirectional": reviews(**MASKED, **STACKED, **BIDIRECTIONAL),
    "reviews, masked, relu": reviews(**MASKED, activation="relu", recurrent_activation="hard_sigmoid"),
    "reviews, pooled, layer normalisation": reviews(**POOLED, normalisation="layer"),
    "reviews, pooled, bidirectional": reviews(**POOLED, **BIDIRECTIONAL),
    "reviews, pooled, bidirectional, batch normalisation": reviews(**POOLED, **BIDIRECTIONAL, normalisation="batch"),
    "reviews, pooled, stacked, bidirectional": reviews(**POOLED, **BIDIRECTIONAL, **STACKED),
    "reviews, stacked, batch normalisation": reviews(**STACKED, normalisation="batch"),
    "reviews, stacked, bidirectional, layer normalisation": reviews(**STACKED, **BIDIRECTIONAL, normalisation="layer"),
}
STATEFUL = {"stacked": STACKED, "features, other activations": {"features": 4, "activation": "softsign"}}


def architecture(settings: RecipeSettings) -> dict[str, object]:
    """Return what a network is made of, without the sizes."""
    if isinstance(settings, StagedSettings | GeneralSettings):
        settings = settings.published
    if isinstance(settings, LabelledSettings):
        settings = settings.make_network(settings.scratch, settings.vocabulary_size, settings.embedding, settings.units)
    assert isinstance(settings, TrainingSettings)
    made_of: dict[str, object] = settings.model_dump(include=set(PLAIN_STACK) | {"bidirectional"})
    made_of |= {"embeds": not isinstance(settings, LetterSettings), "stacked": bool(settings.further_units)}
    if isinstance(settings, LetterSettings):
        made_of |= {"layout": settings.layout, "features": bool(settings.features)}
        made_of["padding"] = make_letter_codec(settings).padding_value
    return made_of


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_the_network_of_every_recipe_is_among_the_kinds(recipe: Recipe) -> None:
    kinds = [architecture(settings) for settings in KINDS.values()]
    assert architecture(recipe.settings) in kinds
    assert not recipe.fast or architecture(recipe.with_settings(["fast=true"]).settings) in kinds


@dataclass(frozen=True)
class Kind:
    """A network with random weights, and what it reads."""

    settings: LetterSettings | ReviewSettings
    codec: LetterCodec | ReviewCodec
    network: keras.Model

    @property
    def shortest(self) -> int:
        """The fewest letters or ids of a row: there is no mean of none, and a review has its start id."""
        return 1 if self.settings.pooling == "mean-max" else 0

    def draw(self, lengths: Sequence[int], seed: int) -> list[Row]:
        """Return random letters or ids in rows of these lengths."""
        random = np.random.default_rng(seed)
        if isinstance(self.codec, LetterCodec):
            texts = ["".join(random.choice(list(ALPHABET), max(1, length))) for length in lengths]
            return [self.codec.encode(text)[:length] for text, length in zip(texts, lengths, strict=True)]
        return [random.integers(1, len(WORDS) + 4, length, np.int32) for length in lengths]

    def answer(self, rows: Sequence[Row]) -> cell.Array:
        """Return the probabilities that the equations give."""
        padding = int(self.codec.padding)
        return cell.answer(self.settings, self.network.get_weights(), self.codec.pad(rows), padding)


def randomise(network: keras.Model) -> None:
    """Give a network weights so large that every part of it matters, and no larger: rounding errors grow with them."""
    random = np.random.default_rng(1)
    for variable in network.weights:
        values = random.normal(scale=0.8, size=variable.shape)
        variable.assign(0.1 + abs(values) if variable.name == "moving_variance" else values)


@cache
def build(name: str) -> Kind:
    settings = KINDS[name]
    codec: LetterCodec | ReviewCodec
    if isinstance(settings, LetterSettings):
        codec = make_letter_codec(settings)
        network = builders.build_letter_network(settings, codec)
    else:
        preprocessing = ReviewPreprocessing(
            tokeniser=WordTokeniser(), vocabulary_size=settings.vocabulary_size, length=settings.length
        )
        codec = ReviewCodec(preprocessing, WORDS)
        network = builders.build_review_network(settings, preprocessing)
    randomise(network)
    return Kind(settings, codec, network)


@cache
def publish(name: str, folder: Path) -> Bundle:
    """Publish a kind of network as training does."""
    kind = build(name)
    description = LETTERS if isinstance(kind.codec, LetterCodec) else REVIEWS
    preprocessing = kind.codec if isinstance(kind.codec, LetterCodec) else kind.codec.preprocessing
    store = Store(folder / name)
    with store.stage(description.name) as staged:
        kind.network.save(staged / MODEL_FILE)
        if isinstance(kind.codec, ReviewCodec):
            write_vocabulary(staged / kind.codec.preprocessing.vocabulary_file, kind.codec.vocabulary)
        onnx = export(kind.network, kind.codec, staged, [], Console(quiet=True)).onnx
        return store.publish(staged, description.model_copy(update={"preprocessing": preprocessing, "onnx": onnx}))


def predict(name: str, folder: Path) -> Answer:
    del folder
    kind = build(name)
    return lambda rows: kind.network.predict(kind.codec.pad(rows), verbose=0)


@cache
def load_onnx(name: str, folder: Path) -> Engine:
    return OnnxEngine(publish(name, folder))


def serve(name: str, folder: Path) -> Answer:
    return load_onnx(name, folder).run


def serve_alone(name: str, folder: Path) -> Answer:
    engine = load_onnx(name, folder)
    return lambda rows: np.concatenate([engine.run([row]) for row in rows])


def serve_with_tensorflow(name: str, folder: Path) -> Answer:
    return TensorFlowEngine(publish(name, folder)).run


def convert_to_torch(name: str, folder: Path) -> Answer:
    del folder
    torch = pytest.importorskip("torch")
    from training.convert import torch_network

    kind = build(name)
    settings, classes = kind.settings, kind.network.output_shape[1]
    if isinstance(settings, ReviewSettings):
        network = torch_network.Network(settings, settings.embedding, classes, settings.vocabulary_size)
    else:
        network = torch_network.Network(settings, kind.network.input_shape[2], classes)
    state = conversion.to_torch(kind.network)
    network.load_state_dict({weight: torch.from_numpy(values) for weight, values in state.items()})
    return lambda rows: torch_network.predict(network, kind.codec.pad(rows))


def has_torch(settings: LetterSettings | ReviewSettings) -> bool:
    return not settings.differences(**PLAIN_LETTERS if isinstance(settings, LetterSettings) else PLAIN_STACK)


ENGINES: dict[str, Callable[[str, Path], Answer]] = {
    "Keras": predict,
    "ONNX": serve,
    "ONNX, alone": serve_alone,
    "TensorFlow": serve_with_tensorflow,
    "PyTorch": convert_to_torch,
}
CASES = [
    (name, engine)
    for name, settings in KINDS.items()
    for engine in ENGINES
    if engine != "PyTorch" or has_torch(settings)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("parity")


@pytest.fixture(scope="module", params=CASES, ids=": ".join)
def case(request: pytest.FixtureRequest, folder: Path) -> tuple[Kind, Answer]:
    """A kind of network, and what one of the engines answers for it."""
    name, engine = request.param
    return build(name), ENGINES[engine](name, folder)


def compare(kind: Kind, answer: Answer, lengths: Sequence[int], seed: int) -> None:
    rows = kind.draw(lengths, seed)
    np.testing.assert_allclose(answer(rows), kind.answer(rows), rtol=0, atol=TOLERANCE)


def test_the_shortest_and_the_longest_rows_get_the_probabilities_of_the_equations(case: tuple[Kind, Answer]) -> None:
    kind, answer = case
    compare(kind, answer, [kind.shortest, 1, kind.settings.length - 1, kind.settings.length], seed=0)


@options(deadline=None, max_examples=5)
@given(data=st.data(), seed=st.integers(0, 1000))
def test_rows_of_any_lengths_get_the_probabilities_of_the_equations(
    case: tuple[Kind, Answer], data: st.DataObject, seed: int
) -> None:
    kind, answer = case
    length = st.integers(kind.shortest, kind.settings.length)
    compare(kind, answer, data.draw(st.lists(length, min_size=ROWS, max_size=ROWS)), seed)


@pytest.mark.parametrize("name", KINDS)
@options(deadline=None, max_examples=20)
@given(data=st.data(), seed=st.integers(0, 1000))
def test_rows_have_the_same_answers_to_the_bit_in_every_batch(
    folder: Path, name: str, data: st.DataObject, seed: int
) -> None:
    engine, length = load_onnx(name, folder), KINDS[name].length
    short_or_any = st.integers(0, 3) | st.integers(0, length)
    rows = build(name).draw(data.draw(st.lists(short_or_any, min_size=2, max_size=20)), seed)
    check_exactness(engine, rows, data)


@pytest.mark.parametrize("changes", STATEFUL.values(), ids=STATEFUL)
def test_a_network_that_is_fed_letter_by_letter_gives_the_probabilities_of_the_equations(
    changes: dict[str, object],
) -> None:
    settings = letters(**MASKED, **changes, patterns="prefixes", length=25, stateful=True, shuffle=False)
    codec = make_letter_codec(settings)
    network = builders.build_letter_network(settings, codec)
    randomise(network)
    carrying = builders.build_stateful_letter_network(settings, codec)
    carrying.set_weights(network.get_weights())
    for text in ("LSTMCARRIESALONGITSSTATES", "ANDFORGETSITWHENITISRESET"):
        codes = codec.encode(text)
        prefixes = codec.pad([codes[: number + 1] for number in range(len(text))])
        expected = cell.answer(settings, network.get_weights(), prefixes, codec.padding_value)
        for layer in carrying.layers:
            if getattr(layer, "stateful", False):
                layer.reset_states()
        fed = np.concatenate([carrying(code.reshape(1, 1, 1)) for code in codes])
        np.testing.assert_allclose(fed, expected, rtol=0, atol=TOLERANCE)
        np.testing.assert_allclose(network.predict(prefixes, verbose=0), expected, rtol=0, atol=TOLERANCE)
