"""A language model of reviews, forward and backward, learnt without labels.

Two LSTMs share the word vectors. One predicts the next word; the other reads backwards and predicts the previous word.
The vectors are also the weights of the output. The softmax is over the right word and a sample of other words, which
all words of a batch share. Each logit is corrected for the frequency of its word in the sample. It also has the word's
own frequency as an offset, so that the vectors need not learn it.

Sources: Dai and Le 2015, "Semi-supervised Sequence Learning"; Jean et al. 2015, "On Using Very Large Target Vocabulary
for Neural Machine Translation"; Press and Wolf 2017, "Using the Output Embedding to Improve Language Models".
"""

from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from training.distillation.corpus import Corpus
from training.errors import RecipeError
from training.networks.fused_lstm import FusedLSTM, multiply
from training.recipes.staged import LanguageSettings

DIRECTIONS = ("forward", "backward")

_SMALLEST = 1e-9  # stands for a frequency of zero
_FLATTENED = 0.75  # power of a word's count to which it is sampled


class LanguageModel(keras.Model):  # type: ignore[misc]  # Keras has no types
    """The LSTMs of both directions; the output is the mean loss of a batch in nats per word, float32 [].

    A batch has the words in the reading order of each direction, int32 [2, batch, steps + 1], and the sample, int32
    [sample]. Each LSTM continues from its state at the end of the previous batch.
    """

    def __init__(self, settings: LanguageSettings, counts: NDArray[np.int64], seed: int) -> None:
        """Make a model with random weights; `counts`, int64 [words], are word counts, `seed` is for the dropout."""
        units, embedding = settings.units, settings.embedding
        super().__init__(name="language_model")
        self.embedding = layers.Embedding(len(counts), embedding, name="embedding")
        self.lstms = [FusedLSTM(units, return_sequences=True, return_state=True, name=name) for name in DIRECTIONS]
        self.projections = [layers.Dense(embedding, name=f"{name}_projection") for name in DIRECTIONS]
        self.dropout = layers.SpatialDropout1D(settings.dropout, seed=seed)
        self.output_dropout = layers.SpatialDropout1D(settings.output_dropout, seed=seed)
        # Not by `stateful`: on PyTorch it overwrites values that the gradient needs.
        self._states = self.add_weight(
            shape=(len(DIRECTIONS), 2, settings.batch_size, units), initializer="zeros", trainable=False, name="states"
        )
        self._bias = self.add_weight(shape=(len(counts),), initializer="zeros", name="bias")
        chance, expected = counts / counts.sum(), count_expected(counts, settings.sample)
        self._offset = (_log(chance) - _log(expected)).astype(np.float32)

    def call(self, batch: tuple[keras.KerasTensor, keras.KerasTensor], training: bool = False) -> keras.KerasTensor:
        """Return the mean loss of a batch, float32 []."""
        words, sample = batch
        begun, ended, read = ops.copy(self._states), [], []
        for direction, (lstm, project) in enumerate(zip(self.lstms, self.projections, strict=True)):
            steps = self.dropout(self.embedding(words[direction, :, :-1]), training=training)
            states, *last = lstm(steps, initial_state=[begun[direction, 0], begun[direction, 1]])
            read.append(project(self.output_dropout(states, training=training)))
            ended.append(ops.stack(last))
        self._states.assign(ops.stop_gradient(ops.stack(ended)))
        targets = ops.reshape(words[:, :, 1:], (-1,))
        guesses = ops.reshape(ops.stack(read), (-1, self.embedding.output_dim))
        vectors, offset = self.embedding.embeddings, self._bias + ops.convert_to_tensor(self._offset)
        right = ops.sum(guesses * ops.take(vectors, targets, axis=0), axis=-1) + ops.take(offset, targets)
        others = multiply(guesses, ops.transpose(ops.take(vectors, sample, axis=0))) + ops.take(offset, sample)
        return ops.mean(ops.logaddexp(right, ops.logsumexp(others, axis=-1)) - right)

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, *_: Any, **__: Any) -> keras.KerasTensor:
        """Return the output, which already is the loss."""
        del x, y
        return y_pred

    def get_reading_weights(self) -> dict[str, NDArray[np.float32]]:
        """Return the first weights for a network that reads the same words.

        They are `embedding`, and `kernel`, `recurrent` and `bias` of each direction, with names like `forward_kernel`.
        """
        found = {"embedding": self.embedding.embeddings}
        for lstm in self.lstms:
            cell = lstm.cell
            found |= {f"{lstm.name}_kernel": cell.kernel, f"{lstm.name}_recurrent": cell.recurrent_kernel}
            found[f"{lstm.name}_bias"] = cell.bias
        return {name: ops.convert_to_numpy(weight) for name, weight in found.items()}


