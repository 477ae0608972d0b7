"""What figures depend on besides the code: the machine and the versions."""

import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import environments


@dataclass(frozen=True)
class Machine:
    """The machine; memory in GiB, cores those that this process may use, load the mean of the last minute."""

    processor: str
    cores: int
    memory: float
    kernel: str
    python: str
    load: float

    def describe(self) -> dict[str, str | int | float]:
        """Return it as JSON can hold it."""
        return asdict(self)


def inspect() -> Machine:
    """Return this machine, which has to be a Linux one."""
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


def describe(pythons: Mapping[str, Path] | None = None) -> dict[str, Any]:
    """Return what a JSON file begins with: the machine, and the versions of environments, by default of this one."""
    pythons = pythons or {"lstm-serve": Path(sys.executable)}
    return {
        "machine": inspect().describe(),
        "versions": {name: environments.list_versions(python) for name, python in pythons.items()},
    }
