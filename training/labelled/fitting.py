"""The training of a network on the user's texts: averaged weights, and a stop in time."""

import keras
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from bundle.reviews import WordSection
from training.distillation.adversarial import AdversarialNetwork
from training.distillation.corpus import Corpus
from training.distillation.review_batches import GROUPS, ReviewBatches, predict_all
from training.distillation.tuning import make_optimiser
from training.errors import DivergedError
from training.evaluation.calibration import measure_calibrated_loss
from training.labelled.coding import CodedTexts
from training.loops.fit import COMPILES, History, interrupted_between_steps
from training.loops.progress import Progress
from training.loops.resumable import time_epoch
from training.networks.fused_lstm import narrow_products
from training.quantities import count, describe_time
from training.recipes.staged import TuningSettings

# A step is compiled for each group of lengths, which takes seconds.
_MANY = 20_000  # texts
_GROUPS_OF_FEW = 3


def fit_texts(
    network: keras.Model,
    settings: TuningSettings,
    patience: int,
    corpus: Corpus,
    targets: NDArray[np.float32],
    validation: CodedTexts,
    preprocessing: WordSection,
    seed: int,
    console: Console,
    knows_labels: bool = False,
) -> tuple[History, NDArray[np.float32]]:
    """Train a network in place, and keep the averaged weights of its best epoch.

    Args:
        network: made by `training.networks.builders.build_review_network`, for any length.
        settings: of the training.
        patience: it stops after this many epochs without a smaller loss on the validation texts, once calibrated.
        corpus: the texts to learn from.
        targets: their probabilities, float32 [texts, outputs].
        validation: labelled texts that it does not learn from.
        preprocessing: of the network.
        seed: random seed of the order of the texts and of each step.
        console: shows the progress.
        knows_labels: whether the network answers with the labels already; it then stays as it is if no epoch is better.

    Returns:
        The history, in which `val_` marks figures of the averaged weights on the validation texts; and the answers to
        these, float32 [texts, outputs].

    Raises:
        DivergedError: the loss is not a finite number.
    """
    groups = GROUPS if len(corpus) >= _MANY else _GROUPS_OF_FEW
    batches = ReviewBatches(corpus, np.arange(len(corpus)), targets, preprocessing, settings, seed, groups)
    model = AdversarialNetwork(network, settings, seed)
    ((ids, some),) = batches[0]
    model((ids[:1], some[:1]))  # creates its variables
    optimiser = make_optimiser(settings, model, settings.epochs * batches.steps_per_pass)
    model.compile(optimiser, jit_compile=COMPILES)
    network.jit_compile = False  # for the answers to the validation texts, which are fewer than it would pay for
    optimiser.build(model.trainable_variables)
    epochs = settings.epochs * batches.epochs_per_pass
    history: History = {}
    weights, waited = network.get_weights(), 0
    answers = predict_all(network, validation.corpus, np.arange(len(validation.corpus)), preprocessing)
    best = _measure(answers, validation.labels)["val_loss"] if knows_labels else np.inf
    progress = Progress(console, epochs)
    with narrow_products(), interrupted_between_steps() as interruption, progress:
        with console.status("Timing some steps"):
            seconds = time_epoch(model, batches, interruption)
        console.print(
            f"{count(len(corpus), 'text')} in {count(batches.steps_per_pass, 'step')} a pass; "
            f"at most {count(epochs, 'epoch')} of about {seconds:.0f} s, about {describe_time(epochs * seconds)}. "
            "It stops earlier when the loss on other rows no longer falls.",
            highlight=False,
            soft_wrap=True,
        )
        for epoch in range(epochs):
            batches.epoch = epoch
            fitted = model.fit(
                batches,
                initial_epoch=epoch,
                epochs=epoch + 1,
                shuffle=False,
                callbacks=[progress, interruption],
                verbose=0,
            )
            with optimiser.averaged(model.trainable_variables):
                found = predict_all(network, validation.corpus, np.arange(len(validation.corpus)), preprocessing)
                averaged = network.get_weights()
            figures = {"loss": fitted.history["loss"][0], **_measure(found, validation.labels)}
            if not np.isfinite([*figures.values()]).all():
                raise DivergedError(f"the loss is {figures['loss']} at epoch {epoch + 1}; set smaller rates")
            for name, value in figures.items():
                history.setdefault(name, []).append(float(value))
            shown = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
            console.print(f"after epoch {epoch + 1} of at most {epochs}: {shown}", highlight=False, soft_wrap=True)
            if figures["val_loss"] < best:
                best, waited, weights, answers = figures["val_loss"], 0, averaged, found
            else:
                waited += 1
                if waited == patience:
                    break
    network.set_weights(weights)
    return history, answers


def to_targets(labels: NDArray[np.int32], outputs: int) -> NDArray[np.float32]:
    """Return labels as probabilities, float32 [texts, outputs]."""
    if outputs == 1:
        return labels[:, np.newaxis].astype(np.float32)
    return np.eye(outputs, dtype=np.float32)[labels]


def _measure(answers: NDArray[np.float32], labels: NDArray[np.int32]) -> dict[str, float]:
    """Return the accuracy and the loss of answers at their best temperature, which they are published with.

    Without it the loss would rise early, when a network becomes too sure of what it judges ever better.
    """
    both = np.hstack([1 - answers, answers]) if answers.shape[1] == 1 else answers
    return {
        "val_accuracy": float(np.mean(both.argmax(axis=1) == labels)),
        "val_loss": measure_calibrated_loss(both, labels),
    }
