"""Load by wrk: one thread and a fixed number of connections; each sends its next request after its last answer."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = Path(__file__).with_name("post.lua")
_TIMEOUT_SECONDS = 30  # of one request, far more than any server here needs
_REQUESTS_PER_SECOND = 50_000  # limits the load if a server answers without doing any work; no server here is near it


class WrkError(Exception):
    """The load could not be generated or measured."""


@dataclass(frozen=True)
class Load:
    """The result of one run; latencies in milliseconds, None without any answer.

    `errors` counts answers of 400 and above as `status`, other errors by the step at which the connection failed. wrk
    corrects its percentiles for the requests that a slow answer delayed.
    """

    requests: int
    seconds: float
    p50: float | None
    p90: float | None
    p99: float | None
    max: float | None
    errors: dict[str, int]

    @property
    def throughput(self) -> float:
        """Answers below 400 a second."""
        return (self.requests - self.errors["status"]) / self.seconds


def find() -> str:
    """Return the path of wrk.

    Raises:
        WrkError: it is not installed.
    """
    path = shutil.which("wrk")
    if path is None:
        raise WrkError("wrk, which generates the load, is not installed; on Debian and Ubuntu: apt-get install wrk")
    return path


def run(url: str, bodies: Path, concurrency: int, seconds: int, headers: Sequence[str] = ()) -> Load:
    """Post the bodies, one JSON document per line, over `concurrency` connections for `seconds`.

    `headers` are further header lines of each request.

    Raises:
        WrkError: wrk failed, did not end, or reached its limit of requests.
    """
    limit = _REQUESTS_PER_SECOND * seconds
    command = [find(), "-t1", f"-c{concurrency}", f"-d{seconds}s", f"--timeout={_TIMEOUT_SECONDS}s", "-s", str(_SCRIPT)]
    command += [option for header in headers for option in ("-H", header)]
    try:
        ended = subprocess.run(
            [*command, url, "--", str(bodies), str(limit)],
            check=True,
            capture_output=True,
            text=True,
            timeout=seconds + 2 * _TIMEOUT_SECONDS,
        )
        found = json.loads(ended.stdout.splitlines()[-1])
    except subprocess.CalledProcessError as error:
        raise WrkError(f"wrk failed on {url}: {(error.stderr or error.stdout).strip()}") from error
    except (subprocess.TimeoutExpired, ValueError, IndexError) as error:
        raise WrkError(f"wrk did not report on {url}: {error}") from error
    if found["requests"] >= limit:
        raise WrkError(f"{url} answered {limit} requests, the limit, in less than {seconds} s")
    latencies = {name: found[name] / 1000 if found["requests"] else None for name in ("p50", "p90", "p99", "max")}
    return Load(found["requests"], found["duration"] / 1e6, **latencies, errors=found["errors"])
