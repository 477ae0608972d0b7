import json
import logging

import httpx

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
