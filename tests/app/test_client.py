"""The client for Python, in both forms, against real services."""

import asyncio
import json
import logging
import os
import pickle
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import count, islice
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import client as module
from app.access.keys import add_client
from app.client import AsyncClient, Client, NoAnswerError, ProblemError, ServiceError
from app.http.app import create_app
from app.scoring.answers import Columns
from app.settings import Settings
from benchmarks.servers import find_free_port
from bundle.store import Store
from tests.app.conftest import Blocked
from tests.app.service import run_service
from tests.conftest import BAD, GOOD, SECONDS, listen, serve_app
from tests.labelled import THREE, publish_labelled

UNREADABLE = "\u8fd9\u90e8!"
TEXTS = [f"A {word} film, I call it {other}." for word in (*GOOD, *BAD) for other in (*GOOD, *BAD)]
FIXED = "https://iana.org/assignments/http-problem-types#quota-exceeded"

Ask = Callable[..., Any]
Decide = Callable[[Scope, bytes], tuple[int, Mapping[str, str], bytes] | None]


SETTINGS = ("key", "timeout", "concurrency")


def ask_synchronously(url: str, method: str, *arguments: object, seen: Any = None, **options: Any) -> Any:
    """Ask by a new client, of its own connections unless a list is given, which gets the requests."""
    given = {name: options.pop(name) for name in SETTINGS if name in options}
    with ExitStack() as opened:
        if seen is not None:
            given["http"] = opened.enter_context(httpx.Client(event_hooks={"request": [seen.append]}))
        client = opened.enter_context(Client(url, **given))
        return getattr(client, method)(*arguments, **options)


def ask_asynchronously(url: str, method: str, *arguments: object, seen: Any = None, **options: Any) -> Any:
    """Ask by a new client for asyncio: see `ask_synchronously`."""
    given = {name: options.pop(name) for name in SETTINGS if name in options}

    async def note(request: httpx.Request) -> None:
        seen.append(request)

    async def ask() -> Any:
        async with AsyncExitStack() as opened:
            if seen is not None:
                given["http"] = await opened.enter_async_context(httpx.AsyncClient(event_hooks={"request": [note]}))
            client = await opened.enter_async_context(AsyncClient(url, **given))
            return await getattr(client, method)(*arguments, **options)

    return asyncio.run(ask())


