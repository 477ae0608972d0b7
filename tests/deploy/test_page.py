"""The page about deployment: its commands without Docker, and its figures. `test_compose.py` has the others."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from app.runtime.policy import POLICY_FILE
from tests.app.service import ROOT
from tests.deploy.nginx import MISSING
from tests.deploy.test_kubernetes import BASES, COMPONENTS, KUBECTL, build, find_pod
from tests.tools import need

PAGE = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
NAMES = ("systemd", "Kubernetes", "nginx", "Sizing")


def find_section(name: str) -> str:
    """Return the text of a section."""
    (text,) = re.findall(rf"^## {name}$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return str(text)


def find_commands(name: str) -> list[str]:
    """Return the commands of a section."""
    blocks: list[str] = re.findall(r"```sh\n(.*?)```", find_section(name), re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@pytest.fixture
def run(tmp_path: Path) -> Callable[[str], None]:
    """A function that runs a command of the page in the repository, with another folder in place of the root."""

    def run(command: str) -> None:
        command = re.sub(r"(?<= )/(?=(opt|etc|var)/)", f"{tmp_path}/", command)
        ended = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr

    return run


def test_the_table_has_a_file_and_a_section_for_each_place() -> None:
    linked = re.findall(r"^\| .* \| `(.+)` \| \[.+\]\(#(.+)\) \|$", PAGE, re.MULTILINE)
    assert len(linked) == 4
    for file, section in linked:
        assert (ROOT / file).exists() and re.search(rf"^## {section}$", PAGE, re.MULTILINE | re.IGNORECASE)


def test_the_commands_of_systemd_work(run: Callable[[str], None], tmp_path: Path) -> None:
    for command in find_commands("systemd"):
        if command.startswith("make"):
            command = command.replace("make ", "make --dry-run ")  # the README's tests run it
            (tmp_path / "opt" / "lstm-serve" / ".venv").symlink_to(ROOT / ".venv")
        if command.startswith(("systemctl", "journalctl")):
            assert command == "systemctl daemon-reload" or command.endswith(" lstm-serve")
        else:
            run(command)
    assert (tmp_path / "etc" / "systemd" / "system" / "lstm-serve.service").is_file()
    assert (tmp_path / "opt" / "lstm-serve" / "app" / "__main__.py").is_file()
    assert (tmp_path / "var" / "lib" / "lstm-serve" / "policies" / "sentiment" / POLICY_FILE).is_file()


@need(not MISSING, f"{MISSING} are not installed; apt-get install nginx-light openssl")
def test_the_commands_of_nginx_work(run: Callable[[str], None], tmp_path: Path) -> None:
    for command in find_commands("nginx"):
        if command == "nginx -t":
            main = tmp_path / "nginx.conf"
            installed = tmp_path / "etc" / "nginx" / "conf.d" / "lstm-serve.conf"
            text = installed.read_text().replace("/var/log/nginx/", f"{tmp_path}/")
            installed.write_text(text.replace("/etc/ssl/", f"{tmp_path}/etc/ssl/"))
            main.write_text(f"pid {tmp_path}/pid; events {{}} http {{ include {installed.parent}/*.conf; }}")
            run(f"nginx -t -c {main} -e {tmp_path}/error.log")
        elif command != "systemctl reload nginx":
            run(command)


@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")
def test_the_commands_of_kubernetes_work(run: Callable[[str], None], tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("{}")
    for command in find_commands("Kubernetes"):
        command = command.replace("kubectl apply -k", "kubectl kustomize")
        command = command.replace("=keys.json", f"={tmp_path}/keys.json --dry-run=client")
        run(command.replace("kubectl", str(KUBECTL)))


@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")
def test_the_kustomization_of_kubernetes_works(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "deploy" / "kubernetes", tmp_path / "kubernetes")
    (own,) = re.findall(r"```yaml\n(.*?)```", find_section("Kubernetes"), re.DOTALL)
    (tmp_path / "kubernetes" / "own").mkdir()
    (tmp_path / "kubernetes" / "own" / "kustomization.yaml").write_text(own)
    volumes = find_pod(build(tmp_path / "kubernetes" / "own"))["volumes"]
    assert {volume["name"] for volume in volumes} == {"tmp", "keys"}


def test_every_folder_of_kubernetes_is_described() -> None:
    for name in (*BASES, *COMPONENTS):
        assert f"`{name}`" in find_section("Kubernetes")


def test_the_figures_are_measured() -> None:
    measured = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("performance*/**/*.md"))
    measured += (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .+ \| (.+) \| (.+) \|$", find_section("Sizing"), re.MULTILINE)
    figures = [figure for row in rows for figure in row if re.fullmatch(r"[\d.,]+", figure)]
    assert len(figures) == 11
    for figure in figures:
        assert re.search(rf"(?<![\d.,]){re.escape(figure)}(?![\d.,]*\d)", measured), figure
