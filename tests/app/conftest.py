"""A real server on a free port, and a real client."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn

from app.main import create_app
from app.settings import Settings
from bundle.store import Store

# Generous: only a broken service takes so long, and then the test fails.
SECONDS = 120


@contextmanager
def serve(settings: Settings, loaded: bool = True) -> Iterator[httpx.Client]:
    """Serve the app on a free port, by default until all models are loaded before the client is given."""
    app = create_app(settings)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=5))
    with socket.create_server(("127.0.0.1", 0)) as listener:  # connections queue until the server accepts them
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            address = f"http://127.0.0.1:{listener.getsockname()[1]}"
            with httpx.Client(base_url=address, timeout=SECONDS) as client:
                client.get("/livez")
                assert not loaded or app.state.repository.wait(SECONDS)
                yield client
        finally:
            server.should_exit = True
            thread.join(SECONDS)


@pytest.fixture(scope="session")
def settings(small_store: Store) -> Settings:
    """Settings with limits that a test can pass quickly."""
    return Settings(models=small_store.root, max_body_bytes=20_000, max_text_characters=5_000, max_batch=40)


@pytest.fixture(scope="session")
def client(settings: Settings) -> Iterator[httpx.Client]:
    """A client of a service that is ready."""
    with serve(settings) as ready:
        yield ready


@pytest.fixture
def empty_models(tmp_path: Path) -> Path:
    """A folder for bundles without any."""
    folder = tmp_path / "models"
    folder.mkdir()
    return folder
