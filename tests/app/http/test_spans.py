"""The spans of a real service, as a real collector gets them."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra otlp is not installed")

from app.http.access import Access
from app.http.app import create_app
from app.http.stack import Stack
from app.settings import Settings
from app.telemetry.otlp import Tracer
from benchmarks.servers import find_free_port
from tests.app.conftest import BlockedEngine, Log
from tests.app.processes.commands import copy_model, run_command
from tests.app.telemetry.collector import ERROR, INTERNAL, Collector, run_collector
from tests.conftest import SECONDS, serve, serve_app
from tests.reliability.clients import Connection, make_request

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
CONFIDENTIAL = "CONFIDENTIAL"  # letters that the model reads


@pytest.fixture
def collector() -> Iterator[Collector]:
    with run_collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_model(tmp_path_factory.mktemp("models"))


@pytest.fixture
def app(collector: Collector, models: Path) -> FastAPI:
    """An app that is not served yet: `log` has its lines only if it is made before."""
    return create_app(Settings(models=models, traces=collector.address, deadline_ms=1000 * SECONDS))


def test_a_prediction_is_a_span_with_three_parts(app: FastAPI, log: Log, collector: Collector) -> None:
    with serve_app(app) as client:
        answer = client.post("/next-letter?secret=1", json={"sequence": CONFIDENTIAL})
        assert answer.status_code == 200
    line = log.wait_for(path="/next-letter")
    (request,) = (span for span in collector.requests() if span.name == "POST /next-letter")
    assert (line["trace_id"], line["span_id"]) == (request.trace_id, request.span_id)
    assert (request.status, request.parent_id) == (0, "")
    assert request.attributes == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": "/next-letter",
        "url.path": "/next-letter",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "client.address": "127.0.0.1",
        "lstm_serve.request.id": answer.headers["x-request-id"],
        "lstm_serve.model.name": "next-letter",
        "lstm_serve.model.version": str(answer.json()["version"]),
    }
    encode, queue, engine = collector.within(request)
    assert [encode.name, queue.name, engine.name] == ["encode", "queue", "engine"]
    assert {span.kind for span in (encode, queue, engine)} == {INTERNAL}
    assert request.begin < encode.begin < encode.end <= queue.begin < queue.end <= engine.begin
    assert engine.begin < engine.end < request.end
    assert engine.attributes == {"lstm_serve.batch.rows": 1}
    assert CONFIDENTIAL not in str(collector.spans) and "secret" not in str(collector.spans)


def test_a_large_request_has_a_part_for_each_of_its_batches(collector: Collector, models: Path) -> None:
    with serve(Settings(models=models, traces=collector.address)) as client:
        assert client.post("/next-letter/batch", json={"sequences": ["ABC"] * 100}).status_code == 200
    (request,) = (span for span in collector.requests() if span.name == "POST /next-letter/batch")
    encode, queue, *engine = collector.within(request)
    assert [encode.name, queue.name] == ["encode", "queue"] and {span.name for span in engine} == {"engine"}
    assert sum(span.attributes["lstm_serve.batch.rows"] for span in engine) == 100
    assert all(one.end <= other.begin for one, other in zip(engine, engine[1:], strict=False))
    assert queue.begin <= engine[0].begin <= queue.end <= engine[-1].begin


def test_the_context_of_the_client_is_continued(app: FastAPI, log: Log, collector: Collector) -> None:
    context = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"}
    with serve_app(app) as client:
        client.post("/next-letter", json={"sequence": "ABC"})
        client.get("/models", headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
        client.post("/next-letter", json={"sequence": "ABC"}, headers=context)
    *_, request = collector.requests()
    assert "GET /models" not in {span.name for span in collector.requests()}
    assert (request.trace_id, request.parent_id, request.trace_state) == (TRACE, PARENT, "vendor=1")
    lines = [log.wait_for(message="answered") for _ in range(3)]
    assert len({line["span_id"] for line in lines}) == 3
    assert [line["trace_id"] == TRACE for line in lines] == [False, True, True]
    assert lines[2]["span_id"] == request.span_id


def test_requests_without_a_prediction_have_no_parts(collector: Collector, empty_models: Path) -> None:
    with serve(Settings(models=empty_models, traces=collector.address)) as client:
        asked = [
            client.get("/models/none/versions"),
            client.head("/models"),
            client.get("/nothing"),
            client.request("PROPFIND", "/models"),
            client.get("/readyz"),
        ]
    _, *requests = collector.requests()  # the first one is of the fixture
    assert [answer.status_code for answer in asked] == [404, 200, 404, 405, 503]
    assert [(span.name, span.attributes["http.response.status_code"]) for span in requests] == [
        ("GET /models/{name}/versions", 404),
        ("HEAD /models", 200),
        ("GET", 404),
        ("HTTP /models", 405),
        ("GET /readyz", 503),
    ]
    assert requests[3].attributes["http.request.method"] == "_OTHER"
    # An error of the client is none of the service.
    assert [span.status for span in requests] == [0, 0, 0, 0, ERROR]
    assert [span.attributes.get("error.type") for span in requests] == [None, None, None, None, "503"]
    assert len(collector.spans) == 6


def test_a_route_has_the_root_path(collector: Collector, empty_models: Path, tmp_path: Path) -> None:
    port = find_free_port()
    options = ["--port", port, "--models", empty_models, "--workers", 1, "--root-path", "/v1"]
    options += ["--traces", collector.address]
    with run_command(tmp_path / "log", *options, url=f"http://127.0.0.1:{port}") as service:
        service.wait_until(lambda: service.count_listeners() > 0)
        assert service.ask("GET", "/models")
    (request,) = collector.requests()  # SIGTERM has ended the service, which has sent its last spans
    assert request.name == "GET /v1/models"
    assert (request.attributes["http.route"], request.attributes["url.path"]) == ("/v1/models", "/v1/models")


def test_a_request_may_have_no_address(collector: Collector) -> None:
    async def answer(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(_: Message) -> None:
        pass

    tracer = Tracer(collector.address, 1)
    stack = Stack(answer, Settings(), Access(Settings()), tracer)
    scope = {"type": "http", "http_version": "1.1", "method": "GET", "path": "/", "headers": [(b"host", b"x")]}
    asyncio.run(stack(scope, receive, send))
    tracer.close()
    (request,) = collector.requests()
    assert "client.address" not in request.attributes and request.name == "GET"


def test_a_request_whose_client_leaves_has_no_status(
    app: FastAPI, log: Log, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = BlockedEngine()
    monkeypatch.setattr("app.runtime.keeper.load_engine", lambda *_: engine)
    engine.let_through.set()  # for the first run of the model
    with serve_app(app) as client:
        engine.let_through.clear()
        while not engine.started.empty():
            engine.started.get()
        body = b'{"sequence": "ABC"}'
        with Connection(client.base_url.port or 0) as connection:
            connection.send(make_request("POST", "/next-letter", "content-type: application/json", body=body))
            engine.started.get(timeout=SECONDS)
        log.wait_for(message="the client left before an answer")
        engine.let_through.set()
    (request,) = (span for span in collector.requests() if span.name == "POST /next-letter")
    assert request.status == 0 and "http.response.status_code" not in request.attributes
    assert [span.name for span in collector.within(request)] == ["encode", "queue"]


def test_a_service_answers_while_the_collector_is_down(models: Path) -> None:
    with serve(Settings(models=models, traces=f"http://127.0.0.1:{find_free_port()}")) as client:
        answers = [client.post("/next-letter", json={"sequence": "ABC"}) for _ in range(10)]
    assert {answer.status_code for answer in answers} == {200}
