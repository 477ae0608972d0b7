import struct
from pathlib import Path

import numpy as np
import pytest

from training.evaluation import plots
from training.evaluation.evaluate import Evaluation

EVALUATION = Evaluation(
    np.array([0, 0, 1, 1, 1], np.int32),
    np.array([0, 1, 1, 0, 1]),
    np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3], [0.5, 0.5]]),
    {"accuracy": 0.6, "loss": 0.8, "auc": 0.5},
)
HISTORY = {"loss": [3.0, 2.0, 1.5], "accuracy": [0.1, 0.4, 0.6]}
HELD_OUT = {"val_loss": [3.1, 2.5, 2.6], "val_accuracy": [0.1, 0.3, 0.2]}


def check_image(path: Path) -> None:
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(content) > 5000
    assert all(300 < side < 2000 for side in struct.unpack(">II", content[16:24]))


@pytest.mark.parametrize(
    "history", [HISTORY, HISTORY | HELD_OUT, {name: values * 10 for name, values in HISTORY.items()}]
)
def test_the_learning_curve_is_an_image(tmp_path: Path, history: dict[str, list[float]]) -> None:
    plots.plot_learning_curve(history, tmp_path / "plot.png")
    check_image(tmp_path / "plot.png")


def test_the_learning_curve_shows_the_held_out_part(tmp_path: Path) -> None:
    plots.plot_learning_curve(HISTORY, tmp_path / "without.png")
    plots.plot_learning_curve(HISTORY | HELD_OUT, tmp_path / "with.png")
    assert (tmp_path / "without.png").read_bytes() != (tmp_path / "with.png").read_bytes()


def test_the_confusion_matrix_is_an_image(tmp_path: Path) -> None:
    plots.plot_confusion_matrix(EVALUATION, ("negative", "positive"), tmp_path / "plot.png")
    check_image(tmp_path / "plot.png")


@pytest.mark.parametrize(
    "labels",
    [
        ("1 star", "3 stars", "5 stars"),
        tuple(f"a label that is $far_too${number} long to stand on a side of a plot" for number in range(50)),
        ("ham", "everything else that is in the mail"),
    ],
)
def test_the_confusion_matrix_of_any_labels_is_an_image(tmp_path: Path, labels: tuple[str, ...]) -> None:
    plots.plot_confusion_matrix(EVALUATION, labels, tmp_path / "plot.png")  # most labels have no examples
    check_image(tmp_path / "plot.png")
    plots.plot_confusion_matrix(EVALUATION, tuple(label[0] for label in labels), tmp_path / "other.png")
    assert (tmp_path / "other.png").read_bytes() != (tmp_path / "plot.png").read_bytes()


def test_a_long_label_is_shortened() -> None:
    assert plots.shorten("positive") == "positive"
    assert plots.shorten("x" * 100) == "x" * 23 + "\N{HORIZONTAL ELLIPSIS}"


def test_the_roc_curve_names_the_labels(tmp_path: Path) -> None:
    for name, labels in (("a", ("negative", "positive")), ("b", ("ham", "spam $1$"))):
        plots.plot_roc_curve(EVALUATION, labels, tmp_path / f"{name}.png")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


def test_the_roc_curve_is_an_image(tmp_path: Path) -> None:
    plots.plot_roc_curve(EVALUATION, ("negative", "positive"), tmp_path / "plot.png")
    check_image(tmp_path / "plot.png")
