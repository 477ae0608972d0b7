import numpy as np
import pytest
from numpy.typing import NDArray

from training.data.labelled.splits import choose_part

RANDOM = np.random.default_rng(1)


def draw_units(count: int) -> NDArray[np.uint64]:
    return RANDOM.integers(0, 2**64, count, np.uint64)


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_each_label_has_its_share(share: float) -> None:
    labels = np.repeat(np.array([0, 1, 2], np.int32), [1000, 300, 10])
    chosen = choose_part(draw_units(1310), labels, share, 1)
    assert np.bincount(labels[chosen]).tolist() == [1000 * share, 300 * share, 10 * share]


def test_a_rare_label_is_on_both_sides() -> None:
    labels = np.repeat(np.array([0, 1, 2], np.int32), [100, 2, 3])
    for share in (0.01, 0.99):
        chosen = choose_part(draw_units(105), labels, share, 1)
        for label in range(3):
            assert {*chosen[labels == label].tolist()} == {False, True}


def test_the_choice_depends_on_the_rows_and_the_seed_and_not_on_the_order() -> None:
    units = RANDOM.choice(draw_units(200), 500)
    labels = RANDOM.integers(0, 3, 500).astype(np.int32)
    chosen = choose_part(units, labels, 0.2, 7)
    order = RANDOM.permutation(500)
    assert np.array_equal(choose_part(units[order], labels[order], 0.2, 7), chosen[order])
    assert not np.array_equal(choose_part(units, labels, 0.2, 8), chosen)


@pytest.mark.parametrize("seed", range(5))
def test_no_unit_is_on_both_sides_and_labels_keep_their_shares_as_far_as_units_allow(seed: int) -> None:
    random = np.random.default_rng(seed)
    units = random.choice(draw_units(60), 2000)
    taste = random.random(60)[np.unique(units, return_inverse=True)[1]]  # of each unit: its labels differ
    labels = (random.random(2000) < taste).astype(np.int32)
    chosen = choose_part(units, labels, 0.25, seed)
    assert not np.intersect1d(units[chosen], units[~chosen]).size
    for label in (0, 1):
        assert np.mean(chosen[labels == label]) == pytest.approx(0.25, abs=0.02)


def test_of_two_large_units_one_is_chosen() -> None:
    units = np.repeat(draw_units(2), [30, 50])
    labels = np.tile(np.array([0, 1], np.int32), 40)
    chosen = choose_part(units, labels, 0.1, 1)
    assert chosen.sum() == 30


def test_one_unit_cannot_be_split() -> None:
    assert not choose_part(np.zeros(10, np.uint64), np.zeros(10, np.int32), 0.2, 1).any()


def test_single_rows_make_up_for_large_units() -> None:
    units = np.concatenate([np.repeat(draw_units(1), 15), draw_units(85)])
    chosen = choose_part(units, np.zeros(100, np.int32), 0.2, 1)
    assert chosen.sum() == 20


def test_no_rows_are_no_part() -> None:
    assert choose_part(np.zeros(0, np.uint64), np.zeros(0, np.int32), 0.2, 1).shape == (0,)
