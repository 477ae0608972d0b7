"""State dicts of networks as users write them, against PyTorch's own answers."""

from pathlib import Path

import keras
import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from bundle.imported_tokenisers import WhitespaceTokeniser
from bundle.reviews import ReviewCodec, Side, WordCoding
from training.errors import ConversionError
from training.imports.torch_file import read_torch_file

torch.set_num_threads(1)  # two that wait for one another take forty times as long beside other work

WORDS, FEATURES, UNITS, LENGTH, PADDING = 9, 4, 3, 6, 1
ROWS = [[5, 6, 7], [2], [8, 3, 4, 5, 6, 2], [7, 7]]


class Reader(nn.Module):  # type: ignore[misc]  # PyTorch is not installed everywhere
    """A network that reads packed rows if it is given their lengths."""

    def __init__(self, outputs: int = 2, *, layers: int = 1, bidirectional: bool = False) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, FEATURES)
        self.reader = nn.LSTM(FEATURES, UNITS, layers, batch_first=True, bidirectional=bidirectional)
        self.head = nn.Linear(UNITS * (2 if bidirectional else 1), outputs)
        self.directions = 2 if bidirectional else 1

    def forward(self, ids: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        steps = self.words(ids)
        if lengths is not None:
            steps = pack_padded_sequence(steps, lengths, batch_first=True, enforce_sorted=False)
        _, (hidden, _) = self.reader(steps)
        return self.head(torch.cat(tuple(hidden[-self.directions :]), dim=1))


def make_codec(side: Side) -> ReviewCodec:
    coding = WordCoding(
        tokeniser=WhitespaceTokeniser(lower=False),
        words=WORDS - 2,
        length=LENGTH,
        padding_id=PADDING,
        start_id=None,
        unknown_id=0,
        rank_offset=1,
        padding_side=side,
        truncation_side="right",
    )
    return ReviewCodec(coding, [f"word{number}" for number in range(WORDS - 2)])


def write(module: nn.Module, path: Path) -> Path:
    torch.manual_seed(1)
    for weight in module.parameters():
        nn.init.normal_(weight)
    torch.save({"epoch": 3, "model_state_dict": module.state_dict()}, path)
    return path


@pytest.mark.parametrize(
    ("side", "is_packed"),
    [("right", True), ("right", False), ("left", False)],
)
@pytest.mark.parametrize(("layers", "bidirectional"), [(1, False), (2, False), (1, True), (2, True)])
def test_the_network_has_the_answers_of_pytorch(
    tmp_path: Path, layers: int, bidirectional: bool, side: Side, is_packed: bool
) -> None:
    module = Reader(layers=layers, bidirectional=bidirectional).eval()
    file = read_torch_file(write(module, tmp_path / "weights.pt"), is_packed)
    assert (file.vectors, file.steps, file.writer) == (WORDS, None, "PyTorch")
    codec = make_codec(side)
    padded = codec.pad([np.array(row, np.int32) for row in ROWS])
    lengths = torch.tensor([len(row) for row in ROWS]) if is_packed else None
    with torch.inference_mode():
        expected = module(torch.from_numpy(padded), lengths).numpy()
    found = keras.ops.convert_to_numpy(file.build(codec)(padded))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.ptp(expected, axis=0).max() > 0.1  # the rows matter


def save(path: Path, **modules: nn.Module) -> Path:
    torch.save(nn.ModuleDict(modules).state_dict(), path)
    return path


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ({"words": nn.Embedding(9, 4), "reader": nn.GRU(4, 3), "head": nn.Linear(3, 1)}, "the file has an nn.GRU"),
        (
            {"reader": nn.LSTM(4, 3), "head": nn.Linear(3, 1)},
            "has 0 embeddings, 1 LSTM layers and 1 linear ones; only one of 1 embedding, LSTM layers and",
        ),
        (
            {"words": nn.Embedding(9, 4), "reader": nn.LSTM(4, 3), "one": nn.Linear(3, 3), "two": nn.Linear(3, 1)},
            "has 1 embeddings, 1 LSTM layers and 2 linear ones",
        ),
        (
            {"words": nn.Embedding(9, 4), "reader": nn.LSTM(4, 3), "head": nn.Linear(6, 1)},
            "the nn.Linear reads 6 features, and the module before it gives 3: the network's forward.. has more steps",
        ),
        (
            {"words": nn.Embedding(9, 4), "reader": nn.LSTM(5, 3), "head": nn.Linear(3, 1)},
            "LSTM layer 0 reads 5 features, and the module before it gives 4",
        ),
        (
            {"words": nn.Embedding(9, 4), "reader": nn.LSTM(4, 3), "norm": nn.LayerNorm(3), "head": nn.Linear(3, 1)},
            "norm.weight belong to no nn.Embedding, nn.LSTM or nn.Linear",
        ),
    ],
)
def test_other_networks_are_refused_by_name(tmp_path: Path, modules: dict[str, nn.Module], message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        read_torch_file(save(tmp_path / "weights.pt", **modules), False)


def test_an_lstm_without_its_matrices_is_refused(tmp_path: Path) -> None:
    state = Reader().state_dict()
    del state["reader.weight_hh_l0"]
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(ConversionError, match="LSTM layer 0 has no matrices weight_ih and weight_hh"):
        read_torch_file(tmp_path / "weights.pt", False)


def test_a_pickled_module_is_never_run(tmp_path: Path) -> None:
    torch.save(Reader(), tmp_path / "weights.pt")
    with pytest.raises(ConversionError, match="a pickled module or other objects of Python, whose code is never run"):
        read_torch_file(tmp_path / "weights.pt", False)
