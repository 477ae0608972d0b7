import keras
import numpy as np
import pytest

from bundle.reviews import ReviewPreprocessing
from bundle.tokenisers import WordTokeniser
from tests.training.films import QUIET, find_settings
from training.distillation.corpus import Corpus
from training.errors import DivergedError
from training.labelled.coding import CodedTexts
from training.labelled.fitting import fit_texts, to_targets
from training.loops.fit import History
from training.networks import builders

LENGTH = 5
PREPROCESSING = ReviewPreprocessing(tokeniser=WordTokeniser(), vocabulary_size=12, length=LENGTH)


def fit(
    outputs: int, patience: int = 9, knows_labels: bool = False, **changes: object
) -> tuple[History, float, keras.Model]:
    """Train on rows whose second word tells the label; return also the accuracy on others."""
    settings = find_settings("length=5")
    tuning = settings.scratch.model_copy(update={"epochs": 6, "batch_size": 8, "short_batch_size": 8} | changes)
    labels = tuple("abc"[: max(outputs, 2)])
    keras.utils.set_random_seed(1)
    network = builders.build_review_network(settings.make_network(tuning, 12, 4, 4), PREPROCESSING, True, labels)
    random = np.random.default_rng(1)
    right = np.arange(48, dtype=np.int32) % len(labels)
    rows = [np.r_[1, 4 + label, random.integers(8, 12, 3)].astype(np.int32) for label in right]
    validation = CodedTexts(Corpus.of(rows[36:]), right[36:], 0)
    history, answers = fit_texts(
        network,
        tuning,
        patience,
        Corpus.of(rows[:36]),
        to_targets(right[:36], outputs),
        validation,
        PREPROCESSING,
        1,
        QUIET,
        knows_labels,
    )
    assert answers == pytest.approx(network.predict(np.stack(rows[36:]), verbose=0), abs=1e-5)
    found = answers.argmax(axis=1) if outputs > 1 else answers[:, 0] >= 0.5
    return history, float(np.mean(found == right[36:])), network


@pytest.mark.parametrize("outputs", [1, 3])
def test_labels_are_learnt(outputs: int) -> None:
    history, accuracy, _ = fit(outputs)
    assert accuracy == 1
    assert history["loss"][-1] < history["loss"][0]
    assert len(history["val_loss"]) == len(history["val_accuracy"]) == len(history["loss"]) <= 6


def test_it_stops_when_the_loss_no_longer_falls() -> None:
    history, _, _ = fit(1, patience=1, learning_rate=3.0, epochs=30)
    rising = [later >= before for before, later in zip(history["val_loss"], history["val_loss"][1:], strict=False)]
    assert rising[-1] and not any(rising[:-1]) and len(history["loss"]) < 30


def test_a_network_that_knows_the_labels_stays_if_no_epoch_is_better() -> None:
    (_, _, kept), (_, _, trained) = (
        fit(1, knows_labels=known, learning_rate=3.0, epochs=1, warm_up=0) for known in (True, False)
    )
    assert np.abs(kept.get_weights()[0]).max() < 0.06 < np.abs(trained.get_weights()[0]).max()


def test_a_training_that_diverges_says_so() -> None:
    with pytest.raises(DivergedError, match="set smaller rates"):
        fit(1, learning_rate=float("inf"), warm_up=0)


def test_labels_become_probabilities() -> None:
    labels = np.array([1, 0], np.int32)
    assert to_targets(labels, 1).tolist() == [[1], [0]]
    assert to_targets(labels, 3).tolist() == [[0, 1, 0], [1, 0, 0]]
