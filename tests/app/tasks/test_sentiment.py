import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.http.routes.prediction import OTHER_VALUES
from app.settings import Settings
from app.tasks.sentiment import Sentiment, SentimentAnswer
from bundle.reviews import ReviewCodec
from bundle.store import Bundle, Store
from tests.conftest import predict_with_keras

TEXTS = ["A wonderful film.", "An awful, boring film!", "film", "film " * 500, "film <br />", "tender"]


def predict(bundle: Bundle, text: str) -> float:
    """Answer as Keras does, outside the service."""
    assert isinstance(bundle.codec, ReviewCodec)
    return float(predict_with_keras(bundle, [bundle.codec.encode(text).ids])[0, 0])


@pytest.mark.parametrize("name", ["sentiment", "imdb-500"])
@pytest.mark.parametrize("text", TEXTS)
def test_answers_what_keras_predicts(exact_client: httpx.Client, small_store: Store, name: str, text: str) -> None:
    answer = exact_client.post("/sentiment", json={"text": text, "model": name}).json()
    assert answer["probability_positive"] == pytest.approx(predict(small_store.open(name), text), abs=1e-6)
    assert answer["sentiment"] == ("positive" if answer["probability_positive"] >= 0.5 else "negative")
    assert (answer["model"], answer["version"]) == (name, 1)


@pytest.mark.parametrize("name", ["sentiment", "imdb-500"])
def test_every_engine_answers_as_its_form_does(client: httpx.Client, small_store: Store, name: str) -> None:
    bundle = small_store.open(name)
    answers = client.post("/sentiment/batch", json={"texts": TEXTS, "model": name}).json()["answers"]
    onnx = bundle.manifest.onnx
    assert onnx
    most = max(1e-6, 4 * onnx.forms[onnx.default].difference)
    for text, answer in zip(TEXTS, answers, strict=True):
        assert answer["probability_positive"] == pytest.approx(predict(bundle, text), abs=most)


def test_the_default_model_is_sentiment(client: httpx.Client) -> None:
    assert client.post("/sentiment", json={"text": "good"}).json()["model"] == "sentiment"


@pytest.mark.parametrize(
    ("text", "used", "cut"), [("", 0, 0), ("one two", 2, 0), ("w " * 40, 40, 0), ("w " * 43, 40, 3)]
)
def test_says_how_many_words_were_used_and_cut(client: httpx.Client, text: str, used: int, cut: int) -> None:
    answer = client.post("/sentiment", json={"text": text}).json()
    assert (answer["words_used"], answer["words_cut"]) == (used, cut)


@pytest.mark.parametrize("name", ["sentiment", "imdb-500"])
@pytest.mark.parametrize("count", [1, 7, 33])
def test_a_batch_is_answered_to_the_byte_as_one_by_one_in_order(client: httpx.Client, name: str, count: int) -> None:
    texts = [f"{TEXTS[index % 2]} {'film ' * index}" for index in range(count)]
    batch = client.post("/sentiment/batch", json={"texts": texts, "model": name})
    alone = [client.post("/sentiment", json={"text": text, "model": name}).content for text in texts]
    assert batch.content == b'{"answers":[' + b",".join(alone) + b"]}"


@pytest.mark.parametrize("name", ["sentiment", "imdb-500"])
@pytest.mark.parametrize(
    "text", ["", " \n", "<br />", "!!!", ":)", "\N{GRINNING FACE}", "\u2605" * 5, "\u8fd9\u90e8\u7535\u5f71"]
)
def test_a_text_without_a_known_word_has_no_verdict(client: httpx.Client, name: str, text: str) -> None:
    if text == "<br />" and name == "imdb-500":
        pytest.skip("in the Keras coding, markup is text")
    answer = client.post("/sentiment", json={"text": text, "model": name}).json()
    batch = client.post("/sentiment/batch", json={"texts": ["film", text], "model": name}).json()["answers"]
    assert (answer["sentiment"], answer["probability_positive"]) == (None, None)
    assert batch[1] == answer
    assert batch[0]["sentiment"] in ("positive", "negative")


@pytest.mark.parametrize(
    ("text", "unknown"), [("film", 0), ("film xqzj", 1), ("xqzj xqzj \u8fd9", 3), ("", 0)], ids=["0", "1", "3", "empty"]
)
def test_says_how_many_words_are_unknown(client: httpx.Client, text: str, unknown: int) -> None:
    assert client.post("/sentiment", json={"text": text}).json()["words_unknown"] == unknown


def test_an_answer_below_the_least_confidence_is_uncertain(client: httpx.Client) -> None:
    text = "A wonderful film."
    plain = client.post("/sentiment", json={"text": text}).json()
    confidence = max(plain["probability_positive"], 1 - plain["probability_positive"])
    for least in (0.5, confidence - 1e-4, confidence + 1e-4):
        answer = client.post("/sentiment", json={"text": text, "min_confidence": least}).json()
        expected = "uncertain" if least > confidence else plain["sentiment"]
        assert answer == plain | {"sentiment": expected}
        batch = client.post("/sentiment/batch", json={"texts": [text], "min_confidence": least}).json()
        assert batch["answers"] == [answer]


@pytest.mark.parametrize("least", [0.49, 1, "high", "0.9", True])
def test_a_least_confidence_that_means_nothing_is_rejected(client: httpx.Client, least: object) -> None:
    response = client.post("/sentiment", json={"text": "good", "min_confidence": least})
    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"] == ["body", "min_confidence"]


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


def test_a_body_of_very_many_fields_is_refused_in_a_line(client: httpx.Client, settings: Settings) -> None:
    response = client.post("/sentiment", json={"text": "good"} | {f"field{number}": 1 for number in range(500)})
    assert response.status_code == 422
    limit = settings.max_batch + OTHER_VALUES
    assert f"the body has more than {limit} values, which is the limit" in response.json()["detail"]
    assert len(response.json()["errors"]) == 1


def test_versions_are_compared_by_their_sentiment() -> None:
    facts = {"words_used": 1, "words_unknown": 0, "words_cut": 0, "model": "sentiment", "version": 1}
    answers = [SentimentAnswer(sentiment=label, probability_positive=0.9, **facts) for label in ("positive", None)]
    assert [Sentiment().label(answer) for answer in answers] == ["positive", None]
