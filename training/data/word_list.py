"""Lists of words in the order of their ids, as other programs write them; every fault is named by its line."""

import json
from dataclasses import dataclass
from pathlib import Path

from bundle.errors import explain
from bundle.files import read_file
from bundle.sizes import MOST_VOCABULARY_BYTES
from training.errors import DataError

# Reserved words by their role. `TextVectorization.get_vocabulary()` begins with "" for padding.
PADDING = frozenset({"", "<pad>", "<PAD>", "[PAD]"})
START = frozenset({"<start>", "<START>", "<s>", "<sos>", "<SOS>", "<bos>", "<BOS>", "[CLS]", "[START]"})
UNKNOWN = frozenset({"<unk>", "<UNK>", "[UNK]", "<unknown>", "<UNKNOWN>", "<oov>", "<OOV>"})
UNUSED = frozenset({"<unused>", "<UNUSED>", "</s>", "<eos>", "<EOS>", "<end>", "<END>", "[SEP]", "[MASK]", "<mask>"})
RESERVED = PADDING | START | UNKNOWN | UNUSED


@dataclass(frozen=True)
class WordList:
    """A list of words: the reserved words at its beginning, then the others.

    Attributes:
        reserved: words at its beginning that stand for something else.
        words: the others.
        notes: what was left out of the file without loss, for people.
    """

    reserved: tuple[str, ...]
    words: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def find(self, role: frozenset[str]) -> int | None:
        """Return the place of the reserved word with a role, from 0; None if there is none."""
        return next((place for place, word in enumerate(self.reserved) if word in role), None)


def read_word_list(path: Path) -> WordList:
    """Read a list of words from a file: UTF-8, one a line, or with the suffix .json a list of strings.

    A byte order mark is left out, and so is the CR of CR LF if every line ends with it.

    Raises:
        DataError: it is not such a file; or a word is blank, repeated, has spaces around it, or is a reserved word
            behind other words. The message names the line.
        OSError, SizeError: it cannot be read.
    """
    contents = read_file(path, MOST_VOCABULARY_BYTES)
    try:
        text, notes = _leave_out_marks(contents.decode("utf-8"))
        words = json.loads(text) if path.suffix == ".json" else text.removesuffix("\n").split("\n")
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read ({explain(error)}); save it as UTF-8, one word a line") from error
    if not text:
        raise DataError(f"{path} is empty; save the words in the order of their ids, one a line")
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise DataError(f"{path} is not a list of words; save the words in the order of their ids")
    count = next((place for place, word in enumerate(words) if word not in RESERVED), len(words))
    known: dict[str, int] = {}
    for line, word in enumerate(words, 1):
        if fault := _find_fault(word, line <= count, known.get(word)):
            raise DataError(f"{path}, line {line}: {fault}")
        known[word] = line
    if count == len(words):
        raise DataError(
            f"{path} has only the reserved words {', '.join(map(repr, words))}; list all other words behind them"
            if words
            else f"{path} is an empty list; save the words in the order of their ids"
        )
    return WordList(tuple(words[:count]), tuple(words[count:]), notes)


def _leave_out_marks(text: str) -> tuple[str, tuple[str, ...]]:
    """Return a text without the marks of its encoding, and notes on them."""
    notes = []
    if text.startswith("\ufeff"):
        text = text[1:]
        notes.append("begins with a byte order mark, which is left out")
    if 0 < text.count("\r\n") == text.count("\n") == text.count("\r"):
        text = text.replace("\r\n", "\n")
        notes.append("has the line ends CR LF, which are read as the ends of lines only")
    return text, tuple(notes)


def _find_fault(word: str, is_reserved: bool, before: int | None) -> str | None:
    """Return what is wrong with a word; `before` is the line that had it already."""
    if word.endswith("\r"):
        return "the line ends with CR, and other lines do not; save the file with the same end for every line"
    if not word.strip() and not is_reserved:
        return "the line is blank; every id needs its word"
    if word != word.strip(" \t"):
        return f"there are spaces around {word.strip()!r}; remove them"
    if "\n" in word:
        return f"{word!r} has a line break, which a vocabulary cannot have"
    if before is not None:
        return f"{word!r} stands on line {before} already; every word has one id"
    if word in RESERVED and not is_reserved:
        return f"{word!r} is a reserved word; reserved words stand before all others, in the order of their ids"
    return None
