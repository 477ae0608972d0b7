"""The limits of a bundle's size. Without them a small archive could fill the memory of the process that opens it."""

import io
import zipfile
from pathlib import Path

from bundle.errors import SizeError
from bundle.files import open_file

# All files of a bundle together, archives unpacked: over 100 times the largest bundle of this repository. It is enough
# for the vectors of 400,000 words with 300 numbers each, once in the Keras file and once beside the ONNX file.
MOST_BUNDLE_BYTES = 1 << 30
# 400,000 words have 4 MB. In memory a word takes up to 100 bytes more.
MOST_VOCABULARY_BYTES = 16 << 20
# The list of files of an archive: each entry takes ten times as much in memory. A Keras file has three entries.
MOST_DIRECTORY_BYTES = 1 << 20

_ARCHIVE = ".keras"
_REMEDY = "train a smaller network; do not serve a bundle of unknown origin"


def check_size(path: Path, before: int) -> int:
    """Return the bytes of a bundle with one more file, unpacked.

    Args:
        path: the file.
        before: the bytes of the files before it.

    Raises:
        OSError: it cannot be read; see `open_file`.
        SizeError: the bundle has more bytes than the limit.
    """
    with open_file(path) as file:
        size = file.seek(0, io.SEEK_END)
    if path.suffix == _ARCHIVE:
        size = max(size, _count_unpacked_bytes(path))
    if before + size > MOST_BUNDLE_BYTES:
        raise SizeError(
            f"{path} has {size:,} bytes unpacked, and the files before it have {before:,}; the limit is "
            f"{MOST_BUNDLE_BYTES:,} for all files of a bundle together: {_REMEDY}"
        )
    return before + size


def _count_unpacked_bytes(path: Path) -> int:
    """Return how many bytes the files in an archive have; 0 if it is no archive, which Keras refuses to load."""
    try:
        # The sizes are those that the archive lists. Python never unpacks more of a file than its listed size.
        with _Directory(open_file(path).detach()) as file, zipfile.ZipFile(file) as archive:
            return sum(entry.file_size for entry in archive.infolist())
    except _LongDirectoryError:
        raise SizeError(
            f"{path} lists its files in more than {MOST_DIRECTORY_BYTES:,} bytes, which is the limit: {_REMEDY}"
        ) from None
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return 0


class _LongDirectoryError(Exception):
    """The list of files of an archive is too long."""


class _Directory(io.BufferedReader):
    """An archive. On opening, `zipfile` reads only one long part of it, the list of files, and in one call."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read."""
        if size is not None and size > MOST_DIRECTORY_BYTES:
            raise _LongDirectoryError
        return super().read(size)
