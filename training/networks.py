"""The Keras networks, built of standard layers only, so that a saved one loads without this package."""

import keras
from keras import layers, ops

from bundle.letters import ALPHABET, LetterCodec
from bundle.reviews import ReviewPreprocessing
from training.recipes import LetterSettings, ReviewSettings

_BELOW_ANY_STATE = -2.0  # an LSTM's output lies in (-1, 1)


def build_letter_network(settings: LetterSettings, codec: LetterCodec) -> keras.Model:
    """Return a network from float32 [batch, length, 1] to probabilities, float32 [batch, 26]."""
    inputs = keras.Input((codec.length, 1), name="letters")
    steps = layers.Masking(codec.padding_value)(inputs) if settings.mask_padding else inputs
    if settings.features:
        # Neighbouring letters differ by 1 / divisor. Weights of the divisor's size make that a difference of
        # about one, so that the layer tells them apart from the start instead of having to grow such weights.
        slopes = keras.initializers.RandomNormal(stddev=codec.divisor)
        places = keras.initializers.RandomUniform(-codec.divisor, codec.divisor)
        steps = layers.Dense(
            settings.features, activation="tanh", kernel_initializer=slopes, bias_initializer=places, name="features"
        )(steps)
    state = layers.LSTM(settings.units)(steps)
    outputs = layers.Dense(len(ALPHABET), activation="softmax", name="next_letter")(state)
    return keras.Model(inputs, outputs, name="next_letter")


def build_review_network(settings: ReviewSettings, preprocessing: ReviewPreprocessing) -> keras.Model:
    """Return a network from int32 [batch, length] to the probability of positive, float32 [batch, 1]."""
    inputs = keras.Input((preprocessing.length,), dtype="int32", name="ids")
    words = layers.Embedding(preprocessing.vocabulary_size, settings.embedding)(inputs)
    words = layers.SpatialDropout1D(settings.embedding_dropout)(words)
    mask = ops.not_equal(inputs, preprocessing.padding_id) if settings.mask_padding else None
    lstm = layers.LSTM(settings.units, return_sequences=settings.pooling != "last")
    states = (layers.Bidirectional(lstm) if settings.bidirectional else lstm)(words, mask=mask)
    pooled = states if settings.pooling == "last" else _pool(states, mask)
    pooled = layers.Dropout(settings.output_dropout)(pooled)
    outputs = layers.Dense(1, activation="sigmoid", name="positive")(pooled)
    return keras.Model(inputs, outputs, name="sentiment")


def add_word_dropout(network: keras.Model, share: float, unknown_id: int, seed: int) -> keras.Model:
    """Return a network for training alone, of the same weights, that reads unknown words in place of some."""
    inputs = keras.Input(network.input_shape[1:], dtype="int32")
    return keras.Model(inputs, network(_WordDropout(share, unknown_id, seed)(inputs)))


def _pool(states: keras.KerasTensor, mask: keras.KerasTensor) -> keras.KerasTensor:
    """Return mean and maximum of the states over the steps that are not padding, [batch, 2 * features]."""
    present = ops.expand_dims(ops.cast(mask, states.dtype), -1)
    mean = ops.sum(states * present, axis=1) / ops.sum(present, axis=1)
    maximum = ops.max(states * present + _BELOW_ANY_STATE * (1 - present), axis=1)
    return ops.concatenate([mean, maximum], axis=-1)


class _WordDropout(layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Replaces a random share of the words by the unknown word while training; padding and start stay."""

    def __init__(self, share: float, unknown_id: int, seed: int) -> None:
        super().__init__()
        self.share = share
        self.unknown_id = unknown_id
        self.random = keras.random.SeedGenerator(seed)

    def call(self, ids: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:
        if not training:
            return ids
        dropped = keras.random.uniform(ops.shape(ids), seed=self.random) < self.share
        return ops.where(dropped & (ids > self.unknown_id), self.unknown_id, ids)
