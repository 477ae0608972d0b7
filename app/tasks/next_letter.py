"""The next letter of a sequence."""

from typing import Annotated

import numpy as np
from pydantic import BaseModel, FailFast, Field
from pydantic.config import JsonDict

from app.errors import FieldProblem
from app.runtime.queue import Output
from app.tasks.base import (
    Encoded,
    Form,
    PredictionRequest,
    Probability,
    ServedTask,
    round_probability,
    with_example,
)
from bundle.letters import LetterCodec
from bundle.manifest import Manifest
from bundle.store import Bundle
from bundle.symbols import MOST_SYMBOLS, SymbolCodec
from bundle.tasks import NEXT_LETTER

TopK = Annotated[
    int,
    Field(
        strict=True,
        ge=1,
        le=MOST_SYMBOLS,
        description="How many characters to rank; all of them, if the model's alphabet has fewer.",
    ),
]
Sequence = Annotated[
    str,
    Field(
        description="Characters of the model's alphabet, which `GET /models` shows (A-Z or a-z for the model "
        "`next-letter`), at most as many as the model reads."
    ),
]

_ANSWER: JsonDict = {
    "next_letter": "A",
    "probability": 0.9991,
    "top": [
        {"letter": "A", "probability": 0.9991},
        {"letter": "Z", "probability": 0.0007},
        {"letter": "B", "probability": 0.0002},
    ],
    "model": "next-letter",
    "version": 1,
}
_DIGIT = "'1' (U+0031) at position 2 (the first is 0) is not a letter; send letters A-Z or a-z only"


class NextLetterRequest(PredictionRequest):
    """One sequence to continue."""

    model_config = with_example({"sequence": "XYZ", "top_k": 3})

    sequence: Sequence
    top_k: TopK = 3


class NextLetterBatchRequest(PredictionRequest):
    """Several sequences to continue."""

    model_config = with_example({"sequences": ["ABC", "xyz"], "top_k": 1})

    sequences: Annotated[list[Sequence], Field(min_length=1), FailFast()]
    top_k: TopK = 3


class RankedLetter(BaseModel):
    """A character of the alphabet and the probability that it comes next."""

    letter: str
    probability: Probability


class NextLetterAnswer(BaseModel):
    """The character that comes next, and the likeliest `top_k`."""

    model_config = with_example(_ANSWER)

    next_letter: str
    probability: Probability
    top: list[RankedLetter]
    model: str
    version: int


class NextLetterBatchAnswer(BaseModel):
    """The answers, in the order of the sequences."""

    model_config = with_example({"answers": [_ANSWER]})

    answers: list[NextLetterAnswer]


class NextLetter(ServedTask):
    """Continues sequences of letters or other characters."""

    task = NEXT_LETTER
    single = Form(
        path="/next-letter",
        field="sequence",
        request=NextLetterRequest,
        answer=NextLetterAnswer,
        summary="Continue a sequence of letters",
        description="Answer which character of the model's alphabet comes next, with its probability and those of the "
        "`top_k` likeliest.",
        problem=FieldProblem(type="letters", loc=["body", "sequence"], msg=_DIGIT, input="1"),
    )
    batch = Form(
        path="/next-letter/batch",
        field="sequences",
        request=NextLetterBatchRequest,
        answer=NextLetterBatchAnswer,
        summary="Continue several sequences",
        description="Answer several sequences in their order, each as if it had been sent alone.",
        problem=FieldProblem(type="letters", loc=["body", "sequences", 4], msg=_DIGIT, input="1"),
    )

    def encode(self, bundle: Bundle, text: str) -> Encoded:
        """Return the codes of one sequence: see `ServedTask.encode`."""
        codec = bundle.codec
        assert isinstance(codec, LetterCodec | SymbolCodec)
        row = codec.encode(text)
        return Encoded(row, {}, len(row))

    def answer(
        self,
        manifest: Manifest,
        output: Output,
        encoded: Encoded,  # noqa: ARG002
        request: NextLetterRequest | NextLetterBatchRequest,
    ) -> NextLetterAnswer:
        """Return the likeliest letters after one sequence: see `ServedTask.answer`."""
        probabilities = output if len(output) > 1 else np.array([1 - output[0], output[0]])
        ranked = np.argsort(-probabilities, kind="stable")[: request.top_k]
        top = [RankedLetter(letter=manifest.labels[k], probability=round_probability(probabilities[k])) for k in ranked]
        return NextLetterAnswer(
            next_letter=top[0].letter,
            probability=top[0].probability,
            top=top,
            model=manifest.name,
            version=manifest.version,
        )

    def label(self, answer: NextLetterAnswer) -> str:
        """Return the letter: see `ServedTask.label`."""
        return answer.next_letter
