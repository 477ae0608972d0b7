import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

pytest.importorskip("torch")

import torch
from torch import nn

from app.engines.onnx import OnnxEngine
from bundle.files import hash_file
from bundle.letters import LetterCodec
from bundle.reviews import ReviewCodec, read_vocabulary, write_vocabulary
from bundle.store import Bundle, Store
from tests.conftest import leftovers
from training import exchange, pipeline, recipes
from training.bundle_data import read_settings
from training.convert import torch_network
from training.data import alphabet, imdb, review_coding
from training.data.examples import Examples
from training.data.sources import Sources
from training.errors import ConversionError, DataError, DivergedError, MissingPackageError
from training.export.rows import to_rows
from training.recipes.letters import LetterSettings
from training.recipes.recipe import Recipe

torch.set_num_threads(1)  # two that wait for one another take forty times as long beside other work

QUIET = Console(quiet=True)
VOCABULARY = ["film", "a", "wonderful", "awful", "call", "it", "great", "boring", "i", "br", "poor", "moving"]
UNITS, FEATURES = 5, 3


class LetterReader(nn.Module):  # type: ignore[misc]  # PyTorch is not installed everywhere
    """As a user would write it: with names of its own, in an order of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(UNITS, 26)
        self.encoder = nn.LSTM(1, UNITS, num_layers=2, batch_first=True)

    def forward(self, letters: torch.Tensor) -> torch.Tensor:
        steps, _ = self.encoder(letters)
        return self.head(steps[:, -1])


class ReviewReader(nn.Module):  # type: ignore[misc]
    """The same with one output, which is the probability's logit, or two, which are compared."""

    def __init__(self, outputs: int, words: int = len(VOCABULARY)) -> None:
        super().__init__()
        self.words = nn.Embedding(words + 4, FEATURES)
        self.encoder = nn.LSTM(FEATURES, UNITS, batch_first=True, bidirectional=True)
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(2 * UNITS, outputs))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        _, (hidden, _) = self.encoder(self.words(ids))
        return self.head(torch.cat([hidden[0], hidden[1]], dim=1))


def answer(module: nn.Module, inputs: NDArray[np.generic]) -> NDArray[np.float32]:
    """Return the probabilities: of every letter, or of positive."""
    with torch.inference_mode():
        logits = module.eval()(torch.from_numpy(inputs))
        probabilities = logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(dim=1)
    numbers: NDArray[np.float32] = probabilities.numpy()
    return numbers[:, 1:] if numbers.shape[1] == 2 else numbers


def write(module: nn.Module, path: Path) -> Path:
    """Write the weights of a module, made so large that the inputs matter."""
    torch.manual_seed(1)
    for weight in module.parameters():
        nn.init.normal_(weight)
    torch.save(module.state_dict(), path)
    return path


def find_letters(*assignments: str) -> Recipe:
    return recipes.find("alphabet-time-steps").with_settings(
        [f"units={UNITS}", f"further_units=[{UNITS}]", *assignments]
    )


def find_reviews(*assignments: str) -> Recipe:
    sizes = [f"units={UNITS}", f"embedding={FEATURES}", "length=12", f"vocabulary_size={len(VOCABULARY) + 4}"]
    return recipes.find("imdb-500").with_settings([*sizes, "bidirectional=true", *assignments])


def serve(bundle: Bundle, inputs: NDArray[np.float32] | NDArray[np.int32]) -> NDArray[np.float32]:
    """Return what the service answers to padded inputs."""
    return OnnxEngine(bundle).run(to_rows(Examples(inputs, np.zeros(len(inputs), np.int32)), bundle.codec))


def code_patterns(bundle: Bundle) -> tuple[NDArray[np.float32], list[int]]:
    """Return the inputs of all patterns of a bundle's recipe, and their labels."""
    settings, codec = read_settings(bundle), bundle.codec
    assert isinstance(settings, LetterSettings)
    assert isinstance(codec, LetterCodec)
    patterns = alphabet.make_patterns(settings)
    inputs = codec.pad([codec.encode(pattern.sequence) for pattern in patterns])
    return inputs, [codec.alphabet.index(pattern.target) for pattern in patterns]


