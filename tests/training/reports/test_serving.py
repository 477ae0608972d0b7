import shlex
from pathlib import Path

import pytest

from bundle.store import Store
from training.reports.serving import describe_serving


@pytest.mark.parametrize(
    ("name", "path", "given"), [("stacked", "next-letter", "sequence"), ("imdb-500", "sentiment", "text")]
)
def test_the_request_is_that_of_the_task_and_names_the_model(
    small_store: Store, name: str, path: str, given: str
) -> None:
    text = describe_serving(small_store.open(name))
    assert "within a second, without a restart" in text
    *_, serving, asking = (shlex.split(line) for line in text.splitlines())
    assert serving == ["python", "-m", "app", "--models", str(small_store.root)]
    assert asking[:3] == ["curl", "-s", f"localhost:8000/{path}"]
    assert f'"{given}": ' in asking[-1] and f'"model": "{name}"' in asking[-1]
    assert Path(serving[-1]).is_dir()
