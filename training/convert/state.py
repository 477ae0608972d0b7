"""What PyTorch calls a state dict, as arrays of NumPy, so that no one has to import PyTorch for it."""

import importlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from training.errors import MissingPackageError

Weights = NDArray[np.float32]
State = Mapping[str, Weights]  # by the names that the modules of PyTorch give


def require_torch() -> None:
    """Check that PyTorch can be imported, before `training.convert.torch_network` is.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        importlib.import_module("torch")
    except ModuleNotFoundError as error:
        raise MissingPackageError(f"{error.name} is not installed, which this needs; run `make torch`") from error
