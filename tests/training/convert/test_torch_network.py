from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")

import torch

from training.convert import conversion, torch_network
from training.data import alphabet, letter_coding, review_coding
from training.data.examples import Examples
from training.errors import ConversionError
from training.networks import builders
from training.recipes.letters import LetterSettings
from training.recipes.reviews import ReviewSettings

torch.set_num_threads(1)  # two that wait for one another take forty times as long beside other work

LETTERS = LetterSettings(
    patterns="alphabet",
    length=3,
    framework="torch",
    mask_padding=False,
    units=5,
    learning_rate=1e-2,
    batch_size=4,
    epochs=3,
)
REVIEWS = ReviewSettings(tokeniser="words", vocabulary_size=9, length=6, embedding=2, units=3, batch_size=1, epochs=1)
VARIANTS: dict[str, dict[str, object]] = {
    "single": {},
    "stacked": {"further_units": (4, 2)},
    "bidirectional": {"bidirectional": True},
    "stacked, bidirectional": {"further_units": (4, 2), "bidirectional": True},
}
KINDS: dict[str, LetterSettings | ReviewSettings] = {
    f"{name}, {variant}": settings.model_copy(update=changes)
    for name, settings in (("letters", LETTERS), ("features", LETTERS.model_copy(update={"layout": "features"})))
    for variant, changes in VARIANTS.items()
} | {f"reviews, {variant}": REVIEWS.model_copy(update=changes) for variant, changes in VARIANTS.items()}
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


def build_both(kind: str) -> tuple[keras.Model, torch_network.Network]:
    """Return the networks of both frameworks, each with weights of its own."""
    settings = KINDS[kind]
    if isinstance(settings, LetterSettings):
        network = builders.build_letter_network(settings, letter_coding.make_letter_codec(settings))
        return network, torch_network.Network(settings, network.input_shape[-1])
    words = [f"word{number}" for number in range(settings.vocabulary_size)]
    codec = review_coding.make_review_codec(settings, words)
    return builders.build_review_network(settings, codec.preprocessing), torch_network.Network(
        settings, settings.embedding, classes=1, vocabulary_size=settings.vocabulary_size
    )


def make_inputs(kind: str, count: int = 7) -> NDArray[np.float32] | NDArray[np.int32]:
    settings, random = KINDS[kind], np.random.default_rng(1)
    if isinstance(settings, ReviewSettings):
        return random.integers(0, settings.vocabulary_size, (count, settings.length), np.int32)
    shape = (1, settings.length) if settings.layout == "features" else (settings.length, 1)
    return random.random((count, *shape), np.float32)


@pytest.fixture
def examples() -> Examples:
    """The 23 runs of three letters."""
    codec, patterns = letter_coding.make_letter_codec(LETTERS), alphabet.make_patterns(LETTERS)
    return letter_coding.describe_patterns(codec, LETTERS, patterns, len(patterns))[0]


def change(**changes: object) -> LetterSettings:
    return LETTERS.model_copy(update=changes)


def same(first: torch_network.Network, second: torch_network.Network) -> bool:
    one, other = torch_network.get_state(first), torch_network.get_state(second)
    assert one.keys() == other.keys()
    return all(np.array_equal(one[name], other[name]) for name in one)


@EVERY_KIND
def test_a_network_gives_the_probabilities_of_all_classes(kind: str) -> None:
    _, network = build_both(kind)
    answers = torch_network.predict(network, make_inputs(kind))
    assert answers.dtype == np.float32
    if kind.startswith("reviews"):
        assert answers.shape == (7, 1)
        assert ((answers > 0) & (answers < 1)).all()
    else:
        assert answers.shape == (7, 26)
        assert (answers > 0).all()
        np.testing.assert_allclose(answers.sum(axis=1), 1, rtol=1e-5)


def test_a_network_gives_logits() -> None:
    for kind, classes in (("letters, stacked", 26), ("reviews, bidirectional", 1)):
        _, network = build_both(kind)
        logits = network(torch.from_numpy(make_inputs(kind)))
        assert (logits.shape, logits.dtype) == ((7, classes), torch.float32)
        squashed = logits.sigmoid() if classes == 1 else logits.softmax(dim=1)
        predicted = torch_network.predict(network, make_inputs(kind))
        np.testing.assert_allclose(predicted, squashed.detach().numpy(), rtol=1e-6)


