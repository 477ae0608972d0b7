"""Chooses rows of similar lengths for a batch, by a model of its cost."""

from collections.abc import Collection, Sequence

# The largest share of padding in a row of a batch, where every row has `FIXED_STEPS` more.
PADDING_SHARE = 0.4
# The cost of a batch is (steps of the longest row + FIXED_STEPS) x (rows + FIXED_ROWS). Both constants lie between the
# values that were measured for a large network (6 and 0.8) and for a small one (50 and 0.4).
FIXED_STEPS = 16
FIXED_ROWS = 0.6


class Grouping:
    """Chooses the rows of batches."""

    def __init__(self, largest: int) -> None:
        """Take the number of rows in the largest batch."""
        self.largest = largest

    def cost(self, lengths: Collection[int]) -> float:
        """Return the cost of a batch with rows of these lengths, relative to other batches."""
        return (max(lengths) + FIXED_STEPS) * (FIXED_ROWS + len(lengths))

    def choose(self, lengths: Sequence[int]) -> list[int]:
        """Return the places of the rows for the next batch: the first row, and rows of similar lengths.

        The batch has the most useful steps for its cost.

        Args:
            lengths: of the rows that wait, the most urgent first; may be empty.
        """
        places = sorted(range(len(lengths)), key=lengths.__getitem__)
        steps = [lengths[place] + FIXED_STEPS for place in places]
        first = places.index(0) if places else 0
        best, chosen = 0.0, slice(0)
        for begin in range(first, max(first - self.largest, -1), -1):
            useful = 0
            for rows, longest in enumerate(steps[begin : begin + self.largest], 1):
                if steps[begin] < (1 - PADDING_SHARE) * longest:
                    break
                useful += longest
                share = useful / (longest * (FIXED_ROWS + rows))
                if begin + rows > first and share > best:
                    best, chosen = share, slice(begin, begin + rows)
        return places[chosen]
