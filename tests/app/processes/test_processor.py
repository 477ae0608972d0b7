"""What Linux knows of real processes."""

import os
import subprocess
import time

from app.processes.processor import read_use
from tests.conftest import SECONDS


def test_a_process_that_computes_is_busy_and_has_used_a_processor() -> None:
    before = read_use(os.getpid())
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    after = read_use(os.getpid())
    assert before and after and before.is_busy and after.is_busy
    assert 0.05 < after.seconds - before.seconds


def test_a_process_that_sleeps_is_not_busy() -> None:
    with subprocess.Popen(["sleep", str(SECONDS)]) as process:
        end = time.monotonic() + SECONDS
        while (use := read_use(process.pid)) is None or use.is_busy:  # it starts
            assert time.monotonic() < end
        assert use.seconds < 1
        process.kill()


def test_a_process_that_has_ended_is_not_known() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    assert read_use(process.pid) is None
