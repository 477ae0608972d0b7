from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
import onnx
import pytest
from keras import layers, ops

from bundle.letters import LetterCodec
from bundle.reviews import ReviewCodec, WordCoding
from bundle.tokenisers import WordTokeniser
from tests.training.export.networks import IDS, make_codec, make_network
from training.errors import ExportError
from training.export.builder import OPSET
from training.export.graph import translate
from training.export.padding_states import find_states
from training.export.quantisation import quantise
from training.export.rows import make_rows
from training.export.values import Graph
from training.networks.onnx_network import OnnxNetwork

CODEC = make_codec()


def export(network: keras.Model, **options: Any) -> Graph:
    return translate(network, CODEC, partial(find_states, codec=CODEC), **options)


@dataclass(frozen=True)
class Words:
    """What networks begin with."""

    ids: keras.KerasTensor
    vectors: keras.KerasTensor
    mask: keras.KerasTensor


Answer = Callable[[Words], Any]


def on_words(answer: Answer) -> keras.Model:
    keras.utils.set_random_seed(0)
    ids = keras.Input((20,), dtype="int32", name="ids")
    vectors = layers.Embedding(IDS, 4, name="words")(ids)
    return keras.Model(ids, answer(Words(ids, vectors, ops.not_equal(ids, 0))))


def assert_answers_as_keras(network: keras.Model) -> None:
    rows = make_rows(CODEC)[1:]
    answers = OnnxNetwork(export(network).model.SerializeToString()).run(rows)
    np.testing.assert_allclose(answers, network.predict(CODEC.pad(rows), verbose=0), atol=1e-6)


