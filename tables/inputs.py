"""Where the bytes of a table come from: a file, or a pipe. Both are unpacked if they are compressed by gzip."""

import gzip
import io
import os
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from tables.errors import TableError, unreadable

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

START = 1 << 20  # bytes of a pipe that are kept to find its format and its columns

_GZIP = b"\x1f\x8b"
_GZIP_SUFFIX = ".gz"


class Input(ABC):
    """Bytes that can be read from the start.

    Attributes:
        name: for messages.
        path: of a file; None of a pipe.
        suffix: of the file's name without `.gz`, in lower case; empty if there is none.
    """

    def __init__(self, name: str, path: Path | None) -> None:
        """Take what the attributes say."""
        self.name = name
        self.path = path
        self.suffix = Path(path.name.lower().removesuffix(_GZIP_SUFFIX)).suffix if path else ""

    @property
    def share(self) -> float | None:
        """The share of the bytes that has been read since `open`; None if it is not known."""
        return None

    @abstractmethod
    def open_start(self) -> AbstractContextManager[BinaryIO]:
        """Open the first bytes, at least as many as show format and columns; as often as needed.

        Raises:
            TableError: they cannot be read, also later while they are open.
        """

    @abstractmethod
    def open(self) -> AbstractContextManager[io.BufferedReader]:
        """Open all bytes, unpacked; those of a pipe only once.

        Raises:
            TableError: they cannot be read, also later while they are open.
        """

    @abstractmethod
    def open_seekable(self) -> AbstractContextManager[Any]:
        """Give what pyarrow reads at any place, as Parquet needs: a path, or an open file.

        Raises:
            TableError: it can only be read from the start to the end.
        """

    def read_start(self, count: int = 1024) -> bytes:
        """Return the first bytes."""
        with self.open_start() as file:
            return file.read(count)


class FileInput(Input):
    """A file, which may be read several times."""

    def __init__(self, path: Path) -> None:
        """Take the path; nothing is opened before it is needed."""
        super().__init__(str(path), path)
        self._path = path
        self._opened: io.BufferedReader | None = None
        self._size = 0

    @property
    def share(self) -> float | None:
        """The share of the file that has been read: see `Input.share`."""
        is_open = self._opened and not self._opened.closed
        return self._opened.tell() / self._size if self._opened and is_open and self._size else None

    @contextmanager
    def open(self) -> Iterator[io.BufferedReader]:
        """Open the file: see `Input.open`."""
        with clear_errors(self.name), self._path.open("rb") as file, open_unpacked(file) as unpacked:
            self._opened, self._size = file, os.fstat(file.fileno()).st_size
            yield unpacked

    def open_start(self) -> AbstractContextManager[BinaryIO]:
        """Open the file: see `Input.open_start`."""
        return self.open()

    def open_seekable(self) -> AbstractContextManager[Any]:
        """Give the path: see `Input.open_seekable`."""
        return nullcontext(self._path)


class PipeInput(Input):
    """A pipe, which can be read only once; its start is kept."""

    def __init__(self, file: io.BufferedReader, name: str = "standard input") -> None:
        """Read the start.

        Raises:
            TableError: it cannot be read.
        """
        super().__init__(name, None)
        with clear_errors(name):
            self._file = open_unpacked(file)
            self._start = self._file.read(START)

    @contextmanager
    def open_start(self) -> Iterator[BinaryIO]:
        """Open the start: see `Input.open_start`."""
        yield io.BytesIO(self._start)

    @contextmanager
    def open(self) -> Iterator[io.BufferedReader]:
        """Open the start and the rest: see `Input.open`."""
        with clear_errors(self.name), _buffer(_Joined(self._start, self._file)) as joined:
            self._start = b""
            yield joined

    def open_seekable(self) -> AbstractContextManager[Any]:
        """Refuse: see `Input.open_seekable`."""
        raise TableError(f"{self.name} is Parquet, which cannot be read from a pipe; write it to a file")


class _Joined(io.RawIOBase):
    """Bytes that were read before, and the rest of their file."""

    def __init__(self, start: bytes, rest: BinaryIO) -> None:
        self._start = memoryview(start)
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)
        read: memoryview | bytes = self._start[: len(view)] or self._rest.read(len(view))
        self._start = self._start[len(read) :]
        view[: len(read)] = read
        return len(read)


def open_unpacked(file: io.BufferedReader) -> io.BufferedReader:
    """Return a file, unpacked if it is compressed by gzip."""
    if file.peek(len(_GZIP))[: len(_GZIP)] != _GZIP:
        return file
    return _buffer(cast(io.RawIOBase, gzip.GzipFile(fileobj=file)))


def _buffer(file: io.RawIOBase) -> io.BufferedReader:
    return io.BufferedReader(file)


@contextmanager
def clear_errors(name: str) -> Iterator[None]:
    """Convert the errors of an input that cannot be read.

    Raises:
        TableError: there was one.
    """
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(name, error) from error
