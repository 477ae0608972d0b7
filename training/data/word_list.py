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
    """A list of words: the reserved words at its beginning, then the others."""

    reserved: tuple[str, ...]
    words: tuple[str, ...]

    def find(self, role: frozenset[str]) -> int | None:
        """Return the place of the reserved word with a role, from 0; None if there is none."""
        return next((place for place, word in enumerate(self.reserved) if word in role), None)


def read_word_list(path: Path) -> WordList:
    """Read a list of words from a file: UTF-8, one a line, or with the suffix .json a list of strings.

    Raises:
        DataError: it is not such a file; or a word is blank, repeated, has spaces around it, or is a reserved word
            behind other words. The message names the line.
        OSError, SizeError: it cannot be read.
    """
    contents = read_file(path, MOST_VOCABULARY_BYTES)
    try:
        text = contents.decode("utf-8")
        words = json.loads(text) if path.suffix == ".json" else text.removesuffix("\n").split("\n")
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read ({explain(error)}); save it as UTF-8, one word a line") from error
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise DataError(f"{path} is not a list of words; save the words in the order of their ids")
    count = next((place for place, word in enumerate(words) if word not in RESERVED), len(words))
    known: dict[str, int] = {}
    for line, word in enumerate(words, 1):
        if fault := _find_fault(word, line, line <= count, known.get(word)):
            raise DataError(f"{path}, line {line}: {fault}")
        known[word] = line
    if count == len(words):
        raise DataError(f"{path} has no words besides {count} reserved ones")
    return WordList(tuple(words[:count]), tuple(words[count:]))


def _find_fault(word: str, line: int, is_reserved: bool, before: int | None) -> str | None:
    """Return what is wrong with the word of a line; `before` is the line that had it already."""
    if line == 1 and word.startswith("\ufeff"):
        return "the file begins with a byte order mark; save it as UTF-8 without one"
    if word.endswith("\r"):
        return "the line ends with CR LF; save the file with the line ends of Unix"
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
