"""The service of this checkout, and what an operator does with the versions of its models."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.environments import ROOT
from benchmarks.servers import Server, ServerError, find_free_port, serve
from bundle.manifest import Description, Manifest
from bundle.store import Store

NAME = "sentiment"

_WAIT_SECONDS = 30
_POLL_SECONDS = 0.02
_CONNECTIONS = 12  # new ones that must all see a change: then every process has followed it


@contextmanager
def run_service(models: Path, workers: int, **variables: str) -> Iterator[Server]:
    """Run the service of this checkout, in the environment of this process, once all its workers are ready."""
    port = find_free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LSTM_SERVE_")} | {
        "PYTHONPATH": str(ROOT),
        "LSTM_SERVE_PORT": str(port),
        "LSTM_SERVE_MODELS": str(models),
        "LSTM_SERVE_WORKERS": str(workers),
        "LSTM_SERVE_LOG_LEVEL": "WARNING",
        **variables,
    }
    with serve([sys.executable, "-m", "app"], environment, port, "/readyz") as server:
        server.settle()
        yield server


class Service:
    """A running service and the store that it watches. All changes are about the model `NAME`."""

    def __init__(self, store: Store, server: Server) -> None:
        """Take both; the version that is there now is the first one."""
        self.store = store
        self.server = server
        self._first = store.open(NAME)

    @property
    def first(self) -> int:
        """The version that was there first."""
        return self._first.manifest.version

    def publish(self, damage: Callable[[Path], object] | None = None) -> int:
        """Publish the first version once more, as the next one, and return its number.

        The damage is done to its folder before it is in its place. So the service never sees it whole.
        """
        manifest = self._first.manifest
        number = max(self.store.versions(NAME)) + 1
        with self.store.stage(NAME) as folder:
            shutil.copytree(self._first.folder, folder, dirs_exist_ok=True)
            fields = {field: getattr(manifest, field) for field in Description.model_fields}
            Manifest.seal(Description(**fields), number, manifest.files).write(folder)
            if damage:
                damage(folder)
            folder.rename(self.store.root / NAME / str(number))
        return number

    def delete(self, version: int) -> None:
        """Delete a version."""
        shutil.rmtree(self.store.root / NAME / str(version))

    def run(self, command: str, *arguments: object) -> None:
        """Run a command of an operator for the model."""
        line = [sys.executable, "-m", "app", "--models", self.store.root, "models", command, NAME, *arguments]
        subprocess.run([*map(str, line)], cwd=ROOT, check=True, capture_output=True)

    def ask(self) -> int:
        """Return the version that answers a request.

        Raises:
            ServerError: the request fails.
        """
        return int(self.server.post("/sentiment", '{"text":"good"}')["version"])

    def wait_for(self, version: int) -> float:
        """Wait until every process answers with a version; return the seconds since the call.

        Raises:
            ServerError: it takes too long, or a request fails.
        """
        return self._wait(lambda: self.ask() == version, f"version {version} does not answer everywhere")

    def wait_for_refusals(self, versions: Collection[int]) -> None:
        """Wait until every process refuses versions.

        Raises:
            ServerError: it takes too long, or a request fails.
        """

        def are_refused() -> bool:
            found = json.loads(self.server.read(f"/models/{NAME}/versions"))["versions"]
            states = {one["version"]: one["status"] for one in found}
            return all(states.get(version) == "refused" for version in versions)

        self._wait(are_refused, f"the versions {', '.join(map(str, versions))} are not refused everywhere")

    def count_shadow_inputs(self, version: int, least: int) -> dict[str, int]:
        """Wait until a candidate has got a number of inputs, and return how many it has, by result.

        Raises:
            ServerError: it takes too long.
        """
        counts: dict[str, int] = {}

        def are_enough() -> bool:
            families = text_string_to_metric_families(self.server.read("/metrics"))
            samples = (sample for family in families for sample in family.samples)
            for sample in samples:
                if sample.name == "lstm_serve_shadow_inputs_total" and sample.labels["version"] == str(version):
                    counts[sample.labels["result"]] = int(sample.value)
            return sum(counts.values()) >= least

        self._wait(are_enough, f"version {version} gets too few shadow requests")
        return counts

    def _wait(self, has_followed: Callable[[], bool], problem: str) -> float:
        started = time.monotonic()
        while not all(has_followed() for _ in range(_CONNECTIONS)):
            if time.monotonic() > started + _WAIT_SECONDS:
                raise ServerError(f"{problem} within {_WAIT_SECONDS} s\n{self.server.read_log()}")
            time.sleep(_POLL_SECONDS)
        return time.monotonic() - started
