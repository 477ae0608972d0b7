"""A client of the service: `Client`, and `AsyncClient` for asyncio.

    with Client("http://localhost:8000") as client:
        print(client.sentiment("A tender, wonderful film.").sentiment)

This file needs httpx and nothing else, so it can be copied into another project. It must not import `app`.

What is sent, and when it is sent again, is written once, in generators (`_Steps`). They yield requests and pauses, and
get the outcomes. The two clients differ only in how they send and wait.
"""

import asyncio
import json
import logging
import os
import random
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import count
from typing import Any, Generic, Self, TypedDict, TypeVar, Unpack
from urllib.parse import quote

import httpx

__all__ = [
    "AsyncClient",
    "Client",
    "ExplainedToken",
    "Explanation",
    "ExplanationOptions",
    "FieldError",
    "LetterOptions",
    "Limits",
    "Model",
    "ModelDetails",
    "NextLetterAnswer",
    "NoAnswerError",
    "Options",
    "ProblemError",
    "RankedLetter",
    "SentimentAnswer",
    "SentimentOptions",
    "ServiceError",
    "Version",
]

URL_VARIABLE = "LSTM_CLIENT_URL"
KEY_VARIABLE = "LSTM_CLIENT_KEY"
DEFAULT_URL = "http://localhost:8000"
DEFAULT_TIMEOUT = 30.0  # seconds; a service that is restarted is back by then
# Batches at a time. With the service's defaults, four have places in the queue of one process.
DEFAULT_CONCURRENCY = 4

_CONNECT_SECONDS = 5.0
_FIRST_PAUSE = 0.1  # seconds; each further one is twice as long, ...
_LONGEST_PAUSE = 5.0  # ... up to this, unless the service asks for more
_TOO_LATE = 504
_OUT_OF_TIME = frozenset({408, _TOO_LATE})
_LEAST_SECONDS = 0.01  # with less time left, the service has ended a request because its deadline was ours
_RETRIED = frozenset({429, 502, 503, _TOO_LATE})  # 502 and 504 also come from a proxy while the service is restarted
_HALVED = frozenset({413, _TOO_LATE})  # 413 also comes from a proxy with a lower limit
_NO_TYPE = "about:blank"  # RFC 9457, section 4.2.1
_NEVER = float("inf")
_WORDS = ("words_used", "words_unknown", "words_cut")
_OTHER_BYTES = 1024  # of a body, besides the texts
_MISSING = frozenset({"NAType", "NaTType"})  # classes of pandas, whose values equal nothing

Answered = TypeVar("Answered")
Frame = TypeVar("Frame")

logger = logging.getLogger(__name__)


class Options(TypedDict, total=False):
    """What every prediction may be asked with.

    Attributes:
        model: by default the default model of the task.
        version: its number, or a label; by default the version that answers.
        deadline: seconds for the whole call; by default only each request has a limit, the client's `timeout`.
    """

    model: str | None
    version: int | str | None
    deadline: float | None


class SentimentOptions(Options, total=False):
    """What a sentiment may be asked with: a less probable one than `min_confidence` is `uncertain`."""

    min_confidence: float | None


class ExplanationOptions(SentimentOptions, total=False):
    """What an explanation may be asked with: the most texts that the model may judge for it."""

    budget: int | None


class LetterOptions(Options, total=False):
    """What a next letter may be asked with: the number of characters in `top`, by default 3."""

    top_k: int


@dataclass(frozen=True, slots=True)
class SentimentAnswer:
    """The answer to one text.

    Attributes:
        sentiment: a label of the model, or `uncertain`; None if the text has no word that the model knows.
        probability: of the likeliest label, which is `sentiment` unless that is `uncertain`; None without a sentiment.
        probability_positive: of the second label of a model with two, whatever its name; None for other models.
        probabilities: of each label of a model with more than two; None for other models.
        words_used: words that the model read, unknown ones included.
        words_unknown: of these, words that the model does not know.
        words_cut: words at the start of the text that the model did not read.
        model: that answered.
        version: of the model.
    """

    sentiment: str | None
    probability: float | None
    probability_positive: float | None
    probabilities: Mapping[str, float] | None
    words_used: int
    words_unknown: int
    words_cut: int
    model: str
    version: int


@dataclass(frozen=True, slots=True)
class ExplainedToken:
    """A word or mark, its place in the text, and how much it moves the logit; `docs/api.md` describes the fields."""

    start: int
    end: int
    is_known: bool
    contribution: float
    standard_error: float | None


@dataclass(frozen=True, slots=True)
class Explanation(SentimentAnswer):
    """The answer to one text, and why: `logit_of_nothing` and the contributions of all tokens add up to `logit`."""

    logit: float
    logit_of_nothing: float
    evaluations: int
    tokens: tuple[ExplainedToken, ...]


