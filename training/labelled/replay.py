"""Short texts that a first network is asked about, so that a training keeps what it knew.

Source: Li and Hoiem 2016, "Learning without Forgetting".
"""

from itertools import islice

import numpy as np

from training.data import pairs
from training.data.composed import compose


def list_texts(count: int, seed: int) -> list[str]:
    """Return random texts of this project: half of them opinions of the pairs to train on, half composed sentences."""
    random = np.random.default_rng(seed)
    groups = pairs.load("train")
    written = [text for group in groups for text in (group.positive, group.negative, group.neutral) if text]
    chosen = random.permutation(len(written))[: (count + 1) // 2]
    composed = (sentence.text for pair in compose("train", random) for sentence in pair)
    return [*(written[number] for number in chosen), *islice(composed, count - len(chosen))]
