import pytest

from benchmarks.tokenisers import BASE, Summary, Timed, measure, summarise
from training.data.review_coding import TOKENISERS


def test_every_tokeniser_is_timed_on_the_same_text() -> None:
    timed = measure("A tender, wonderful film. " * 20, TOKENISERS)
    assert timed.characters == 26 * 20
    assert timed.microseconds.keys() == TOKENISERS.keys() > {BASE, "readable"}
    assert min(timed.microseconds.values()) > 0


def test_ratios_are_of_the_times_for_one_text() -> None:
    found = summarise([Timed(10, {BASE: 2, "readable": 3})] * 9 + [Timed(20, {BASE: 10, "readable": 11})] * 2)
    assert found[BASE] == Summary(2, 1, 1, 1)
    readable = found["readable"]
    assert (readable.microseconds, readable.ratio, readable.high) == (3, 1.5, 1.5)
    assert readable.low == pytest.approx(1.1)
