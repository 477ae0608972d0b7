import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle.letters import ALPHABET, LetterCodec
from bundle.store import Bundle, Store
from tests.conftest import predict_with_keras


def predict(bundle: Bundle, sequence: str) -> list[float]:
    """Answer as Keras does, outside the service."""
    assert isinstance(bundle.codec, LetterCodec)
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
