"""Which rows of unequal lengths are best run together, by what batches of them cost."""

from collections.abc import Collection, Sequence

# No row of a batch is filled up with padding by more than this share of what the longest row costs: its steps and the
# fixed ones below, which are as if every row had them.
PADDING_SHARE = 0.4
# What a batch costs: as if it had so many steps more, and every step as if it had so many rows more. Both lie between
# what benchmarks/engine.py finds for large networks, whose steps take longer, and for small ones.
FIXED_STEPS = 64
FIXED_ROWS = 2


class Grouping:
    """Chooses the rows of batches for an engine that is compiled for some numbers of rows."""

    def __init__(self, batch_sizes: Sequence[int]) -> None:
        """Take the numbers of rows that the engine runs without filling up, ascending."""
        self.largest = batch_sizes[-1]
        # What a step costs with 0, 1, 2, ... rows.
        self._step_costs = [FIXED_ROWS + min(s for s in batch_sizes if s >= rows) for rows in range(self.largest + 1)]

    def cost(self, lengths: Collection[int]) -> float:
        """Return what a batch of rows of these lengths costs, relative to others."""
        return (max(lengths) + FIXED_STEPS) * self._step_costs[len(lengths)]

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
                share = useful / (longest * self._step_costs[rows])
                if begin + rows > first and share > best:
                    best, chosen = share, slice(begin, begin + rows)
        return places[chosen]
