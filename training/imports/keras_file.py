"""The file of a Keras model made elsewhere: recognised by its contents, mended, and loaded without running its code."""

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import keras
from keras import layers

from bundle.reviews import ReviewCodec
from bundle.sizes import check_size
from training.errors import ModelImportError
from training.imports import legacy

_CONFIG, _METADATA = "config.json", "metadata.json"
_RESAVE = "load it where it was made, and save it with model.save('model.keras')"


@dataclass(frozen=True)
class KerasFile:
    """A network from a file, and the release of Keras that wrote it; None if the file does not tell."""

    network: keras.Model
    version: str | None

    @property
    def writer(self) -> str:
        """What wrote the file."""
        return f"Keras {self.version or 'of an unknown release'}"

    @property
    def vectors(self) -> int | None:
        """Number of word vectors; None if the network has no layer of them."""
        found = [layer.input_dim for layer in self.network.layers if isinstance(layer, layers.Embedding)]
        return min(found) if found else None

    @property
    def steps(self) -> int | None:
        """The fixed number of steps of a row; None if the network reads any."""
        steps: int | None = self.network.inputs[0].shape[1]
        return steps

    def build(self, codec: ReviewCodec) -> keras.Model:  # noqa: ARG002
        """Return the network, whose structure does not depend on the codec."""
        return self.network


def read_keras_file(path: Path) -> KerasFile:
    """Load the model in a `.keras` or `.h5` file of Keras 2 or 3.

    Raises:
        ModelImportError: it is another kind of file, holds code or custom objects, does not read ids, or Keras cannot
            load it.
        OSError, SizeError: it cannot be read.
    """
    _refuse_other_kinds(path)
    if zipfile.is_zipfile(path):
        check_size(path, 0)
        config, version, write = _open_archive(path)
        suffix = ".keras"
    else:
        config, version, write = _open_h5(path)
        suffix = ".h5"
    config.pop("compile_config", None)  # a loss or a metric of its own says nothing about the answers
    legacy.check(config)
    if legacy.is_legacy(version):
        legacy.mend(config)
    with TemporaryDirectory() as folder:
        mended = Path(folder) / f"model{suffix}"
        write(mended)
        try:
            network = keras.saving.load_model(mended, compile=False, safe_mode=True)
        except Exception as error:  # Keras raises many kinds of errors
            reason = " ".join(str(error).split())[:300]
            raise ModelImportError(
                f"Keras {keras.__version__} cannot load {path}, which Keras {version or 'of an unknown release'} wrote "
                f"({reason}); {_RESAVE}"
            ) from error
    if legacy.is_legacy(version):
        legacy.mend_weights(network)
    _check_input(path, network)
    return KerasFile(network, version)


def _refuse_other_kinds(path: Path) -> None:
    if path.is_dir():
        if (path / "saved_model.pb").exists():
            raise ModelImportError(f"{path} is a SavedModel, a program that may read and write files; {_convert(path)}")
        raise ModelImportError(f"{path} is a folder; name the .keras or .h5 file of a model")
    if path.suffix == ".onnx":
        raise ModelImportError(f"{path} is ONNX, which cannot be imported; import the model that it was made from")
    with path.open("rb"):  # OSError if it cannot be read
        pass
    if not zipfile.is_zipfile(path) and not h5py.is_hdf5(path):
        raise ModelImportError(f"{path} is neither a .keras file nor HDF5; {_RESAVE}")


def _convert(path: Path) -> str:
    """Return how a SavedModel becomes a file without a program."""
    if (path / "keras_metadata.pb").exists():  # Keras 2 wrote the structure of the network too
        return (
            "Keras 2 saved it, so the package tf-keras can write its network to a file: "
            f"python -c \"import tf_keras; tf_keras.models.load_model('{path}').save('model.keras')\""
        )
    return f"it does not have the layers of its network, so {_RESAVE}"


def _open_archive(path: Path) -> tuple[legacy.Config, str | None, Callable[[Path], None]]:
    """Return the configuration, the release of Keras, and a function that writes the file with the configuration."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if _CONFIG not in names:
            raise ModelImportError(f"{path} has no {_CONFIG}, so it is no Keras model; {_RESAVE}")
        config = _parse(path, archive.read(_CONFIG))
        version = _parse(path, archive.read(_METADATA)).get("keras_version") if _METADATA in names else None

    def write(to: Path) -> None:
        with zipfile.ZipFile(path) as archive, zipfile.ZipFile(to, "w") as mended:
            for name in names:
                contents = json.dumps(config).encode() if name == _CONFIG else archive.read(name)
                mended.writestr(name, contents)

    return config, version, write


def _open_h5(path: Path) -> tuple[legacy.Config, str | None, Callable[[Path], None]]:
    """Return the same of an HDF5 file."""
    with h5py.File(path) as file:
        text, version = (_decode(file.attrs.get(name)) for name in ("model_config", "keras_version"))
    if text is None:
        raise ModelImportError(f"{path} holds weights without their network; {_RESAVE}")
    config = _parse(path, text)

    def write(to: Path) -> None:
        shutil.copyfile(path, to)
        with h5py.File(to, "r+") as file:
            file.attrs["model_config"] = json.dumps(config)

    return config, version, write


def _decode(value: Any) -> str | None:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _parse(path: Path, text: str | bytes) -> Any:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelImportError(f"the configuration in {path} is not JSON; {_RESAVE}") from error
    if not isinstance(parsed, dict):
        raise ModelImportError(f"the configuration in {path} is not an object of JSON; {_RESAVE}")
    return parsed


def _refuse_texts(path: Path, layer: layers.TextVectorization) -> None:
    config = layer.get_config()
    place = f"{path} reads texts by its layer {layer.name!r} (TextVectorization)"
    for setting, supported in {"ngrams": None, "split": "whitespace", "output_mode": "int"}.items():
        if config[setting] != supported:
            raise ModelImportError(
                f"{place} with {setting}={config[setting]!r}, which is not supported; train the network with "
                f"{setting}={supported!r}"
            )
    raise ModelImportError(
        f"{place}; save the model of the layers after it, keras.Model(vectorised, answer), and the words of "
        "get_vocabulary() as --vocabulary"
    )


def _check_input(path: Path, network: keras.Model) -> None:
    """Return if a network reads rows of ids and gives one answer for a row."""
    for layer in network.layers:
        if isinstance(layer, layers.TextVectorization):
            _refuse_texts(path, layer)
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise ModelImportError(
            f"{path} has {len(network.inputs)} inputs and {len(network.outputs)} outputs; a bundle has one of each"
        )
    if len(network.inputs[0].shape) != 2:
        raise ModelImportError(f"{path} reads inputs of the shape {network.inputs[0].shape}, not rows of word ids")
    if len(network.outputs[0].shape) != 2:
        raise ModelImportError(
            f"{path} answers with the shape {network.outputs[0].shape}, not with one answer for a row"
        )
