"""The unit in `deploy/systemd`, checked by systemd's own tools, and its agreement with the service."""

import math
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from app.processes.service import MORE_SECONDS
from app.settings import MEMORY_OF_A_PROCESS, PREFIX, Settings, read_settings
from tests.app.service import ROOT

UNIT = (ROOT / "deploy" / "systemd" / "lstm-serve.service").read_text(encoding="utf-8")
FOLDER = "/opt/lstm-serve"
# Of ten; units without any confinement have 9.6.
MOST_EXPOSURE = 1.5

needs_systemd = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed; apt-get install systemd"
)


def find_value(name: str) -> str:
    """Return the only value of a directive."""
    (value,) = re.findall(rf"^{name}=(.*)$", UNIT, re.MULTILINE)
    return str(value)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, for the service of this checkout."""
    path = tmp_path / "lstm-serve.service"
    path.write_text(UNIT.replace(FOLDER, str(ROOT)))
    return path


@needs_systemd
def test_the_unit_is_valid(unit: Path) -> None:
    checked = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert checked.returncode == 0 and not checked.stderr, checked.stderr


@needs_systemd
def test_the_service_is_confined(unit: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={int(10 * MOST_EXPOSURE)}", str(unit)]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_the_unit_has_the_time_that_the_service_needs_to_end() -> None:
    deadline = Settings.model_fields["deadline_ms"].default
    assert int(find_value("TimeoutStopSec")) > math.ceil(deadline / 1000) + 1 + MORE_SECONDS


def test_every_variable_is_a_setting_and_every_process_has_memory() -> None:
    variables = dict(re.findall(rf"({PREFIX}\w+)=(\S+)", UNIT))
    settings = read_settings({name.removeprefix(PREFIX).lower(): value for name, value in variables.items()})
    assert find_value("MemoryMax") == "1G"
    assert settings.workers * MEMORY_OF_A_PROCESS <= 1 << 30
    assert settings.socket and settings.socket.parent == Path("/run") / find_value("RuntimeDirectory")
    assert settings.policies and settings.policies.parent == Path("/var/lib") / find_value("StateDirectory")
