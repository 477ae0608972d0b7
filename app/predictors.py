"""From texts to answers, free of HTTP: codec, batcher, answer. One class a task."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.batcher import Batcher
from app.errors import TOO_LATE, DeadlineError, Location
from app.problems import invalid_input
from app.schemas import FieldProblem, NextLetterAnswer, RankedLetter, SentimentAnswer
from app.settings import Settings
from bundle.errors import LetterError
from bundle.letters import LetterCodec
from bundle.reviews import EncodedReview, ReviewCodec
from bundle.store import Bundle

# Texts with more characters in all are tokenised beside the event loop: in 10 ms it answers dozens of others.
INLINE_CHARACTERS = 50_000


class NextLetterPredictor:
    """Answers with one next-letter bundle."""

    task: Literal["next-letter"] = "next-letter"

    def __init__(self, bundle: Bundle, codec: LetterCodec, batcher: Batcher) -> None:
        """Take what runs the network: coded sequences to probabilities, float32 [rows, letters]."""
        self.bundle = bundle
        self._codec = codec
        self.batcher = batcher

    async def predict(self, sequences: Mapping[Location, str], top_k: int, deadline: float) -> list[NextLetterAnswer]:
        """Answer sequences, each given under its place in the request, by the deadline: see `Batcher.run`.

        Raises:
            InvalidInputError: sequences that are not letters or are too long, all of them named.
            OverloadedError: there is no place for them in the queue.
            DeadlineError: they could not be answered in time.
        """
        self.batcher.admit(len(sequences), deadline)
        codes, problems = [], []
        for location, sequence in sequences.items():
            try:
                codes.append(self._codec.encode(sequence))
            except LetterError as error:
                problems.append(
                    FieldProblem(type="letters", loc=list(location), msg=str(error), input=error.character or None)
                )
        if problems:
            raise invalid_input(problems)
        return [self._answer(row, top_k) for row in await self.batcher.run(codes, deadline)]

    def _answer(self, probabilities: NDArray[np.float32], top_k: int) -> NextLetterAnswer:
        manifest = self.bundle.manifest
        ranked = np.argsort(-probabilities, kind="stable")[:top_k]
        top = [RankedLetter(letter=manifest.labels[k], probability=_round(probabilities[k])) for k in ranked]
        return NextLetterAnswer(
            next_letter=top[0].letter,
            probability=top[0].probability,
            top=top,
            model=manifest.name,
            version=manifest.version,
        )


class SentimentPredictor:
    """Answers with one sentiment bundle."""

    task: Literal["sentiment"] = "sentiment"

    def __init__(self, bundle: Bundle, codec: ReviewCodec, batcher: Batcher) -> None:
        """Take what runs the network: coded reviews to the probability of positive, float32 [rows, 1]."""
        self.bundle = bundle
        self._codec = codec
        self.batcher = batcher

    async def predict(self, texts: Mapping[Location, str], deadline: float) -> list[SentimentAnswer]:
        """Answer texts, each given under its place in the request, by the deadline: see `Batcher.run`.

        Raises:
            OverloadedError: there is no place for them in the queue.
            DeadlineError: they could not be answered in time.
        """
        if sum(map(len, texts.values())) <= INLINE_CHARACTERS:
            self.batcher.admit(len(texts), deadline)
            reviews = list(map(self._codec.encode, texts.values()))
        else:
            with self.batcher.reserve(len(texts), deadline):
                reviews = await asyncio.to_thread(self._encode_by, deadline, texts.values())
        probabilities = await self.batcher.run([review.ids for review in reviews], deadline)
        manifest = self.bundle.manifest
        return [
            SentimentAnswer(
                sentiment="positive" if probability >= 0.5 else "negative",
                probability_positive=_round(probability),
                words_used=review.words_used,
                words_cut=review.words_cut,
                model=manifest.name,
                version=manifest.version,
            )
            for review, (probability,) in zip(reviews, probabilities, strict=True)
        ]

    def _encode_by(self, deadline: float, texts: Iterable[str]) -> list[EncodedReview]:
        reviews = []
        for text in texts:
            if time.monotonic() > deadline:
                raise DeadlineError(TOO_LATE)
            reviews.append(self._codec.encode(text))
        return reviews


Predictor = NextLetterPredictor | SentimentPredictor


def locate(field: str, texts: str | list[str], settings: Settings) -> dict[Location, str]:
    """Return the text or texts of a request's field under their place in the body.

    Raises:
        InvalidInputError: they are too many, or some are too long; every field that is past a limit is named.
    """
    if isinstance(texts, str):
        located: dict[Location, str] = {("body", field): texts}
    elif len(texts) > settings.max_batch:
        message = f"the batch has {len(texts)} items, the limit is {settings.max_batch}; send it in parts"
        raise invalid_input([FieldProblem(type="batch_too_large", loc=["body", field], msg=message)])
    else:
        located = {("body", field, index): text for index, text in enumerate(texts)}
    limit = settings.max_text_characters
    problems = [
        FieldProblem(
            type="text_too_long",
            loc=list(location),
            msg=f"the text has {len(text)} characters, the limit is {limit}; shorten it",
        )
        for location, text in located.items()
        if len(text) > limit
    ]
    if problems:
        raise invalid_input(problems)
    return located


def _round(probability: np.float32) -> float:
    """Return the shortest decimal that is this float32: more digits would be noise."""
    return float(str(probability))
