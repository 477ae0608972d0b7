"""The file of a model made elsewhere, of either framework."""

import zipfile
from pathlib import Path
from typing import Protocol

import keras

from bundle.reviews import ReviewCodec
from training.errors import ModelImportError
from training.imports.keras_file import read_keras_file
from training.imports.torch_file import read_torch_file

_TORCH_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt")


class ModelFile(Protocol):
    """What an import needs to know of a model."""

    @property
    def writer(self) -> str:
        """What wrote the file, with its release."""

    @property
    def vectors(self) -> int | None:
        """Number of word vectors; None if the network has no layer of them."""

    @property
    def steps(self) -> int | None:
        """The fixed number of steps of a row; None if the network reads any."""

    def build(self, codec: ReviewCodec) -> keras.Model:
        """Return the network, which reads the rows of a codec."""


def read_model_file(path: Path, is_packed: bool) -> ModelFile:
    """Read the file of a model.

    Args:
        path: of the file.
        is_packed: whether the rows of an nn.LSTM are packed; only for a state dict of PyTorch.

    Raises:
        ModelImportError, ConversionError, MissingPackageError: see `read_keras_file` and `read_torch_file`.
        OSError, SizeError: it cannot be read.
    """
    if _is_of_torch(path):
        return read_torch_file(path, is_packed)
    if is_packed:
        raise ModelImportError(
            "--packed belongs to a state dict of PyTorch; leave it out, because a Keras model has its masks"
        )
    return read_keras_file(path)


def _is_of_torch(path: Path) -> bool:
    if path.is_dir():
        return False
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("data.pkl") for name in archive.namelist())
    return path.suffix in _TORCH_SUFFIXES
