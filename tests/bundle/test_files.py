import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bundle.errors import SizeError
from bundle.files import hash_file, read_file


def test_the_hash_of_a_file_is_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert hash_file(tmp_path / "file") == expected


def test_a_link_to_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_file(tmp_path / "link") == b"abc"


def test_a_file_past_the_limit_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(1001))
    with pytest.raises(SizeError, match="file has more than 1,000 bytes, which is the limit for such a file; restore"):
        read_file(tmp_path / "file", 1000)


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
@pytest.mark.parametrize("read", [hash_file, read_file])
def test_what_might_never_end_is_not_read(
    tmp_path: Path, make: Callable[[Path], object], read: Callable[[Path], object]
) -> None:
    make(tmp_path / "file")
    with pytest.raises(OSError, match="it is not a regular file"):
        read(tmp_path / "file")
