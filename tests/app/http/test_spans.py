"""The spans of a real service, as a real collector gets them."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra otlp is not installed")

from app.settings import Settings
from benchmarks.servers import find_free_port
from tests.app.conftest import BlockedEngine, Log
from tests.app.processes.commands import copy_model, run_command
from tests.app.telemetry.collector import ERROR, INTERNAL, Collector, run_collector
from tests.conftest import SECONDS, serve
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


def test_a_prediction_is_a_span_with_three_parts(collector: Collector, models: Path, log: Log) -> None:
    with serve(Settings(models=models, traces=collector.address)) as client:
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


def test_the_context_of_the_client_is_continued(collector: Collector, models: Path, log: Log) -> None:
    context = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"}
    with serve(Settings(models=models, traces=collector.address, traces_share=0)) as client:
        client.post("/next-letter", json={"sequence": "ABC"})
        client.get("/models", headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
        client.post("/next-letter", json={"sequence": "ABC"}, headers=context)
    (request,) = collector.requests()
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
            client.request("BREW", "/models"),
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


def test_a_request_of_a_unix_socket_names_its_client(collector: Collector, empty_models: Path, tmp_path: Path) -> None:
    socket = tmp_path / "socket"
    options = ["--socket", socket, "--models", empty_models, "--workers", 1, "--traces", collector.address]
    with run_command(tmp_path / "log", *options) as service:
        service.wait_until(socket.exists)
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://service") as client:
            client.get("/livez")
    (request,) = collector.requests()
    assert request.attributes["client.address"] == "unix"


def test_a_request_whose_client_leaves_has_no_status(
    collector: Collector, models: Path, monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    engine = BlockedEngine()
    monkeypatch.setattr("app.runtime.keeper.load_engine", lambda *_: engine)
    engine.let_through.set()  # for the first run of the model
    with serve(Settings(models=models, traces=collector.address, deadline_ms=1000 * SECONDS)) as client:
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


def test_the_app_begins_no_spans_without_a_collector(empty_models: Path, log: Log) -> None:
    with serve(Settings(models=empty_models)) as client:
        client.get("/models")
    assert "span_id" not in log.wait_for(path="/models")
