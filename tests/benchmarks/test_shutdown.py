import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.clients import Outcome, ask_until
from benchmarks.environments import ROOT
from benchmarks.servers import HOST
from benchmarks.shutdown import Run, count
from tests.conftest import SECONDS

CLIENTS = 4
KEPT = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LAST = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def test_requests_count_until_a_moment_after_the_signal() -> None:
    outcomes = [Outcome(0, 200), Outcome(1, None), Outcome(2, 200), Outcome(2.4, 503), Outcome(2.5, None)]
    assert count("SIGTERM", outcomes, 2, seconds=1.3, sure_seconds=0.5) == Run("SIGTERM", 2, 2, 2, 1.3)


def test_clients_note_every_request_with_its_answer_until_nobody_listens() -> None:
    connections = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Give two answers, the second of which closes the connection; to every fourth client only a part of one."""
        nonlocal connections
        connections += 1
        is_cut = connections % 4 == 0
        try:
            for part in (KEPT[:-1],) if is_cut else (KEPT, LAST):
                await reader.readuntil(b'{"text":"good"}')
                writer.write(part)
        except asyncio.IncompleteReadError:
            pass  # the client has closed the connection
        writer.close()

    async def ask() -> list[Outcome]:
        async with await asyncio.start_server(answer, HOST) as server:
            asking = asyncio.create_task(ask_until(server.sockets[0].getsockname()[1], CLIENTS, asyncio.Event()))
            while connections < 40:
                await asyncio.sleep(0.01)
        return await asyncio.wait_for(asking, SECONDS)

    statuses = [outcome.status for outcome in asyncio.run(ask())]
    assert set(statuses) == {200, 503, None}
    assert statuses.count(503) < statuses.count(200)  # only kept connections have a second answer
    assert statuses.count(None) >= 10 + CLIENTS


@pytest.mark.parametrize(
    ("options", "cases"), [((), ["SIGTERM under load", "SIGTERM, idle"]), (("--reload",), ["SIGHUP under load"])]
)
def test_a_real_service_loses_nothing(tmp_path: Path, options: tuple[str, ...], cases: list[str]) -> None:
    command = [sys.executable, "-m", "benchmarks.shutdown", "--runs", "1", "--clients", "4", "--workers", "1"]
    ended = subprocess.run(
        [*command, "--out", tmp_path, *options], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS
    )
    rows = [line.split(" | ") for line in ended.stdout.splitlines() if line.startswith("| ")]
    assert [row[0].strip("| ") for row in rows[2:]] == cases, ended.stdout
    assert [row[4].strip() for row in rows[2:]] == ["0"] * len(cases)
    (path,) = tmp_path.iterdir()
    runs = json.loads(path.read_text())["runs"]
    assert [run["case"] for run in runs] == cases
    assert runs[0]["before"] > 0 and runs[0]["after"] > 0
