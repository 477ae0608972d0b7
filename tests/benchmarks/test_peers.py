"""The peer that needs nothing which the tests do not have."""

import asyncio
import importlib
import sys

import pytest

from app.engines.onnx import OnnxEngine
from benchmarks.environments import ROOT
from bundle.reviews import ReviewCodec
from bundle.store import Store

SERVER = "benchmarks.peers.onnx_handler.server"
TEXTS = ("A tender, wonderful film.", "Two dull hours I will never get back. " * 90, "")


@pytest.mark.parametrize("name", ["sentiment", "imdb-500"])
def test_the_handler_answers_as_the_service_does_in_float32(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = Store(ROOT / "models").open(name)
    codec = bundle.codec
    assert isinstance(codec, ReviewCodec)
    monkeypatch.setenv("BENCHMARK_BUNDLE", str(bundle.folder))
    monkeypatch.delitem(sys.modules, SERVER, raising=False)
    server = importlib.import_module(SERVER)
    engine = OnnxEngine(bundle, "float32")
    assert server.runs_padding == (name == "imdb-500")
    for text in TEXTS:
        answer = asyncio.run(server.predict(server.Review(text=text)))
        expected = engine.run([codec.encode(text).ids])[0, 0]
        assert answer["probability"] == pytest.approx(expected, abs=1e-5)
