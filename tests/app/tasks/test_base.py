"""What all tasks share, shown by a task that only these tests register."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from pydantic import BaseModel

from app.engines.onnx import OnnxEngine
from app.errors import DeadlineError, FieldProblem, InvalidInputError, Location
from app.runtime.batcher import Batcher
from app.runtime.pace import LoopTime
from app.runtime.queue import Output
from app.runtime.versions import Model
from app.settings import Settings
from app.tasks import SERVED
from app.tasks.base import SLICE_SECONDS, Encoded, Form, PredictionRequest, ServedTask
from app.telemetry.metrics import ModelMetrics
from app.telemetry.traces import Parts, begin_parts
from bundle.errors import InputError
from bundle.manifest import Manifest, Onnx, OnnxForm
from bundle.store import MODEL_FILE, Bundle, Store
from bundle.tasks import TASKS
from tests.bundle.samples import LETTERS
from tests.bundle.test_tasks import PARITY, DigitCodec
from tests.conftest import SECONDS, serve


class ParityRequest(PredictionRequest):
    digits: str


class ParityBatchRequest(PredictionRequest):
    several: list[str]


class ParityAnswer(BaseModel):
    odd: float
    digits: int


class ParityBatchAnswer(BaseModel):
    answers: list[ParityAnswer]


_PROBLEM = FieldProblem(type="input", loc=["body", "digits"], msg="'x' is not a digit")


class Parity(ServedTask):
    """Says whether the sum of digits is odd."""

    task = PARITY
    single = Form("/parity", "digits", ParityRequest, ParityAnswer, "Judge digits", "Answer whether.", _PROBLEM)
    batch = Form("/parity/batch", "several", ParityBatchRequest, ParityBatchAnswer, "Judge", "Answer all.", _PROBLEM)

    def __init__(self) -> None:
        self.encoded = 0
        self.seconds = 0.0

    def encode(self, _: Bundle, text: str) -> Encoded:
        self.encoded += 1
        time.sleep(self.seconds)
        if not text.isdigit():
            raise InputError(f"{text!r} is not digits")
        return Encoded(np.array([*map(int, text)], np.float32), {"digits": len(text)}, len(text))

    def answer(self, _: Manifest, output: Output, encoded: Encoded, request: Any) -> ParityAnswer:  # noqa: ARG002
        return ParityAnswer(odd=float(output[0]), **encoded.facts)

    def label(self, answer: ParityAnswer) -> str:
        return str(answer.odd)


def make_network() -> bytes:
    """Return a network that answers 1 if the sum of the steps of a row is odd, and else 0."""
    inputs = [
        helper.make_tensor_value_info("digits", TensorProto.FLOAT, ["rows", "steps"]),
        helper.make_tensor_value_info("lengths", TensorProto.INT32, ["rows"]),
    ]
    outputs = [helper.make_tensor_value_info("odd", TensorProto.FLOAT, ["rows", 1])]
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    two = helper.make_tensor("two", TensorProto.FLOAT, [], [2])
    nodes = [
        helper.make_node("ReduceSum", ["digits", "axes"], ["sum"], keepdims=1),
        helper.make_node("Mod", ["sum", "two"], ["odd"], fmod=1),
    ]
    graph = helper.make_graph(nodes, "parity", inputs, outputs, [axes, two])
    model: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=onnx.IR_VERSION_2024_3_25
    ).SerializeToString()
    return model


@pytest.fixture
def parity(monkeypatch: pytest.MonkeyPatch) -> Parity:
    """A task that is registered while a test runs."""
    served = Parity()
    monkeypatch.setitem(TASKS, PARITY.name, PARITY)
    monkeypatch.setitem(SERVED, PARITY.name, served)
    return served


@pytest.fixture
def store(parity: Parity, tmp_path: Path) -> Store:
    """A store with one model of that task."""
    store = Store(tmp_path / "models")
    form = OnnxForm(file="model.onnx", batch_rows=4, difference=0)
    exported = Onnx(opset=21, every_step=False, compared_rows=1, forms={"float32": form}, default="float32")
    changes = {
        "name": parity.task.name,
        "task": parity.task.name,
        "labels": PARITY.labels,
        "preprocessing": DigitCodec(length=3),
        "onnx": exported,
    }
    with store.stage("parity") as folder:
        (folder / MODEL_FILE).write_bytes(b"none")
        (folder / "model.onnx").write_bytes(make_network())
        store.publish(folder, LETTERS.model_copy(update=changes))
    return store


@pytest.fixture
def client(store: Store) -> Iterator[httpx.Client]:
    with serve(Settings(models=store.root, max_batch=4)) as client:
        yield client


@pytest.fixture
def model(store: Store) -> Iterator[Model]:
    bundle = store.open("parity")
    with ThreadPoolExecutor(1) as executor:
        yield Model(
            bundle, Batcher(OnnxEngine(bundle), executor, 1000, LoopTime(0), ModelMetrics("parity", 1)), asyncio.Lock()
        )


def test_a_registered_task_is_served_and_documented(client: httpx.Client) -> None:
    assert client.get("/readyz").status_code == 200
    assert client.post("/parity", json={"digits": "123"}).json() == {"odd": 0, "digits": 3}
    batch = client.post("/parity/batch", json={"several": ["9", "11"]}).json()
    assert batch == {"answers": [{"odd": 1, "digits": 1}, {"odd": 0, "digits": 2}]}
    tensor = {"name": "digits", "shape": [2], "datatype": "BYTES", "data": ["1", "0"]}
    outputs = client.post("/v2/models/parity/infer", json={"inputs": [tensor]}).json()["outputs"]
    assert outputs[0] == {"name": "probabilities", "shape": [2, 1], "datatype": "FP32", "data": [1, 0]}
    assert outputs[1]["data"] == [PARITY.labels[1], PARITY.labels[0]]
    assert {"/parity", "/parity/batch"} <= client.get("/openapi.json").json()["paths"].keys()
    (listed,) = client.get("/models").json()["models"]
    assert (listed["name"], listed["task"], listed["default"]) == ("parity", "parity", True)


def test_limits_hold_for_a_registered_task(client: httpx.Client) -> None:
    assert client.post("/parity/batch", json={"several": ["1"] * 5}).status_code == 422
    response = client.post("/parity/batch", json={"several": ["1", "x", "2", "y"]})
    assert [error["loc"] for error in response.json()["errors"]] == [["body", "several", 1], ["body", "several", 3]]
    assert client.post("/parity", json={"digits": "1", "model": "sentiment"}).status_code == 404


def predict(served: Parity, model: Model, texts: list[str], seconds: float = SECONDS) -> list[BaseModel]:
    """Return the answers to texts, and count on `served.turns` how often others could run meanwhile."""
    located: dict[Location, str] = {("body", "several", index): text for index, text in enumerate(texts)}

    async def ask() -> list[BaseModel]:
        with model.batcher.admit(len(texts), time.monotonic() + seconds) as permit:
            return await served.predict(model, located, ParityBatchRequest(several=texts), permit)

    return asyncio.run(ask())


def test_every_input_is_answered_in_order(parity: Parity, model: Model) -> None:
    answers = predict(parity, model, [str(number) for number in range(100)])
    assert [answer.model_dump()["odd"] for answer in answers] == [sum(map(int, str(n))) % 2 for n in range(100)]


def test_all_wrong_inputs_are_named(parity: Parity, model: Model) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        predict(parity, model, ["1", "x", "2", "y"])
    assert [problem.loc for problem in refusal.value.errors] == [["body", "several", 1], ["body", "several", 3]]


def test_a_traced_request_notes_how_long_its_inputs_were_encoded(parity: Parity, model: Model) -> None:
    parity.seconds = SLICE_SECONDS
    for texts in (["1", "2"], ["1", "x"]):  # also if an input is wrong
        parts = Parts()
        context = copy_context()
        context.run(begin_parts, parts)
        begun = time.monotonic()
        with suppress(InvalidInputError):
            context.run(predict, parity, model, texts)
        encode = next(iter(parts))
        assert encode.name == "encode"
        assert begun < encode.begin < encode.end < time.monotonic()
        assert encode.end - encode.begin >= 2 * SLICE_SECONDS


def test_others_run_between_slices_of_a_large_request(parity: Parity, model: Model) -> None:
    parity.seconds = SLICE_SECONDS
    seen: list[int] = []

    async def look() -> None:
        while parity.encoded < 10:
            seen.append(parity.encoded)
            await asyncio.sleep(0)

    async def ask() -> None:
        texts = ["1"] * 10
        located: dict[Location, str] = {("body", "several", index): text for index, text in enumerate(texts)}
        looking = asyncio.ensure_future(look())
        with model.batcher.admit(10, time.monotonic() + SECONDS) as permit:
            await served_predict(located, permit)
        await looking

    async def served_predict(located: dict[Location, str], permit: Any) -> None:
        await parity.predict(model, located, ParityBatchRequest(several=[*located.values()]), permit)

    asyncio.run(ask())
    assert len(set(seen)) >= 4


def test_one_large_request_is_encoded_at_a_time(parity: Parity, model: Model) -> None:
    parity.seconds = SLICE_SECONDS
    order: list[str] = []

    async def ask(digit: str) -> None:
        located: dict[Location, str] = {("body", "several", index): digit for index in range(8)}
        with model.batcher.admit(8, time.monotonic() + SECONDS) as permit:
            await parity.predict(model, located, ParityBatchRequest(several=[digit] * 8), permit)
        order.append(digit)

    async def ask_several() -> None:
        await asyncio.gather(*map(ask, "123"))

    asyncio.run(ask_several())
    assert order == ["1", "2", "3"]


def test_inputs_are_encoded_no_longer_than_until_the_deadline(parity: Parity, model: Model) -> None:
    parity.seconds = 0.05
    with pytest.raises(DeadlineError):
        predict(parity, model, ["1"] * 40, seconds=0.12)
    assert parity.encoded <= 4
