import pytest

from training.evaluation import verdicts


@pytest.mark.parametrize(
    ("accuracy", "baseline", "sentence"),
    [
        (0.9, 0.875, "The network is 2.5 points better than the baseline."),
        (0.75, 0.875, "The baseline is 12.5 points better. It is smaller and faster too: use it"),
        (0.75, 0.75, "The network and the baseline are equally good."),
    ],
)
def test_the_better_one_is_named(accuracy: float, baseline: float, sentence: str) -> None:
    assert verdicts.compare(accuracy, baseline).startswith(sentence)
