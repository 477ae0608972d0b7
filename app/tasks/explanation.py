"""Explains the sentiment of a text: how much each word moves the answer, by texts from which words are left out."""

import asyncio
import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from pydantic.config import JsonDict

from app.errors import DeadlineError, Location, OverloadedError, QuotaExceededError
from app.runtime.queue import Output, Permit
from app.runtime.versions import Model
from app.tasks.base import with_example
from app.tasks.sentiment import (
    ANSWER,
    SEVERAL_ANSWER,
    Sentiment,
    SentimentAnswer,
    SentimentRequest,
    SeveralLabelsAnswer,
    get_codec,
)
from app.tasks.shapley import Masks, Values, divide
from bundle.reviews import ReadWord

# By default 60 words are divided in 8 pairs of orders.
DEFAULT_BUDGET = 1024
LEAST_BUDGET = 128
# Texts that an explanation has in the queue at a time; between them, requests of others come first.
MOST_PLACES = 64
# The words of longer texts are found in a thread, so that the service answers others meanwhile: 100,000 characters may
# take 0.1 s.
LONG_CHARACTERS = 4000
# An explanation ends when this share of its time is left.
RESERVED_SHARE = 0.1
# A float32 probability closer to 1 than this is 1. So logits are at most 17.3.
_LEAST = 2.0**-25

_SENTENCE_END = re.compile(r"[.!?\u2026]+[\"')\]\u2019\u201d]*(?=\s)|\n|<br", re.IGNORECASE)

_SERVED = Sentiment()

_EXPLANATION: JsonDict = {
    "logit": 4.2687,
    "logit_of_nothing": -0.2,
    "evaluations": 16,
    "tokens": [
        {"start": 0, "end": 1, "is_known": True, "contribution": 0.1, "standard_error": 0.0},
        {"start": 2, "end": 8, "is_known": True, "contribution": 1.5, "standard_error": 0.0},
        {"start": 10, "end": 19, "is_known": True, "contribution": 2.7, "standard_error": 0.0},
        {"start": 20, "end": 24, "is_known": True, "contribution": 0.1687, "standard_error": 0.0},
    ],
}


class ExplanationRequest(SentimentRequest):
    """One text to judge and to explain."""

    budget: int | None = Field(
        default=None,
        strict=True,
        ge=LEAST_BUDGET,
        description="Most texts with words left out that the model judges for this; more make standard errors smaller. "
        f"By default {DEFAULT_BUDGET}, or the service's limit if that is less.",
    )


class ExplainedToken(BaseModel):
    """What one word or mark does to the answer."""

    start: int = Field(
        description="Of its place in the text, in Unicode characters (code points; JavaScript counts in UTF-16)."
    )
    end: int = Field(description="Of its place: the character behind it.")
    is_known: bool = Field(description="Whether the model knows the word.")
    contribution: float = Field(description="How much it moves the logit: up if above 0.")
    standard_error: float | None = Field(
        description="Of the contribution; 0 if it is exact. `null` if it is not known: the word has an equal part of "
        "the contribution of its passage, which was not divided further, or there was time for one pair of orders only."
    )


class Explanation(BaseModel):
    """How the logit of one text comes about: `logit_of_nothing` and the contributions of all tokens add up to it."""

    logit: float = Field(
        description="Logarithm of the odds p / (1 - p), at most 17.3 either way. p is the probability of the second "
        "label of the model, such as positive; of a model with more than two labels, that of the likeliest one."
    )
    logit_of_nothing: float = Field(description="The logit of a text without words.")
    evaluations: int = Field(description="Texts that the model judged for this. Each counts as one text of a quota.")
    tokens: list[ExplainedToken] = Field(
        description="The words and marks that the model read, in their order; those that are cut come before the first "
        "or, with models that read the beginning of a text, after the last."
    )


class ExplanationAnswer(Explanation, SentimentAnswer):
    """The answer of a model with two labels to one text, and its explanation."""

    model_config = with_example(ANSWER | _EXPLANATION)


class SeveralLabelsExplanationAnswer(Explanation, SeveralLabelsAnswer):
    """The answer of a model with more than two labels to one text, and its explanation."""

    model_config = with_example(SEVERAL_ANSWER | _EXPLANATION)


AnyExplanationAnswer = ExplanationAnswer | SeveralLabelsExplanationAnswer


