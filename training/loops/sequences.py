"""The training of a network that answers at every step: an estimate, epochs, and a stop when it no longer learns."""

import keras
import numpy as np
from rich.console import Console

from training.data.sequence_batches import SequenceBatches
from training.errors import DivergedError
from training.loops.fit import COMPILES, History, interrupted_between_steps, make_optimiser
from training.loops.resumable import time_epoch
from training.quantities import count, describe_time
from training.recipes.sequences import SequenceSettings


def fit_sequences(
    network: keras.Model,
    settings: SequenceSettings,
    training: SequenceBatches,
    validation: SequenceBatches,
    console: Console,
) -> History:
    """Train a network in place, keep the weights of its best epoch, and return loss and accuracy by epoch.

    To estimate the time, a few steps are first timed and undone. `val_` marks the figures of the validation batches;
    the training stops after `patience` epochs in which their loss was not smaller.

    Args:
        network: from ids, int32 [batch, steps], to the logits of the next character, float32 [batch, steps, classes].
        settings: of the training.
        training: the batches to learn from.
        validation: the batches that decide when to stop.
        console: shows the progress.

    Raises:
        DivergedError: the loss is not a finite number.
    """
    model = keras.Model(network.inputs, network.outputs)
    model.compile(
        optimizer=make_optimiser(settings, len(training) * settings.batch_size),
        # The mean over the targets; by default it would be over padding, too.
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight"),
        weighted_metrics=[
            keras.metrics.SparseCategoricalCrossentropy("cross_entropy", from_logits=True),
            keras.metrics.SparseCategoricalAccuracy("accuracy"),
        ],
        jit_compile=COMPILES,
    )
    model.optimizer.build(model.trainable_variables)
    history: History = {}
    best = np.inf
    weights = network.get_weights()
    waited = 0
    with interrupted_between_steps() as interruption:
        seconds = time_epoch(model, training, interruption)
        console.print(
            f"{training.characters:,} characters in {count(len(training), 'step')} an epoch, about "
            f"{describe_time(seconds)} each; at most {count(settings.epochs, 'epoch')}, about "
            f"{describe_time(settings.epochs * seconds)}. It stops earlier when "
            "the loss on other lines no longer falls.",
            highlight=False,
            soft_wrap=True,
        )
        for epoch in range(settings.epochs):
            training.epoch = epoch
            fitted = model.fit(
                training,
                initial_epoch=epoch,
                epochs=epoch + 1,
                shuffle=False,
                callbacks=[interruption],
                verbose=int(console.is_terminal and not console.quiet),
            )
            # By the metric: the mean of the losses of batches would count each batch alike.
            learnt = {name: value for name, (value,) in fitted.history.items()}
            found = model.evaluate(validation, verbose=0, return_dict=True)
            figures = {
                "loss": learnt["cross_entropy"],
                "accuracy": learnt["accuracy"],
                "val_loss": found["cross_entropy"],
                "val_accuracy": found["accuracy"],
            }
            if not np.isfinite([*figures.values()]).all():
                raise DivergedError("the training diverged; try a lower learning_rate or set clip_norm")
            for name, value in figures.items():
                history.setdefault(name, []).append(float(value))
            shown = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
            console.print(f"epoch {epoch + 1} of {settings.epochs}: {shown}", highlight=False, soft_wrap=True)
            if figures["val_loss"] < best:
                best, weights, waited = figures["val_loss"], network.get_weights(), 0
            else:
                waited += 1
                if waited == settings.patience:
                    break
    network.set_weights(weights)
    return history
