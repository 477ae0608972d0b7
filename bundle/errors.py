"""Every error of the package. A message says what came, what was expected and what to do."""


class BundleError(Exception):
    """Root of the errors of this package."""


class LetterError(BundleError):
    """A sequence holds something other than 1 to `length` letters; `position` counts from 0."""

    def __init__(self, message: str, position: int, character: str) -> None:
        """Take what is wrong where; `character` is empty for an empty sequence."""
        super().__init__(message)
        self.position = position
        self.character = character


class BundleNotFoundError(BundleError):
    """There is no bundle of this name or version in the store."""


class VersionExistsError(BundleError):
    """A published version is never written over."""


class ManifestError(BundleError):
    """The manifest is missing, unreadable, of another version, edited, or does not fit its bundle."""


class ChecksumError(BundleError):
    """A file of the bundle is missing or is not the one that was published."""
