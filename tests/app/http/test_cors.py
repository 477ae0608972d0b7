"""Pages of other origins, as a browser asks for them."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from app.access.keys import add_client
from app.http.app import create_app
from app.settings import Settings
from bundle.store import Store
from tests.conftest import SECONDS, serve, serve_app
from tests.test_docs_page import BROWSER

ORIGIN = "https://example.com"
PREFLIGHT = {
    "origin": ORIGIN,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,x-deadline-ms",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cors")


@pytest.fixture(scope="module")
def key(folder: Path) -> str:
    return add_client(folder / "keys.json", "web", ["predict"], requests_per_second=1000)


@pytest.fixture(scope="module")
def page(folder: Path, key: str) -> Iterator[httpx.Client]:
    """A client of a service with keys, which pages of one origin may use; it sends this origin."""
    assert key
    app = create_app(Settings(models=folder, keys=folder / "keys.json", cors_origins=(ORIGIN, "http://[::1]:8080")))
    app.add_api_route("/fail", lambda: 1 / 0)
    with serve_app(app) as client:
        client.headers["origin"] = ORIGIN
        yield client


def test_by_default_no_page_may_use_the_service(folder: Path) -> None:
    with serve(Settings(models=folder)) as client:
        preflight = client.options("/sentiment", headers=PREFLIGHT)
        simple = client.get("/models", headers={"origin": ORIGIN})
    assert preflight.status_code == 204 and simple.status_code == 200
    assert not [name for answer in (preflight, simple) for name in answer.headers if name.startswith("access-control")]


def test_a_preflight_needs_no_key(page: httpx.Client) -> None:
    answer = page.options("/sentiment", headers=PREFLIGHT)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "POST" in answer.headers["access-control-allow-methods"]
    allowed = {name.strip().lower() for name in answer.headers["access-control-allow-headers"].split(",")}
    assert {"authorization", "x-api-key", "content-type", "x-deadline-ms", "traceparent"} <= allowed
    assert {"inference-header-content-length", "content-encoding"} <= allowed
    assert "access-control-allow-credentials" not in answer.headers
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("header", "value", "named"),
    [
        ("origin", "https://example.org", "origin"),
        ("access-control-request-method", "PATCH", "method"),
        ("access-control-request-headers", "x-other", "headers"),
    ],
)
def test_another_preflight_is_refused(page: httpx.Client, header: str, value: str, named: str) -> None:
    answer = page.options("/sentiment", headers=PREFLIGHT | {header: value})
    assert answer.status_code == 400
    assert answer.json()["type"].endswith(":bad-request")
    assert answer.json()["detail"].startswith(f"Disallowed CORS {named}; the setting cors_origins")


def test_a_page_can_read_answers_and_errors(page: httpx.Client, key: str) -> None:
    headers = {"authorization": f"Bearer {key}"}
    answers = [page.get(path, headers=headers) for path in ("/models", "/nothing", "/fail")]
    answers += [page.get("/models"), page.options("/models", headers=headers)]
    assert [answer.status_code for answer in answers] == [200, 404, 500, 401, 204]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        exposed = set(answer.headers["access-control-expose-headers"].split(", "))
        assert {"ratelimit", "x-request-id", "retry-after", "inference-header-content-length"} <= exposed
        assert answer.headers["vary"] == "Origin"


def test_a_page_of_another_origin_cannot_read_answers(page: httpx.Client, key: str) -> None:
    answer = page.get("/models", headers={"origin": "https://example.org", "x-api-key": key})
    assert answer.status_code == 200 and "access-control-allow-origin" not in answer.headers


BINARY_PAGE = """
<body><script>
const text = new TextEncoder().encode("A wonderful film.");
const tensor = new Uint8Array(4 + text.length);
new DataView(tensor.buffer).setUint32(0, text.length, true);
tensor.set(text, 4);
const input = {name: "text", shape: [1], datatype: "BYTES", parameters: {binary_data_size: tensor.length}};
const head = JSON.stringify({inputs: [input], parameters: {binary_data_output: true}});
const body = new Blob([head, tensor]).stream().pipeThrough(new CompressionStream("gzip"));
new Response(body).arrayBuffer().then(packed => fetch("URL/v2/models/sentiment/infer", {
    method: "POST",
    headers: {"inference-header-content-length": head.length, "content-encoding": "gzip", "x-deadline-ms": 60000},
    body: packed,
})).then(async answer => {
    const size = Number(answer.headers.get("inference-header-content-length"));
    const bytes = new Uint8Array(await answer.arrayBuffer());
    const described = JSON.parse(new TextDecoder().decode(bytes.slice(0, size)));
    document.body.textContent = `${answer.status} ${described.model_name} ${bytes.length - size}`;
}).catch(error => { document.body.textContent = error; });
</script></body>
"""


@pytest.mark.skipif(BROWSER is None, reason="there is no chromium on the PATH")
def test_a_page_in_a_browser_sends_and_reads_binary_tensors(small_store: Store, tmp_path: Path) -> None:
    address = ""

    async def show_page(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": BINARY_PAGE.replace("URL", address).encode()})

    with serve_app(show_page) as other:
        origin = f"http://{other.base_url.host}:{other.base_url.port}"
        with serve(Settings(models=small_store.root, cors_origins=(origin,))) as client:
            address = f"http://{client.base_url.host}:{client.base_url.port}"
            command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"]
            command += ["--virtual-time-budget=20000", "--dump-dom", origin]
            shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=SECONDS).stdout
    probability, label, flag = 4, 4 + len("positive"), 1
    assert f"200 sentiment {probability + label + flag}" in shown


def test_all_origins_can_be_allowed(folder: Path) -> None:
    with serve(Settings(models=folder, cors_origins=("*",))) as client:
        assert client.options("/sentiment", headers=PREFLIGHT).headers["access-control-allow-origin"] == "*"
        assert client.get("/models", headers={"origin": ORIGIN}).headers["access-control-allow-origin"] == "*"
