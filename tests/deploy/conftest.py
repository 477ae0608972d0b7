"""The images, built once, and the figures that are printed at the end."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.docker import ROOT, Container, NoEngineError, docker, engine, find_base_image, run_container

IMAGE = "lstm-serve:test"

_figures: list[str] = []


@pytest.fixture(scope="session")
def figures() -> list[str]:
    """Lines that are printed when all tests are over."""
    return _figures


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _figures:
        terminalreporter.section("figures")
        terminalreporter.write_line("\n".join(_figures))


@pytest.fixture(scope="session")
def base_image() -> Iterator[str]:
    """The image to build on, in a Docker engine that runs; without one, the tests are skipped."""
    try:
        with engine():
            yield find_base_image()
    except NoEngineError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository, to write in."""
    folder = tmp_path_factory.mktemp("checkout") / "lstm-serve"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.split("\0")[:-1]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
        (folder / name).chmod(0o600)  # as under a strict umask
    return folder


@pytest.fixture(scope="session")
def image(base_image: str, checkout: Path) -> str:
    """The image of the service, built from the repository; it stays, as building again is then a matter of seconds."""
    docker("build", "--build-arg", f"BASE={base_image}", "--target", "service", "--tag", IMAGE, checkout)
    return IMAGE


@pytest.fixture(scope="module")
def container(image: str) -> Iterator[Container]:
    """A container of the service that is ready."""
    with run_container(image, "--cap-drop", "ALL", "--security-opt", "no-new-privileges:true") as started:
        started.wait_for("/readyz")
        yield started
