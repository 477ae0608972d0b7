"""Every error of the package. A message names the value found, the value expected, and the remedy."""

import json
import re

from pydantic import ValidationError
from pydantic_core import ErrorDetails

_LISTED_PROBLEMS = 10  # of one value: a large file can have many
# Pydantic names classes of Python in the messages of these types, unless it parses the JSON itself.
_PHRASES = {
    "dict_type": "Input should be an object",
    "list_type": "Input should be a valid array",
    "model_attributes_type": "Input should be an object",
    "model_type": "Input should be an object",
    "string_unicode": "Input should be a string that UTF-8 can encode",
    "tuple_type": "Input should be a valid array",
}


_PLACE = re.compile(r" at line (\d+) column (\d+)$")


class BundleError(Exception):
    """Root of the errors of this package."""


class InputError(BundleError):
    """An input cannot be encoded; `character` is the wrong character, or empty."""

    kind = "input"

    def __init__(self, message: str, character: str = "") -> None:
        """Take the message and the wrong character."""
        super().__init__(message)
        self.character = character


class LetterError(InputError):
    """A sequence is not 1 to `length` letters; `position` counts from 0."""

    kind = "letters"

    def __init__(self, message: str, position: int, character: str) -> None:
        """Take the message, and the wrong character with its position; it is empty for an empty sequence."""
        super().__init__(message, character)
        self.position = position


class IdsError(InputError):
    """A row of ids is not a review of this vocabulary."""

    kind = "ids"


class BundleNotFoundError(BundleError):
    """There is no bundle of this name or version in the store."""


class VersionExistsError(BundleError):
    """The version exists already; a published version is never overwritten."""


class ManifestError(BundleError):
    """The manifest is missing, unreadable, of another version, edited, or does not fit its bundle."""


class SizeError(BundleError):
    """A file of the bundle is too large, packed or unpacked."""


class ChecksumError(BundleError):
    """A file of the bundle is missing or differs from the published file."""


def phrase(problem: ErrorDetails) -> str:
    """Return the message of one validation error in words of JSON."""
    message = problem["msg"]
    match problem["type"]:
        case "json_invalid" if place := _PLACE.search(message):
            return f"it is not JSON at line {place[1]}, column {place[2]}"
        case "too_long" | "too_short":  # such as "List should have at most 1 item after validation, not 2"
            return f"Input{message[message.index(' should') :]}".replace(" after validation", "")
    return _PHRASES.get(problem["type"], message.removeprefix("Value error, "))


def explain(error: OSError | ValueError | RecursionError) -> str:
    """Return what is wrong and where, for an error of reading a file, of parsing JSON, or of validating a value.

    Operators and clients read it, so it has no words of Python. It has no values either, as some are secret.
    """
    match error:
        case ValidationError():
            problems = [
                f"{'.'.join(map(str, problem['loc']))}: {phrase(problem)}".removeprefix(": ")
                for problem in error.errors(include_url=False, include_input=False)
            ]
            more = len(problems) - _LISTED_PROBLEMS
            return "; ".join(problems[:_LISTED_PROBLEMS] + [f"{more} more problems"] * (more > 0))
        case json.JSONDecodeError():
            return f"it is not JSON at line {error.lineno}, column {error.colno}"
        case UnicodeDecodeError():
            return f"byte {error.start} (the first is 0) is not UTF-8"
        case RecursionError():
            return "its lists or objects are nested too deeply"
        case OSError():
            return error.strerror or str(error)
    return "a number in it has too many digits"  # the only other error of Python's parser
