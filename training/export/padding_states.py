"""The states that an LSTM without a mask has after padding."""

from collections.abc import Mapping

import numpy as np

from bundle.codec import Codec
from bundle.rows import Row
from training.export.values import Graph, States
from training.networks.onnx_network import OnnxNetwork

_BATCH = 64  # rows at once


def find_states(graph: Graph, codec: Codec) -> Mapping[str, States]:
    """Return, by layer, the states of a graph's unmasked LSTMs after 0, 1, ... steps of padding."""
    network = OnnxNetwork(graph.model.SerializeToString())
    padding: Row = np.full(codec.length, codec.padding)
    names = [name for lstm in graph.unmasked for name in (lstm.hidden, lstm.carry)]
    numbers = range(1, len(padding) + 1)
    parts = [
        network.fetch([padding[:number] for number in numbers[at : at + _BATCH]], names)
        for at in range(0, len(numbers), _BATCH)
    ]
    # There is one direction; the states before the first step are zero.
    joined = (np.concatenate([each[0] for each in found]) for found in zip(*parts, strict=True))
    states = [np.pad(found, [(1, 0), (0, 0)]) for found in joined]
    return {
        lstm.layer: (hidden, carry)
        for lstm, hidden, carry in zip(graph.unmasked, states[::2], states[1::2], strict=True)
    }
