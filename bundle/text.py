"""Text as a reader sees it: without markup, with characters that look alike made one."""

import html
import re
import unicodedata
from typing import Final

# Comments, scripts and styles are hidden, up to their end or to the end of the text, as in a browser.
HIDDEN: Final = r"<!--.*?(?:-->|\Z)|<(script|style)\b[^<>]*+>.*?(?:</\1\s*+>|\Z)"
# Tags between words; each becomes a space. Other tags, such as <i>, may be inside a word.
BREAKING_TAGS: Final = "blockquote|br|center|div|dd|dl|dt|h[1-6]|hr|img|li|ol|p|pre|table|tbody|td|th|thead|tr|ul"
INLINE_TAGS: Final = "a|abbr|b|big|cite|code|del|em|font|i|ins|mark|q|s|small|span|strike|strong|sub|sup|tt|u"
# An attribute has a value. So "a<b awful film>" is no tag: a reader of plain text sees all of it.
_ATTRIBUTES = r"""(?:\s++[\w:-]++\s*+=\s*+(?:"[^"<>]*+"|'[^'<>]*+'|[^\s"'<>=]++))*+\s*+/?>"""

_HIDDEN = re.compile(HIDDEN, re.DOTALL | re.IGNORECASE)
_BREAKING = re.compile(f"</?(?:{BREAKING_TAGS}){_ATTRIBUTES}", re.IGNORECASE)
_INLINE = re.compile(f"</?(?:{INLINE_TAGS}){_ATTRIBUTES}", re.IGNORECASE)
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")

# Dropped: combining marks (M), soft hyphens and other format characters (Cf), skin tones of emoji (Sk).
_DROPPED = ("M", "Cf", "Sk")
_LOOK_ALIKE = {
    **dict.fromkeys("\u2018\u2019\u201b\u02bc\u02bb\u02b9\u2032\u00b4\u0060\ua78c\u055a\uff07", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033\uff02", '"'),
    "\u00bc": ".25",
    "\u00bd": ".5",
    "\u00be": ".75",
}


def show(text: str) -> str:
    """Return what a reader sees of a text that may have markup, entities and any characters.

    Accents are dropped, because many people do not type them. It takes time in proportion to the text.
    """
    if "<" in text:
        text = _INLINE.sub("", _BREAKING.sub(" ", _HIDDEN.sub(" ", text)))
    if "&" in text:
        text = html.unescape(text)
    if not text.isascii():
        text = _NOT_ASCII.sub(_fold_characters, text)
    return text.replace("`", "'")


class _Folded(dict[int, str]):
    """The form of each character, by its code point; computed at its first use."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        form = _LOOK_ALIKE.get(character)
        if form is None:
            # One character at a time: to sort the marks of a whole text takes time in proportion to its square.
            decomposed = unicodedata.normalize("NFKD", character)
            form = "".join(
                _LOOK_ALIKE.get(part, part)
                for part in decomposed
                if part.isascii() or not unicodedata.category(part).startswith(_DROPPED)
            )
        self[code] = form
        return form


_FOLDED = _Folded()


def _fold_characters(found: re.Match[str]) -> str:
    return found[0].translate(_FOLDED)
