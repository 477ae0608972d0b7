"""The guard: whose key it is, and what happens when the key file changes."""

import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.access.guard import LOOK_SECONDS, Guard
from app.access.keys import MOST_FILE_BYTES, add_client, revoke_keys, rotate_key
from app.access.usage import Usage
from app.errors import KeyFileError, KeyMissingError, KeyUnknownError
from tests.app.conftest import Log


class Clock:
    """A clock that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Watched:
    """A guard of a file with the client `web`."""

    def __init__(self, path: Path, usage: Usage) -> None:
        self.path = path
        self.clock = Clock()
        self.key = add_client(path, "web", ["predict"]).encode()
        self.guard = Guard(path, usage, self.clock)

    def find_name(self, key: bytes) -> str:
        """Return the name of the client of a key, after the time in which the file is looked at once."""
        self.clock.now += LOOK_SECONDS
        return self.guard.identify(key).name


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    usage = Usage(None)
    yield Watched(tmp_path / "keys.json", usage)
    usage.close()


def test_a_key_has_its_client(watched: Watched) -> None:
    assert watched.guard.identify(watched.key).name == "web"


def test_keys_may_be_the_contents_of_a_file(watched: Watched) -> None:
    guard = Guard(watched.path.read_text(), Usage(None), watched.clock)
    watched.path.unlink()
    watched.clock.now += LOOK_SECONDS
    assert guard.identify(watched.key).name == "web"


def test_a_request_without_a_key_is_refused(watched: Watched) -> None:
    with pytest.raises(KeyMissingError, match="Authorization: Bearer KEY, or as X-API-Key: KEY") as refusal:
        watched.guard.identify(None)
    assert refusal.value.headers == {"www-authenticate": 'Bearer realm="lstm-serve"'}


@pytest.mark.parametrize("change", [lambda key: key[:0], lambda key: key[:-1], lambda key: key + b"a", bytes.upper])
def test_a_wrong_key_is_refused_and_not_repeated(watched: Watched, change: Callable[[bytes], bytes]) -> None:
    wrong = change(watched.key)
    with pytest.raises(KeyUnknownError) as refusal:
        watched.guard.identify(wrong)
    assert refusal.value.headers["www-authenticate"].endswith('error="invalid_token"')
    assert not wrong or wrong.decode() not in str(refusal.value)


def test_a_hash_is_not_a_key(watched: Watched) -> None:
    (sha256,) = (line.split('"')[3] for line in watched.path.read_text().splitlines() if "sha256" in line)
    with pytest.raises(KeyUnknownError):
        watched.guard.identify(sha256.encode())


def test_a_changed_file_is_read_again(watched: Watched) -> None:
    other = add_client(watched.path, "app", ["predict"]).encode()
    with pytest.raises(KeyUnknownError):
        watched.guard.identify(other)  # the file is not looked at for every request
    assert watched.find_name(other) == "app"
    assert watched.find_name(watched.key) == "web"


def test_a_rotated_key_is_valid_until_it_is_revoked(watched: Watched) -> None:
    new = rotate_key(watched.path, "web").encode()
    assert watched.find_name(new) == watched.find_name(watched.key) == "web"
    revoke_keys(watched.path, "web", only_old=True)
    assert watched.find_name(new) == "web"
    with pytest.raises(KeyUnknownError):
        watched.find_name(watched.key)


def test_nobody_may_pass_when_the_last_client_is_revoked(watched: Watched) -> None:
    revoke_keys(watched.path, "web", only_old=False)
    with pytest.raises(KeyUnknownError):
        watched.find_name(watched.key)


def test_the_old_keys_stay_while_the_file_is_invalid_or_gone(watched: Watched, log: Log) -> None:
    good = watched.path.read_text()
    watched.path.write_text("{")
    for _ in range(3):
        assert watched.find_name(watched.key) == "web"
    watched.path.write_text(good + " " * MOST_FILE_BYTES)
    assert watched.find_name(watched.key) == "web"
    watched.path.unlink()
    assert watched.find_name(watched.key) == "web"
    why = log.wait_for(level="ERROR")["message"]
    assert why.startswith(f"the old keys stay valid: the key file {watched.path} is invalid: it is not JSON at line")
    assert f"{watched.path} has more than 4,194,304 bytes" in log.wait_for(level="ERROR")["message"]
    assert "cannot be read: No such file" in log.wait_for(level="ERROR")["message"]  # each is logged once
    watched.path.write_text(good)
    assert watched.find_name(watched.key) == "web"
    log.wait_for(message="the keys are read again")
    assert watched.key.decode() not in log.text


def test_a_change_of_the_rights_of_the_file_is_seen(watched: Watched) -> None:
    other = add_client(watched.path, "app", ["predict"]).encode()
    good, found = watched.path.read_bytes(), watched.path.stat()
    watched.path.write_bytes(good.replace(b'"app"', b'"App"'))  # unfit, as a file that may not be read
    os.utime(watched.path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert watched.find_name(watched.key) == "web"
    with pytest.raises(KeyUnknownError):
        watched.find_name(other)
    before = watched.path.stat()
    after = before
    while after.st_ctime_ns == before.st_ctime_ns:  # the clock of a file system is coarse
        watched.path.write_bytes(good)
        os.utime(watched.path, ns=(found.st_atime_ns, found.st_mtime_ns))
        after = watched.path.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)  # as after chmod
    assert watched.find_name(other) == "app"


def test_a_process_that_starts_while_the_file_is_invalid_has_the_keys_that_were_valid_last(
    watched: Watched, log: Log
) -> None:
    revoked = add_client(watched.path, "app", ["predict"]).encode()
    assert watched.find_name(revoked) == "app"
    revoke_keys(watched.path, "app", only_old=False)
    watched.clock.now += LOOK_SECONDS
    watched.guard.look()
    good = watched.path.read_text()
    watched.path.write_text("{")
    watched.clock.now += LOOK_SECONDS
    watched.guard.look()
    log.wait_for(level="ERROR")
    started = pickle.loads(pickle.dumps(watched.guard))
    assert started.identify(watched.key).name == "web"
    with pytest.raises(KeyUnknownError):
        started.identify(revoked)
    watched.path.write_text(good)
    watched.clock.now += LOOK_SECONDS
    watched.guard.look()
    log.wait_for(message="the keys are read again")
    started.close()


@pytest.mark.parametrize("contents", [None, "{"])
def test_it_cannot_start_without_a_valid_file(tmp_path: Path, contents: str | None) -> None:
    if contents:
        (tmp_path / "keys.json").write_text(contents)
    with pytest.raises(KeyFileError):
        Guard(tmp_path / "keys.json", Usage(None))
