"""The batches of a review network: reviews of similar lengths together, so that little padding is run."""

import keras
import numpy as np
from numpy.typing import NDArray

from bundle.reviews import WordSection
from training.distillation.corpus import Corpus
from training.recipes.staged import TuningSettings

_PREDICTED = 256  # reviews at once
GROUPS = 8  # of reviews of similar lengths


class ReviewBatches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """Batches for an `AdversarialNetwork`: ids, int32 [batch, words], and labels, float32 [batch, outputs].

    Reviews are padded or cut to a few lengths; the network is compiled once for each. A batch that is not full is
    filled with other reviews of its length. An epoch is the steps between two checkpoints, a part of a pass over all
    reviews. Any epoch can be made without the epochs before it.
    """

    def __init__(
        self,
        corpus: Corpus,
        rows: NDArray[np.intp],
        labels: NDArray[np.float32],
        preprocessing: WordSection,
        settings: TuningSettings,
        seed: int,
        groups: int = GROUPS,
    ) -> None:
        """Take the reviews' numbers in the corpus and their labels; begin with the first epoch.

        The labels are float32 [rows], or [rows, outputs] for a network of several outputs. With fewer groups there is
        less to compile, and more padding.
        """
        super().__init__()
        self._corpus = corpus
        self._rows = rows
        self._labels = labels.reshape(len(rows), -1)
        self._preprocessing = preprocessing
        self._settings = settings
        self._seed = seed
        self._groups = group_by_length(corpus.lengths[rows], settings.length, groups)
        self._planned = -1
        self._plan: list[tuple[int, NDArray[np.intp]]] = []
        self.epoch = 0
        self.steps_per_pass = sum(
            -(-len(members) // _size_batch(settings, length)) for length, members in self._groups.items()
        )
        self.epochs_per_pass = max(1, round(self.steps_per_pass / settings.checkpoint_steps))

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return len(self._get_steps())

    def __getitem__(self, index: int) -> tuple[tuple[NDArray[np.int32], NDArray[np.float32]]]:
        """Return one batch of the epoch."""
        if self._planned != self.epoch:
            self._plan = self._make_plan()
            self._planned = self.epoch
        length, members = self._plan[index]
        constants = self._preprocessing
        assert constants.unknown_id is not None
        ids = self._corpus.pad(self._rows[members], length, constants.padding_id)
        random = np.random.default_rng([self._seed, self.epoch, index])
        dropped = (random.random(ids.shape) < self._settings.word_dropout) & (ids > constants.rank_offset)
        return ((np.where(dropped, np.int32(constants.unknown_id), ids), self._labels[members]),)

    def _get_steps(self) -> range:
        """Return the steps of a pass that belong to the epoch."""
        bounds = np.linspace(0, self.steps_per_pass, self.epochs_per_pass + 1).astype(int)
        part = self.epoch % self.epochs_per_pass
        return range(bounds[part], bounds[part + 1])

    def _make_plan(self) -> list[tuple[int, NDArray[np.intp]]]:
        """Return length and reviews of each batch of the epoch."""
        random = np.random.default_rng([self._seed, self.epoch // self.epochs_per_pass])
        batches = []
        for length, members in self._groups.items():
            size = _size_batch(self._settings, length)
            order = np.concatenate([random.permutation(members), random.choice(members, -len(members) % size)])
            batches += [(length, batch) for batch in order.reshape(-1, size)]
        order = random.permutation(len(batches))
        plan = [batches[order[step]] for step in self._get_steps()]
        # Keras compares the first two batches to find the axes with a fixed size, so these two must differ in length.
        if others := [k for k, (length, _) in enumerate(plan) if length != plan[0][0]]:
            plan[1], plan[others[0]] = plan[others[0]], plan[1]
        return plan


def predict(
    network: keras.Model, corpus: Corpus, rows: NDArray[np.intp], preprocessing: WordSection
) -> NDArray[np.float32]:
    """Return a network's answers to some reviews, float32 [rows]; at their own lengths if it reads any length."""
    answers: NDArray[np.float32] = predict_all(network, corpus, rows, preprocessing)[:, 0]
    return answers


def predict_all(
    network: keras.Model, corpus: Corpus, rows: NDArray[np.intp], preprocessing: WordSection
) -> NDArray[np.float32]:
    """Return all outputs of a network for some reviews, float32 [rows, outputs]: see `predict`."""
    answers = np.empty((len(rows), network.output_shape[-1]), np.float32)
    groups = {preprocessing.length: np.arange(len(rows))}
    if network.input_shape[1] is None:
        groups = group_by_length(corpus.lengths[rows], preprocessing.length)
    for length, members in groups.items():
        ids = corpus.pad(rows[members], length, preprocessing.padding_id)
        answers[members] = network.predict(ids, batch_size=_PREDICTED, verbose=0)
    return answers


def group_by_length(lengths: NDArray[np.int64], longest: int, groups: int = GROUPS) -> dict[int, NDArray[np.intp]]:
    """Return the numbers of the reviews in each group, by the length of its longest review; there are at most `groups`.

    The reviews of a group are padded or cut to this length. The groups have about equally many words.
    """
    steps = np.minimum(lengths, longest)
    ordered = np.sort(steps)
    words = np.cumsum(ordered)
    limits = np.unique(ordered[np.searchsorted(words, words[-1] * np.arange(1, groups + 1) / groups)])
    found = np.searchsorted(limits, steps)
    return {int(limit): np.flatnonzero(found == k) for k, limit in enumerate(limits)}


def _size_batch(settings: TuningSettings, length: int) -> int:
    """Return the number of reviews in a batch of reviews of a length."""
    most = settings.short_batch_size or settings.batch_size
    return min(most, max(settings.batch_size, settings.batch_size * settings.length // length))
