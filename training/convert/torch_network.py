"""The same networks in PyTorch, with their own training loop; imported only when PyTorch is used."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bundle.letters import ALPHABET
from training.convert.state import State
from training.data.examples import Examples
from training.errors import ConversionError
from training.files import replacing
from training.loops.fit import History
from training.recipes.stack import StackSettings, TrainingSettings


class Network(nn.Module):  # type: ignore[misc]  # PyTorch is not installed everywhere
    """An embedding (if the inputs are ids), LSTM layers, and a linear layer over their last state."""

    def __init__(
        self, settings: StackSettings, features: int, classes: int = len(ALPHABET), vocabulary_size: int | None = None
    ) -> None:
        """Build the layers; with a vocabulary, `features` is the size of a word's vector."""
        super().__init__()
        self.embedding = None if vocabulary_size is None else nn.Embedding(vocabulary_size, features)
        self.lstms = nn.ModuleList()
        for units in (settings.units, *settings.further_units):
            self.lstms.append(nn.LSTM(features, units, batch_first=True, bidirectional=settings.bidirectional))
            features = units * (2 if settings.bidirectional else 1)
        self.linear = nn.Linear(features, classes)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return logits, float32 [batch, classes], of float32 [batch, steps, features] or ids, int [batch, steps]."""
        steps = inputs if self.embedding is None else self.embedding(inputs)
        hidden = steps
        for lstm in self.lstms:
            steps, (hidden, _) = lstm(steps)
        # The last state of each direction; in `steps`, the second direction's last state is at the first step.
        logits: torch.Tensor = self.linear(torch.cat(tuple(hidden), dim=1))
        return logits


def train(settings: TrainingSettings, training: Examples, start: State | None = None) -> tuple[Network, History]:
    """Return a network trained with cross-entropy and Adam on float32 inputs, and its loss and accuracy by epoch.

    It starts from random weights, or from the weights in `start`.
    """
    torch.set_num_threads(1)  # threads wait for one another: a step took 40 ms instead of 1 ms on busy cores
    torch.manual_seed(settings.seed)
    network = Network(settings, training.inputs.shape[-1])
    if start:
        network.load_state_dict({name: torch.from_numpy(value) for name, value in start.items()})
    optimiser = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
    inputs, labels = torch.from_numpy(training.inputs), torch.from_numpy(training.labels.astype(np.int64))
    history: History = {"accuracy": [], "loss": []}
    for _ in range(settings.epochs):
        right, loss_sum = 0, 0.0
        for batch in _batches(len(labels), settings):
            logits = network(inputs[batch])
            loss = nn.functional.cross_entropy(logits, labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            right += int((logits.argmax(dim=1) == labels[batch]).sum())
            loss_sum += float(loss.detach()) * len(batch)
        history["accuracy"].append(right / len(labels))
        history["loss"].append(loss_sum / len(labels))
    return network, history


def predict(network: Network, inputs: NDArray[np.generic]) -> NDArray[np.float32]:
    """Return the probabilities of every class, float32 [batch, classes]; with one output, only of the second class."""
    with torch.inference_mode():
        logits = network(torch.from_numpy(inputs))
        probabilities = logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(dim=1)
    answer: NDArray[np.float32] = probabilities.numpy()
    return answer


def get_state(network: Network) -> State:
    """Return the weights of a network by name."""
    return {name: value.numpy() for name, value in network.state_dict().items()}


def read_state(path: Path) -> State:
    """Return the state dict in a file, every weight as float32.

    Raises:
        ConversionError: the file is not a state dict, or has values that are not finite numbers.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        try:
            loaded = torch.load(file, map_location="cpu", weights_only=True)
            state = {str(name): value.float().numpy() for name, value in loaded.items()}
        except Exception as error:  # unpickling raises many kinds of errors
            raise ConversionError(
                f"{path} holds no state dict ({type(error).__name__}); "
                "write it by torch.save(network.state_dict(), path)"
            ) from error
    if wrong := [name for name, value in state.items() if not np.isfinite(value).all()]:
        raise ConversionError(f"{', '.join(wrong)} in {path} has infinite or NaN values; save it before it diverges")
    return state


def write_state(state: State, path: Path) -> None:
    """Write a state dict for `torch.load`, completely or not at all."""
    with replacing(path) as file:  # torch.save itself raises RuntimeError if the file cannot be opened
        torch.save({name: torch.from_numpy(value.copy()) for name, value in state.items()}, file)


def _batches(count: int, settings: TrainingSettings) -> Iterator[torch.Tensor]:
    order = torch.randperm(count) if settings.shuffle else torch.arange(count)
    yield from order.split(settings.batch_size)
