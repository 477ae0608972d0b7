import gzip
from pathlib import Path

import numpy as np
import pytest

from bundle.files import hash_file
from bundle.symbols import SymbolCodec
from training.data import sequences
from training.data.sequences import SequenceFile
from training.errors import DataError

AB = SymbolCodec(alphabet="ab ", length=4)


def write(folder: Path, contents: bytes | str, name: str = "lines.txt") -> Path:
    path = folder / name
    path.write_bytes(contents.encode() if isinstance(contents, str) else contents)
    return path


def read_texts(file: SequenceFile, codec: SymbolCodec = AB) -> list[str]:
    """Return the sequences as texts."""
    text = "".join(codec.alphabet[id_ - 1] for id_ in file.sequences.ids)
    starts = file.sequences.starts.tolist()
    return [text[start:end] for start, end in zip(starts, starts[1:], strict=False)]


@pytest.mark.parametrize(
    "contents",
    [b"ab\nba a\n", b"ab\r\nba a\r\n", b"\xef\xbb\xbfab\nba a", gzip.compress(b"ab\nba a\n")],
    ids=["plain", "CRLF", "BOM", "gzip"],
)
def test_a_file_has_one_sequence_a_line(tmp_path: Path, contents: bytes) -> None:
    path = write(tmp_path, contents)
    file = sequences.read(path, AB, skip_bad=False)
    assert read_texts(file) == ["ab", "ba a"]
    assert file.sequences.ids.dtype == np.uint8
    assert (len(file.sequences), file.sequences.lengths.tolist()) == (2, [2, 4])
    assert file.sha256 == hash_file(path)
    assert file.describe() == "2 lines with 6 characters"


def test_what_is_odd_is_counted(tmp_path: Path) -> None:
    path = write(tmp_path, b"ab\n\n  \nb\nab\naxb\na\xff\nab\n a\n")
    file = sequences.read(path, AB, skip_bad=True)
    assert read_texts(file) == ["ab", "ab", "ab", " a"]
    assert (file.blank, file.short, file.skipped, file.repeated) == (2, 1, 2, 2)
    assert file.describe() == (
        "4 lines with 8 characters; 2 blank lines left out; 1 lines of one character left out; 2 bad lines left out; "
        "2 lines repeat an earlier one"
    )


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (
            b"ab\naxb\n",
            r"lines.txt, line 2: 'x' \(U\+0078\) at position 1 .* not in the alphabet 'ab '; .*--skip-bad-rows",
        ),
        (b"ab\n\na\xff\n", "lines.txt, line 3 is not UTF-8 at byte 1 .the first is 0.; .* --skip-bad-rows"),
        (b"a\n\nb\n", "lines.txt has no line of two characters or more"),
        (b"", "lines.txt has no line of two characters or more"),
        (b"\x1f\x8bab", "lines.txt cannot be read .*; --data takes a text file or a .gz of one"),
        (gzip.compress(b"ab\n" * 100_000)[:-20], "lines.txt cannot be read after line .*; --data takes a text file"),
        (b"ab\n" + b"a" * (16 << 20) + b"\n", "lines.txt, line 2 has more than 16 MiB; break it into lines"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, contents: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        sequences.read(write(tmp_path, contents), AB, skip_bad=False)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none.txt cannot be read .No such file or directory."):
        sequences.find_alphabet(tmp_path / "none.txt", fold_case=False, skip_bad=False)


def test_the_characters_of_a_file_are_its_alphabet(tmp_path: Path) -> None:
    path = write(tmp_path, "ΒΑ α\nαe\u0301\n" + "α" * 20_000)
    found = sequences.find_alphabet(path, fold_case=False, skip_bad=False)
    assert found.characters == " éΑΒα"
    assert [character for character, _ in found.rare] == [" ", "é", "Α", "Β"]
    assert found.describe_rare().startswith("' ' (U+0020) 1 times, 'é' (U+00E9) 1 times")
    assert sequences.find_alphabet(path, fold_case=True, skip_bad=False).characters == " éαβ"


def test_many_rare_characters_are_counted(tmp_path: Path) -> None:
    rare = "".join(chr(0x4E00 + number) for number in range(30))
    found = sequences.find_alphabet(write(tmp_path, rare + "a" * 400_000), fold_case=False, skip_bad=False)
    assert found.describe_rare().endswith(" and 10 more")


def test_too_many_characters_are_refused_with_advice(tmp_path: Path) -> None:
    path = write(tmp_path, "".join(chr(0x4E00 + number) for number in range(400)))
    with pytest.raises(DataError, match=r"400 different .* are 50.00% of the text: .*--alphabet.*--fold-case"):
        sequences.find_alphabet(path, fold_case=False, skip_bad=False)
    with pytest.raises(DataError, match="--skip-bad-rows$"):
        sequences.find_alphabet(path, fold_case=True, skip_bad=False)


@pytest.mark.parametrize(("contents", "found"), [("aaa\naa\n", r"only the character 'a' \(U\+0061\)"), ("", "no char")])
def test_too_few_characters_are_refused(tmp_path: Path, contents: str, found: str) -> None:
    with pytest.raises(DataError, match=f"has {found}.*needs at least 2"):
        sequences.find_alphabet(write(tmp_path, contents), fold_case=False, skip_bad=False)


def test_bytes_that_are_not_utf_8_can_be_left_out_of_the_alphabet(tmp_path: Path) -> None:
    path = write(tmp_path, b"ab\nc\xff\n")
    assert sequences.find_alphabet(path, fold_case=False, skip_bad=True).characters == "ab"


def test_a_codec_is_made_of_a_valid_alphabet() -> None:
    codec = sequences.make_codec("ae\u0301", fold_case=True, length=7)
    assert (codec.alphabet, codec.fold_case, codec.length) == ("aé", True, 7)
    with pytest.raises(DataError, match=r"^'a' \(U\+0061\) is twice in the alphabet; correct --alphabet$"):
        sequences.make_codec("aa", fold_case=False, length=7)


def test_lines_are_held_out_by_their_contents(tmp_path: Path) -> None:
    texts = [f"{number:011b}".replace("0", "a").replace("1", "b") for number in range(2000)]
    read = [
        sequences.read(write(tmp_path, "\n".join(lines)), AB, skip_bad=False).sequences
        for lines in (texts, [*reversed(texts), *texts])
    ]
    held_out, again = (sequences.hold_out(each, 0.1) for each in read)
    assert 150 < held_out.sum() < 250
    assert np.array_equal(again, np.concatenate([held_out[::-1], held_out]))
    other = sequences.hold_out(read[0], 0.1, bits=1)
    assert 150 < other.sum() < 250 and 5 < (other & held_out).sum() < 50
    assert sequences.hold_out(read[0], 1).all() and not sequences.hold_out(read[0], 0).any()


def test_some_sequences_are_taken(tmp_path: Path) -> None:
    file = sequences.read(write(tmp_path, "ab\nba a\nbb\n"), AB, skip_bad=False)
    taken = file.sequences.take(np.array([True, False, True]))
    assert taken.ids.tolist() == [1, 2, 2, 2]
    assert taken.starts.tolist() == [0, 2, 4]
    assert taken.hashes.tolist() == file.sequences.hashes[[0, 2]].tolist()
