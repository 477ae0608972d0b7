"""The image of the service, in containers of its own."""

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import httpx
import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from app import __version__
from app.engines.onnx import OnnxEngine
from bundle.letters import ALPHABET, LetterCodec
from bundle.reviews import ReviewCodec
from bundle.rows import Row
from bundle.store import Bundle, Store
from tests.deploy.docker import ENVIRONMENT, ROOT, SECONDS, Container, answers, docker, run_container, wait

pytestmark = pytest.mark.docker

STORE = Store(ROOT / "models")
TEXTS = ["A tender, wonderful film.", "Two dull hours I will never get back. " * 30, "so-so"]
SEQUENCES = ["XYZ", "A", "MNOPQRSTUVWXYZABC"]
# Parts of distributions that are imported, with no module that is: what pins them down is in their metadata.
NOT_IMPORTED = {
    "h11",  # uvicorn's parser where there is no httptools
    "idna",  # of host names, when a request is sent
}


def megabytes(size: float) -> str:
    return f"{size / 1e6:7.0f} MB"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that every user may read."""
    tmp_path.chmod(0o755)
    return tmp_path


# ---- What is in it


def test_labels_say_what_it_is(image: str) -> None:
    labels = json.loads(docker("image", "inspect", image))[0]["Config"]["Labels"]
    names = {"title", "description", "licenses", "version"}
    assert {f"org.opencontainers.image.{name}" for name in names} <= labels.keys()
    assert labels["org.opencontainers.image.version"] == __version__


def test_there_is_no_compiler_package_manager_cache_tensorflow_test_or_training(container: Container) -> None:
    code = """
