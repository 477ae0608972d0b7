import pytest

from benchmarks.explain import SHARES, Deleted, delete, summarise


@pytest.mark.parametrize(
    ("places", "left"),
    [([], "not bad!"), ([(4, 7)], "not  !"), ([(7, 8), (0, 3)], "  bad "), ([(4, 7), (7, 8)], "not   ")],
)
def test_words_are_deleted_by_their_places(places: list[tuple[int, int]], left: str) -> None:
    assert delete("not bad!", places) == left


def test_curves_are_means_over_the_texts_of_an_order() -> None:
    falling = [0.9] * 5 + [0.3] * 5
    found = summarise(
        [Deleted("most", 4, falling), Deleted("most", 4, [0.7] * 10)]
        + [Deleted(order, 4, [0.9] * len(SHARES)) for order in ("random", "least")]
    )
    assert found["most"][0] == pytest.approx([0.8] * 5 + [0.5] * 5)
    assert found["most"][1] == [0] * 5 + [0.5] * 5
    assert found["random"][1] == [0] * 10
