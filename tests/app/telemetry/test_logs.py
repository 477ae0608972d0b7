import json
import logging
import os

import httpx
import pytest

from app.telemetry import logs
from app.telemetry.logs import JsonFormatter
from tests.app.conftest import Log


def test_a_record_becomes_one_json_object() -> None:
    record = logging.makeLogRecord(
        {"name": "app", "levelname": "INFO", "msg": "loaded %s", "args": ("x",), "version": 3}
    )
    fields = json.loads(JsonFormatter().format(record))
    assert fields.pop("time").endswith("+00:00")
    assert fields == {"level": "INFO", "logger": "app", "message": "loaded x", "version": 3}


def test_an_exception_is_one_line_too() -> None:
    try:
        raise ValueError("line\nbreak")
    except ValueError as error:
        record = logging.makeLogRecord({"msg": "failed", "exc_info": (ValueError, error, error.__traceback__)})
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert "ValueError: line" in json.loads(line)["traceback"]


def test_a_request_is_logged_with_its_id_and_without_its_text(client: httpx.Client, log: Log) -> None:
    answer = client.post("/sentiment", json={"text": "confidential"})
    line = log.wait_for(path="/sentiment")
    assert line["request_id"] == answer.headers["x-request-id"]
    assert (line["method"], line["status"]) == ("POST", 200)
    assert (line["model"], line["version"]) == ("sentiment", 1)
    assert line["milliseconds"] > 0
    assert "confidential" not in log.text


def test_lines_are_dropped_while_nobody_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    log = logging.getLogger("app")
    with open(read) as reader, open(write, "w") as stderr:
        monkeypatch.setattr("sys.stderr", stderr)
        logs.configure("INFO")
        for _ in range(1000):
            log.info("x" * 1000)  # 64 KiB fit in
        first = [json.loads(reader.readline()) for _ in range(20)]
        log.info("heard")
        stderr.close()
        lines = first + [json.loads(line) for line in reader]
    monkeypatch.undo()
    logs.configure("INFO")
    *written, note, heard = [line["message"] for line in lines]
    assert set(written) == {"x" * 1000}
    assert note == f"nobody read the log: {1000 - len(written)} lines were dropped"
    assert heard == "heard"
