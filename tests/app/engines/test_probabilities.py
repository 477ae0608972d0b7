"""Networks whose outputs are no probabilities never answer, on each engine."""

from collections.abc import Iterator
from typing import get_args

import httpx
import pytest

from app.settings import Settings
from bundle.store import Store
from tests.conftest import serve
from tests.labelled import THREE, TWO, build, end_with, make_codec, publish_unchecked

# By the name of the model: its labels, outputs and last activation, and why it is refused.
CASES = {
    "linear": (TWO, 1, "linear", "which is no probability"),
    "tanh": (TWO, 1, "tanh", "which is no probability"),
    "sigmoids": (THREE, 3, "sigmoid", "answers with 3 numbers whose sum is"),
    "logits": (THREE, 3, "linear", "which is no probability"),
    "two-outputs": (TWO, 2, "softmax", r"answers with the shape (1, 2), its manifest says (1, 1)"),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with a good model and all the others, and a second version of the good one that is bad."""
    store = Store(tmp_path_factory.mktemp("models"))
    recipe, codec = make_codec()
    good = build(codec, recipe, TWO)
    publish_unchecked(store, "good", TWO, good)
    publish_unchecked(store, "good", TWO, end_with(good, 1, "tanh"))
    for name, (labels, outputs, activation, _) in CASES.items():
        publish_unchecked(store, name, labels, end_with(good, outputs, activation))
    return store


@pytest.fixture(scope="module", params=get_args(Settings.model_fields["engine"].annotation))
def client(request: pytest.FixtureRequest, store: Store) -> Iterator[httpx.Client]:
    with serve(Settings(models=store.root, engine=request.param)) as client:
        yield client


@pytest.mark.parametrize("name", CASES)
def test_a_network_whose_outputs_are_no_probabilities_is_refused(client: httpx.Client, name: str) -> None:
    why = CASES[name][-1]
    (listed,) = [model for model in client.get("/models").json()["models"] if model["name"] == name]
    assert listed["status"] == "refused" and why in listed["detail"]
    response = client.post("/sentiment", json={"text": "film", "model": name})
    assert response.status_code == 503 and why in response.json()["detail"]


def test_the_version_before_a_refused_one_answers(client: httpx.Client) -> None:
    (listed,) = [model for model in client.get("/models").json()["models"] if model["name"] == "good"]
    assert (listed["status"], listed["version"], listed["default"]) == ("ready", 1, True)
    assert "version 2 is refused" in listed["problems"][0] and "no probability" in listed["problems"][0]
    assert client.post("/sentiment", json={"text": "film"}).json()["version"] == 1
