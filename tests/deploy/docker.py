"""Docker from its command line: an engine, an image to build on, containers that are gone afterwards."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parent.parent.parent
BASE = "python:3.11-slim-bookworm"
OWN_BASE = "lstm-serve-base"
SECONDS = 180  # generous: only what is broken takes so long
# No plug-in is needed for Docker's first builder; the test of the other one says so itself.
ENVIRONMENT = os.environ | {"DOCKER_BUILDKIT": "0", "COMPOSE_DOCKER_CLI_BUILD": "0"}


class NoEngineError(Exception):
    """There is no Docker engine, and none can be started here."""


def docker(*arguments: str | Path, check: bool = True) -> str:
    """Return what a command of Docker prints."""
    command = ["docker", *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=ENVIRONMENT)
    assert not check or ended.returncode == 0, f"{' '.join(command)}: {ended.stdout}{ended.stderr}"
    return ended.stdout.strip()


@contextmanager
def engine() -> Iterator[None]:
    """Have a Docker engine: the one that answers, or one that is started and stopped here.

    Raises:
        NoEngineError: there is none and none can be started.
    """
    if not shutil.which("docker"):
        raise NoEngineError("docker is not installed; apt-get install docker.io")
    if _answers():
        yield
        return
    if not shutil.which("dockerd"):
        raise NoEngineError("no Docker engine answers, and dockerd is not installed; apt-get install docker.io")
    if os.getuid() != 0:
        raise NoEngineError("no Docker engine answers, and only root can start one")
    with (
        tempfile.TemporaryFile("w+") as log,
        # Of a session of its own, as Ctrl-C would otherwise end it before its containers are removed.
        subprocess.Popen(["dockerd"], stdout=log, stderr=log, start_new_session=True) as process,
    ):
        try:
            wait(lambda: _answers() or process.poll() is not None)
            if process.poll() is not None:
                log.seek(0)
                raise NoEngineError(f"dockerd ends by itself: {log.read().splitlines()[-1:]}")
            yield
        finally:
            process.terminate()


def _answers() -> bool:
    return subprocess.run(["docker", "info"], capture_output=True).returncode == 0


def find_base_image() -> str:
    """Return the name of the base image, pulled, or where no registry can be reached, made here.

    Raises:
        NoEngineError: neither can be done.
    """
    if _exists(BASE):
        return BASE
    if _exists(OWN_BASE):
        return OWN_BASE
    if subprocess.run(["docker", "pull", "--quiet", BASE], capture_output=True).returncode == 0:
        return BASE
    made = subprocess.run(["bash", ROOT / "docker" / "base.sh", OWN_BASE], capture_output=True, text=True)
    if made.returncode != 0:
        raise NoEngineError(f"{BASE} cannot be pulled, and no other made: {made.stderr.strip()}")
    return OWN_BASE


def _exists(image: str) -> bool:
    return subprocess.run(["docker", "image", "inspect", image], capture_output=True).returncode == 0


def compose_command() -> list[str] | None:
    """Return the command that Docker Compose has here: a plug-in, or a program of its own."""
    if subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0:
        return ["docker", "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else None


class Container:
    """A container of the service."""

    def __init__(self, name: str) -> None:
        """Stand for the one of this name or id."""
        self.name = name

    def inspect(self) -> Any:
        """Return what Docker knows of it."""
        return json.loads(docker("inspect", self.name))[0]

    @property
    def state(self) -> Any:
        """Whether it runs, with which status it ended, how its health is."""
        return self.inspect()["State"]

    @property
    def health(self) -> str:
        """One of starting, healthy and unhealthy."""
        return str(self.state["Health"]["Status"])

    @property
    def address(self) -> str:
        """Where it answers, without the proxy that publishes a port."""
        (network,) = self.inspect()["NetworkSettings"]["Networks"].values()
        return f"http://{network['IPAddress']}:8000"

    def run(self, *command: str, check: bool = True) -> str:
        """Return what a command prints in it."""
        return docker("exec", self.name, *command, check=check)

    def logs(self) -> str:
        """Return what it wrote."""
        command = ["docker", "logs", self.name]
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True).stdout

    def wait_for_health(self, *statuses: str) -> str:
        """Wait until its health has one of the statuses, and return it."""
        wait(lambda: self.health in statuses, self.logs)
        return self.health

    def wait_for(self, path: str) -> None:
        """Wait until it answers at a path with 200."""
        wait(lambda: answers(f"{self.address}{path}"), self.logs)  # it has another address when it is restarted

    def count_resident_bytes(self) -> int:
        """Return the memory of all its processes; what they share is counted once."""
        sizes = self.run("sh", "-c", "cat /proc/[0-9]*/smaps_rollup")
        return sum(1024 * int(size) for size in re.findall(r"^Pss:\s+(\d+) kB", sizes, re.MULTILINE))

    def requests(self, path: str) -> list[dict[str, Any]]:
        """Return what it wrote of the requests of a path."""
        lines = [json.loads(line) for line in self.logs().splitlines()]
        return [line for line in lines if line.get("path") == path]


def wait(condition: Callable[[], bool], explain: Callable[[], str] = str) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, explain()
        time.sleep(0.05)


def answers(address: str) -> bool:
    """Return whether an address answers with 200."""
    try:
        return httpx.get(address).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


@contextmanager
def run_container(image: str, *options: str) -> Iterator[Container]:
    """Run an image as `docs/deployment.md` does, with more options, and remove the container."""
    container = Container(docker("run", "-d", "--read-only", "--tmpfs", "/tmp", *options, image).splitlines()[-1])
    try:
        yield container
    finally:
        docker("rm", "--force", "--volumes", container.name)