@dataclass(frozen=True, slots=True)
class RankedLetter:
    """A character and the probability that it comes next."""

    letter: str
    probability: float


@dataclass(frozen=True, slots=True)
class NextLetterAnswer:
    """The character that comes next, and the likeliest ones."""

    next_letter: str
    probability: float
    top: tuple[RankedLetter, ...]
    model: str
    version: int


@dataclass(frozen=True, slots=True)
class Model:
    """A model and whether it answers; `docs/api.md` describes the fields of `GET /models`."""

    name: str
    status: str
    detail: str | None
    task: str | None
    version: int | None
    default: bool
    alphabet: str | None
    problems: Sequence[str]


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a model and whether it answers; `docs/api.md` describes the fields."""

    version: int
    status: str
    detail: str | None
    labels: Sequence[str]
    default: bool
    loaded_processes: int | None
    default_processes: int | None


@dataclass(frozen=True, slots=True)
class ModelDetails:
    """What one version of a model is; `docs/api.md` describes the fields of `GET /models/{name}`."""

    name: str
    version: int
    task: str
    created: str
    labels: Sequence[str]
    metrics: Mapping[str, float]
    preprocessing: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Limits:
    """What the service accepts in one request."""

    max_batch: int
    max_text_characters: int
    max_body_bytes: int


@dataclass(frozen=True, slots=True)
class FieldError:
    """An invalid field; the place of a text in `loc` is its place among the texts of the call."""

    type: str
    loc: tuple[str | int, ...]
    msg: str
    input: str | float | None = None


class ServiceError(Exception):
    """Root of the errors of this module."""


class NoAnswerError(ServiceError):
    """There was no answer in time."""


class ProblemError(ServiceError):
    """The service answered with a problem document (RFC 9457), or a proxy with another error.

    Attributes:
        status: of HTTP.
        type: of the problem, a URI; `about:blank` if the answer is no problem document.
        title: of the type.
        detail: what came, what was expected and what to do.
        fields: that are invalid.
        retry_after: seconds after which to try again; None if the answer does not say.
        request_id: under which the service's log has the request; empty without one.
    """

    def __init__(
        self,
        status: int,
        type: str,  # noqa: A002
        title: str,
        detail: str,
        fields: tuple[FieldError, ...] = (),
        retry_after: float | None = None,
        request_id: str = "",
    ) -> None:
        """Take the members of the document, and two headers."""
        super().__init__(status, type, title, detail, fields, retry_after, request_id)  # so that it can be pickled
        self.status = status
        self.type = type
        self.title = title
        self.detail = detail
        self.fields = fields
        self.retry_after = retry_after
        self.request_id = request_id

    @property
    def kind(self) -> str:
        """The end of the type, as `docs/api.md` lists it: `model-not-found`; empty without a problem document."""
        return "" if self.type == _NO_TYPE else self.type.replace("#", ":").rpartition(":")[2]

    def __str__(self) -> str:
        shown = f"{self.status} {self.kind or self.title}: {self.detail}"
        return f"{shown} (request id {self.request_id})" if self.status >= 500 and self.request_id else shown


@dataclass(frozen=True, slots=True)
class _Request:
    """A request to send, by POST if it has a body; its answer is due at `end`, on the clock of `time.monotonic`."""

    path: str
    body: bytes | None
    end: float


# Yields requests, and pauses in seconds; gets an answer, an error of the connection, or None after a pause.
_Steps = Generator[_Request | float, httpx.Response | httpx.TransportError | None, Answered]


@dataclass(frozen=True, slots=True)
class _Task(Generic[Answered]):
    """The two paths of a task."""

    path: str
    field: str
    read: Callable[[Any], Answered]

    @property
    def fields(self) -> str:
        """The field of several inputs."""
        return f"{self.field}s"

    def check(self, place: str, text: object, limits: Limits) -> None:
        """Return if a text can be sent.

        Raises:
            TypeError: it is no text.
            ServiceError: it is too long.
        """
        if not isinstance(text, str):
            raise TypeError(f"{place} is {text!r:.80}; it should be a string")
        if len(text) > limits.max_text_characters:
            most = limits.max_text_characters
            raise ServiceError(f"{place} has {len(text)} characters, the limit of the service is {most}; shorten it")

    def split(self, texts: Iterable[str], limits: Limits) -> Iterator[tuple[int, list[bytes]]]:
        """Return the texts as JSON in batches within the limits, each with the place of its first text."""
        if isinstance(texts, Sequence):
            for place, text in enumerate(texts):  # before the first request
                self.check(f"{self.fields}[{place}]", text, limits)
        first, batch, size = 0, list[bytes](), _OTHER_BYTES
        for place, text in enumerate(texts):
            self.check(f"{self.fields}[{place}]", text, limits)
            encoded = _encode(text)
            size += len(encoded) + 1
            if batch and (len(batch) == limits.max_batch or size > limits.max_body_bytes):
                yield first, batch
                first, batch, size = place, [], _OTHER_BYTES + len(encoded) + 1
            batch.append(encoded)
        if batch:
            yield first, batch


def _find_probability(answer: dict[str, Any]) -> float | None:
    """Return the probability of the likeliest label; the answer of a model with two labels has that of the second."""
    positive = answer.get("probability_positive")
    return answer.get("probability") if positive is None else max(positive, round(1 - positive, 8))


def _read_sentiment(answer: dict[str, Any]) -> SentimentAnswer:
    return _take(SentimentAnswer, answer | {"probability": _find_probability(answer)})


def _read_explanation(answer: dict[str, Any]) -> Explanation:
    tokens = tuple(_take(ExplainedToken, token) for token in answer["tokens"])
    return _take(Explanation, answer | {"probability": _find_probability(answer), "tokens": tokens})


def _read_next_letter(answer: dict[str, Any]) -> NextLetterAnswer:
    return _take(NextLetterAnswer, answer | {"top": tuple(_take(RankedLetter, ranked) for ranked in answer["top"])})


_SENTIMENT = _Task("/sentiment", "text", _read_sentiment)
_EXPLANATION = _Task("/sentiment/explain", "text", _read_explanation)
_NEXT_LETTER = _Task("/next-letter", "sequence", _read_next_letter)


@dataclass(frozen=True, slots=True)
class _Plan(Generic[Frame]):
    """A frame, the texts of its column, what to ask for them, and the names of the columns to add."""

    frame: Frame
    column: str
    texts: Sequence[str]
    names: Sequence[str]
    labels: Sequence[str]
    options: Mapping[str, Any]

    def add(self, answers: Sequence[SentimentAnswer]) -> Frame:
        """Return the frame with the columns."""
        probabilities: list[list[Any]] = [[answer.probability_positive for answer in answers]]
        if len(self.labels) != 2:
            found = [answer.probabilities or {} for answer in answers]
            probabilities = [[each.get(label) for each in found] for label in self.labels]
        words = [[getattr(answer, name) for answer in answers] for name in _WORDS]
        values = [[answer.sentiment for answer in answers], *probabilities, *words]
        frame: Any = self.frame
        make = type(frame[self.column])
        is_polars = hasattr(frame, "with_columns")
        kinds = [str if is_polars else object, *(float for _ in probabilities), *(int for _ in words)]
        columns = [*zip(self.names, values, kinds, strict=True)]
        if is_polars:
            added: Frame = frame.with_columns(*(make(name, each, kind) for name, each, kind in columns))
        else:
            new = {name: make(each, index=frame.index, dtype=kind) for name, each, kind in columns}
            added = frame.assign(**new)
        return added


class _BaseClient:
    """What both clients have in common: where the service is, and the steps of every call."""

    def __init__(self, url: str | None, key: str | None, timeout: float, concurrency: int) -> None:
        self.url = (url or os.environ.get(URL_VARIABLE) or DEFAULT_URL).strip().rstrip("/")
        try:
            is_address = httpx.URL(self.url).scheme in ("http", "https") and httpx.URL(self.url).host
        except httpx.InvalidURL:
            is_address = False
        if not is_address:
            raise ValueError(f"{self.url!r} is not the address of a service; write it as {DEFAULT_URL}")
        key = (key or os.environ.get(KEY_VARIABLE) or "").strip()
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise ValueError("the API key has spaces or characters that no key has; pass only the key")
        if timeout <= 0 or concurrency < 1:
            raise ValueError(f"timeout is {timeout} and concurrency {concurrency}; both should be above 0")
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self._timeout = timeout
        self._concurrency = concurrency
        self._limits: Limits | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def _describe(self, request: _Request) -> dict[str, Any]:
        """Return the arguments for httpx."""
        left = max(0.001, request.end - time.monotonic())
        headers = self._headers
        if request.body is not None:
            headers = headers | {"content-type": "application/json", "x-deadline-ms": str(max(1, int(1000 * left)))}
        return {
            "method": "GET" if request.body is None else "POST",
            "url": self.url + request.path,
            "content": request.body,
            "headers": headers,
            "timeout": httpx.Timeout(left, connect=min(left, _CONNECT_SECONDS)),
        }

    def _find_end(self, due: float) -> float:
        """Return when the answer to a request that begins now is due; the whole call is due at `due`."""
        return min(time.monotonic() + self._timeout, due)

    def _ask(
        self, path: str, end: float, body: bytes | None = None, member: str | None = None, *, can_halve: bool = False
    ) -> _Steps[Any]:
        """Return the JSON of an answer, or one member of it; send the request again as long as that can help.

        Raises:
            ServiceError: there was no answer, or it was an error.
        """
        for attempt in count():
            outcome = yield _Request(path, body, end)
            if isinstance(outcome, httpx.Response) and outcome.is_success:
                return _read_answer(outcome, member)
            failure: ProblemError | NoAnswerError
            if isinstance(outcome, httpx.Response):
                failure = _make_problem(outcome)
                if failure.status in _OUT_OF_TIME and time.monotonic() + _LEAST_SECONDS >= end:
                    raise NoAnswerError(f"no answer from {self.url}{path}: the time was over") from failure
                may_help = failure.status in _RETRIED and failure.kind != "model-refused"
                may_help = may_help and not (failure.status == _TOO_LATE and can_halve)
                asked, level = failure.retry_after or 0, logging.INFO
            else:
                assert outcome
                why, may_help = _explain_error(outcome)
                failure = NoAnswerError(f"no answer from {self.url}{path}: {why}")
                failure.__cause__ = outcome
                asked, level = 0, logging.WARNING
            # Spread out, so that clients that were rejected together do not come back together.
            pause = random.uniform(1, 1.5) * max(asked, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(attempt, 10)))
            if not may_help or time.monotonic() + pause >= end:
                raise failure
            logger.log(level, "%s; trying again in %.1f s", failure, pause)
            yield pause
        raise AssertionError("This is a bug: counting has ended")  # pragma: no cover

    def _ask_one(self, task: _Task[Answered], text: str, options: Mapping[str, Any], due: float) -> _Steps[Answered]:
        """Return the answer to one text.

        Raises:
            TypeError: it is no text.
        """
        if not isinstance(text, str):
            raise TypeError(f"{task.field} is {text!r:.80}; it should be a string")
        body = _join(options, f'"{task.field}":'.encode() + _encode(text))
        answer = yield from self._ask(task.path, self._find_end(due), body)
        return task.read(answer)

    def _ask_batch(
        self, task: _Task[Answered], batch: tuple[int, list[bytes]], options: Mapping[str, Any], due: float
    ) -> _Steps[list[Answered]]:
        """Return the answers to a batch of `_Task.split`."""
        answers = yield from self._ask_texts(task, *batch, options, self._find_end(due))
        return [task.read(answer) for answer in answers]

    def _ask_texts(
        self, task: _Task[Any], first: int, texts: list[bytes], options: Mapping[str, Any], end: float
    ) -> _Steps[list[Any]]:
        """Return the answers to texts, as JSON; a batch that is too large or takes too long is sent as two halves."""
        body = _join(options, f'"{task.fields}":['.encode() + b",".join(texts) + b"]")
        half = len(texts) // 2
        try:
            answers: list[Any] = yield from self._ask(f"{task.path}/batch", end, body, "answers", can_halve=half > 0)
            return answers
        except ProblemError as error:
            is_too_large = any(field.type == "batch_too_large" for field in error.fields)
            if not half or not (is_too_large or error.status in _HALVED) or time.monotonic() >= end:
                raise _move(error, task.fields, first) from None
        before = yield from self._ask_texts(task, first, texts[:half], options, end)
        after = yield from self._ask_texts(task, first + half, texts[half:], options, end)
        return before + after

    def _learn_limits(self, due: float = _NEVER) -> _Steps[Limits]:
        """Return the limits of the service, which is asked for them once."""
        if self._limits is None:
            limits = yield from self._ask("/models", self._find_end(due), member="limits")
            self._limits = _take(Limits, limits)
        return self._limits

    def _list_models(self) -> _Steps[list[Model]]:
        models = yield from self._ask("/models", self._find_end(_NEVER), member="models")
        return [_take(Model, model) for model in models]

    def _list_versions(self, name: str) -> _Steps[list[Version]]:
        path = f"/models/{quote(name, safe='')}/versions"
        versions = yield from self._ask(path, self._find_end(_NEVER), member="versions")
        return [_take(Version, version) for version in versions]

    def _find_details(self, name: str | None, version: int | str | None, due: float = _NEVER) -> _Steps[ModelDetails]:
        """Return what a model is, by default the default model of sentiments and its version that answers.

        Raises:
            ServiceError: there is none, or no such label; or there was no answer.
        """
        if name is None:
            models = yield from self._list_models()
            defaults = [model.name for model in models if model.task == "sentiment" and model.default]
            if not defaults:
                names = ", ".join(model.name for model in models) or "none"
                raise ServiceError(f"{self.url} has no default model of sentiment; name one of its models: {names}")
            (name,) = defaults
        if isinstance(version, str):
            labels = {label: one.version for one in (yield from self._list_versions(name)) for label in one.labels}
            if version not in labels:
                have = ", ".join(sorted(labels)) or "none"
                raise ServiceError(f"there is no label {version!r} of {name} at {self.url}; labels: {have}")
            version = labels[version]
        path = f"/models/{quote(name, safe='')}{'' if version is None else f'/versions/{version}'}"
        details = yield from self._ask(path, self._find_end(due))
        return _take(ModelDetails, details)

    def _plan_frame(self, frame: Frame, column: str, prefix: str, options: Mapping[str, Any]) -> "_Steps[_Plan[Frame]]":
        """Return how to score a frame: see `Client.score_frame`."""
        texts = _read_column(frame, column)
        chosen = options.get("model"), options.get("version")
        details = yield from self._find_details(*chosen, _find_due(options))
        names = _name_columns(frame, details.labels, prefix)
        options = {**options, "model": details.name, "version": details.version}
        return _Plan(frame, column, texts, names, details.labels, options)


class Client(_BaseClient):
    """A client that waits for its answers. Several threads may use it."""

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        concurrency: int = DEFAULT_CONCURRENCY,
        http: httpx.Client | None = None,
    ) -> None:
        """Take the service; nothing is sent yet.

        Args:
            url: of the service, with the path prefix of a proxy if there is one; by default LSTM_CLIENT_URL, or
                http://localhost:8000.
            key: an API key; by default LSTM_CLIENT_KEY, or none.
            timeout: seconds for one request with all its retries. Many texts are several requests.
            concurrency: batches of many texts that are sent at a time.
            http: sends the requests, for example through a Unix socket; its owner closes it.

        Raises:
            ValueError: an argument cannot be right.
        """
        super().__init__(url, key, timeout, concurrency)
        self._http = http or httpx.Client()
        self._is_own = http is None

    def sentiment(self, text: str, **options: Unpack[SentimentOptions]) -> SentimentAnswer:
        """Return the sentiment of one text.

        Args:
            text: to judge.
            options: `model`, `version`, `min_confidence` and `deadline`; see `SentimentOptions`.

        Raises:
            ServiceError: there was no answer, or it was an error.
        """
        return self._run(self._ask_one(_SENTIMENT, text, options, _find_due(options)))

    def sentiments(self, texts: Iterable[str], **options: Unpack[SentimentOptions]) -> list[SentimentAnswer]:
        """Return the sentiments of any number of texts, in their order: see `sentiment`.

        Raises:
            TypeError: a text is no string; nothing was sent.
            ServiceError: a text is too long, and nothing was sent; or a request failed. `iter_sentiments` has the
                answers before it.
        """
        return [*self._stream(_SENTIMENT, [*_refuse_one(texts)], options)]

    def iter_sentiments(self, texts: Iterable[str], **options: Unpack[SentimentOptions]) -> Iterator[SentimentAnswer]:
        """Return the sentiments one by one: see `sentiments`. Texts are read only a few batches ahead."""
        return self._stream(_SENTIMENT, _refuse_one(texts), options)

    def explain(self, text: str, **options: Unpack[ExplanationOptions]) -> Explanation:
        """Return the sentiment of one text, and how much each of its words moves it: see `sentiment`."""
        return self._run(self._ask_one(_EXPLANATION, text, options, _find_due(options)))

    def next_letter(self, sequence: str, **options: Unpack[LetterOptions]) -> NextLetterAnswer:
        """Return the character after one sequence, and the likeliest ones.

        Args:
            sequence: of characters of the model's alphabet.
            options: `model`, `version`, `top_k` and `deadline`; see `LetterOptions`.

        Raises:
            ServiceError: there was no answer, or it was an error.
        """
        return self._run(self._ask_one(_NEXT_LETTER, sequence, options, _find_due(options)))

    def next_letters(self, sequences: Iterable[str], **options: Unpack[LetterOptions]) -> list[NextLetterAnswer]:
        """Return the character after each of any number of sequences, in their order: see `sentiments`."""
        return [*self._stream(_NEXT_LETTER, [*_refuse_one(sequences)], options)]

    def score_frame(self, frame: Frame, column: str, *, prefix: str = "", **options: Unpack[SentimentOptions]) -> Frame:
        """Return a data frame of pandas or polars with columns for the sentiment of each row.

        They are those of `python -m app score`: `predicted_sentiment`; the probability of the second label, such as
        `probability_positive`, or that of each label of a model with more; `words_used`, `words_unknown` and
        `words_cut`. Rows without a text have missing values. One version of the model answers all rows.

        Args:
            frame: with the texts; it stays as it is.
            column: of the texts.
            prefix: what the names of the new columns begin with.
            options: see `sentiment`.

        Raises:
            TypeError: it is no such frame, or a value of the column is no text; nothing was sent.
            ValueError: it has no such column, or has a column with the name of a new one.
            ServiceError: a text is too long, or a request failed.
        """
        plan = self._run(self._plan_frame(frame, column, prefix, options))
        return plan.add([*self._stream(_SENTIMENT, plan.texts, plan.options)])

    def models(self) -> list[Model]:
        """Return the models of the service."""
        return self._run(self._list_models())

    def versions(self, name: str) -> list[Version]:
        """Return the versions of a model, the newest first."""
        return self._run(self._list_versions(name))

    def describe(self, name: str | None = None, version: int | str | None = None) -> ModelDetails:
        """Return what a model is, by default the default model of sentiments and its version that answers."""
        return self._run(self._find_details(name, version))

    def limits(self) -> Limits:
        """Return what the service accepts in one request."""
        return self._run(self._learn_limits())

    def close(self) -> None:
        """Close the connections."""
        if self._is_own:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _stream(self, task: _Task[Answered], texts: Iterable[str], options: Mapping[str, Any]) -> Iterator[Answered]:
        """Return the answers to texts in their order, from threads that send batches ahead."""
        due = _find_due(options)
        limits = self._run(self._learn_limits(due))
        is_over = threading.Event()
        waiting: deque[Future[list[Answered]]] = deque()
        with ThreadPoolExecutor(self._concurrency) as threads:
            try:
                for batch in task.split(texts, limits):
                    steps = self._ask_batch(task, batch, options, due)
                    waiting.append(threads.submit(self._run, steps, is_over))
                    if len(waiting) == 2 * self._concurrency:
                        yield from waiting.popleft().result()
                while waiting:
                    yield from waiting.popleft().result()
            finally:
                is_over.set()
                for future in waiting:
                    future.cancel()

    def _run(self, steps: _Steps[Answered], is_over: threading.Event | None = None) -> Answered:
        """Take the steps of a call and return what they return; pauses end when the call is over."""
        outcome: httpx.Response | httpx.TransportError | None = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                answered: Answered = end.value
                return answered
            outcome = None
            if isinstance(step, _Request):
                try:
                    outcome = self._http.request(**self._describe(step))
                except httpx.TransportError as error:
                    outcome = error
            elif (is_over or threading.Event()).wait(step):
                raise NoAnswerError("the call is over")


class AsyncClient(_BaseClient):
    """A client for asyncio. Its methods are those of `Client`.

    It sends at most `concurrency` requests at a time, all calls together; the others wait.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        concurrency: int = DEFAULT_CONCURRENCY,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        """Take the service: see `Client`."""
        super().__init__(url, key, timeout, concurrency)
        self._http = http or httpx.AsyncClient()
        self._is_own = http is None
        self._places = asyncio.Semaphore(concurrency)

    async def sentiment(self, text: str, **options: Unpack[SentimentOptions]) -> SentimentAnswer:
        """Return the sentiment of one text: see `Client.sentiment`."""
        return await self._run(self._ask_one(_SENTIMENT, text, options, _find_due(options)))

    async def sentiments(self, texts: Iterable[str], **options: Unpack[SentimentOptions]) -> list[SentimentAnswer]:
        """Return the sentiments of any number of texts, in their order: see `Client.sentiments`."""
        return [answer async for answer in self._stream(_SENTIMENT, [*_refuse_one(texts)], options)]

    def iter_sentiments(
        self, texts: Iterable[str], **options: Unpack[SentimentOptions]
    ) -> AsyncIterator[SentimentAnswer]:
        """Return the sentiments one by one: see `Client.iter_sentiments`."""
        return self._stream(_SENTIMENT, _refuse_one(texts), options)

    async def explain(self, text: str, **options: Unpack[ExplanationOptions]) -> Explanation:
        """Return the sentiment of one text, and how much each of its words moves it: see `Client.explain`."""
        return await self._run(self._ask_one(_EXPLANATION, text, options, _find_due(options)))

    async def next_letter(self, sequence: str, **options: Unpack[LetterOptions]) -> NextLetterAnswer:
        """Return the character after one sequence: see `Client.next_letter`."""
        return await self._run(self._ask_one(_NEXT_LETTER, sequence, options, _find_due(options)))

    async def next_letters(self, sequences: Iterable[str], **options: Unpack[LetterOptions]) -> list[NextLetterAnswer]:
        """Return the character after each of any number of sequences: see `Client.next_letters`."""
        return [answer async for answer in self._stream(_NEXT_LETTER, [*_refuse_one(sequences)], options)]

    async def score_frame(
        self, frame: Frame, column: str, *, prefix: str = "", **options: Unpack[SentimentOptions]
    ) -> Frame:
        """Return a data frame with columns for the sentiment of each row: see `Client.score_frame`."""
        plan = await self._run(self._plan_frame(frame, column, prefix, options))
        return plan.add([answer async for answer in self._stream(_SENTIMENT, plan.texts, plan.options)])

    async def models(self) -> list[Model]:
        """Return the models of the service."""
        return await self._run(self._list_models())

    async def versions(self, name: str) -> list[Version]:
        """Return the versions of a model, the newest first."""
        return await self._run(self._list_versions(name))

    async def describe(self, name: str | None = None, version: int | str | None = None) -> ModelDetails:
        """Return what a model is: see `Client.describe`."""
        return await self._run(self._find_details(name, version))

    async def limits(self) -> Limits:
        """Return what the service accepts in one request."""
        return await self._run(self._learn_limits())

    async def close(self) -> None:
        """Close the connections."""
        if self._is_own:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _stream(
        self, task: _Task[Answered], texts: Iterable[str], options: Mapping[str, Any]
    ) -> AsyncIterator[Answered]:
        """Return the answers to texts in their order; batches are sent ahead."""
        due = _find_due(options)
        limits = await self._run(self._learn_limits(due))
        waiting: deque[asyncio.Task[list[Answered]]] = deque()
        try:
            for batch in task.split(texts, limits):
                steps = self._ask_batch(task, batch, options, due)
                waiting.append(asyncio.create_task(self._run(steps)))
                if len(waiting) == 2 * self._concurrency:
                    for answer in await waiting.popleft():
                        yield answer
            while waiting:
                for answer in await waiting.popleft():
                    yield answer
        finally:
            for left in waiting:
                left.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _run(self, steps: _Steps[Answered]) -> Answered:
        """Take the steps of a call, once there is a place for it, and return what they return."""
        outcome: httpx.Response | httpx.TransportError | None = None
        async with self._places:
            while True:
                try:
                    step = steps.send(outcome)
                except StopIteration as end:
                    answered: Answered = end.value
                    return answered
                outcome = None
                if isinstance(step, _Request):
                    outcome = await self._send(step)
                else:
                    await asyncio.sleep(step)

    async def _send(self, request: _Request) -> httpx.Response | httpx.TransportError:
        """Return the outcome of a request."""
        try:
            async with asyncio.timeout(request.end - time.monotonic()):
                return await self._http.request(**self._describe(request))
        except httpx.TransportError as error:
            return error
        except TimeoutError:
            return httpx.ReadTimeout("")


