import numpy as np
import pytest

from training.data.labelled.texts import LabelledTexts
from training.evaluation.evaluate import evaluate
from training.labelled import card
from training.labelled.baseline import Baseline

LABELS = np.array([0, 1, 1, 1], np.int32)
EVALUATION = evaluate(np.array([[0.1], [0.9], [0.8], [0.3]], np.float32), LABELS)  # three are right


@pytest.mark.parametrize(
    ("accuracy", "verdict"),
    [
        (0.9, "**The baseline is 15.0 points better. It is"),
        (0.5, "The network is 25.0 points better than the baseline."),
    ],
)
def test_the_better_one_is_named(accuracy: float, verdict: str) -> None:
    text = card.compare(EVALUATION, 0.7, Baseline(accuracy, 0.4, 1200))
    assert verdict in text and f"| TF-IDF with logistic regression | {accuracy:.2%} | 0.4000 |" in text
    assert "| this network | 75.00% | 0.7000 |" in text and "1,200 of the" in text
    assert card.compare(EVALUATION, 0.7, None) == ""


def test_answers_are_counted_by_label() -> None:
    text = card.describe_confusions(EVALUATION, ("a_b", "c"))
    assert "| | a\\_b | c |\n|---|---|---|\n| a\\_b | 1 | 0 |\n| c | 1 | 2 |" in text


def test_the_data_are_described(texts: LabelledTexts) -> None:
    text = card.describe_data(texts.description, 58, ["It rained."], ["40% of the words"])
    for shown in ("| `films.csv` | CSV", "| positive | 32 | 8 |", "58 labelled rows. It rained.", "- 40% of the words"):
        assert shown in text
    assert texts.description.data.sha256 in text