def test_the_graph_is_plain_onnx_with_named_inputs_and_outputs() -> None:
    model = export(make_network()).model
    assert [(each.domain, each.version) for each in model.opset_import] == [("", OPSET)]
    assert {node.domain for node in model.graph.node} == {""}
    shapes = {
        each.name: [axis.dim_param or axis.dim_value for axis in each.type.tensor_type.shape.dim]
        for each in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {"ids": ["rows", "steps"], "lengths": ["rows"], "probabilities": ["rows", 1]}
    onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize("mask", [True, False])
def test_padding_is_left_out_with_a_mask_and_without(mask: bool) -> None:
    graph = export(make_network(mask=mask))
    assert not graph.every_step
    assert len(graph.unmasked) == (not mask)


def test_what_fills_a_row_up_changes_no_answer() -> None:
    for mask in (True, False):
        network = OnnxNetwork(export(make_network(mask=mask)).model.SerializeToString())
        rows = [np.array([1, 4, 5], np.int32), np.arange(1, 9, dtype=np.int32)]
        np.testing.assert_array_equal(network.run(rows)[0], network.run(rows[:1])[0])


def test_an_lstm_of_two_directions_without_a_mask_takes_every_step() -> None:
    network = on_words(lambda words: layers.Dense(1)(layers.Bidirectional(layers.LSTM(3))(words.vectors)))
    assert export(network).every_step
    assert_answers_as_keras(network)


def test_a_mask_of_a_layer_is_one_too() -> None:
    keras.utils.set_random_seed(0)
    ids = keras.Input((20,), dtype="int32")
    state = layers.LSTM(3)(layers.Embedding(IDS, 4, mask_zero=True)(ids))
    network = keras.Model(ids, layers.Dense(1)(state))
    assert not export(network).unmasked
    assert_answers_as_keras(network)


RIGHT = ReviewCodec(
    WordCoding(
        tokeniser=WordTokeniser(),
        words=IDS - 4,
        length=20,
        padding_id=0,
        start_id=1,
        unknown_id=2,
        rank_offset=3,
        padding_side="right",
        truncation_side="right",
    ),
    CODEC.vocabulary,
)


@pytest.mark.parametrize("mask", [True, False])
@pytest.mark.parametrize(
    "read",
    [
        lambda: [layers.LSTM(3)],
        lambda: [layers.LSTM(4, return_sequences=True), layers.LayerNormalization(), layers.LSTM(3)],
        lambda: [layers.Bidirectional(layers.LSTM(3, return_sequences=True)), layers.Bidirectional(layers.LSTM(2))],
    ],
    ids=["one", "stacked", "both ways"],
)
def test_padding_on_the_right_is_read_where_nothing_masks_it(
    read: Callable[[], list[layers.Layer]], mask: bool
) -> None:
    keras.utils.set_random_seed(0)
    words = layers.Embedding(IDS, 4, embeddings_initializer="normal", mask_zero=mask)
    network = keras.Sequential([keras.Input((20,)), words, *read(), layers.Dense(3, "softmax")])
    graph = translate(network, RIGHT, partial(find_states, codec=RIGHT))
    assert graph.every_step != mask
    rows = make_rows(RIGHT)
    answers = OnnxNetwork(graph.model.SerializeToString()).run(rows)
    np.testing.assert_allclose(answers, network.predict(RIGHT.pad(rows), verbose=0), atol=1e-6)


@pytest.mark.parametrize("make", [lambda: layers.Activation("softmax"), layers.Softmax])
def test_an_activation_may_be_a_layer(make: Callable[[], layers.Layer]) -> None:
    assert_answers_as_keras(on_words(lambda words: make()(layers.Dense(3)(layers.LSTM(3)(words.vectors)))))


def test_a_sequential_network_is_exported() -> None:
    keras.utils.set_random_seed(0)
    stack = [keras.Input((20,), dtype="int32"), layers.Embedding(IDS, 4), layers.LSTM(3), layers.Dense(2, "softmax")]
    assert_answers_as_keras(keras.Sequential(stack))


def test_values_that_are_not_zero_at_padding_are_cleared_before_they_are_added_up() -> None:
    def answer(words: Words) -> Any:
        states = layers.LayerNormalization()(layers.LSTM(3, return_sequences=True)(words.vectors, mask=words.mask))
        present = ops.cast(ops.expand_dims(words.mask, -1), "float32")
        return layers.Dense(1)(ops.sum(states * present, axis=1) / ops.sum(present, axis=1))

    assert_answers_as_keras(on_words(answer))


def test_an_answer_may_depend_on_the_number_of_steps() -> None:
    def answer(words: Words) -> Any:
        logit = layers.Dense(1)(layers.LSTM(3)(words.vectors, mask=words.mask))
        steps = ops.sum(ops.cast(ops.expand_dims(words.mask, -1), "float32"), axis=1)
        return layers.Dense(1, "sigmoid")(ops.concatenate([logit, logit / steps], axis=-1))

    assert_answers_as_keras(on_words(answer))


@pytest.mark.parametrize("activation", ["linear", "relu", "sigmoid", "softmax", "tanh"])
def test_every_activation_of_a_dense_layer(activation: str) -> None:
    assert_answers_as_keras(
        on_words(lambda words: layers.Dense(3, activation)(layers.LSTM(3)(words.vectors, mask=words.mask)))
    )


def test_8_bits_keep_the_answers_of_a_row_whatever_is_beside_it() -> None:
    network = make_network(units=5)
    quantised = OnnxNetwork(quantise(export(network, with_anchors=True)).SerializeToString())
    rows = make_rows(CODEC)[1:]
    together = quantised.run(rows)
    np.testing.assert_array_equal(together, np.concatenate([quantised.run([row]) for row in rows]))
    np.testing.assert_allclose(together, network.predict(CODEC.pad(rows), verbose=0), atol=0.01)


def lstm(**options: Any) -> layers.LSTM:
    return layers.LSTM(3, name="reader", **options)


REFUSED: dict[str, tuple[Answer, str]] = {
    "another layer": (
        lambda words: layers.Dense(1)(layers.GRU(3, name="reader")(words.vectors)),
        r"the layer 'reader' \(GRU\) cannot be exported",
    ),
    "another operation": (
        lambda words: layers.Dense(1)(ops.sort(layers.LSTM(3)(words.vectors))),
        r"the operation 'sort.*' \(Sort\) cannot be exported",
    ),
    "another mask": (
        lambda words: layers.Dense(1)(lstm()(words.vectors, mask=ops.not_equal(words.ids, 2))),
        r"\(NotEqual\) masks values that are not the padding",
    ),
    "a mask beside what reads padding": (
        lambda words: layers.Dense(1)(
            ops.concatenate(
                [
                    layers.Bidirectional(layers.LSTM(2))(words.vectors),
                    layers.LSTM(4)(words.vectors, mask=ops.not_equal(words.ids, 0)),
                ]
            )
        ),
        r"\(NotEqual\) masks padding that another layer reads",
    ),
    "backwards alone": (
        lambda words: layers.Dense(1)(lstm(go_backwards=True)(words.vectors)),
        "the layer 'reader' only goes backwards",
    ),
    "another merge": (
        lambda words: layers.Dense(1)(layers.Bidirectional(lstm(), merge_mode="sum", name="reader")(words.vectors)),
        r"the layer 'reader' \(Bidirectional\) is not a bidirectional LSTM",
    ),
    "another type": (
        lambda words: layers.Dense(1)(lstm(dtype="float16")(words.vectors)),
        r"the layer 'reader' \(LSTM\) computes in float16",
    ),
    "an activation of the LSTM": (
        lambda words: layers.Dense(1)(lstm(activation="gelu")(words.vectors)),
        "the layer 'reader' has the activation gelu",
    ),
    "an activation behind it": (
        lambda words: layers.Dense(1, "gelu", name="answer")(lstm()(words.vectors)),
        r"the layer 'answer' \(Dense\) has the activation gelu",
    ),
    "an activation as a layer": (
        lambda words: layers.Activation("gelu", name="last")(layers.Dense(1)(lstm()(words.vectors))),
        r"the layer 'last' \(Activation\) has the activation gelu",
    ),
    "a sum over padding": (
        lambda words: layers.Dense(1)(ops.sum(layers.Dense(2)(words.vectors), axis=1)),
        r"\(Sum\) adds up padding",
    ),
    "a sum over features": (
        lambda words: layers.Dense(1)(ops.max(words.vectors, axis=-1)),
        r"\(Max\) pools over an axis that is not the steps",
    ),
    "answers for steps": (
        lambda words: layers.Dense(1)(lstm(return_sequences=True)(words.vectors)),
        "does not give one answer for a row",
    ),
    "normalisation over the steps": (
        lambda words: layers.Dense(1)(lstm()(layers.BatchNormalization(axis=1, name="steps")(words.vectors))),
        r"the layer 'steps' \(BatchNormalization\) normalises another axis than the features",
    ),
    "layer normalisation over the steps": (
        lambda words: layers.Dense(1)(lstm()(layers.LayerNormalization(axis=[1, 2], name="all")(words.vectors))),
        r"the layer 'all' \(LayerNormalization\) normalises another axis than the features",
    ),
    "joined steps": (
        lambda words: layers.Dense(1)(lstm()(ops.concatenate([words.vectors, words.vectors], axis=-1))),
        "joins values along an axis that is not the features of rows",
    ),
    "a sum of rows with numbers": (
        lambda words: layers.Dense(1)(ops.multiply(lstm()(words.vectors), 2.0)),
        r"\(Multiply\) has an input that cannot be exported",
    ),
}


@pytest.mark.parametrize(("answer", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_exported_is_named(answer: Answer, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        export(on_words(answer))


NOT_IN_8_BITS: dict[str, Answer] = {
    "the layer 'reader' cannot have 8 bits": lambda words: layers.Dense(1)(
        lstm(activation="relu")(words.vectors, mask=words.mask)
    ),
    r"the layer 'between' \(LayerNormalization\) reads an LSTM": lambda words: layers.Dense(1)(
        layers.LSTM(2)(layers.LayerNormalization(name="between")(lstm(return_sequences=True)(words.vectors)))
    ),
}


@pytest.mark.parametrize(("message", "answer"), NOT_IN_8_BITS.items())
def test_what_cannot_have_8_bits_is_named(message: str, answer: Answer) -> None:
    network = on_words(answer)
    assert export(network)
    with pytest.raises(ExportError, match=message):
        export(network, with_anchors=True)


def test_letters_cannot_have_8_bits() -> None:
    codec = LetterCodec(length=5, first_code=1)
    steps = keras.Input((5, 1))
    network = keras.Model(steps, layers.Dense(26)(lstm()(steps)))
    with pytest.raises(ExportError, match="it must read word vectors or another LSTM"):
        translate(network, codec, partial(find_states, codec=codec), with_anchors=True)
