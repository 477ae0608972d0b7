import re
from collections.abc import Callable

import keras
import numpy as np
import pytest

from tests.cell import sigmoid
from training.convert import conversion
from training.convert.state import Weights
from training.data import letter_coding, review_coding
from training.errors import ConversionError
from training.networks import builders
from training.recipes.letters import LetterSettings
from training.recipes.reviews import ReviewSettings

State = dict[str, Weights]
Change = Callable[[State], State]

LETTERS = LetterSettings(patterns="all", length=4, mask_padding=False, units=3, batch_size=1, epochs=1)
STACKED = LETTERS.model_copy(update={"further_units": (2, 5)})
REVIEWS = ReviewSettings(tokeniser="words", vocabulary_size=9, length=4, embedding=2, units=3, batch_size=1, epochs=1)
KINDS: dict[str, LetterSettings | ReviewSettings] = {
    "single": LETTERS,
    "stacked": STACKED,
    "bidirectional": LETTERS.model_copy(update={"bidirectional": True}),
    "stacked, bidirectional": STACKED.model_copy(update={"bidirectional": True}),
    "embedding": REVIEWS,
    "embedding, bidirectional": REVIEWS.model_copy(update={"bidirectional": True}),
}
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


def build(settings: LetterSettings | ReviewSettings) -> keras.Model:
    """Return the network of some settings, with random weights in place of all, also of biases of zeros."""
    if isinstance(settings, LetterSettings):
        network = builders.build_letter_network(settings, letter_coding.make_letter_codec(settings))
    else:
        words = [f"word{number}" for number in range(settings.vocabulary_size)]
        network = builders.build_review_network(
            settings, review_coding.make_review_codec(settings, words).preprocessing
        )
    network.set_weights([np.random.default_rng().normal(size=weight.shape) for weight in network.get_weights()])
    return network


def rename(pattern: str, replacement: str) -> Change:
    return lambda state: {re.sub(pattern, replacement, name): value for name, value in state.items()}


def add(**weights: tuple[int, ...]) -> Change:
    """Add weights of these shapes; `__` in a name stands for the dot."""
    return lambda state: (
        state | {name.replace("__", "."): np.ones(shape, np.float32) for name, shape in weights.items()}
    )


def drop(pattern: str) -> Change:
    return lambda state: {name: value for name, value in state.items() if not re.search(pattern, name)}


def replace(name: str, *shape: int) -> Change:
    return lambda state: state | {name: np.ones(shape, np.float32)}


def same(first: keras.Model, second: keras.Model) -> bool:
    return all(map(np.array_equal, first.get_weights(), second.get_weights()))


@EVERY_KIND
def test_weights_survive_the_way_to_pytorch_and_back(kind: str) -> None:
    network, copy = build(KINDS[kind]), build(KINDS[kind])
    assert not same(copy, network)
    conversion.to_keras(conversion.to_torch(network), copy)
    assert same(copy, network)


@EVERY_KIND
def test_the_state_for_pytorch_is_float32_in_one_piece(kind: str) -> None:
    state = conversion.to_torch(build(KINDS[kind]))
    assert all(value.dtype == np.float32 and value.flags.c_contiguous for value in state.values())


def test_the_weights_of_every_module_have_the_names_and_shapes_of_pytorch() -> None:
    state = conversion.to_torch(build(STACKED.model_copy(update={"bidirectional": True})))
    assert {name: value.shape for name, value in state.items() if "lstms.1" not in name and "lstms.2" not in name} == {
        **{f"lstms.0.weight_ih_l0{direction}": (12, 1) for direction in ("", "_reverse")},
        **{f"lstms.0.weight_hh_l0{direction}": (12, 3) for direction in ("", "_reverse")},
        **{f"lstms.0.bias_{of}_l0{direction}": (12,) for direction in ("", "_reverse") for of in ("ih", "hh")},
        "linear.weight": (26, 10),
        "linear.bias": (26,),
    }
    assert state["lstms.1.weight_ih_l0_reverse"].shape == (8, 6)
    assert conversion.to_torch(build(REVIEWS))["embedding.weight"].shape == (9, 2)


