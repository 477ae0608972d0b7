"""The Keras networks, built from standard layers only, so that a saved network loads without this package."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from bundle.letters import ALPHABET, LetterCodec
from bundle.reviews import WordSection
from bundle.symbols import SymbolCodec
from bundle.tasks import SENTIMENT, count_outputs
from training.evaluation.calibration import Sharpness, divide_logits
from training.networks.fused_lstm import FusedLSTM
from training.recipes.letters import LetterSettings
from training.recipes.reviews import ReviewSettings
from training.recipes.sequences import SequenceSettings
from training.recipes.stack import StackSettings

_BELOW_ANY_STATE = -1e9


def build_letter_network(settings: LetterSettings, codec: LetterCodec) -> keras.Model:
    """Return a network from the codec's inputs, float32, to probabilities, float32 [batch, 26]."""
    inputs = keras.Input(codec.pad([]).shape[1:], name="letters")
    mask = ops.any(ops.not_equal(inputs, codec.padding_value), axis=-1) if settings.mask_padding else None
    return _read_letters(settings, codec, inputs, mask)


def build_stateful_letter_network(settings: LetterSettings, codec: LetterCodec) -> keras.Model:
    """Return a network with the same weights that reads one letter per call and keeps its state for the next.

    It maps float32 [1, 1, 1] to probabilities, float32 [1, 26].
    """
    return _read_letters(settings, codec, keras.Input(batch_shape=(1, 1, 1), name="letter"), None)


def build_sequence_network(settings: SequenceSettings, codec: SymbolCodec) -> keras.Model:
    """Return a network from int32 [batch, length], padded on the left, to probabilities, float32 [batch, outputs]."""
    inputs = keras.Input((codec.length,), dtype="int32", name="ids")
    mask = ops.not_equal(inputs, codec.padding_id)
    last = _stack(settings, _look_up(settings, codec, inputs), mask)
    outputs = count_outputs(codec.labels)
    activation = "sigmoid" if outputs == 1 else "softmax"
    return keras.Model(inputs, layers.Dense(outputs, activation, name="next_letter")(last), name="next_letter")


def build_every_step_network(settings: SequenceSettings, codec: SymbolCodec) -> keras.Model:
    """Return a network with the same weights for training, which answers at every step of rows of any length.

    It maps int32 [batch, steps], padded on the right, to the logits of the next character, float32 [batch, steps,
    characters].
    """
    inputs = keras.Input((None,), dtype="int32", name="ids")
    states = _stack(settings, _look_up(settings, codec, inputs), None, lstm_class=FusedLSTM, every_step=True)
    outputs = layers.Dense(count_outputs(codec.labels), name="next_letter")(states)
    if outputs.shape[-1] == 1:  # a softmax over 0 and the logit is the sigmoid of the logit
        outputs = ops.concatenate([ops.zeros_like(outputs), outputs], axis=-1)
    return keras.Model(inputs, outputs, name="every_step")


def build_review_network(
    settings: ReviewSettings,
    preprocessing: WordSection,
    any_length: bool = False,
    labels: Sequence[str] = SENTIMENT.labels,
) -> keras.Model:
    """Return a network from int32 [batch, length] to probabilities of the labels, float32 [batch, outputs].

    Two labels have one output, the probability of the second: see `count_outputs`.

    With `any_length` it has the same weights but reads inputs of any length, faster on PyTorch. This form is for
    training; save only its weights.
    """
    inputs = keras.Input((None if any_length else preprocessing.length,), dtype="int32", name="ids")
    words = layers.Embedding(preprocessing.vocabulary_size, settings.embedding)(inputs)
    words = layers.SpatialDropout1D(settings.embedding_dropout)(words)
    mask = ops.not_equal(inputs, preprocessing.padding_id) if settings.mask_padding else None
    pooled = _stack(settings, words, mask, lstm_class=FusedLSTM if any_length else layers.LSTM)
    outputs = count_outputs(labels)
    classifier = (
        layers.Dense(1, activation="sigmoid", name="positive")
        if outputs == 1
        else layers.Dense(outputs, activation="softmax", name="labels")
    )
    return keras.Model(inputs, classifier(pooled), name="sentiment")


def build_published_network(
    settings: ReviewSettings,
    preprocessing: WordSection,
    weights: Path,
    calibration: float | Sharpness,
    labels: Sequence[str] = SENTIMENT.labels,
) -> keras.Model:
    """Return a review network for publication, with the weights in a file.

    Its logits are divided by a temperature, or changed by a sharpness. Its word vectors have 8 bits, its other
    weights 16.
    """
    network = build_review_network(settings, preprocessing, labels=labels)
    network.load_weights(weights)
    if isinstance(calibration, Sharpness):
        network = _sharpen(network, preprocessing, calibration)
    else:
        divide_logits(network, calibration)
    for layer in network.layers:
        if isinstance(layer, layers.Embedding):
            layer.quantize("int8")
        else:
            layer.set_weights([weight.astype(np.float16) for weight in layer.get_weights()])
    return network


