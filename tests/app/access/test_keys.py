"""The key file: what it holds, what is refused in it, and how it is changed."""

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from app.access.keys import (
    KEY_BYTES,
    KEY_PREFIX,
    MOST_FILE_BYTES,
    add_client,
    hash_key,
    read_clients,
    revoke_keys,
    rotate_key,
)
from app.errors import KeyFileError

HASH = "0" * 64
KEY = {"sha256": HASH, "created": "2026-11-29T12:00:00Z"}
CLIENT = {"name": "web", "scopes": ["predict"], "keys": [KEY]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_key_is_long_and_random_and_only_its_hash_is_stored(path: Path) -> None:
    keys = {add_client(path, name, ["predict"]) for name in ("web", "app")}
    assert len(keys) == 2
    for key in keys:
        assert key.startswith(KEY_PREFIX) and len(key) - len(KEY_PREFIX) >= KEY_BYTES * 4 / 3
        assert key[len(KEY_PREFIX) :] not in path.read_text()
    assert {hash_key(key.encode()) for key in keys} == {client.keys[0].sha256 for client in read_clients(path)}


def test_a_client_has_its_scopes_and_limits(path: Path) -> None:
    add_client(path, "web", ["predict", "manage"], requests_per_second=2.5, burst=4, texts_per_day=100)
    add_client(path, "app", ["predict"])
    web, app = read_clients(path)
    assert (web.name, web.scopes) == ("web", ("predict", "manage"))
    assert (web.requests_per_second, web.burst, web.texts_per_day) == (2.5, 4, 100)
    assert (app.requests_per_second, app.burst, app.texts_per_day) == (None, None, None)
    assert web.keys[0].created.tzinfo is not None


def test_a_rotated_client_has_both_keys_until_the_old_one_is_revoked(path: Path) -> None:
    keys = [add_client(path, "web", ["predict"]), rotate_key(path, "web")]
    (client,) = read_clients(path)
    assert [key.sha256 for key in client.keys] == [hash_key(key.encode()) for key in keys]
    revoke_keys(path, "web", only_old=True)
    (client,) = read_clients(path)
    assert [key.sha256 for key in client.keys] == [hash_key(keys[1].encode())]


def test_a_revoked_client_is_gone(path: Path) -> None:
    add_client(path, "web", ["predict"])
    add_client(path, "app", ["predict"])
    revoke_keys(path, "web", only_old=False)
    assert [client.name for client in read_clients(path)] == ["app"]


def test_only_the_owner_may_read_a_new_file(path: Path) -> None:
    add_client(path, "web", ["predict"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == [path.name]


def test_a_changed_file_keeps_its_owner_and_its_mode(path: Path) -> None:
    add_client(path, "web", ["predict"])
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 10001, 10001)
    before = path.stat()
    rotate_key(path, "web")
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert after.st_ino != before.st_ino  # it was replaced


def test_a_link_to_the_file_stays_a_link(path: Path) -> None:
    link = path.parent / "link.json"
    link.symlink_to(path)
    add_client(link, "web", ["predict"])
    assert link.is_symlink() and len(read_clients(path)) == 1


def test_changes_at_the_same_time_are_all_kept(path: Path) -> None:
    names = [f"client-{number}" for number in range(8)]
    threads = [threading.Thread(target=add_client, args=[path, name, ["predict"]]) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(client.name for client in read_clients(path)) == names


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ("{", "it is not JSON at line 1, column 1"),
        ("[]", "Input should be an object"),
        ({}, "clients: Field required"),
        ({"clients": [], "client": 1}, "client: Extra inputs are not permitted"),
        ({"clients": [CLIENT, CLIENT | {"name": "Web"}]}, "clients.1.name: 'Web' cannot name a client; use up to 63"),
        ({"clients": [CLIENT | {"name": "a/b"}]}, "clients.0.name: 'a/b' cannot name a client"),
        ({"clients": [CLIENT | {"name": "../web"}]}, "clients.0.name"),
        (
            {"clients": [CLIENT | {"scopes": ["write"]}]},
            "clients.0.scopes.0: Input should be 'predict', 'metrics' or 'manage'",
        ),
        ({"clients": [CLIENT | {"scopes": []}]}, "clients.0.scopes: .*at least 1 item"),
        ({"clients": [CLIENT | {"keys": []}]}, "clients.0.keys: .*at least 1 item"),
        ({"clients": [CLIENT | {"keys": [KEY | {"sha256": "ab"}]}]}, "clients.0.keys.0.sha256: String should match"),
        ({"clients": [CLIENT | {"keys": [KEY | {"created": "2026-11-29T12:00:00"}]}]}, "clients.0.keys.0.created"),
        ({"clients": [CLIENT | {"requests_per_second": 0}]}, "clients.0.requests_per_second: .*greater than"),
        ({"clients": [CLIENT | {"requests_per_second": 1, "burst": 0}]}, "clients.0.burst: .*greater than"),
        ({"clients": [CLIENT | {"texts_per_day": 0}]}, "clients.0.texts_per_day: .*greater than"),
        ({"clients": [CLIENT | {"burst": 5}]}, "clients.0: burst needs requests_per_second"),
        ({"clients": [CLIENT, CLIENT]}, "clients have web twice"),
        ({"clients": [CLIENT, CLIENT | {"name": "app"}]}, f"clients have {HASH} twice"),
    ],
)
def test_an_invalid_file_is_refused_with_the_place_in_it(path: Path, contents: object, message: str) -> None:
    path.write_text(contents if isinstance(contents, str) else json.dumps(contents))
    with pytest.raises(KeyFileError, match=f"^the key file {path} is invalid: .*{message}.*; correct it$"):
        read_clients(path)
    with pytest.raises(KeyFileError, match="is invalid"):
        rotate_key(path, "web")


def test_a_message_about_an_invalid_file_has_no_hash_of_a_key(path: Path) -> None:
    path.write_text(json.dumps({"clients": [CLIENT | {"keys": [KEY | {"sha256": "f" * 63}]}]}))
    with pytest.raises(KeyFileError) as refusal:
        read_clients(path)
    assert "fff" not in str(refusal.value)


def test_the_contents_of_a_file_are_as_good_as_the_file(path: Path) -> None:
    add_client(path, "web", ["predict"])
    assert read_clients(path.read_text()) == read_clients(path)
    with pytest.raises(KeyFileError, match="^the keys of the setting are invalid: .*; correct it$"):
        read_clients("{")


def test_a_missing_file_is_refused_with_the_command_that_makes_one(path: Path) -> None:
    with pytest.raises(KeyFileError, match=f"No such file or directory; make one with: .*--keys {path} keys add NAME"):
        read_clients(path)


@pytest.fixture
def full(path: Path) -> Path:
    """A key file just below the limit, in fewer bytes than the service would write it in."""
    keys = [KEY | {"sha256": f"{number:064x}"} for number in range(30_000)]
    path.write_text(json.dumps({"clients": [CLIENT | {"keys": keys}]}, separators=(",", ":")))
    assert path.stat().st_size < MOST_FILE_BYTES
    return path


def test_a_file_that_would_be_too_large_is_not_written(full: Path) -> None:
    before = full.read_bytes()
    with pytest.raises(KeyFileError, match=f"^the key file {full} would have more than 4,194,304 bytes, .*; remove "):
        rotate_key(full, "web")
    assert full.read_bytes() == before
    revoke_keys(full, "web", only_old=True)
    assert len(read_clients(full)[0].keys) == 1


def test_a_file_past_the_limit_is_refused_and_stays_as_it_is(path: Path) -> None:
    add_client(path, "web", ["predict"])
    path.write_bytes(path.read_bytes() + b" " * MOST_FILE_BYTES)
    message = f"^the key file {path} has more than 4,194,304 bytes, which is the limit; remove clients and keys that "
    with pytest.raises(KeyFileError, match=message):
        read_clients(path)
    with pytest.raises(KeyFileError, match=message):
        add_client(path, "app", ["predict"])
    assert path.stat().st_size > MOST_FILE_BYTES


def test_a_folder_is_no_key_file(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="is not a regular file"):
        read_clients(tmp_path)


def test_a_name_is_taken_once(path: Path) -> None:
    add_client(path, "web", ["predict"])
    with pytest.raises(KeyFileError, match="there is a client web; make a further key for it with: keys rotate web"):
        add_client(path, "web", ["manage"])


def test_a_client_with_an_invalid_limit_is_not_added(path: Path) -> None:
    with pytest.raises(KeyFileError, match="^requests_per_second: Input should be greater than or equal to 0.001$"):
        add_client(path, "web", ["predict"], requests_per_second=0)
    assert not path.exists()


def test_an_unknown_client_is_refused_with_the_known_ones(path: Path) -> None:
    with pytest.raises(KeyFileError, match="there is no client 'app'; there are: none"):
        rotate_key(path, "app")
    add_client(path, "web", ["predict"])
    with pytest.raises(KeyFileError, match="there is no client 'app'; there are: web"):
        revoke_keys(path, "app", only_old=False)


def test_a_file_in_a_missing_folder_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="there is no folder .*none; make it first"):
        add_client(tmp_path / "none" / "keys.json", "web", ["predict"])


def test_a_folder_that_cannot_be_written_is_named() -> None:
    with pytest.raises(KeyFileError, match="the key file /proc/keys-of-a-test.json cannot be written: "):
        add_client(Path("/proc/keys-of-a-test.json"), "web", ["predict"])
