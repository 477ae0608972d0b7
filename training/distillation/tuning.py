"""Training of a review network that starts from the LSTMs of a language model.

Sources: Dai and Le 2015, "Semi-supervised Sequence Learning"; Miyato, Dai and Goodfellow 2017, "Adversarial Training
Methods for Semi-Supervised Text Classification", for word vectors of deviation 1 and averaged weights; Howard and Ruder
2018, "Universal Language Model Fine-tuning for Text Classification", for lower rates of pretrained layers.
"""

from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from training.distillation.adversarial import AdversarialNetwork
from training.distillation.corpus import UNLABELLED, Reviews
from training.distillation.language_model import DIRECTIONS
from training.distillation.review_batches import ReviewBatches, predict
from training.loops.fit import COMPILES, History
from training.loops.resumable import AveragingAdam, fit_resumably
from training.networks.fused_lstm import narrow_products
from training.recipes.staged import TuningSettings

# Share of the learning rate at the last step: not zero, because the weights are averaged over steps that still change.
_LAST_RATE = 0.1


def give_weights(network: keras.Model, weights: dict[str, NDArray[np.float32]], counts: NDArray[np.int64]) -> None:
    """Initialise a bidirectional network with the weights of a language model: see `get_reading_weights`.

    The components of the word vectors are shifted and scaled to a mean of 0 and a deviation of 1 over all words read,
    so that an adversarial step has the same meaning in all components; the LSTMs' weights compensate for this. `counts`
    is the count of each word, int64 [words].
    """
    vectors = weights["embedding"]
    mean = np.average(vectors, axis=0, weights=counts)
    deviation = np.sqrt(np.average((vectors - mean) ** 2, axis=0, weights=counts))
    for layer in network.layers:
        if isinstance(layer, keras.layers.Embedding):
            layer.set_weights([(vectors - mean) / deviation])
        elif isinstance(layer, keras.layers.Bidirectional):
            given = []
            for name in DIRECTIONS:
                kernel, bias = weights[f"{name}_kernel"], weights[f"{name}_bias"]
                given += [kernel * deviation[:, np.newaxis], weights[f"{name}_recurrent"], bias + mean @ kernel]
            layer.set_weights(given)


def tune(
    network: keras.Model,
    settings: TuningSettings,
    reviews: Reviews,
    labels: NDArray[np.float32],
    asked: NDArray[np.intp],
    seed: int,
    checkpoint: Path,
    console: Console,
) -> tuple[History, NDArray[np.float32]]:
    """Train a network; its final weights are the average over the last steps.

    Args:
        network: made by `training.networks.builders.build_review_network`, for any length.
        settings: the settings of the training.
        reviews: all reviews.
        labels: probabilities of positive, float32 [reviews]; `UNLABELLED` for reviews without a label or left out.
        asked: numbers of the reviews that the trained network answers.
        seed: random seed of the order of the reviews and of each step.
        checkpoint: the file from which the training continues: see `fit_resumably`.
        console: shows the progress.

    Returns:
        The history, in which `val_accuracy` and `val_loss` are measured with the averaged weights on the held-out
        reviews; and the answers, float32 [reviews], NaN for reviews that are not in `asked`.
    """
    preprocessing = reviews.codec.preprocessing
    trained_on = labels != UNLABELLED
    if settings.adversarial == "virtual":
        trained_on[reviews.unlabelled] = True
    rows = np.flatnonzero(trained_on)
    batches = ReviewBatches(reviews.corpus, rows, labels[rows], preprocessing, settings, seed)
    model = AdversarialNetwork(network, settings, seed)
    ((ids, some_labels),) = batches[0]
    model((ids[:1], some_labels[:1]))  # creates its variables
    optimiser = make_optimiser(settings, model, settings.epochs * batches.steps_per_pass)
    model.compile(optimiser, jit_compile=COMPILES)

    def answer(rows: NDArray[np.intp]) -> NDArray[np.float32]:
        answers = np.full(len(reviews.corpus), np.nan, np.float32)
        answers[rows] = predict(network, reviews.corpus, rows, preprocessing)
        return answers

    def measure() -> dict[str, float]:
        with optimiser.averaged(model.trainable_variables):
            found = reviews.measure(answer(reviews.held_out))
        return {"val_accuracy": found["held_out_accuracy"], "val_loss": found["held_out_loss"]}

    epochs = settings.epochs * batches.epochs_per_pass
    with narrow_products():
        history = fit_resumably(model, batches, epochs, checkpoint, console, measure)
        optimiser.give_average(model.trainable_variables)
        return history, answer(asked)


def make_optimiser(settings: TuningSettings, model: AdversarialNetwork, steps: int) -> AveragingAdam:
    """Return an optimiser for a number of steps."""
    warm_up = int(settings.warm_up * steps)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0 if warm_up else settings.learning_rate,
        steps - warm_up,
        warmup_target=settings.learning_rate if warm_up else None,
        warmup_steps=warm_up,
        alpha=_LAST_RATE,
    )
    shares = {
        weight.path: settings.recurrent_rate if isinstance(layer, keras.layers.Bidirectional) else settings.vector_rate
        for layer in model.network.layers
        if isinstance(layer, keras.layers.Bidirectional | keras.layers.Embedding)
        for weight in layer.trainable_variables
    }
    return AveragingAdam(
        rate,
        global_clipnorm=settings.clip_norm,
        momentum=max(0, 1 - 1 / (settings.averaging * steps)) if settings.averaging else 0,
        shares=[shares.get(weight.path, 1.0) for weight in model.trainable_variables],
    )
