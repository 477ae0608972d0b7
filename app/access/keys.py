"""The API keys: the clients of the service, in a JSON file with hashes of their keys.

A key is made of 32 random bytes. Nobody can guess one, even with a fast hash. So the hash is SHA-256; the slow hashes
for passwords would only make every request slower.
"""

import hashlib
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from app.errors import KeyFileError
from app.files import lock_folder, replace_file
from bundle.errors import SizeError, explain
from bundle.files import read_file

# Programs that look for secrets in repositories and logs can find a key by this beginning.
KEY_PREFIX = "lstm-serve-"
KEY_BYTES = 32
# Of the key file: more than 10,000 clients. Their keys are read in the thread of the event loop.
MOST_FILE_BYTES = 4 << 20

_TOO_LARGE = f"more than {MOST_FILE_BYTES:,} bytes, which is the limit; remove clients and keys that nobody uses"

Scope = Literal["predict", "metrics", "manage"]
Show = Callable[[str], object]  # gets a new key before the file changes; if it fails, the file stays as it is


def _check_name(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", name):  # also the name of a file: see `Usage`
        raise ValueError(f"{name!r} cannot name a client; use up to 63 of a-z, 0-9 and -, as in my-site-2")
    return name


class Key(BaseModel):
    """One key of a client."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    created: AwareDatetime


class Client(BaseModel):
    """Who uses the service: what it may do, how much, and its keys, the newest last."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, AfterValidator(_check_name)]
    scopes: tuple[Scope, ...] = Field(min_length=1)
    requests_per_second: float | None = Field(default=None, ge=0.001, le=100_000)
    burst: int | None = Field(default=None, ge=1, le=100_000, description="Requests at once; by default of one second.")
    texts_per_day: int | None = Field(default=None, ge=1, le=10**12)
    keys: tuple[Key, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _burst_has_a_rate(self) -> Self:
        if self.burst and not self.requests_per_second:
            raise ValueError("burst needs requests_per_second")
        return self

    def may(self, scope: Scope) -> bool:
        """Return whether it has a scope; `predict` includes `metrics`."""
        return scope in self.scopes or (scope == "metrics" and "predict" in self.scopes)


class _KeyFile(BaseModel):
    """The contents of the file."""

    model_config = ConfigDict(extra="forbid")

    clients: tuple[Client, ...]

    @model_validator(mode="after")
    def _names_and_hashes_differ(self) -> Self:
        names = Counter(client.name for client in self.clients)
        hashes = Counter(key.sha256 for client in self.clients for key in client.keys)
        if twice := [value for value, count in (names + hashes).items() if count > 1]:
            raise ValueError(f"clients have {twice[0]} twice")
        return self


def hash_key(key: bytes) -> str:
    """Return the SHA-256 of a key, in hexadecimal."""
    return hashlib.sha256(key).hexdigest()


def read_clients(source: Path | str) -> tuple[Client, ...]:
    """Return the clients in a file, or in the contents of one.

    Raises:
        KeyFileError: it cannot be read, or its contents are invalid.
    """
    try:
        contents = read_file(source, MOST_FILE_BYTES) if isinstance(source, Path) else source
        return _KeyFile.model_validate_json(contents).clients
    except OSError as error:
        raise KeyFileError(
            f"the key file {source} cannot be read: {explain(error)}; make one with: "
            f"python -m app --keys {source} keys add NAME"
        ) from error
    except SizeError as error:
        raise KeyFileError(f"the key file {source} has {_TOO_LARGE}") from error
    except ValidationError as error:
        whole = f"the key file {source} is" if isinstance(source, Path) else "the keys of the setting are"
        raise KeyFileError(f"{whole} invalid: {explain(error)}; correct it") from error


def add_client(
    path: Path,
    name: str,
    scopes: Sequence[Scope],
    requests_per_second: float | None = None,
    burst: int | None = None,
    texts_per_day: int | None = None,
    show: Show | None = None,
) -> str:
    """Add a client to a file, which is made if there is none, and return its first key.

    Raises:
        KeyFileError: the file has a client of this name, a value is invalid, or the file cannot be read or written.
    """
    key, made = _make_key()
    with _change(path) as clients:
        if name in clients:
            raise KeyFileError(f"there is a client {name}; make a further key for it with: keys rotate {name}")
        try:
            clients[name] = Client(
                name=name,
                scopes=tuple(scopes),
                requests_per_second=requests_per_second,
                burst=burst,
                texts_per_day=texts_per_day,
                keys=(made,),
            )
        except ValidationError as error:
            raise KeyFileError(explain(error)) from error
        if show:
            show(key)
    return key


def rotate_key(path: Path, name: str, show: Show | None = None) -> str:
    """Add a key to a client and return it; the other keys of the client stay valid.

    Raises:
        KeyFileError: there is no such client, or the file cannot be read or written.
    """
    key, made = _make_key()
    with _change(path) as clients:
        client = _find(clients, name)
        clients[name] = client.model_copy(update={"keys": (*client.keys, made)})
        if show:
            show(key)
    return key


def revoke_keys(path: Path, name: str, only_old: bool) -> None:
    """Remove a client, or only its keys before the newest one.

    Raises:
        KeyFileError: there is no such client, or the file cannot be read or written.
    """
    with _change(path) as clients:
        client = _find(clients, name)
        if only_old:
            clients[name] = client.model_copy(update={"keys": client.keys[-1:]})
        else:
            del clients[name]


def _make_key() -> tuple[str, Key]:
    """Return a new key, and its entry in the file."""
    key = KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)
    return key, Key(sha256=hash_key(key.encode()), created=datetime.now(UTC).replace(microsecond=0))


def _find(clients: dict[str, Client], name: str) -> Client:
    if name not in clients:
        raise KeyFileError(f"there is no client {name!r}; there are: {', '.join(clients) or 'none'}")
    return clients[name]


@contextmanager
def _change(path: Path) -> Iterator[dict[str, Client]]:
    """Give the clients of a file by name, and write what the block has made of them."""
    path = path.resolve()  # a link stays a link
    if not path.parent.is_dir():
        raise KeyFileError(f"there is no folder {path.parent}; make it first")
    try:
        with lock_folder(path.parent):
            clients = {client.name: client for client in read_clients(path)} if path.exists() else {}
            yield clients
            text = _KeyFile(clients=tuple(clients.values())).model_dump_json(indent=2, exclude_none=True) + "\n"
            if len(text.encode()) > MOST_FILE_BYTES:
                raise KeyFileError(f"the key file {path} would have {_TOO_LARGE}")
            replace_file(path, text, 0o600)
    except OSError as error:
        raise KeyFileError(f"the key file {path} cannot be written: {error.strerror}") from error