def test_two_outputs_are_compared_by_softmax() -> None:
    network = torch_network.Network(REVIEWS, REVIEWS.embedding, classes=2, vocabulary_size=9)
    answers = torch_network.predict(network, make_inputs("reviews, single"))
    assert answers.shape == (7, 2)
    np.testing.assert_allclose(answers.sum(axis=1), 1, rtol=1e-5)


@EVERY_KIND
def test_the_keras_network_with_the_weights_of_a_network_answers_the_same(kind: str) -> None:
    converted, network = build_both(kind)
    inputs = make_inputs(kind)
    conversion.to_keras(torch_network.get_state(network), converted)
    answers = keras.ops.convert_to_numpy(converted(inputs))
    np.testing.assert_allclose(torch_network.predict(network, inputs), answers, atol=1e-5)


@EVERY_KIND
def test_a_network_with_the_weights_of_a_keras_network_answers_the_same(kind: str) -> None:
    network, converted = build_both(kind)
    network.set_weights([np.random.default_rng(1).normal(size=weight.shape) for weight in network.get_weights()])
    inputs = make_inputs(kind)
    state = {name: torch.from_numpy(value) for name, value in conversion.to_torch(network).items()}
    converted.load_state_dict(state)  # strict: the names are the same
    answers = keras.ops.convert_to_numpy(network(inputs))
    assert np.ptp(answers, axis=0).max() > 1e-3  # the inputs matter
    np.testing.assert_allclose(torch_network.predict(converted, inputs), answers, atol=1e-5)


def test_training_depends_on_the_seed_alone(examples: Examples) -> None:
    first, first_history = torch_network.train(LETTERS, examples)
    torch.rand(3)
    again, again_history = torch_network.train(LETTERS, examples)
    other, other_history = torch_network.train(change(seed=8), examples)
    assert same(first, again)
    assert first_history == again_history
    assert not same(first, other)
    assert first_history != other_history


def test_training_learns(examples: Examples) -> None:
    network, history = torch_network.train(change(units=32, learning_rate=5e-2, epochs=150, batch_size=1000), examples)
    assert history["loss"][0] > 3
    assert history["loss"][-1] < 0.5
    assert history["accuracy"][-1] > 0.9
    assert (torch_network.predict(network, examples.inputs).argmax(axis=1) == examples.labels).mean() > 0.9


def test_one_step_changes_every_weight(examples: Examples) -> None:
    settings = change(further_units=(4,), bidirectional=True, epochs=1, batch_size=100)
    trained, _ = torch_network.train(settings, examples)
    begun, _ = torch_network.train(settings.model_copy(update={"learning_rate": 1e-12}), examples)
    before, after = torch_network.get_state(begun), torch_network.get_state(trained)
    assert len(before) == 2 * 2 * 4 + 2
    assert all(not np.allclose(before[name], after[name], atol=1e-6) for name in before)


@pytest.mark.parametrize("batch_size", [1, 3, 23, 1000])
def test_the_history_is_over_all_examples_of_every_epoch(examples: Examples, batch_size: int) -> None:
    network, history = torch_network.train(change(learning_rate=1e-12, batch_size=batch_size), examples)
    answers = torch_network.predict(network, examples.inputs)
    loss = -np.log(answers[np.arange(23), examples.labels]).mean()
    accuracy = (answers.argmax(axis=1) == examples.labels).mean()
    assert history == {"accuracy": [pytest.approx(accuracy)] * 3, "loss": [pytest.approx(loss, rel=1e-5)] * 3}
    assert all(type(value) is float for values in history.values() for value in values)