def test_the_weights_mean_what_the_documentation_of_pytorch_says() -> None:
    network = build(LETTERS)
    state = conversion.to_torch(network)
    inputs = np.random.default_rng(1).random((1, 4, 1), np.float32)
    h = c = np.zeros(3)
    for x in inputs[0]:
        gates = (
            state["lstms.0.weight_ih_l0"] @ x
            + state["lstms.0.bias_ih_l0"]
            + state["lstms.0.weight_hh_l0"] @ h
            + state["lstms.0.bias_hh_l0"]
        )
        i, f, g, o = np.split(gates, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    exponentials = np.exp(state["linear.weight"] @ h + state["linear.bias"])
    answer = keras.ops.convert_to_numpy(network(inputs))[0]
    np.testing.assert_allclose(answer, exponentials / exponentials.sum(), atol=1e-6)


@pytest.mark.parametrize(
    ("embedding", "lstm", "linear"),
    [
        ("words.", "encoder.", "head."),
        ("model.0.", "model.1.", "model.3."),
        ("a.weight_ih_l0.b.", "x_l1.", "weight.bias."),
        ("", "", "out."),
    ],
)
def test_modules_can_have_any_names(embedding: str, lstm: str, linear: str) -> None:
    network, copy = build(REVIEWS), build(REVIEWS)
    prefixes = {"embedding.": embedding, "lstms.0.": lstm, "linear.": linear}
    state = conversion.to_torch(network)
    for ours, theirs in prefixes.items():
        state = {theirs + name.removeprefix(ours) if name.startswith(ours) else name: state[name] for name in state}
    conversion.to_keras(state, copy)
    assert same(copy, network)


def test_modules_of_one_kind_alone_have_to_be_in_order() -> None:
    network, copy = build(STACKED), build(STACKED)
    state = conversion.to_torch(network)
    head_first = sorted(state, key=lambda name: not name.startswith("linear"))
    conversion.to_keras({name: state[name] for name in head_first}, copy)
    assert same(copy, network)


@pytest.mark.parametrize("kind", ["stacked", "stacked, bidirectional"])
@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        (r"lstms\.(\d)\.(\w+)_l0", r"rnn.\2_l\1"),  # one nn.LSTM of three layers
        (r"lstms\.([01])\.(\w+)_l0", r"rnn.\2_l\1"),  # one of two, and another behind it
    ],
)
def test_an_lstm_of_several_layers_is_as_good_as_several_lstms(kind: str, pattern: str, replacement: str) -> None:
    network, copy = build(KINDS[kind]), build(KINDS[kind])
    state = rename(pattern, replacement)(conversion.to_torch(network))
    assert "rnn.weight_ih_l1" in state
    conversion.to_keras(state, copy)
    assert same(copy, network)


def test_both_biases_of_an_lstm_are_added() -> None:
    network = build(LETTERS)
    state = conversion.to_torch(network)
    halves = {"lstms.0.bias_ih_l0": np.arange(12, dtype=np.float32), "lstms.0.bias_hh_l0": np.full(12, 0.5, np.float32)}
    conversion.to_keras(state | halves, network)
    assert network.get_weights()[2].tolist() == [number + 0.5 for number in range(12)]


@pytest.mark.parametrize("kind", ["single", "stacked, bidirectional"])
def test_an_lstm_without_biases_has_biases_of_zero(kind: str) -> None:
    network, copy = build(KINDS[kind]), build(KINDS[kind])
    conversion.to_keras(drop("bias_[ih]h")(conversion.to_torch(network)), copy)
    is_of_an_lstm = [weight.path.endswith("bias") and "lstm" in weight.path for weight in network.weights]
    assert is_of_an_lstm == [False, False, True] * sum(is_of_an_lstm) + [False, False]
    for weight, copied, is_zero in zip(network.get_weights(), copy.get_weights(), is_of_an_lstm, strict=True):
        np.testing.assert_array_equal(copied, np.zeros_like(weight) if is_zero else weight)


def test_of_two_outputs_the_advantage_of_the_second_becomes_the_one() -> None:
    network = build(REVIEWS)
    kernel, bias = np.random.default_rng(1).normal(size=(2, 3)), np.array([0.5, -1])
    head = {"linear.weight": kernel.astype(np.float32), "linear.bias": bias.astype(np.float32)}
    conversion.to_keras(conversion.to_torch(network) | head, network)
    inputs = np.random.default_rng(1).integers(0, 9, (5, 4)).astype(np.int32)
    states = keras.ops.convert_to_numpy(keras.Model(network.input, network.layers[-1].input)(inputs))
    exponentials = np.exp(states @ kernel.T + bias)
    softmax = exponentials / exponentials.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(network(inputs)), softmax[:, 1:], atol=1e-6)


