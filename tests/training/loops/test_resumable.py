import os
import signal
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from rich.console import Console

from training.errors import CheckpointError, DivergedError
from training.loops import resumable
from training.loops.resumable import AveragingAdam, fit_resumably, read_history

QUIET = Console(quiet=True)


class Numbers(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """Batches that depend on the number of their epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.epoch = 0

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        inputs = np.random.default_rng([self.epoch, index]).normal(size=(8, 4)).astype(np.float32)
        return inputs, inputs.sum(axis=1, keepdims=True)


def make_network() -> keras.Model:
    keras.utils.set_random_seed(7)
    inputs = keras.Input((4,))
    network = keras.Model(inputs, layers.Dense(1)(layers.Dropout(0.5, seed=7)(layers.Dense(6)(inputs))))
    rate = keras.optimizers.schedules.CosineDecay(0.05, 15)
    network.compile(AveragingAdam(rate, momentum=0.9, shares=(1, 1, 1, 1)), "mse", jit_compile=True)
    return network


def weights(network: keras.Model) -> np.ndarray:
    return np.concatenate([weight.ravel() for weight in network.get_weights()])


def test_what_is_stopped_after_any_epoch_ends_as_what_never_was(tmp_path: Path) -> None:
    whole = make_network()
    history = fit_resumably(whole, Numbers(), 5, tmp_path / "whole.npz", QUIET)
    assert len(history["loss"]) == len(history["seconds"]) == 5
    for epochs in range(1, 6):
        network = make_network()
        stopped = fit_resumably(network, Numbers(), epochs, tmp_path / "stopped.npz", QUIET)
    np.testing.assert_array_equal(weights(network), weights(whole))
    assert stopped["loss"] == history["loss"] == read_history(tmp_path / "stopped.npz")["loss"]


def test_weights_are_replaced_by_their_average_for_a_while(tmp_path: Path) -> None:
    network, found, expected = make_network(), [], 0.0

    def measure() -> dict[str, float]:
        with network.optimizer.averaged(network.trainable_variables):
            found.append(weights(network))
        return {"first": float(weights(network)[0])}

    class Single(Numbers):
        def __len__(self) -> int:
            return 1

    history = fit_resumably(network, Single(), 6, tmp_path / "checkpoint.npz", QUIET, measure)
    for step, weight in enumerate(history["first"]):
        expected = weight if step == 0 else 0.9 * expected + 0.1 * weight
        assert found[step][0] == pytest.approx(expected, abs=1e-6)


def test_some_weights_are_trained_slower() -> None:
    moved = []
    for share in (1, 0.25):
        network, before = make_network(), weights(make_network())
        network.optimizer._shares = (share, 1, 1, 1)
        network.fit(Numbers(), steps_per_epoch=1, shuffle=False, verbose=0)
        moved.append(weights(network) - before)
    np.testing.assert_allclose(moved[1][:24], moved[0][:24] / 4, atol=1e-6)
    np.testing.assert_allclose(moved[1][24:], moved[0][24:], atol=1e-6)
    assert abs(moved[0]).min() > 0


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    fit_resumably(make_network(), Numbers(), 1, tmp_path / "checkpoint.npz", QUIET)
    inputs = keras.Input((4,))
    other = keras.Model(inputs, layers.Dense(1)(inputs))
    other.compile("adam", "mse")
    with pytest.raises(CheckpointError, match="checkpoint.npz belongs to another network; remove it"):
        fit_resumably(other, Numbers(), 2, tmp_path / "checkpoint.npz", QUIET)


def test_a_training_that_diverges_ends_at_once_and_keeps_the_epoch_before(tmp_path: Path) -> None:
    class Broken(Numbers):
        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            inputs, labels = super().__getitem__(index)
            return inputs, labels * (np.nan if self.epoch == 2 else 1)

    with pytest.raises(DivergedError, match="the loss is nan before checkpoint 3"):
        fit_resumably(make_network(), Broken(), 5, tmp_path / "checkpoint.npz", QUIET)
    assert len(read_history(tmp_path / "checkpoint.npz")["loss"]) == 2


def test_a_process_that_dies_while_it_saves_leaves_the_epoch_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = tmp_path / "checkpoint.npz"
    fit_resumably(make_network(), Numbers(), 2, checkpoint, QUIET)
    saved = checkpoint.read_bytes()

    def die(_: int) -> None:
        raise MemoryError

    monkeypatch.setattr(os, "fsync", die)
    with pytest.raises(MemoryError):
        fit_resumably(make_network(), Numbers(), 3, checkpoint, QUIET)
    assert checkpoint.read_bytes() == saved
    monkeypatch.undo()
    assert len(fit_resumably(make_network(), Numbers(), 3, checkpoint, QUIET)["loss"]) == 3


def test_ctrl_c_while_it_is_measured_ends_it_and_keeps_the_epoch(tmp_path: Path) -> None:
    def measure() -> dict[str, float]:
        signal.raise_signal(signal.SIGINT)
        return {"measured": 1.0}

    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for epochs in (1, 2):  # the last one, and one before
            with pytest.raises(KeyboardInterrupt):
                fit_resumably(make_network(), Numbers(), 2, tmp_path / "checkpoint.npz", QUIET, measure)
            assert len(read_history(tmp_path / "checkpoint.npz")["measured"]) == epochs
    finally:
        signal.signal(signal.SIGINT, previous)


def test_an_epoch_is_timed_by_a_step_of_each_shape() -> None:
    class Lengths(Numbers):
        def __len__(self) -> int:
            return 10

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            inputs, labels = super().__getitem__(index)
            return (inputs, labels) if index % 5 else (inputs[:2], labels[:2])

    network = make_network()
    steps: list[tuple[int, ...]] = []
    network.fit = lambda batches, callbacks, **_: run([batches[k][0].shape for k in range(len(batches))], *callbacks)

    def run(shapes: list[tuple[int, ...]], stopwatch: resumable._Stopwatch, given: keras.callbacks.Callback) -> None:
        assert given is interruption
        steps.extend(shapes)
        stopwatch.seconds = [100, 100, 3, 5]

    interruption = keras.callbacks.Callback()
    assert resumable.time_epoch(network, Lengths(), interruption) == 2 * 3 + 8 * 5
    assert steps == [(2, 4), (8, 4)] * 2


def test_what_is_left_is_told_after_every_epoch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit_resumably(make_network(), Numbers(), 2, tmp_path / "checkpoint.npz", Console())
    before, first, second = capsys.readouterr().out.splitlines()
    assert before == "2 checkpoints to go, about 0 min; if stopped, the same command continues from the last one"
    assert first.startswith("checkpoint 1 of 2: loss ") and second.startswith("checkpoint 2 of 2: loss ")
    assert second.endswith("0 min left")
