"""The tokenisers of networks that were trained elsewhere. A published tokeniser never changes: bundles depend on it."""

import re
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field

from bundle.editing import Editor
from bundle.readable import ReadableTokeniser
from bundle.splitting import TokeniserBase, lower
from bundle.tokenisers import KerasTokeniser, TokenTokeniser, WordTokeniser

Standardisation = Literal["lower-strip-punctuation", "lower", "strip-punctuation", "none"]

# What `tf.strings.split` splits at: white space of ASCII, and none of Unicode.
_SPACES = b" \t\n\v\f\r"
# What `TextVectorization` deletes; source: keras/src/layers/preprocessing/text_vectorization.py, Keras 3.15.
_PUNCTUATION = b"!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'"
_CAPITALS = bytes(range(ord("A"), ord("Z") + 1))

_ANY_PUNCTUATION = re.compile(f"[{re.escape(_PUNCTUATION.decode())}]")
_NO_SPACES = re.compile("[^ ]+")
_NO_SPACES_OF_UNICODE = re.compile(r"\S+")


class FilterTokeniser(TokeniserBase):
    """The splitting of `keras.preprocessing.text.Tokenizer`: filtered characters become separators.

    Source: keras/src/legacy/preprocessing/text.py, Keras 3.15; every release of Keras 2 has the same.
    """

    kind: Literal["keras-json"] = "keras-json"
    lower: bool = Field(description="Whether the text becomes lower case first.")
    filters: str = Field(description="Each of these characters becomes a separator.")
    separator: str = Field(min_length=1, description="Words stand between separators.")

    @cached_property
    def _separators(self) -> dict[int, str]:
        return str.maketrans(dict.fromkeys(self.filters, self.separator))

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[str], re.Pattern[str]]:
        """Of the filtered characters, and of a word."""
        separator = re.escape(self.separator)
        characters = "|".join(map(re.escape, self.filters)) or r"(?!)"
        word = rf"(?:\A|(?<={separator}))(?:(?!{separator}).)+"
        return re.compile(characters), re.compile(word, re.DOTALL)

    def split(self, text: str) -> list[str]:
        """Return the words of a text, in order."""
        spaced = (text.lower() if self.lower else text).translate(self._separators)
        return list(filter(None, spaced.split(self.separator)))

    def _edit(self, text: str, editor: Editor) -> tuple[str, re.Pattern[str]]:
        filtered, word = self._patterns
        return editor.translate(filtered, self._separators, lower(text, editor) if self.lower else text), word


class VectorizationTokeniser(TokeniserBase):
    """The splitting of the layer `TextVectorization` with `split="whitespace"`.

    As in TensorFlow, lower case, punctuation and white space are those of ASCII only.
    """

    kind: Literal["text-vectorization"] = "text-vectorization"
    standardise: Standardisation = "lower-strip-punctuation"

    @cached_property
    def _translation(self) -> tuple[bytes, bytes]:
        """Bytes by byte, and bytes to delete."""
        table = bytes.maketrans(_SPACES, b" " * len(_SPACES))
        if self.standardise.startswith("lower"):
            table = table.translate(bytes.maketrans(_CAPITALS, _CAPITALS.lower()))
        return table, _PUNCTUATION if self.standardise.endswith("strip-punctuation") else b""

    def split(self, text: str) -> list[str]:
        """Return the words of a text, in order."""
        plain = text.encode("utf-8", "surrogatepass").translate(*self._translation).decode("utf-8", "surrogatepass")
        return list(filter(None, plain.split(" ")))

    def _edit(self, text: str, editor: Editor) -> tuple[str, re.Pattern[str]]:
        table, dropped = self._translation
        plain = text.encode("utf-8", "surrogatepass").translate(table).decode("utf-8", "surrogatepass")
        return editor.replace(_ANY_PUNCTUATION, "", plain) if dropped else plain, _NO_SPACES


class WhitespaceTokeniser(TokeniserBase):
    """The splitting of Python's `text.split()`, at white space of any kind."""

    kind: Literal["whitespace"] = "whitespace"
    lower: bool = Field(description="Whether the text becomes lower case first.")

    def split(self, text: str) -> list[str]:
        """Return the words of a text, in order."""
        return (text.lower() if self.lower else text).split()

    def _edit(self, text: str, editor: Editor) -> tuple[str, re.Pattern[str]]:
        return lower(text, editor) if self.lower else text, _NO_SPACES_OF_UNICODE


AnyTokeniser = Annotated[
    KerasTokeniser
    | WordTokeniser
    | TokenTokeniser
    | ReadableTokeniser
    | FilterTokeniser
    | VectorizationTokeniser
    | WhitespaceTokeniser,
    Field(discriminator="kind"),
]
