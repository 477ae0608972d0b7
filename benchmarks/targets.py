"""The floors and goals of a benchmark: printed beside its figures, with an error for a floor that is missed."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.results import render_table


class MissedError(Exception):
    """A figure misses its floor."""


@dataclass(frozen=True)
class Target:
    """A figure, the floor that it must reach and the goal that it should reach; None if there is no such bound.

    `is_least` says that the bounds are the least values, otherwise they are the greatest.
    """

    name: str
    figure: float
    floor: float | None = None
    goal: float | None = None
    is_least: bool = False

    def reaches(self, bound: float | None) -> bool:
        """Return whether the figure reaches a bound, if there is one."""
        if bound is None:
            return True
        return self.figure >= bound if self.is_least else self.figure <= bound


def check(targets: Sequence[Target]) -> None:
    """Print each figure with its bounds, and whether it reaches them.

    Raises:
        MissedError: a floor is missed.
    """
    rows = [
        [one.name, f"{one.figure:.4g}", *(_describe(one, bound) for bound in (one.floor, one.goal))] for one in targets
    ]
    print(f"\n{render_table(['target', 'figure', 'floor', 'goal'], rows)}", flush=True)
    if missed := [f"{one.name}: {one.figure:.4g}" for one in targets if not one.reaches(one.floor)]:
        raise MissedError(f"missed floors: {'; '.join(missed)}")


def _describe(target: Target, bound: float | None) -> str:
    if bound is None:
        return "-"
    return f"{'>=' if target.is_least else '<='} {bound:g}, {'met' if target.reaches(bound) else 'missed'}"
