"""The commands for keys, by the command line of the service."""

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.access.keys import hash_key, read_clients
from app.command import make_command
from tests.app.processes import commands
from tests.app.service import ROOT
from tests.conftest import SECONDS

TODAY = datetime.now(UTC).date().isoformat()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def run(path: Path | None, *arguments: str) -> Result:
    """Run `python -m app keys` with arguments, and with a key file if there is one."""
    options = ["--keys", str(path)] if path else []
    return CliRunner().invoke(make_command(), [*options, "keys", *arguments])


def find_hashes(path: Path) -> list[str]:
    return [key.sha256 for client in read_clients(path) for key in client.keys]


def test_a_new_key_is_all_that_is_printed(path: Path) -> None:
    command = commands.make_command("--keys", path, "keys", "add", "web")
    ended = subprocess.run(
        command, cwd=ROOT, env=commands.ENVIRONMENT, capture_output=True, text=True, timeout=SECONDS, check=True
    )
    assert re.fullmatch(r"lstm-serve-[\w-]{43}\n", ended.stdout) and not ended.stderr
    assert find_hashes(path) == [hash_key(ended.stdout.strip().encode())]


UNREADABLE = "error: standard output cannot be written: No space left on device; the keys are as before"


@pytest.mark.parametrize("arguments", [("add", "app"), ("rotate", "web"), ("list",)])
def test_a_key_that_nobody_can_read_is_not_made(
    path: Path, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(path, "add", "web")
    before = path.read_text()
    with Path("/dev/full").open("w") as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as ended:
            make_command()(["--keys", str(path), "keys", *arguments])
    assert ended.value.code == UNREADABLE
    assert path.read_text() == before


def test_a_full_standard_output_is_told_in_one_line(path: Path) -> None:
    command = commands.make_command("--keys", path, "keys", "add", "web")
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            command, cwd=ROOT, env=commands.ENVIRONMENT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=SECONDS
        )
    assert (ended.returncode, ended.stderr) == (1, f"{UNREADABLE}\n")
    assert not path.exists()


def test_a_client_has_the_scopes_and_limits_of_the_options(path: Path) -> None:
    limits = ["--requests-per-second", "2.5", "--burst", "10", "--texts-per-day", "1000"]
    assert run(path, "add", "web", "--scope", "manage", "--scope", "predict", *limits).exit_code == 0
    assert run(path, "add", "app").exit_code == 0
    web, app = read_clients(path)
    assert (web.scopes, web.requests_per_second, web.burst, web.texts_per_day) == (("manage", "predict"), 2.5, 10, 1000)
    assert (app.scopes, app.requests_per_second, app.burst, app.texts_per_day) == (("predict",), None, None, None)


def test_the_list_has_everything_but_keys(path: Path) -> None:
    key = run(path, "add", "web", "--scope", "manage", "--requests-per-second", "2.5", "--burst", "9").stdout.strip()
    run(path, "rotate", "web")
    run(path, "add", "app", "--texts-per-day", "1000")
    listed = run(path, "list")
    assert listed.stdout.splitlines() == [
        f"web  scopes=manage  requests_per_second=2.5  burst=9  keys={TODAY},{TODAY}",
        f"app  scopes=predict  texts_per_day=1000  keys={TODAY}",
    ]
    assert key not in listed.output and hash_key(key.encode()) not in listed.output


def test_a_key_is_rotated_and_the_old_one_revoked(path: Path) -> None:
    keys = [run(path, *arguments).stdout.strip() for arguments in (("add", "web"), ("rotate", "web"))]
    assert find_hashes(path) == [hash_key(key.encode()) for key in keys]
    assert run(path, "revoke", "web", "--old").output == ""
    assert find_hashes(path) == [hash_key(keys[1].encode())]
    assert run(path, "revoke", "web").output == ""
    assert run(path, "list").output == ""


def test_the_file_may_come_from_the_environment(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSTM_SERVE_KEYS", str(path))
    assert run(None, "add", "web").exit_code == 0
    assert len(find_hashes(path)) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list"], "error: the key file .* cannot be read: No such file or directory; make one with: "),
        (["add", "Web"], "error: name: 'Web' cannot name a client; use up to 63 of a-z, 0-9 and -, as in my-site-2"),
        (["add", "web", "--burst", "2"], "error: burst needs requests_per_second"),
        (["add", "web", "--requests-per-second", "-1"], "error: requests_per_second: Input should be greater than"),
        (["rotate", "web"], "error: there is no client 'web'; there are: none"),
        (["revoke", "web"], "error: there is no client 'web'; there are: none"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(path: Path, arguments: list[str], message: str) -> None:
    ended = run(path, *arguments)
    assert ended.exit_code == 1
    assert re.match(message, ended.output) and ended.output.count("\n") == 1
    assert not path.exists()


def test_without_a_file_the_setting_is_named() -> None:
    ended = run(None, "list")
    assert ended.exit_code == 1
    assert (
        ended.output
        == "error: there is no key file; name one: python -m app --keys FILE keys, or LSTM_SERVE_KEYS=FILE\n"
    )


@pytest.mark.parametrize("arguments", [["add"], ["add", "web", "--scope", "write"], ["remove", "web"]])
def test_an_invalid_command_is_refused(path: Path, arguments: list[str]) -> None:
    assert run(path, *arguments).exit_code == 2


def test_the_help_of_a_command_has_its_options(path: Path) -> None:
    text = " ".join(run(path, "add", "--help").output.split())
    for option in (
        "--scope [predict|metrics|manage]",
        "--requests-per-second FLOAT",
        "--burst INTEGER",
        "--texts-per-day INTEGER",
    ):
        assert option in text
