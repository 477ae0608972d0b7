"""The virtual environment of each server, installed from its lock at its first use.

The service has an environment of its own too, without packages that only training and the benchmarks need.
"""

import json
import subprocess
import sys
from pathlib import Path

from bundle.files import hash_file

ROOT = Path(__file__).resolve().parents[1]
PEERS = Path(__file__).resolve().parent / "peers"
ENVIRONMENTS = ROOT / ".venv-peers"

_STAMP = "lock.sha256"
_INSTALL_SECONDS = 1800
_LIST_VERSIONS = """\
import importlib.metadata, json
print(json.dumps({found.name.lower(): found.version for found in importlib.metadata.distributions()}))
"""


def provide(name: str, lock: Path) -> Path:
    """Return the Python of an environment; install it first, unless the same lock is installed already.

    Raises:
        subprocess.SubprocessError: the installation fails, or takes more than half an hour.
    """
    folder = ENVIRONMENTS / name
    python, stamp, wanted = folder / "bin" / "python", folder / _STAMP, hash_file(lock)
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {name} into {folder.relative_to(ROOT)}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True, timeout=_INSTALL_SECONDS)
        pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--require-hashes", "-r", lock], check=True, timeout=_INSTALL_SECONDS)
        stamp.write_text(wanted)
    return python


def list_versions(python: Path) -> dict[str, str]:
    """Return the version of every package of an environment, by name in lower case."""
    listed = subprocess.run([python, "-c", _LIST_VERSIONS], check=True, capture_output=True, timeout=60)
    versions: dict[str, str] = json.loads(listed.stdout)
    return dict(sorted(versions.items()))