def _find_due(options: Mapping[str, Any]) -> float:
    """Return when a whole call is due that begins now, on the clock of `time.monotonic`."""
    deadline: float | None = options.get("deadline")
    return _NEVER if deadline is None else time.monotonic() + deadline


def _encode(text: str) -> bytes:
    """Return a text as JSON."""
    try:
        return json.dumps(text, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # a lone surrogate, where somebody cut an emoji in two; the service reads its escape
        return json.dumps(text).encode()


def _join(options: Mapping[str, Any], inputs: bytes) -> bytes:
    """Return the body of a request."""
    given = {name: value for name, value in options.items() if value is not None and name != "deadline"}
    return b"{" + inputs + (b"," if given else b"") + json.dumps(given).encode()[1:]


def _take(kind: type[Answered], answer: Mapping[str, Any]) -> Answered:
    """Return an object of the fields of an answer that it knows; a later service may send more."""
    return kind(**{field.name: answer.get(field.name) for field in fields(kind)})  # type: ignore[arg-type]


def _refuse_one(texts: Iterable[str]) -> Iterable[str]:
    """Return the texts, if they are not one text, of which each letter would be judged.

    Raises:
        TypeError: they are.
    """
    if isinstance(texts, str | bytes):
        raise TypeError("texts are one string; send a list of strings, or ask for one text")
    return texts


def _read_answer(answer: httpx.Response, member: str | None) -> Any:
    """Return the JSON of an answer, or one member of it.

    Raises:
        ServiceError: it has none.
    """
    try:
        value = answer.json()
        return value if member is None else value[member]
    except (ValueError, TypeError, KeyError) as error:
        what = f"the field {member}" if member else "JSON"
        raise ServiceError(f"{answer.url} answers without {what}; is it the address of the service?") from error


def _make_problem(answer: httpx.Response) -> ProblemError:
    """Return the error in an answer."""
    document = _read_problem(answer)
    place = f", which refers to {answer.headers['location']}" if "location" in answer.headers else ""
    other = f"{answer.url} answers {answer.status_code} {answer.reason_phrase}{place}, without a problem document"
    return ProblemError(
        answer.status_code,
        document.get("type", _NO_TYPE),
        document.get("title", answer.reason_phrase),
        document.get("detail", other),
        tuple(_take(FieldError, field | {"loc": tuple(field.get("loc", ()))}) for field in document.get("errors", ())),
        _read_retry_after(answer.headers.get("retry-after", "")),
        answer.headers.get("x-request-id", ""),
    )


def _read_problem(answer: httpx.Response) -> dict[str, Any]:
    """Return the problem document of an answer; an empty one if it has none, or if a proxy has cut it."""
    try:
        document = answer.json()
    except ValueError:
        return {}
    is_problem = answer.headers.get("content-type", "").startswith("application/problem+json")
    return document if is_problem and isinstance(document, dict) else {}


def _explain_error(error: BaseException) -> tuple[str, bool]:
    """Return why there was no answer and what to do, in words; and whether to ask again may help."""
    match error:
        case ssl.SSLCertVerificationError():
            why = f"its certificate is not trusted ({error.verify_message})"
            return f"{why}; name a file with the certificate of its authority in SSL_CERT_FILE", False
        case ssl.SSLError():
            return f"TLS fails ({error.reason}); without TLS its address begins with http://", False
        case socket.gaierror():
            return "there is no host of this name; correct the address", True
        case ConnectionRefusedError():
            return "nothing listens there; start the service, or correct the address", True
        case httpx.TimeoutException():
            return "the time was over", True
        case BaseExceptionGroup():  # one for each address of the host
            return _explain_error(error.exceptions[0])
    if cause := error.__cause__ or error.__context__:
        return _explain_error(cause)
    lost = str(error) or type(error).__name__
    return f"the connection was lost ({lost}); if the service uses TLS, its address begins with https://", True


def _read_retry_after(value: str) -> float | None:
    """Return the seconds of a Retry-After, which may be a date (RFC 9110, section 10.2.3)."""
    if value.isdecimal():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (date.astimezone(UTC) - datetime.now(UTC)).total_seconds())