def code_reviews(bundle: Bundle, source: Path) -> tuple[NDArray[np.int32], list[int]]:
    """Return the inputs of the test reviews, and their labels."""
    codec, test = bundle.codec, imdb.load(source).test
    assert isinstance(codec, ReviewCodec)
    return codec.pad([codec.encode(review.text).ids for review in test]), [review.label for review in test]


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    write_vocabulary(tmp_path / "words.txt", VOCABULARY)
    return tmp_path / "words.txt"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


def test_a_network_for_letters_answers_as_a_bundle_as_it_did_in_pytorch(store: Store, tmp_path: Path) -> None:
    module = LetterReader()
    path = write(module, tmp_path / "weights.pt")
    bundle = exchange.import_bundle(path, find_letters(), "mine", store, None, QUIET, None)
    assert bundle == store.open("mine")
    inputs, labels = code_patterns(bundle)
    expected = answer(module, inputs)
    assert np.ptp(expected, axis=0).max() > 0.01
    np.testing.assert_allclose(serve(bundle, inputs), expected, atol=1e-5)
    assert bundle.manifest.metrics["accuracy"] == pytest.approx((expected.argmax(axis=1) == labels).mean())


@pytest.mark.parametrize("outputs", [1, 2])
def test_a_network_for_reviews_answers_as_a_bundle_as_it_did_in_pytorch(
    store: Store, tmp_path: Path, reviews: Path, vocabulary: Path, outputs: int
) -> None:
    module = ReviewReader(outputs)
    path = write(module, tmp_path / "weights.pt")
    bundle = exchange.import_bundle(path, find_reviews(), "mine", store, reviews, QUIET, vocabulary)
    assert bundle.manifest == store.open("mine").manifest
    inputs, labels = code_reviews(bundle, reviews)
    # "A wonderful film.<br /><br />I call it tender!", in which "tender" is no word of the vocabulary.
    assert [0, 0, 1, 5, 6, 4, 13, 13, 12, 8, 9, 2] in inputs.tolist()
    expected = answer(module, inputs)
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(serve(bundle, inputs), expected, atol=1e-5)
    assert bundle.manifest.metrics["accuracy"] == pytest.approx(((expected[:, 0] >= 0.5) == labels).mean())


