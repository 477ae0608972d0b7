"""What answers texts: a network here, or a running service."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from app.engines.base import Engine
from app.errors import TEXT_TOO_LONG
from app.runtime.grouping import Grouping
from app.runtime.queue import CANDIDATES
from app.scoring.answers import Answer, Refused
from app.settings import Settings
from app.tasks import SERVED
from app.tasks.base import Encoded
from bundle.errors import InputError
from bundle.store import Bundle


@dataclass(frozen=True)
class Model:
    """The model that answers.

    Attributes:
        task: its name.
        labels: of the model.
        identity: what its answers depend on, for a resumed run to compare, by name; values are those of JSON.
    """

    task: str
    labels: tuple[str, ...]
    identity: Mapping[str, Any]


def describe_model(bundle: Bundle, settings: Settings) -> Model:
    """Return the model of a bundle, as an engine with these settings runs it."""
    manifest = bundle.manifest
    identity = {
        "model": manifest.name,
        "version": manifest.version,
        "checksum": manifest.checksum,
        "engine": settings.engine,
        "precision": settings.precision,
        "max_text_characters": settings.max_text_characters,  # longer texts are bad rows
    }
    return Model(manifest.task, manifest.labels, identity)


class Scorer(Protocol):
    """Answers texts.

    Attributes:
        model: that answers.
        places: how many threads may call `score` at a time.
        most_texts: in one call of `score`.
    """

    model: Model
    places: int
    most_texts: int

    def score(self, texts: Sequence[str]) -> list[Answer | Refused]:
        """Return the answers to texts, in their order.

        Raises:
            ScoringError: there are none.
        """

    def close(self) -> None:
        """End; calls of `score` that still run may raise errors."""


class EngineScorer:
    """Answers texts with an engine, those of similar length together."""

    def __init__(self, bundle: Bundle, engine: Engine, max_text_characters: int) -> None:
        """Take a bundle, its engine, and the setting: texts are refused that the service would refuse."""
        self._max_text_characters = max_text_characters
        self._bundle = bundle
        self._engine = engine
        self._served = SERVED[bundle.manifest.task]
        self._request = self._served.single.request.model_construct()  # of the defaults
        self._grouping = Grouping(engine.batch_rows)

    def score(self, texts: Sequence[str]) -> list[Answer | Refused]:
        """Return the answers to texts: see `Scorer`."""
        answers: list[Answer | Refused] = [Refused("")] * len(texts)
        encoded: dict[int, Encoded] = {}
        for place, text in enumerate(texts):
            if len(text) > self._max_text_characters:
                answers[place] = Refused(TEXT_TOO_LONG.format(len(text), self._max_text_characters))
                continue
            try:
                encoded[place] = self._served.encode(self._bundle, text)
            except InputError as error:
                answers[place] = Refused(str(error))
        steps = {place: self._engine.count_steps(one.row) for place, one in encoded.items()}
        for batch in choose_batches(self._grouping, steps):
            outputs = self._engine.run([encoded[place].row for place in batch])
            for place, output in zip(batch, outputs, strict=True):
                answer = self._served.answer(self._bundle.manifest, output, encoded[place], self._request)
                answers[place] = answer.model_dump()
        return answers


def choose_batches(grouping: Grouping, steps: Mapping[int, int]) -> Iterator[list[int]]:
    """Yield the places of the rows of each batch, of similar lengths.

    Args:
        grouping: chooses them.
        steps: of each row, by its place.
    """
    left = sorted(steps, key=steps.__getitem__)
    while left:
        rows = len(grouping.choose([steps[place] for place in left[:CANDIDATES]]))
        yield left[:rows]
        left = left[rows:]
