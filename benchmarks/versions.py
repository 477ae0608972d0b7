"""`python -m benchmarks.versions`: what clients notice while the versions of a model change, and what it costs.

Each cycle publishes a version, a corrupt one and a truncated one, rolls back to the first version, releases it again,
and deletes what it has published. Then, without load, versions are published and deleted to see whether memory grows.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import machine, results
from benchmarks.clients import ask_until
from benchmarks.commands import OUT, Out, telling_errors
from benchmarks.environments import ROOT
from benchmarks.results import format_range, render_table
from benchmarks.servers import HOST, Server, ServerError, find_free_port, serve
from bundle.manifest import Description
from bundle.store import Bundle, Store

_NAME = "sentiment"
_NORMAL_SECONDS = 5  # of load without a change, before the cycles
_WAIT_SECONDS = 30
_POLL_SECONDS = 0.02
_CONNECTIONS = 12  # new ones that must all reach the new version: then every process has it
_SETTLED_RELOADS = 50  # memory after these is what later memory is compared with


@dataclass(frozen=True)
class Cycles:
    """The requests of all cycles, and the seconds from each change until every process answers with it."""

    cycles: int
    requests: int
    failed: int
    normal_p99: float
    p99: float
    publish_seconds: list[float]
    roll_back_seconds: list[float]


@dataclass(frozen=True)
class Memory:
    """Resident memory of the service in MiB, by the number of versions that were loaded before."""

    by_reloads: dict[int, float]

    @property
    def growth(self) -> float:
        """Memory at the end, as a multiple of memory after the first `_SETTLED_RELOADS`."""
        return self.by_reloads[max(self.by_reloads)] / self.by_reloads[_SETTLED_RELOADS]


def main(
    cycles: Annotated[int, typer.Option(min=1, max=10_000, help="Cycles of changes under load.")] = 100,
    clients: Annotated[int, typer.Option(min=1, max=500, help="Clients; half of them keep their connections.")] = 20,
    reloads: Annotated[int, typer.Option(min=_SETTLED_RELOADS, help="Versions to load without load.")] = 1000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Workers of the service.")] = 2,
    out: Out = OUT,
) -> None:
    """Change versions under load and count failed requests; then load many versions and compare memory."""
    found: dict[str, Any] = machine.describe() | {"plan": {"clients": clients, "workers": workers}}
    with telling_errors(), _make_store() as store:
        with _serve(store, workers) as server:
            changed = asyncio.run(_change_under_load(Service(store, server), cycles, clients))
        print(_render(changed), flush=True)
        found["cycles"] = asdict(changed)
        with _serve(store, workers) as server:
            memory = _reload(Service(store, server), reloads)
        print(f"memory after {reloads} reloads / after {_SETTLED_RELOADS}: {memory.growth:.3f}")
        found["memory"] = asdict(memory)
        results.save(out / "versions.json", found)
        if changed.failed:
            raise ServerError(f"{changed.failed} requests failed")


class Service:
    """A running service, and the store that it watches."""

    def __init__(self, store: Store, server: Server) -> None:
        """Take both."""
        self.store = store
        self.server = server
        self._first = store.open(_NAME)

    @property
    def first(self) -> int:
        """The version that was there first."""
        return self._first.manifest.version

    def publish(self) -> Bundle:
        """Publish the first version once more, as the next one."""
        manifest = self._first.manifest
        with self.store.stage(_NAME) as folder:
            for name in manifest.files:
                shutil.copyfile(self._first.folder / name, folder / name)
            fields = {field: getattr(manifest, field) for field in Description.model_fields}
            return self.store.publish(folder, Description(**fields))

    def delete(self, version: int) -> None:
        """Delete a version."""
        shutil.rmtree(self.store.root / _NAME / str(version))

    def run(self, *arguments: object) -> None:
        """Run a command of an operator."""
        command = [sys.executable, "-m", "app", "--models", self.store.root, "models", *arguments]
        subprocess.run([*map(str, command)], cwd=ROOT, check=True, capture_output=True)

    def wait_for(self, version: int) -> float:
        """Wait until every process answers with a version; return the seconds since the call.

        Raises:
            ServerError: it takes too long, or a request fails.
        """
        started = time.monotonic()
        while not all(self._ask() == version for _ in range(_CONNECTIONS)):
            if time.monotonic() > started + _WAIT_SECONDS:
                raise ServerError(f"version {version} does not answer everywhere\n{self.server.read_log()}")
            time.sleep(_POLL_SECONDS)
        return time.monotonic() - started

    def _ask(self) -> object:
        connection = HTTPConnection(HOST, self.server.port, timeout=_WAIT_SECONDS)
        try:
            connection.request("POST", "/sentiment", b'{"text":"good"}', {"content-type": "application/json"})
            return json.loads(connection.getresponse().read()).get("version")
        finally:
            connection.close()


@contextmanager
def _make_store() -> Iterator[Store]:
    """Provide a store of its own with the newest version of the model."""
    with tempfile.TemporaryDirectory() as folder:
        newest = Store(ROOT / "models").open(_NAME).folder
        shutil.copytree(newest, Path(folder) / _NAME / newest.name)
        yield Store(Path(folder))


@contextmanager
def _serve(store: Store, workers: int) -> Iterator[Server]:
    port = find_free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LSTM_SERVE_")} | {
        "PYTHONPATH": str(ROOT),
        "LSTM_SERVE_PORT": str(port),
        "LSTM_SERVE_MODELS": str(store.root),
        "LSTM_SERVE_WORKERS": str(workers),
        "LSTM_SERVE_LOG_LEVEL": "WARNING",
    }
    with serve([sys.executable, "-m", "app"], environment, port, "/readyz") as server:
        server.settle()
        yield server


async def _change_under_load(service: Service, cycles: int, clients: int) -> Cycles:
    end = asyncio.Event()
    asking = asyncio.create_task(ask_until(service.server.port, clients, end))
    await asyncio.sleep(_NORMAL_SECONDS)
    changed_at = time.monotonic()
    publish_seconds, roll_back_seconds = [], []
    for number in range(cycles):
        published, rolled_back = await asyncio.to_thread(partial(_cycle, service))
        publish_seconds.append(published)
        roll_back_seconds.append(rolled_back)
        print(f"cycle {number + 1}: published in {published:.2f} s, rolled back in {rolled_back:.2f} s", flush=True)
    end.set()
    outcomes = await asking
    normal = [one.seconds for one in outcomes if one.sent_at < changed_at]
    changing = [one.seconds for one in outcomes if one.sent_at >= changed_at]
    failed = sum(one.status != 200 for one in outcomes)
    p99s = find_p99(normal), find_p99(changing)
    return Cycles(cycles, len(outcomes), failed, *p99s, publish_seconds, roll_back_seconds)


def _cycle(service: Service) -> tuple[float, float]:
    """Publish, break, roll back and delete; return the seconds of publishing and of rolling back."""
    good = service.publish().manifest.version
    published = service.wait_for(good)
    corrupt, truncated = service.publish(), service.publish()
    (corrupt.folder / "model.int8.onnx").write_bytes(b"corrupt")
    os.truncate(truncated.folder / "word-vectors.bin", 1000)
    started = time.monotonic()
    service.run("pin", _NAME, service.first)
    service.wait_for(service.first)
    rolled_back = time.monotonic() - started
    service.delete(truncated.manifest.version)
    service.delete(corrupt.manifest.version)
    service.run("unpin", _NAME)
    service.wait_for(good)
    service.delete(good)
    service.wait_for(service.first)
    return published, rolled_back


def _reload(service: Service, reloads: int) -> Memory:
    by_reloads: dict[int, float] = {}
    last = service.first
    for number in range(1, reloads + 1):
        version = service.publish().manifest.version
        service.wait_for(version)
        if last != service.first:
            service.delete(last)
        last = version
        if number in (1, _SETTLED_RELOADS, reloads) or number % 100 == 0:
            service.server.settle()
            by_reloads[number] = round(service.server.memory(), 1)
            print(f"{number} reloads: {by_reloads[number]} MiB", flush=True)
    return Memory(by_reloads)


def find_p99(seconds: Sequence[float]) -> float:
    """Return the 99th percentile."""
    return sorted(seconds)[int(0.99 * len(seconds))]


def _render(found: Cycles) -> str:
    header = ["cycles", "requests", "failed", "p99 of normal", "published (s)", "rolled back (s)"]
    row = [
        str(found.cycles),
        f"{found.requests:,}",
        str(found.failed),
        f"{found.p99 / found.normal_p99:.2f}",
        format_range(found.publish_seconds),
        format_range(found.roll_back_seconds),
    ]
    return render_table(header, [row])


if __name__ == "__main__":
    typer.run(main)
