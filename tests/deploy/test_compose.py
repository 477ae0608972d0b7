"""`docker-compose.yml`, and the page about it."""

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from benchmarks.servers import find_free_port
from tests.deploy.docker import ENVIRONMENT, ROOT, SECONDS, Container, answers, compose_command, docker, wait

pytestmark = pytest.mark.docker

PAGE = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8").partition("\n## systemd\n")[0]
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
NAME = "lstm-serve-test"  # so that nothing of the user's is touched
OWNER = 12345  # a user that no image knows


@dataclass(frozen=True)
class Project:
    """The services of the file, in a checkout of their own and on free ports."""

    folder: Path
    command: list[str]
    environment: dict[str, str]

    def compose(self, *arguments: str) -> str:
        """Return what a command of Docker Compose prints."""
        return self.run(*self.command, *arguments)

    def run(self, *command: str) -> str:
        """Return what a command prints in the checkout."""
        ended = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        assert ended.returncode == 0, f"{' '.join(command)}: {ended.stdout}{ended.stderr}"
        return ended.stdout

    def containers(self, service: str) -> list[Container]:
        """Return the containers of a service."""
        return [Container(name) for name in self.compose("ps", "--quiet", service).split()]

    def port(self, name: str) -> int:
        """Return one of the ports of the host."""
        return int(self.environment[name])


@pytest.fixture(scope="module")
def project(base_image: str, checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    command = compose_command()
    if command is None:
        pytest.skip("there is neither Docker's plug-in nor docker-compose; apt-get install docker-compose")
    folder = shutil.copytree(checkout, tmp_path_factory.mktemp("project") / "lstm-serve")
    for path in [folder / "models", *(folder / "models").rglob("*")]:
        os.chown(path, OWNER, OWNER)
        path.chmod(0o755 if path.is_dir() else 0o644)
    for place in (folder, *list(folder.parents)[:3]):  # pytest lets nobody else in
        place.chmod(0o755)
    project = Project(
        folder,
        command,
        ENVIRONMENT
        | {
            "BASE": base_image,
            "IMAGE": NAME,
            "COMPOSE_PROJECT_NAME": NAME,
            "PORT": str(find_free_port()),
            "PROXY_PORT": str(find_free_port()),
            "CPUS": str(min(2, os.cpu_count() or 1)),
        },
    )
    try:
        yield project
    finally:
        docker("rm", "--force", NAME, check=False)
        project.compose("--profile", "scale", "down", "--volumes")


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_page_works(project: Project, line: str) -> None:
    """The commands run in the order of the page; each needs the ones before."""
    if line.startswith("docker run") or line.startswith(("docker stop", "docker rm")):
        line = re.sub(r"\blstm-serve\b", NAME, line).replace("8001:8000", "8000")
    line = line.replace("docker compose", " ".join(project.command))
    line = line.replace('"$(id -u):$(id -g)"', f"{OWNER}:{OWNER}")  # of whom the models are here
    line = line.replace(":8000/", f":{project.port('PORT')}/").replace(":8080/", f":{project.port('PROXY_PORT')}/")
    output = project.run("bash", "-c", line)
    if "/sentiment" in line:
        assert '"sentiment":"positive"' in output
    elif "/next-letter" in line:
        assert '"next_letter":"A"' in output
        assert ("my-letters" in line) == ('"model":"my-letters"' in output)
    elif "models pin" in line:
        assert '"stable":6' in output
    elif "/readyz" in line:
        assert '"status":"ready"' in output
    elif "LSTM_SERVE_DEADLINE_MS=2000" in line:
        (container,) = project.containers("app")
        variables = container.inspect()["Config"]["Env"]
        assert "LSTM_SERVE_DEADLINE_MS=2000" in variables
        assert "LSTM_SERVE_MAX_QUEUE=512" in variables  # of .env


def test_it_is_limited_and_confined(project: Project) -> None:
    project.compose("up", "-d")
    (container,) = project.containers("app")
    host = container.inspect()["HostConfig"]
    assert host["Memory"] == 1024**3
    assert host["NanoCpus"] == int(project.environment["CPUS"]) * 10**9
    assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert container.wait_for_health("healthy", "unhealthy") == "healthy"


def test_a_cold_replica_gets_no_request(project: Project) -> None:
    project.environment["PORT"] = "127.0.0.1:0"
    project.compose("--profile", "scale", "up", "-d")
    address = f"http://127.0.0.1:{project.port('PROXY_PORT')}"
    wait(lambda: answers(f"{address}/readyz"))
    statuses: list[int] = []
    over = threading.Event()

    def ask(text: str) -> None:
        with httpx.Client(base_url=address, timeout=SECONDS) as client:
            while not over.is_set():
                statuses.append(client.post("/sentiment", json={"text": text}).status_code)

    threads = [
        threading.Thread(target=ask, args=["A tender, wonderful film. " * times]) for times in (1, 10, 100, 2000)
    ]
    for thread in threads:
        thread.start()
    try:
        project.compose("--profile", "scale", "up", "-d", "--no-recreate", "--scale", "app=2")
        replicas = project.containers("app")
        assert len(replicas) == 2
        for replica in replicas:
            assert replica.wait_for_health("healthy", "unhealthy") == "healthy"
        wait(lambda: all(replica.requests("/sentiment") for replica in replicas))
        docker("stop", replicas[0].name)  # and the other goes on
    finally:
        over.set()
        for thread in threads:
            thread.join(SECONDS)
    assert len(statuses) > 100
    assert set(statuses) == {200}
