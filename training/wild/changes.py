"""Changes of a text that leave its meaning, as keyboards, websites and phones make them."""

import re
from collections.abc import Callable
from functools import partial

import numpy as np

from training.evaluation.analysis import swap_letters

_SEED = 23
_FULL_WIDTH = {code: code + 0xFEE0 for code in range(ord("!"), ord("~") + 1)}
_WORD = re.compile(r"[^\W\d_]{6,}")


def list_changes() -> dict[str, Callable[[str], str]]:
    """Return the changes by name; the random ones begin anew with every call."""
    return {
        "all in capitals": str.upper,
        "all in lower case": str.lower,
        "no marks": partial(re.sub, r"[.,;:!?\"()]+", " "),
        "no apostrophes": partial(re.sub, "['\u2019]", ""),
        "typographic apostrophes": lambda text: text.replace("'", "\u2019"),
        "modifier letters as apostrophes": lambda text: text.replace("'", "\u02bc"),
        "entities": lambda text: text.replace("'", "&#39;").replace('"', "&quot;"),
        "full-width letters": lambda text: text.translate(_FULL_WIDTH),
        "soft hyphens": lambda text: _WORD.sub(lambda found: f"{found[0][:3]}\u00ad{found[0][3:]}", text),
        "markup": lambda text: re.sub(r"[^.!?]+[.!?]*", r'<p class="good">\g<0></p>', text),
        "a comment in front": lambda text: f"<!-- wonderful, awful -->{text}",
        "a mention and an address": lambda text: f"@alex {text} https://example.com/best-worst",
        "three exclamation marks": lambda text: f"{text.rstrip('.')}!!!",
        "typing errors in a tenth of the words": partial(swap_letters, random=np.random.default_rng(_SEED)),
    }
