from pathlib import Path

import keras
import numpy as np
import pytest
from rich.console import Console

from bundle.reviews import ReviewCodec
from training.data import review_coding
from training.distillation.adversarial import AdversarialNetwork
from training.distillation.corpus import Corpus, Reviews
from training.distillation.language_model import DIRECTIONS
from training.distillation.tuning import give_weights, make_optimiser, tune
from training.networks import builders
from training.recipes.staged import LanguageSettings, StagedSettings, TuningSettings

WORDS = [f"word{number}" for number in range(16)]
GOOD, BAD = 4, 5  # ids that tell the label
KEPT, HELD_OUT = np.arange(16), np.arange(16, 20)  # of 20 labelled reviews


def make_settings(**changes: object) -> StagedSettings:
    values = {"epochs": 8, "length": 12, "batch_size": 4, "learning_rate": 0.05, "recurrent_rate": 1}
    values |= {"checkpoint_steps": 3}
    tuning = TuningSettings.model_validate(values | changes)
    return StagedSettings(
        vocabulary_size=20,
        endings=0,
        length=20,
        validation_share=0.1,
        language=LanguageSettings(units=3, embedding=4, passes=1),
        folds=2,
        teacher=tuning,
        student=tuning,
    )


def make_network(settings: StagedSettings) -> tuple[keras.Model, ReviewCodec]:
    keras.utils.set_random_seed(7)
    codec = review_coding.make_review_codec(settings.published, WORDS)
    return builders.build_review_network(settings.published, codec.preprocessing, True), codec


def make_reviews(codec: ReviewCodec) -> Reviews:
    """Return 20 labelled reviews, the last 4 held out, and 10 others; every one has the word of its label."""
    random, labels = np.random.default_rng(7), np.arange(30) % 2
    texts = [np.r_[1, random.integers(6, 20, random.choice([3, 17])), BAD if label else GOOD] for label in labels]
    corpus = Corpus.of(ids.astype(np.int32) for ids in texts)
    return Reviews(codec, corpus, labels[:20].astype(np.float32), KEPT, HELD_OUT)


class Tuned:
    """A network, how it was trained, what it answers, and on which reviews."""

    def __init__(self, folder: Path, **changes: object) -> None:
        settings = make_settings(**changes)
        self.network, codec = make_network(settings)
        self.reviews = make_reviews(codec)
        self.history, self.answers = tune(
            self.network,
            settings.student,
            self.reviews,
            self.reviews.label(np.array([], int)),
            np.concatenate([HELD_OUT, self.reviews.unlabelled]),
            7,
            folder / "checkpoint.npz",
            Console(quiet=True),
        )


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    return Tuned(tmp_path_factory.mktemp("tuned"))


def test_a_network_learns_the_labels_and_answers_what_it_is_asked(tuned: Tuned) -> None:
    reviews, answers, history = tuned.reviews, tuned.answers, tuned.history
    assert np.isnan(answers[reviews.kept]).all()
    assert ((answers[reviews.unlabelled] > 0.5) == np.arange(20, 30) % 2).all()
    measured = reviews.measure(answers)
    assert history["val_accuracy"][-1] == measured["held_out_accuracy"] == 1
    assert history["val_loss"][-1] == pytest.approx(measured["held_out_loss"], rel=1e-5)
    assert len(history["loss"]) == 8 * 2  # 7 steps of a pass, 3 or 4 each


def test_the_weights_are_the_average_that_answers(tuned: Tuned, tmp_path: Path) -> None:
    held_out = tuned.reviews.held_out
    ids = tuned.reviews.corpus.pad(held_out, 20, 0)
    np.testing.assert_allclose(tuned.network.predict(ids, verbose=0)[:, 0], tuned.answers[held_out], atol=1e-6)
    last = Tuned(tmp_path, averaging=0).network
    assert not np.allclose(tuned.network.get_weights()[0], last.get_weights()[0])


@pytest.mark.parametrize(("adversarial", "count"), [("none", 16), ("supervised", 16), ("virtual", 26)])
def test_reviews_without_labels_are_trained_on_only_where_none_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, adversarial: str, count: int
) -> None:
    class Stopped(Exception):
        pass

    def stop(_: Corpus, rows: np.ndarray, labels: np.ndarray, *__: object) -> None:
        assert len(rows) == len(labels) == count and not set(rows) & set(HELD_OUT)
        raise Stopped

    monkeypatch.setattr("training.distillation.tuning.ReviewBatches", stop)
    with pytest.raises(Stopped):
        Tuned(tmp_path, adversarial=adversarial)


def test_the_rate_rises_and_falls_and_is_lower_for_the_lstm() -> None:
    settings = make_settings(learning_rate=0.01, recurrent_rate=0.25, warm_up=0.1, averaging=0.2)
    model = AdversarialNetwork(make_network(settings)[0], settings.student, 7)
    model((np.ones((1, 3), np.int32), np.ones((1, 1), np.float32)))  # makes its variables
    optimiser = make_optimiser(settings.student, model, 100)
    rates = [float(optimiser._learning_rate(step)) for step in (0, 5, 10, 55, 100)]
    assert rates == pytest.approx([0, 0.005, 0.01, 0.0055, 0.001])
    assert optimiser.ema_momentum == pytest.approx(1 - 1 / 20)

    optimiser.build(model.trainable_variables)
    optimiser.iterations.assign(10)
    before = [weight.numpy() for weight in model.trainable_variables]
    optimiser.apply([np.ones_like(values) for values in before])
    moved = {
        weight.path: abs(weight.numpy() - values).mean()
        for weight, values in zip(model.trainable_variables, before, strict=True)
    }
    (others,) = {round(float(length), 6) for path, length in moved.items() if "lstm" not in path}
    (of_lstm,) = {round(float(length), 6) for path, length in moved.items() if "lstm" in path}
    assert of_lstm == pytest.approx(others / 4, rel=0.01)


def test_a_network_begins_as_its_language_model_reads() -> None:
    network, _ = make_network(make_settings())
    random = np.random.default_rng(7)
    words = {"embedding": random.normal(2, 3, network.layers[1].get_weights()[0].shape)}
    for name in DIRECTIONS:
        for kind, shape in (("kernel", (4, 12)), ("recurrent", (3, 12)), ("bias", (12,))):
            words[f"{name}_{kind}"] = random.normal(size=shape)
    counts = np.arange(len(words["embedding"]))
    give_weights(network, words, counts)
    vectors = network.layers[1].get_weights()[0]
    read = np.repeat(vectors, counts, axis=0)
    np.testing.assert_allclose(read.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(read.std(axis=0), 1, atol=1e-5)
    (bidirectional,) = (layer for layer in network.layers if isinstance(layer, keras.layers.Bidirectional))
    kernel, _, bias = bidirectional.forward_layer.get_weights()
    np.testing.assert_allclose(
        vectors @ kernel + bias, words["embedding"] @ words["forward_kernel"] + words["forward_bias"], atol=1e-4
    )
