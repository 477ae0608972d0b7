"""Where the bytes of an output go: a file that gets its name when it is complete, or a pipe or a device."""

import fcntl
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from app.errors import ReaderLeftError, ScoringError
from bundle.errors import explain
from bundle.files import flush

_STREAM_ADVICE = "; it has only a part of the rows, so start anew"
_ADVICE = "; make room, or make it writable, and run the same command again to go on"


class Sink(Protocol):
    """Takes bytes."""

    size: int  # bytes that were written

    def write(self, contents: bytes) -> None:
        """Write bytes.

        Raises:
            ScoringError: they cannot be written, or only some of them.
        """

    def sync(self) -> None:
        """Flush them to the disk."""

    def close(self) -> None:
        """Close it as it is."""


class FileSink:
    """A file with the suffix `.part` until it is published. One process writes it at a time."""

    def __init__(self, path: Path, size: int) -> None:
        """Open the file, and cut it to the bytes that a run before has written for certain.

        Args:
            path: its name when it is complete.
            size: of these bytes.

        Raises:
            ScoringError: it cannot be written, another process writes it, or bytes of it are missing.
        """
        self._part = find_part(path)
        self.size = size
        with explain_errors(self._part):
            self._file = self._part.open("ab", buffering=0)
        try:
            fcntl.flock(self._file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise ScoringError(f"another process writes {self._part}; wait for its end, or end it") from error
        found = os.fstat(self._file.fileno()).st_size
        if found < size:
            self._file.close()
            raise ScoringError(
                f"{self._part} has {found:,} bytes, and a run before wrote {size:,}; restore it, or delete "
                "the file .progress beside the output to start anew"
            )
        self._file.truncate(size)

    def write(self, contents: bytes) -> None:
        """Write bytes: see `Sink.write`."""
        with explain_errors(self._part):
            _write_all(self._file, contents)
        self.size += len(contents)

    def sync(self) -> None:
        """Flush the file: see `Sink.sync`."""
        with explain_errors(self._part):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file: see `Sink.close`."""
        self._file.close()


class StreamSink:
    """Standard output, a pipe or a device, where nothing can be taken back."""

    def __init__(self, path: Path | None) -> None:
        """Open it without a buffer of its own, which would be written only at the end.

        Args:
            path: of it; None for standard output, which may also have a name such as /dev/stdout.

        Raises:
            ScoringError: it cannot be written.
        """
        self._name = str(path or "standard output")
        self.size = 0
        with explain_errors(self._name, _STREAM_ADVICE):
            is_standard = path is None or os.path.samestat(path.stat(), os.fstat(1))
            self._file = io.FileIO(1, "w", closefd=False) if is_standard else io.FileIO(str(path), "w")

    def write(self, contents: bytes) -> None:
        """Write bytes: see `Sink.write`."""
        with explain_errors(self._name, _STREAM_ADVICE):
            _write_all(self._file, contents)
        self.size += len(contents)

    def sync(self) -> None:
        """Do nothing: see `Sink.sync`."""

    def close(self) -> None:
        """Close the file, but not standard output: see `Sink.close`."""
        self._file.close()


def publish(path: Path, convert: Callable[[Path], Path] | None = None) -> None:
    """Give a file its name in one step, once all bytes are in its part; do nothing if a run before did so.

    Args:
        path: its name.
        convert: makes another file of the part first, and returns it.

    Raises:
        ScoringError: it cannot be written.
    """
    part = find_part(path)
    with explain_errors(path):
        if part.exists():
            whole = convert(part) if convert else part
            flush(whole)
            os.replace(whole, path)
            flush(path.parent)
            part.unlink(missing_ok=True)


def find_part(path: Path) -> Path:
    """Return the name of a file until it is complete."""
    return path.with_name(f"{path.name}.part")


@contextmanager
def explain_errors(name: Path | str, advice: str = _ADVICE) -> Iterator[None]:
    """Convert the errors of a file that cannot be written.

    Raises:
        ReaderLeftError: nobody reads the pipe any more.
        ScoringError: there was another one.
    """
    try:
        yield
    except BrokenPipeError as error:
        raise ReaderLeftError(f"nobody reads {name} any more") from error
    except OSError as error:
        raise ScoringError(f"{name} cannot be written ({explain(error)}){advice}") from error


def _write_all(file: io.FileIO, contents: bytes) -> None:
    view = memoryview(contents)
    while view:
        view = view[file.write(view) :]