def _move(error: ProblemError, name: str, first: int) -> ProblemError:
    """Return the error of a batch with the places that its texts have in the call."""
    moved = []
    for field in error.fields:
        match field.loc:
            case ("body", place, int(index), *rest) if place == name:
                moved.append(FieldError(field.type, ("body", name, first + index, *rest), field.msg, field.input))
            case _:
                moved.append(field)
    detail = "; ".join(f"{'.'.join(map(str, field.loc))}: {field.msg}" for field in moved) or error.detail
    return ProblemError(
        error.status, error.type, error.title, detail, tuple(moved), error.retry_after, error.request_id
    )


def _read_column(frame: Any, column: str) -> list[str]:
    """Return the texts of a column, with an empty one where there is none.

    Raises:
        TypeError: it is no data frame, or a value is no text.
        ValueError: it has no such column.
    """
    if not hasattr(frame, "with_columns") and not hasattr(frame, "assign"):
        raise TypeError(f"{type(frame).__name__} is no data frame of pandas or polars")
    if [*frame.columns].count(column) != 1:
        names = ", ".join(map(repr, frame.columns))
        raise ValueError(f"the frame should have one column {column!r}; its columns are: {names:.500}")
    texts = ["" if _is_missing(value) else value for value in frame[column].to_list()]
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"row {row} of the column {column!r} is {text!r:.80}; it should be a string")
    return texts


def _is_missing(value: object) -> bool:
    return value is None or type(value).__name__ in _MISSING or (isinstance(value, float) and value != value)


def _name_columns(frame: Any, labels: Sequence[str], prefix: str) -> list[str]:
    """Return the names of the columns of `Client.score_frame`.

    Raises:
        ValueError: the frame has one of them.
    """
    probabilities = [f"probability_{label}" for label in (labels[1:] if len(labels) == 2 else labels)]
    names = [f"{prefix}{name}" for name in ("predicted_sentiment", *probabilities, *_WORDS)]
    if taken := [name for name in names if name in frame.columns]:
        raise ValueError(
            f"the frame has already the column {', '.join(map(repr, taken))}; choose other names for the new ones "
            'with prefix, such as prefix="new_"'
        )
    return names
