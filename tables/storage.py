"""Folders and files of a storage: a path, or an address such as `s3://bucket/folder`; needs pyarrow.

The credentials of an object store are found as its own programs find them: in the environment, or by the machine.
"""

import io
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple

import pyarrow as arrow
from pyarrow import fs

from tables.errors import TableError
from tables.inputs import Input, clear_errors, open_unpacked


class Stored(NamedTuple):
    """A file: its name below the place, its size in bytes, and when it was changed, in nanoseconds."""

    name: str
    size: int
    changed: int


class Storage:
    """A place in a storage: a folder, or one file.

    Attributes:
        location: as it was given.
        system: a `pyarrow.fs.FileSystem`.
    """

    def __init__(self, location: str) -> None:
        """Take a path or an address.

        Raises:
            TableError: there is no such kind of storage.
        """
        self.location = location
        if "://" not in location:
            self.system: Any = fs.LocalFileSystem()
            self._path = str(Path(location).absolute())
            return
        try:
            self.system, self._path = fs.FileSystem.from_uri(location)
        except (OSError, arrow.ArrowException) as error:
            raise TableError(f"{location} cannot be used ({error}); write it such as s3://bucket/folder") from error

    def list(self) -> list[Stored]:
        """Return the files of the folder and its subfolders by their names, or the one file, whose name is empty.

        Files and folders whose names begin with `_` or `.` are left out, as in other programs for Parquet.

        Raises:
            TableError: they cannot be listed.
        """
        with clear_errors(self.location):
            found = self.system.get_file_info(self._path)
            if found.type == fs.FileType.File:
                return [Stored("", found.size, found.mtime_ns or 0)]
            listed = self.system.get_file_info(fs.FileSelector(self._path, recursive=True, allow_not_found=True))
        files = (
            Stored(str(PurePosixPath(one.path).relative_to(self._path)), one.size, one.mtime_ns or 0)
            for one in listed
            if one.type == fs.FileType.File
        )
        return sorted(one for one in files if not any(part[0] in "_." for part in PurePosixPath(one.name).parts))

    def contains(self, other: "Storage") -> bool:
        """Return whether another place is this one, or in it."""
        return self.system.equals(other.system) and PurePosixPath(other._path).is_relative_to(self._path)

    def read(self, name: str) -> bytes | None:
        """Return a file; None if there is none.

        Raises:
            TableError: it cannot be read.
        """
        with clear_errors(self.place(name)):
            try:
                with self.system.open_input_file(self.place(name)) as file:
                    contents: bytes = file.read()
                    return contents
            except FileNotFoundError:
                return None

    def write(self, name: str, contents: bytes) -> None:
        """Write a file in one step: it is there as a whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        place = PurePosixPath(self.place(name))
        part = str(place.with_name(f".{place.name}.{uuid.uuid4().hex}"))  # the same file may be written twice at a time
        self.system.create_dir(str(place.parent), recursive=True)
        with self.system.open_output_stream(part) as file:
            file.write(contents)
        self.system.move(part, str(place))

    def open(self, stored: Stored) -> "StorageInput":
        """Return a file as an input."""
        return StorageInput(self.system, self.place(stored.name), stored.size)

    def place(self, name: str) -> str:
        """Return where a file is in the file system."""
        return f"{self._path}/{name}" if name else self._path


class StorageInput(Input):
    """A file of a storage, which may be read several times."""

    def __init__(self, system: Any, place: str, size: int) -> None:
        """Take the file; nothing is opened before it is needed."""
        super().__init__(place, Path(place))
        self._system = system
        self._place = place
        self._size = size
        self._opened: Any = None

    def __reduce__(self) -> tuple[Any, ...]:  # noqa: D105
        return StorageInput, (self._system, self._place, self._size)  # what is open stays in its process

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
    def open_at_any_place(self) -> Iterator[Any]:
        """Open the file: see `Input.open_at_any_place`."""
        with clear_errors(self.name), self._system.open_input_file(self._place) as file:
            yield file
