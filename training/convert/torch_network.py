"""The same networks in PyTorch, with their own training loop; imported only when PyTorch is used."""

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

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

_SAVE = "write it by torch.save(network.state_dict(), path)"
# Where checkpoints have the state dict; what else they have, such as the optimiser's state, is ignored.
_STATE_KEYS = ("model_state_dict", "state_dict")


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
    """Return the state dict in a file, or in a checkpoint of a file, every weight as float32.

    Raises:
        ConversionError: the file is not a state dict, or has values that are not finite numbers.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        try:
            loaded = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # unpickling raises many kinds of errors
            raise ConversionError(f"{path} holds {_name_contents(path, error)}; {_SAVE}") from error
    found = next((loaded[key] for key in _STATE_KEYS if key in loaded), loaded) if _is_dict(loaded) else loaded
    if not _is_dict(found):
        raise ConversionError(f"{path} holds no state dict ({type(found).__name__}); {_SAVE}")
    if other := [str(name) for name, value in found.items() if not isinstance(value, torch.Tensor)]:
        raise ConversionError(
            f"{path} holds a checkpoint with {', '.join(other[:5])}, and its weights are not under "
            f"{' or '.join(_STATE_KEYS)}; {_SAVE}"
        )
    state = {str(name): value.float().numpy() for name, value in found.items()}
    if wrong := [name for name, value in state.items() if not np.isfinite(value).all()]:
        raise ConversionError(f"{', '.join(wrong)} in {path} has infinite or NaN values; save it before it diverges")
    return state


def _is_dict(value: Any) -> bool:
    return isinstance(value, Mapping)


def _name_contents(path: Path, error: Exception) -> str:
    """Return what a file holds that PyTorch does not load as numbers alone."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any("/code/" in name for name in archive.namelist()):
                return "a program of TorchScript, not weights"
    if "GLOBAL" in str(error):
        return "a pickled module or other objects of Python, whose code is never run"
    return f"no state dict ({type(error).__name__})"


def write_state(state: State, path: Path) -> None:
    """Write a state dict for `torch.load`, completely or not at all."""
    with replacing(path) as file:  # torch.save itself raises RuntimeError if the file cannot be opened
        torch.save({name: torch.from_numpy(value.copy()) for name, value in state.items()}, file)


def _batches(count: int, settings: TrainingSettings) -> Iterator[torch.Tensor]:
    order = torch.randperm(count) if settings.shuffle else torch.arange(count)
    yield from order.split(settings.batch_size)
