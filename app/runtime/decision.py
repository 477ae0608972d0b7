"""Which versions of a model are loaded, which have labels, and which one answers: one function without side effects.

All processes of a service decide by it. They decide alike, because the last good policy is a file that they share.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache
from itertools import islice

from app.runtime.defaults import list_default_versions
from app.runtime.policy import STABLE, Policy


@dataclass(frozen=True)
class Decision:
    """What a process does by a policy.

    Attributes:
        policy: that decides: the model's own or, if that cannot be read, the last good one.
        kept: the versions that are loaded.
        labels: versions by label, as requests may use them; each is loaded.
        default: the version that answers requests that name none; None if none does.
        good: the policy that decides if the next one is wrong; None if there is none yet.
    """

    policy: Policy
    kept: Set[int]
    labels: Mapping[str, int]
    default: int | None
    good: Policy | None


def decide(
    policy: Policy | None,
    good: Policy | None,
    published: Sequence[int],
    is_loadable: Callable[[int], bool],
    newest: int = 1,
) -> Decision:
    """Return what a process does by a policy.

    A label that names no good version stays where the last good policy had it. Without the version that has the label
    `stable`, the newest good one before it answers: an operator may have rolled back from those that are newer.

    Args:
        policy: of the model; None if it cannot be read.
        good: the last good one; None if there is none.
        published: versions in the store, rising.
        is_loadable: returns whether a published version is good; it may load the version for that.
        newest: how many of the newest good versions are loaded, besides the labelled ones.
    """
    wanted = policy or good
    if wanted is None:
        return Decision(Policy(), frozenset(), {}, None, None)
    before = good.labels if good else {}
    if not wanted.is_loaded:
        places = {label: before.get(label, number) for label, number in wanted.labels.items()}
        return Decision(wanted, frozenset(), {}, None, wanted.model_copy(update={"labels": places}))

    @cache
    def is_good(number: int) -> bool:
        return number in published and is_loadable(number)

    def find_good(most: int, below: int | None = None) -> Set[int]:
        """Return the newest good versions."""
        found = (number for number in reversed(published) if (below is None or number < below) and is_good(number))
        return {*islice(found, most)}

    places = {
        label: number if is_good(number) else before.get(label, number) for label, number in wanted.labels.items()
    }
    labels = {label: number for label, number in places.items() if is_good(number)}
    kept = {*labels.values(), *find_good(newest)}
    pinned = places.get(STABLE)
    if pinned is not None and STABLE not in labels:
        kept |= find_good(1, pinned)
    default = labels.get(STABLE) or next(iter(list_default_versions(kept, pinned)), None)
    return Decision(wanted, kept, labels, default, wanted.model_copy(update={"labels": places}))
