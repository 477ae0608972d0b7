from typing import Literal

import keras
import numpy as np
import pytest

from bundle.reviews import ReviewPreprocessing
from bundle.tokenisers import TokenTokeniser
from training.distillation.adversarial import AdversarialNetwork, find_gradient
from training.distillation.corpus import UNLABELLED
from training.networks import builders
from training.recipes.staged import LanguageSettings, StagedSettings, TuningSettings

WORDS, LENGTH = 20, 7


def make_tuning(adversarial: Literal["none", "supervised", "virtual"], **changes: float) -> TuningSettings:
    values = {"epochs": 1, "adversarial": adversarial}
    plain = {"embedding_dropout": 0, "output_dropout": 0, "word_dropout": 0}
    return TuningSettings.model_validate(values | plain | changes)


def make_network(tuning: TuningSettings) -> AdversarialNetwork:
    settings = StagedSettings(
        vocabulary_size=WORDS,
        endings=0,
        length=LENGTH,
        validation_share=0.1,
        folds=2,
        language=LanguageSettings(units=5, embedding=3, passes=1),
        teacher=tuning,
        student=tuning,
    )
    preprocessing = ReviewPreprocessing(tokeniser=TokenTokeniser(), vocabulary_size=WORDS, length=LENGTH)
    keras.utils.set_random_seed(7)
    network = AdversarialNetwork(
        builders.build_review_network(settings.published, preprocessing, any_length=True), tuning, 7
    )
    network.network.layers[1].set_weights([np.random.default_rng(7).normal(size=(WORDS, 3))])
    return network


@pytest.fixture
def ids() -> np.ndarray:
    found = np.random.default_rng(7).integers(4, WORDS, (4, LENGTH)).astype(np.int32)
    found[1, :3] = 0
    return found


LABELS = np.array([[1], [0], [0.7], [UNLABELLED]], np.float32)


def loss_of(network: AdversarialNetwork, ids: np.ndarray, labels: np.ndarray, training: bool = True) -> float:
    batch = keras.ops.convert_to_tensor(ids), keras.ops.convert_to_tensor(labels)
    return float(network.compute_loss(y_pred=network(batch, training=training)))


def cross_entropy(labels: np.ndarray, answers: np.ndarray) -> np.ndarray:
    found: np.ndarray = -(labels * np.log(answers) + (1 - labels) * np.log(1 - answers))
    return found


def test_without_a_worst_case_the_loss_is_that_of_the_labels_there_are(ids: np.ndarray) -> None:
    network = make_network(make_tuning("none"))
    expected = cross_entropy(LABELS[:3], network.network(ids).numpy()[:3]).mean()
    assert loss_of(network, ids, LABELS) == pytest.approx(expected, rel=1e-5)


def test_padding_changes_no_loss(ids: np.ndarray) -> None:
    network = make_network(make_tuning("supervised"))
    padded = np.pad(ids, ((0, 0), (4, 0)))
    assert loss_of(network, padded, LABELS) == pytest.approx(loss_of(network, ids, LABELS), rel=1e-5)


@pytest.mark.parametrize("adversarial", ["supervised", "virtual"])
@pytest.mark.parametrize("scale", [1, 3])
def test_the_first_half_is_moved_in_a_worse_way_than_any_other_of_this_length(
    ids: np.ndarray, adversarial: Literal["supervised", "virtual"], scale: float
) -> None:
    network = make_network(make_tuning(adversarial, epsilon=0.05))
    vectors = network.network.layers[1]
    vectors.set_weights([scale * weight for weight in vectors.get_weights()])
    words, labels = vectors(ids).numpy(), LABELS.copy()
    labels[1] = UNLABELLED
    answers = network.network(ids).numpy()
    aims, counted = (answers, [0, 1]) if adversarial == "virtual" else (labels, [0])
    clean = cross_entropy(labels[2], answers[2])
    worst = loss_of(network, ids, labels) - float(clean[0])
    present = (ids[:2] > 0)[:, :, np.newaxis]
    length = 0.05 * np.sqrt((words[:2] ** 2 * present).sum() / (present.sum() * 3))
    steps = np.random.default_rng(7).normal(size=(200, *words[:2].shape)) * present
    steps *= length / np.sqrt((steps**2).sum(axis=(2, 3), keepdims=True))
    moved = (words[:2] + steps).astype(np.float32).reshape(-1, LENGTH, 3)
    tried = network._behind([moved, np.tile(ids[:2], (200, 1))]).numpy().reshape(200, 2, 1)
    assert cross_entropy(aims[:2], tried)[:, counted].mean(axis=(1, 2)).max() < worst
    given = (words[:2], ids[:2], labels[:2], np.array([[1], [0]], np.float32), words[:2])
    moved, *_ = network._move(*map(keras.ops.convert_to_tensor, given))
    lengths = np.sqrt(((moved.numpy() - words[:2]) ** 2).sum(axis=(1, 2)))
    np.testing.assert_allclose(lengths[counted], length, rtol=1e-4)


def test_word_vectors_are_moved_behind_their_dropout(ids: np.ndarray) -> None:
    tuning = make_tuning("supervised", embedding_dropout=0.5, epsilon=1e-9)
    network, same = make_network(tuning), make_network(tuning)
    words = network._dropout(network._embedding(ids), training=True)
    assert (words.numpy() == 0).any()
    answers = network._behind([words, keras.ops.convert_to_tensor(ids)]).numpy()
    labels = np.abs(LABELS)
    expected = sum(cross_entropy(labels[part], answers[part]).mean() for part in (slice(2), slice(2, 4)))
    assert loss_of(same, ids, labels) == pytest.approx(expected, rel=1e-5)


def test_unlabelled_reviews_count_against_the_own_answer_alone(ids: np.ndarray) -> None:
    none = np.full_like(LABELS, UNLABELLED)
    assert loss_of(make_network(make_tuning("supervised")), ids, none) == 0
    assert loss_of(make_network(make_tuning("virtual")), ids, none) > 0


def test_a_network_that_is_only_asked_has_no_worst_case(ids: np.ndarray) -> None:
    plain = loss_of(make_network(make_tuning("none")), ids, LABELS, training=False)
    assert loss_of(make_network(make_tuning("virtual")), ids, LABELS, training=False) == plain


def test_the_gradient_is_that_of_the_function() -> None:
    at = keras.ops.convert_to_tensor(np.array([1.0, -2.0, 3.0], np.float32))
    found = find_gradient(lambda x: keras.ops.sum(x**3), at)
    np.testing.assert_allclose(found, [3, 12, 27])
