import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app import logs

ReadLog = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def read_log(capsys: pytest.CaptureFixture[str]) -> Iterator[ReadLog]:
    """What reads the lines that were logged since it was last asked."""
    logs.configure("INFO")  # to the standard error of this test
    yield lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    with capsys.disabled():
        logs.configure("INFO")  # servers of other tests go on logging