@pytest.fixture(params=[ask_synchronously, ask_asynchronously], ids=["synchronous", "asynchronous"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """A function that asks a service by a method of a new client, of each form in turn."""
    form: Ask = request.param
    return form


@pytest.fixture(scope="module")
def url(services: Callable[..., httpx.Client]) -> str:
    """The address of a service with low limits: 40 texts, 5,000 characters, 20,000 bytes."""
    return str(services().base_url)


def get_answers(url: str, texts: list[str]) -> list[dict[str, Any]]:
    """Return the answers of the service to texts, asked one by one."""
    with httpx.Client(base_url=url, timeout=SECONDS) as http:
        return [http.post("/sentiment", json={"text": text}).json() for text in texts]


@dataclass
class Between:
    """Stands between the clients and an app, as a proxy does, and answers what it decides to answer itself."""

    app: ASGIApp
    decide: Decide
    running: int = 0
    most: int = 0  # requests at a time
    seconds: float = 0  # that a request takes longer
    paths: list[str] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        messages = [await receive()]
        while messages[-1].get("more_body"):
            messages.append(await receive())
        body = b"".join(message["body"] for message in messages)
        self.paths.append(scope["path"])
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(self.seconds)
            if (own := self.decide(scope, body)) is None:
                left = iter([{"type": "http.request", "body": body}])

                async def replay() -> Message:
                    return next(left, None) or await receive()

                await self.app(scope, replay, send)
            else:
                status, headers, content = own
                named = [(name.encode(), value.encode()) for name, value in headers.items()]
                await send({"type": "http.response.start", "status": status, "headers": named})
                await send({"type": "http.response.body", "body": content})
        finally:
            self.running -= 1


@pytest.fixture
def app(settings: Settings) -> ASGIApp:
    """An app with low limits, which can be served once."""
    return create_app(settings)


def count_texts(body: bytes) -> int:
    """Return how many inputs the body of a batch has; 0 for other requests."""
    asked = json.loads(body or b"{}")
    return len(asked.get("texts", asked.get("sequences", ())))


def test_answers_are_those_of_the_service(ask: Ask, url: str) -> None:
    for text in ("A wonderful film.", "boring, lazy", UNREADABLE):
        (raw,) = get_answers(url, [text])
        answer = asdict(ask(url, "sentiment", text))
        assert answer.items() >= raw.items()
        positive = raw["probability_positive"]
        assert answer["probability"] == (None if positive is None else pytest.approx(max(positive, 1 - positive)))
        assert answer["probabilities"] is None


def test_options_reach_the_service(ask: Ask, url: str) -> None:
    answer = ask(url, "sentiment", "A wonderful film.", model="imdb-500", version=1, min_confidence=0.999999)
    assert (answer.model, answer.version, answer.sentiment) == ("imdb-500", 1, "uncertain")
    answers = ask(url, "sentiments", TEXTS[:2], model="imdb-500", version=1, min_confidence=0.999999)
    assert [(a.model, a.sentiment) for a in answers] == [("imdb-500", "uncertain")] * 2
    assert len(ask(url, "next_letter", "ABC", top_k=5, model="alphabet-window").top) == 5


def test_next_letters_are_those_of_the_service(ask: Ask, url: str) -> None:
    raw = httpx.post(f"{url}/next-letter", json={"sequence": "XYZ"}).json()
    answer = ask(url, "next_letter", "XYZ")
    assert {**asdict(answer), "top": [*map(asdict, answer.top)]} == raw
    sequences = ["ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: 1 + number % 26] for number in range(100)]
    with Client(url) as client:
        assert ask(url, "next_letters", sequences) == [client.next_letter(sequence) for sequence in sequences]


def test_an_explanation_is_that_of_the_service(ask: Ask, url: str) -> None:
    for options in ({}, {"budget": 128, "model": "imdb-500"}):
        raw = httpx.post(f"{url}/sentiment/explain", json={"text": "A wonderful, lazy film.", **options}).json()
        answer = ask(url, "explain", "A wonderful, lazy film.", **options)
        assert asdict(answer).items() >= {**raw, "tokens": tuple(raw["tokens"])}.items()
        total = answer.logit_of_nothing + sum(token.contribution for token in answer.tokens)
        assert total == pytest.approx(answer.logit)
    with pytest.raises(ProblemError, match="422 invalid-input: body.budget: "):
        ask(url, "explain", "A film", budget=1)


def test_a_model_is_described(ask: Ask, url: str) -> None:
    with httpx.Client(base_url=url) as http:
        raw = http.get("/models/sentiment").json()
        assert asdict(ask(url, "describe")) == {name: raw[name] for name in asdict(ask(url, "describe"))}
        assert asdict(ask(url, "limits")).items() <= http.get("/models").json()["limits"].items()
    assert ask(url, "describe", "next-letter", 1).task == "next-letter"
    with pytest.raises(ServiceError, match=f"there is no label 'new' of sentiment at {url}; labels: none"):
        ask(url, "describe", "sentiment", "new")


def test_a_model_is_described_by_a_label(ask: Ask, small_store: Store, tmp_path: Path) -> None:
    shutil.copytree(small_store.root / "next-letter", tmp_path / "next-letter")
    (tmp_path / "next-letter" / "policy.json").write_text('{"labels": {"old": 1}}')
    with serve_app(create_app(Settings(models=tmp_path))) as served:
        url = str(served.base_url)
        assert ask(url, "describe", "next-letter", "old").version == 1
        with pytest.raises(
            ServiceError, match="has no default model of sentiment; name one of its models: next-letter"
        ):
            ask(url, "describe")


def test_models_and_versions_are_listed(ask: Ask, url: str) -> None:
    with httpx.Client(base_url=url) as http:
        assert [asdict(model) for model in ask(url, "models")] == http.get("/models").json()["models"]
        assert [asdict(v) for v in ask(url, "versions", "sentiment")] == http.get("/models/sentiment/versions").json()[
            "versions"
        ]
    with pytest.raises(ProblemError, match=r"there is no model 'a b\?'"):
        ask(url, "versions", "a b?")


def test_any_number_of_texts_is_sent_within_the_limits_and_answered_in_order(ask: Ask, url: str) -> None:
    requests: list[httpx.Request] = []
    texts = [*TEXTS, *(f"{text} {'a film ' * 600}" for text in TEXTS[:20]), "\u00e9" * 5000, *TEXTS, "a \ud83d film"]
    answers = ask(url, "sentiments", texts, seen=requests)
    batches = [json.loads(request.content)["texts"] for request in requests if request.content]
    assert sorted(text for batch in batches for text in batch) == sorted(texts)
    assert max(map(len, batches)) == 40
    sizes = [len(request.content) for request in requests]
    assert 15_000 < max(sizes) <= 20_000
    assert [request.url.path for request in requests].count("/models") == 1  # the limits are learned once
    known = dict(zip(texts, get_answers(url, texts[:-1]), strict=False))
    assert [asdict(answer)["probability_positive"] for answer in answers[:-1]] == [
        known[text]["probability_positive"] for text in texts[:-1]
    ]
    assert answers[-1].words_used > 0


def test_no_texts_have_no_answers(ask: Ask, url: str) -> None:
    assert ask(url, "sentiments", []) == ask(url, "sentiments", iter(())) == []


def test_texts_are_read_as_they_are_needed(url: str) -> None:
    read = 0

    def make_texts() -> Iterator[str]:
        nonlocal read
        for read in count(1):
            yield TEXTS[read % len(TEXTS)]

    with Client(url, concurrency=2) as client:
        answers = [*islice(client.iter_sentiments(make_texts()), 100)]
        assert 100 <= read <= 100 + 5 * 40
        assert answers == client.sentiments(TEXTS[1:] + TEXTS[:1])[:100]

    async def ask() -> list[module.SentimentAnswer]:
        async with AsyncClient(url, concurrency=2) as client:
            found: list[module.SentimentAnswer] = []
            async for answer in client.iter_sentiments(make_texts()):
                found.append(answer)
                if len(found) == 100:
                    return found
        return []

    assert asyncio.run(ask()) == answers
    assert 100 <= read <= 100 + 5 * 40


@pytest.mark.parametrize("texts", ["A film", b"A film"])
@pytest.mark.parametrize("method", ["sentiments", "next_letters"])
def test_one_string_is_no_list_of_texts(ask: Ask, url: str, method: str, texts: object) -> None:
    with pytest.raises(TypeError, match="one string"):
        ask(url, method, texts)


def test_an_iterator_of_one_string_is_refused_before_it_is_read(url: str) -> None:
    with Client(url) as client, pytest.raises(TypeError, match="one string"):
        client.iter_sentiments("A film")


def test_what_is_no_text_is_named(ask: Ask, url: str) -> None:
    requests: list[httpx.Request] = []
    with pytest.raises(TypeError, match=r"^texts\[50\] is None; it should be a string$"):
        ask(url, "sentiments", [*TEXTS[:50], None], seen=requests)
    with pytest.raises(
        ServiceError, match=r"^texts\[99\] has 5001 characters, the limit of the service is 5000; shorten"
    ):
        ask(url, "sentiments", [*TEXTS[:99], "a" * 5001], seen=requests)
    assert {request.url.path for request in requests} == {"/models"}
    with pytest.raises(TypeError, match=r"^sequence is 5; it should be a string$"):
        ask(url, "next_letter", 5)
    with pytest.raises(TypeError):
        ask(url, "sentiment", "A film", deadline="soon")


def test_an_error_carries_the_problem_document(ask: Ask, url: str) -> None:
    with pytest.raises(ProblemError) as raised:
        ask(url, "next_letter", "AB3")
    raw = httpx.post(f"{url}/next-letter", json={"sequence": "AB3"}).json()
    problem = raised.value
    assert (problem.status, problem.type, problem.title, problem.detail) == (
        422,
        raw["type"],
        raw["title"],
        raw["detail"],
    )
    assert [asdict(one) | {"loc": [*one.loc]} for one in problem.fields] == raw["errors"]
    assert problem.kind == "invalid-input" and problem.request_id and problem.retry_after is None
    assert str(problem) == f"422 invalid-input: {raw['detail']}"
    copy = pickle.loads(pickle.dumps(problem))
    assert (str(copy), copy.fields, copy.request_id) == (str(problem), problem.fields, problem.request_id)


def test_an_error_in_a_batch_has_the_place_in_the_whole_call(ask: Ask, url: str) -> None:
    with pytest.raises(ProblemError) as raised:
        ask(url, "next_letters", ["ABC"] * 90 + ["A?C"] + ["ABC"] * 30)
    (wrong,) = raised.value.fields
    assert wrong.loc == ("body", "sequences", 90)
    assert raised.value.detail.startswith("body.sequences.90: '?'")
    with pytest.raises(ProblemError) as raised:
        ask(url, "sentiments", TEXTS, model="sentimental")
    assert raised.value.kind == "model-not-found" and not raised.value.fields
    assert raised.value.detail.startswith("there is no model 'sentimental'")
    with pytest.raises(ProblemError, match="body.min_confidence: Input should be"):
        ask(url, "sentiments", TEXTS, min_confidence=0.1)


def test_keys_come_as_an_argument_or_from_the_environment(
    ask: Ask, small_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = add_client(tmp_path / "keys.json", "web", ["predict"])
    with serve_app(create_app(Settings(models=small_store.root, keys=tmp_path / "keys.json"))) as served:
        url = str(served.base_url)
        with pytest.raises(ProblemError) as raised:
            ask(url, "sentiments", TEXTS)
        assert (raised.value.status, raised.value.kind) == (401, "key-missing")
        with pytest.raises(ProblemError, match="401 key-unknown"):
            ask(url, "sentiment", "A film", key="another")
        assert ask(url, "sentiment", "A film", key=f"{key}\n").words_used == 2
        monkeypatch.setenv("LSTM_CLIENT_KEY", key)
        monkeypatch.setenv("LSTM_CLIENT_URL", f"{url}/")
        assert len(ask(None, "sentiments", TEXTS)) == len(TEXTS)
        assert key not in repr(Client()) and url in repr(Client())


@pytest.mark.parametrize("key", ["a secret", "s\u00e9cret", "a\nsecret"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ValueError, match="the API key has") as raised:
        Client(key=key)
    assert "cret" not in str(raised.value)


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://localhost", "http://", "http://localhost:port"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="write it as http://localhost:8000"):
        Client(url)


@pytest.mark.parametrize("options", [{"timeout": 0}, {"concurrency": 0}])
def test_settings_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="should be above 0"):
        AsyncClient(**options)


def test_the_default_address_is_that_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LSTM_CLIENT_URL", raising=False)
    assert Client().url == "http://localhost:8000"


def test_a_service_behind_a_path_prefix_is_asked_there(ask: Ask, settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"root_path": "/models/v1"}))

    def decide(scope: Scope, body: bytes) -> None:  # noqa: ARG001
        scope["path"] = scope["path"].removeprefix("/models/v1")

    with serve_app(Between(app, decide)) as served:
        assert len(ask(f"{served.base_url}/models/v1/", "sentiments", TEXTS)) == len(TEXTS)


def test_connections_of_its_own_stay_open(url: str) -> None:
    with httpx.Client(headers={"x-request-id": "mine"}) as http:
        with Client(url, http=http) as client, pytest.raises(ProblemError) as raised:
            client.sentiment("A film", model="none")
        assert raised.value.request_id == "mine"
        assert not http.is_closed

    async def ask() -> None:
        async with httpx.AsyncClient() as http:
            async with AsyncClient(url, http=http) as client:
                await client.models()
            assert not http.is_closed

    asyncio.run(ask())


def test_unix_socket(small_store: Store, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    settings = {"LSTM_SERVE_SOCKET": path, "LSTM_SERVE_WORKERS": "1"}
    with run_service(small_store.root, tmp_path / "log", **settings) as service:
        service.wait_for("the service is ready")
        with httpx.Client(transport=httpx.HTTPTransport(uds=path)) as http, Client(http=http) as client:
            assert client.sentiment("A film").words_used == 2


def answer_once(status: int, headers: Mapping[str, str], content: bytes = b"") -> Decide:
    """Return what answers the first request for predictions with this, and lets the others pass."""
    asked: list[str] = []

    def decide(scope: Scope, body: bytes) -> tuple[int, Mapping[str, str], bytes] | None:  # noqa: ARG001
        if scope["method"] == "GET":
            return None
        asked.append(scope["path"])
        return (status, headers, content) if len(asked) == 1 else None

    return decide


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_pass_is_asked_again(ask: Ask, app: ASGIApp, status: int) -> None:
    between = Between(app, answer_once(status, {}, b"<html>"))
    with serve_app(between) as served:
        assert ask(str(served.base_url), "sentiment", "A film").words_used == 2
        assert between.paths.count("/sentiment") == 2


@pytest.mark.parametrize(("told", "least"), [("1", 1), ("a date", 2), ("soon", 0)])
def test_it_waits_as_long_as_it_is_told(ask: Ask, app: ASGIApp, told: str, least: float) -> None:
    is_first = [True]

    def decide(scope: Scope, _: bytes) -> tuple[int, Mapping[str, str], bytes] | None:
        if scope["method"] == "GET" or not is_first:
            return None
        is_first.clear()
        date = format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True)  # whole seconds: in 2 to 3
        return 503, {"retry-after": date if told == "a date" else told}, b""

    with serve_app(Between(app, decide)) as served:
        started = time.monotonic()
        ask(str(served.base_url), "sentiment", "A film")
        assert time.monotonic() - started >= least


def test_it_does_not_wait_longer_than_it_may(ask: Ask, app: ASGIApp) -> None:
    between = Between(app, answer_once(503, {"retry-after": "40"}))
    with serve_app(between) as served:
        with pytest.raises(ProblemError) as raised:
            ask(str(served.base_url), "sentiment", "A film", timeout=30)
        assert (raised.value.status, raised.value.retry_after) == (503, 40)
        assert (raised.value.kind, raised.value.type) == ("", "about:blank")
        assert raised.value.title == "Service Unavailable" and "without a problem document" in raised.value.detail


@pytest.mark.parametrize(("status", "most"), [(413, 7), (504, 7)])
def test_a_batch_that_is_too_large_or_too_slow_is_halved(ask: Ask, app: ASGIApp, status: int, most: int) -> None:
    def decide(_: Scope, body: bytes) -> tuple[int, Mapping[str, str], bytes] | None:
        return (status, {}, b"<html>") if count_texts(body) > most else None

    with serve_app(Between(app, decide)) as served:
        url = str(served.base_url)
        answers = ask(url, "sentiments", TEXTS)
        assert [asdict(answer)["probability_positive"] for answer in answers] == [
            raw["probability_positive"] for raw in get_answers(url, TEXTS)
        ]
        assert len(ask(url, "next_letters", ["A"] * 50)) == 50


def test_a_text_that_is_too_large_alone_is_an_error(ask: Ask, app: ASGIApp) -> None:
    def decide(_: Scope, body: bytes) -> tuple[int, Mapping[str, str], bytes] | None:
        return (413, {}, b"<html>") if len(body) > 500 else None

    with serve_app(Between(app, decide)) as served, pytest.raises(ProblemError, match="413"):
        ask(str(served.base_url), "sentiments", [*TEXTS, "a" * 500])


def test_limits_that_become_lower_hold(settings: Settings) -> None:
    port = find_free_port()
    with Client(f"http://127.0.0.1:{port}") as client:
        with socket.create_server(("127.0.0.1", port)) as listener, listen(create_app(settings), listener):
            before = client.sentiments(TEXTS)
        lower = create_app(settings.model_copy(update={"max_batch": 3}))
        with socket.create_server(("127.0.0.1", port)) as listener, listen(lower, listener):
            assert client.sentiments(TEXTS) == before


def test_other_answers_say_what_they_are(ask: Ask, app: ASGIApp) -> None:
    answers: dict[str, tuple[int, Mapping[str, str], bytes]] = {
        "/html/sentiment": (200, {"content-type": "text/html"}, b"<html>"),
        "/other/models": (200, {"content-type": "application/json"}, b'{"data": []}'),
        "/list/models": (200, {"content-type": "application/json"}, b"[]"),
        "/moved/sentiment": (308, {"location": "https://example.com/sentiment"}, b""),
        "/none/sentiment": (404, {"content-type": "application/json"}, b'{"detail": "Not Found"}'),
        "/cut/sentiment": (400, {"content-type": "application/problem+json"}, b'{"detail": "Not'),
        "/text/sentiment": (400, {"content-type": "application/problem+json"}, b'"no"'),
        "/place/sentiment": (400, {"content-type": "application/problem+json"}, b'{"errors": [{"msg": "no"}]}'),
    }
    with serve_app(Between(app, lambda scope, _: answers.get(scope["path"]))) as served:
        with pytest.raises(ServiceError, match="without JSON; is it the address of the service"):
            ask(f"{served.base_url}/html", "sentiment", "A film")
        with pytest.raises(ServiceError, match="without the field models; is it"):
            ask(f"{served.base_url}/other", "models")
        with pytest.raises(ServiceError, match="without the field limits; is it"):
            ask(f"{served.base_url}/list", "sentiments", TEXTS)
        with pytest.raises(
            ProblemError, match="308 Permanent Redirect: .* which refers to https://example.com/sentiment"
        ):
            ask(f"{served.base_url}/moved", "sentiment", "A film")
        for status, place in ((404, "none"), (400, "cut"), (400, "text"), (400, "place")):
            with pytest.raises(ProblemError, match=f"^{status} .*: .* without a problem document") as raised:
                ask(f"{served.base_url}/{place}", "sentiment", "A film")
        assert raised.value.fields[0].msg == "no"


def test_a_refused_model_is_not_waited_for(ask: Ask, small_store: Store, tmp_path: Path) -> None:
    for name in ("next-letter", "sentiment"):
        shutil.copytree(small_store.root / name, tmp_path / name)
    with (tmp_path / "sentiment" / "1" / "manifest.json").open("a") as manifest:
        manifest.write("{")
    with serve_app(create_app(Settings(models=tmp_path))) as served:
        with pytest.raises(ProblemError) as raised:
            ask(str(served.base_url), "sentiment", "A film", timeout=SECONDS)
        assert (raised.value.status, raised.value.kind) == (503, "model-refused")
        assert str(raised.value).endswith(f"(request id {raised.value.request_id})")


def test_a_service_that_is_not_there_is_waited_for(ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    url = f"http://127.0.0.1:{find_free_port()}"
    started = time.monotonic()
    with pytest.raises(NoAnswerError, match=f"no answer from {url}/sentiment: nothing listens there; start") as raised:
        ask(url, "sentiment", "A film", timeout=1)
    assert time.monotonic() - started < 10 and isinstance(raised.value.__cause__, httpx.ConnectError)
    assert "trying again in 0.1 s" in caplog.text


def test_a_host_with_several_addresses_has_an_error_for_each() -> None:
    class Refusing(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            refused = [ConnectionRefusedError(111, address) for address in ("::1", "127.0.0.1")]
            raise httpx.ConnectError("all attempts failed", request=request) from ExceptionGroup("each", refused)

    async def ask() -> None:
        async with httpx.AsyncClient(transport=Refusing()) as http, AsyncClient(http=http, timeout=0.2) as client:
            await client.sentiment("A film")

    with pytest.raises(NoAnswerError, match="nothing listens there; start the service"):
        asyncio.run(ask())


def test_a_lost_connection_is_made_again(ask: Ask, app: ASGIApp) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as threads:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        asked = threads.submit(ask, url, "sentiments", TEXTS)
        connection, _ = listener.accept()
        assert connection.recv(1)
        connection.close()
        with listen(app, listener):
            assert len(asked.result()) == len(TEXTS)


@pytest.mark.parametrize("sends", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"])
def test_an_answer_that_does_not_come_ends_the_call(ask: Ask, sends: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as threads:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        asked = threads.submit(ask, url, "sentiment", "A film", deadline=0.5)
        connection, _ = listener.accept()
        with connection:
            connection.sendall(sends)
            with pytest.raises(NoAnswerError, match="/sentiment: the time was over"):
                asked.result(SECONDS)


def test_an_answer_that_comes_bit_by_bit_does_not_prolong_the_call() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as threads:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        asked = threads.submit(ask_asynchronously, url, "sentiment", "A film", deadline=0.5)
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n")
            end = time.monotonic() + SECONDS
            while not asked.done():
                connection.sendall(b" ")
                time.sleep(0.05)
                assert time.monotonic() < end
            assert isinstance(asked.exception(), NoAnswerError)


def test_a_deadline_that_nothing_can_meet_is_no_answer(ask: Ask, url: str) -> None:
    for deadline in (0.001, 0.002, 0):
        with pytest.raises(NoAnswerError, match="the time was over"):
            ask(url, "sentiment", "A film" * 500, deadline=deadline)


@pytest.mark.parametrize("status", [408, 504])
def test_a_service_that_gives_up_at_the_deadline_gives_no_answer(ask: Ask, app: ASGIApp, status: int) -> None:
    def decide(scope: Scope, _: bytes) -> tuple[int, Mapping[str, str], bytes] | None:
        headers = dict(scope["headers"])
        if b"x-deadline-ms" not in headers:
            return None
        time.sleep(int(headers[b"x-deadline-ms"]) / 1000 - 0.001)
        return status, {}, b""

    with serve_app(Between(app, decide)) as served:
        with pytest.raises(NoAnswerError, match="/sentiment: the time was over"):
            ask(str(served.base_url), "sentiment", "A film", deadline=0.3)


def test_tls_that_fails_is_told_at_once(ask: Ask, app: ASGIApp) -> None:
    with serve_app(app) as served:
        url = str(served.base_url).replace("http", "https")
        with pytest.raises(NoAnswerError, match=r"TLS fails \(\w+\); without TLS its address begins with http://"):
            ask(url, "sentiment", "A film", timeout=SECONDS)


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_a_certificate_that_is_not_trusted_is_told_at_once(ask: Ask, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        str(key),
        "-out",
        str(certificate),
    ]
    subprocess.run([*command, *names], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as threads:
        asked = threads.submit(ask, f"https://localhost:{listener.getsockname()[1]}", "sentiment", "A film", timeout=60)
        with listener.accept()[0] as connection, pytest.raises(ssl.SSLError):
            context.wrap_socket(connection, server_side=True)
        with pytest.raises(
            NoAnswerError, match=r"its certificate is not trusted \(self.signed .*\); name .* SSL_CERT_FILE"
        ):
            asked.result(SECONDS)


def test_a_connection_that_is_lost_is_told(ask: Ask) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as threads:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        asked = threads.submit(ask, url, "sentiment", "A film", timeout=0.1)
        connection, _ = listener.accept()
        assert connection.recv(1)
        connection.close()
        with pytest.raises(
            NoAnswerError, match=r"/sentiment: (the connection was lost \(.+\); if the|the time was over)"
        ):
            asked.result(SECONDS)


def test_a_host_that_is_not_there_is_told(ask: Ask) -> None:
    with pytest.raises(NoAnswerError, match="there is no host of this name; correct the address"):
        ask("http://nobody.invalid", "sentiment", "A film", timeout=0.5)


def test_a_call_ends_by_its_deadline(ask: Ask, blocked: Blocked) -> None:
    url = str(blocked.client.base_url)
    for method, texts in (("sentiment", "good"), ("sentiments", ["good"])):
        started = time.monotonic()
        with pytest.raises(ServiceError):  # of either side: both know the deadline
            ask(url, method, texts, deadline=0.3)
        assert time.monotonic() - started < 5


def test_an_overloaded_service_is_asked_again(ask: Ask, blocked: Blocked, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger=module.__name__)
    url = str(blocked.client.base_url)
    with ThreadPoolExecutor() as threads:
        with blocked.full():
            with pytest.raises(ProblemError) as raised:
                ask(url, "sentiment", "good", timeout=0.5)
            assert raised.value.kind == "overloaded" and raised.value.retry_after == 1
            asked = [
                threads.submit(ask, url, "sentiments", ["good"] * 10),
                threads.submit(ask, url, "sentiment", "good"),
            ]
            end = time.monotonic() + SECONDS
            while caplog.text.count("overloaded") < 2:
                assert time.monotonic() < end
                time.sleep(0.01)
        assert len(asked[0].result()) == 10 and asked[1].result().words_used == 1
    assert "trying again in 1." in caplog.text


def test_a_limited_client_keeps_to_its_rate(ask: Ask, settings: Settings, tmp_path: Path) -> None:
    key = add_client(tmp_path / "keys.json", "web", ["predict"], requests_per_second=2, burst=2)
    with serve_app(create_app(settings.model_copy(update={"keys": tmp_path / "keys.json"}))) as served:
        assert len(ask(str(served.base_url), "sentiments", TEXTS, key=key)) == len(TEXTS)  # four requests


def test_what_was_answered_before_an_error_is_not_lost(settings: Settings, tmp_path: Path) -> None:
    key = add_client(tmp_path / "keys.json", "web", ["predict"], texts_per_day=200)
    with serve_app(create_app(settings.model_copy(update={"keys": tmp_path / "keys.json"}))) as served:
        answers: list[module.SentimentAnswer] = []
        with Client(str(served.base_url), key=key) as client:
            with pytest.raises(ProblemError) as raised:
                answers.extend(client.iter_sentiments(TEXTS * 3))  # what is there before the error is added
        assert (raised.value.type, raised.value.status) == (FIXED, 429)
        assert raised.value.kind == "quota-exceeded" and raised.value.retry_after
        assert len(answers) in range(120, 201, 40)


def test_an_error_ends_the_pauses_of_the_other_batches(ask: Ask, app: ASGIApp) -> None:
    paused = threading.Event()

    def decide(_: Scope, body: bytes) -> tuple[int, Mapping[str, str], bytes] | None:
        if b"slow" in body:
            paused.set()
            return 503, {"retry-after": "60"}, b""
        return None if not count_texts(body) else (400, {}, b"") if paused.is_set() else (503, {}, b"")

    with serve_app(Between(app, decide)) as served:
        started = time.monotonic()
        with pytest.raises(ProblemError, match="^400"):
            ask(str(served.base_url), "sentiments", [*TEXTS[:40], *["slow"] * 100], timeout=1000)
        assert time.monotonic() - started < 40


def test_so_many_requests_are_sent_at_a_time(ask: Ask, app: ASGIApp) -> None:
    between = Between(app, lambda *_: None, seconds=0.1)
    with serve_app(between) as served:
        assert len(ask(str(served.base_url), "sentiments", TEXTS * 4, concurrency=3)) == 400
    assert between.most == 3


def test_calls_of_one_asynchronous_client_share_its_places(app: ASGIApp) -> None:
    between = Between(app, lambda *_: None, seconds=0.02)

    async def ask(url: str) -> list[module.SentimentAnswer]:
        async with AsyncClient(url, concurrency=5) as client:
            return await asyncio.gather(*(client.sentiment(text) for text in TEXTS))

    with serve_app(between) as served:
        url = str(served.base_url)
        assert asyncio.run(ask(url)) == ask_synchronously(url, "sentiments", TEXTS)
    assert between.most == 5


def test_a_service_that_is_restarted_loses_no_text(small_store: Store, tmp_path: Path) -> None:
    port = find_free_port()
    settings = {"LSTM_SERVE_PORT": str(port), "LSTM_SERVE_WORKERS": "1", "LSTM_SERVE_MAX_BATCH": "10"}
    with Client(f"http://127.0.0.1:{port}", timeout=SECONDS) as client, ThreadPoolExecutor() as threads:
        with run_service(small_store.root, tmp_path / "first.log", **settings):
            answers = client.iter_sentiments(TEXTS * 3)
            first = next(answers)
        rest = threads.submit(lambda: [*answers])
        with run_service(small_store.root, tmp_path / "second.log", **settings):
            assert [first, *rest.result()] == client.sentiments(TEXTS * 3)


class NoFrame:
    """Has columns as a frame, and nothing else of it."""

    columns = ("review",)


FRAMES = ("pandas", "polars")
ADDED = ["predicted_sentiment", "probability_positive", "words_used", "words_unknown", "words_cut"]


@pytest.fixture(params=FRAMES)
def make_frame(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """A function that makes a data frame, of each package in turn."""
    package = pytest.importorskip(request.param)

    def make(columns: Mapping[str, list[Any]]) -> Any:
        return package.DataFrame(columns)

    return make


def list_column(frame: Any, name: str) -> list[Any]:
    """Return the values of a column, with None for missing ones."""
    return [None if value is None or value != value else value for value in frame[name].to_list()]


def test_a_frame_gets_the_columns_of_a_scored_file(ask: Ask, url: str, make_frame: Callable[..., Any]) -> None:
    frame = make_frame({"review": [*TEXTS, None, "", UNREADABLE], "sentiment": ["?"] * 103})
    scored = ask(url, "score_frame", frame, "review")
    assert [*frame.columns] == ["review", "sentiment"]
    assert [*scored.columns] == ["review", "sentiment", *ADDED]
    assert ADDED == [column.name for column in Columns("sentiment", ["negative", "positive"]).added]
    answers = get_answers(url, [*TEXTS, "", "", UNREADABLE])
    expected = [Columns("sentiment", ["negative", "positive"]).list_values(answer) for answer in answers]
    assert [[*row] for row in zip(*(list_column(scored, name) for name in ADDED), strict=True)] == expected
    with pytest.raises(ValueError, match="the frame has already the column 'predicted_sentiment', 'probability_pos.*="):
        ask(url, "score_frame", scored, "review")
    again = ask(url, "score_frame", scored, "review", prefix="new_", model="imdb-500", min_confidence=0.9999999)
    assert [*again.columns][7:] == [f"new_{name}" for name in ADDED]
    assert {*list_column(again, "new_predicted_sentiment")} == {"uncertain", None}


def test_a_frame_without_verdicts_gets_the_same_columns(ask: Ask, url: str, make_frame: Callable[..., Any]) -> None:
    kinds = ask(url, "score_frame", make_frame({"review": ["A film"]}), "review").dtypes
    for texts in ([], [None, UNREADABLE]):
        scored = ask(url, "score_frame", make_frame({"review": texts}), "review")
        assert [*scored.columns] == ["review", *ADDED] and len(scored) == len(texts)
        assert [*scored.dtypes][1:] == [*kinds][1:]


def test_a_frame_keeps_its_index(ask: Ask, url: str) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"review": ["A wonderful film.", None, pandas.NA, float("nan")]}, index=[5, 3, 4, 3])
    scored = ask(url, "score_frame", frame, "review")
    assert [*scored.index] == [5, 3, 4, 3] and scored["probability_positive"].isna().to_list() == [False, *[True] * 3]
    assert scored["words_used"].to_list() == [4, 0, 0, 0]


def test_what_is_no_frame_with_texts_is_refused_before_anything_is_sent(
    ask: Ask, url: str, make_frame: Callable[..., Any]
) -> None:
    requests: list[httpx.Request] = []
    for wrong in ({"review": TEXTS}, NoFrame()):
        with pytest.raises(TypeError, match="(dict|NoFrame) is no data frame of pandas or polars"):
            ask(url, "score_frame", wrong, "review", seen=requests)
    frame = make_frame({"review": ["A film"], "stars": [7]})
    with pytest.raises(ValueError, match="the frame should have one column 'text'; its columns are: 'review', 'stars'"):
        ask(url, "score_frame", frame, "text", seen=requests)
    with pytest.raises(TypeError, match="row 0 of the column 'stars' is 7; it should be a string"):
        ask(url, "score_frame", frame, "stars", seen=requests)
    assert not requests


def test_a_model_with_several_labels_answers_with_each(ask: Ask, tmp_path: Path) -> None:
    publish_labelled(Store(tmp_path), "feedback", THREE)
    with serve_app(create_app(Settings(models=tmp_path))) as served:
        url = str(served.base_url)
        texts = ["A wonderful film.", UNREADABLE, "lazy boring"]
        for answer, raw in zip(ask(url, "sentiments", texts), get_answers(url, texts), strict=True):
            assert asdict(answer) == raw | {"probability_positive": None}
        pandas = pytest.importorskip("pandas")
        added = [column.name for column in Columns("sentiment", THREE, "p_").added]
        for some in (texts, []):
            scored = ask(url, "score_frame", pandas.DataFrame({"text": some}), "text", prefix="p_")
            assert [*scored.columns] == ["text", *added]
        scored = ask(url, "score_frame", pandas.DataFrame({"text": [UNREADABLE, "lazy"]}), "text")
        assert sum(scored[f"probability_{label}"][1] for label in THREE) == pytest.approx(1)
        assert list_column(scored, f"probability_{THREE[0]}")[0] is None


def test_the_file_works_alone(url: str, tmp_path: Path) -> None:
    shutil.copy(module.__file__, tmp_path / "reviews_client.py")
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        f"from reviews_client import Client; print(Client({url!r}).sentiment('A film').words_used)\n"
        "print({'app', 'bundle', 'fastapi', 'numpy', 'pydantic'} & sys.modules.keys())"
    )
    command = [sys.executable, "-I", "-c", program]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, env={**os.environ})
    assert result.stdout.split() == ["2", "set()"]


def test_what_is_public_is_listed() -> None:
    classes = {name: value for name, value in vars(module).items() if isinstance(value, type)}
    own = {name for name, value in classes.items() if value.__module__ == module.__name__}
    assert {name for name in own if not name.startswith("_")} == {*module.__all__}
