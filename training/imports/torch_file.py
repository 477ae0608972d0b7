"""The file of a PyTorch network: its state dict, from whose names and shapes the same network is built in Keras."""

from dataclasses import dataclass
from pathlib import Path

import keras
from keras import layers, ops

from bundle.reviews import ReviewCodec
from training.convert.conversion import Structure, find_structure, to_keras
from training.convert.state import State, require_torch


@dataclass(frozen=True)
class TorchFile:
    """The weights in a file, and what they do not show.

    Attributes:
        state: the weights.
        structure: of the network.
        is_packed: whether its rows are packed, so that it reads no padding.
    """

    state: State
    structure: Structure
    is_packed: bool

    @property
    def writer(self) -> str:
        """What wrote the file."""
        return "PyTorch"

    @property
    def vectors(self) -> int:
        """Number of word vectors."""
        return self.structure.words

    @property
    def steps(self) -> None:
        """The fixed number of steps of a row: there is none."""
        return None

    def build(self, codec: ReviewCodec) -> keras.Model:
        """Return the network with its weights; it reads the rows of a codec and answers with logits."""
        ids = keras.Input((codec.length,), dtype="int32", name="ids")
        steps = layers.Embedding(self.structure.words, self.structure.features)(ids)
        mask = ops.not_equal(ids, codec.preprocessing.padding_id) if self.is_packed else None
        for number, (units, is_bidirectional) in enumerate(self.structure.lstms, 1):
            lstm = layers.LSTM(
                units,
                return_sequences=number < len(self.structure.lstms),
                use_cudnn="auto" if mask is None else False,  # cuDNN does not support padding on the left
            )
            steps = (layers.Bidirectional(lstm) if is_bidirectional else lstm)(steps, mask=mask)
        network = keras.Model(ids, layers.Dense(self.structure.outputs, name="linear")(steps))
        to_keras(self.state, network)
        return network


def read_torch_file(path: Path, is_packed: bool) -> TorchFile:
    """Read a state dict, also one inside a checkpoint: see `torch_network.read_state`.

    Raises:
        ConversionError: it is no state dict, or not that of an nn.Embedding, nn.LSTM layers and an nn.Linear.
        MissingPackageError: PyTorch is not installed.
        OSError: the file cannot be read.
    """
    require_torch()
    from training.convert import torch_network

    state = torch_network.read_state(path)
    return TorchFile(state, find_structure(state), is_packed)
