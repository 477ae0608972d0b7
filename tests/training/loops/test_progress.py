import re
from io import StringIO

import keras
import numpy as np
import pytest
from rich.console import Console

from training.loops import progress
from training.loops.progress import Progress


def train(console: Console, epochs: int = 3) -> str:
    """Return what a training of four steps an epoch prints."""
    inputs = keras.Input((2,))
    network = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(inputs))
    network.compile("adam", "binary_crossentropy", run_eagerly=True)
    with Progress(console, epochs) as shown:
        network.fit(np.zeros((8, 2)), np.zeros(8), batch_size=2, epochs=epochs, callbacks=[shown], verbose=0)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_a_short_training_has_lines_of_its_first_and_last_epoch() -> None:
    lines = train(Console(file=StringIO(), width=200)).splitlines()
    assert re.fullmatch(r"epoch 1 of 3: loss 0\.\d{4}; about \d+ s left", lines[0])
    assert re.fullmatch(r"epoch 3 of 3: loss 0\.\d{4}", lines[-1])


def test_a_long_epoch_has_lines_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    lines = train(Console(file=StringIO(), width=200), epochs=1).splitlines()
    assert [line.split(";")[0] for line in lines[:4]] == [f"epoch 1 of 1, step {step} of 4" for step in (1, 2, 3, 4)]
    assert ["left" in line for line in lines] == [False, True, True, False, False]


def test_a_terminal_has_a_bar_too() -> None:
    written = train(Console(file=StringIO(), width=200, force_terminal=True))
    assert "━" in written
    assert "epoch 3 of 3: loss" in written


def test_a_quiet_console_shows_nothing() -> None:
    assert train(Console(file=StringIO(), quiet=True, force_terminal=True)) == ""