@pytest.mark.parametrize("direction", [False, True])
def test_a_network_of_packed_sequences_answers_as_a_masked_bundle(
    store: Store, tmp_path: Path, direction: bool
) -> None:
    """The last state of a packed sequence is that behind its own steps, as that of a masked network."""

    class PackedReader(nn.Module):  # type: ignore[misc]  # PyTorch is not installed everywhere
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(1, UNITS, batch_first=True, bidirectional=direction)
            self.linear = nn.Linear(UNITS * (1 + direction), 26)

        def forward(self, numbers: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
            packed = nn.utils.rnn.pack_padded_sequence(numbers, lengths, batch_first=True, enforce_sorted=False)
            _, (hidden, _) = self.lstm(packed)
            return self.linear(torch.cat(tuple(hidden), dim=1))

    module = PackedReader()
    path = write(module, tmp_path / "weights.pt")
    settings = [
        f"units={UNITS}",
        "mask_padding=true",
        "first_code=1",
        "patterns=all",
        f"bidirectional={direction}".lower(),
    ]
    recipe = recipes.find("alphabet-time-steps").with_settings(settings)
    bundle = exchange.import_bundle(path, recipe, "mine", store, None, QUIET, None)
    inputs, _ = code_patterns(bundle)
    lengths = (inputs != 0).sum(axis=(1, 2))
    assert set(lengths) == {1, 2, 3}
    ends = np.stack([np.roll(row, length - 3, axis=0) for row, length in zip(inputs, lengths, strict=True)])
    with torch.inference_mode():
        expected = module(torch.from_numpy(ends), torch.from_numpy(lengths)).softmax(dim=1).numpy()
    answers = keras.saving.load_model(bundle.model_path).predict(inputs, verbose=0)
    np.testing.assert_allclose(answers, expected, atol=1e-5)


def test_the_manifest_and_the_card_say_where_the_weights_are_from(store: Store, tmp_path: Path) -> None:
    path = write(LetterReader(), tmp_path / "weights.pt")
    bundle = exchange.import_bundle(path, find_letters(), "mine", store, None, QUIET, None)
    manifest = bundle.manifest
    assert (manifest.name, manifest.recipe["name"]) == ("mine", "alphabet-time-steps")
    assert manifest.recipe["converted"] == {"file": "weights.pt", "sha256": hash_file(path)}
    assert manifest.recipe["settings"] == find_letters().settings.model_dump(mode="json")
    assert (manifest.dataset.training_examples, manifest.dataset.test_examples) == (0, 23)
    assert set(manifest.files) == {"model.keras", "model.onnx", "README.md"}
    card = (bundle.folder / "README.md").read_text("utf-8")
    assert f"weights converted from PyTorch (`weights.pt`, SHA-256 `{hash_file(path)}`)" in card
    options = f"--set units={UNITS} --set 'further_units=[{UNITS}]' --name mine"
    assert f"`python -m training convert from-torch weights.pt alphabet-time-steps {options}` makes this bundle" in card
    assert "On 23 examples (the patterns of the recipe)" in card
    assert "`units`" in card
    assert "`epochs`" not in card  # nothing is known of the training
    assert manifest.frameworks["torch"] == torch.__version__
    assert "learning-curve" not in card


def test_words_are_those_that_keras_codes_where_no_others_are_given(
    store: Store, tmp_path: Path, reviews: Path
) -> None:
    path = write(ReviewReader(1, words=9_996), tmp_path / "weights.pt")
    recipe = find_reviews("vocabulary_size=10000")
    bundle = exchange.import_bundle(path, recipe, "mine", store, reviews, QUIET, None)
    assert isinstance(bundle.codec, ReviewCodec)
    assert list(bundle.codec.vocabulary) == read_vocabulary(review_coding.KERAS_WORDS)
    assert "--vocabulary 'models/mine/<version>/vocabulary.txt'" in (bundle.folder / "README.md").read_text("utf-8")
    assert set(bundle.manifest.files) == {
        "model.keras",
        "model.onnx",
        "word-vectors.bin",
        "README.md",
        "vocabulary.txt",
        "confusion-matrix.png",
        "roc-curve.png",
        "reference.json",
        "wild.json",
        "wild.png",
    }


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (find_letters("units=6"), "would get weights of the shapes .* set the recipe's units"),
        (find_letters("further_units=[]"), "has 0 embeddings, 2 LSTM layers .* the recipe's 0 embeddings, 1 LSTM lay"),
        (find_letters("bidirectional=true"), "has no 'weight_ih_reverse'; set the recipe's bidirectional"),
        (find_letters("normalisation=layer"), "not a network of nn.LSTM and a linear layer; set normalisation=none"),
    ],
)
def test_a_network_of_another_kind_is_refused_and_leaves_nothing(
    store: Store, tmp_path: Path, recipe: Recipe, message: str
) -> None:
    path = write(LetterReader(), tmp_path / "weights.pt")
    with pytest.raises(ConversionError, match=message):
        exchange.import_bundle(path, recipe, "mine", store, None, QUIET, None)
    assert leftovers(store.root) == []


@pytest.mark.parametrize("setting", ["activation=relu", "recurrent_activation=hard_sigmoid"])
def test_a_recipe_with_activations_that_pytorch_does_not_have_is_refused(
    store: Store, tmp_path: Path, setting: str
) -> None:
    path = write(LetterReader(), tmp_path / "weights.pt")
    with pytest.raises(ConversionError, match="activation"):
        exchange.import_bundle(path, find_letters(setting), "mine", store, None, QUIET, None)


