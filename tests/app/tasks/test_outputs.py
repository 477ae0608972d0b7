"""The outputs of a network as arrays with names."""

import numpy as np
import pytest

from app.tasks.outputs import arrange, list_outputs
from bundle.tasks import NEXT_LETTER, SENTIMENT, count_outputs

LABELS = [SENTIMENT.labels, NEXT_LETTER.labels, ("bad", "so-so", "good"), ("а", "б", " ")]


@pytest.mark.parametrize("labels", LABELS)
def test_the_outputs_are_as_they_are_described(labels: tuple[str, ...]) -> None:
    arrays = arrange(labels, [np.full(count_outputs(labels), 0.25, np.float32)] * 3, [True, True, False])
    dtypes = {"FP32": np.float32, "BYTES": object, "BOOL": np.bool_}
    assert [kind.name for kind in list_outputs(labels)] == [*arrays]
    for kind in list_outputs(labels):
        array = arrays[kind.name]
        assert array.dtype == dtypes[kind.datatype]
        assert array.shape == (3, *kind.shape[1:])


def test_one_output_is_the_probability_of_the_second_label() -> None:
    arrays = arrange(SENTIMENT.labels, [np.array([p], np.float32) for p in (0.9, 0.5, 0.1)], [True] * 3)
    assert arrays["label"].tolist() == ["positive", "positive", "negative"]
    assert np.array_equal(arrays["probabilities"], np.array([[0.9], [0.5], [0.1]], np.float32))


def test_of_several_outputs_the_first_of_the_likeliest_is_the_label() -> None:
    rows = np.zeros((2, 26), np.float32)
    rows[0, 2] = 0.9
    rows[1, [3, 7]] = 0.5
    assert arrange(NEXT_LETTER.labels, [*rows], [True, True])["label"].tolist() == ["C", "D"]


@pytest.mark.parametrize("labels", LABELS)
def test_what_cannot_be_read_has_no_label_and_equal_probabilities(labels: tuple[str, ...]) -> None:
    outputs = [np.full(count_outputs(labels), 0.9, np.float32)] * 2
    arrays = arrange(labels, outputs, [False, True])
    assert arrays["label"][0] == "" and arrays["label"][1]
    assert (arrays["probabilities"][0] == np.float32(1 / len(labels))).all()
    assert (arrays["probabilities"][1] == np.float32(0.9)).all()
    assert arrays["is_readable"].tolist() == [False, True]
