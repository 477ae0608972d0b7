import keras
import numpy as np
import pytest
from rich.console import Console

from bundle.symbols import SymbolCodec
from training.data.sequence_batches import SequenceBatches
from training.data.sequences import Sequences
from training.errors import DivergedError
from training.loops.sequences import fit_sequences
from training.networks.builders import build_every_step_network, build_sequence_network
from training.recipes.sequences import SequenceSettings

QUIET = Console(quiet=True)
CODEC = SymbolCodec(alphabet="abc", length=8)


def make_settings(**changes: object) -> SequenceSettings:
    small = {"units": 8, "embedding": 4, "length": 8, "batch_size": 8, "epochs": 1, "validation_share": 0.5}
    return SequenceSettings.model_validate(small | {"learning_rate": 0.05, "seed": 1} | changes)


def make_batches(*texts: str) -> SequenceBatches:
    ids = np.array([CODEC.alphabet.index(character) + 1 for text in texts for character in text], np.uint8)
    starts = np.concatenate([[0], np.cumsum([len(text) for text in texts])]).astype(np.int64)
    return SequenceBatches(Sequences(ids, starts, np.arange(len(texts), dtype=np.uint64)), 8, 8, 1)


def make_network(settings: SequenceSettings) -> keras.Model:
    keras.utils.set_random_seed(1)
    return build_every_step_network(settings, CODEC)


def test_a_cycle_is_learnt_and_the_figures_are_of_the_targets() -> None:
    settings = make_settings(epochs=12, learning_rate=0.02)
    network = make_network(settings)
    before = network.get_weights()
    batches = make_batches(*["abcabcabc", "bcabcab", "cab"] * 6)
    history = fit_sequences(network, settings, batches, batches, QUIET)
    assert sorted(history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert len(history["loss"]) == 12
    assert history["val_loss"][-1] < 0.4 < history["loss"][0]
    assert history["val_accuracy"][-1] == 1
    assert all((old != new).any() for old, new in zip(before, network.get_weights(), strict=True))
    served = build_sequence_network(settings, CODEC)
    served.set_weights(network.get_weights())
    answers = served.predict(CODEC.pad([CODEC.encode(text) for text in ("abc", "ab", "a")]), verbose=0)
    assert answers.argmax(axis=1).tolist() == [0, 2, 1]


def test_the_training_stops_and_keeps_its_best_weights() -> None:
    settings = make_settings(epochs=30, patience=2)
    network = make_network(settings)
    console = Console(record=True, width=400)
    # What comes next is the other way round in the validation sequences, so they get worse.
    history = fit_sequences(network, settings, make_batches(*["ab" * 4] * 8), make_batches(*["aabb" * 2] * 8), console)
    best = int(np.argmin(history["val_loss"]))
    assert len(history["val_loss"]) == best + 3 < 30
    again = make_network(settings)
    fit_sequences(again, make_settings(epochs=best + 1), make_batches(*["ab" * 4] * 8), make_batches("ab"), QUIET)
    for kept, expected in zip(network.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(kept, expected, atol=1e-5)
    printed = console.export_text()
    assert "56 characters in 1 step an epoch, about" in printed and "at most 30 epochs, about" in printed
    assert f"epoch {best + 1} of 30: loss" in printed


def test_a_training_that_diverges_is_an_error() -> None:
    settings = make_settings(epochs=3, learning_rate=1e38)
    with pytest.raises(DivergedError, match="try a lower learning_rate or set clip_norm"):
        fit_sequences(make_network(settings), settings, make_batches("abc", "cab"), make_batches("abc"), QUIET)
