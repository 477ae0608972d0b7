import asyncio
import json
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from prometheus_client.parser import text_string_to_metric_families
from pydantic import TypeAdapter

from app.engines import load_engine
from app.engines.base import Engine
from app.http import inference, metadata, schemas
from app.http.app import create_app
from app.http.problems import Problem
from app.http.routes import management
from app.settings import Settings
from app.tasks import SERVED
from app.tasks.explanation import AnyExplanationAnswer
from bundle.store import Bundle, Store
from tests.app.conftest import Log
from tests.conftest import SECONDS, listen, serve_app, start


@pytest.fixture(scope="module")
def openapi(client: httpx.Client) -> dict[str, Any]:
    document: dict[str, Any] = client.get("/openapi.json").json()
    return document


def create_app_that_logs_to(log: Log, **settings: Any) -> FastAPI:
    with redirect_stderr(log):  # type: ignore[type-var]  # it is writable, which is all that logging needs
        return create_app(Settings(**settings))


def operations(openapi: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, what) for path, methods in openapi["paths"].items() for method, what in methods.items()]


def test_every_request_example_is_answered(client: httpx.Client, openapi: dict[str, Any]) -> None:
    asked = 0
    for path, method, operation in operations(openapi):
        if method == "post" and operation["tags"] != ["management"]:
            reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
            for example in openapi["components"]["schemas"][reference.rpartition("/")[2]]["examples"]:
                assert client.post(path.format(name="sentiment", version=1), json=example).status_code == 200
                asked += 1
    assert asked == 8


def test_every_answer_has_a_valid_example(openapi: dict[str, Any]) -> None:
    forms = (form for served in SERVED.values() for form in (served.single, served.batch))
    schemas_of_tasks = [one for form in forms for one in get_args(form.answer) or (form.answer,)]
    named = {one.__name__: one for one in (*schemas_of_tasks, *get_args(AnyExplanationAnswer))}
    for path, _, operation in operations(openapi):
        content = operation["responses"]["200"]["content"]
        if path == "/metrics":
            assert [*text_string_to_metric_families(content["text/plain"]["example"])]
            continue
        described = content["application/json"]["schema"]
        for reference in described.get("anyOf", [described]):
            name = reference["$ref"].rpartition("/")[2]
            (example,) = openapi["components"]["schemas"][name]["examples"]
            schema = named.get(name) or next(
                getattr(module, name) for module in (schemas, inference, metadata, management) if hasattr(module, name)
            )
            TypeAdapter(schema).validate_json(json.dumps(example))


def test_every_documented_error_has_a_valid_example(openapi: dict[str, Any]) -> None:
    documented = set()
    for path, _, operation in operations(openapi):
        for status, response in operation["responses"].items():
            if status != "200":
                ((media_type, content),) = response["content"].items()
                assert media_type == "application/problem+json"
                for kind, example in content["examples"].items():
                    problem = Problem.model_validate(example["value"])
                    assert re.split("[:#]", problem.type)[-1] == kind and problem.status == int(status)
                    assert problem.instance.split("/")[1] == path.split("/")[1]
                    documented.add(kind)
    assert documented == {
        "body-timeout",
        "body-too-large",
        "conflict",
        "deadline",
        "internal-error",
        "invalid-input",
        "management-closed",
        "metrics-missing",
        "model-not-found",
        "model-refused",
        "not-ready",
        "overloaded",
        "unsupported-coding",
        "unsupported-media-type",
    }


def test_every_reference_of_the_document_leads_somewhere(openapi: dict[str, Any]) -> None:
    text = json.dumps(openapi)
    for part in text.split('"$ref": "#/components/schemas/')[1:]:
        assert part.partition('"')[0] in openapi["components"]["schemas"]


def test_requests_that_come_while_models_load_are_answered_once_all_are(
    small_store: Store, empty_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("next-letter", "sentiment"):
        shutil.copytree(small_store.root / name, empty_models / name)
    loading, may_load = threading.Event(), threading.Event()

    def load(bundle: Bundle, settings: Settings) -> Engine:
        loading.set()
        assert may_load.wait(SECONDS)
        return load_engine(bundle, settings)

    monkeypatch.setattr("app.runtime.keeper.load_engine", load)
    with start(create_app(Settings(models=empty_models))) as client, ThreadPoolExecutor() as threads:
        asked = [threads.submit(client.get, path) for path in ("/livez", "/readyz")]
        asked.append(threads.submit(client.post, "/next-letter", json={"sequence": "A"}))
        assert loading.wait(SECONDS)
        assert not any(answered.done() for answered in asked)
        may_load.set()
        assert [answered.result(SECONDS).status_code for answered in asked] == [200] * 3


def test_an_unexpected_error_is_answered_without_its_reason(log: Log) -> None:
    app = create_app_that_logs_to(log)
    app.add_api_route("/fail", lambda: 1 / 0)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get("/fail")

    response = asyncio.run(ask())
    assert response.status_code == 500
    assert response.json()["type"].endswith("internal-error")
    assert "ZeroDivisionError" not in response.text and "division" not in response.text
    failure = log.wait_for(message="unexpected error")
    assert "ZeroDivisionError" in failure["traceback"]
    assert failure["request_id"] == response.headers["x-request-id"]


def test_an_error_after_the_answer_began_is_logged_and_left_to_the_server(log: Log) -> None:
    def fail() -> Iterator[bytes]:
        yield b"begun"
        raise ValueError("half way")

    app = create_app_that_logs_to(log)
    app.add_api_route("/fail", lambda: StreamingResponse(fail()))

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.get("/fail")

    with pytest.raises(ValueError, match="half way"):
        asyncio.run(ask())
    assert "half way" in log.wait_for(message="unexpected error")["traceback"]


@pytest.mark.parametrize(
    ("proxies", "client"),
    [((), "127.0.0.1"), (("10.0.0.0/8",), "127.0.0.1"), (("127.0.0.1", "10.0.0.0/8"), "203.0.113.7")],
    ids=["none", "others", "this"],
)
def test_the_address_of_the_client_is_taken_from_trusted_proxies_only(
    empty_models: Path, log: Log, proxies: tuple[str, ...], client: str
) -> None:
    with serve_app(create_app_that_logs_to(log, models=empty_models, trusted_proxies=proxies)) as asking:
        # The first address is of the client itself, which may send any; the proxies add the others.
        asking.get("/models", headers={"x-forwarded-for": "192.0.2.1, 203.0.113.7, 10.1.2.3"})
    assert log.wait_for(path="/models")["client"] == client


@pytest.mark.parametrize(("proxies", "client"), [((), "unix"), (("unix",), "203.0.113.7")])
def test_clients_of_a_unix_socket_have_no_address_of_their_own(
    empty_models: Path, tmp_path: Path, log: Log, proxies: tuple[str, ...], client: str
) -> None:
    app = create_app_that_logs_to(log, models=empty_models, trusted_proxies=proxies)
    transport = httpx.HTTPTransport(uds=str(tmp_path / "socket"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        with listen(app, listener), httpx.Client(transport=transport, base_url="http://service") as asking:
            asking.get("/models", headers={"x-forwarded-for": "203.0.113.7"})
    assert log.wait_for(path="/models")["client"] == client
