"""Everything that the network learns from, coded: reviews, reviews with a story in them, and short texts."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from training.data import review_coding
from training.distillation.corpus import Corpus, Reviews
from training.evaluation.calibration import to_logits, to_probabilities
from training.general.sentences import join_stories
from training.general.short_texts import ShortTexts
from training.recipes.general import GeneralSettings

# Shares of the reviews with a story that have it behind and in front; the others have it in the middle.
_SHARE_BEHIND, _SHARE_IN_FRONT = 0.6, 0.2
_AFTER_START = 1  # place in a row, behind the mark of a start
_SHORTEST_STORY = 20


@dataclass(frozen=True)
class LabelledTexts:
    """Texts, and the logits of positive that a teacher gave them, float32 [texts]."""

    texts: list[str]
    logits: NDArray[np.float32]


def mix(
    settings: GeneralSettings,
    reviews: Reviews,
    answers: NDArray[np.float32],
    stories: list[str],
    labelled: LabelledTexts,
    judged: ShortTexts,
    console: Console,
) -> tuple[Reviews, NDArray[np.float32]]:
    """Return the reviews with all other texts behind them, and the probability of each, float32 [texts].

    Args:
        settings: shares and lengths.
        reviews: all coded reviews.
        answers: of the first network to them, float32 [reviews].
        stories: sentences that judge nothing.
        labelled: texts with a teacher's answers.
        judged: texts that people, authors and frames have judged.
        console: shows the progress.
    """
    codec = reviews.codec
    targets = reviews.mix_labels(answers, settings.label_weight)
    coded = [codec.encode(story).ids[_AFTER_START:] for story in stories]
    pasted, of_pasted = zip(*_paste(settings, reviews, targets, coded), strict=True)
    texts = [*judged.texts, *labelled.texts]
    short = review_coding.code_each(codec, texts, "Coding the short texts", console)
    logits = np.concatenate([to_logits(judged.targets), labelled.logits])
    corpus = Corpus.of([*(reviews.corpus[k] for k in range(len(reviews.corpus))), *pasted, *short])
    all_targets = np.concatenate([targets, of_pasted, to_probabilities(settings.sharpness * logits)])
    return replace(reviews, corpus=corpus), all_targets.astype(np.float32)


def _paste(
    settings: GeneralSettings, reviews: Reviews, targets: NDArray[np.float32], stories: list[NDArray[np.int32]]
) -> Iterator[tuple[NDArray[np.int32], float]]:
    """Yield reviews with a story in them and their probability, then stories alone with a probability of 0.5."""
    random = np.random.default_rng(settings.seed)
    rows = np.concatenate([reviews.kept, reviews.unlabelled])

    def tell() -> NDArray[np.int32]:
        return join_stories(stories, int(random.integers(_SHORTEST_STORY, settings.story_length + 1)), random)

    for k in random.permutation(rows)[: int(settings.story_share * len(rows))]:
        story, ids, drawn = tell(), reviews.corpus[int(k)], random.random()
        if drawn < _SHARE_BEHIND:
            at = len(ids)
        elif drawn < _SHARE_BEHIND + _SHARE_IN_FRONT:
            at = _AFTER_START
        else:
            at = len(ids) // 2
        yield np.concatenate([ids[:at], story, ids[at:]]), float(targets[k])
    for _ in range(int(settings.pure_story_share * len(rows))):
        yield np.concatenate([reviews.corpus[0][:_AFTER_START], tell()]), 0.5
