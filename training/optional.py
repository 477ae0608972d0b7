"""Packages that only some trainings need."""

import importlib
from typing import Any

from training.errors import MissingPackageError


def import_optional(name: str) -> Any:
    """Import a package that `make torch` installs.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise MissingPackageError(f"{error.name} is not installed, which this needs; run `make torch`") from error
