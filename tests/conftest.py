"""What several packages' tests stand on: a small dataset, small bundles trained on it, and a real server of them."""

import atexit
import fcntl
import gc
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import get_args

import httpx
import pytest
import uvicorn
from rich.console import Console
from starlette.types import ASGIApp

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # before TensorFlow is imported
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"  # which would be told of behind the last word of the tests
if "TF_XLA_FLAGS" not in os.environ:
    # Half of the time of the tests would go to what XLA has compiled before: all their processes share it.
    compiled = tempfile.mkdtemp(prefix="lstm-serve-compiled-")
    atexit.register(shutil.rmtree, compiled, ignore_errors=True)
    os.environ["TF_XLA_FLAGS"] = f"--tf_xla_persistent_cache_directory={compiled}"

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from app.http.app import create_app
from app.http.protocol import Protocol
from app.settings import Settings
from bundle.rows import Row
from bundle.store import Bundle, Store
from training import recipes
from training.data.sources import Sources
from training.pipeline import train

tf.config.threading.set_intra_op_parallelism_threads(1)  # as the service does; nobody can later
# The objects of TensorFlow stay, and would be looked at again and again.
gc.freeze()
gc.set_threshold(20_000, 20, 20)

ON_RAY = os.environ.get("LSTM_TEST_SERVER") == "ray"
FIXTURES_OF_CLIENTS = {"client", "exact_client", "services", "served"}
# They look into the process of the server, or speak to it without HTTP, which Ray's proxy does.
FIXTURES_OF_SERVERS = {"log", "connection", "blocked", "monkeypatch"}
TESTS_LEFT_OUT = {
    "test_a_connection_stays_in_step_after_an_answer_before_the_end_of_the_body",  # it counts on a connection
    "test_every_answer_is_as_documented[True]",  # its answers are right, but it needs models that requests can change
}
# Generous: only a broken service takes so long, and then the test fails.
SECONDS = 120

PREDICTED_ROWS = 32  # at a time: for another number Keras traces a network again, which takes a second

GOOD = ("wonderful", "tender", "great", "moving", "brilliant")
BAD = ("awful", "boring", "poor", "dreadful", "lazy")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With `LSTM_TEST_SERVER=ray`, select the tests that only a client takes part in, and leave out TensorFlow."""
    if not ON_RAY:
        return
    left_out = []
    for item in items:
        fixtures = {*getattr(item, "fixturenames", ())}
        engine = getattr(item, "callspec", None) and item.callspec.params.get("client")  # type: ignore[attr-defined]
        is_inside = fixtures & FIXTURES_OF_SERVERS or {item.name, getattr(item, "originalname", "")} & TESTS_LEFT_OUT
        if not fixtures & FIXTURES_OF_CLIENTS or is_inside or engine == "tensorflow":
            left_out.append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    for item in items:
        item.add_marker(pytest.mark.filterwarnings("ignore"))  # Ray's own


def write_reviews(folder: Path, per_label: int = 12) -> Path:
    """Write a dataset in the layout of the original: the words of a review tell its label, where it has one."""
    for split in ("train", "test"):
        for label, stars, words in (("pos", 9, GOOD), ("neg", 2, BAD)):
            place = folder / split / label
            place.mkdir(parents=True)
            for number in range(per_label):
                text = f"A {words[number % 5]} film.<br /><br />I call it {words[(number + 1) % 5]}!"
                (place / f"{number}_{stars}.txt").write_text(text, encoding="utf-8")
    unlabelled = folder / "train" / "unsup"
    unlabelled.mkdir()
    for number in range(per_label):
        text = f"A {(GOOD + BAD)[number % 10]} film, I call it {(GOOD + BAD)[(number + 1) % 10]}."
        (unlabelled / f"{number}_0.txt").write_text(text, encoding="utf-8")
    return folder


def leftovers(folder: Path) -> list[Path]:
    """Return the files and the staged folders under a folder of bundles."""
    return [path for path in folder.rglob("*") if path.is_file() or path.name.startswith(".staged")]


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small dataset."""
    return write_reviews(tmp_path_factory.mktemp("data") / "aclImdb")


SMALL_LANGUAGE = (
    "language.units=4",
    "language.embedding=4",
    "language.passes=2",
    "language.batch_size=4",
    "language.steps=5",
    "language.sample=8",
    "language.checkpoint_steps=20",
    "second_round=null",
    "student_language=null",
)
SMALL_TUNING = ("epochs=2", "batch_size=4", "adversarial=none")