def _sharpen(network: keras.Model, preprocessing: WordSection, sharpness: Sharpness) -> keras.Model:
    """Return a review network whose logits are changed by a sharpness."""
    (inputs,), last = network.inputs, network.layers[-1]
    logit = layers.Dense(last.units, name="logit")(last.input)
    present = ops.cast(ops.expand_dims(ops.not_equal(inputs, preprocessing.padding_id), -1), logit.dtype)
    both = ops.concatenate([logit, logit / ops.sum(present, axis=1)], axis=-1)
    outputs = layers.Dense(last.units, activation=last.activation, name=last.name)(both)
    sharpened = keras.Model(inputs, outputs, name=network.name)
    sharpened.get_layer("logit").set_weights(last.get_weights())
    factors = np.array([sharpness.always, sharpness.short])[:, np.newaxis]
    sharpened.layers[-1].set_weights([np.kron(factors, np.eye(last.units)), np.full(last.units, sharpness.shift)])
    return sharpened


def find_embedding(network: keras.Model) -> layers.Embedding:
    """Return the layer of a review network's word vectors."""
    return next(layer for layer in network.layers if isinstance(layer, layers.Embedding))


def _read_letters(
    settings: LetterSettings, codec: LetterCodec, inputs: keras.KerasTensor, mask: keras.KerasTensor | None
) -> keras.Model:
    steps = inputs
    if settings.features:
        # Neighbouring letters differ by 1 / divisor. Weights of the divisor's size make this a difference of about
        # one, so that the layer can distinguish them from the start and need not learn such weights.
        slopes = keras.initializers.RandomNormal(stddev=codec.divisor)
        places = keras.initializers.RandomUniform(-codec.divisor, codec.divisor)
        steps = layers.Dense(
            settings.features, activation="tanh", kernel_initializer=slopes, bias_initializer=places, name="features"
        )(steps)
    pooled = _stack(settings, steps, mask, stateful=inputs.shape[0] is not None)
    outputs = layers.Dense(len(ALPHABET), activation="softmax", name="next_letter")(pooled)
    return keras.Model(inputs, outputs, name="next_letter")


def _look_up(settings: SequenceSettings, codec: SymbolCodec, ids: keras.KerasTensor) -> keras.KerasTensor:
    return layers.Embedding(len(codec.alphabet) + codec.first_id, settings.embedding, name="characters")(ids)


def _stack(
    settings: StackSettings,
    steps: keras.KerasTensor,
    mask: keras.KerasTensor | None,
    stateful: bool = False,
    lstm_class: type[keras.layers.LSTM] = layers.LSTM,
    every_step: bool = False,
) -> keras.KerasTensor:
    """Return the classifier's input for [batch, steps, features]: LSTM layers, normalisation, pooling and dropout.

    With `every_step` and the last state as pooling, it is [batch, steps, features], the state of every step.
    """
    all_units = (settings.units, *settings.further_units)
    for number, units in enumerate(all_units, 1):
        lstm = lstm_class(
            units,
            activation=settings.activation,
            recurrent_activation=settings.recurrent_activation,
            use_bias=settings.use_bias,
            kernel_initializer=settings.initialiser,
            recurrent_initializer=settings.recurrent_initialiser,
            dropout=settings.input_dropout,
            recurrent_dropout=settings.recurrent_dropout,
            use_cudnn="auto" if mask is None else False,  # cuDNN does not support padding on the left
            return_sequences=number < len(all_units) or settings.pooling != "last" or every_step,
            stateful=stateful,
        )
        steps = (layers.Bidirectional(lstm) if settings.bidirectional else lstm)(steps, mask=mask)
        if settings.normalisation == "batch":
            steps = layers.BatchNormalization()(steps, mask=mask if lstm.return_sequences else None)
        elif settings.normalisation == "layer":
            steps = layers.LayerNormalization()(steps)
    pooled = steps if settings.pooling == "last" else _pool(steps, mask)
    return layers.Dropout(settings.output_dropout)(pooled)


def _pool(states: keras.KerasTensor, mask: keras.KerasTensor) -> keras.KerasTensor:
    """Return mean and maximum of the states over the steps that are not padding, [batch, 2 * features].

    It never adds n numbers to the states: if these are [1, n, n] or [n, 1, n], Keras mistakes the numbers for a bias.
    """
    is_present = ops.expand_dims(mask, -1)
    present = ops.cast(is_present, states.dtype)
    mean = ops.sum(states * present, axis=1) / ops.sum(present, axis=1)
    maximum = ops.max(ops.where(is_present, states, _BELOW_ANY_STATE), axis=1)
    return ops.concatenate([mean, maximum], axis=-1)
