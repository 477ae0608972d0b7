"""Answers texts by a running service. The only client of HTTP here."""

import json
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from http import HTTPStatus
from http.client import HTTPException
from typing import Any, NamedTuple

from app.errors import ScoringError
from app.scoring.answers import Answer, Refused
from app.scoring.scorer import Model
from app.tasks import SERVED
from bundle.tasks import SENTIMENT

# Requests at a time: enough for the processes of a service of two cores.
PLACES = 4
TIMEOUT_SECONDS = 120
# A service that is not there may be restarting; it is asked again after this time.
PAUSE_SECONDS = 1.0
# A request is sent again for this long. A service that asks for more time, such as until its quota's next day, is not
# waited for.
MOST_SECONDS = 600

_BUSY = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE}
# Fewer texts at a time may be answered.
_TOO_MUCH = {HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.GATEWAY_TIMEOUT}
_AGAIN = "run the same command again to go on"


class _Response(NamedTuple):
    """An answer of the service: its status, its JSON, and the seconds after which to ask again, if it says so."""

    status: int
    body: Any
    retry_after: float | None

    @property
    def detail(self) -> str:
        """What a problem document says."""
        detail = self.body.get("detail") if isinstance(self.body, dict) else None
        return detail if isinstance(detail, str) else f"status {self.status}"

    @property
    def is_busy(self) -> bool:
        """Whether to ask again: the service says when, or a proxy answers in its place."""
        return self.status in _BUSY and (self.retry_after is not None or self.body is None)


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
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ScoringError(f"{url!r} is not the address of a service; write one such as http://localhost:8000")
        self._url = url.rstrip("/")
        self._headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
        self._tls = ssl.create_default_context()
        self._is_closing = threading.Event()
        name = name or self._find_default()
        details = self._get(f"/models/{_quote(name)}{self._find_version(name, version)}")
        self._model = {"model": details["name"], "version": details["version"]}
        self._form = SERVED[details["task"]].batch
        self.model = Model(details["task"], tuple(details["labels"]), {"url": self._url, **details})
        config = self._get(f"/v2/models/{_quote(name)}/versions/{details['version']}/config")
        self.most_texts = int(config["parameters"]["max_batch"]["string_value"])

    def score(self, texts: Sequence[str]) -> list[Answer | Refused]:
        """Return the answers of the service: see `Scorer`."""
        response = self._send(self._form.path, {self._form.field: texts, **self._model}, MOST_SECONDS)
        if response.status == HTTPStatus.OK:
            answers: list[Answer | Refused] = response.body["answers"]
            return answers
        if response.status in _TOO_MUCH and len(texts) > 1:
            middle = len(texts) // 2
            return self.score(texts[:middle]) + self.score(texts[middle:])
        refused = self._find_refused(response)
        others = [text for place, text in enumerate(texts) if place not in refused]
        answered = iter(self.score(others) if others else ())
        return [Refused(refused[place]) if place in refused else next(answered) for place in range(len(texts))]

    def close(self) -> None:
        """Do not wait for the service any longer."""
        self._is_closing.set()

    def _find_refused(self, response: _Response) -> dict[int, str]:
        """Return which texts of a request the service refuses, and why.

        Raises:
            ScoringError: it refuses the request.
        """
        if response.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return {0: response.detail}  # the only one
        if response.status == HTTPStatus.UNPROCESSABLE_ENTITY:
            places = {
                problem["loc"][2]: problem["msg"]
                for problem in response.body["errors"]
                if problem["loc"][:2] == ["body", self._form.field] and len(problem["loc"]) == 3
            }
            if places:
                return places
        raise ScoringError(f"the service at {self._url} does not answer: {response.detail}; {_AGAIN}")

    def _find_default(self) -> str:
        models = self._get("/models")["models"]
        for model in models:
            if model.get("task") == SENTIMENT.name and model["default"]:
                return str(model["name"])
        names = ", ".join(model["name"] for model in models) or "none"
        raise ScoringError(f"the service at {self._url} has no default model of {SENTIMENT.name}; models: {names}")

    def _find_version(self, name: str, version: int | str | None) -> str:
        """Return the end of the path of a version."""
        if isinstance(version, str):
            listed = self._get(f"/models/{_quote(name)}/versions")["versions"]
            labels = {label: entry["version"] for entry in listed for label in entry["labels"]}
            if version not in labels:
                raise ScoringError(f"there is no label {version!r} of {name}; labels: {', '.join(labels) or 'none'}")
            version = labels[version]
        return "" if version is None else f"/versions/{version}"

    def _get(self, path: str) -> Any:
        response = self._send(path)
        if response.status != HTTPStatus.OK:
            raise ScoringError(f"the service at {self._url} does not answer {path}: {response.detail}")
        return response.body

    def _send(self, path: str, body: object = None, seconds: float = 0) -> _Response:
        """Send a request, again and again while the service is busy or not there, for this time.

        Raises:
            ScoringError: it is not there, or stays busy.
        """
        end = time.monotonic() + seconds
        pause = 0.0
        while not self._is_closing.wait(pause):
            response: _Response | None = None
            try:
                response = self._ask(path, body)
                problem = response.detail
            except (OSError, HTTPException) as error:
                problem = str(error)
            if response is not None and not response.is_busy:
                return response
            pause = PAUSE_SECONDS if response is None or response.retry_after is None else response.retry_after
            if time.monotonic() + pause > end:
                raise ScoringError(f"the service at {self._url} does not answer: {problem}; {_AGAIN}")
        raise ScoringError("the scoring has ended")

    def _ask(self, path: str, body: object) -> _Response:
        """Send a request once.

        Raises:
            OSError, HTTPException: there is no answer.
        """
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, self._headers)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS, context=self._tls) as answer:
                return _Response(answer.status, _parse(answer.read()), None)
        except urllib.error.HTTPError as error:
            with error:
                after = error.headers.get("retry-after", "")
                return _Response(error.code, _parse(error.read()), float(after) if after.isdecimal() else None)


def _quote(name: str) -> str:
    return urllib.parse.quote(name, safe="")


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:  # from a proxy
        return None
