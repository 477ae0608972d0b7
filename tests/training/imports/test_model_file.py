from pathlib import Path

import keras
import pytest
from keras import layers

from training.errors import ConversionError, ModelImportError
from training.imports.model_file import read_model_file


def test_a_file_of_keras_is_read(tmp_path: Path) -> None:
    network = keras.Sequential([keras.Input((6,)), layers.Embedding(9, 4), layers.LSTM(2), layers.Dense(1)])
    network.save(tmp_path / "model.keras")
    file = read_model_file(tmp_path / "model.keras", False)
    assert (file.writer, file.vectors, file.steps) == (f"Keras {keras.__version__}", 9, 6)
    with pytest.raises(ModelImportError, match="--packed belongs to a state dict of PyTorch"):
        read_model_file(tmp_path / "model.keras", True)


@pytest.mark.parametrize("name", ["weights.pt", "weights.anything"])
def test_a_file_of_pytorch_is_known_by_its_contents(tmp_path: Path, name: str) -> None:
    torch = pytest.importorskip("torch")
    modules = {"words": torch.nn.Embedding(9, 4), "reader": torch.nn.LSTM(4, 3), "head": torch.nn.Linear(3, 1)}
    torch.save(torch.nn.ModuleDict(modules).state_dict(), tmp_path / name)
    file = read_model_file(tmp_path / name, False)
    assert (file.writer, file.vectors, file.steps) == ("PyTorch", 9, None)


@pytest.mark.parametrize("suffix", ["pt", "pth", "bin", "ckpt"])
def test_its_usual_names_are_known_too(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("torch")
    path = tmp_path / f"weights.{suffix}"
    path.write_text("weights")
    with pytest.raises(ConversionError, match="holds no state dict"):
        read_model_file(path, False)


def test_a_folder_is_none_of_pytorch(tmp_path: Path) -> None:
    (tmp_path / "weights.pt").mkdir()
    with pytest.raises(ModelImportError, match="is a folder; name the .keras or .h5 file"):
        read_model_file(tmp_path / "weights.pt", False)
