"""A PyTorch state dict as NumPy arrays, for code that does not import PyTorch."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from training.optional import import_optional

Weights = NDArray[np.float32]
State = Mapping[str, Weights]  # by PyTorch's names


def require_torch() -> None:
    """Check that PyTorch is installed; call it before importing `training.convert.torch_network`.

    Raises:
        MissingPackageError: it is not installed.
    """
    import_optional("torch")
