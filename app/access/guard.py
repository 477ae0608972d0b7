"""Finds the client of a key, and reads the key file again when it changes.

The supervisor of a service has a guard, too, and each process starts with a copy of it. So a process that starts while
the file is invalid has the keys that were valid last.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from app.access.caller import Caller
from app.access.keys import Client, hash_key, read_clients
from app.access.shares import Shares
from app.access.usage import Usage
from app.errors import KeyFileError, KeyMissingError, KeyUnknownError

# The file is looked at once in this time: by the supervisor always, by the other processes when a request comes.
LOOK_SECONDS = 0.2

logger = logging.getLogger(__name__)


class Guard:
    """Knows the keys in a file, or in the contents of one."""

    def __init__(self, source: Path | str, usage: Usage, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the keys.

        Args:
            source: the file, or its contents, which never change.
            usage: where requests are counted.
            clock: returns the time in seconds.

        Raises:
            KeyFileError: the source cannot be read, or it is invalid.
        """
        self._source = source
        self._shares = Shares(usage, clock)
        self._clock = clock
        self._looks_at = clock() + LOOK_SECONDS
        self._version = self._find_version()
        self._clients = self._read()

    def identify(self, key: bytes | None) -> Caller:
        """Return the client of a key.

        Raises:
            KeyMissingError: there is no key.
            KeyUnknownError: no client has it.
        """
        self.look()
        if key is None:
            raise KeyMissingError(
                "the request has no API key; send it as Authorization: Bearer KEY, or as X-API-Key: KEY"
            )
        # The time of the search depends on hashes only. Even a client who learnt a hash from it could not find the key:
        # the keys are random, so nobody can search for one with this hash.
        client = self._clients.get(hash_key(key))
        if client is None:
            raise KeyUnknownError("the API key is not valid; send a key that the operator gave you and did not revoke")
        return Caller(client, self._shares)

    def look(self) -> None:
        """Read the file again if it has changed; keep the old keys if it is invalid."""
        now = self._clock()
        if now < self._looks_at:
            return
        self._looks_at = now + LOOK_SECONDS
        version = self._find_version()
        if version == self._version:
            return
        self._version = version
        try:
            self._clients = self._read()
        except KeyFileError as error:
            logger.error("the old keys stay valid: %s", error)
        else:
            logger.info("the keys are read again")

    def close(self) -> None:
        """Return what clients have not used of their shares, and close the files in which requests are counted."""
        self._shares.close()

    def _read(self) -> dict[str, Client]:
        """Return the clients by the hashes of their keys."""
        return {key.sha256: client for client in read_clients(self._source) for key in client.keys}

    def _find_version(self) -> tuple[int, ...]:
        """Return numbers that change with the file; none if there is no file."""
        if isinstance(self._source, str):
            return ()
        try:
            found = self._source.stat()
        except OSError:
            return ()
        return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns  # rights change the last one only