def reduce_vectors(vectors: NDArray[np.float32], counts: NDArray[np.int64], components: int) -> NDArray[np.float32]:
    """Return the principal components of word vectors, float32 [words, components], weighted by word counts.

    Vectors that already have this number of components are returned unchanged. `counts` is int64 [words].
    """
    if vectors.shape[1] == components:
        return vectors
    mean, axes = find_axes(vectors, counts, components)
    reduced: NDArray[np.float32] = ((vectors - mean) @ axes).astype(np.float32)
    return reduced


def find_axes(
    vectors: NDArray[np.float32], counts: NDArray[np.int64], components: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean of word vectors, float32 [size], and their principal axes, float32 [size, components].

    Both are weighted by word counts, int64 [words]; the last axis has the most variance.
    """
    shares = counts / counts.sum()
    mean = shares @ vectors
    centred = vectors - mean
    _, axes = np.linalg.eigh(centred.T @ (centred * shares[:, np.newaxis]))  # from the least variance to the most
    return mean.astype(np.float32), axes[:, -components:].astype(np.float32)


def count_expected(counts: NDArray[np.int64], sample: int) -> NDArray[np.float64]:
    """Return the expected count of each word in a sample of this size, float64 [words], from its corpus count."""
    weights = counts**_FLATTENED
    expected: NDArray[np.float64] = sample * weights / weights.sum()
    return expected


def _log(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return logarithms; zero counts as a very small number, so that no logarithm is infinite."""
    return np.log(np.maximum(numbers, _SMALLEST))


def count_steps(words: int, settings: LanguageSettings) -> int:
    """Return the steps of a pass over a number of words.

    Raises:
        RecipeError: there is not a single step.
    """
    steps = (words // settings.batch_size - 1) // settings.steps
    if steps < 1:
        raise RecipeError(
            f"{words} words are too few for {settings.batch_size} streams of more than {settings.steps}; "
            "set a smaller language.batch_size or language.steps"
        )
    return steps


class LanguageBatches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """The batches of a language model; any batch can be made without the batches before it.

    Every pass joins the reviews in a new order and cuts the result into streams, one for each row of a batch.
    """

    def __init__(self, corpus: Corpus, settings: LanguageSettings, counts: NDArray[np.int64], seed: int) -> None:
        """Begin with the first epoch; an epoch is the steps between two checkpoints.

        Raises:
            RecipeError: see `count_steps`.
        """
        super().__init__()
        self._corpus = corpus
        self._settings = settings
        self._cumulated = np.cumsum(count_expected(counts, settings.sample))
        self._seed = seed
        self.epoch = 0
        self._pass = -1
        self._streams = np.empty((2, 0, 0), np.int32)
        self._steps_per_pass = count_steps(len(corpus.ids), settings)
        self.steps = max(1, round(settings.passes * self._steps_per_pass))
        self.epochs = max(1, round(self.steps / settings.checkpoint_steps))

    def __len__(self) -> int:
        """Return the number of batches of the epoch."""
        return self._find_first(self.epoch + 1) - self._find_first(self.epoch)

    def _find_first(self, epoch: int) -> int:
        """Return the first step of an epoch."""
        return epoch * self.steps // self.epochs

    def __getitem__(self, index: int) -> tuple[tuple[NDArray[np.int32], NDArray[np.int32]]]:
        """Return one batch of the epoch."""
        step = self._find_first(self.epoch) + index
        number, step_of_pass = divmod(step, self._steps_per_pass)
        if number != self._pass:
            self._shuffle(number)
        start = step_of_pass * self._settings.steps
        drawn = np.random.default_rng([self._seed, step]).random(self._settings.sample) * self._cumulated[-1]
        sample = np.searchsorted(self._cumulated, drawn).astype(np.int32)
        return ((self._streams[:, :, start : start + self._settings.steps + 1], sample),)

    def _shuffle(self, number: int) -> None:
        order = np.random.default_rng([self._seed, number]).permutation(len(self._corpus))
        words, rows = self._corpus.join(order), self._settings.batch_size
        forward = words[: len(words) // rows * rows].reshape(rows, -1)
        self._streams = np.stack([forward, forward[:, ::-1]])
        self._pass = number
