import re
import shutil
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from app.http.app import create_app
from app.runtime.changes import Changes
from app.settings import Settings
from bundle.manifest import Description
from bundle.store import Bundle, Store
from tests.bundle.samples import publish_changed
from tests.conftest import SECONDS, serve_app

SEQUENCES = ["AB", "XYZ", "KLM", "C", "QRST"]
COUNT = re.compile(
    r'^lstm_serve_shadow_inputs_total\{model="next-letter",result="(\w+)",version="(\d+)"\} ([\d.]+)$', re.MULTILINE
)


@pytest.fixture
def store(small_store: Store, tmp_path: Path) -> Store:
    """A store of its own, where the first version answers and the second one is the candidate."""
    shutil.copytree(small_store.root / "next-letter", tmp_path / "next-letter")
    return Store(tmp_path)


def publish_as_next_letter(store: Store, other: Bundle) -> None:
    """Publish the network of another bundle as the next version."""
    fields = {field: getattr(other.manifest, field) for field in Description.model_fields}
    with store.stage("next-letter") as folder:
        for name in other.manifest.files:
            shutil.copy(other.folder / name, folder)
        store.publish(folder, Description(**{**fields, "name": "next-letter"}))


def share(store: Store, share: float) -> None:
    Changes(store, Settings()).set_label("next-letter", "stable", 1)
    Changes(store, Settings()).set_label("next-letter", "candidate", 2)
    Changes(store, Settings()).set_shadow_share("next-letter", share)


def read_counts(client: httpx.Client) -> Counter[str]:
    """Return the inputs of shadow requests to version 2 by result, of all services of this process so far."""
    found = COUNT.findall(client.get("/metrics").text)
    return Counter({result: int(float(count)) for result, version, count in found if version == "2"})


def wait_for_counts(client: httpx.Client, before: Counter[str], inputs: int) -> Counter[str]:
    """Return the inputs of shadow requests since then, once there are this many."""
    end = time.monotonic() + SECONDS
    while (counts := read_counts(client) - before).total() < inputs:
        assert time.monotonic() < end, f"there are only {counts}"
    return counts


def ask(client: httpx.Client, version: object = None) -> list[str]:
    """Return the letters for all sequences, asked in one batch."""
    answers = client.post("/next-letter/batch", json={"sequences": SEQUENCES, "version": version}).json()["answers"]
    assert {answer["version"] for answer in answers} == {version or 1}
    return [answer["next_letter"] for answer in answers]


def test_the_candidate_answers_too_and_clients_do_not_see_it(store: Store, small_store: Store) -> None:
    publish_as_next_letter(store, small_store.open("stacked"))
    share(store, 1)
    with serve_app(create_app(Settings(models=store.root))) as client:
        before = read_counts(client)
        agreeing = sum(own == other for own, other in zip(ask(client), ask(client, 2), strict=True))
        assert client.post("/next-letter", json={"sequence": SEQUENCES[0]}).json()["version"] == 1
        tensor = {"name": "sequence", "shape": [5], "datatype": "BYTES", "data": SEQUENCES}
        assert client.post("/v2/models/next-letter/infer", json={"inputs": [tensor]}).json()["model_version"] == "1"
        counts = wait_for_counts(client, before, 11)
    assert 2 * agreeing <= counts["agrees"] <= 2 * agreeing + 1
    assert counts["agrees"] + counts["differs"] == 11


def test_a_share_of_zero_and_a_request_for_another_version_ask_no_candidate(store: Store) -> None:
    publish_changed(store, store.open("next-letter"))
    share(store, 1)
    with serve_app(create_app(Settings(models=store.root, watch_ms=10))) as client:
        before = read_counts(client)
        ask(client, 2)
        ask(client)
        assert wait_for_counts(client, before, 5) == {"agrees": 5}


def test_a_candidate_that_cannot_answer_fails_alone(store: Store, small_store: Store) -> None:
    publish_as_next_letter(store, small_store.open("alphabet-window"))  # which reads fewer letters
    share(store, 1)
    with serve_app(create_app(Settings(models=store.root))) as client:
        before = read_counts(client)
        length = small_store.open("alphabet-window").codec.length
        answer = client.post("/next-letter", json={"sequence": "ABCDEFGHIJ"[: length + 1]})
        assert answer.json()["version"] == 1
        assert wait_for_counts(client, before, 1) == {"failed": 1}
