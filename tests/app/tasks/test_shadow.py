import asyncio
import re
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from app.runtime.queue import Permit
from app.runtime.repository import Repository
from app.runtime.versions import Model
from app.settings import Settings
from app.tasks.shadow import MOST_AT_ONCE, Labels, Shadow
from app.telemetry import metrics
from app.telemetry.exposition import render
from bundle.store import Store
from tests.app.conftest import Log

_COUNT = re.compile(
    r'^lstm_serve_shadow_inputs_total\{model="next-letter",result="(\w+)",version="1"\} ([\d.]+)$', re.MULTILINE
)


@pytest.fixture
def candidate(small_store: Store, tmp_path: Path) -> Iterator[Model]:
    shutil.copytree(small_store.root / "next-letter", tmp_path / "next-letter")
    repository = Repository(Store(tmp_path), Settings())
    repository.load()
    yield repository.find("next-letter")
    repository.close()


def count() -> Counter[str]:
    metrics.write()
    return Counter({result: int(float(number)) for result, number in _COUNT.findall(render("")[0].decode())})


def run(candidate: Model, ask: Callable[[Model, Permit], Awaitable[Labels]], requests: int) -> Counter[str]:
    """Ask a candidate several times at once; return what was counted."""

    async def ask_all() -> None:
        shadow = Shadow()
        for _ in range(requests):
            shadow.ask(candidate, ask, ["A"])
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0)

    before = count()
    asyncio.run(ask_all())
    return count() - before


def test_requests_past_the_most_at_once_are_skipped(candidate: Model) -> None:
    async def agree(_: Model, __: Permit) -> Labels:
        await asyncio.sleep(0)
        return ["A"]

    assert run(candidate, agree, MOST_AT_ONCE + 3) == {"agrees": MOST_AT_ONCE, "skipped": 3}


def test_an_error_that_nobody_expected_is_counted_and_logged(candidate: Model, log: Log) -> None:
    async def fail(_: Model, __: Permit) -> Labels:
        raise RuntimeError("broken")

    assert run(candidate, fail, 1) == {"failed": 1}
    assert "broken" in log.wait_for(message="the candidate failed")["traceback"]
