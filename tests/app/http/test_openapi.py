"""The service keeps the promises of its OpenAPI document, whatever a client sends."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest
import schemathesis

# All phases and all checks are on unless a line below says otherwise. The phases send the examples of the document,
# values at the bounds of its schemas, random values, and values from earlier answers: valid ones, and invalid ones.
# The check of response times is off, as they depend on the machine.
CONFIGURATION = """
continue-on-failure = true  # one run shows all faults

[cache]
enabled = false  # a run does not depend on earlier ones

[generation]
deterministic = true
database = "none"  # as the cache
max-examples = 50  # random values for each operation: the test takes 10 s on an idle core

[warnings]
# Not `validation_mismatch`: the schema of a sequence does not contain that only letters are valid.
fail-on = ["low_valid_rate", "method_not_allowed", "missing_deserializer", "missing_test_data", "unsupported_regex"]

[checks.not_a_server_error]
expected-statuses = ["2xx", "4xx", "504"]  # 504: after a short deadline of the client: see `is_within_deadline`

[checks.negative_data_rejection]
# 408 and 504 as above; 401 where it leaves out the key; the others say what is wrong.
expected-statuses = ["401", "404", "408", "413", "415", "422", "504"]

[checks.positive_data_acceptance]
# The schemas do not contain the names of models (404) and the most bytes of a body (413); 408 and 504 as above.
expected-statuses = ["2xx", "404", "408", "413", "504"]

[[operations]]
include-path-regex = "^/(models|v2/repository)/"
# Without keys nobody may change models, so the other methods get 403 even where no route has them.
phases.coverage.unexpected-methods = ["query", "trace"]

[[operations]]
include-path-regex = "^/(next-letter|sentiment)"
# The schemas do not contain that a sequence has letters only, and how many; that 3.0 is no number of letters, or of a
# version.
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "408", "413", "422", "504"]

[[operations]]
include-tag = "management"
# The schemas do not contain which versions and labels there are, and that 3.0 is no version; without keys all get 403.
checks.positive_data_acceptance.expected-statuses = ["2xx", "403", "404", "408", "409", "422", "504"]
checks.negative_data_rejection.expected-statuses = ["401", "403", "404", "408", "409", "422", "504"]

[[operations]]
include-path-regex = "/infer$"
# The schemas do not contain which tensors a model has, and that the elements fit the shape.
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "408", "413", "422", "504"]
# With the header inference-header-content-length: 0 every body is a valid text.
checks.negative_data_rejection.expected-statuses = ["200", "401", "404", "408", "413", "415", "422", "504"]
"""


@pytest.fixture(scope="module")
def url(services: Callable[..., httpx.Client]) -> str:
    """The address of the document of a running service."""
    return str(services(engine="onnx").base_url.join("openapi.json"))


@schemathesis.check
def is_within_deadline(
    _: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> None:
    """Only a client that sends a deadline of its own runs out of time here."""
    if response.status_code in (408, 504):
        assert "x-deadline-ms" in response.request.headers, f"{case.path} took too long"


@schemathesis.check
def is_problem(_: schemathesis.CheckContext, response: schemathesis.Response, __: schemathesis.Case[Any]) -> None:
    """Every error is a problem document, as the description of the service says, also an undocumented one."""
    if response.status_code >= 400:
        assert response.headers["content-type"] == ["application/problem+json"]
        assert response.json()["status"] == response.status_code


@schemathesis.check
def has_request_id(_: schemathesis.CheckContext, response: schemathesis.Response, __: schemathesis.Case[Any]) -> None:
    """Every answer carries an id, as the description of the service says."""
    assert len(response.headers["x-request-id"]) == 1


def test_the_document_is_valid_openapi(url: str) -> None:
    document = schemathesis.openapi.from_url(url, config=schemathesis.Config())
    document.validate()  # all but the schemas in it, which another standard defines
    for schema in document.raw_schema["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)  # as JSON Schema 2020-12, which is that of OpenAPI 3.1


def list_operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    """Yield the method, the path and the description of each operation."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield method, path, operation


@pytest.fixture(scope="module")
def documents(services: Callable[..., httpx.Client], url: str, key_file: Path, key: str) -> list[Any]:
    """The documents of a service without keys and of one with keys."""
    assert key
    return [
        httpx.get(url).json(),
        services(engine="onnx", keys=key_file, open_docs=True).get("/openapi.json").json(),
    ]