@dataclass
class _Evaluator:
    """Answers texts with some of the words of a text, as long as there are time and places in the queue."""

    model: Model
    permit: Permit
    ids: NDArray[np.int32]  # of the words
    label: int  # whose logit is explained
    places: int  # in the queue, at a time
    evaluations: int = 0
    ends_at: float = field(init=False)  # unless it is needed
    _row_seconds: float = 0.0

    def __post_init__(self) -> None:
        now = time.monotonic()
        self.ends_at = self.permit.deadline - RESERVED_SHARE * (self.permit.deadline - now)

    async def __call__(self, masks: Masks, *, is_needed: bool) -> Values | None:
        """Return the logit of each text: see `app.tasks.shapley.Evaluate`."""
        started = time.monotonic()
        if not is_needed and started + len(masks) * self._row_seconds > self.ends_at:
            return None
        try:
            values = await self._run(masks, self.permit.deadline if is_needed else self.ends_at)
        except (DeadlineError, OverloadedError, QuotaExceededError):
            if is_needed:
                raise
            return None
        self._row_seconds = (time.monotonic() - started) / len(masks)
        return values

    async def _run(self, masks: Masks, deadline: float) -> Values:
        codec, batcher = get_codec(self.model.bundle), self.model.batcher
        order = np.argsort(masks.sum(axis=1), kind="stable")  # similar lengths are run together
        outputs: list[Output] = []
        for first in range(0, len(order), self.places):
            rows = [codec.make_row_of(self.ids[masks[place]]) for place in order[first : first + self.places]]
            with batcher.admit(len(rows), deadline, self.permit.caller) as permit:
                outputs += await batcher.run(rows, permit)
            self.evaluations += len(rows)
        logits = np.empty(len(order))
        logits[order] = find_logits(np.stack(outputs), self.label)
        return logits


def find_logits(outputs: NDArray[np.float32], label: int) -> Values:
    """Return the logits of a label, float64 [rows]: the logarithm of its odds against all other labels.

    Probabilities of float32 are coarse near 1, and are 1 from a logit of about 17 on; such a logit becomes 17.3.

    Args:
        outputs: of the network, float32 [rows, outputs].
        label: its number.
    """
    probabilities = np.clip(outputs[:, label].astype(np.float64), _LEAST, 1 - _LEAST)
    logits: Values = np.log(probabilities) - np.log1p(-probabilities)
    return logits


async def explain(
    model: Model, text: Mapping[Location, str], request: ExplanationRequest, permit: Permit, budget: int, places: int
) -> AnyExplanationAnswer:
    """Return the answer to one text with its explanation; the same text gets the same one, unless time runs out.

    Args:
        model: of the task sentiment.
        text: with its place in the body.
        request: says how to judge it.
        permit: of one row, the text itself.
        budget: most texts to evaluate.
        places: in the queue, most at a time.

    Raises:
        DeadlineError, OverloadedError, QuotaExceededError: there was not even time for the first texts.
    """
    (encoded,), (output,) = await _SERVED.run(model, text, _SERVED.encode, permit)
    answer = _SERVED.answer(model.manifest, output, encoded, request)
    find_words = get_codec(model.bundle).find_words
    is_long = len(request.text) > LONG_CHARACTERS
    all_words = await asyncio.to_thread(find_words, request.text) if is_long else find_words(request.text)
    words = [word for word in all_words if word.id_ is not None]
    ids = np.array([word.id_ for word in words], np.int32)
    # The likeliest label; of two labels, which share one output, the second.
    label = int(output.argmax())
    evaluate = _Evaluator(model, permit, ids, label, min(places, MOST_PLACES), evaluations=1)
    full = float(find_logits(output[np.newaxis], label)[0])
    nothing = full
    if words:
        found = await evaluate(np.zeros((1, len(words)), bool), is_needed=True)
        assert found is not None
        nothing = float(found[0])
    seed = int.from_bytes(hashlib.sha256(ids.tobytes()).digest()[:8])
    shares = await divide(
        (nothing, full),
        _number_sentences(request.text, words),
        budget - evaluate.evaluations,
        np.random.default_rng(seed),
        evaluate,
    )
    numbers = zip(shares.contributions.tolist(), shares.errors.tolist(), strict=True)
    schema = ExplanationAnswer if isinstance(answer, SentimentAnswer) else SeveralLabelsExplanationAnswer
    return schema(
        **answer.model_dump(),
        logit=full,
        logit_of_nothing=nothing,
        evaluations=evaluate.evaluations,
        tokens=[_describe(word, *(next(numbers) if word.id_ is not None else (0.0, 0.0))) for word in all_words],
    )


def _describe(word: ReadWord, contribution: float, error: float) -> ExplainedToken:
    return ExplainedToken(
        start=word.start,
        end=word.end,
        is_known=word.is_known,
        contribution=contribution,
        standard_error=None if np.isnan(error) else error,
    )


def _number_sentences(text: str, words: Sequence[ReadWord]) -> list[int]:
    """Return the number of each word's sentence, from 0."""
    ends = [found.end() for found in _SENTENCE_END.finditer(text)]
    numbers = np.searchsorted(ends, [word.start for word in words], side="right")
    sentences: list[int] = np.unique(numbers, return_inverse=True)[1].tolist()
    return sentences
