"""Answers texts by a running service, which `app.client` asks in a thread of its own."""

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import CancelledError
from dataclasses import asdict
from typing import Any, TypeVar

from app.client import KEY_VARIABLE, AsyncClient, ProblemError, ServiceError
from app.errors import TEXT_TOO_LONG, ScoringError
from app.scoring.answers import Answer, Refused
from app.scoring.scorer import Model
from app.tasks import SERVED
from bundle.tasks import NEXT_LETTER

# Requests at a time: enough for the processes of a service of two cores.
PLACES = 4
# A service that is restarted is back by then. One that asks for more time, such as until its quota's next day, is not
# waited for.
MOST_SECONDS = 600.0
# Of the requests before the first text, so that a wrong address is reported soon.
FIRST_SECONDS = 3.0

_AGAIN = "run the same command again to go on"
_UNAUTHORIZED, _TOO_LARGE = 401, 413

_Result = TypeVar("_Result")


class ServiceScorer:
    """A running service with one of its models: see `Scorer`."""

    places = PLACES

    def __init__(self, url: str, name: str | None, version: int | str | None, key: str | None) -> None:
        """Ask a service for its models and its limits.

        Args:
            url: of the service, with its path prefix if it has one.
            name: of the model; by default the one that answers sentiments.
            version: or a label of one; by default the one that answers.
            key: an API key, if the service needs one.

        Raises:
            ScoringError: it cannot be asked, or has no such model.
        """
        try:
            self._client = AsyncClient(url, key=key, timeout=MOST_SECONDS, concurrency=PLACES)
        except ValueError as error:
            raise ScoringError(str(error)) from error
        self._lock = threading.Lock()
        self._is_closing = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="service", daemon=True)
        self._thread.start()
        try:
            self._run(self._open(AsyncClient(url, key=key, timeout=FIRST_SECONDS), name, version), "")
        except BaseException:
            self.close()
            raise

    def score(self, texts: Sequence[str]) -> list[Answer | Refused]:
        """Return the answers of the service: see `Scorer`."""
        return self._run(self._score(texts), f"; {_AGAIN}")

    def close(self) -> None:
        """Do not wait for the service any longer."""
        with self._lock:
            if self._is_closing:
                return
            self._is_closing = True
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, asking: Coroutine[Any, Any, _Result], advice: str) -> _Result:
        """Return what the service answers.

        Raises:
            ScoringError: it does not answer.
        """
        with self._lock:
            if self._is_closing:
                asking.close()
                raise ScoringError("the scoring has ended")
            asked = asyncio.run_coroutine_threadsafe(asking, self._loop)
        try:
            return asked.result()
        except CancelledError as error:
            raise ScoringError("the scoring has ended") from error
        except ProblemError as error:
            if error.status == _UNAUTHORIZED:
                advice = f"; set the variable {KEY_VARIABLE} to a key of this service"
            raise ScoringError(f"the service at {self._client.url} does not answer: {error}{advice}") from error
        except ServiceError as error:
            raise ScoringError(f"{error}{advice}") from error

    async def _open(self, asking: AsyncClient, name: str | None, version: int | str | None) -> None:
        async with asking:
            details = await asking.describe(name, version)
            self._limits = await asking.limits()
        self.most_texts = self._limits.max_batch
        self._choice: dict[str, Any] = {"model": details.name, "version": details.version}
        has_letters = details.task == NEXT_LETTER.name
        self._predict: Any = self._client.next_letters if has_letters else self._client.sentiments
        self._field = SERVED[details.task].batch.field
        identity = {"address of the service": self._client.url, **self._choice, "created": details.created}
        self.model = Model(details.task, tuple(details.labels), identity)

    async def _score(self, texts: Sequence[str]) -> list[Answer | Refused]:
        most = self._limits.max_text_characters
        answers = iter(await self._ask([text for text in texts if len(text) <= most]))
        return [
            next(answers) if len(text) <= most else Refused(TEXT_TOO_LONG.format(len(text), most)) for text in texts
        ]

    async def _ask(self, texts: Sequence[str]) -> list[Answer | Refused]:
        """Return the answers to texts; those that the service refuses are left out of a further request."""
        try:
            return [asdict(answer) for answer in await self._predict(texts, **self._choice)]
        except ProblemError as error:
            refused = {
                field.loc[2]: field.msg
                for field in error.fields
                if field.loc[:2] == ("body", self._field) and len(field.loc) == 3
            }
            if not refused and error.status != _TOO_LARGE:
                raise
            reason = error.detail
        if not refused:
            half = len(texts) // 2
            return await self._ask(texts[:half]) + await self._ask(texts[half:]) if half else [Refused(reason)]
        answers = iter(await self._ask([text for place, text in enumerate(texts) if place not in refused]))
        return [Refused(refused[place]) if place in refused else next(answers) for place in range(len(texts))]

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.close()
