import pytest

from benchmarks import padding

LENGTHS = [10, 200] * 100


def test_shares_of_padding() -> None:
    full, in_order, grouped = padding.list_shares(LENGTHS, 400, batch_rows=4)
    assert full.padding == pytest.approx(1 - 105 / 400)
    assert 0.2 < in_order.padding < 105 / 200
    assert in_order.rows == 4
    assert grouped.padding == 0  # rows of 10 and of 200 steps are not run together
    assert 1 < grouped.rows <= 4


def test_rows_that_run_alone_have_no_padding() -> None:
    _, in_order, grouped = padding.list_shares(LENGTHS, 400, batch_rows=1)
    assert (in_order.padding, in_order.rows, grouped.padding, grouped.rows) == (0, 1, 0, 1)


def test_the_table_has_every_way() -> None:
    assert len(padding.render(padding.list_shares(LENGTHS, 400, 4)).splitlines()) == 5