def test_files_that_are_missing_or_something_else_leave_nothing(
    store: Store, tmp_path: Path, reviews: Path, vocabulary: Path
) -> None:
    path = write(ReviewReader(1), tmp_path / "weights.pt")
    nothing, recipe = tmp_path / "nothing", find_reviews()
    with pytest.raises(FileNotFoundError, match="nothing"):
        exchange.import_bundle(nothing, recipe, "mine", store, reviews, QUIET, vocabulary)
    with pytest.raises(ConversionError, match="words.txt holds no state dict"):
        exchange.import_bundle(vocabulary, recipe, "mine", store, reviews, QUIET, vocabulary)
    with pytest.raises(FileNotFoundError, match="nothing"):
        exchange.import_bundle(path, recipe, "mine", store, reviews, QUIET, nothing)
    with pytest.raises(DataError, match="there is no .*nothing"):
        exchange.import_bundle(path, recipe, "mine", store, nothing, QUIET, vocabulary)
    assert leftovers(store.root) == []


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (VOCABULARY[:-1], ConversionError, "has 11 words, vocabulary_size=16 needs 12 .* set vocabulary_size=15"),
        (["<pad>", "<unk>", *VOCABULARY[2:]], ConversionError, "line 1: '<pad>' is a reserved word; the ids of this"),
        ([*VOCABULARY[:-1], "film"], DataError, "line 12: 'film' stands on line 1 already"),
    ],
)
def test_a_vocabulary_that_does_not_fit_is_refused(
    store: Store, tmp_path: Path, reviews: Path, words: list[str], error: type[Exception], message: str
) -> None:
    path = write(ReviewReader(1), tmp_path / "weights.pt")
    write_vocabulary(tmp_path / "words.txt", words)
    with pytest.raises(error, match=message):
        exchange.import_bundle(path, find_reviews(), "mine", store, reviews, QUIET, tmp_path / "words.txt")
    assert leftovers(store.root) == []


def test_words_and_marks_have_to_be_given(store: Store, tmp_path: Path, reviews: Path) -> None:
    path = write(ReviewReader(1), tmp_path / "weights.pt")
    recipe = find_reviews("tokeniser=words", "ranks=counted")
    with pytest.raises(ConversionError, match="tokeniser=words has no words of its own; .* --vocabulary"):
        exchange.import_bundle(path, recipe, "mine", store, reviews, QUIET, None)
    assert leftovers(store.root) == []


def test_a_bundle_for_reviews_answers_in_pytorch_as_it_did(small_store: Store, tmp_path: Path, reviews: Path) -> None:
    bundle = small_store.open("imdb-500")
    exchange.export_bundle(bundle, tmp_path / "weights.pt")
    settings = read_settings(bundle)
    network = torch_network.Network(settings, 4, classes=1, vocabulary_size=10_000)
    network.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    inputs, _ = code_reviews(bundle, reviews)
    np.testing.assert_allclose(torch_network.predict(network, inputs), serve(bundle, inputs), atol=1e-5)


@pytest.mark.parametrize(("name", "features"), [("alphabet-variable-length", 1), ("alphabet-window", 3)])
def test_a_bundle_for_letters_answers_in_pytorch_as_it_did(
    small_store: Store, tmp_path: Path, name: str, features: int
) -> None:
    bundle = small_store.open(name)
    exchange.export_bundle(bundle, tmp_path / "weights.pt")
    network = torch_network.Network(read_settings(bundle), features)
    network.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    inputs, _ = code_patterns(bundle)
    np.testing.assert_allclose(torch_network.predict(network, inputs), serve(bundle, inputs), atol=1e-5)


