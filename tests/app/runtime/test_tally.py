"""The counts of one model."""

import time

from app.runtime.tally import Tally, Times


def test_requests_and_batches_are_counted_with_their_times() -> None:
    tally = Tally()
    assert tally.last == 0
    tally.note_batch(3, 0.5, waited=1.5)
    tally.note_batch(1, 0.25, waited=0.5)
    tally.note_request(2, is_answered=True)
    tally.note_request(1, is_answered=False)
    assert (tally.rows, tally.batches, tally.waits) == (4, Times(2, 0.75), Times(4, 2))
    assert (tally.answered, tally.failed) == (Times(1, 2), Times(1, 1))
    assert 0 < tally.last <= time.time()