import os, shutil
from importlib.util import find_spec
tools = [name for name in ("gcc", "cc", "g++", "ld", "make", "git", "strip") if shutil.which(name)]
names = ("pip", "setuptools", "tensorflow", "keras", "onnx", "matplotlib", "sklearn", "typer", "pytest")
modules = [name for name in names if find_spec(name)]
print(tools, modules, sorted(os.listdir(".")))
"""
    assert container.run("python", "-c", code) == "[] [] ['app', 'bundle', 'models', 'policies', 'tables']"
    archives = container.run("find", "/opt", "/srv", "/tmp", "/var/cache/apt", "-name", "*.whl", "-o", "-name", "*.deb")
    assert archives == ""


def test_every_package_in_it_is_imported_by_the_service(container: Container, figures: list[str]) -> None:
    code = Path(__file__).with_name("imports.py").read_text(encoding="utf-8")
    report = json.loads(container.run("python", "-c", code).splitlines()[-1])
    distributions: dict[str, set[str]] = {}
    for package, names in report["packages"].items():
        for name in names:
            distributions.setdefault(name, set()).add(package)
    assert len(distributions) > 15
    unused = {name for name, packages in distributions.items() if not packages & set(report["imported"])}
    assert unused <= NOT_IMPORTED
    listed = "du -sm /opt/venv/lib/python3*/site-packages/* /srv/lstm-serve/* | sort -rn | head -n 12"
    sizes = container.run("sh", "-c", listed)
    figures += ["The largest parts of the image, MB:", *sizes.splitlines()]


def test_it_is_small(image: str, figures: list[str]) -> None:
    size = json.loads(docker("image", "inspect", image))[0]["Size"]
    layers = docker("history", "--no-trunc", "--human=false", "--format", "{{.Size}}\t{{.CreatedBy}}", image)
    figures.append(f"{megabytes(size)}  the image, of which by layer:")
    for line in layers.splitlines():
        layer, _, command = line.partition("\t")
        if float(layer) > 50_000:
            figures.append(f"{megabytes(float(layer))}  {' '.join(command.split())[:90] or 'the base image'}")
    assert size < 0.4e9


def test_what_is_sent_to_the_engine_is_small(base_image: str, checkout: Path, image: str) -> None:
    built = docker("build", "--build-arg", f"BASE={base_image}", "--target", "service", "--tag", image, checkout)
    size, unit = re.search(r"Sending build context to Docker daemon\s+([\d.]+)(\w+)", built.splitlines()[0]).groups()  # type: ignore[union-attr]
    assert float(size) * {"kB": 1e3, "MB": 1e6, "GB": 1e9}[unit] < 20e6


def test_a_change_of_the_code_installs_nothing_again(
    base_image: str, checkout: Path, image: str, tmp_path: Path
) -> None:
    changed = shutil.copytree(checkout, tmp_path / "changed")
    with (changed / "app" / "processes" / "healthcheck.py").open("a") as file:
        file.write("# changed\n")
    tag = f"{image}-changed"
    docker("build", "--build-arg", f"BASE={base_image}", "--target", "service", "--tag", tag, changed)
    try:
        before, after = (json.loads(docker("image", "inspect", name))[0]["RootFS"]["Layers"] for name in (image, tag))
    finally:
        docker("image", "rm", tag)
    same = [one == other for one, other in zip(before, after, strict=True)]
    assert same == [True] * (len(same) - 1) + [False]


def test_buildkit_builds_it_too(base_image: str, checkout: Path, image: str) -> None:
    for program in _commands("docker"):
        version = subprocess.run([program, "--version"], capture_output=True, text=True).stdout.split()[2]
        has_plugin = subprocess.run([program, "buildx", "version"], capture_output=True).returncode == 0
        if has_plugin or int(version.partition(".")[0]) < 23:
            break
    else:
        pytest.skip("no docker command here has BuildKit; apt-get install docker-buildx-plugin")
    tag = f"{image}-buildkit"
    command = [program, "build", "--build-arg", f"BASE={base_image}", "--target", "service", "--tag", tag, checkout]
    variables = ENVIRONMENT | {"DOCKER_BUILDKIT": "1", "BUILDX_BUILDER": "default"}
    built = subprocess.run(list(map(str, command)), env=variables, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    assert "Step 1/" not in built.stdout  # which the first builder says
    try:
        with run_container(tag) as started:
            started.wait_for("/readyz")
    finally:
        docker("image", "rm", tag)


def _commands(name: str) -> list[str]:
    """Return all commands of a name on the path."""
    folders = ENVIRONMENT["PATH"].split(":")
    return [found for folder in folders if (found := shutil.which(name, path=folder))]


# ---- What it answers


def run_keras(bundle: Bundle, rows: Sequence[Row]) -> NDArray[np.float32]:
    network = keras.saving.load_model(bundle.model_path)
    return np.concatenate([network.predict(bundle.codec.pad([row]), verbose=0) for row in rows])


def run_default_form(bundle: Bundle, rows: Sequence[Row]) -> NDArray[np.float32]:
    engine = OnnxEngine(bundle)
    return np.concatenate([engine.run([row]) for row in rows])


def check_answers(container: Container, run: Callable[[Bundle, Sequence[Row]], NDArray[np.float32]]) -> None:
    """Compare answers with those of a network that runs here, outside of the container."""
    reviews = STORE.open("sentiment")
    assert isinstance(reviews.codec, ReviewCodec)
    expected = run(reviews, [reviews.codec.encode(text).ids for text in TEXTS])[:, 0]
    for text, probability in zip(TEXTS, expected, strict=True):
        answer = httpx.post(f"{container.address}/sentiment", json={"text": text}).json()
        assert answer["probability_positive"] == pytest.approx(probability, abs=1e-5)

    letters = STORE.open("next-letter")
    assert isinstance(letters.codec, LetterCodec)
    expected = run(letters, [letters.codec.encode(sequence) for sequence in SEQUENCES])
    for sequence, probabilities in zip(SEQUENCES, expected, strict=True):
        answer = httpx.post(f"{container.address}/next-letter", json={"sequence": sequence}).json()
        assert answer["next_letter"] == ALPHABET[int(np.argmax(probabilities))]
        assert answer["probability"] == pytest.approx(probabilities.max(), abs=1e-5)


# The networks may have 8 bits by default, which change a probability by more than rounding does.
@pytest.mark.parametrize(("precision", "run"), [("float32", run_keras), ("default", run_default_form)])
def test_it_answers_as_the_bundles_do_outside(
    image: str, precision: str, run: Callable[[Bundle, Sequence[Row]], NDArray[np.float32]]
) -> None:
    with run_container(image, "--env", f"LSTM_SERVE_PRECISION={precision}") as started:
        started.wait_for("/readyz")
        check_answers(started, run)


def test_with_tensorflow_it_answers_the_same(base_image: str, checkout: Path, image: str, figures: list[str]) -> None:
    tag = f"{image}-tensorflow"
    docker("build", "--build-arg", f"BASE={base_image}", "--target", "service-tensorflow", "--tag", tag, checkout)
    started_at = time.monotonic()
    with run_container(tag, "--env", "LSTM_SERVE_ENGINE=tensorflow") as started:
        started.wait_for("/readyz")
        seconds = time.monotonic() - started_at
        check_answers(started, run_keras)
        figures += [
            f"{megabytes(json.loads(docker('image', 'inspect', tag))[0]['Size'])}  the image with TensorFlow",
            f"{seconds:7.1f} s   from docker run until it is ready with TensorFlow",
            f"{megabytes(started.count_resident_bytes())}  resident with TensorFlow",
        ]


def test_mounted_models_take_the_place_of_those_in_the_image(image: str, folder: Path) -> None:
    bundle = STORE.open("next-letter").folder
    shutil.copytree(bundle, folder / "next-letter" / bundle.name)
    with run_container(image, "--volume", f"{folder}:/srv/lstm-serve/models:ro") as started:
        started.wait_for("/readyz")
        assert [model["name"] for model in httpx.get(f"{started.address}/models").json()["models"]] == ["next-letter"]


# ---- What it may do


def test_the_root_file_system_is_read_only(container: Container) -> None:
    code = """
