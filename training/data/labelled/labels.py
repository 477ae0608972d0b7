"""Labels: their form, their order, and the map from a user's labels to others."""

import re
from collections.abc import Iterable

from training.errors import DataError

MOST_LABELS = 50

# Two labels in this order, so that the second is the positive one. Compared without case.
_PAIRS = (("negative", "positive"), ("neg", "pos"), ("0", "1"), ("false", "true"), ("no", "yes"))
_WHOLE_NUMBER = re.compile(r"([+-]?\d+)\.0+")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")

# Words that programs write for a missing value. Compared without case.
_MISSING = frozenset({"nan", "none", "null", "n/a", "na", "<na>"})

LabelMap = dict[str, str]


def clean_label(label: str | None) -> str | None:
    """Return a label without spaces around it, and 1.0 as 1; None if it is missing."""
    if label is None or not (label := label.strip()):
        return None
    whole = _WHOLE_NUMBER.fullmatch(label)
    return whole[1] if whole else label


def is_missing(value: str) -> bool:
    """Return whether a value is a word for a missing one, such as NaN."""
    return value.casefold() in _MISSING


def order_labels(labels: Iterable[str], label_map: LabelMap | None = None) -> tuple[str, ...]:
    """Return labels in their order.

    A known pair is negative and positive; others are in the order of the map if there is one; without it, numbers
    ascend, and others are in alphabetical order.
    """
    ordered = sorted(labels)
    for pair in _PAIRS:
        if len(ordered) == 2 and {label.casefold() for label in ordered} == {*pair}:
            return tuple(sorted(ordered, key=lambda label: pair.index(label.casefold())))
    if label_map is not None:
        return tuple(label for label in dict.fromkeys(label_map.values()) if label in ordered)
    if all(_NUMBER.fullmatch(label) for label in ordered):
        return tuple(sorted(ordered, key=float))
    return tuple(ordered)


def parse_label_map(text: str) -> LabelMap:
    """Return the new label of each label, from text such as `1,2=negative;4,5=positive`.

    Raises:
        DataError: it has another form, or a label is mapped twice.
    """
    found: LabelMap = {}
    for part in filter(str.strip, text.split(";")):
        left, equals, right = part.rpartition("=")
        new = clean_label(right)
        old = [clean_label(label) for label in left.split(",")]
        if not equals or new is None or None in old:
            raise DataError(f"{part!r} maps no labels; write it as in 1,2=negative;4,5=positive")
        for label in filter(None, old):
            if label in found:
                raise DataError(f"the label {label!r} is mapped twice in {text!r}; map it once")
            found[label] = new
    if len({*found.values()}) < 2:
        raise DataError(f"{text!r} leaves fewer than two labels; write it as in 1,2=negative;4,5=positive")
    return found


def find_spellings(labels: Iterable[str]) -> list[list[str]]:
    """Return the labels that differ only in case, grouped."""
    groups: dict[str, list[str]] = {}
    for label in labels:
        groups.setdefault(label.casefold(), []).append(label)
    return [group for group in groups.values() if len(group) > 1]