def test_a_bundle_that_went_to_pytorch_and_back_is_the_same_network(
    small_store: Store, store: Store, tmp_path: Path
) -> None:
    bundle = small_store.open("alphabet-window")
    exchange.export_bundle(bundle, tmp_path / "weights.pt")
    recipe = recipes.find("alphabet-window").with_settings(["units=4"])
    again = exchange.import_bundle(tmp_path / "weights.pt", recipe, "back", store, None, QUIET, None)
    weights, others = (keras.saving.load_model(one.model_path).get_weights() for one in (again, bundle))
    assert all(map(np.array_equal, weights, others))
    assert again.manifest.metrics == bundle.manifest.metrics


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("sentiment", "mask_padding=false, pooling=last"),
        ("next-letter", "mask_padding=false, features=0"),
        ("alphabet-stateful", "mask_padding=false, stateful=false"),
    ],
)
def test_a_bundle_that_is_more_than_pytorch_has_is_refused(
    small_store: Store, tmp_path: Path, name: str, wanted: str
) -> None:
    message = rf"{name}/1 has more than nn.LSTM and a linear layer; these would have {wanted}$"
    with pytest.raises(ConversionError, match=message):
        exchange.export_bundle(small_store.open(name), tmp_path / "weights.pt")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle of the recipe that is trained with PyTorch, briefly."""
    store = Store(tmp_path_factory.mktemp("models"))
    recipe = recipes.find("torch").with_settings(["units=4", "epochs=3"])
    return pipeline.train(recipe, recipe.name, store, Sources(), QUIET)


def test_the_bundle_of_a_network_trained_with_pytorch_answers_as_that_does(trained: Bundle) -> None:
    settings = read_settings(trained)
    assert isinstance(settings, LetterSettings)
    inputs, labels = code_patterns(trained)
    network, history = torch_network.train(settings, Examples(inputs, np.array(labels, np.int32)))
    assert len(history["loss"]) == 3
    np.testing.assert_allclose(serve(trained, inputs), torch_network.predict(network, inputs), atol=1e-5)


def test_a_training_with_pytorch_that_diverges_says_so(store: Store) -> None:
    recipe = recipes.find("torch").with_settings(["units=64", "epochs=9", "learning_rate=1e37"])
    with pytest.raises(DivergedError, match="try a lower learning_rate"):
        pipeline.train(recipe, "torch", store, Sources(), QUIET)
    assert leftovers(store.root) == []


def test_the_manifest_of_a_network_trained_with_pytorch_says_so(trained: Bundle) -> None:
    settings = trained.manifest.recipe["settings"]
    assert isinstance(settings, dict)
    assert (settings["framework"], settings["epochs"]) == ("torch", 3)
    assert "converted" not in trained.manifest.recipe
    assert (trained.folder / "learning-curve.png").exists()
    assert trained.manifest.dataset.training_examples == 23


def test_the_manifest_of_a_network_trained_with_pytorch_has_its_version(trained: Bundle) -> None:
    assert trained.manifest.frameworks["torch"] == torch.__version__


def test_a_training_with_pytorch_starts_from_the_weights_of_a_bundle(trained: Bundle, store: Store) -> None:
    recipe = recipes.find("torch").with_settings(["units=4", "epochs=1", "learning_rate=1e-12"])
    begun = pipeline.train(recipe, recipe.name, store, Sources(), QUIET, trained)
    weights, others = (keras.saving.load_model(one.model_path).get_weights() for one in (begun, trained))
    assert all(np.allclose(one, other, atol=1e-6) for one, other in zip(weights, others, strict=True))


def test_without_pytorch_whatever_needs_it_says_how_to_get_it(
    small_store: Store, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    path, recipe = tmp_path / "weights.pt", recipes.find("torch")
    path.write_bytes(b"weights")
    message = "^torch is not installed, which this needs; run `make torch`$"
    with pytest.raises(MissingPackageError, match=message):
        exchange.import_bundle(path, find_letters(), "mine", store, None, QUIET, None)
    with pytest.raises(MissingPackageError, match=message):
        exchange.export_bundle(small_store.open("imdb-500"), tmp_path / "other.pt")
    with pytest.raises(MissingPackageError, match=message):
        pipeline.train(recipe, recipe.name, store, Sources(), QUIET)
    assert leftovers(tmp_path) == [path]
