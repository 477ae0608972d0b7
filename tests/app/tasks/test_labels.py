"""Models with labels of their own, on a real server with each engine."""

import json
import math
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families as parse

from app.http.tensors import JSON_SIZE_HEADER
from app.runtime.changes import Changes
from app.settings import Settings
from app.tasks.base import Encoded
from app.tasks.sentiment import Sentiment, SentimentRequest, SeveralLabelsAnswer
from bundle.reviews import ReviewCodec
from bundle.store import Bundle, Store
from tests.bundle.samples import publish_changed
from tests.conftest import SECONDS, predict_with_keras, serve
from tests.labelled import THREE, TWO, make_texts, publish_labelled

TEXTS = ["A wonderful film.", "lazy boring", *make_texts(8, seed=5)]
UNREADABLE = "\u8fd9\u90e8!"
FACTS = {"words_used": 3, "words_unknown": 0, "words_cut": 0, "model": "feedback", "version": 1}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with a model of three labels and one of two, neither with the name of the task."""
    store = Store(tmp_path_factory.mktemp("labelled"))
    publish_labelled(store, "feedback", THREE)
    publish_labelled(store, "mail", TWO)
    return store


@pytest.fixture(scope="module", params=get_args(Settings.model_fields["engine"].annotation))
def client(request: pytest.FixtureRequest, store: Store) -> Iterator[httpx.Client]:
    """A client of a service of the exact forms, on each of the engines in turn; three labels are the default."""
    defaults = {"sentiment": "feedback"}
    with serve(
        Settings(models=store.root, engine=request.param, precision="float32", default_models=defaults)
    ) as client:
        yield client


def predict(bundle: Bundle, text: str) -> NDArray[np.float32]:
    """Answer as Keras does, outside the service."""
    assert isinstance(bundle.codec, ReviewCodec)
    outputs: NDArray[np.float32] = predict_with_keras(bundle, [bundle.codec.encode(text).ids])[0]
    return outputs


def ask(client: httpx.Client, text: str, **fields: object) -> dict[str, Any]:
    response = client.post("/sentiment", json={"text": text, **fields})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


@pytest.mark.parametrize("text", TEXTS)
def test_of_several_labels_the_likeliest_is_answered_with_all_probabilities(
    client: httpx.Client, store: Store, text: str
) -> None:
    answer = ask(client, text)
    expected = predict(store.open("feedback"), text)
    assert [*answer] == ["sentiment", "probability", "probabilities", *FACTS]
    assert [*answer["probabilities"]] == [*THREE]
    assert [*answer["probabilities"].values()] == pytest.approx(expected, abs=1e-6)
    assert answer["sentiment"] == THREE[expected.argmax()]
    assert answer["probability"] == answer["probabilities"][answer["sentiment"]]
    assert (answer["model"], answer["version"]) == ("feedback", 1)


@pytest.mark.parametrize("name", ["feedback", "mail"])
@pytest.mark.parametrize("text", [*TEXTS[:2], UNREADABLE])
def test_an_explanation_is_of_the_second_of_two_labels_and_of_the_likeliest_of_more(
    client: httpx.Client, name: str, text: str
) -> None:
    explained = client.post("/sentiment/explain", json={"text": text, "model": name, "min_confidence": 0.5}).json()
    answer = ask(client, text, model=name, min_confidence=0.5)
    assert [*explained] == [*answer, "logit", "logit_of_nothing", "evaluations", "tokens"]
    assert answer.items() <= explained.items()
    probability = answer["probability" if name == "feedback" else "probability_positive"]
    if probability is not None:
        assert explained["logit"] == pytest.approx(math.log(probability / (1 - probability)), abs=1e-4)
    added = math.fsum([explained["logit_of_nothing"], *(token["contribution"] for token in explained["tokens"])])
    assert added == pytest.approx(explained["logit"], abs=1e-6)


@pytest.mark.parametrize("text", TEXTS)
def test_two_labels_of_other_names_are_answered_in_the_shape_of_negative_and_positive(
    client: httpx.Client, store: Store, text: str
) -> None:
    answer = ask(client, text, model="mail")
    (spam,) = predict(store.open("mail"), text)
    assert [*answer] == ["sentiment", "probability_positive", *FACTS]
    assert answer["probability_positive"] == pytest.approx(spam, abs=1e-6)
    assert answer["sentiment"] == TWO[int(spam >= 0.5)]


def test_texts_get_different_labels(client: httpx.Client) -> None:
    answers = client.post("/sentiment/batch", json={"texts": TEXTS}).json()["answers"]
    assert len({answer["sentiment"] for answer in answers}) >= 2


@pytest.mark.parametrize("name", ["feedback", "mail"])
def test_a_batch_is_answered_to_the_byte_as_one_by_one(client: httpx.Client, name: str) -> None:
    batch = client.post("/sentiment/batch", json={"texts": [*TEXTS, UNREADABLE], "model": name})
    alone = [client.post("/sentiment", json={"text": t, "model": name}).content for t in [*TEXTS, UNREADABLE]]
    assert batch.content == b'{"answers":[' + b",".join(alone) + b"]}"


def test_a_text_without_a_known_word_has_no_verdict(client: httpx.Client) -> None:
    answer = ask(client, UNREADABLE, min_confidence=0.9)
    assert [answer[field] for field in ("sentiment", "probability", "probabilities")] == [None, None, None]


def test_an_answer_below_the_least_confidence_is_uncertain(client: httpx.Client) -> None:
    plain = ask(client, TEXTS[0])
    for least in (plain["probability"] - 1e-4, plain["probability"] + 1e-4):
        expected = "uncertain" if least > plain["probability"] else plain["sentiment"]
        assert ask(client, TEXTS[0], min_confidence=least) == plain | {"sentiment": expected}


def test_the_least_confidence_of_several_labels_may_be_as_low_as_that_of_equal_ones(client: httpx.Client) -> None:
    statuses = [
        client.post("/sentiment", json={"text": "film", "min_confidence": least, "model": name}).status_code
        for name, least in (("feedback", 0.34), ("feedback", 0.33), ("mail", 0.5), ("mail", 0.49))
    ]
    assert statuses == [200, 422, 200, 422]


@pytest.mark.parametrize("is_binary", [False, True])
@pytest.mark.parametrize(("name", "labels"), [("feedback", THREE), ("mail", TWO)])
def test_the_protocol_answers_with_every_label(
    client: httpx.Client, name: str, labels: tuple[str, ...], is_binary: bool
) -> None:
    texts = [TEXTS[0], TEXTS[1], UNREADABLE]
    tensor = {"name": "text", "shape": [3], "datatype": "BYTES", "data": texts}
    body = {"inputs": [tensor], "parameters": {"binary_data_output": is_binary}}
    response = client.post(f"/v2/models/{name}/infer", json=body)
    size = int(response.headers.get(JSON_SIZE_HEADER, len(response.content)))
    outputs = {output["name"]: output for output in json.loads(response.content[:size])["outputs"]}
    width = 1 if len(labels) == 2 else len(labels)
    assert outputs["probabilities"]["shape"] == [3, width]
    if is_binary:
        length = outputs["probabilities"]["parameters"]["binary_data_size"]
        found = np.frombuffer(response.content[size : size + length], "<f4").reshape(3, width)
        found_labels = [label.encode() in response.content[size + length :] for label in labels]
        assert any(found_labels)
    else:
        found = np.array(outputs["probabilities"]["data"], np.float32).reshape(3, width)
        answers = [ask(client, text, model=name) for text in texts]
        assert outputs["label"]["data"] == [answer["sentiment"] or "" for answer in answers]
    for row, text in zip(found, texts, strict=True):
        answer = ask(client, text, model=name)
        if text == UNREADABLE:
            assert row == pytest.approx([1 / len(labels)] * width)
        elif width == 1:
            assert row[0] == np.float32(answer["probability_positive"])
        else:
            assert row.tolist() == np.array([*answer["probabilities"].values()], np.float32).tolist()


def test_the_metadata_of_a_model_have_the_size_of_its_outputs(client: httpx.Client) -> None:
    shapes = [
        {output["name"]: output["shape"] for output in client.get(f"/v2/models/{name}").json()["outputs"]}
        for name in ("feedback", "mail")
    ]
    assert [shape["probabilities"] for shape in shapes] == [[-1, 3], [-1, 1]]
    config = client.get("/v2/models/feedback/config").json()["output"]
    assert config[0] == {"name": "probabilities", "data_type": "TYPE_FP32", "dims": [-1, 3]}
    assert client.get("/models/feedback").json()["labels"] == [*THREE]


def test_the_default_of_several_models_is_the_one_of_the_settings(client: httpx.Client) -> None:
    models = {model["name"]: model["default"] for model in client.get("/models").json()["models"]}
    assert models == {"feedback": True, "mail": False}
    assert client.get("/readyz").status_code == 200


def read_samples(client: httpx.Client, metric: str, **labels: str) -> dict[str, float]:
    """Return the samples of a metric with these labels, by the bound of their bucket."""
    return {
        sample.labels.get("le", ""): sample.value
        for family in parse(client.get("/metrics").text)
        for sample in family.samples
        if sample.name == metric and labels.items() <= sample.labels.items()
    }


def test_the_probability_of_the_likeliest_label_is_counted_and_has_a_reference(client: httpx.Client) -> None:
    of_model = {"model": "feedback", "version": "1"}
    before = read_samples(client, "lstm_serve_answer_probability_bucket", **of_model)
    probability = ask(client, TEXTS[0])["probability"]
    ask(client, UNREADABLE)
    end = time.monotonic() + SECONDS
    while (after := read_samples(client, "lstm_serve_answer_probability_bucket", **of_model)) == before:
        assert time.monotonic() < end
    for bound, count in after.items():
        assert count - before.get(bound, 0) == (float(bound) >= probability)
    shares = read_samples(client, "lstm_serve_reference_share", measure="probability", **of_model)
    assert sum(shares.values()) == pytest.approx(1)
    assert sum(share for bound, share in shares.items() if float(bound) <= 0.3) == 0  # the likeliest of three


def test_the_form_of_8_bits_serves_several_labels(store: Store) -> None:
    bundle = store.open("feedback")
    onnx = bundle.manifest.onnx
    assert onnx and onnx.default == "int8"
    with serve(Settings(models=store.root)) as client:
        answer = ask(client, TEXTS[0], model="feedback")
    most = 4 * onnx.forms["int8"].difference
    assert [*answer["probabilities"].values()] == pytest.approx(predict(bundle, TEXTS[0]), abs=most)


def test_a_candidate_with_several_labels_is_compared_by_its_label(store: Store, tmp_path: Path) -> None:
    shutil.copytree(store.root / "feedback", tmp_path / "feedback")
    copy = Store(tmp_path)
    publish_changed(copy, copy.open("feedback"))
    changes = Changes(copy, Settings())
    changes.set_label("feedback", "stable", 1)
    changes.set_label("feedback", "candidate", 2)
    changes.set_shadow_share("feedback", 1)
    with serve(Settings(models=tmp_path)) as client:
        before = read_samples(client, "lstm_serve_shadow_inputs_total", model="feedback", result="agrees").get("", 0)
        client.post("/sentiment/batch", json={"texts": TEXTS})
        end = time.monotonic() + SECONDS
        while read_samples(client, "lstm_serve_shadow_inputs_total", model="feedback", result="agrees").get(
            "", 0
        ) != before + len(TEXTS):
            assert time.monotonic() < end


def test_the_first_of_equally_likely_labels_is_answered(store: Store) -> None:
    bundle = store.open("feedback")
    encoded = Encoded(np.array([4], np.int32), {"words_used": 1, "words_unknown": 0, "words_cut": 0}, 1)
    output = np.array([0.2, 0.4, 0.4], np.float32)
    answer = Sentiment().answer(bundle.manifest, output, encoded, SentimentRequest(text="film"))
    assert answer.sentiment == THREE[1]


def test_versions_of_several_labels_are_compared_by_their_sentiment() -> None:
    answer = SeveralLabelsAnswer(sentiment="so-so", probability=0.5, probabilities={"so-so": 0.5, "good": 0.5}, **FACTS)
    assert Sentiment().label(answer) == "so-so"
