import asyncio
from collections.abc import Iterable

import httpx
import keras
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import predictors
from app.predictors import SentimentPredictor
from bundle.reviews import EncodedReview, ReviewCodec
from bundle.store import Bundle, Store

TEXTS = ["A wonderful film.", "An awful, boring film!", "", "film " * 500, "<br />", "tender"]


def predict(bundle: Bundle, text: str) -> float:
    """Answer as Keras does, outside the service."""
    assert isinstance(bundle.codec, ReviewCodec)
    network = keras.saving.load_model(bundle.model_path)
    return float(network.predict(bundle.codec.pad([bundle.codec.encode(text).ids]), verbose=0)[0, 0])


@pytest.mark.parametrize("name", ["sentiment", "imdb-500"])
@pytest.mark.parametrize("text", TEXTS)
def test_answers_what_keras_predicts(client: httpx.Client, small_store: Store, name: str, text: str) -> None:
    answer = client.post("/sentiment", json={"text": text, "model": name}).json()
    assert answer["probability_positive"] == pytest.approx(predict(small_store.open(name), text), abs=1e-6)
    assert answer["sentiment"] == ("positive" if answer["probability_positive"] >= 0.5 else "negative")
    assert (answer["model"], answer["version"]) == (name, 1)


def test_the_default_model_is_sentiment(client: httpx.Client) -> None:
    assert client.post("/sentiment", json={"text": "good"}).json()["model"] == "sentiment"


@pytest.mark.parametrize(
    ("text", "used", "cut"), [("", 0, 0), ("one two", 2, 0), ("w " * 12, 12, 0), ("w " * 15, 12, 3)]
)
def test_says_how_many_words_were_used_and_cut(client: httpx.Client, text: str, used: int, cut: int) -> None:
    answer = client.post("/sentiment", json={"text": text}).json()
    assert (answer["words_used"], answer["words_cut"]) == (used, cut)


@pytest.mark.parametrize("count", [1, 7, 33])
def test_a_batch_is_answered_as_one_by_one_in_order(client: httpx.Client, count: int) -> None:
    texts = [f"{TEXTS[index % 2]} {'film ' * index}" for index in range(count)]
    batch = client.post("/sentiment/batch", json={"texts": texts}).json()["answers"]
    assert len(batch) == count
    for text, answer in zip(texts, batch, strict=True):
        alone = client.post("/sentiment", json={"text": text}).json()
        assert answer.pop("probability_positive") == pytest.approx(alone.pop("probability_positive"), abs=1e-6)
        assert answer == alone


def test_a_text_with_a_lone_surrogate_is_answered(client: httpx.Client) -> None:
    body = rb'{"text": "wonderful \ud800"}'
    response = client.post("/sentiment", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 200
    assert response.json()["words_used"] == 1


@settings(deadline=None)
@given(text=st.text(), model=st.none() | st.text())
def test_no_text_makes_the_service_fail(client: httpx.Client, text: str, model: str | None) -> None:
    request = {"text": text, "model": model}
    assert client.post("/sentiment", json=request).status_code in (200, 404, 422)
    assert client.post("/sentiment/batch", json={"texts": [text, ""]}).status_code == 200


def test_long_texts_are_tokenised_beside_the_event_loop(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"texts": TEXTS}
    inline = client.post("/sentiment/batch", json=texts).json()
    monkeypatch.setattr(predictors, "INLINE_CHARACTERS", 10)
    encode, threads = SentimentPredictor._encode, set()

    def spy(predictor: SentimentPredictor, texts: Iterable[str]) -> list[EncodedReview]:
        threads.add(asyncio._get_running_loop())
        return encode(predictor, texts)

    monkeypatch.setattr(SentimentPredictor, "_encode", spy)
    assert client.post("/sentiment/batch", json=texts).json() == inline
    assert threads == {None}  # a thread without an event loop