def test_every_operation_has_an_id_for_the_names_of_functions(documents: list[Any]) -> None:
    for document in documents:
        ids = [operation["operationId"] for _, _, operation in list_operations(document)]
        assert len(ids) == len(set(ids)) > 20
        for one in ids:
            assert re.fullmatch(r"[a-z]+(_[a-z]+)*", one) and not one.endswith(("_get", "_post", "_put", "_delete"))


def test_every_answer_has_its_headers_and_every_operation_its_errors(documents: list[Any]) -> None:
    expected = {"401": "WWW-Authenticate", "415": "Accept-Encoding", "429": "Retry-After", "503": "Retry-After"}
    for document, has_keys in zip(documents, (False, True), strict=True):
        for method, path, operation in list_operations(document):
            responses = operation["responses"]
            for status, response in responses.items():
                named = {"x-request-id", *filter(None, [expected.get(status)])}
                assert named <= response["headers"].keys(), (method, path, status)
                assert response["description"].endswith((".", "Response"))
            statuses = {"200", "500", "503"} | ({"408", "413", "415", "422"} if "requestBody" in operation else set())
            if has_keys and path not in ("/livez", "/readyz", "/v2/health/live", "/v2/health/ready"):
                statuses |= {"401", "403", "429"}
            assert statuses <= responses.keys(), (method, path)


def test_every_list_in_a_request_has_a_limit(documents: list[Any]) -> None:
    for document in documents:
        left = [operation["requestBody"] for _, _, operation in list_operations(document) if "requestBody" in operation]
        seen: list[Any] = []
        lists = 0
        while left:
            found = left.pop()
            if isinstance(found, list):
                left += found
            elif isinstance(found, dict) and found not in seen:
                seen.append(found)
                if name := found.get("$ref"):
                    left.append(document["components"]["schemas"][name.rpartition("/")[2]])
                left += [part for key, part in found.items() if key != "examples"]
                if found.get("type") == "array":
                    assert "maxItems" in found, found
                    lists += 1
        assert lists >= 6


def test_the_limits_are_those_of_the_settings(documents: list[Any], settings: Any) -> None:
    for document in documents:
        schemas = document["components"]["schemas"]
        for name, field in (("SentimentBatchRequest", "texts"), ("NextLetterBatchRequest", "sequences")):
            described = schemas[name]["properties"][field]
            assert described["maxItems"] == settings.max_batch
            assert described["items"]["maxLength"] == settings.max_text_characters
        assert schemas["SentimentRequest"]["properties"]["text"]["maxLength"] == settings.max_text_characters
        assert schemas["SentimentBatchAnswer"]["properties"]["answers"]["maxItems"] == settings.max_batch


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "keys.json"


@pytest.fixture(scope="module")
def key(key_file: Path) -> str:
    """The key of a client that may send as much as it wants."""
    from app.access.keys import add_client  # not above: schemathesis loads this file outside of the project

    return add_client(key_file, "web", ["predict", "manage"])


@pytest.mark.parametrize("has_keys", [False, True])
def test_every_answer_is_as_documented(
    services: Callable[..., httpx.Client],
    small_store: Any,  # its class must not be imported above: see `key`
    url: str,
    key_file: Path,
    key: str,
    has_keys: bool,
    tmp_path: Path,
) -> None:
    configuration = CONFIGURATION
    if has_keys:
        # It unloads models and moves their labels.
        models = shutil.copytree(small_store.root, tmp_path / "models")
        client = services(engine="onnx", keys=key_file, open_docs=True, models=models, watch_ms=10)
        url = str(client.base_url.join("openapi.json"))
        configuration += f'[auth.openapi.bearer]\nbearer = "{key}"\n'
        # It takes the headers of keys for the only ones.
        configuration = configuration.replace("[generation]", "[generation]\nallow-extra-parameters = false")
    (tmp_path / "schemathesis.toml").write_text(configuration)
    # In a process of its own, as random values contain constants of the modules that a process has loaded.
    command = [sys.executable, "-m", "schemathesis.cli", "run", url]
    environment = os.environ | {"SCHEMATHESIS_HOOKS": __file__}  # for the checks above
    result = subprocess.run(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True, timeout=300)
    assert result.returncode == 0, result.stdout
