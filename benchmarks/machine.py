"""The conditions of a measurement: the machine, the commit and the versions of packages."""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import environments

_BUSY = 0.5  # load


@dataclass(frozen=True)
class Machine:
    """The machine: memory in GiB, the cores that this process may use, and the mean load of the last minute."""

    processor: str
    cores: int
    memory: float
    kernel: str
    python: str
    load: float

    def describe(self) -> dict[str, str | int | float]:
        """Return it as values for JSON."""
        return asdict(self)


def inspect() -> Machine:
    """Return this machine, which must run Linux."""
    processors = Path("/proc/cpuinfo").read_text().splitlines()
    named = (line.partition(":")[2].strip() for line in processors if line.startswith("model name"))
    return Machine(
        processor=next(named, platform.machine()),
        cores=len(os.sched_getaffinity(0)),
        memory=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        kernel=platform.release().partition("-")[0],
        python=platform.python_version(),
        load=round(os.getloadavg()[0], 2),
    )


def find_commit(checkout: Path = environments.ROOT) -> str:
    """Return the commit of a checkout, by default this one; it ends with `-dirty` if files have changed since."""
    try:
        commit = run_git(checkout, "rev-parse", "--short=12", "HEAD")
        changed = run_git(checkout, "status", "--porcelain", "--", ".", ":!docs")  # results are written to docs
    except (OSError, subprocess.CalledProcessError):
        return "unknown"  # without git, or from an archive
    return f"{commit}-dirty" if changed else commit


def run_git(checkout: Path, *arguments: str) -> str:
    """Run git in a checkout and return its output."""
    command = ["git", *arguments]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True).stdout.strip()


def describe(pythons: Mapping[str, Path] | None = None) -> dict[str, Any]:
    """Return the head of a JSON file: machine, commit, and the versions in environments, by default in this one.

    Warns on standard error if the machine is busy.
    """
    pythons = pythons or {"lstm-serve": Path(sys.executable)}
    machine = inspect()
    if machine.load > _BUSY:
        print(f"the machine is busy (load {machine.load}): other work distorts the figures", file=sys.stderr)
    return {
        "machine": machine.describe(),
        "commit": find_commit(),
        "versions": {name: environments.list_versions(python) for name, python in pythons.items()},
    }
