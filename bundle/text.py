"""Text as a reader sees it: without markup, with characters that look alike made one."""

import html
import re
import unicodedata
from typing import Final

from bundle.editing import PLAIN, Editor

# Scripts, styles and comments are hidden up to their end or to the end of the text, as in a browser; declarations such
# as <!DOCTYPE html> and <?xml version="1.0"?> only if they have an end, because "<!" and "<?" are written in prose too.
# A quoted value may have any characters. Each quotation mark either begins or ends a value, so of all places where a
# tag may begin, at most three are followed at the same time: the time is in proportion to the text.
HIDDEN: Final = (
    r"<!--(?:-?>|.*?(?:--!?>|\Z))|<(?:![a-z\[-]|\?[a-z])[^<>]*+>"
    r"""|<(script|style)\b(?:[^<>"']|"[^"]*+"|'[^']*+')*+>.*?(?:</\1\b[^<>]*+>|\Z)"""
)
# Tags that a browser shows as blocks, lines or boxes; each becomes a space. Other tags, such as <i>, may be inside a
# word. The most frequent is first.
BREAKING_TAGS: Final = (
    "br|address|article|aside|audio|blockquote|body|button|canvas|caption|center|col|colgroup|dd|details|div|dl|dt|embed"
    "|fieldset|figcaption|figure|footer|form|h[1-6]|head|header|hgroup|hr|html|iframe|img|input|legend|li|main|menu|nav"
    "|object|ol|option|p|picture|pre|rp|rt|section|select|source|summary|svg|table|tbody|td|template|textarea|tfoot|th"
    "|thead|title|tr|ul|video"
)
INLINE_TAGS: Final = (
    "a|abbr|area|b|bdi|bdo|big|cite|code|data|del|dfn|em|font|i|ins|kbd|label|link|map|mark|meta|noscript|param|q|ruby|s"
    "|samp|small|span|strike|strong|sub|sup|time|tt|u|var|wbr"
)
# An attribute has a value, or is one of HTML's boolean attributes. So "a<b awful film>" is no tag: a reader of plain
# text sees all of it.
BOOLEAN_ATTRIBUTES: Final = (
    "allowfullscreen|async|autoplay|checked|compact|controls|defer|disabled|hidden|itemscope|loop|multiple|muted|noshade"
    "|novalidate|nowrap|open|readonly|required|reversed|selected"
)
ATTRIBUTES: Final = (
    r"""(?:(?:[\s/]++|(?<=["']))(?:[\w:-]++\s*+=\s*+(?:"[^"]*+"|'[^']*+'|[^\s"'<>=]++)"""
    rf"""|(?:{BOOLEAN_ATTRIBUTES})(?=[\s/>])))*+[\s/]*+>"""
)
STARS: Final = "★⭐🌟"
# A character whose compatibility form is longer becomes a space: one that has 18 letters would make a text 18 times as
# long. The others are at most as long as "1/10" and "(20)".
LONGEST_FORM: Final = 4

_HIDDEN = re.compile(HIDDEN, re.DOTALL | re.IGNORECASE)
_HIDDEN_STARTS = ("<!", "<?", "<s", "<S")
_BR = re.compile("<br />")
_BREAKING = re.compile(f"</?(?:{BREAKING_TAGS}){ATTRIBUTES}", re.IGNORECASE)
_INLINE = re.compile(f"</?(?:{INLINE_TAGS}){ATTRIBUTES}", re.IGNORECASE)
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")

# What `html.unescape` replaces.
_REFERENCE = re.compile(r"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)")
# Longer than that of any character; Python refuses to read numbers of thousands of digits.
_LONG_REFERENCE = re.compile(r"&#[0-9]{100,}+;?")