import errno
for path in ("/srv/lstm-serve/new", "/opt/venv/new", "/new"):
    try:
        open(path, "w")
    except OSError as error:
        assert error.errno == errno.EROFS, error
    else:
        raise AssertionError(path)
open("/tmp/new", "w").write("fine")
print("read-only")
"""
    assert container.run("python", "-c", code) == "read-only"


def test_it_runs_as_a_user_without_rights(container: Container) -> None:
    status = dict(line.split(":", 1) for line in container.run("cat", "/proc/1/status").splitlines())
    assert set(status["Uid"].split()) == {"10001"} == set(status["Gid"].split())
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"].strip() == "1"


def test_signals_reach_the_service_itself(container: Container) -> None:
    assert container.run("cat", "/proc/1/cmdline").split("\0") == ["python", "-m", "app", ""]


# ---- How it comes and goes


def test_its_health_is_starting_then_healthy(image: str, figures: list[str]) -> None:
    started_at = time.monotonic()
    with run_container(image, "--cpus", str(min(2, os.cpu_count() or 1))) as started:
        assert started.health == "starting"
        started.wait_for("/readyz")
        figures.append(f"{time.monotonic() - started_at:7.1f} s   from docker run until it is ready")
        assert started.wait_for_health("healthy", "unhealthy") == "healthy"
        wait(lambda: started.logs().count('"message": "loaded"') == 2 * len(STORE.names()), started.logs)
        figures.append(
            f"{megabytes(started.count_resident_bytes())}  resident, its two processes and the first together"
        )


def test_its_health_is_unhealthy_without_models(image: str, folder: Path) -> None:
    with run_container(
        image, "--health-start-period", "1s", "--volume", f"{folder}:/srv/lstm-serve/models:ro"
    ) as started:
        assert started.wait_for_health("healthy", "unhealthy") == "unhealthy"
        (*_, last) = started.state["Health"]["Log"]
        assert "there are no models" in last["Output"]


def test_sigterm_under_load_loses_nothing(image: str, figures: list[str]) -> None:
    got: list[httpx.Response] = []

    def ask(address: str) -> None:
        with httpx.Client(base_url=address, timeout=SECONDS) as client, suppress(httpx.TransportError):
            while True:
                got.append(client.post("/sentiment/batch", json={"texts": TEXTS * 8}))

    # A deadline that no machine misses, as it is another matter what is refused.
    with run_container(image, "--env", f"LSTM_SERVE_DEADLINE_MS={1000 * SECONDS}") as started:
        started.wait_for("/readyz")
        threads = [threading.Thread(target=ask, args=[started.address]) for _ in range(16)]
        for thread in threads:
            thread.start()
        wait(lambda: len(got) > 200, started.logs)
        ended_at = time.monotonic()
        docker("stop", "-t", "30", started.name)
        seconds = time.monotonic() - ended_at
        for thread in threads:
            thread.join(SECONDS)
        state, begun = started.state, started.requests("/sentiment/batch")
    assert state["ExitCode"] == 0 and not state["OOMKilled"]
    assert seconds < 30  # in which Docker kills it
    # All that it began it answered, and every answer came.
    assert [answer.text for answer in got if answer.status_code != 200] == []
    assert {request["status"] for request in begun} == {200}
    assert len(begun) == len(got)
    figures.append(f"{seconds:7.1f} s   from docker stop to its end, under load")


def test_sigterm_while_it_starts_ends_it(image: str) -> None:
    with run_container(image) as started:
        process = Path("/proc", str(started.state["Pid"]))

        def handles_the_signal() -> bool:
            (mask,) = re.findall(r"SigCgt:\t(\w+)", (process / "status").read_text())
            return (process / "cmdline").read_text().startswith("python") and bool(
                int(mask, 16) >> (signal.SIGTERM - 1) & 1
            )

        wait(handles_the_signal, started.logs)
        docker("stop", "-t", "15", started.name)
        assert started.state["ExitCode"] == 0


def test_killed_it_comes_back(image: str) -> None:
    with run_container(image, "--restart", "unless-stopped") as started:
        started.wait_for("/livez")
        # From outside, as Docker takes `docker kill` for the wish to have it stopped.
        kill = f"import os; os.kill({started.state['Pid']}, 9)"
        docker("run", "--rm", "--pid", "host", "--user", "0", image, "python", "-c", kill)
        wait(lambda: started.inspect()["RestartCount"] > 0, started.logs)
        started.wait_for("/readyz")


LITTLE_MEMORY = [
    *("--memory", "300m", "--memory-swap", "300m"),
    *("--env", "LSTM_SERVE_MAX_BODY_BYTES=1000000000", "--env", f"LSTM_SERVE_DEADLINE_MS={1000 * SECONDS}"),
]


def exhaust_memory(container: Container) -> None:
    """Send a body that is larger than the memory of a container."""
    container.wait_for("/readyz")
    with suppress(httpx.TransportError):
        headers = {"content-type": "application/json"}
        httpx.post(f"{container.address}/sentiment", content=bytes(400 << 20), headers=headers, timeout=SECONDS)


@pytest.mark.parametrize("workers", [1, 2])
def test_it_logs_that_memory_ran_out_and_goes_on(image: str, workers: int) -> None:
    with run_container(image, *LITTLE_MEMORY, "--env", f"LSTM_SERVE_WORKERS={workers}") as started:
        exhaust_memory(started)
        wait(lambda: "memory ran out" in started.logs(), started.logs)
        (line, *_) = (line for line in started.logs().splitlines() if "memory ran out" in line)
        assert "the limit is 300 MiB" in line and "LSTM_SERVE_WORKERS" in line
        started.wait_for("/readyz")


def test_a_wrong_setting_ends_it_with_a_line(image: str) -> None:
    with run_container(image, "--env", "LSTM_SERVE_WORKERS=none") as started:
        wait(lambda: not started.state["Running"], started.logs)
        assert started.state["ExitCode"] == 1
        assert started.logs().startswith("error: LSTM_SERVE_WORKERS=none: ")


def test_a_published_port_answers(image: str) -> None:
    with run_container(image, "--publish", "127.0.0.1:0:8000") as started:
        ((published,),) = started.inspect()["NetworkSettings"]["Ports"].values()
        started.wait_for("/livez")
        assert answers(f"http://127.0.0.1:{published['HostPort']}/livez")