# One recipe of each kind, and what makes it small. Most of the time goes to tracing and compiling a step, which is done
# once more for several steps a call, and for a last batch of fewer examples.
SMALL_RECIPES = {
    "next-letter": ["units=8", "features=8", "epochs=1", "short_run_copies=1", "batch_size=676", "steps_per_call=1"],
    "alphabet-window": ["units=4", "epochs=1", "steps_per_call=1"],
    "alphabet-stateful": ["units=4", "epochs=2", "length=6"],
    "alphabet-variable-length": ["units=4", "epochs=1", "examples=50", "batch_size=10", "steps_per_call=1"],
    "stacked": [
        "units=4",
        "further_units=[3, 2]",
        "epochs=1",
        "short_run_copies=1",
        "batch_size=541",
        "steps_per_call=1",
    ],
    "sentiment": [
        "vocabulary_size=40",
        "endings=8",
        "length=40",
        "folds=2",
        *SMALL_LANGUAGE,
        *(f"{network}.{setting}" for network in ("teacher", "student") for setting in SMALL_TUNING),
    ],
    "imdb-500": ["units=4", "embedding=4", "epochs=1", "length=48", "batch_size=19"],
}


@pytest.fixture(scope="session")
def small_store(tmp_path_factory: pytest.TempPathFactory, reviews: Path, worker_id: str) -> Store:
    """A store with one bundle of each kind of recipe, trained briefly and with small networks.

    Processes that share the tests train each its part, one from the first recipe on, another from the last.
    """
    place = tmp_path_factory.getbasetemp()
    store = Store((place if worker_id == "master" else place.parent) / "small-models")
    store.root.mkdir(exist_ok=True)
    for name, assignments in sorted(SMALL_RECIPES.items(), reverse=worker_id == "gw1"):
        with (store.root.parent / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not store.versions(name):
                recipe = recipes.find(name).with_settings(assignments)
                train(recipe, name, store, Sources(reviews), Console(quiet=True), runs=store.root.parent / "runs")
    return store


@cache
def _load_network(path: Path) -> keras.Model:
    network = keras.saving.load_model(path)
    network.jit_compile = False  # XLA would compile it for every number of rows anew
    return network


def predict_with_keras(bundle: Bundle, rows: Sequence[Row]) -> NDArray[np.float32]:
    """Return what Keras predicts for rows that are padded to the full length, float32 [rows, outputs]."""
    filled = [*rows, *[rows[0]] * (-len(rows) % PREDICTED_ROWS)]
    network = _load_network(bundle.model_path)
    outputs: NDArray[np.float32] = network.predict(bundle.codec.pad(filled), batch_size=PREDICTED_ROWS, verbose=0)
    return outputs[: len(rows)]


@contextmanager
def serve(settings: Settings) -> Iterator[httpx.Client]:
    """Serve a new app on a free port, and give a client of it once its models are loaded.

    With `LSTM_TEST_SERVER=ray` it is an application of Ray Serve.
    """
    if ON_RAY:
        from tests.cluster.serving import serve_on_ray

        served = serve_on_ray(settings)
    else:
        served = serve_app(create_app(settings))
    with served as client:
        yield client


@contextmanager
def serve_app(app: ASGIApp) -> Iterator[httpx.Client]:
    """Serve an app on a free port: see `serve`."""
    with start(app) as client:
        client.get("/livez")
        yield client


@contextmanager
def start(app: ASGIApp) -> Iterator[httpx.Client]:
    """Serve an app on a free port, and give a client of it at once: its requests wait until the app accepts them."""
    with socket.create_server(("127.0.0.1", 0)) as listener, listen(app, listener):
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with httpx.Client(base_url=address, timeout=SECONDS) as client:
            yield client


@contextmanager
def listen(app: ASGIApp, listener: socket.socket) -> Iterator[None]:
    """Serve an app on a socket."""
    server = uvicorn.Server(
        uvicorn.Config(app, http=Protocol, log_config=None, proxy_headers=False, timeout_graceful_shutdown=5)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(SECONDS)


@pytest.fixture(scope="session")
def settings(small_store: Store) -> Settings:
    """Settings with limits that a test can pass quickly, but for the time, which no request without its own passes."""
    return Settings(
        models=small_store.root,
        max_body_bytes=20_000,
        max_text_characters=5_000,
        max_batch=40,
        deadline_ms=1000 * SECONDS,
    )


@pytest.fixture(scope="session")
def services(settings: Settings) -> Iterator[Callable[..., httpx.Client]]:
    """A function that returns a client of a service with changed settings; each is started once and stays."""
    with ExitStack() as running:
        yield cache(lambda **changes: running.enter_context(serve(settings.model_copy(update=changes))))


@pytest.fixture(scope="session", params=get_args(Settings.model_fields["engine"].annotation))
def client(request: pytest.FixtureRequest, services: Callable[..., httpx.Client]) -> httpx.Client:
    """A client of a service that is ready, on each of the engines in turn."""
    return services(engine=request.param)


@pytest.fixture(scope="session")
def exact_client(services: Callable[..., httpx.Client]) -> httpx.Client:
    """A client of a service that answers as Keras does: with the form of every network that has 32 bits."""
    return services(precision="float32")


@pytest.fixture
def empty_models(tmp_path: Path) -> Path:
    """A folder for bundles without any."""
    folder = tmp_path / "models"
    folder.mkdir()
    return folder
