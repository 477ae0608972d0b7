"""Which engine runs which bundle, with TensorFlow and where only what the service needs is installed."""

import os
import re
import sys
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest

from app.engines import load_engine
from app.engines.onnx import OnnxEngine
from app.engines.tensorflow import TensorFlowEngine
from app.errors import EngineError
from app.settings import Settings
from bundle.store import Bundle, Store
from tests.app.engines.conftest import LoadOnnx
from tests.app.service import ROOT, run_service
from tests.bundle.samples import publish_changed, publish_without_onnx, random_rows


@pytest.fixture
def store(small_store: Store, tmp_path: Path) -> Store:
    """A store of a bundle as ONNX, and of one that is not."""
    store = Store(tmp_path / "models")
    publish_changed(store, small_store.open("next-letter"))
    publish_without_onnx(store, small_store.open("imdb-500"))
    return store


@pytest.fixture
def exported(store: Store) -> Bundle:
    return store.open("next-letter")


@pytest.fixture
def unexported(store: Store) -> Bundle:
    return store.open("imdb-500")


def test_a_bundle_as_onnx_is_run_by_onnx_runtime(exported: Bundle) -> None:
    assert isinstance(load_engine(exported, Settings()), OnnxEngine)


def test_a_bundle_as_onnx_is_run_by_tensorflow_where_that_is_set(exported: Bundle) -> None:
    assert isinstance(load_engine(exported, Settings(engine="tensorflow")), TensorFlowEngine)


@pytest.mark.parametrize("settings", [Settings(), Settings(engine="tensorflow"), Settings(precision="float32")])
def test_another_bundle_is_run_by_tensorflow(unexported: Bundle, settings: Settings) -> None:
    assert isinstance(load_engine(unexported, settings), TensorFlowEngine)


def test_the_form_is_that_of_the_manifest_or_of_the_settings(small_store: Store, load_onnx: LoadOnnx) -> None:
    bundle = small_store.open("sentiment")
    rows = random_rows(bundle, range(1, 20))
    for settings, form in ((Settings(), "int8"), (Settings(precision="float32"), "float32")):
        expected = load_onnx("sentiment", "int8" if form == "int8" else "float32").run(rows)
        np.testing.assert_array_equal(load_engine(bundle, settings).run(rows), expected)


def count_threads() -> int:
    return len(os.listdir("/proc/self/task"))


@pytest.mark.parametrize("threads", [1, 3])
def test_an_engine_has_as_many_threads_as_are_set(exported: Bundle, threads: int) -> None:
    before = count_threads()
    engine = load_engine(exported, Settings(engine_threads=threads))
    assert count_threads() - before == threads - 1  # besides the one that calls it
    del engine


@pytest.mark.parametrize("missing", ["tensorflow", "keras"])
def test_without_tensorflow_a_bundle_that_needs_it_is_refused_with_the_ways_out(
    exported: Bundle, unexported: Bundle, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    assert isinstance(load_engine(exported, Settings()), OnnxEngine)
    with pytest.raises(EngineError, match="^LSTM_SERVE_ENGINE is tensorflow, which is not installed; .*unset it"):
        load_engine(exported, Settings(engine="tensorflow"))
    for settings in (Settings(), Settings(engine="tensorflow")):
        ways_out = "/imdb-500/1 has no model.onnx, .*make serve ENGINE=tensorflow.* training export .*"
        with pytest.raises(EngineError, match=ways_out):
            load_engine(unexported, settings)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages that are locked for the service, and no others."""
    folder = tmp_path_factory.mktemp("packages")
    lock = (ROOT / "requirements" / "serve.txt").read_text(encoding="utf-8")
    for name in set(re.findall(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==", lock, re.MULTILINE)):
        installed = distribution(name)
        for part in {file.parts[0] for file in installed.files or ()} - {"..", "__pycache__"}:
            if not (folder / part).exists():
                (folder / part).symlink_to(Path(str(installed.locate_file(part))))
    return folder


def test_a_service_of_nothing_but_its_own_packages_answers_and_names_what_it_cannot_run(
    store: Store, packages: Path, tmp_path: Path
) -> None:
    environment = {"PYTHONPATH": str(packages), "LSTM_SERVE_WORKERS": "1"}
    with run_service(store.root, tmp_path / "log", "-S", **environment) as service:  # -S: without other packages
        service.wait_until(lambda: service.ask("GET", "/livez") is not None)
        answer = service.ask("POST", "/next-letter", {"sequence": "ABC"})
        assert answer is not None and answer.status_code == 200
        refusal = service.ask("GET", "/models/imdb-500")
        assert refusal is not None and refusal.status_code == 503
        assert refusal.json()["detail"] == (
            "imdb-500 is refused: imdb-500/1 has no model.onnx, and TensorFlow is not installed; "
            "install it (make serve ENGINE=tensorflow; with Docker, build TARGET=service-tensorflow), or add the file "
            "where training is installed (python -m training export imdb-500/1)"
        )
        page = service.ask("GET", "/docs")
        assert page is not None and page.status_code == 200
