from collections.abc import Iterator
from typing import get_args

import httpx
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from app.settings import Settings
from bundle.letters import ALPHABET, LetterCodec
from bundle.manifest import Dataset
from bundle.store import Bundle, Store
from bundle.symbols import SymbolCodec
from tests.conftest import SECONDS, predict_with_keras, serve
from training import pipeline, recipes
from training.data.examples import Examples
from training.networks.builders import build_sequence_network
from training.recipes.sequences import SequenceSettings
from training.tasks.trained import Trained

GREEK = "αβγδε -ς"
ALPHABETS = {"greek": GREEK, "bits": "01", "many": "".join(chr(0x4E00 + number) for number in range(200))}


def predict(bundle: Bundle, sequence: str) -> list[float]:
    """Answer as Keras does, outside the service."""
    assert isinstance(bundle.codec, LetterCodec | SymbolCodec)
    row: list[float] = predict_with_keras(bundle, [bundle.codec.encode(sequence)])[0].tolist()
    return row


def test_answers_the_likeliest_letters_in_order(client: httpx.Client, small_store: Store) -> None:
    answer = client.post("/next-letter", json={"sequence": "abC", "top_k": 26}).json()
    expected = predict(small_store.open("next-letter"), "ABC")
    served = {entry["letter"]: entry["probability"] for entry in answer["top"]}
    assert [served[letter] for letter in ALPHABET] == pytest.approx(expected, abs=1e-6)
    assert list(served.values()) == sorted(served.values(), reverse=True)
    assert answer["next_letter"] == answer["top"][0]["letter"] == ALPHABET[int(np.argmax(expected))]
    assert answer["probability"] == answer["top"][0]["probability"]
    assert (answer["model"], answer["version"]) == ("next-letter", 1)


def test_ranks_three_letters_unless_told(client: httpx.Client) -> None:
    assert len(client.post("/next-letter", json={"sequence": "ABC"}).json()["top"]) == 3


