from functools import partial

import keras
import numpy as np
import pytest
from keras import layers

from bundle.codec import Codec
from bundle.letters import LetterCodec
from tests.training.export.networks import make_codec, make_network
from training.export.graph import translate
from training.export.padding_states import find_states
from training.export.values import Graph, States
from training.networks.onnx_network import OnnxNetwork

CODEC = make_codec(150)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return translate(make_network(150, mask=False), CODEC, partial(find_states, codec=CODEC))


def test_the_states_after_padding_are_those_of_a_row_of_padding(graph: Graph) -> None:
    network = OnnxNetwork(graph.model.SerializeToString())
    # However much of its padding a row brings along, it has the answer of the whole.
    row = np.array([1, 4, 5, 6], np.int32)
    padded = [np.concatenate([np.zeros(steps, np.int32), row]) for steps in (0, 1, 70, 146)]
    np.testing.assert_allclose(np.ptp(network.run(padded)), 0, atol=1e-6)


def test_there_is_a_state_for_every_number_of_steps() -> None:
    found: list[int] = []

    def find(graph: Graph, codec: Codec) -> dict[str, States]:
        states = dict(find_states(graph, codec))
        found.extend(len(each) for pair in states.values() for each in pair)
        for hidden, carry in states.values():
            assert not hidden[0].any() and not carry[0].any()
        return states

    translate(make_network(150, mask=False), CODEC, partial(find, codec=CODEC))
    assert found == [151, 151]


def test_letters_are_read_too() -> None:
    keras.utils.set_random_seed(0)
    steps = keras.Input((5, 1))
    network = keras.Model(steps, layers.Dense(26, "softmax")(layers.LSTM(3)(steps)))
    codec = LetterCodec(length=5, first_code=1)
    graph = translate(network, codec, partial(find_states, codec=codec))
    rows = [codec.encode(text) for text in ("A", "XYZ", "ABCDE")]
    answers = OnnxNetwork(graph.model.SerializeToString(), threads=1).run(rows)
    np.testing.assert_allclose(answers, network.predict(codec.pad(rows), verbose=0), atol=1e-6)
