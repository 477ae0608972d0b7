"""The middleware around all routes: request ids, log lines, and answers to errors."""

import asyncio
import gc
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from app.errors import ClientLeftError, NotFoundError
from app.http.access import Access
from app.http.app import create_app
from app.http.problems import PATH_CHARACTERS
from app.http.stack import Stack
from app.settings import Settings
from app.telemetry import metrics
from tests.app.conftest import Log
from tests.conftest import serve, serve_app
from tests.reliability.clients import Answer, Connection, make_request

ID = "x-request-id"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a service without models."""
    with serve(Settings(models=tmp_path_factory.mktemp("models"))) as client:
        yield client


@pytest.fixture
def connection(served: httpx.Client) -> Iterator[Connection]:
    assert served.base_url.port is not None
    with Connection(served.base_url.port) as connection:
        yield connection


async def answer(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"answer"})


class Asked:
    """A stack around an app, called without a server; `sent` has its messages."""

    def __init__(self, app: Any) -> None:
        self.stack = Stack(app, Settings(), Access(Settings()))
        self.sent: list[Message] = []

    async def ask(self, method: str = "GET", headers: tuple[tuple[bytes, bytes], ...] = ((b"host", b"x"),)) -> None:
        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            self.sent.append(message)

        scope = {"type": "http", "http_version": "1.1", "method": method, "path": "/asked", "headers": list(headers)}
        await self.stack(scope, receive, send)

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def problem(self) -> dict[str, Any]:
        problem: dict[str, Any] = json.loads(self.sent[1]["body"])
        return problem


def test_every_answer_has_its_own_request_id(served: httpx.Client) -> None:
    answers = [served.get("/livez"), served.get("/nothing"), served.get("/sentiment"), served.get("/readyz")]
    assert [answer.status_code for answer in answers] == [200, 404, 405, 503]
    assert len({answer.headers[ID] for answer in answers}) == 4


@pytest.mark.parametrize("request_id", ["0123-abc", "a" * 128, "a.b_c:d+e/f=g@h"])
def test_a_valid_request_id_is_kept(served: httpx.Client, log: Log, request_id: str) -> None:
    assert served.get("/nothing", headers={ID: request_id}).headers[ID] == request_id
    assert log.wait_for(path="/nothing")["request_id"] == request_id


@pytest.mark.parametrize("request_id", ["", "a b", "a" * 129, 'a"b', "a\tb", "{}"])
def test_an_invalid_request_id_is_replaced(served: httpx.Client, log: Log, request_id: str) -> None:
    given = served.get("/nothing", headers={ID: request_id}).headers[ID]
    assert len(given) == 32 and int(given, 16) >= 0
    assert log.wait_for(path="/nothing")["request_id"] == given


def test_the_log_has_the_id_of_a_trace(served: httpx.Client, log: Log) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    served.get("/nothing", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    line = log.wait_for(path="/nothing")
    assert line["trace_id"] == trace and "span_id" not in line  # there is no span without a collector
    served.get("/nothing", headers={"traceparent": f"00-{trace[1:]}-00f067aa0ba902b7-01"})
    assert "trace_id" not in log.wait_for(path="/nothing")


def test_the_log_has_the_address_of_the_client_and_the_time(served: httpx.Client, log: Log) -> None:
    served.get("/nothing?secret=1")
    line = log.wait_for(message="answered")
    assert line["client"] == "127.0.0.1" and line["method"] == "GET" and line["path"] == "/nothing"
    assert line["status"] == 404 and 0 < line["milliseconds"] < 60_000
    assert "secret" not in log.text


def test_probes_are_logged_with_all_details_only(served: httpx.Client, log: Log) -> None:
    assert served.get("/livez").status_code == 200
    served.get("/nothing")
    assert log.wait_for(message="answered")["path"] == "/nothing"


def test_a_probe_that_fails_is_logged(served: httpx.Client, log: Log) -> None:
    assert served.get("/readyz").status_code == 503
    assert log.wait_for(path="/readyz")["status"] == 503


def test_a_long_path_is_cut_in_the_answer_and_in_the_log(connection: Connection, log: Log) -> None:
    response = connection.ask(make_request("GET", "/" + "a" * 60_000))
    assert response.status == 404
    assert len(response.problem("not-found")["instance"]) == PATH_CHARACTERS + 3
    assert response.body.count(b"a") < 3 * PATH_CHARACTERS  # in the detail, too
    assert len(log.wait_for(status=404)["path"]) == PATH_CHARACTERS + 3


@pytest.mark.parametrize("path", ["/%ff", "/%00", "/%ed%a0%80", "/%0d%0aheader:%20value", "//", "/%2e%2e/", "*"])
def test_odd_paths_are_not_found(connection: Connection, path: str) -> None:
    assert connection.ask(make_request("GET", path)).problem("not-found")


def paths(served: httpx.Client, method: str) -> list[str]:
    documented = served.get("/openapi.json").json()["paths"]
    return [path.format(name="nothing", version=1) for path, methods in documented.items() if method in methods]


def test_head_is_answered_as_get_without_a_body(served: httpx.Client, connection: Connection) -> None:
    asked = [*paths(served, "get"), "/", "/docs", "/openapi.json"]
    assert len(asked) > 5
    for path in asked:
        get = connection.ask(make_request("GET", path))
        connection.send(make_request("HEAD", path))
        head = connection.read(has_body=False)
        assert head is not None and head.status == get.status != 405
        assert head.headers.keys() == get.headers.keys()
        if path != "/metrics":  # which every request changes
            assert head.headers["content-length"] == get.headers["content-length"]


def test_options_lists_the_methods_of_every_path(served: httpx.Client, connection: Connection) -> None:
    def ask(path: str) -> Answer:
        return connection.ask(make_request("OPTIONS", path))

    for path in paths(served, "get"):
        assert ask(path).status == 204 and ask(path).headers["allow"] == "GET, HEAD, OPTIONS"
    for path in paths(served, "post"):
        assert ask(path).status == 204 and ask(path).headers["allow"] == "OPTIONS, POST"
    assert ask("/models/sentiment/labels/stable").headers["allow"] == "DELETE, OPTIONS, PUT"
    assert ask("/nothing").status == 404


@pytest.mark.parametrize("method", ["DELETE", "PUT", "TRACE", "SEARCH"])
def test_another_method_is_refused(served: httpx.Client, method: str) -> None:
    response = served.request(method, "/sentiment")
    assert response.status_code == 405
    assert response.headers["allow"] == "OPTIONS, POST"


@pytest.mark.parametrize("hosts", ["", "host: a\r\nhost: b\r\n", "host: a\r\nHOST: a\r\n"])
def test_http_1_1_needs_one_host(connection: Connection, hosts: str) -> None:
    response = connection.ask(f"GET /livez HTTP/1.1\r\n{hosts}\r\n".encode())
    assert response.status == 400
    assert "Host" in response.problem("bad-request")["detail"]


@pytest.mark.parametrize("version", ["0.9", "2.0"])
def test_another_version_of_http_is_rejected(connection: Connection, version: str) -> None:
    answer = connection.ask(f"GET /livez HTTP/{version}\r\nhost: x\r\n\r\n".encode())
    assert answer.problem("bad-request")["detail"] == f"the request has HTTP/{version}; send HTTP/1.1"


def test_http_1_0_may_not_have_two_hosts(connection: Connection) -> None:
    answer = connection.ask(b"GET /livez HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n")
    assert answer.problem("bad-request")["detail"] == "the request has 2 Host headers; send one"


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [("content-encoding", "gzip", "deflate"), ("Inference-Header-Content-Length", "0", "9")],
)
def test_headers_with_two_meanings_are_rejected(connection: Connection, name: str, first: str, second: str) -> None:
    answer = connection.ask(make_request("GET", "/livez", f"{name}: {first}", f"{name}: {second}"))
    assert answer.problem("bad-request")["detail"] == (f"the request has 2 different {name.lower()} headers; send one")


def test_headers_with_one_meaning_may_come_twice(connection: Connection) -> None:
    twice = ("content-encoding: gzip", "Content-Encoding: GZIP", "accept: a", "accept: b")
    assert connection.ask(make_request("GET", "/livez", *twice)).status == 200


@pytest.mark.parametrize("host", ["", "host: x\r\n"])
def test_http_1_0_needs_none(connection: Connection, host: str) -> None:
    response = connection.ask(f"GET /livez HTTP/1.0\r\n{host}\r\n".encode())
    assert response.status == 200 and response.closes


def test_an_unexpected_error_is_a_problem_without_its_reason(log: Log) -> None:
    async def fail(*_: object) -> None:
        raise ZeroDivisionError("secret")

    asked = Asked(fail)
    asyncio.run(asked.ask())
    assert asked.status == 500 and asked.problem["type"].endswith(":internal-error")
    assert "secret" not in str(asked.problem) and "ZeroDivision" not in str(asked.problem)
    assert "secret" in log.wait_for(message="unexpected error")["traceback"]


def test_an_unexpected_error_after_the_answer_began_is_left_to_the_server(log: Log) -> None:
    async def fail(_: Scope, __: Receive, send: Send) -> None:
        await answer(send)
        raise ZeroDivisionError

    asked = Asked(fail)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(asked.ask())
    assert len(asked.sent) == 2
    assert log.wait_for(message="answered")["status"] == 200


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (HTTPException(418), 418),
        (HTTPException(404, "there is no such tenant"), 404),
        (HTTPException(401, detail={"key": "missing"}), 401),  # type: ignore[arg-type]  # FastAPI allows it
        (HTTPException(499, "no standard status"), 500),
    ],
)
def test_an_error_of_the_framework_keeps_its_status(error: HTTPException, status: int) -> None:
    async def fail(*_: object) -> None:
        raise error

    asked = Asked(fail)
    asyncio.run(asked.ask())
    assert asked.status == status


def test_a_method_is_refused_though_the_framework_names_no_other() -> None:
    async def fail(*_: object) -> None:
        raise HTTPException(405)

    asked = Asked(fail)
    asyncio.run(asked.ask())
    assert asked.status == 405 and "GET" in asked.problem["detail"]
    assert (b"allow", b"OPTIONS") in asked.sent[0]["headers"]


@pytest.mark.parametrize("error", [NotFoundError("nothing"), HTTPException(404), HTTPException(405)])
def test_an_error_keeps_no_request_in_memory(error: Exception) -> None:
    async def fail(*_: object) -> None:
        raise error

    asked = Asked(fail)

    async def ask_often() -> int:
        gc.collect()
        for _ in range(100):
            await asked.ask()
        error.__traceback__ = None  # this one is raised again and again
        return gc.collect()

    assert asyncio.run(ask_often()) < 100


def test_parameters_that_the_framework_refuses_are_a_problem(empty_models: Path) -> None:
    app: FastAPI = create_app(Settings(models=empty_models))

    @app.get("/double")
    async def double(number: int) -> int:
        return 2 * number

    with serve_app(app) as client:
        assert client.get("/double?number=2").json() == 4
        response = client.get("/double?number=two")
    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"] == ["query", "number"]


def test_every_route_has_the_limits_of_a_body(empty_models: Path) -> None:
    app: FastAPI = create_app(Settings(models=empty_models, max_body_bytes=100, deadline_ms=200))

    @app.post("/count")
    async def count(texts: list[str]) -> int:
        return len(texts)

    def send_slowly() -> Iterator[bytes]:
        yield b"["
        time.sleep(0.4)
        yield b"]"

    with serve_app(app) as client:
        assert client.post("/count", json=["a"] * 10).json() == 10
        assert client.post("/count", json=["a"] * 100).status_code == 413
        assert client.post("/count", content=iter([bytes(101)])).status_code == 413
        assert client.post("/count", content=send_slowly()).status_code == 408
        assert client.post("/count", json=[], headers={"x-deadline-ms": "soon"}).status_code == 422


@pytest.mark.parametrize("path", ["/nothing", "/models", "/sentiment"])
def test_an_answer_that_comes_before_the_end_of_the_body_reaches_a_client_that_sends_all_of_it(
    served: httpx.Client, path: str
) -> None:
    for framing in (f"content-length: {32 << 20}", "transfer-encoding: chunked"):
        head = make_request("POST", path, framing)
        for _ in range(10):
            with Connection(served.base_url.port or 0) as connection:
                answer = connection.ask(head + b"%x\r\n" % (32 << 20) + bytes(32 << 20))
                assert answer.status in (404, 405, 413, 415)
                assert answer.closes == (answer.status == 413)


def test_a_connection_stays_in_step_after_an_answer_before_the_end_of_the_body(served: httpx.Client) -> None:
    with Connection(served.base_url.port or 0) as connection:
        assert not connection.ask(make_request("POST", "/nothing", body=b"{}")).closes
        assert connection.ask(make_request("GET", "/livez")).status == 200
        # The client waits for 100 Continue, so nobody knows whether it still sends the body.
        head = make_request("POST", "/nothing", "expect: 100-continue", "content-length: 41")
        answer = connection.ask(head)
        assert answer.status == 404 and answer.closes
        connection.send(make_request("GET", "/livez"))
        assert connection.read_end() == b""


@pytest.mark.parametrize("error", [ClientLeftError, ClientDisconnect])
def test_nobody_is_answered_when_the_client_has_left(error: type[Exception], log: Log) -> None:
    async def leave(*_: object) -> None:
        raise error

    asked = Asked(leave)
    asyncio.run(asked.ask())
    assert not asked.sent
    assert log.wait_for(message="the client left before an answer")["status"] is None


def count(name: str, **labels: str) -> float:
    """Return a value of the metrics of this process."""
    metrics.write()
    return metrics.REGISTRY.get_sample_value(f"lstm_serve_{name}", labels) or 0


def test_requests_are_counted_by_route_and_departures_apart() -> None:
    async def answer_or_leave(scope: Scope, _: Receive, send: Send) -> None:
        scope["route"] = Route("/asked/{name}", answer_or_leave)
        if scope["method"] == "POST":
            raise ClientLeftError
        await answer(send)

    route = "/asked/{name}"
    asked = Asked(answer_or_leave)
    for method in ("GET", "HEAD", "POST"):
        asyncio.run(asked.ask(method))
    assert count("request_duration_seconds_count", route=route, model="", version="", status="200") == 2
    assert count("client_departures_total", route=route) == 1


def test_problems_are_counted_by_kind() -> None:
    async def fail(*_: object) -> None:
        raise NotFoundError("nothing")

    before = count("problems_total", kind="not-found")
    asyncio.run(Asked(fail).ask())
    assert count("problems_total", kind="not-found") == before + 1


@pytest.mark.parametrize("has_begun", [False, True])
def test_a_request_that_the_ending_server_cancels_is_a_problem_unless_its_answer_has_begun(has_begun: bool) -> None:
    waits = asyncio.Event()

    async def wait(_: Scope, __: Receive, send: Send) -> None:
        if has_begun:
            await answer(send)
        waits.set()
        await asyncio.Event().wait()

    asked = Asked(wait)

    async def cancel() -> None:
        task = asyncio.create_task(asked.ask())
        await waits.wait()
        task.cancel()
        await task

    if has_begun:
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(cancel())
        assert asked.status == 200 and len(asked.sent) == 2
    else:
        asyncio.run(cancel())
        assert asked.status == 503 and "shutting down" in asked.problem["detail"]
        assert (b"connection", b"close") in asked.sent[0]["headers"]


def test_a_request_is_answered_with_a_problem_when_the_server_gives_up_waiting() -> None:
    waits = asyncio.Event()

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["path"] == "/livez":
            await answer(send)
        else:
            waits.set()
            await asyncio.Event().wait()

    with serve_app(Stack(wait, Settings(), Access(Settings()))) as client:
        assert client.base_url.port is not None
        waiting = Connection(client.base_url.port)
        waiting.send(make_request("GET", "/wait"))
        while not waits.is_set():
            client.get("/livez")
    with waiting:
        response = waiting.read()
    assert response is not None and response.status == 503 and response.closes
    assert "shutting down" in response.problem("not-ready")["detail"]
