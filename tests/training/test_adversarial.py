from typing import Literal

import keras
import numpy as np
import pytest

from bundle.reviews import ReviewPreprocessing, TokenTokeniser
from training import networks
from training.adversarial import UNLABELLED, AdversarialNetwork, find_gradient
from training.settings import LanguageSettings, StagedSettings, TuningSettings

WORDS, LENGTH = 20, 7


def make_tuning(adversarial: Literal["none", "supervised", "virtual"], **changes: float) -> TuningSettings:
    values = {"units": 5, "language": LanguageSettings(passes=1), "epochs": 1, "adversarial": adversarial}
    plain = {"embedding_dropout": 0, "output_dropout": 0, "word_dropout": 0}
    return TuningSettings.model_validate(values | plain | changes)


def make_network(tuning: TuningSettings) -> AdversarialNetwork:
    settings = StagedSettings(
        vocabulary_size=WORDS,
        endings=0,
        length=LENGTH,
        embedding=3,
        validation_share=0.1,
        teacher=tuning,
        student=tuning,
    )
    preprocessing = ReviewPreprocessing(tokeniser=TokenTokeniser(), vocabulary_size=WORDS, length=LENGTH)
    keras.utils.set_random_seed(7)
    network = AdversarialNetwork(
        networks.build_review_network(settings.network(tuning), preprocessing, any_length=True), tuning, 7
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
    x, y = keras.ops.convert_to_tensor(ids), keras.ops.convert_to_tensor(labels)
    return float(network.compute_loss(x, y, network(x, training=training), training=training))


def cross_entropy(labels: np.ndarray, answers: np.ndarray) -> np.ndarray:
    found: np.ndarray = -(labels * np.log(answers) + (1 - labels) * np.log(1 - answers))
    return found


def test_without_a_worst_case_the_loss_is_that_of_the_labels_there_are(ids: np.ndarray) -> None:
    network = make_network(make_tuning("none"))
    expected = cross_entropy(LABELS[:3], network(ids).numpy()[:3]).mean()
    assert loss_of(network, ids, LABELS) == pytest.approx(expected, rel=1e-5)


def test_answers_are_those_of_the_network_whatever_the_length(ids: np.ndarray) -> None:
    network = make_network(make_tuning("none"))
    padded = np.pad(ids, ((0, 0), (4, 0)))
    np.testing.assert_allclose(network(padded), network.network(ids), atol=1e-6)


@pytest.mark.parametrize("adversarial", ["supervised", "virtual"])
def test_the_worst_step_is_worse_than_others_of_its_length(
    ids: np.ndarray, adversarial: Literal["supervised", "virtual"]
) -> None:
    network = make_network(make_tuning(adversarial, epsilon=0.5))
    clean = make_network(make_tuning("none"))
    answers, labels = network(ids).numpy(), LABELS.copy()
    aims, counted = (answers, [0, 1, 2, 3]) if adversarial == "virtual" else (labels, [0, 1, 2])
    worst = loss_of(network, ids, labels) - loss_of(clean, ids, labels)
    words = network._embedding(ids).numpy()
    random = np.random.default_rng(7)
    for _ in range(20):
        step = random.normal(size=words.shape) * (ids > 0)[:, :, np.newaxis]
        step *= 0.5 / np.sqrt((step**2).sum(axis=(1, 2), keepdims=True))
        moved = network._behind([words + step.astype(np.float32), ids]).numpy()
        assert cross_entropy(aims, moved)[counted].mean() < worst
    assert worst > cross_entropy(aims, answers)[counted].mean()


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
