"""Tiny networks and codecs of the tests of the export."""

import keras
import numpy as np
from keras import layers, ops

from bundle.reviews import ReviewCodec, ReviewPreprocessing
from bundle.tokenisers import WordTokeniser

WORDS = ("good", "bad", "film", "a", "the")
IDS = len(WORDS) + 4


def make_codec(length: int = 20) -> ReviewCodec:
    preprocessing = ReviewPreprocessing(tokeniser=WordTokeniser(), vocabulary_size=IDS, length=length)
    return ReviewCodec(preprocessing, WORDS)


def make_network(length: int = 20, units: int = 3, mask: bool = True) -> keras.Model:
    """Return a network of an embedding, an LSTM and a Dense layer, with weights that matter."""
    keras.utils.set_random_seed(0)
    ids = keras.Input((length,), dtype="int32")
    vectors = layers.Embedding(IDS, 4, embeddings_initializer=keras.initializers.RandomNormal(stddev=1.0))(ids)
    state = layers.LSTM(units)(vectors, mask=ops.not_equal(ids, 0) if mask else None)
    return keras.Model(ids, layers.Dense(1, activation="sigmoid")(state))


def judge_by_the_last_word(network: keras.Model) -> None:
    """Give a network weights that answer with 1 if the last word is `good`, and with 0 if it is `bad`."""
    embedding, lstm, dense = (layer for layer in network.layers if layer.weights)
    vectors = np.zeros((IDS, 4), np.float32)
    vectors[4, 0], vectors[5, 0] = 1, -1
    embedding.set_weights([vectors])
    kernel, recurrent, bias = (np.zeros_like(weights) for weights in lstm.get_weights())
    units = lstm.units
    bias[:units], bias[3 * units :] = 50, 50  # the gates of inputs and outputs are open
    bias[units : 2 * units] = -50  # and nothing is remembered
    kernel[0, 2 * units : 3 * units] = 2
    lstm.set_weights([kernel, recurrent, bias])
    dense.set_weights([np.full((units, 1), 5, np.float32), np.zeros(1, np.float32)])