# Dropped: combining marks (M), soft hyphens and other format characters (Cf), skin tones of emoji (Sk).
_DROPPED = ("M", "Cf", "Sk")
# U+0085 and U+0091 to U+0097 are Windows-1252 read as Latin-1.
_LOOK_ALIKE = {
    **dict.fromkeys("\u2018\u2019\u201b\u02bb\u02bc\u02be\u02bf\u02b9\u02c8\u02ca\u02cb\u2032\u00b4\u0060", "'"),
    **dict.fromkeys("\u275b\u275c\ua78b\ua78c\u055a\uff07\uff40\u0091\u0092", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033\u275d\u275e\uff02\u0093\u0094", '"'),
    # Hyphens, dashes and the minus; slashes.
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u0096\u0097", "-"),
    **dict.fromkeys("\u2044\u2215", "/"),
    **dict.fromkeys("\u2120\u2122", " "),  # marks of trade are no letters
    "\u2116": "number ",
    "\u0085": "...",
    "\u00bc": ".25",
    "\u00bd": ".5",
    "\u00be": ".75",
}
# "8½" is 8.5, "★★★ ½" is 3.5 stars, and "½" alone is 0.5.
_FRACTION = re.compile(f"(?:((?<![0-9/.\u2044\u2215])[0-9]{{1,3}}+|[{STARS}]\ufe0f?) ?)?([\u00bc\u00bd\u00be])")

_LAST = ("`", "'")  # all other look-alikes are not ASCII

# All that decides how a text is shown; a manifest has its digest. The tables of Unicode and of HTML's entities are
# Python's own: see `bundle.readable.RULES`.
RULES: Final = (
    HIDDEN,
    BREAKING_TAGS,
    INLINE_TAGS,
    ATTRIBUTES,
    STARS,
    _REFERENCE.pattern,
    _LONG_REFERENCE.pattern,
    *_DROPPED,
    *map("".join, _LOOK_ALIKE.items()),
    str(LONGEST_FORM),
    _FRACTION.pattern,
    *_LAST,
)


def show(text: str, editor: Editor = PLAIN) -> str:
    """Return what a reader sees of a text that may have markup, entities and any characters.

    Accents are dropped, because many people do not type them. It takes time in proportion to the text.
    """
    if "<" in text:
        text = _drop_markup(text, editor)
    if "&" in text:
        text = _unescape(text, editor)
    if "&" in text:  # escaped twice
        text = _unescape(text, editor)
    if not text.isascii():
        if any(map(text.__contains__, "\u00bc\u00bd\u00be")):
            text = editor.replace(_FRACTION, _join_fraction, text)
        text = editor.translate(_NOT_ASCII, _FOLDED, text)
    return text.replace(*_LAST)


def _drop_markup(text: str, editor: Editor) -> str:
    # Most reviews with markup have nothing but `<br />`.
    if any(map(text.__contains__, _HIDDEN_STARTS)):
        text = editor.replace(_HIDDEN, " ", text)
    for pattern, by in ((_BR, " "), (_BREAKING, " "), (_INLINE, "")):
        if "<" not in text:
            break
        text = editor.replace(pattern, by, text)
    return text


def _unescape(text: str, editor: Editor) -> str:
    return editor.replace(
        _REFERENCE, lambda found: html.unescape(found[0]), editor.replace(_LONG_REFERENCE, "\ufffd", text)
    )


class _Folded(dict[int, str]):
    """The form of each character, by its code point; computed at its first use."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        form = _LOOK_ALIKE.get(character)
        if form is None:
            # One character at a time: to sort the marks of a whole text takes time in proportion to its square.
            parts = [
                part
                for part in unicodedata.normalize("NFKD", character)
                if part.isascii() or not unicodedata.category(part).startswith(_DROPPED)
            ]
            form = "".join(_LOOK_ALIKE.get(part, part) for part in parts) if len(parts) <= LONGEST_FORM else " "
        self[code] = form
        return form


_FOLDED = _Folded()


def _join_fraction(found: re.Match[str]) -> str:
    number, fraction = found.groups()
    return f"{number}{fraction}" if number else f" 0{fraction}"
