"""Scoring by a running service: a real one, and small servers that answer as a busy or broken one does."""

import io
import json
import shutil
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from app.access.keys import add_client
from app.errors import ScoringError
from app.runtime.changes import Changes
from app.scoring.answers import Answer, Columns, Refused
from app.scoring.display import Display
from app.scoring.job import Job
from app.scoring.journal import Journal, State
from app.scoring.run import score
from app.scoring.scorer import Scorer
from app.scoring.service import ServiceScorer
from app.settings import Settings
from bundle.store import Store
from tables.formats import open_table
from tables.inputs import FileInput
from tests.app.scoring.conftest import MODELS, NAME, MakeScorer, make_rows, make_texts, read_table, write_table
from tests.conftest import SECONDS, serve

TEXTS = ["A tender, wonderful film.", "", "qwxz", "two dull hours " * 30]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of each task."""
    folder = tmp_path_factory.mktemp("models")
    for name in (NAME, "next-letter"):
        shutil.copytree(MODELS / name, folder / name)
    return folder


@contextmanager
def ask(models: Path, name: str | None = None, key: str | None = None, **settings: Any) -> Iterator[ServiceScorer]:
    """Serve the models, and give what scores by the service."""
    with serve(Settings(models=models, default_models={"sentiment": NAME}, **settings)) as client:
        with closing(ServiceScorer(f"{client.base_url}/", name, None, key)) as scorer:
            yield scorer


def list_values(scorer: Scorer, answers: Sequence[Answer | Refused]) -> list[object]:
    """Return what is written for each answer."""
    columns = Columns(scorer.model.task, scorer.model.labels)
    return [answer if isinstance(answer, Refused) else columns.list_values(answer) for answer in answers]


def test_answers_are_those_of_the_network_here(models: Path, make_scorer: MakeScorer) -> None:
    with ask(models, max_batch=16) as scorer:
        assert list_values(scorer, scorer.score(TEXTS)) == list_values(scorer, make_scorer().score(TEXTS))
        assert scorer.most_texts == 16
        assert scorer.model.task == "sentiment"
        assert scorer.model.labels == ("negative", "positive")
        assert scorer.model.identity["version"] == 3


def test_letters_are_continued_and_wrong_ones_refused(models: Path, make_scorer: MakeScorer) -> None:
    texts = ["XYZ", "A1", *["ABC"] * 9, "", *["1"] * 12]
    with ask(models, "next-letter") as scorer:
        answers = scorer.score(texts)
        assert list_values(scorer, answers) == list_values(scorer, make_scorer("next-letter").score(texts))
    assert sum(isinstance(answer, Refused) for answer in answers) == 14


def test_a_service_that_rejects_most_requests_answers_every_text_once(
    models: Path, tmp_path: Path, make_scorer: MakeScorer
) -> None:
    rows = make_rows(48)
    source = write_table(tmp_path / "my.csv", rows)
    settings = Settings(models=models, default_models={"sentiment": NAME}, max_batch=8, max_queue=8)
    with serve(settings) as client:
        url = str(client.base_url)
        job = Job(tmp_path / "out.csv", ("review",))
        score(open_table(FileInput(source)), job, lambda: ServiceScorer(url, None, None, None), Display(io.StringIO()))
        metrics = client.get("/metrics").text
    rejections = [line for line in metrics.splitlines() if line.startswith("lstm_serve_rejections_total{")]
    assert sum(float(line.rpartition(" ")[2]) for line in rejections) > 0
    score(open_table(FileInput(source)), Job(tmp_path / "here.csv", ("review",)), make_scorer, Display(io.StringIO()))
    assert read_table(tmp_path / "out.csv") == read_table(tmp_path / "here.csv")


def test_a_client_with_a_rate_waits_as_long_as_it_is_told(models: Path, tmp_path: Path) -> None:
    key = add_client(tmp_path / "keys.json", "files", ["predict"], requests_per_second=1, burst=3)
    with ask(models, key=key, keys=tmp_path / "keys.json") as scorer:
        assert [len(scorer.score(TEXTS)) for _ in range(2)] == [4, 4]


def test_without_its_key_a_service_is_not_asked(models: Path, tmp_path: Path) -> None:
    add_client(tmp_path / "keys.json", "files", ["predict"])
    with pytest.raises(
        ScoringError,
        match="does not answer: 401 key-missing: the request has no API key.*; set the variable LSTM_CLIENT_KEY",
    ):
        with ask(models, keys=tmp_path / "keys.json"):
            pass


def test_a_batch_with_too_many_bytes_is_split_and_a_text_with_too_many_refused(models: Path) -> None:
    texts = make_texts(20)
    with ask(models, max_body_bytes=800, max_text_characters=900) as scorer:
        answers = scorer.score([*texts, "word " * 170, "word " * 200, *texts])
    assert [place for place, answer in enumerate(answers) if isinstance(answer, Refused)] == [20, 21]
    assert "the body has" in str(answers[20]) and "1000 characters, the limit is 900" in str(answers[21])


def test_a_version_is_chosen_by_its_number_or_by_a_label(models: Path, tmp_path: Path) -> None:
    settings = Settings(models=models, policies=tmp_path, default_models={"sentiment": NAME})
    Changes(Store(models), settings).set_label(NAME, "old", 3)
    with serve(settings) as client:
        url = str(client.base_url)
        for version in (3, "old"):
            with closing(ServiceScorer(url, NAME, version, None)) as scorer:
                assert scorer.model.identity["version"] == 3
        with pytest.raises(ScoringError, match="there is no label 'new' of imdb-500 at http.*; labels: old"):
            ServiceScorer(url, NAME, "new", None)
        with pytest.raises(ScoringError, match="does not answer: 404 model-not-found: there is no version 4"):
            ServiceScorer(url, NAME, 4, None)
        with pytest.raises(ScoringError, match="does not answer: 404 model-not-found: there is no model 'a b'"):
            ServiceScorer(url, "a b", None, None)


def test_a_service_without_a_default_model_is_told(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "next-letter", tmp_path / "next-letter")
    with serve(Settings(models=tmp_path)) as client:
        with pytest.raises(
            ScoringError, match="has no default model of sentiment; name one of its models: next-letter"
        ):
            ServiceScorer(str(client.base_url), None, None, None)


@pytest.mark.parametrize("url", ["service", "ftp://service", "http://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ScoringError, match="is not the address of a service; write it as http://localhost:8000"):
        ServiceScorer(url, None, None, None)


def test_a_service_that_is_not_there_is_told_soon() -> None:
    with pytest.raises(
        ScoringError, match="no answer from http://127.0.0.1:1/models: nothing listens there; start the service"
    ):
        ServiceScorer("http://127.0.0.1:1", None, None, None)


DETAILS = {"name": "m", "version": 2, "task": "sentiment", "labels": ["negative", "positive"], "created": "now"}
LIMITS = {"max_batch": 4, "max_text_characters": 10, "max_body_bytes": 10_000}
ANSWER = {"sentiment": "positive", "probability_positive": 0.9, "words_used": 1, "words_unknown": 0, "words_cut": 0}
VALUES = ["positive", 0.9, 1, 0, 0]
Reply = tuple[int, dict[str, str], Any]


class Scripted(ThreadingHTTPServer):
    """Describes a model of two texts a batch, and answers its batches by a script and then well."""

    def __init__(self, script: Sequence[Reply | None]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script = list(script)
        self.asked: list[list[str]] = []

    def answer(self, path: str, body: dict[str, Any]) -> Reply | None:
        if path == "/v1/models/m":
            return 200, {}, DETAILS
        if path == "/v1/models":
            return 200, {}, {"models": [], "limits": LIMITS}
        assert path == "/v1/sentiment/batch" and (body["model"], body["version"]) == ("m", 2)
        self.asked.append(body["texts"])
        return self.script.pop(0) if self.script else (200, {}, {"answers": [ANSWER] * len(body["texts"])})


class _Handler(BaseHTTPRequestHandler):
    server: Scripted

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        reply = self.server.answer(self.path, json.loads(body or b"{}"))
        if reply is None:  # the connection breaks
            return
        status, headers, answer = reply
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.encode() if isinstance(answer, str) else json.dumps(answer).encode())

    do_POST = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


@contextmanager
def run_script(*script: Reply | None) -> Iterator[tuple[ServiceScorer, Scripted]]:
    with Scripted(script) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with closing(ServiceScorer(f"http://127.0.0.1:{server.server_port}/v1", "m", None, None)) as scorer:
                yield scorer, server
        finally:
            server.shutdown()
            thread.join(SECONDS)


@pytest.mark.parametrize(
    "reply",
    [
        (503, {"retry-after": "0"}, {"detail": "busy"}),
        (429, {"retry-after": "0"}, {"detail": "too many"}),
        (503, {}, "from a proxy"),
        (502, {}, "from a proxy"),
        None,
    ],
)
def test_a_request_that_may_succeed_later_is_sent_again(reply: Reply | None) -> None:
    with run_script(reply, reply) as (scorer, server):
        assert list_values(scorer, scorer.score(["a", "b"])) == [VALUES, VALUES]
    assert server.asked == [["a", "b"]] * 3


def test_what_does_not_get_done_in_time_is_asked_in_parts() -> None:
    with run_script((504, {}, {"detail": "the deadline passed"})) as (scorer, server):
        assert list_values(scorer, scorer.score(["a", "b", "c"])) == [VALUES] * 3
    assert server.asked == [["a", "b", "c"], ["a"], ["b", "c"]]


def refuse(status: int, **document: Any) -> Reply:
    return status, {"content-type": "application/problem+json"}, {"type": "about:blank", "title": "No", **document}


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (
            refuse(503, type="tag:lstm-serve,2026:model-refused", detail="m is refused"),
            "does not answer: 503 model-refused: m is refused; run the same command again",
        ),
        ((503, {"retry-after": "86400"}, "tomorrow"), "does not answer: 503 .*; run the same command again to go on"),
        (refuse(404, detail="version 2 is not loaded"), "does not answer: 404 No: version 2 is not loaded"),
        ((500, {}, "oh"), "does not answer: 500 Internal Server Error: .*without a problem document"),
        (refuse(422, detail="no", errors=[{"loc": ["body", "texts"], "msg": "no"}]), "422 No: body.texts: no"),
    ],
)
def test_what_will_not_succeed_soon_stops_the_run(reply: Reply, message: str) -> None:
    with run_script(reply) as (scorer, _), pytest.raises(ScoringError, match=message):
        scorer.score(["a"])


def test_texts_that_the_service_refuses_are_left_out_and_the_others_answered() -> None:
    errors = [{"loc": ["body", "texts", 1], "msg": "not this", "type": "x"}]
    with run_script(refuse(422, detail="no", errors=errors), refuse(413, detail="large")) as (scorer, server):
        assert list_values(scorer, scorer.score(["a", "b", "longer than ten", "c"])) == [
            VALUES,
            Refused("not this"),
            Refused("the text has 15 characters, the limit is 10; shorten it"),
            VALUES,
        ]
    assert server.asked == [["a", "b", "c"], ["a", "c"], ["a"], ["c"]]


def test_a_text_that_is_too_large_alone_is_refused() -> None:
    with run_script(*[refuse(413, detail="large")] * 3) as (scorer, server):
        assert list_values(scorer, scorer.score(["a", "b"])) == [Refused("large"), VALUES]
    assert server.asked == [["a", "b"], ["a"], ["a"], ["b"]]


def test_its_end_ends_the_waiting_and_nothing_is_asked_any_more() -> None:
    with run_script((503, {"retry-after": "60"}, {"detail": "busy"})) as (scorer, server), ThreadPoolExecutor() as pool:
        asked = pool.submit(scorer.score, ["a"])
        while not server.asked:
            pass
        scorer.close()
        scorer.close()
        for ended in (asked.result, lambda _: scorer.score(["a"])):
            with pytest.raises(ScoringError, match="the scoring has ended"):
                ended(SECONDS)
    assert server.asked == [["a"]]


def test_another_address_is_another_run(models: Path, tmp_path: Path) -> None:
    source = write_table(tmp_path / "my.csv", make_rows(3))
    job = Job(tmp_path / "out.csv", ("review",))
    with ask(models) as scorer:
        identity = {**scorer.model.identity}
    with ask(models) as scorer:
        Journal(tmp_path / "out.csv").write(State(identity=identity))
        with pytest.raises(ScoringError, match=r"address of the service \(before: http://127.*, now: http://127.*\), "):
            score(open_table(FileInput(source)), job, lambda: scorer, Display(io.StringIO()))
