"""Which requests need a key, asked of real services; and what clients may do with it."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families as parse
from starlette.routing import Mount, Route

from app.access.keys import add_client
from app.errors import KeyFileError
from app.http.access import Access
from app.http.app import create_app
from app.settings import Settings
from bundle.store import Store
from tests.app.conftest import Log
from tests.conftest import serve, serve_app
from tests.reliability.clients import Connection, make_request

OPEN = {"/livez", "/readyz", "/v2/health/live", "/v2/health/ready"}
DOCS = {"/", "/page/main.js", "/docs", "/openapi.json", "/static-offline-docs/swagger-ui.css"}


@dataclass(frozen=True)
class Guarded:
    """A service without models that needs keys, and the keys of its clients."""

    client: httpx.Client
    app: FastAPI
    keys: dict[str, str]

    def ask(self, path: str, name: str | None = None, method: str = "GET") -> httpx.Response:
        """Return the answer to a client, or to nobody."""
        headers = {"authorization": f"Bearer {self.keys[name]}"} if name else {}
        return self.client.request(method, path, headers=headers)


def make_keys(path: Path) -> dict[str, str]:
    return {
        "web": add_client(path, "web", ["predict"]),
        "ops": add_client(path, "ops", ["manage"]),
        "prometheus": add_client(path, "prometheus", ["metrics"]),
        "slow": add_client(path, "slow", ["predict"], requests_per_second=0.01, burst=3),
        "used": add_client(path, "used", ["predict"], requests_per_second=0.01, burst=1),
        "busy": add_client(path, "busy", ["predict"], requests_per_second=0.01, burst=200),
    }


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    keys = make_keys(folder / "keys.json")
    app = create_app(Settings(models=folder, keys=folder / "keys.json"))

    @app.get("/forgotten")
    async def forgotten() -> str:
        return "a route that says nothing about keys"

    with serve_app(app) as client:
        yield Guarded(client, app, keys)


@pytest.fixture(scope="module")
def unguarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with serve(Settings(models=tmp_path_factory.mktemp("models"))) as client:
        yield client


def assert_kind(response: httpx.Response, status: int, kind: str) -> None:
    assert response.status_code == status
    assert re.split("[:#]", response.json()["type"])[-1] == kind


def test_no_route_answers_without_a_key_unless_it_is_listed(guarded: Guarded) -> None:
    answered = set()
    for route in guarded.app.routes:
        assert isinstance(route, Route | Mount)
        path = f"{route.path}/swagger-ui.css" if isinstance(route, Mount) else route.path
        path = path.format(name="sentiment", version=1, label="stable")
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"):
            response = guarded.ask(path, method=method)
            if path in OPEN:
                answered.add(path)
                assert response.status_code in (200, 204, 405, 503)
            else:
                assert response.status_code == 401, (method, path)
    assert answered == OPEN
    assert guarded.ask("/forgotten").status_code == 401
    assert guarded.ask("/forgotten", "web").status_code == 200


@pytest.mark.parametrize("path", ["/nothing", "/v2/models", "/livez/", "/LIVEZ"])
def test_a_path_that_does_not_exist_needs_a_key_too(guarded: Guarded, path: str) -> None:
    assert_kind(guarded.ask(path), 401, "key-missing")
    assert_kind(guarded.ask(path, "web"), 404, "not-found")


def test_an_odd_spelling_of_an_open_path_needs_a_key_even_if_its_route_answers(guarded: Guarded) -> None:
    assert_kind(guarded.ask("/livez%0a"), 401, "key-missing")
    assert guarded.ask("/livez%0a", "web").status_code == 200


def test_a_missing_and_a_wrong_key_are_told_apart(guarded: Guarded) -> None:
    missing = guarded.ask("/models")
    assert_kind(missing, 401, "key-missing")
    assert missing.headers["www-authenticate"] == 'Bearer realm="lstm-serve"'
    wrong = guarded.client.get("/models", headers={"authorization": "Bearer wrong"})
    assert_kind(wrong, 401, "key-unknown")
    assert wrong.headers["www-authenticate"] == 'Bearer realm="lstm-serve", error="invalid_token"'


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": "Bearer KEY"}, 200),
        ({"authorization": "bearer  KEY"}, 200),
        ({"X-API-Key": "KEY"}, 200),
        ({"authorization": "Basic dXNlcjpwYXNz", "x-api-key": "KEY"}, 200),
        ({"authorization": "Bearer wrong", "x-api-key": "KEY"}, 401),
        ({"authorization": "Basic KEY"}, 401),
        ({"authorization": "KEY"}, 401),
        ({"authorization": "Bearer"}, 401),
        ({"x-api-key": ""}, 401),
        ({"x-api-key": "KEYKEY"}, 401),
        ({"cookie": "x-api-key=KEY"}, 401),
    ],
)
def test_a_key_comes_in_one_of_two_headers(guarded: Guarded, headers: dict[str, str], status: int) -> None:
    sent = {name: value.replace("KEY", guarded.keys["web"]) for name, value in headers.items()}
    assert guarded.client.get("/models", headers=sent).status_code == status


def test_a_key_in_the_url_is_none(guarded: Guarded) -> None:
    assert guarded.client.get("/models", params={"api_key": guarded.keys["web"]}).status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/models/sentiment/versions/3"),
        ("POST", "/models/sentiment/versions"),
        ("DELETE", "/models/sentiment"),
        ("PATCH", "/models/sentiment"),
        ("POST", "/v2/repository/models/sentiment/load"),
        ("POST", "/v2/repository/anything"),
    ],
)
def test_who_changes_models_needs_the_scope_for_it(guarded: Guarded, method: str, path: str) -> None:
    assert_kind(guarded.ask(path, method=method), 401, "key-missing")
    response = guarded.ask(path, "web", method)
    assert_kind(response, 403, "scope-missing")
    assert response.headers["www-authenticate"] == 'Bearer realm="lstm-serve", error="insufficient_scope"'
    assert guarded.ask(path, "ops", method).status_code in (404, 405)


@pytest.mark.parametrize(("method", "path"), [("GET", "/models"), ("POST", "/v2/repository/index")])
def test_who_may_change_models_may_not_read_with_that_alone(guarded: Guarded, method: str, path: str) -> None:
    assert_kind(guarded.ask(path, "ops", method), 403, "scope-missing")
    assert guarded.ask(path, "web", method).status_code in (200, 404)


def test_the_metrics_need_a_scope_that_allows_nothing_else(guarded: Guarded) -> None:
    assert_kind(guarded.ask("/metrics"), 401, "key-missing")
    assert guarded.ask("/metrics", "prometheus").status_code == 200
    for method, path in (("GET", "/models"), ("POST", "/sentiment"), ("DELETE", "/models/a"), ("GET", "/metrics/")):
        assert_kind(guarded.ask(path, "prometheus", method), 403, "scope-missing")
    assert guarded.ask("/metrics", "web").status_code == 200  # who may predict may read them, too
    assert_kind(guarded.ask("/metrics", "ops"), 403, "scope-missing")


def test_without_keys_everybody_may_ask_and_nobody_change_models(unguarded: httpx.Client) -> None:
    assert [unguarded.get(path).status_code for path in ("/models", "/docs", "/openapi.json", "/livez")] == [200] * 4
    for method, path in (("DELETE", "/models/sentiment"), ("POST", "/v2/repository/models/sentiment/load")):
        response = unguarded.request(method, path)
        assert_kind(response, 403, "management-closed")
        assert "python -m app --keys FILE keys add NAME --scope manage" in response.json()["detail"]
    assert unguarded.post("/v2/repository/index").status_code == 200


@pytest.mark.parametrize("opened", [set(), {"docs"}, {"metrics"}, {"docs", "metrics"}])
def test_settings_open_the_documentation_and_the_metrics(tmp_path: Path, opened: set[str]) -> None:
    make_keys(tmp_path / "keys.json")
    settings = Settings(
        models=tmp_path,
        keys=tmp_path / "keys.json",
        open_docs="docs" in opened,
        open_metrics="metrics" in opened,
    )
    with serve(settings) as client:
        for path in DOCS:
            assert (client.get(path).status_code == 401) == ("docs" not in opened)
        assert (client.get("/metrics").status_code == 401) == ("metrics" not in opened)
        assert client.get("/models").status_code == client.get("/static-offline-docs").status_code == 401


def test_behind_a_proxy_the_same_paths_are_open(tmp_path: Path) -> None:
    make_keys(tmp_path / "keys.json")
    access = Access(Settings(keys=tmp_path / "keys.json"))

    def ask(path: str) -> bool:
        scope = {"method": "GET", "path": path, "root_path": "/v1", "state": {}}
        access.check(scope, {})
        return scope["state"] == {"caller": None}

    assert ask("/v1/livez")
    for path in ("/v1/models", "/v1", "/v1/livez/", "/v1x/livez"):
        with pytest.raises(Exception, match="has no API key"):
            ask(path)


def test_a_request_is_rejected_before_its_body_is_sent(guarded: Guarded) -> None:
    assert guarded.client.base_url.port is not None
    with Connection(guarded.client.base_url.port) as connection:
        connection.send(make_request("POST", "/sentiment", f"content-length: {1 << 40}", "expect: 100-continue"))
        answer = connection.read()
    assert answer is not None and answer.status == 401 and answer.closes  # and not 100, or 413


def test_the_log_has_the_client_and_never_its_key(guarded: Guarded, log: Log) -> None:
    guarded.ask("/models", "web")
    assert log.wait_for(path="/models", status=200)["client_name"] == "web"
    guarded.client.get("/models", headers={"x-api-key": "lstm-serve-wrong"})
    assert "client_name" not in log.wait_for(path="/models", status=401)
    guarded.ask("/models/a", "web", "DELETE")
    assert log.wait_for(path="/models/a", status=403)["client_name"] == "web"
    assert not [key for key in (*guarded.keys.values(), "lstm-serve-wrong") if key in log.text]


def test_a_client_past_its_rate_gets_429_with_the_fields_of_the_standard(guarded: Guarded) -> None:
    answers = [guarded.ask("/models", "slow") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"rate";q=3;w=300'}
    assert [re.sub("t=.*", "", answer.headers["ratelimit"]) for answer in answers] == [
        f'"rate";r={left};' for left in (2, 1, 0, 0)
    ]
    refused = answers[3]
    problem = refused.json()
    assert problem["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
    assert problem["title"] == "Request cannot be satisfied as assigned quota has been exceeded"
    assert problem["violated-policies"] == ["rate"] and problem["status"] == 429
    assert 0 < int(refused.headers["retry-after"]) <= 100
    assert refused.headers["ratelimit"].endswith(f"t={refused.headers['retry-after']}")
    assert guarded.ask("/livez").status_code == 200
    assert "ratelimit" not in guarded.ask("/models", "web").headers


def test_a_busy_client_is_told_what_is_left_after_each_request(guarded: Guarded) -> None:
    answers = [guarded.ask("/models", "busy") for _ in range(201)]
    assert [answer.status_code for answer in answers] == [200] * 200 + [429]
    left = [int(answer.headers["ratelimit"].split(";")[1].removeprefix("r=")) for answer in answers]
    assert left == [*reversed(range(200)), 0]


def test_a_service_with_an_invalid_key_file_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="make one with"):
        create_app(Settings(models=tmp_path, keys=tmp_path / "keys.json"))


def read_metric(guarded: Guarded, name: str, **labels: str) -> float:
    """Return the sum of the samples that have these labels."""
    return sum(
        sample.value
        for family in parse(guarded.ask("/metrics", "web").text)
        for sample in family.samples
        if sample.name == f"lstm_serve_{name}" and labels.items() <= sample.labels.items()
    )


@pytest.mark.parametrize(
    ("method", "path", "name", "route", "status", "reason"),
    [
        ("GET", "/models", "", "/models", 401, "key-missing"),
        ("HEAD", "/models/a", "", "/models/{name}", 401, "key-missing"),
        ("POST", "/sentiment", "ops", "/sentiment", 403, "scope-missing"),
        ("DELETE", "/models/a", "web", "/models/{name}", 403, "scope-missing"),
        ("GET", "/models/a/versions", "used", "/models/{name}/versions", 429, "quota-exceeded"),
        ("GET", "/nothing", "", "none", 401, "key-missing"),
        ("GET", "/page/none.js", "", "none", 401, "key-missing"),
    ],
)
def test_a_refusal_is_counted_by_route_reason_and_client(
    guarded: Guarded, method: str, path: str, name: str, route: str, status: int, reason: str
) -> None:
    def count() -> tuple[float, float]:
        return (
            read_metric(guarded, "request_duration_seconds_count", route=route, status=str(status)),
            read_metric(guarded, "refusals_total", reason=reason, client=name),
        )

    if name == "used":
        assert guarded.ask("/models", name).status_code == 200
    before = count()
    assert guarded.ask(path, name or None, method).status_code == status
    assert count() == (before[0] + 1, before[1] + 1)


@pytest.fixture
def ask_sentiment(small_store: Store, tmp_path: Path) -> Iterator[Callable[..., httpx.Response]]:
    """A function that asks a service with a quota of five texts a day."""
    key = add_client(tmp_path / "keys.json", "web", ["predict"], texts_per_day=5)
    with serve(Settings(models=small_store.root, keys=tmp_path / "keys.json")) as client:
        yield lambda texts: client.post("/sentiment/batch", json={"texts": texts}, headers={"x-api-key": key})


def test_only_texts_that_are_judged_are_counted(ask_sentiment: Callable[[object], httpx.Response]) -> None:
    assert ask_sentiment(["film", 5]).status_code == 422
    judged = ask_sentiment(["film"] * 3)
    assert judged.status_code == 200 and judged.headers["ratelimit"].startswith('"day";r=2;t=')
    refused = ask_sentiment(["film"] * 3)
    assert_kind(refused, 429, "quota-exceeded")
    assert refused.json()["violated-policies"] == ["day"]
    too_many = ask_sentiment(["film"] * 6)
    assert_kind(too_many, 413, "batch-over-quota")
    assert "retry-after" not in too_many.headers and too_many.headers["ratelimit"].startswith('"day";r=2;t=')
    assert ask_sentiment(["film"] * 2).headers["ratelimit"].startswith('"day";r=0;t=')
    assert_kind(ask_sentiment(["film", 5]), 429, "quota-exceeded")  # before its body is read
