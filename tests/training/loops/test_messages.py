import subprocess
import sys

import pytest

import training
from tests.training.commands.command import ROOT

# As TensorFlow 2.21 writes them; those of the second list must be seen.
CHATTER = [
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "I0000 00:00:1795992198.980463   31392 port.cc:153] oneDNN custom operations are on. You may see",
    "2026-11-29 22:43:18.123456: I tensorflow/core/platform/cpu_feature_guard.cc:210] This TensorFlow binary",
    "To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow with the flags.",
]
ERRORS = [
    "2026-11-29 22:43:18.123456: F tensorflow/core/platform/cpu_feature_guard.cc:110] The TensorFlow library",
    "E0000 00:00:1795992198.980463   31392 port.cc:153] an error",
    "Traceback (most recent call last):",
    "I am told too",
]


def run(body: str) -> subprocess.CompletedProcess[str]:
    script = f"import os, sys\nfrom training.loops.messages import without_chatter\n{body}"
    command = [sys.executable, "-c", script]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_messages_about_the_machine_are_dropped_and_errors_are_not() -> None:
    lines = [line for pair in zip(CHATTER, ERRORS, strict=True) for line in pair]
    result = run(
        f"with without_chatter():\n    for line in {lines!r}: os.write(2, (line + chr(10)).encode())\n"
        f"os.write(2, {CHATTER[0]!r}.encode())"
    )
    assert result.returncode == 0
    assert result.stderr.splitlines() == [*ERRORS, CHATTER[0]]  # which came behind the block


@pytest.mark.parametrize(("end", "status"), [("os.abort()", -6), ("raise ValueError", 1), ("sys.exit('the end')", 1)])
def test_the_last_words_are_seen_however_the_block_ends(end: str, status: int) -> None:
    result = run(f"with without_chatter():\n    os.write(2, b'the last words, ')\n    {end}")
    assert result.returncode == status
    assert result.stderr.startswith("the last words, ")
    assert ("Traceback" in result.stderr) == ("ValueError" in end)


def test_the_package_says_nothing_while_it_is_imported() -> None:
    assert training.__file__
    assert run("import keras").returncode == 0
