"""Every error of the package. A message names the value found, the value expected, and the remedy."""


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
