"""Explanations, asked of real services: of small networks, and of an engine that adds what each word is worth."""

import math
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import permutations
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from app.access.keys import add_client
from app.engines.base import Engine
from app.http.app import create_app
from app.http.limits import DEADLINE_HEADER
from app.runtime.batcher import Batcher
from app.settings import Settings
from app.tasks.explanation import DEFAULT_BUDGET, LEAST_BUDGET, find_logits
from bundle.reviews import ReviewCodec
from bundle.rows import Row
from bundle.store import Bundle, Store
from tests.conftest import SECONDS, serve, serve_app

LONG = "A wonderful, tender film. I call it great! It is not boring, but it is lazy and poor. " * 2
TEXTS = ["", "film", "qqq", "A wonderful film.", "An awful, boring film! I call it poor.", LONG, "film. " * 30]
WORTH = {"wonderful": 2.0, "great": 1.0, "boring": -1.5}


def ask(client: httpx.Client, text: str, headers: dict[str, str] | None = None, **fields: object) -> dict[str, Any]:
    response = client.post("/sentiment/explain", json={"text": text, **fields}, headers=headers)
    assert response.status_code == 200, response.text
    explained: dict[str, Any] = response.json()
    return explained


def add_up(explained: dict[str, Any]) -> float:
    return math.fsum([explained["logit_of_nothing"], *(token["contribution"] for token in explained["tokens"])])


class AddingEngine:
    """Answers with the sum of what words are worth, whatever their order; a pair of words may be worth more."""

    batch_rows = 8

    def __init__(self) -> None:
        self.worth: dict[int, float] = {}
        self.together: tuple[int, int] = (-1, -1)
        self.seconds = 0.0  # for a row
        self.rows = 0  # so far
        self.stops_at = math.inf  # this many rows, until it is let through
        self.stopped = threading.Event()
        self.let_through = threading.Event()

    def count_steps(self, row: Row) -> int:
        return len(row)

    def run(self, rows: Sequence[Row]) -> NDArray[np.float32]:
        if self.rows >= self.stops_at:
            self.stopped.set()
            assert self.let_through.wait(SECONDS)
        self.rows += len(rows)
        time.sleep(self.seconds * len(rows))
        logits = [self._add([int(one) for one in row]) for row in rows]
        outputs: NDArray[np.float32] = (1 / (1 + np.exp(-np.array(logits)))).astype(np.float32)[:, np.newaxis]
        return outputs

    def _add(self, ids: list[int]) -> float:
        return sum(self.worth.get(one, 0) for one in ids) + (set(self.together) <= set(ids))


