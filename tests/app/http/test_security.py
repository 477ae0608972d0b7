"""What the OpenAPI document says about keys."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from app.access.keys import add_client
from app.http.access import Access
from app.http.security import describe_access
from app.settings import Settings
from tests.conftest import serve

OPEN = {"/livez", "/readyz", "/v2/health/live", "/v2/health/ready"}


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    """The document of a service with keys."""
    key = add_client(tmp_path / "keys.json", "web", ["predict"])
    with serve(Settings(models=tmp_path, keys=tmp_path / "keys.json")) as client:
        answer: httpx.Response = client.get("/openapi.json", headers={"x-api-key": key})
        document: dict[str, Any] = answer.json()
        return document


def make_document(method: str, path: str) -> dict[str, Any]:
    return {"components": {}, "paths": {path: {method: {"responses": {"200": {}}}}}}


def test_every_operation_needs_a_key_but_the_probes(document: dict[str, Any]) -> None:
    assert document["components"]["securitySchemes"].keys() == {"bearer", "header"}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if path in OPEN:
                assert "security" not in operation and "401" not in operation["responses"]
                continue
            scope = "metrics" if path == "/metrics" else "predict"
            scope = "manage" if operation["tags"] == ["management"] else scope
            assert operation["security"] == [{"bearer": [scope]}, {"header": [scope]}]
            assert {"401", "403", "429"} <= operation["responses"].keys()
            for response in operation["responses"].values():
                assert {"RateLimit", "RateLimit-Policy", "x-request-id"} <= response["headers"].keys()
            assert "Retry-After" in operation["responses"]["429"]["headers"]


def test_the_examples_are_problems_of_their_kinds(document: dict[str, Any]) -> None:
    responses = document["paths"]["/models"]["get"]["responses"]
    examples = {
        kind: example["value"]
        for status in ("401", "403", "429")
        for kind, example in responses[status]["content"]["application/problem+json"]["examples"].items()
    }
    assert examples.keys() == {"key-missing", "key-unknown", "scope-missing", "quota-exceeded"}
    assert examples["quota-exceeded"]["violated-policies"] == ["rate"]
    assert all(example["type"].endswith(kind) for kind, example in examples.items())
    assert "violated-policies" in document["components"]["schemas"]["Problem"]["properties"]


def test_a_service_without_keys_documents_none() -> None:
    document = make_document("get", "/models")
    describe_access(document, Access(Settings()))
    assert document == make_document("get", "/models")


def test_changes_of_models_need_the_scope_or_are_closed(tmp_path: Path) -> None:
    add_client(tmp_path / "keys.json", "web", ["predict"])
    document = make_document("put", "/models/{name}/pin")
    describe_access(document, Access(Settings(keys=tmp_path / "keys.json")))
    assert document["paths"]["/models/{name}/pin"]["put"]["security"][0] == {"bearer": ["manage"]}
    document = make_document("put", "/models/{name}/pin")
    describe_access(document, Access(Settings()))
    operation = document["paths"]["/models/{name}/pin"]["put"]
    assert operation["responses"].keys() == {"200", "403"} and "security" not in operation
