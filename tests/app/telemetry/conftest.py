from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import values

from app.telemetry.sharing import VARIABLE


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in which places can be taken; metrics are those of this process again afterwards."""
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    yield tmp_path
    values.close_all_multiprocess_files()