def test_without_shuffling_the_examples_come_in_order(examples: Examples) -> None:
    settings = change(shuffle=False, epochs=2)
    trained, _ = torch_network.train(settings, examples)
    torch.manual_seed(settings.seed)
    network = torch_network.Network(settings, 1)
    optimiser = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
    for first in [*range(0, 23, 4)] * 2:
        batch = examples.take(np.arange(first, min(first + 4, 23)))
        logits = network(torch.from_numpy(batch.inputs))
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(batch.labels.astype(np.int64)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert same(trained, network)
    shuffled, _ = torch_network.train(settings.model_copy(update={"shuffle": True}), examples)
    assert not same(shuffled, network)


def test_a_state_survives_its_file(tmp_path: Path) -> None:
    _, network = build_both("reviews, stacked, bidirectional")
    state = torch_network.get_state(network)
    torch_network.write_state(state, tmp_path / "weights.pt")
    found = torch_network.read_state(tmp_path / "weights.pt")
    assert list(found) == list(state)
    assert all(found[name].dtype == np.float32 and np.array_equal(found[name], state[name]) for name in state)


def test_the_file_is_one_that_pytorch_reads(tmp_path: Path) -> None:
    _, network = build_both("letters, bidirectional")
    _, other = build_both("letters, bidirectional")
    torch_network.write_state(torch_network.get_state(network), tmp_path / "weights.pt")
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert same(network, other)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_weights_of_another_precision_are_read_as_float32(tmp_path: Path, dtype: str) -> None:
    torch.save({"a.weight": torch.tensor([[0.5, -2]], dtype=getattr(torch, dtype))}, tmp_path / "weights.pt")
    weight = torch_network.read_state(tmp_path / "weights.pt")["a.weight"]
    assert weight.dtype == np.float32
    assert weight.tolist() == [[0.5, -2]]


def write_text(path: Path) -> None:
    path.write_text("weights: none\n")


def write_nothing(path: Path) -> None:
    path.write_bytes(b"")


def write_half(path: Path) -> None:
    torch.save(torch.nn.Linear(50, 50).state_dict(), path)
    path.write_bytes(path.read_bytes()[:5000])


def write_tensor(path: Path) -> None:
    torch.save(torch.ones(3), path)


@pytest.mark.parametrize("write", [write_text, write_nothing, write_half, write_tensor])
def test_a_file_without_a_state_dict_is_refused_with_advice(tmp_path: Path, write: object) -> None:
    path = tmp_path / "network.pt"
    assert callable(write)
    write(path)
    message = r"network.pt holds no state dict \(\w+\); write it by torch.save\(network.state_dict\(\), path\)$"
    with pytest.raises(ConversionError, match=message):
        torch_network.read_state(path)


def write_module(path: Path) -> None:
    torch.save(torch.nn.Linear(1, 1), path)


def write_program(path: Path) -> None:
    torch.jit.save(torch.jit.trace(torch.nn.Linear(1, 1), torch.ones(1, 1)), path)


def write_other_checkpoint(path: Path) -> None:
    torch.save({"epoch": 3, "model": torch.nn.Linear(1, 1).state_dict()}, path)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of TorchScript, which files still have
@pytest.mark.parametrize(
    ("write", "message"),
    [
        (write_module, "holds a pickled module or other objects of Python, whose code is never run; write it by"),
        (write_program, "holds a program of TorchScript, not weights; write it by torch.save"),
        (
            write_other_checkpoint,
            "holds a checkpoint with epoch, model, and its weights are not under model_state_dict or state_dict",
        ),
    ],
)
def test_a_file_of_another_kind_is_named_for_what_it_is(
    tmp_path: Path, write: Callable[[Path], None], message: str
) -> None:
    write(tmp_path / "network.pt")
    with pytest.raises(ConversionError, match=f"network.pt {message}"):
        torch_network.read_state(tmp_path / "network.pt")


@pytest.mark.parametrize("key", ["model_state_dict", "state_dict"])
def test_the_state_dict_in_a_checkpoint_is_read(tmp_path: Path, key: str) -> None:
    network = torch.nn.Linear(2, 1)
    optimiser = torch.optim.Adam(network.parameters())
    torch.save({"epoch": 3, key: network.state_dict(), "optimizer": optimiser.state_dict()}, tmp_path / "weights.pt")
    state = torch_network.read_state(tmp_path / "weights.pt")
    assert state.keys() == {"weight", "bias"}
    np.testing.assert_array_equal(state["weight"], network.weight.detach().numpy())


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, number: float) -> None:
    torch.save({"a.weight": torch.ones(2), "b.weight": torch.tensor([1, number])}, tmp_path / "weights.pt")
    with pytest.raises(ConversionError, match=r"^b\.weight in .*weights\.pt has infinite or NaN values"):
        torch_network.read_state(tmp_path / "weights.pt")


def test_a_file_that_cannot_be_read_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        torch_network.read_state(tmp_path / "none.pt")
    with pytest.raises(IsADirectoryError):
        torch_network.read_state(tmp_path)


@pytest.mark.parametrize("name", ["none/weights.pt", ""])
def test_a_file_that_cannot_be_written_is_an_error_of_the_system(tmp_path: Path, name: str) -> None:
    with pytest.raises(OSError):
        torch_network.write_state({"a.weight": np.ones((1, 1), np.float32)}, tmp_path / name)