@pytest.fixture
def adding(small_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """A function that serves an engine that adds, with some settings."""
    engine = AddingEngine()

    def load(bundle: Bundle, _: Settings) -> Engine:
        codec = bundle.codec
        assert isinstance(codec, ReviewCodec)
        engine.worth = {codec.find_id(word): worth for word, worth in WORTH.items()}
        engine.together = (codec.find_id("great"), codec.find_id("film"))
        return engine

    monkeypatch.setattr("app.runtime.keeper.load_engine", load)
    shutil.copytree(small_store.root / "sentiment", tmp_path / "models" / "sentiment")

    @contextmanager
    def run(**settings: Any) -> Iterator[tuple[httpx.Client, AddingEngine, Batcher]]:
        settings = {"deadline_ms": 1000 * SECONDS, **settings}
        app = create_app(Settings(models=tmp_path / "models", ready_models=("sentiment",), **settings))
        with serve_app(app) as client:
            yield client, engine, app.state.repository.find("sentiment").batcher
            engine.let_through.set()

    return run


@pytest.mark.parametrize("precision", ["default", "float32"])
@pytest.mark.parametrize("name", ["sentiment", "imdb-500"])
def test_contributions_add_up_with_every_model_and_engine(
    services: Callable[..., httpx.Client], name: str, precision: str
) -> None:
    for engine in ("onnx", "tensorflow"):
        client = services(engine=engine, precision=precision)
        for text in TEXTS:
            explained = ask(client, text, model=name, budget=LEAST_BUDGET)
            assert add_up(explained) == pytest.approx(explained["logit"], abs=1e-6)
            assert explained["evaluations"] <= LEAST_BUDGET


@pytest.mark.parametrize("name", ["sentiment", "imdb-500"])
@pytest.mark.parametrize("text", TEXTS)
def test_the_answer_is_that_of_the_text(client: httpx.Client, name: str, text: str) -> None:
    explained = ask(client, text, model=name, budget=LEAST_BUDGET)
    answer = client.post("/sentiment", json={"text": text, "model": name}).json()
    assert answer.items() <= explained.items()
    probability = answer["probability_positive"]
    if probability is not None:
        assert explained["logit"] == pytest.approx(math.log(probability / (1 - probability)), abs=1e-4)
    nothing = ask(client, "", model=name)
    assert explained["logit_of_nothing"] == nothing["logit"] == nothing["logit_of_nothing"]
    assert nothing["tokens"] == []
    tokens = explained["tokens"]
    assert len(tokens) == answer["words_used"]
    assert sum(not token["is_known"] for token in tokens) == answer["words_unknown"]


def test_the_same_request_gets_the_same_answer(client: httpx.Client) -> None:
    one, *others = [ask(client, LONG, budget=300) for _ in range(3)]
    assert others == [one, one]


def test_places_are_those_in_the_text(client: httpx.Client) -> None:
    text = "\U0001f600 A film<br />qqq!"
    words = [text[token["start"] : token["end"]] for token in ask(client, text)["tokens"]]
    assert words[-4:] == ["A", "film", "qqq", "!"]


def test_a_token_ends_after_its_combining_marks(client: httpx.Client) -> None:
    text = "e\u0301te\u0301 was great"
    last = [text[token["start"] : token["end"]] for token in ask(client, text)["tokens"]]
    assert "".join(last) == text.replace(" ", "")


def test_words_that_are_cut_are_counted_and_come_before_the_first_token(client: httpx.Client) -> None:
    text = "awful " * 5 + "film " * 40
    explained = ask(client, text)
    assert explained["words_cut"] == 5
    assert [token["start"] for token in explained["tokens"]] == [30 + 5 * number for number in range(40)]


def test_the_last_words_of_a_very_long_text_are_explained(client: httpx.Client) -> None:
    text = "film " * 999
    explained = ask(client, text, budget=LEAST_BUDGET)
    assert explained["tokens"][-1]["start"] == 998 * 5
    assert explained["words_cut"] == 999 - len(explained["tokens"])


def test_a_word_left_out_is_as_if_it_had_not_been_written(exact_client: httpx.Client) -> None:
    explained = ask(exact_client, "wonderful film")
    logits = {text: ask(exact_client, text)["logit"] for text in ("", "wonderful", "film", "wonderful film")}
    first = (logits["wonderful"] - logits[""] + logits["wonderful film"] - logits["film"]) / 2
    assert explained["tokens"][0]["contribution"] == pytest.approx(first, abs=1e-9)


def test_a_few_words_get_the_means_over_all_orders(exact_client: httpx.Client) -> None:
    words = ["wonderful", "film", "boring", "tender"]
    logits: dict[tuple[str, ...], float] = {}

    def find(some: set[str]) -> float:
        kept = tuple(word for word in words if word in some)
        if kept not in logits:
            logits[kept] = ask(exact_client, " ".join(kept))["logit"]
        return logits[kept]

    expected = dict.fromkeys(words, 0.0)
    for order in permutations(words):
        for place, word in enumerate(order):
            expected[word] += (find({*order[: place + 1]}) - find({*order[:place]})) / 24
    tokens = ask(exact_client, " ".join(words))["tokens"]
    assert [token["contribution"] for token in tokens] == pytest.approx(list(expected.values()), abs=1e-9)
    assert {token["standard_error"] for token in tokens} == {0}


def test_words_are_worth_what_they_add(adding: Callable[..., Any]) -> None:
    text = "wonderful film. boring film. great qqq qqq film wonderful boring zzz"
    with adding() as (client, _, _):
        tokens = ask(client, text, budget=4096)["tokens"]
        short = ask(client, "great film qqq film")["tokens"]
    found: dict[str, list[float]] = {}
    for token in tokens:
        found.setdefault(text[token["start"] : token["end"]], []).append(token["contribution"])
        word, error = text[token["start"] : token["end"]], token["standard_error"]
        if word not in ("great", "film"):
            assert abs(token["contribution"] - WORTH.get(word, 0)) < 4 * error + 1e-5  # float32
            assert error < 0.02
    assert found["qqq"] == pytest.approx([0, 0], abs=0.05)
    # "great" with any of the three "film" is worth 1 more: the share of the one is three times those of all others.
    assert found["great"][0] == pytest.approx(1.75, abs=0.15)
    assert sum(found["film"]) == pytest.approx(0.25, abs=0.15)
    assert [token["contribution"] for token in short] == pytest.approx([1 + 2 / 3, 1 / 6, 0, 1 / 6], abs=1e-5)


def test_the_words_of_a_long_text_without_use_share_what_their_sentence_does(adding: Callable[..., Any]) -> None:
    text = "boring. " + "wonderful zzz zzz zzz. " + "zzz zzz zzz. " * 6
    with adding() as (client, _, _):
        tokens = ask(client, text, budget=LEAST_BUDGET)["tokens"]
    whole = [token for token in tokens if token["standard_error"] is None]
    assert whole and len(whole) < len(tokens)
    assert sum(token["contribution"] for token in tokens) == pytest.approx(0.5, abs=1e-5)


def test_a_deadline_makes_fewer_orders(adding: Callable[..., Any]) -> None:
    text = "film " * 40
    with adding() as (client, engine, _):
        engine.seconds = 0.005
        begun = time.monotonic()
        explained = ask(client, text, {DEADLINE_HEADER: "3000"})
        assert time.monotonic() - begun < 3
        assert 150 < explained["evaluations"] < DEFAULT_BUDGET / 1.3
        assert add_up(explained) == pytest.approx(explained["logit"], abs=1e-6)
        late = client.post("/sentiment/explain", json={"text": text}, headers={DEADLINE_HEADER: "300"})
        assert late.status_code == 504 and late.json()["type"].endswith(":deadline")


@pytest.mark.parametrize("words", [8, 40])
def test_a_short_deadline_has_an_answer_if_one_pair_of_orders_fits(adding: Callable[..., Any], words: int) -> None:
    text = "great " + "film " * (words - 1)
    with adding() as (client, engine, _):
        engine.seconds = 1.2 / (2 * words)
        explained = ask(client, text, {DEADLINE_HEADER: "2300"})
        assert explained["evaluations"] == 2 * words  # the text, no words, and one pair of orders
        assert add_up(explained) == pytest.approx(explained["logit"], abs=1e-6)
        assert {token["standard_error"] for token in explained["tokens"]} == {None}
        late = client.post("/sentiment/explain", json={"text": text}, headers={DEADLINE_HEADER: "700"})
        assert late.status_code == 504


def test_an_explanation_does_not_hold_up_a_single_request(adding: Callable[..., Any]) -> None:
    with adding() as (client, engine, _), ThreadPoolExecutor() as threads:
        engine.seconds = 0.001
        explaining = threads.submit(ask, client, "film " * 40)
        while engine.rows < 50:
            assert not explaining.done()
        for _ in range(5):
            before = engine.rows
            assert client.post("/sentiment", json={"text": "great"}).status_code == 200
            assert engine.rows - before <= 64
        assert not explaining.done()
        assert explaining.result()["evaluations"] > 900


def test_an_explanation_gives_way_to_others_when_the_queue_is_full(adding: Callable[..., Any]) -> None:
    with adding(workers=1, max_batch=16, max_queue=18) as (client, engine, batcher), ThreadPoolExecutor() as threads:
        engine.seconds = 0.003  # so that one process runs its batches in a thread
        text = "film " * 20
        whole = ask(client, text, budget=400)["evaluations"]
        engine.stops_at = engine.rows + 33  # 6 rows are left, the last that it needs
        explaining = threads.submit(ask, client, text, budget=400)
        assert engine.stopped.wait(SECONDS)
        others = [
            threads.submit(client.post, "/sentiment/batch", json={"texts": ["great"] * texts}) for texts in (8, 2)
        ]
        while batcher.waiting < 8 + 2:  # the 6 rows are fewer
            assert not explaining.done()
        engine.let_through.set()
        explained = explaining.result()
        assert [other.result().status_code for other in others] == [200, 200]
    assert explained["evaluations"] < whole
    assert add_up(explained) == pytest.approx(explained["logit"], abs=1e-6)


def test_each_text_that_is_judged_counts_against_a_quota(small_store: Store, tmp_path: Path) -> None:
    key = add_client(tmp_path / "keys.json", "web", ["predict"], texts_per_day=400)
    text = " ".join(["film"] * 30)
    with serve(Settings(models=small_store.root, keys=tmp_path / "keys.json")) as client:
        headers = {"x-api-key": key}
        body = {"text": text, "budget": 300}
        first = client.post("/sentiment/explain", json=body, headers=headers)
        used = first.json()["evaluations"]
        assert 238 < used <= 300
        assert first.headers["ratelimit"].startswith(f'"day";r={400 - used};t=')
        # One pair of orders is within the rest of the quota, and then none is.
        last = client.post("/sentiment/explain", json=body, headers=headers).json()
        assert last["evaluations"] == 60
        assert {token["standard_error"] for token in last["tokens"]} == {None}
        refused = client.post("/sentiment/explain", json=body, headers=headers)
        assert refused.status_code == 429
        assert client.post("/sentiment/explain", json=body).status_code == 401


@pytest.mark.parametrize(
    ("outputs", "label", "logit"),
    [
        ([[0.5]], 0, 0),
        ([[0.75]], 0, math.log(3)),
        ([[1.0]], 0, 17.3287),
        ([[0.0]], 0, -17.3287),
        ([[0.2, 0.6, 0.2]], 1, math.log(1.5)),
    ],
)
def test_a_logit_is_the_logarithm_of_the_odds_against_all_other_labels(
    outputs: list[list[float]], label: int, logit: float
) -> None:
    assert find_logits(np.array(outputs, np.float32), label)[0] == pytest.approx(logit, abs=1e-4)
