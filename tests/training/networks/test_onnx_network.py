from functools import partial

import numpy as np

from tests.training.export.networks import make_codec, make_network
from training.export.graph import translate
from training.export.padding_states import find_states
from training.export.rows import make_rows
from training.networks.onnx_network import OnnxNetwork

CODEC = make_codec(150)


def test_rows_are_answered_in_their_order_whatever_their_lengths() -> None:
    graph = translate(make_network(150), CODEC, partial(find_states, codec=CODEC))
    network = OnnxNetwork(graph.model.SerializeToString())
    random = np.random.default_rng(0)
    rows = [row for _ in range(3) for row in make_rows(CODEC)]
    shuffled = [rows[index] for index in random.permutation(len(rows))]
    assert len(rows) > 64  # more than are run together
    alone = np.concatenate([network.run([row]) for row in shuffled])
    np.testing.assert_array_equal(network.predict(shuffled), alone)
