"""Which rows of unequal lengths are best run together, by what batches of them cost."""

from collections.abc import Collection, Sequence

# No row of a batch is filled up with padding by more than this share of what the longest row costs: its steps and the
# fixed ones below, which are as if every row had them.
PADDING_SHARE = 0.4
# What a batch costs: as if it had so many steps more, and every step as if it had so many rows more. Both lie between
# what was measured for a large network (6 steps, 0.8 rows) and for a small one (50 and 0.4).
FIXED_STEPS = 16
FIXED_ROWS = 0.6


class Grouping:
    """Chooses the rows of batches."""

    def __init__(self, largest: int) -> None:
        """Take the number of rows in the largest batch."""
        self.largest = largest

    def cost(self, lengths: Collection[int]) -> float:
        """Return what a batch of rows of these lengths costs, relative to others."""
        return (max(lengths) + FIXED_STEPS) * (FIXED_ROWS + len(lengths))

    def choose(self, lengths: Sequence[int]) -> list[int]:
        """Return the places of the first row and of neighbours of it in length, so that the most is done for the cost.

        Args:
            lengths: of the rows that wait, the most urgent first; if there are none, there are no places.
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