SHAPES = "would get weights of the shapes .*, it has .*; set the recipe's units, embedding, bidirectional and vocabula"


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        (
            "single",
            add(norm__weight=(3,), norm__bias=(3,)),
            "^norm.weight belong to no nn.Embedding, nn.LSTM or nn.Linear; other modules are not supported$",
        ),
        ("single", add(conv__weight=(3, 3, 3), conv__bias=(3,)), "^conv.weight belong to no"),
        ("single", add(cell__weight_ih=(12, 1), cell__weight_hh=(12, 3)), "cell.weight_ih, cell.weight_hh belong to"),
        ("single", add(lstms__0__weight_hr_l0=(2, 3)), "lstms.0.weight_hr_l0 belong to no"),
        ("single", add(scale=(3,)), "^scale belong to no"),
        ("single", add(**{f"x{number}": (1,) for number in range(9)}), "^x0, x1, x2, x3, x4 belong to no"),
        (
            "single",
            add(more__weight_ih_l0=(12, 3), more__weight_hh_l0=(12, 3)),
            "^the PyTorch network has 0 embeddings, 2 LSTM layers and 1 linear ones, "
            "the recipe's 0 embeddings, 1 LSTM layers and 1 linear ones; set the recipe's fields to match ",
        ),
        ("stacked", drop(r"lstms\.2"), "has 0 embeddings, 2 LSTM layers .* the recipe's 0 embeddings, 3 LSTM layers"),
        ("single", add(more__weight=(26, 26), more__bias=(26,)), "and 2 linear ones, .* and 1 linear ones;"),
        ("single", add(words__weight=(9, 2)), "has 1 embeddings, .* the recipe's 0 embeddings"),
        ("embedding", drop("embedding"), "has 0 embeddings, .* the recipe's 1 embeddings"),
        (
            "single",
            drop("linear.bias"),
            "has 1 embeddings, .* .a matrix without a bias counts as an embedding",
        ),
        ("single", drop(""), "has 0 embeddings, 0 LSTM layers and 0 linear ones, "),
        ("single", replace("lstms.0.weight_ih_l0", 16, 1), "an nn.LSTM has biases of the shapes .*, not .16,.$"),
        ("single", replace("linear.weight", 2, 3), SHAPES),
        ("stacked", replace("lstms.2.weight_hh_l0", 20, 4), SHAPES),
        ("embedding", replace("embedding.weight", 10, 2), SHAPES),
        ("embedding", replace("linear.weight", 3, 3), SHAPES),  # neither one output nor two
        (
            "bidirectional",
            drop("_reverse"),
            "^an nn.LSTM has no 'weight_ih_reverse'; set the recipe's bidirectional to match$",
        ),
        ("stacked, bidirectional", drop("1.weight_hh_l0_reverse"), "^an nn.LSTM has no 'weight_hh_reverse'; set"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(kind: str, change: Change, message: str) -> None:
    network = build(KINDS[kind])
    before = network.get_weights()
    state = change(conversion.to_torch(build(KINDS[kind])))
    with pytest.raises(ConversionError, match=message):
        conversion.to_keras(state, network)
    assert all(map(np.array_equal, network.get_weights(), before))


def test_a_bidirectional_lstm_is_refused_where_the_recipe_has_one_direction() -> None:
    network = build(LETTERS)
    state = conversion.to_torch(build(KINDS["bidirectional"]))
    with pytest.raises(ConversionError, match="has a second direction; set bidirectional=true"):
        conversion.to_keras(state, network)


def test_a_bidirectional_lstm_whose_directions_are_added_is_refused() -> None:
    network = build(LETTERS)
    directions = drop("linear")(conversion.to_torch(build(KINDS["bidirectional"])))
    with pytest.raises(ConversionError, match="bidirectional"):
        conversion.to_keras(conversion.to_torch(network) | directions, network)


@pytest.mark.parametrize("normalisation", ["batch", "layer"])
def test_a_network_with_other_weighted_layers_is_refused_both_ways(normalisation: str) -> None:
    network = build(LETTERS.model_copy(update={"normalisation": normalisation}))
    with pytest.raises(ConversionError, match=f"^{normalisation}_normalization.* has no counterpart in an nn.Embedd"):
        conversion.to_torch(network)
    with pytest.raises(ConversionError, match=f"^{normalisation}_normalization.* has no counterpart in an nn.Embedd"):
        conversion.to_keras(conversion.to_torch(build(LETTERS)), network)


@pytest.mark.parametrize(("gates", "module"), [(3, "nn.GRU"), (1, "nn.RNN")])
def test_another_recurrent_module_is_named(gates: int, module: str) -> None:
    state: State = {
        "reader.weight_ih_l0": np.zeros((gates * 3, 1), np.float32),
        "reader.weight_hh_l0": np.zeros((gates * 3, 3), np.float32),
        "head.weight": np.zeros((26, 3), np.float32),
        "head.bias": np.zeros(26, np.float32),
    }
    with pytest.raises(ConversionError, match=f"the file has an {module}, which cannot be converted"):
        conversion.to_keras(state, build(LETTERS))
