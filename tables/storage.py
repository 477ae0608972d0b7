"""Folders and files of a storage: a path, or an address such as `s3://bucket/folder`; needs pyarrow.

The credentials of an object store are found as its own programs find them: in the environment, or by the machine.
"""

import io
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple

import pyarrow as arrow
from pyarrow import fs

from tables.errors import TableError
from tables.inputs import Input, clear_errors, open_unpacked

_UNFINISHED = ".unfinished"
_CREDENTIALS = re.compile(r"//[^/@]*@")
_SECOND = 10**9  # nanoseconds


class Stored(NamedTuple):
    """A file: its name below the place, its size in bytes, and when it was changed, in nanoseconds since 1970."""

    name: str
    size: int
    modified_ns: int


class Storage:
    """A place in a storage: a folder, or one file.

    Attributes:
        location: an absolute path, or the address.
        name: for messages: the location without a password.
        system: a `pyarrow.fs.FileSystem`.
    """

    def __init__(self, location: str) -> None:
        """Take a path or an address.

        Raises:
            TableError: there is no such kind of storage.
        """
        if "://" not in location:
            self.system: Any = fs.LocalFileSystem()
            self.location = self.name = self._path = str(Path(location).absolute())
            return
        self.location = location
        self.name = _CREDENTIALS.sub("//", location).rstrip("/")
        try:
            self.system, path = _find_system(location)
        except (OSError, arrow.ArrowException) as error:
            raise TableError(f"{self.name} cannot be used ({error}); write it such as s3://bucket/folder") from error
        self._path = path.rstrip("/")

    def list(self) -> list[Stored]:
        """Return the files of the folder and its subfolders by their names, or the one file, whose name is empty.

        Files and folders whose names begin with `_` or `.` are left out, as in other programs for Parquet.

        Raises:
            TableError: they cannot be listed.
        """
        with clear_errors(self.name):
            found = self.system.get_file_info(self._path)
            if found.type == fs.FileType.File:
                return [self._describe("", found)]
            listed = self.system.get_file_info(fs.FileSelector(self._path, recursive=True, allow_not_found=True))
        files = (
            self._describe(str(PurePosixPath(one.path).relative_to(self._path)), one)
            for one in listed
            if one.type == fs.FileType.File
        )
        return sorted(one for one in files if not any(part[0] in "_." for part in PurePosixPath(one.name).parts))

    def look(self, name: str) -> Stored | None:
        """Return what a file is now; None if it is gone.

        Raises:
            TableError: it cannot be found out.
        """
        with clear_errors(self.show(name)):
            found = self.system.get_file_info(self._place(name))
        return self._describe(name, found) if found.type == fs.FileType.File else None

    def contains(self, other: "Storage") -> bool:
        """Return whether another place is this one, or in it; links of the file system are followed."""
        return self.system.equals(other.system) and other._resolve().is_relative_to(self._resolve())

    def create(self) -> None:
        """Make the folder, if this is a file system; an object store needs none.

        Raises:
            OSError: it cannot be made.
        """
        if self._is_local:
            Path(self._path).mkdir(parents=True, exist_ok=True)

    def read(self, name: str) -> bytes | None:
        """Return a file; None if there is none.

        Raises:
            TableError: it cannot be read.
        """
        with clear_errors(self.show(name)):
            try:
                with self.system.open_input_file(self._place(name)) as file:
                    contents: bytes = file.read()
                    return contents
            except (FileNotFoundError, NotADirectoryError):
                return None

    def write(self, name: str, contents: bytes) -> None:
        """Write a file of the folder in one step: it is there as a whole or not at all.

        An object store does so by itself.

        Raises:
            OSError: it cannot be written.
        """
        if not self._is_local:
            with self.system.open_output_stream(self._place(name)) as stream:
                stream.write(contents)
            return
        # The same file may be written twice at a time.
        part = Path(self._path) / f".{name}.{uuid.uuid4().hex}{_UNFINISHED}"
        with part.open("wb") as file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._place(name))

    def remove(self, name: str) -> None:
        """Remove a file, if it is there.

        Raises:
            OSError: it cannot be removed.
        """
        with suppress(FileNotFoundError):
            self.system.delete_file(self._place(name))

    def remove_unfinished(self) -> None:
        """Remove what processes have left that ended while they wrote files of the folder.

        Raises:
            OSError: it cannot be removed.
        """
        if self._is_local:
            for path in Path(self._path).glob(f".*{_UNFINISHED}"):
                path.unlink(missing_ok=True)

    def open(self, stored: Stored) -> "StorageInput":
        """Return a file as an input."""
        return StorageInput(self.show(stored.name), self.system, self._place(stored.name), stored.size)

    def show(self, name: str) -> str:
        """Return where a file is, for messages."""
        return f"{self.name}/{name}" if name else self.name

    @property
    def _is_local(self) -> bool:
        return isinstance(self.system, fs.LocalFileSystem)

    def _place(self, name: str) -> str:
        """Return where a file is in the file system."""
        return f"{self._path}/{name}" if name else self._path

    def _resolve(self) -> PurePosixPath:
        return PurePosixPath(Path(self._path).resolve() if self._is_local else self._path)

    def _describe(self, name: str, found: Any) -> Stored:
        modified = found.mtime_ns or 0
        # Object stores tell milliseconds in a list and seconds of one file.
        return Stored(name, found.size, modified if self._is_local else modified - modified % _SECOND)


@cache
def _find_system(location: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path in it. To connect to an object store takes a request."""
    system, path = fs.FileSystem.from_uri(location)
    return system, path


class StorageInput(Input):
    """A file of a storage, which may be read several times."""

    def __init__(self, name: str, system: Any, place: str, size: int) -> None:
        """Take the file, and its name for messages; nothing is opened before it is needed."""
        super().__init__(name, Path(place))
        self._system = system
        self._place = place
        self._size = size
        self._opened: Any = None

    def __reduce__(self) -> tuple[Any, ...]:  # noqa: D105
        return StorageInput, (self.name, self._system, self._place, self._size)  # what is open stays in its process

    @property
    def share(self) -> float | None:
        """The share of the file that has been read: see `Input.share`."""
        is_open = self._opened and not self._opened.closed
        return self._opened.tell() / self._size if is_open and self._size else None

    @contextmanager
    def open(self) -> Iterator[io.BufferedReader]:
        """Open the file: see `Input.open`."""
        with clear_errors(self.name), self._system.open_input_file(self._place) as file:
            with io.BufferedReader(file, 1 << 20) as buffered, open_unpacked(buffered) as unpacked:
                self._opened = file
                yield unpacked

    def open_start(self) -> AbstractContextManager[BinaryIO]:
        """Open the file: see `Input.open_start`."""
        return self.open()

    @contextmanager
    def open_seekable(self) -> Iterator[Any]:
        """Open the file: see `Input.open_seekable`."""
        with clear_errors(self.name), self._system.open_input_file(self._place) as file:
            yield file