def test_the_model_of_another_name_answers(client: httpx.Client, small_store: Store) -> None:
    request = {"sequence": "ABC", "model": "alphabet-variable-length", "top_k": 1}
    answer = client.post("/next-letter", json=request).json()
    assert answer["model"] == "alphabet-variable-length"
    expected = max(predict(small_store.open("alphabet-variable-length"), "ABC"))
    assert answer["probability"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("count", [1, 2, 8, 9, 33])
def test_a_batch_is_answered_to_the_byte_as_one_by_one_in_order(client: httpx.Client, count: int) -> None:
    sequences = [ALPHABET[start % 20 : start % 20 + 1 + start % 5] for start in range(count)]
    batch = client.post("/next-letter/batch", json={"sequences": sequences, "top_k": 26})
    alone = [client.post("/next-letter", json={"sequence": each, "top_k": 26}).content for each in sequences]
    assert batch.content == b'{"answers":[' + b",".join(alone) + b"]}"


@pytest.mark.parametrize(
    ("sequence", "position", "character"),
    [("A1C", 1, "1"), ("AB ", 2, " "), ("é", 0, "é"), ("AB😀", 2, "😀"), ("A" * 27, 26, "A"), ("", 0, None)],
)
def test_a_wrong_sequence_is_refused_with_its_place(
    client: httpx.Client, sequence: str, position: int, character: str | None
) -> None:
    response = client.post("/next-letter", json={"sequence": sequence})
    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert error["loc"] == ["body", "sequence"]
    assert error.get("input") == character
    assert f"position {position}" in error["msg"] or not sequence


def test_all_wrong_sequences_of_a_batch_are_named(client: httpx.Client) -> None:
    response = client.post("/next-letter/batch", json={"sequences": ["A", "1", "B", ""]})
    assert response.status_code == 422
    assert [error["loc"] for error in response.json()["errors"]] == [["body", "sequences", 1], ["body", "sequences", 3]]


@pytest.mark.parametrize("top_k", [0, 201, -1, "3", True, 1.5, None])
def test_top_k_outside_1_to_200_is_refused(client: httpx.Client, top_k: object) -> None:
    response = client.post("/next-letter", json={"sequence": "A", "top_k": top_k})
    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"] == ["body", "top_k"]


@settings(deadline=None)
@given(sequence=st.text() | st.text("ABCxyz", max_size=30), top_k=st.integers() | st.integers(1, 26))
def test_no_sequence_makes_the_service_fail(client: httpx.Client, sequence: str, top_k: int) -> None:
    assert client.post("/next-letter", json={"sequence": sequence, "top_k": top_k}).status_code in (200, 422)
    request = {"sequences": [sequence, "A"], "top_k": 1}
    assert client.post("/next-letter/batch", json=request).status_code in (200, 422)


def publish_untrained(store: Store, name: str, alphabet: str) -> None:
    """Publish a network of an alphabet with random weights; case is folded."""
    recipe = recipes.find("letters").with_settings(["units=5", "embedding=3", "length=6"])
    settings = recipe.settings
    assert isinstance(settings, SequenceSettings)
    keras.utils.set_random_seed(3)
    codec = SymbolCodec(alphabet=alphabet, length=6, fold_case=True)
    examples = Examples(codec.pad([codec.make_longest_row()] * 2), np.array([0, 1], np.int32))
    dataset = Dataset(name="none", sha256="a" * 64, training_examples=0, test_examples=2)
    trained = Trained(build_sequence_network(settings, codec), codec, {}, examples, dataset, labels=codec.labels)
    with store.stage(name) as folder:
        pipeline.publish(trained, recipe, name, store, folder, 0, {}, Console(quiet=True))


@pytest.fixture(scope="module")
def any_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of networks of several alphabets."""
    store = Store(tmp_path_factory.mktemp("alphabets"))
    for name, alphabet in ALPHABETS.items():
        publish_untrained(store, name, alphabet)
    return store


@pytest.fixture(scope="module", params=get_args(Settings.model_fields["engine"].annotation))
def any_client(request: pytest.FixtureRequest, any_store: Store) -> Iterator[httpx.Client]:
    """A client of a service of several alphabets, on each of the engines in turn."""
    with serve(Settings(models=any_store.root, engine=request.param, deadline_ms=1000 * SECONDS)) as client:
        yield client


@pytest.mark.parametrize("name", ALPHABETS)
def test_a_network_of_any_alphabet_answers_with_its_characters(
    any_client: httpx.Client, any_store: Store, name: str
) -> None:
    alphabet = ALPHABETS[name]
    bundle = any_store.open(name)
    assert bundle.manifest.onnx
    sequence = alphabet[-1] + alphabet[:2]
    answer = any_client.post("/next-letter", json={"sequence": sequence, "model": name, "top_k": 200}).json()
    expected = predict(bundle, sequence)
    expected = expected if len(expected) > 1 else [1 - expected[0], expected[0]]
    served = {entry["letter"]: entry["probability"] for entry in answer["top"]}
    assert len(answer["top"]) == len(alphabet)  # although more are asked for
    assert [served[character] for character in alphabet] == pytest.approx(expected, abs=1e-6)
    assert list(served.values()) == sorted(served.values(), reverse=True)
    assert answer["next_letter"] == alphabet[int(np.argmax(expected))]
    assert answer["model"] == name


def test_case_and_form_are_those_of_the_codec(any_client: httpx.Client) -> None:
    asked = [{"sequence": sequence, "model": "greek"} for sequence in ("αβ", "ΑΒ")]
    answers = [any_client.post("/next-letter", json=each).content for each in asked]
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("sequence", "character", "message"),
    [
        ("αAβ", "A", "'A' (U+0041) at position 1 (the first is 0) is not in the alphabet of this model; send "),
        ("α" * 7, "α", "the sequence has 7 characters, this model reads at most 6; 'α' at position 6"),
        ("", None, "the sequence is empty; send 1 to 6 characters of 'αβγδε -ς'"),
    ],
)
def test_a_character_outside_the_alphabet_is_refused_with_its_place(
    any_client: httpx.Client, sequence: str, character: str | None, message: str
) -> None:
    response = any_client.post("/next-letter/batch", json={"sequences": ["α", sequence], "model": "greek"})
    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert (error["type"], error["loc"]) == ("letters", ["body", "sequences", 1])
    assert error.get("input") == character
    assert error["msg"].startswith(message)


@pytest.mark.parametrize("name", ALPHABETS)
def test_the_inference_protocol_answers_with_any_alphabet(
    any_client: httpx.Client, any_store: Store, name: str
) -> None:
    alphabet = ALPHABETS[name]
    path = f"/v2/models/{name}"
    tensor = {"name": "sequence", "shape": [1], "datatype": "BYTES", "data": [alphabet[:2]]}
    outputs = any_client.post(f"{path}/infer", json={"inputs": [tensor]}).json()["outputs"]
    found = {output["name"]: output for output in outputs}
    expected = predict(any_store.open(name), alphabet[:2])
    assert found["probabilities"]["data"] == pytest.approx(expected, abs=1e-6)
    shapes = {output["name"]: output["shape"] for output in any_client.get(path).json()["outputs"]}
    assert shapes["probabilities"] == [-1, len(expected)] and found["probabilities"]["shape"] == [1, len(expected)]
    single = any_client.post("/next-letter", json={"sequence": alphabet[:2], "model": name}).json()
    assert found["label"]["data"] == [single["next_letter"]]


def test_the_alphabets_of_the_models_are_listed(any_client: httpx.Client) -> None:
    listed = any_client.get("/models").json()["models"]
    assert {model["name"]: model["alphabet"] for model in listed} == ALPHABETS
    described = any_client.get("/models/greek").json()
    assert described["labels"] == list(GREEK)
    assert (
        described["preprocessing"] | {"alphabet": GREEK, "kind": "symbols", "fold_case": True, "length": 6}
        == (described["preprocessing"])
    )


def test_a_model_of_another_task_has_no_alphabet(client: httpx.Client) -> None:
    alphabets = {model["name"]: model["alphabet"] for model in client.get("/models").json()["models"]}
    assert alphabets["next-letter"] == ALPHABET
    assert alphabets["sentiment"] is None
