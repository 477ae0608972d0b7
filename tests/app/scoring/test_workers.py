"""The processes that answer texts, and the part of each that can run here."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import Pipe, active_children
from pathlib import Path

import pytest

from app.errors import ScoringError
from app.scoring.workers import Workers, work
from app.settings import Settings
from bundle.store import Store
from tests.app.scoring.conftest import MODELS, NAME, MakeScorer, make_texts
from tests.bundle.samples import EXPORTED, REVIEWS, publish
from tests.conftest import SECONDS

SETTINGS = Settings(models=MODELS, workers=2)


@pytest.fixture
def workers() -> Iterator[Workers]:
    workers = Workers(Store(MODELS).open(NAME), SETTINGS)
    yield workers
    workers.close()
    assert not active_children()


def test_each_process_answers_as_a_network_here(workers: Workers, make_scorer: MakeScorer) -> None:
    texts = [make_texts(n) for n in (1, 50, 3, 20)]
    with ThreadPoolExecutor(workers.places) as pool:
        assert [*pool.map(workers.score, texts)] == [make_scorer().score(each) for each in texts]
    assert workers.model.identity["checksum"] == Store(MODELS).open(NAME).manifest.checksum


def test_the_end_of_a_process_ends_the_scoring(workers: Workers) -> None:
    for process in active_children():
        assert process.pid
        os.kill(process.pid, signal.SIGKILL)
        process.join(SECONDS)
    for _ in range(2):
        with pytest.raises(ScoringError, match="a process of the scoring ended, perhaps for lack of memory"):
            workers.score(["a"])


def test_a_network_that_cannot_be_loaded_is_told(tmp_path: Path) -> None:
    bundle = publish(Store(tmp_path), EXPORTED)
    with pytest.raises(ScoringError, match="the network of exported version 1 cannot be loaded: "):
        Workers(bundle, SETTINGS.model_copy(update={"models": tmp_path}))
    assert not active_children()


def test_a_damaged_bundle_is_told(tmp_path: Path) -> None:
    bundle = publish(Store(tmp_path), REVIEWS)
    (bundle.folder / "model.keras").write_bytes(b"other")
    with pytest.raises(ScoringError, match="model.keras has SHA-256"):
        Workers(bundle, SETTINGS.model_copy(update={"models": tmp_path}))


def test_a_process_answers_until_its_connection_ends() -> None:
    mine, other = Pipe()
    received: list[object] = []

    def receive() -> None:
        received.extend([mine.recv(), mine.recv()])
        mine.close()

    mine.send(["a wonderful film"])
    receiving = threading.Thread(target=receive)
    receiving.start()
    work(other, SETTINGS, NAME, 3)
    receiving.join(SECONDS)
    problem, answers = received
    assert problem == "" and isinstance(answers, list) and answers[0]["sentiment"] == "positive"


def test_a_process_that_cannot_load_says_why(tmp_path: Path) -> None:
    for name, message in ((NAME, "there is no bundle imdb-500 version 1"), ("exported", "cannot be loaded: ")):
        publish(Store(tmp_path), EXPORTED)
        mine, other = Pipe()
        work(other, SETTINGS.model_copy(update={"models": tmp_path}), name, 1)
        assert message in mine.recv()
