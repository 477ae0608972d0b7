"""The coding of a network made elsewhere: from the options of `import` and the file of its words to a codec."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import ValidationError
from rich.console import Console

from bundle.errors import explain
from bundle.files import read_file
from bundle.imported_tokenisers import (
    AnyTokeniser,
    FilterTokeniser,
    Standardisation,
    VectorizationTokeniser,
    WhitespaceTokeniser,
)
from bundle.readable import ReadableTokeniser
from bundle.reviews import ReviewCodec, Side, WordCoding
from bundle.sizes import MOST_VOCABULARY_BYTES
from bundle.tokenisers import KerasTokeniser, TokenTokeniser, WordTokeniser
from training.data.word_list import PADDING, START, UNKNOWN, WordList, read_word_list
from training.errors import ModelImportError

Kind = Literal["keras-json", "text-vectorization", "whitespace", "keras", "words", "tokens", "readable"]
Id = int | Literal["none"] | None  # "none" for no such id, None for the default

_OWN: dict[str, AnyTokeniser] = {
    each.kind: each for each in (KerasTokeniser(), WordTokeniser(), TokenTokeniser(), ReadableTokeniser())
}


@dataclass(frozen=True)
class CodingOptions:
    """What a user says about the coding; None stands for the default of the tokeniser: see `read_codec`."""

    tokeniser: Kind
    vocabulary: Path
    standardise: Standardisation | None = None
    lower: bool | None = None
    padding_id: int | None = None
    start_id: Id = None
    unknown_id: Id = None
    offset: int | None = None
    padding: Side | None = None
    truncation: Side | None = None
    length: int | None = None


@dataclass(frozen=True)
class _Defaults:
    """The coding as far as a file of words and the kind of the tokeniser tell."""

    tokeniser: AnyTokeniser
    words: tuple[str, ...]
    start_id: int | None
    unknown_id: int | None
    offset: int
    side: Side
    padding_id: int | None = 0


def read_codec(options: CodingOptions, steps: int | None, rows: int | None, console: Console) -> ReviewCodec:
    """Return the codec that the options describe.

    Defaults: `keras-json` has the ids of `Tokenizer` and the sides of `pad_sequences`, left; `text-vectorization` has
    those of the layer, right; this project's tokenisers have those of `keras.datasets.imdb` (padding 0, start 1,
    unknown 2, words from 4), left; `whitespace` has padding 0, unknown 1, words from 2, right. Reserved words at the
    beginning of a list of words have the ids of their lines.

    Args:
        options: of the user.
        steps: the fixed number of steps of the network; None if it reads any.
        rows: the number of word vectors; None if the network has none.
        console: shows what was left out of the file of words.

    Raises:
        ModelImportError, DataError: the options or the file do not fit one another or the network.
    """
    defaults = _read_words(options, console)
    length = options.length or steps
    if not length:
        raise ModelImportError("the network reads rows of any length; pass --length, the one of its training")
    if steps and length != steps:
        raise ModelImportError(f"the network reads {steps} steps, --length is {length}; leave --length out")
    padding_id = defaults.padding_id if options.padding_id is None else options.padding_id
    if padding_id is None:
        raise ModelImportError(f"{options.vocabulary} begins with no word for padding; pass --padding-id")
    try:
        coding = WordCoding(
            tokeniser=defaults.tokeniser,
            words=len(defaults.words),
            length=length,
            padding_id=padding_id,
            start_id=_choose(options.start_id, defaults.start_id),
            unknown_id=_choose(options.unknown_id, defaults.unknown_id),
            rank_offset=defaults.offset if options.offset is None else options.offset,
            padding_side=options.padding or defaults.side,
            truncation_side=options.truncation or defaults.side,
        )
    except ValidationError as error:
        raise ModelImportError(f"this is no coding: {explain(error)}; see the options of import") from error
    if rows is not None and coding.vocabulary_size > rows:
        raise ModelImportError(
            f"the ids reach {coding.vocabulary_size - 1} with {len(defaults.words):,} words, and the network has "
            f"vectors for ids to {rows - 1}; the list has {coding.vocabulary_size - rows:,} words too many, or "
            "--offset is wrong"
        )
    return ReviewCodec(coding, defaults.words)


def _choose(option: Id, default: int | None) -> int | None:
    return None if option == "none" else default if option is None else option


def _read_words(options: CodingOptions, console: Console) -> _Defaults:
    kind = options.tokeniser
    if options.standardise is not None and kind != "text-vectorization":
        raise ModelImportError("--standardise belongs to --tokeniser text-vectorization; leave it out")
    if options.lower is not None and kind != "whitespace":
        raise ModelImportError("--lower belongs to --tokeniser whitespace; leave it out")
    if kind == "keras-json":
        return _read_tokenizer(options.vocabulary)
    found = read_word_list(options.vocabulary)
    for note in found.notes:
        console.print(f"{options.vocabulary} {note}.", markup=False, highlight=False, soft_wrap=True)
    if kind == "text-vectorization":
        _check_vectorization(options.vocabulary, found)
        standardise = options.standardise or get_args(Standardisation)[0]
        return _Defaults(VectorizationTokeniser(standardise=standardise), found.words, None, 1, 1, "right")
    if kind == "whitespace":
        defaults = _Defaults(WhitespaceTokeniser(lower=bool(options.lower)), found.words, None, 1, 1, "right")
    else:
        defaults = _Defaults(_OWN[kind], found.words, 1, 2, 3, "left")
    return _read_reserved(options, found, defaults) if found.reserved else defaults


def _check_vectorization(path: Path, found: WordList) -> None:
    """Return if a list is the vocabulary of a layer `TextVectorization` that splits at white space."""
    if found.reserved not in ((), ("[UNK]",), ("", "[UNK]")):
        raise ModelImportError(
            f"{path} begins with {', '.join(map(repr, found.reserved))}; the list of get_vocabulary() begins with '' "
            "and '[UNK]', or with a word"
        )
    for line, word in enumerate(found.words, 1 + len(found.reserved)):
        if " " in word:
            raise ModelImportError(
                f"{path}, line {line}: {word!r} is more than one word, as with ngrams or split=None in "
                'TextVectorization, which is not supported; train the network with split="whitespace"'
            )
    if max(map(len, found.words)) == 1:
        raise ModelImportError(
            f'{path}: every word is one character, as with split="character" in TextVectorization, which is not '
            'supported; train the network with split="whitespace"'
        )


def _read_reserved(options: CodingOptions, found: WordList, defaults: _Defaults) -> _Defaults:
    """Return the defaults with the ids of the reserved words of a list, which are their places."""
    ids = {role: found.find(words) for role, words in (("padding", PADDING), ("start", START), ("unknown", UNKNOWN))}
    for role, option in (("padding", options.padding_id), ("start", options.start_id), ("unknown", options.unknown_id)):
        if (place := ids[role]) is not None and option not in (None, place):
            raise ModelImportError(
                f"{options.vocabulary}, line {place + 1}: {found.reserved[place]!r} has the id {place} by its place, "
                f"--{role}-id is {option}; leave the option out, or remove the reserved words from the list and pass "
                "--offset"
            )
    if options.offset not in (None, len(found.reserved) - 1):
        raise ModelImportError(
            f"{options.vocabulary} begins with {len(found.reserved)} reserved words, so the offset is "
            f"{len(found.reserved) - 1}, --offset is {options.offset}; leave it out, or remove the reserved words"
        )
    return _Defaults(
        defaults.tokeniser,
        found.words,
        ids["start"],
        ids["unknown"],
        len(found.reserved) - 1,
        defaults.side,
        ids["padding"],
    )


def _read_tokenizer(path: Path) -> _Defaults:
    """Read what `keras.preprocessing.text.Tokenizer.to_json()` wrote."""
    try:
        found: Any = json.loads(read_file(path, MOST_VOCABULARY_BYTES))
        if isinstance(found, str):  # json.dump(tokenizer.to_json(), file) codes it twice
            found = json.loads(found)
    except (ValueError, RecursionError) as error:
        raise ModelImportError(f"{path} cannot be read ({explain(error)}); write tokenizer.to_json() to it") from error
    config = found.get("config") if isinstance(found, dict) else None
    if not isinstance(config, dict) or found.get("class_name") != "Tokenizer":
        raise ModelImportError(f"{path} is not a tokenizer of Keras; write tokenizer.to_json() to it")
    try:
        word_index = config["word_index"]
        ranks: dict[str, int] = json.loads(word_index) if isinstance(word_index, str) else word_index
        most, oov = config.get("num_words"), config.get("oov_token")
        if config.get("char_level"):
            raise ModelImportError(
                f"{path} splits texts into characters (char_level), which is not supported; train a network that reads "
                "words"
            )
        by_rank = sorted((rank, word) for word, rank in ranks.items())
        tokeniser = FilterTokeniser(
            lower=config["lower"], filters="".join(config["filters"] or ""), separator=config["split"]
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ModelImportError(
            f"{path} lacks a setting of the tokenizer, or has an invalid one ({type(error).__name__}: {error}); write "
            "tokenizer.to_json() to it"
        ) from error
    if [rank for rank, _ in by_rank] != list(range(1, len(by_rank) + 1)):
        raise ModelImportError(
            f"the ids of word_index in {path} are not 1 to {len(by_rank)}, each once; fit the tokenizer again, with an "
            "oov_token that is no word of the texts"
        )
    if broken := next((word for _, word in by_rank if "\n" in word), None):
        raise ModelImportError(f"{path} has the word {broken!r} with a line break, which a vocabulary cannot have")
    unknown_id = ranks.get(oov) if oov is not None else None
    words = [word for rank, word in by_rank if rank != unknown_id and not (most and rank >= most)]
    if not words:
        raise ModelImportError(f"{path} has no words; fit the tokenizer first")
    if unknown_id not in (None, 1):
        raise ModelImportError(f"{path} has the oov_token {oov!r} with the id {unknown_id}, not 1; fit it again")
    return _Defaults(tokeniser, tuple(words), None, unknown_id, 0 if unknown_id is None else 1, "left")
