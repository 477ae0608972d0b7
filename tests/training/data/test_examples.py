import numpy as np
import pytest

from training.data.examples import Examples, split_randomly
from training.errors import RecipeError


def test_examples_can_be_taken_in_any_order() -> None:
    examples = Examples(np.array([[1], [2], [3]], np.int32), np.array([0, 1, 0], np.int32))
    taken = examples.take(np.array([2, 1]))
    assert taken.inputs.tolist() == [[3], [2]]
    assert taken.labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("count", "share", "held_out"), [(10, 0.2, 2), (10, 0, 0), (26, 0.1, 3), (7, 0.5, 4), (1, 0, 0)]
)
def test_a_random_split_has_every_index_once(count: int, share: float, held_out: int) -> None:
    first, second = split_randomly(count, share, seed=1)
    assert (len(first), len(second)) == (count - held_out, held_out)
    assert sorted([*first, *second]) == list(range(count))


@pytest.mark.parametrize(("count", "share"), [(10, 0.96), (1, 0.6), (25_000, 0.99999)])
def test_a_split_that_leaves_nothing_to_train_on_is_refused(count: int, share: float) -> None:
    with pytest.raises(RecipeError, match=f"validation_share={share} of {count} examples leaves none"):
        split_randomly(count, share, seed=1)


def test_a_random_split_depends_on_the_seed_alone() -> None:
    first, again, other = (np.concatenate(split_randomly(50, 0.3, seed)).tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert first != sorted(first)
    assert first == np.concatenate(split_randomly(50, 0.1, seed=1)).tolist()  # the share only says where it is cut
