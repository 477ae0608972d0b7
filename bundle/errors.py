"""Every error of the package. A message says what came, what was expected and what to do."""


class BundleError(Exception):
    """Root of the errors of this package."""


class InputError(BundleError):
    """An input cannot be encoded; `character` is the wrong one, or empty."""

    kind = "input"

    def __init__(self, message: str, character: str = "") -> None:
        """Take what is wrong."""
        super().__init__(message)
        self.character = character


class LetterError(InputError):
    """A sequence holds something other than 1 to `length` letters; `position` counts from 0."""

    kind = "letters"

    def __init__(self, message: str, position: int, character: str) -> None:
        """Take what is wrong where; `character` is empty for an empty sequence."""
        super().__init__(message, character)
        self.position = position


class BundleNotFoundError(BundleError):
    """There is no bundle of this name or version in the store."""


class VersionExistsError(BundleError):
    """A published version is never written over."""


class ManifestError(BundleError):
    """The manifest is missing, unreadable, of another version, edited, or does not fit its bundle."""


class ChecksumError(BundleError):
    """A file of the bundle is missing or is not the one that was published."""
